use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::MAX_DEPTH;
use crate::recorded;

fn event(members: &str) -> String {
    format!(r#"{{"auditID":"a",{members}}}"#)
}

fn refused(text: &str) -> DecodeError {
    Event::decode(text).expect_err(text)
}

#[test]
fn recorded_lines_are_written_again_byte_for_byte() {
    for name in recorded::JSON_LOGS {
        for line in recorded::log(name).lines() {
            let decoded = Event::decode_noting(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(!decoded.spaced && decoded.event.unknown.is_empty() && decoded.event.unreadable_times.is_empty());
            let mut written = Vec::new();
            write_log_line(&decoded.event, &mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap().trim_end(), line);
        }
    }
}

/// What kube-apiserver's codec answers; decklog-tests plays the vectors of the other kinds.
#[test]
fn texts_round_trip_as_in_kube_apiserver() {
    let vectors = include_str!("../../testdata/event-codec.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut n_texts = 0;
    for vector in vectors.filter(|vector| vector["kind"] == "roundtrip" && vector["id"] != "codec-254") {
        let (Some(text), Some(want)) = (vector["in"]["text"].as_str(), vector["want"]["json"].as_str()) else { continue };
        let mut written = Vec::new();
        write_log_line(&Event::decode(text).unwrap(), &mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), want, "{}", vector["id"]);
        n_texts += 1;
    }
    assert!(n_texts > 90, "{n_texts}");
}

#[test]
fn what_is_missing_differs_from_what_is_empty() {
    let text = event(r#""level":"","user":{"groups":[]},"sourceIPs":null,"annotations":{},"verb":null"#);
    let decoded = Event::decode(&text).unwrap();
    assert_eq!((decoded.level.as_deref(), decoded.verb.as_deref(), decoded.stage), (Some(""), None, None));
    assert_eq!((decoded.user.groups, decoded.source_ips, decoded.annotations), (Some(vec![]), None, Some(vec![])));
}

#[test]
fn repeated_members_merge_as_in_go() {
    let text = event(
        r#""user":{"username":"a","uid":"1"},"user":{"username":"b"},"sourceIPs":["a","b"],"sourceIPs":["c"],"annotations":{"x":"1","y":"2"},"annotations":{"x":"3"},"verb":"get","verb":null,"requestObject":1,"requestObject":{"a":2}"#,
    );
    let decoded = Event::decode(&text).unwrap();
    assert_eq!((decoded.user.username.as_deref(), decoded.user.uid.as_deref()), (Some("b"), Some("1")));
    assert_eq!(decoded.source_ips.as_deref(), Some(["c".into()].as_slice()));
    assert_eq!(decoded.annotations, Some(vec![("x".into(), "1".into()), ("y".into(), "2".into()), ("x".into(), "3".into())]));
    assert_eq!((decoded.verb.as_deref(), decoded.request_object.map(RawJson::as_str)), (Some("get"), Some(r#"{"a":2}"#)));
}

#[test]
fn bodies_and_unknown_members_keep_their_spelling() {
    let body = r#"{"b":1.50,"a":1E400,"b":-0,"s":"\ud800\/","n":18446744073709551616}"#;
    let text = event(&format!(r#""requestObject":{body},"n\u0065w":{body},"responseObject":null,"other":null"#));
    let decoded = Event::decode(&text).unwrap();
    assert_eq!(decoded.request_object.unwrap().as_str(), body);
    assert_eq!(decoded.response_object, None);
    let unknown: Vec<_> = decoded.unknown.iter().map(|(key, value)| (key.as_ref(), value.as_str())).collect();
    assert_eq!(unknown, [("new", body), ("other", "null")]);
}

#[test]
fn names_are_case_sensitive_and_inner_unknown_members_are_passed_over() {
    let text = event(r#""Verb":"get","user":{"Username":"x","new":{"deep":[1]}},"objectRef":{"kind":"Pod"},"responseStatus":{"new":1,"details":{"new":[]}}"#);
    let decoded = Event::decode(&text).unwrap();
    assert_eq!((decoded.verb, decoded.user.username, decoded.unknown.len()), (None, None, 1));
    assert_eq!(decoded.object_ref, Some(ObjectReference::default()));
}

#[test]
fn strings_come_without_escapes() {
    let text = event(r#""verb":"\u0067et","userAgent":"\ud83d\ude00 \ud83d","requestURI":"/a?b\u0026c""#);
    let decoded = Event::decode(&text).unwrap();
    assert_eq!((decoded.verb.as_deref(), decoded.user_agent.as_deref(), decoded.request_uri.as_deref()), (Some("get"), Some("😀 \u{fffd}"), Some("/a?b&c")));
}

#[test]
fn refusals_name_the_field() {
    for (members, message) in [
        (r#""verb":5"#, "field `verb`: expected a string at byte 22"),
        (r#""sourceIPs":"x""#, "field `sourceIPs`: expected a list at byte 27"),
        (r#""user":[]"#, "field `user`: expected an object at byte 22"),
        (r#""responseStatus":{"code":2e2}"#, "field `responseStatus`: `2e2` is not a whole number of 32 bits at byte 40"),
        (r#""kind":"Pod""#, "kind `Pod` is not an audit Event at byte 0"),
        (r#""apiVersion":"v1""#, "apiVersion `v1` is not audit.k8s.io/v1, v1beta1 or v1alpha1 at byte 0"),
        (r#""verb":"get"},"#, "text after the end of the JSON value at byte 28"),
    ] {
        assert_eq!(refused(&event(members)).to_string(), message, "{members}");
    }
    assert_eq!(refused("[]").to_string(), "expected an object at byte 0");
    assert_eq!(refused("").to_string(), "the JSON ends too early at byte 0");
}

#[test]
fn depth_is_bounded_inside_bodies() {
    let nested = |levels: usize| event(&format!(r#""requestObject":{}{}"#, "[".repeat(levels), "]".repeat(levels)));
    assert!(Event::decode(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(refused(&nested(MAX_DEPTH + 1)).kind, DecodeErrorKind::Json(crate::json::JsonErrorKind::TooDeep));
}

#[test]
fn removed_versions_have_times_of_whole_seconds() {
    let old = |version: &str, members: &str| {
        let text = event(&format!(
            r#""apiVersion":"audit.k8s.io/{version}","metadata":{{"creationTimestamp":"2018-01-02T03:04:06Z"}},"timestamp":"2018-01-02T03:04:05Z"{members}"#
        ));
        let decoded = Event::decode(&text).unwrap();
        (
            decoded.request_received_timestamp.unwrap().to_string(),
            decoded.stage_timestamp.unwrap().to_string(),
            decoded.object_ref.map(|object| (object.api_group.map(Cow::into_owned), object.api_version.map(Cow::into_owned))),
        )
    };
    let seconds = ("2018-01-02T03:04:05.000000Z".to_owned(), "2018-01-02T03:04:06.000000Z".to_owned(), None);
    assert_eq!(old("v1beta1", ""), seconds);
    assert_eq!(old("v1alpha1", ""), seconds);
    assert_eq!(old("v1beta1", r#","stageTimestamp":"2018-01-02T03:04:07.000001Z""#).1, "2018-01-02T03:04:07.000001Z");
    let group = |version, object: &str| old(version, &format!(r#","objectRef":{{"apiVersion":"{object}"}}"#)).2.unwrap();
    assert_eq!(group("v1alpha1", "apps/v1"), (Some("apps".into()), Some("v1".into())));
    assert_eq!(group("v1alpha1", "v1"), (None, Some("v1".into())));
    assert_eq!(group("v1beta1", "apps/v1"), (None, Some("apps/v1".into())));
    // In v1 a `timestamp` is just an unknown member.
    let text = event(r#""apiVersion":"audit.k8s.io/v1","timestamp":"2018-01-02T03:04:05Z""#);
    assert_eq!(Event::decode(&text).unwrap().request_received_timestamp, None);
}

#[test]
fn an_unreadable_time_is_noted_and_refuses_nothing() {
    for time in ["\"2026-01-02T03:04:05Z\"", "\"yesterday\"", "5", "{}", "\"\""] {
        let text = event(&format!(r#""stageTimestamp":{time}"#));
        let decoded = Event::decode(&text).unwrap();
        assert_eq!((decoded.stage_timestamp, decoded.unreadable_times), (None, vec!["stageTimestamp"]), "{time}");
    }
}

#[test]
fn events_of_the_lists_of_a_webhook_have_no_kind() {
    let line = recorded::log("f-crd").lines().next().unwrap().to_owned();
    let event = Event { kind: None, api_version: None, ..Event::decode(&line).unwrap() };
    let mut body = Vec::new();
    write_event_list([&event, &event], &mut body).unwrap();
    let item = line.replace(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "");
    assert_eq!(
        String::from_utf8(body).unwrap(),
        format!("{{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{{}},\"items\":[{item},{item}]}}\n")
    );
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"x\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("1.50".to_owned()),
        Just("-0".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        "\\PC{0,8}".prop_map(|text| Value::String(text).to_string()),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = prop_oneof![
            Just("auditID"), Just("user"), Just("username"), Just("groups"), Just("extra"), Just("objectRef"), Just("responseStatus"), Just("code"), Just("details"), Just("causes"), Just("metadata"),
            Just("annotations"), Just("requestObject"), Just("stageTimestamp"), Just("sourceIPs"), Just("apiVersion"), Just("new")
        ];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| format!("[{}]", parts.join(" , "))),
            3 => prop::collection::vec((key, inner), 0..6).prop_map(|members| format!("{{{}}}", members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect::<Vec<_>>().join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn what_decodes_is_json_and_writes_a_line_that_decodes_the_same(text in json_text()) {
        if let Ok(decoded) = Event::decode(&text) {
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok());
            let mut line = Vec::new();
            write_log_line(&decoded, &mut line).unwrap();
            let line = String::from_utf8(line).unwrap();
            let again = Event::decode(&line).unwrap();
            let mut second = Vec::new();
            write_log_line(&again, &mut second).unwrap();
            prop_assert_eq!(line, String::from_utf8(second).unwrap());
        }
    }

    #[test]
    fn any_text_and_any_bytes_decode_or_are_refused(text in "\\PC{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::decode(&text);
        let _ = Event::decode_lossy(&bytes, &mut String::new());
        if let Ok(event) = Event::decode_lossy(format!("{{\"verb\":{}}}", Value::String(text)).as_bytes(), &mut String::new()) {
            let mut legacy = Vec::new();
            write_legacy_line(&event, &mut legacy);
            prop_assert_eq!(legacy.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
    }

    #[test]
    fn a_cut_line_is_never_an_event(cut in 1usize..700) {
        let log = recorded::log("f-crd");
        let line = log.lines().next().unwrap();
        let cut = cut.min(line.len() - 1);
        prop_assert_eq!(refused(&line[..cut]).kind, DecodeErrorKind::Json(crate::json::JsonErrorKind::Incomplete));
    }
}
