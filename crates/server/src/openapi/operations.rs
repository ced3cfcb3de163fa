//! The table of operations and of their parameters.

use decklog_audit::access::Scope;

use super::{ADMIN, ALWAYS, READ, SEARCHING};
use crate::problem::ProblemKind;

/// One method of one path.
pub(super) struct Operation {
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    /// Who may; `None` is everybody.
    pub(super) scope: Option<Scope>,
    /// Keys of [`PARAMETERS`].
    pub(super) parameters: &'static [&'static str],
    /// The schema of the request's body.
    pub(super) body: Option<&'static str>,
    /// What the answer is.
    pub(super) gives: &'static str,
    /// Media types with their schemas; `text` and `bytes` have none of their own.
    pub(super) answers: &'static [(&'static str, &'static str)],
    pub(super) problems: &'static [ProblemKind],
    /// The command line that asks the same; empty where there is none.
    pub(super) cli: &'static str,
}

/// A parameter: the key by which operations name it, its name, where it stands, its schema and what it means.
pub(super) struct Parameter {
    pub(super) key: &'static str,
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) schema: &'static str,
    pub(super) note: &'static str,
}

const fn query(name: &'static str, schema: &'static str, note: &'static str) -> Parameter {
    Parameter { key: name, name, place: "query", schema, note }
}

const FILTER: &str = r##"{"$ref":"#/components/schemas/Filter"}"##;
const TEXT: &str = r#"{"type":"string"}"#;

pub(super) const PARAMETERS: &[Parameter] = &[
    query("filter", FILTER, "Which events; empty is every event"),
    query(
        "since",
        TEXT,
        "Not before: `90s 15m 6h 7d 2w 1h30m` back from now, `now-6h`, `today`, `yesterday`, a date, a date and time, RFC 3339; UTC without a zone",
    ),
    query("until", TEXT, "Before; written as `since`"),
    query("stages", r#"{"type":"string","default":"all"}"#, "`all`; `final`, the last event of each request; or stages with commas"),
    query("unit", r#"{"enum":["event","request"],"default":"event"}"#, "`request` counts one event per request: its last"),
    query("asof", r#"{"type":"integer","minimum":0}"#, "Only events below this place in the journal: an answer's `asof` gives the same answer again"),
    query("order", r#"{"enum":["asc","desc"]}"#, "Oldest or newest first; pages are `desc` if nothing is said, streams `asc`"),
    query("limit", r#"{"type":"integer","minimum":0}"#, "Events in a page, 1 to 10000, 100 if nothing is said; of a stream the newest that many, 0 is all"),
    query("cursor", TEXT, "`next` of the page before, with the same question"),
    query("form", r#"{"enum":["lines","records"],"default":"lines"}"#, "Of a stream: stored lines, or objects that also say where each came from"),
    query("buckets", r#"{"type":"integer","minimum":1,"maximum":10000,"default":60}"#, "Stretches of time at most"),
    query("split", TEXT, "A field by whose values the buckets are split, 16 at most"),
    query("field", r#"{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":20}"#, "A field whose values are counted; may stand several times"),
    query("size", r#"{"type":"integer","minimum":1,"maximum":1000,"default":10}"#, "The most frequent so many values of each"),
    query("prefix", TEXT, "Only values that begin so, in any case"),
    query("text", FILTER, "The filter as it stands"),
    Parameter {
        key: "textCursor",
        name: "cursor",
        place: "query",
        schema: r#"{"type":"integer","minimum":0}"#,
        note: "Characters before the cursor; the end of the text if nothing is said",
    },
    query("last", r#"{"type":"integer","minimum":1,"maximum":10000}"#, "Begin with the newest that many"),
    Parameter {
        key: "lastEventId",
        name: "Last-Event-ID",
        place: "header",
        schema: TEXT,
        note: "The `id` of the last event that came: the tail goes on behind it",
    },
    Parameter {
        key: "name",
        name: "SEQ-ID",
        place: "path",
        schema: r#"{"type":"string","pattern":"^[0-9]+-[0-9a-fA-F]{32}$"}"#,
        note: "The event's name, as `about` tells it",
    },
    query("source", TEXT, "Only what came through this source"),
    Parameter {
        key: "items",
        name: "limit",
        place: "query",
        schema: r#"{"type":"integer","minimum":1,"maximum":10000,"default":100}"#,
        note: "The newest that many",
    },
    query("verbose", TEXT, "A line for each check"),
];

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

const fn json_get(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    schema: &'static [(&'static str, &'static str)],
    cli: &'static str,
) -> Operation {
    Operation {
        path,
        method: "get",
        id,
        tag: "Search",
        summary,
        scope: READ,
        parameters: &[],
        body: None,
        gives: "The answer",
        answers: schema,
        problems: ALWAYS,
        cli,
    }
}

const fn health(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation {
        tag: "Admin",
        scope: None,
        parameters: &["verbose"],
        problems: &[],
        gives: "`ok`, or a line for each check",
        ..json_get(path, id, summary, &[("text/plain", "text")], "")
    }
}

pub(super) const OPERATIONS: &[Operation] = &[
    Operation { tag: "Admin", ..json_get("/", "paths", "The paths there are; a page for browsers", &[(JSON, "Paths")], "") },
    Operation {
        parameters: &["filter", "since", "until", "stages", "unit", "asof", "order", "limit", "cursor", "form"],
        problems: SEARCHING,
        gives: "A page, or with `Accept: application/x-ndjson` a stored line for each event",
        ..json_get("/api/v1/events", "events", "Events that match", &[(JSON, "EventPage"), (LINES, "Event")], "decklog search FILTER --since 1h")
    },
    Operation {
        parameters: &["name"],
        problems: &[
            ProblemKind::BadParameter,
            ProblemKind::Unauthenticated,
            ProblemKind::Forbidden,
            ProblemKind::NotFound,
            ProblemKind::RateLimited,
            ProblemKind::Unavailable,
        ],
        gives: "The stored bytes",
        ..json_get("/api/v1/events/{SEQ-ID}", "event", "One event", &[(JSON, "Event")], "decklog search id:SEQ-ID -o json")
    },
    Operation {
        parameters: &["filter", "since", "until", "stages", "unit", "asof"],
        problems: SEARCHING,
        ..json_get("/api/v1/extent", "extent", "How much there is, and from when to when", &[(JSON, "Extent")], "decklog search FILTER --count")
    },
    Operation {
        parameters: &["filter", "since", "until", "stages", "unit", "asof", "field", "size", "prefix"],
        problems: SEARCHING,
        ..json_get("/api/v1/facets", "facets", "The values of fields, most frequent first", &[(JSON, "Facets")], "decklog search FILTER --facet user")
    },
    json_get("/api/v1/fields", "fields", "The filter's fields", &[(JSON, "FieldList")], "decklog help fields"),
    Operation {
        parameters: &["text", "textCursor", "since", "until", "stages", "unit", "asof"],
        ..json_get(
            "/api/v1/filter",
            "filter",
            "What a filter means, where it is wrong, what could stand at the cursor",
            &[(JSON, "FilterReading")],
            "decklog help filter",
        )
    },
    Operation {
        parameters: &["filter", "since", "until", "stages", "unit", "asof", "buckets", "split"],
        problems: SEARCHING,
        ..json_get("/api/v1/histogram", "histogram", "Events over time", &[(JSON, "Histogram")], "decklog search FILTER --histogram")
    },
    policy(
        "/api/v1/policy/check",
        "policyCheck",
        "PolicyCheckQuestion",
        "What kube-apiserver would say of a policy, and what is unwise in it",
        &[(JSON, "PolicyCheck")],
        "decklog policy check FILE -o json",
    ),
    policy(
        "/api/v1/policy/explain",
        "policyExplain",
        "PolicyExplainQuestion",
        "What a policy decides about a request, and why",
        &[(JSON, "PolicyExplanation")],
        "decklog policy explain FILE METHOD URL -o json",
    ),
    Operation {
        problems: POLICY_SEARCHING,
        ..policy(
            "/api/v1/policy/generate",
            "policyGenerate",
            "PolicyGenerateQuestion",
            "A policy for a purpose, or from recorded events within a budget",
            &[(JSON, "PolicyGenerated")],
            "decklog policy generate --budget 500MB/day -o json",
        )
    },
    Operation {
        problems: POLICY_SEARCHING,
        ..policy(
            "/api/v1/policy/simulate",
            "policySimulate",
            "PolicySimulateQuestion",
            "What policies would have recorded of recorded events",
            &[(JSON, "PolicySimulation")],
            "decklog policy simulate FILE -o json",
        )
    },
    Operation {
        tag: "Ingest",
        scope: ADMIN,
        parameters: &["source", "items"],
        ..json_get("/api/v1/quarantine", "quarantine", "What was refused, without its bytes", &[(JSON, "QuarantineList")], "decklog quarantine list")
    },
    Operation {
        tag: "Ingest",
        scope: ADMIN,
        parameters: &["source"],
        gives: "An object a line, the bytes in base64",
        ..json_get(
            "/api/v1/quarantine/export",
            "quarantineExport",
            "What was refused, with its bytes",
            &[(LINES, "QuarantineItem")],
            "decklog quarantine export -o json",
        )
    },
    Operation { tag: "Ingest", ..json_get("/api/v1/sources", "sources", "Where events come from", &[(JSON, "SourceList")], "decklog sources list") },
    Operation {
        method: "post",
        body: Some("SqlQuestion"),
        problems: &[
            ProblemKind::BadQuery,
            ProblemKind::Unauthenticated,
            ProblemKind::ForbiddenQuery,
            ProblemKind::TooLarge,
            ProblemKind::RateLimited,
            ProblemKind::Unavailable,
            ProblemKind::QueryTimeout,
        ],
        gives: "Rows, in the format the client accepts",
        ..json_get(
            "/api/v1/sql",
            "sql",
            "A question in SQL",
            &[(LINES, "Row"), ("text/csv", "text"), ("application/vnd.apache.arrow.stream", "bytes"), ("application/vnd.apache.parquet", "bytes")],
            "decklog sql 'SELECT count(*) FROM events'",
        )
    },
    Operation {
        parameters: &["filter", "stages", "unit", "last", "lastEventId"],
        gives: "Server-sent events: `id` is the sequence, `event: audit` has the stored line, `event: lag` says how many were passed over",
        ..json_get("/api/v1/tail", "tail", "Events as they arrive", &[("text/event-stream", "text")], "decklog tail FILTER")
    },
    health("/healthz", "healthz", "As `/livez`"),
    health("/livez", "livez", "Whether the process works"),
    Operation {
        tag: "Admin",
        gives: "OpenMetrics text",
        ..json_get("/metrics", "metrics", "What is counted", &[("application/openmetrics-text", "text")], "")
    },
    Operation { tag: "Admin", ..json_get("/openapi.json", "openapi", "This document", &[(JSON, "Document")], "") },
    health("/readyz", "readyz", "Whether it is ready to serve"),
    Operation { tag: "Admin", scope: None, problems: &[], ..json_get("/version", "version", "Which build it is", &[(JSON, "Version")], "decklog version") },
];

const POLICY_SEARCHING: &[ProblemKind] = &[
    ProblemKind::BadFilter,
    ProblemKind::BadTime,
    ProblemKind::BadParameter,
    ProblemKind::Unauthenticated,
    ProblemKind::Forbidden,
    ProblemKind::TooLarge,
    ProblemKind::RateLimited,
    ProblemKind::Unavailable,
];

const fn policy(
    path: &'static str,
    id: &'static str,
    body: &'static str,
    summary: &'static str,
    answers: &'static [(&'static str, &'static str)],
    cli: &'static str,
) -> Operation {
    Operation {
        path,
        method: "post",
        id,
        tag: "Policy",
        summary,
        scope: READ,
        parameters: &[],
        body: Some(body),
        gives: summary,
        answers,
        problems: &[
            ProblemKind::BadParameter,
            ProblemKind::Unauthenticated,
            ProblemKind::Forbidden,
            ProblemKind::TooLarge,
            ProblemKind::RateLimited,
            ProblemKind::Unavailable,
        ],
        cli,
    }
}
