//! The level Minimal, which policies of decklog's own sinks may have and kube-apiserver's may not: who did what to which object, when,
//! and with which code; nothing else. Less than Metadata: no URI, addresses, user agent, groups, annotations, messages.

use std::borrow::Cow;

use crate::event::{Event, Status, UserInfo, write_log_line};

/// The level's word.
pub const MINIMAL: &str = "Minimal";

/// An event at that level: kind, version, auditID, stage, verb, objectRef, the user's name, the code and both times, as a stored line
/// without its newline. What else the event had, unknown members included, is gone.
#[must_use]
pub fn minimal_line(event: &Event<'_>) -> String {
    let code = event.response_status.as_ref().and_then(|status| status.code);
    let reduced = Event {
        kind: event.kind.clone(),
        api_version: event.api_version.clone(),
        level: Some(Cow::Borrowed(MINIMAL)),
        audit_id: event.audit_id.clone(),
        stage: event.stage.clone(),
        verb: event.verb.clone(),
        user: UserInfo { username: event.user.username.clone(), ..UserInfo::default() },
        object_ref: event.object_ref.clone(),
        response_status: code.map(|code| Status { code: Some(code), ..Status::default() }),
        request_received_timestamp: event.request_received_timestamp,
        stage_timestamp: event.stage_timestamp,
        ..Event::default()
    };
    let mut line = Vec::new();
    // Only a body that is no JSON cannot be written, and there is none.
    let _ = write_log_line(&reduced, &mut line);
    let text = String::from_utf8_lossy(&line);
    text.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load::{TargetVersion, load, load_for_sink};

    #[test]
    fn a_minimal_event_holds_who_what_when_and_the_code() {
        let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/x/secrets/db?token=t","verb":"get","user":{"username":"bob","uid":"1","groups":["ops"],"extra":{"k":["v"]}},"impersonatedUser":{"username":"eve"},"sourceIPs":["10.0.0.1"],"userAgent":"curl","objectRef":{"resource":"secrets","namespace":"x","name":"db","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","message":"secret words","reason":"Forbidden","code":403},"requestObject":{"a":1},"responseObject":{"b":2},"requestReceivedTimestamp":"2026-11-22T09:00:00.000001Z","stageTimestamp":"2026-11-22T09:00:00.000002Z","annotations":{"k":"v"},"more":1}"#;
        assert_eq!(
            minimal_line(&Event::decode(line).unwrap()),
            r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Minimal","auditID":"a","stage":"ResponseComplete","requestURI":"","verb":"get","user":{"username":"bob"},"objectRef":{"resource":"secrets","namespace":"x","name":"db","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":403},"requestReceivedTimestamp":"2026-11-22T09:00:00.000001Z","stageTimestamp":"2026-11-22T09:00:00.000002Z"}"#
        );
    }

    #[test]
    fn only_a_sinks_policy_may_have_the_level() {
        let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Minimal\n";
        assert_eq!(load_for_sink(text.as_bytes()).result.unwrap().rules[0].level, MINIMAL);
        let refusal = load(text.as_bytes(), TargetVersion::default()).result.unwrap_err();
        assert_eq!(
            refusal.message,
            "rules[0].level: Unsupported value: \"Minimal\": supported values: \"None\", \"Metadata\", \"Request\", \"RequestResponse\""
        );
        assert_eq!(refusal.problems[0].message, "`Minimal` is no level of kube-apiserver: it is decklog's own, for the policies of its sinks");
        assert!(load_for_sink(text.replace("Minimal", "minimal").as_bytes()).result.is_err());
    }
}
