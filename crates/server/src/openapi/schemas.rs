//! What is in bodies. Objects are open: a client must pass over members it does not know.

mod policy;

use decklog_audit::filter::MAX_BYTES;
use serde_json::{Map, Value, json};

use super::reference;
use crate::problem::ProblemKind;

/// All schemas by name.
pub(super) fn all() -> Map<String, Value> {
    let schemas = [
        ("Event", event()),
        ("EventPage", event_page()),
        ("Filter", json!({ "type": "string", "maxLength": MAX_BYTES, "x-decklog-filter": true, "examples": ["verb:delete and not user:system:*"] })),
        ("FilterReading", filter_reading()),
        ("Histogram", histogram()),
        ("Facets", facets()),
        ("Extent", extent()),
        ("FieldList", field_list()),
        ("SqlQuestion", sql_question()),
        ("PolicyCheckQuestion", policy::check_question()),
        ("PolicyCheck", policy::check()),
        ("PolicyExplainQuestion", policy::explain_question()),
        ("PolicyExplanation", policy::explanation()),
        ("PolicyGenerateQuestion", policy::generate_question()),
        ("PolicyGenerated", policy::generated()),
        ("PolicySimulateQuestion", policy::simulate_question()),
        ("PolicySimulation", policy::simulation()),
        ("Row", json!({ "type": "object", "description": "A row: a member for each column, in the order of the query; times as RFC 3339" })),
        ("SourceList", source_list()),
        ("QuarantineList", object(&[("items", list(reference("QuarantineItem"))), ("total", count())], &[])),
        ("QuarantineItem", quarantine_item()),
        ("Paths", object(&[("paths", list(text()))], &[])),
        ("Version", object(&[("version", text()), ("revision", text())], &[])),
        ("Document", json!({ "type": "object", "description": "An OpenAPI 3.1 document" })),
        ("Problem", problem()),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = required.iter().chain(optional).map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.iter().map(|(name, _)| json!(name)).collect();
    }
    schema
}

fn list(items: Value) -> Value {
    let mut schema = json!({ "type": "array" });
    schema["items"] = items;
    schema
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn said(note: &str) -> Value {
    json!({ "type": "string", "description": note })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn truth() -> Value {
    json!({ "type": "boolean" })
}

fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn one_of(words: &[&str]) -> Value {
    json!({ "enum": words })
}

/// Each answer's members about itself.
fn with_place(mut members: Vec<(&'static str, Value)>) -> Vec<(&'static str, Value)> {
    members.push(("asof", json!({ "type": "integer", "minimum": 0, "description": "The answer is of events below this place in the journal" })));
    members.push(("complete", json!({ "type": "boolean", "description": "Whether everything could be read" })));
    members.push(("gaps", json!({ "type": "array", "items": text(), "description": "What could not be read" })));
    members
}

/// The event's first members; `schema/event.json` has them all.
fn event() -> Value {
    let user = || object(&[], &[("username", text()), ("uid", text()), ("groups", list(text())), ("extra", json!({ "type": "object" }))]);
    let object_ref = ["resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource"].map(|name| (name, text()));
    let mut schema = object(
        &[],
        &[
            ("kind", text()),
            ("apiVersion", text()),
            ("level", one_of(&["None", "Metadata", "Request", "RequestResponse"])),
            ("auditID", text()),
            ("stage", one_of(&["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"])),
            ("requestURI", text()),
            ("verb", text()),
            ("user", user()),
            ("impersonatedUser", user()),
            ("sourceIPs", list(text())),
            ("userAgent", text()),
            ("objectRef", object(&[], &object_ref)),
            ("responseStatus", json!({ "type": "object" })),
            ("requestObject", json!({})),
            ("responseObject", json!({})),
            ("requestReceivedTimestamp", moment()),
            ("stageTimestamp", moment()),
            ("annotations", json!({ "type": "object", "additionalProperties": text() })),
        ],
    );
    schema["description"] = json!("An event of audit.k8s.io/v1, byte for byte as stored; schema/event.json in decklog's repository describes each member");
    schema["additionalProperties"] = json!(true);
    schema
}

fn event_page() -> Value {
    let about = [("id", said("`SEQ-ID`, the event's name")), ("ingestedAt", moment()), ("cluster", text()), ("source", text()), ("sender", text())];
    object(
        &with_place(vec![("items", list(reference("Event"))), ("about", list(object(&about, &[])))]),
        &[
            ("next", said("The cursor of the next page, if there is one")),
            ("matched", json!({ "type": "integer", "minimum": 0, "description": "All events that match; on the first page, where it is known" })),
            ("reason", json!({ "enum": ["gaps", "time-limit"], "description": "Why the page is not complete" })),
        ],
    )
}

fn filter_reading() -> Value {
    let error = object(&[("column", count()), ("length", count()), ("code", text()), ("message", text()), ("help", text())], &[]);
    let kinds = || one_of(&["field", "operator", "value", "word", "paren", "text"]);
    let token = object(&[("start", count()), ("length", count()), ("kind", kinds())], &[]);
    let item = object(&[("text", text()), ("label", text()), ("kind", kinds())], &[("detail", text()), ("events", count())]);
    let completion = object(&[("start", count()), ("end", count()), ("items", list(item))], &[("field", text())]);
    object(
        &[("hints", list(text())), ("tokens", list(token)), ("completion", completion)],
        &[("canonical", said("The same filter with full names; missing where it is wrong")), ("error", error)],
    )
}

fn histogram() -> Value {
    let bucket = object(&[("start", moment()), ("events", count()), ("byValue", list(count()))], &[]);
    object(
        &with_place(vec![
            ("seconds", json!({ "type": "integer", "minimum": 1, "description": "The length of each bucket" })),
            ("values", json!({ "type": "array", "items": text(), "description": "What `byValue` counts" })),
            ("buckets", list(bucket)),
            ("total", count()),
        ]),
        &[],
    )
}

fn facets() -> Value {
    let value = object(&[("value", text()), ("events", count())], &[]);
    let facet = object(
        &[
            ("field", text()),
            ("values", list(value)),
            ("distinct", json!({ "type": "integer", "minimum": 0, "maximum": 100_000, "description": "Different values; 100000 is so many or more" })),
            ("missing", json!({ "type": "integer", "minimum": 0, "description": "Events without the field" })),
            ("other", json!({ "type": "integer", "minimum": 0, "description": "Occurrences of values that are not shown" })),
        ],
        &[],
    );
    object(&with_place(vec![("facets", list(facet)), ("total", count())]), &[])
}

fn extent() -> Value {
    let maybe = || json!({ "type": ["string", "null"], "format": "date-time" });
    object(&with_place(vec![("events", count()), ("requests", count()), ("first", maybe()), ("last", maybe())]), &[])
}

fn field_list() -> Value {
    let below = one_of(&["nothing", "key", "path", "path-or-nothing", "part-or-nothing"]);
    let field = object(
        &[
            ("name", text()),
            ("aliases", list(text())),
            ("type", text()),
            ("list", truth()),
            ("ordered", truth()),
            ("below", below),
            ("values", list(text())),
            ("note", text()),
        ],
        &[],
    );
    object(&[("items", list(field))], &[])
}

fn sql_question() -> Value {
    object(
        &[("query", said("One statement that reads; docs/sql.md"))],
        &[
            (
                "params",
                json!({ "type": "array", "maxItems": 1000, "items": { "type": ["string", "number", "boolean", "null"] }, "description": "Values for `$1`, `$2` and so on" }),
            ),
            ("limit", json!({ "type": ["integer", "null"], "minimum": 0, "description": "Rows at most" })),
        ],
    )
}

fn source_list() -> Value {
    let source = object(
        &[
            ("name", text()),
            ("type", text()),
            ("cluster", text()),
            ("state", json!({ "enum": ["active", "silent", "waiting", "failed"] })),
            ("received", count()),
            ("acknowledged", count()),
            ("duplicates", count()),
            ("rejected", count()),
            ("eventsPerSecond", json!({ "type": "number", "minimum": 0, "description": "Lately" })),
        ],
        &[
            ("reason", text()),
            ("place", text()),
            ("lastEvent", moment()),
            ("lastArrival", moment()),
            ("delaySeconds", json!({ "type": "number", "minimum": 0, "description": "From an event's time to its being safe" })),
            ("silentSeconds", json!({ "type": "number", "minimum": 0, "description": "How long nothing has come" })),
            ("lagBytes", count()),
        ],
    );
    object(&[("items", list(source))], &[])
}

fn quarantine_item() -> Value {
    let texts = ["id", "at", "source", "cluster", "sender", "place", "reason", "detail"].map(|name| (name, text()));
    let counts = [("size", count()), ("kept", count())];
    object(&[texts.as_slice(), &counts].concat(), &[("bytes", said("In an export: the bytes, in base64"))])
}

fn problem() -> Value {
    let types: Vec<String> = ProblemKind::ALL.iter().map(|kind| kind.uri()).collect();
    let error = object(&[("parameter", text()), ("message", text())], &[("line", count()), ("column", count()), ("length", count()), ("help", text())]);
    object(
        &[
            ("type", json!({ "enum": types })),
            ("title", text()),
            ("status", json!({ "type": "integer" })),
            ("detail", text()),
            ("instance", text()),
            ("requestId", text()),
        ],
        &[("errors", list(error))],
    )
}
