//! Google GKE: the API server's audit events come as entries of Cloud Audit Logs, rebuilt by Google: a `LogEntry`
//! whose `protoPayload` is a `google.cloud.audit.AuditLog`. The event is put together again, and every field that
//! the entry does not hold in so many words is named in an annotation.
//!
//! Taken: entries one a line (Cloud Storage), a JSON array of them (`gcloud logging read --format=json`), and Pub/Sub
//! messages of them (see `packed`). Entries of other services and logs are counted. An entry that Cloud Logging had
//! to split gives one event without bodies, from its first part. docs/reference/gke.md has the field table and
//! says what was verified.

mod names;
mod status;

use std::borrow::Cow;

use decklog_audit::event::{ObjectReference, Status, UserInfo};
use decklog_audit::json::RawJson;
use decklog_audit::{Event, Level, Stage, Timestamp};

use super::convert::{Provenance, rebuilt_line};
use super::formats::{Format, Taking};
use super::object::Object;
use names::Target;

const AUDIT_LOG: &str = "type.googleapis.com/google.cloud.audit.AuditLog";
const KUBERNETES: &str = "k8s.io";
const GKE_API: &str = "container.googleapis.com";
const SKIPPED_GKE_API: &str = "gke: container.googleapis.com (the API of GKE itself)";
const SKIPPED_SERVICE: &str = "gke: audit log of another service";
const SKIPPED_LOG: &str = "gke: entry of another log";

/// See the module.
pub(super) fn read(object: &Object<'_>, taking: &mut Taking<'_>) -> bool {
    let payload = object.object("protoPayload");
    let is_entry = object.text("logName").is_some() && (object.has("insertId") || object.has("timestamp") || object.has("receiveTimestamp"));
    let payload = match payload {
        Some(payload) if payload.text("@type").is_some_and(|kind| kind == AUDIT_LOG) => payload,
        _ if is_entry => {
            taking.skip(SKIPPED_LOG);
            return true;
        }
        _ => return false,
    };
    match payload.text("serviceName").as_deref() {
        Some(KUBERNETES) => entry(object, &payload, taking),
        // Clusters outside Google Cloud name another service and the same producer.
        _ if object.object("operation").is_some_and(|operation| operation.text("producer").is_some_and(|name| name == KUBERNETES)) => {
            entry(object, &payload, taking)
        }
        Some(GKE_API) => taking.skip(SKIPPED_GKE_API),
        _ => taking.skip(SKIPPED_SERVICE),
    }
    true
}

fn entry(entry: &Object<'_>, payload: &Object<'_>, taking: &mut Taking<'_>) {
    let split = entry.object("split").and_then(|split| Some((number(split.get("index"))?, number(split.get("totalSplits"))?)));
    if let Some((index, total)) = split
        && index > 0
    {
        return refuse(entry, payload, &format!("part {} of {total} of a split entry: its event is in part 1, without bodies", index + 1), taking);
    }
    let (Some(method), Some(resource)) = (payload.word("methodName"), payload.word("resourceName")) else {
        return refuse(entry, payload, "an entry of k8s.io without methodName or resourceName", taking);
    };
    let original = entry.raw().compact();
    let mut provenance = Provenance::new(Format::Gke, &original);
    provenance.cluster = cluster(entry);
    let target = Target::new(&resource, &method);
    let bodies = if split.is_some() {
        // Half a body is no body.
        provenance.truncated();
        ["request", "response"].into_iter().zip(["requestObject", "responseObject"]).for_each(|(name, field)| {
            if payload.has(name) {
                provenance.missing(field);
            }
        });
        [None, None]
    } else {
        ["request", "response"].map(|name| payload.object(name).map(|body| without_type(&body)))
    };
    let response = payload.object("response");
    let mut event = Event {
        level: Some(Cow::Borrowed(level(payload).as_str())),
        stage: Some(Cow::Borrowed(stage(entry, &target).as_str())),
        audit_id: audit_id(entry, &mut provenance),
        verb: Some(Cow::Borrowed(&target.verb)),
        request_uri: Some(Cow::Owned(target.request_uri())),
        user: user(payload, &mut provenance),
        impersonated_user: impersonated(payload, &mut provenance),
        object_ref: object_reference(&target, response.as_ref(), &mut provenance),
        response_status: response_status(payload, response.as_ref(), &target, &mut provenance),
        request_object: bodies[0].as_deref().and_then(|body| RawJson::parse(body).ok()),
        response_object: bodies[1].as_deref().and_then(|body| RawJson::parse(body).ok()),
        ..Event::default()
    };
    ["level", "stage", "requestURI"].into_iter().for_each(|field| provenance.inferred(field));
    provenance.missing("requestURI.query");
    let metadata = payload.object("requestMetadata");
    match metadata.as_ref().and_then(|metadata| metadata.word("callerIp")) {
        Some(ip) => {
            event.source_ips = Some(vec![ip]);
            provenance.missing("sourceIPs.chain");
        }
        None => provenance.missing("sourceIPs"),
    }
    event.user_agent = metadata.and_then(|metadata| metadata.word("callerSuppliedUserAgent"));
    if event.user_agent.is_none() {
        provenance.missing("userAgent");
    }
    match entry.text("timestamp").and_then(|time| Timestamp::parse_rfc3339(&time)) {
        Some(time) => {
            // The entry has one time: which of the two it is, Google does not say.
            (event.request_received_timestamp, event.stage_timestamp) = (Some(time), Some(time));
            provenance.inferred("requestReceivedTimestamp");
            provenance.inferred("stageTimestamp");
        }
        None => {
            provenance.missing("requestReceivedTimestamp");
            provenance.missing("stageTimestamp");
        }
    }
    let labels = entry.object("labels");
    if let Some(labels) = &labels {
        event.annotations = Some(labels.members().map(|(key, value)| (Cow::Owned(key.to_owned()), label_text(value))).collect());
    }
    taking.event(Format::Gke, &rebuilt_line(&event, &provenance));
}

/// Refuses an entry. Its bodies go along unless they may be about credentials: the quarantine's redaction knows those
/// by what stands around them in an event, which is not here.
fn refuse(entry: &Object<'_>, payload: &Object<'_>, detail: &str, taking: &mut Taking<'_>) {
    let resource = payload.text("resourceName").unwrap_or_default().to_lowercase();
    if !["secret", "token"].iter().any(|word| resource.contains(word)) && payload.has("resourceName") {
        return taking.refuse(entry.raw().as_str(), detail);
    }
    let kept: Vec<String> = entry
        .members()
        .filter(|(name, _)| *name != "protoPayload")
        .chain(payload.members().filter(|(name, _)| !matches!(*name, "request" | "response" | "metadata")))
        .map(|(name, value)| format!("{}:{}", serde_json::Value::from(name), value.as_str()))
        .collect();
    taking.refuse(&format!("{{{}}}", kept.join(",")), format!("{detail}; its bodies are left out"));
}

fn number(value: Option<RawJson<'_>>) -> Option<u64> {
    let value = value?;
    // Protocol buffers spell 64-bit numbers as text.
    value.as_string().map_or_else(|| value.as_str().parse().ok(), |text| text.parse().ok())
}

fn label_text(value: RawJson<'_>) -> Cow<'_, str> {
    value.as_string().unwrap_or_else(|| Cow::Borrowed(value.as_str()))
}

/// `project/location/name`, as far as it is told.
fn cluster<'a>(entry: &Object<'a>) -> Option<Cow<'a, str>> {
    let labels = entry.object("resource")?.object("labels")?;
    let parts: Vec<Cow<'_, str>> = ["project_id", "location", "cluster_name"].into_iter().filter_map(|name| labels.word(name)).collect();
    (!parts.is_empty()).then(|| Cow::Owned(parts.join("/")))
}

/// The operation's id is the audit id. Entries of older clusters may have it in `insertId` alone.
fn audit_id<'a>(entry: &Object<'a>, provenance: &mut Provenance<'_>) -> Option<Cow<'a, str>> {
    let operation = entry.object("operation").and_then(|operation| operation.word("id"));
    if let Some(id) = operation.filter(|id| is_uuid(id)) {
        return Some(id);
    }
    let id = entry.word("insertId");
    match &id {
        Some(id) if is_uuid(id) => {}
        Some(_) => provenance.inferred("auditID"),
        None => provenance.missing("auditID"),
    }
    id
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().enumerate().all(|(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// The lowest level that holds the bodies which are there.
fn level(payload: &Object<'_>) -> Level {
    match (payload.has("request"), payload.has("response")) {
        (_, true) => Level::RequestResponse,
        (true, false) => Level::Request,
        (false, false) => Level::Metadata,
    }
}

/// GKE's log has one stage of each request.
fn stage(entry: &Object<'_>, target: &Target) -> Stage {
    let flag = |name: &str| entry.object("operation").and_then(|operation| operation.get(name)?.as_bool()).unwrap_or(false);
    let ends_only = flag("last") && !flag("first");
    if (target.verb == "watch" || target.is_connection()) && !ends_only { Stage::ResponseStarted } else { Stage::ResponseComplete }
}

fn user<'a>(payload: &Object<'a>, provenance: &mut Provenance<'_>) -> UserInfo<'a> {
    let username = payload.object("authenticationInfo").and_then(|info| info.word("principalEmail"));
    provenance.missing("user.uid");
    provenance.missing("user.extra");
    let Some(username) = username else {
        provenance.missing("user.username");
        provenance.missing("user.groups");
        return UserInfo::default();
    };
    let groups = groups_of(&username, provenance);
    UserInfo { username: Some(username), groups: Some(groups), ..UserInfo::default() }
}

/// The groups that a name alone tells. Of service accounts these are all; others may have more.
fn groups_of(username: &str, provenance: &mut Provenance<'_>) -> Vec<Cow<'static, str>> {
    provenance.inferred("user.groups");
    let account = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let own = match account {
        Some((namespace, _)) => {
            return vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}").into(), "system:authenticated".into()];
        }
        None if username == "system:anonymous" => "system:unauthenticated",
        None => "system:authenticated",
    };
    provenance.missing("user.groups");
    vec![own.into()]
}

/// Whom the request said to act as. It need not have been allowed: that is why it is inferred.
fn impersonated<'a>(payload: &Object<'a>, provenance: &mut Provenance<'_>) -> Option<UserInfo<'a>> {
    let username = payload.object("authenticationInfo")?.word("authoritySelector")?;
    provenance.inferred("impersonatedUser");
    provenance.missing("impersonatedUser.groups");
    Some(UserInfo { username: Some(username), ..UserInfo::default() })
}

fn object_reference<'a>(target: &'a Target, response: Option<&Object<'a>>, provenance: &mut Provenance<'_>) -> Option<ObjectReference<'a>> {
    let text = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
    let Some(resource) = text(&target.resource) else {
        provenance.missing("objectRef");
        return None;
    };
    let mut name = text(&target.name);
    if name.is_none() && target.verb == "create" && target.subresource.is_none() {
        name = response.and_then(|response| response.object("metadata")?.word("name"));
        if name.is_some() {
            provenance.inferred("objectRef.name");
        }
    }
    Some(ObjectReference {
        resource: Some(resource),
        namespace: text(&target.namespace),
        name,
        api_group: Some(Cow::Borrowed(&*target.group)).filter(|group| !group.is_empty()),
        api_version: Some(Cow::Borrowed(&*target.version)),
        subresource: text(&target.subresource),
        ..ObjectReference::default()
    })
}

fn response_status<'a>(payload: &Object<'a>, response: Option<&Object<'a>>, target: &Target, provenance: &mut Provenance<'_>) -> Option<Status<'a>> {
    if let Some(status) = response.and_then(status::of_response) {
        return Some(status);
    }
    let Some(status) = payload.object("status") else {
        provenance.missing("responseStatus");
        return None;
    };
    // Protocol buffers leave out a number that is 0, which is OK.
    let code = match status.get("code") {
        None => Some(0),
        Some(code) => number(Some(code)),
    };
    let code = code.and_then(|code| status::http_code(code, target));
    provenance.inferred("responseStatus.code");
    if code.is_none() {
        provenance.missing("responseStatus.code");
    }
    Some(Status { message: status.word("message"), code, ..Status::default() })
}

/// A body without the name of its protocol buffer type, which Google puts in.
fn without_type(body: &Object<'_>) -> String {
    let members: Vec<String> = body
        .raw()
        .members()
        .filter(|(name, _)| name != "@type")
        .map(|(name, value)| format!("{}:{}", serde_json::Value::from(&*name), value.as_str()))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::import::tests::{Taken, mutated, taken};

    fn entry_of(method: &str, resource: &str, more: &str) -> String {
        format!(
            r#"{{"insertId":"x1","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","operation":{{"id":"0b7e0c1e-5b0e-4b67-8f0d-6a4f3f1f2c11","producer":"k8s.io","first":true,"last":true}},"protoPayload":{{"@type":"{AUDIT_LOG}","serviceName":"k8s.io","methodName":"{method}","resourceName":"{resource}","authenticationInfo":{{"principalEmail":"ana@acme.example"}}{more}}},"resource":{{"type":"k8s_cluster","labels":{{"cluster_name":"shop","location":"europe-west1","project_id":"acme"}}}},"timestamp":"2026-11-22T10:00:00.123456Z"}}"#
        )
    }

    fn one(entry: &str) -> String {
        let Taken { mut lines, bad, .. } = taken(entry);
        assert_eq!((lines.len(), bad.len()), (1, 0), "{bad:?} {entry}");
        lines.remove(0)
    }

    #[track_caller]
    fn check_status(method: &str, more: &str, code: Option<i32>, inferred: bool) {
        let line = one(&entry_of(method, "core/v1/namespaces/shop/pods/web", more));
        let event = Event::decode(&line).unwrap();
        assert_eq!(event.response_status.as_ref().and_then(|status| status.code), code, "{line}");
        assert_eq!(event.annotation("decklog.io/inferred").unwrap().contains("responseStatus.code"), inferred, "{line}");
    }

    #[test]
    fn the_status_is_the_record_s_and_never_the_verb_s() {
        check_status("io.k8s.core.v1.pods.get", r#","status":{"code":0}"#, Some(200), true);
        check_status("io.k8s.core.v1.pods.get", r#","status":{}"#, Some(200), true);
        check_status("io.k8s.core.v1.pods.create", r#","status":{"code":0}"#, Some(201), true);
        check_status("io.k8s.core.v1.pods.create", r#","status":{"code":7,"message":"Forbidden"}"#, Some(403), true);
        check_status("io.k8s.core.v1.pods.create", r#","status":{"code":99}"#, None, true);
        check_status("io.k8s.core.v1.pods.create", "", None, false);
        let status =
            r#","status":{"code":10},"response":{"@type":"core.k8s.io/v1.Status","status":"Failure","reason":"Conflict","message":"it changed","code":409}"#;
        check_status("io.k8s.core.v1.pods.update", status, Some(409), false);
        let line = one(&entry_of("io.k8s.core.v1.pods.update", "core/v1/namespaces/shop/pods/web", status));
        let event = Event::decode(&line).unwrap();
        assert_eq!(event.response_status.unwrap().reason.as_deref(), Some("Conflict"));
        assert!(event.response_object.unwrap().member("@type").is_none());
    }

    #[test]
    fn groups_and_impersonation_are_marked() {
        let acting = r#","authenticationInfo":{"principalEmail":"system:serviceaccount:ci:deployer","authoritySelector":"root@acme.example"}"#;
        let line = one(&entry_of("io.k8s.core.v1.pods.get", "core/v1/namespaces/shop/pods/web", acting));
        let event = Event::decode(&line).unwrap();
        assert_eq!(event.user.groups.as_ref().unwrap().join(","), "system:serviceaccounts,system:serviceaccounts:ci,system:authenticated");
        assert_eq!(event.impersonated_user.as_ref().unwrap().username.as_deref(), Some("root@acme.example"));
        assert!(event.annotation("decklog.io/inferred").unwrap().contains("impersonatedUser,"));
        assert!(!event.annotation("decklog.io/missing").unwrap().contains("user.groups"));
    }

    #[test]
    fn other_entries_are_counted() {
        let text = [
            entry_of("google.container.v1.ClusterManager.CreateCluster", "projects/p/zones/z/clusters/c", "")
                .replace(r#""serviceName":"k8s.io""#, r#""serviceName":"container.googleapis.com""#)
                .replace(r#""producer":"k8s.io","#, ""),
            r#"{"insertId":"a","logName":"projects/p/logs/stderr","textPayload":"hello","timestamp":"2026-11-22T10:00:00Z"}"#.to_owned(),
            entry_of("google.iam.x", "projects/p", "")
                .replace(r#""serviceName":"k8s.io""#, r#""serviceName":"iam.googleapis.com""#)
                .replace(r#""producer":"k8s.io","#, ""),
        ];
        let taken = taken(&text.join("\n"));
        assert_eq!((taken.lines.len(), taken.bad.len()), (0, 0));
        assert_eq!(taken.tally.skipped, [(SKIPPED_GKE_API, 1), (SKIPPED_LOG, 1), (SKIPPED_SERVICE, 1)].into());
    }

    #[test]
    fn an_array_of_entries_pretty_printed() {
        let entry = entry_of("io.k8s.core.v1.pods.get", "core/v1/namespaces/shop/pods/web", r#","status":{}"#);
        let array = taken(&format!("[\n  {},\n  {}\n]\n", entry.replace(",\"", ",\n    \""), entry.replace("x1", "x2")));
        assert_eq!((array.lines.len(), array.bad.len()), (2, 0));
        assert_eq!(array.lines[0], one(&entry), "white space changes neither line nor hash");
    }

    #[test]
    fn of_a_split_entry_the_first_part_gives_the_event() {
        let part = |index: usize| {
            entry_of("io.k8s.core.v1.configmaps.create", "core/v1/namespaces/shop/configmaps/a", r#","request":{"@type":"x","data":{"a":"hal"}},"status":{}"#)
                .replacen("{", &format!("{{\"split\":{{\"uid\":\"u\",\"index\":{index},\"totalSplits\":2}},"), 1)
        };
        let taken = taken(&format!("{}\n{}", part(0), part(1)));
        let event = Event::decode(&taken.lines[0]).unwrap();
        assert_eq!((event.request_object, event.annotation("decklog.io/truncated")), (None, Some("provider")));
        assert!(event.annotation("decklog.io/missing").unwrap().contains("requestObject"));
        assert_eq!((taken.lines.len(), taken.bad.len()), (1, 1));
        assert!(taken.bad[0].starts_with("part 2 of 2"), "{:?}", taken.bad);
    }

    #[test]
    fn bodies_about_secrets_do_not_reach_the_quarantine() {
        let entry = entry_of(
            "io.k8s.core.v1.secrets.create",
            "core/v1/namespaces/shop/secrets/s",
            r#","request":{"@type":"core.k8s.io/v1.Secret","data":{"password":"aHVudGVyMg=="}}"#,
        )
        .replacen("{", "{\"split\":{\"uid\":\"u\",\"index\":1,\"totalSplits\":2},", 1);
        let taken = taken(&entry);
        assert_eq!(taken.bad.len(), 1);
        assert!(!taken.refused[0].contains("aHVudGVyMg") && taken.refused[0].contains("secrets/s"), "{}", taken.refused[0]);
    }

    proptest! {
        #[test]
        fn any_entry_ends(seed: u64, n_changes in 0usize..8, method: String, resource: String) {
            let quote = |text: &str| serde_json::Value::from(text).to_string().trim_matches('"').to_owned();
            taken(&entry_of(&quote(&method), &quote(&resource), ""));
            let full = r#","request":{"@type":"k8s.io/Patch","a":1},"response":{"@type":"core.k8s.io/v1.Status","code":404},"status":{"code":5},"requestMetadata":{"callerIp":"203.0.113.9"}"#;
            taken(&mutated(&entry_of("io.k8s.core.v1.pods.get", "core/v1/namespaces/shop/pods/web", full), seed, n_changes));
        }
    }
}
