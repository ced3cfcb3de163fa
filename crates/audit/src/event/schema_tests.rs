//! schema/event.json and docs/events.md against the decoder, the encoder and the recorded events.

use serde_json::{Value, json};

use super::*;
use crate::recorded;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../schema/event.json")).unwrap()
}

/// What of JSON Schema the event's schema uses; anything else in it is refused here.
struct Check {
    root: Value,
    members: Members,
}

#[derive(Clone, Copy, PartialEq)]
enum Members {
    /// As the schema says: others may come.
    Open,
    /// Exactly those of the schema, all of them.
    Exact,
}

impl Check {
    fn check(&self, schema: &Value, value: &Value, place: &str) {
        for keyword in schema.as_object().unwrap().keys() {
            let known = ["$schema", "$id", "$ref", "$defs", "title", "description", "type", "properties", "additionalProperties", "items", "required"];
            assert!(known.contains(&keyword.as_str()), "{place}: unknown keyword {keyword}");
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.root.pointer(reference.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{place}: {reference} leads nowhere"));
            self.check(target, value, place);
        }
        self.check_type(&schema["type"], value, place);
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(value.get(name.as_str().unwrap()).is_some(), "{place}: {name} is missing");
        }
        let properties = schema["properties"].as_object();
        if let (Members::Exact, Some(properties)) = (self.members, properties) {
            let names: Vec<&String> = properties.keys().collect();
            assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), names, "{place}");
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            if let Some(schema) = properties.and_then(|properties| properties.get(name)).or(schema.get("additionalProperties")) {
                self.check(schema, member, &format!("{place}.{name}"));
            }
        }
        for element in value.as_array().into_iter().flatten() {
            if let Some(items) = schema.get("items") {
                self.check(items, element, &format!("{place}[]"));
            }
        }
    }

    fn check_type(&self, wanted: &Value, value: &Value, place: &str) {
        let is = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "null" => value.is_null(),
            other => panic!("{place}: unknown type {other}"),
        };
        let ok = match wanted {
            Value::Null => true,
            Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
            name => is(name.as_str().unwrap()),
        };
        assert!(ok, "{place}: {value} is no {wanted}");
    }
}

fn check(members: Members, event: &Value) {
    let root = schema();
    Check { root: root.clone(), members }.check(&root, event, "event");
}

/// Every field there is: a new one does not compile until it stands here, and then must be in the schema.
fn full_event() -> Event<'static> {
    let some = || Some(Cow::Borrowed("x"));
    let user = || UserInfo { username: some(), uid: some(), groups: Some(vec!["x".into()]), extra: Some(vec![("x".into(), Some(vec!["x".into()]))]) };
    Event {
        kind: some(),
        api_version: some(),
        level: some(),
        audit_id: some(),
        stage: some(),
        request_uri: some(),
        verb: some(),
        user: user(),
        impersonated_user: Some(user()),
        authentication_metadata: Some(AuthenticationMetadata { impersonation_constraint: some() }),
        source_ips: Some(vec!["x".into()]),
        user_agent: some(),
        object_ref: Some(ObjectReference {
            resource: some(),
            namespace: some(),
            name: some(),
            uid: some(),
            api_group: some(),
            api_version: some(),
            resource_version: some(),
            subresource: some(),
        }),
        response_status: Some(Status {
            kind: some(),
            api_version: some(),
            metadata: ListMeta { self_link: some(), resource_version: some(), continue_token: some(), remaining_item_count: Some(1) },
            status: some(),
            message: some(),
            reason: some(),
            details: Some(StatusDetails {
                name: some(),
                group: some(),
                kind: some(),
                uid: some(),
                causes: Some(vec![StatusCause { reason: some(), message: some(), field: some() }]),
                retry_after_seconds: Some(1),
            }),
            code: Some(200),
        }),
        request_object: Some(RawJson::NULL),
        response_object: Some(RawJson::NULL),
        request_received_timestamp: Some(Timestamp::default()),
        stage_timestamp: Some(Timestamp::default()),
        annotations: Some(vec![("x".into(), "x".into())]),
        unknown: Vec::new(),
        unreadable_times: Vec::new(),
    }
}

#[test]
fn the_schema_has_the_members_that_are_written_and_read() {
    let mut line = Vec::new();
    write_log_line(&full_event(), &mut line).unwrap();
    let line = String::from_utf8(line).unwrap();
    check(Members::Exact, &serde_json::from_str(&line).unwrap());
    // What is written is read: nothing of it is unknown, and all of it is written again.
    let read = Event::decode(&line).unwrap();
    assert!(read.unknown.is_empty());
    let mut again = Vec::new();
    write_log_line(&Event { request_object: Some(RawJson::NULL), response_object: Some(RawJson::NULL), ..read }, &mut again).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), line);
}

#[test]
fn recorded_events_follow_the_schema() {
    for line in recorded::JSON_LOGS.iter().flat_map(|name| recorded::log(name).lines().map(str::to_owned).collect::<Vec<_>>()) {
        check(Members::Open, &serde_json::from_str(&line).unwrap());
    }
}

#[test]
fn the_page_of_fields_has_all_of_them() {
    let page = include_str!("../../../../docs/events.md");
    let root = schema();
    for name in root["properties"].as_object().unwrap().keys() {
        assert!(page.lines().any(|line| line.starts_with(&format!("| `{name}`"))), "docs/events.md has no row for `{name}`");
    }
    let inner =
        [&root["$defs"]["user"], &root["properties"]["authenticationMetadata"], &root["properties"]["objectRef"], &root["properties"]["responseStatus"]];
    for name in inner.iter().flat_map(|schema| schema["properties"].as_object().unwrap().keys()) {
        assert!(page.contains(&format!(".{name}`")), "docs/events.md does not name `.{name}`");
    }
}

#[test]
#[should_panic(expected = "event.verb")]
fn the_check_can_fail() {
    let mut event = json!({"level": "", "auditID": "", "stage": "", "requestURI": "", "user": {}, "requestReceivedTimestamp": null, "stageTimestamp": null});
    event["verb"] = json!(5);
    check(Members::Open, &event);
}
