//! event-codec.jsonl: events to the bytes that kube-apiserver's log and webhook backends write.

use std::borrow::Cow;

use decklog_audit::Timestamp;
use decklog_audit::event::{
    AuthenticationMetadata, Event, ListMeta, ObjectReference, Status, StatusCause, StatusDetails, UserInfo, text_from_bytes, write_event_list,
    write_legacy_line_at, write_log_line,
};
use decklog_audit::json::RawJson;
use serde_json::Value;

use super::vectors::{byte_string, same_bytes};

/// Plays one vector of whatever kind.
pub(super) fn play(vector: &Value) -> Result<(), String> {
    let (input, want) = (&vector["in"], &vector["want"]);
    match vector["kind"].as_str() {
        Some("construct") => construct(&input["event"], want),
        Some("roundtrip") => roundtrip(&input["text"], want),
        Some("eventlist") => event_list(&input["events"], want),
        other => Err(format!("unknown kind {other:?}")),
    }
}

fn construct(described: &Value, want: &Value) -> Result<(), String> {
    let bodies = Bodies::of(described);
    let built = build(described, &bodies);
    let ok = want["ok"] == true;
    if built.encodable != ok {
        return Err(format!("encodable: wanted {ok}, got {}", built.encodable));
    }
    if ok {
        same_bytes("json", &want["json"], &log_line(&built.event))?;
    }
    // Go prints a time in the zone it was made in.
    let offset = whole(&described["requestReceivedTimestamp"]["utcOffsetSeconds"]).unwrap_or(0);
    same_bytes("legacy", &want["legacy"], &legacy_line(&built.event, offset))
}

fn roundtrip(text: &Value, want: &Value) -> Result<(), String> {
    let bytes = byte_string(text).ok_or("the vector has no text")?;
    let mut scratch = String::new();
    // A time that cannot be read makes kube-apiserver's codec refuse an event that a recorder keeps.
    let decoded = Event::decode_lossy(&bytes, &mut scratch).ok().filter(|event| event.unreadable_times.is_empty());
    match (decoded, want["ok"] == true) {
        (None, false) => Ok(()),
        (Some(event), true) => {
            same_bytes("json", &want["json"], &log_line(&event))?;
            same_bytes("legacy", &want["legacy"], &legacy_line(&event, 0))
        }
        (decoded, ok) => Err(format!("decodes: wanted {ok}, got {}", decoded.is_some())),
    }
}

fn event_list(described: &Value, want: &Value) -> Result<(), String> {
    let described = described.as_array().ok_or("the vector has no events")?;
    let bodies: Vec<Bodies> = described.iter().map(Bodies::of).collect();
    let built: Vec<Built<'_>> = described.iter().zip(&bodies).map(|(event, bodies)| build(event, bodies)).collect();
    let encodable = built.iter().all(|built| built.encodable);
    if want.get("body").is_none() {
        return if encodable { Err("nothing was to be sent".to_owned()) } else { Ok(()) };
    }
    let mut body = Vec::new();
    write_event_list(built.iter().map(|built| &built.event), &mut body).map_err(|error| error.to_string())?;
    same_bytes("body", &want["body"], &body)
}

fn log_line(event: &Event<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    match write_log_line(event, &mut line) {
        Ok(()) => line,
        Err(error) => match error {},
    }
}

fn legacy_line(event: &Event<'_>, offset_seconds: i32) -> Vec<u8> {
    let mut line = Vec::new();
    write_legacy_line_at(event, offset_seconds, &mut line);
    line
}

/// The texts that an event's bodies borrow from.
struct Bodies {
    request: Option<String>,
    response: Option<String>,
}

impl Bodies {
    fn of(described: &Value) -> Self {
        let text = |name: &str| Some(text_from_bytes(&byte_string(&described[name]["raw"])?).into_owned());
        Self { request: text("requestObject"), response: text("responseObject") }
    }
}

struct Built<'a> {
    event: Event<'a>,
    /// Whether its bodies are JSON and say so: others make kube-apiserver drop the event, and cannot be held here.
    encodable: bool,
}

fn build<'a>(described: &'a Value, bodies: &'a Bodies) -> Built<'a> {
    let mut encodable = true;
    let mut body = |name: &str, text: &'a Option<String>| {
        let object = described[name].as_object()?;
        let media_type = object["contentType"].as_str().unwrap_or_default();
        let raw = match text {
            None => Ok(RawJson::NULL),
            Some(text) => RawJson::parse(text),
        };
        encodable &= raw.is_ok() && (text.is_none() || matches!(media_type, "" | "application/json"));
        raw.ok()
    };
    let (request_object, response_object) = (body("requestObject", &bodies.request), body("responseObject", &bodies.response));
    let event = Event {
        kind: text(&described["kind"]),
        api_version: text(&described["apiVersion"]),
        level: text(&described["level"]),
        audit_id: text(&described["auditID"]),
        stage: text(&described["stage"]),
        request_uri: text(&described["requestURI"]),
        verb: text(&described["verb"]),
        user: user(&described["user"]),
        impersonated_user: present(&described["impersonatedUser"], user),
        authentication_metadata: present(&described["authenticationMetadata"], |metadata| AuthenticationMetadata {
            impersonation_constraint: text(&metadata["impersonationConstraint"]),
        }),
        source_ips: texts(&described["sourceIPs"]),
        user_agent: text(&described["userAgent"]),
        object_ref: present(&described["objectRef"], object_reference),
        response_status: present(&described["responseStatus"], status),
        request_object,
        response_object,
        request_received_timestamp: time(&described["requestReceivedTimestamp"]),
        stage_timestamp: time(&described["stageTimestamp"]),
        annotations: described["annotations"]
            .as_object()
            .map(|entries| entries.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), text(value).unwrap_or_default())).collect()),
        unknown: Vec::new(),
        unreadable_times: Vec::new(),
    };
    Built { event, encodable }
}

fn present<'a, T>(value: &'a Value, read: impl FnOnce(&'a Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| read(value))
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    byte_string(value).map(|bytes| Cow::Owned(text_from_bytes(&bytes).into_owned()))
}

fn texts(value: &Value) -> Option<Vec<Cow<'_, str>>> {
    Some(value.as_array()?.iter().map(|element| text(element).unwrap_or_default()).collect())
}

fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::new(value["unixSeconds"].as_i64()?, value["nanoseconds"].as_u64()? as u32)
}

fn user(value: &Value) -> UserInfo<'_> {
    UserInfo {
        username: text(&value["username"]),
        uid: text(&value["uid"]),
        groups: texts(&value["groups"]),
        extra: value["extra"].as_object().map(|entries| entries.iter().map(|(key, values)| (Cow::Borrowed(key.as_str()), texts(values))).collect()),
    }
}

fn object_reference(value: &Value) -> ObjectReference<'_> {
    ObjectReference {
        resource: text(&value["resource"]),
        namespace: text(&value["namespace"]),
        name: text(&value["name"]),
        uid: text(&value["uid"]),
        api_group: text(&value["apiGroup"]),
        api_version: text(&value["apiVersion"]),
        resource_version: text(&value["resourceVersion"]),
        subresource: text(&value["subresource"]),
    }
}

fn status(value: &Value) -> Status<'_> {
    let metadata = &value["listMeta"];
    Status {
        kind: text(&value["kind"]),
        api_version: text(&value["apiVersion"]),
        metadata: ListMeta {
            self_link: text(&metadata["selfLink"]),
            resource_version: text(&metadata["resourceVersion"]),
            continue_token: text(&metadata["continue"]),
            remaining_item_count: metadata["remainingItemCount"].as_i64(),
        },
        status: text(&value["status"]),
        message: text(&value["message"]),
        reason: text(&value["reason"]),
        details: present(&value["details"], status_details),
        code: whole(&value["code"]),
    }
}

fn status_details(value: &Value) -> StatusDetails<'_> {
    StatusDetails {
        name: text(&value["name"]),
        group: text(&value["group"]),
        kind: text(&value["kind"]),
        uid: text(&value["uid"]),
        causes: value["causes"].as_array().map(|causes| causes.iter().map(status_cause).collect()),
        retry_after_seconds: whole(&value["retryAfterSeconds"]),
    }
}

fn status_cause(value: &Value) -> StatusCause<'_> {
    StatusCause { reason: text(&value["type"]), message: text(&value["message"]), field: text(&value["field"]) }
}

fn whole(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| i32::try_from(number).ok())
}
