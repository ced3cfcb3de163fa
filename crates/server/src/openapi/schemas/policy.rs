//! Of the policy questions and their answers.

use serde_json::{Value, json};

use super::{count, list, object, said, text};
use crate::openapi::reference;

fn policy() -> Value {
    said("The text of an audit policy, YAML or JSON, 1 MiB at most")
}

fn range() -> [(&'static str, Value); 3] {
    [("filter", reference("Filter")), ("since", text()), ("until", text())]
}

fn user() -> Value {
    object(&[("name", text())], &[("groups", list(text()))])
}

fn attributes() -> Vec<(&'static str, Value)> {
    let names = ["verb", "namespace", "apiGroup", "apiVersion", "resource", "subresource", "name", "path"];
    let mut all = vec![("user", user())];
    all.extend(names.map(|name| (name, text())));
    all.push(("isResourceRequest", json!({ "type": "boolean" })));
    all
}

fn amount() -> Value {
    object(&[("events", count()), ("bytes", count())], &[])
}

fn amounts() -> Value {
    list(object(&[("value", text()), ("events", count()), ("bytes", count())], &[]))
}

fn truth_of(note: &str) -> Value {
    json!({ "type": "boolean", "description": note })
}

fn rule() -> Value {
    json!({ "type": "integer", "minimum": -1, "description": "From 0; -1 is none" })
}

pub(super) fn check_question() -> Value {
    object(&[("policy", policy())], &[("targetVersion", said("Of Kubernetes; 1.36 if nothing is said"))])
}

pub(super) fn check() -> Value {
    let place = [("line", count()), ("column", count())];
    let edit = object(&[("line", count()), ("column", count()), ("endLine", count()), ("endColumn", count()), ("text", text())], &[]);
    let lint = object(
        &[&[("code", text()), ("severity", json!({ "enum": ["error", "warning", "info"] })), ("message", text()), ("fix", text())], place.as_slice()].concat(),
        &[("length", count()), ("edits", list(edit))],
    );
    let rules = list(object(&[("line", count()), ("level", text())], &[]));
    object(
        &[("ok", truth_of("Whether kube-apiserver takes it")), ("rules", rules), ("lints", list(lint))],
        &[
            &[
                ("stage", json!({ "enum": ["decode", "group-version", "validate", "no-rules"], "description": "Which check refuses it" })),
                ("error", said("In kube-apiserver's words; in ours for `decode`")),
                ("warning", said("What the strict decoder found; the policy is in force without it")),
                ("strict", truth_of("Whether the strict decoder took it")),
                ("policy", json!({ "type": "object", "description": "The policy after loading" })),
                ("fix", text()),
            ],
            place.as_slice(),
        ]
        .concat(),
    )
}

pub(super) fn explain_question() -> Value {
    let mut request = attributes();
    request.extend([("method", text()), ("target", said("The path, and the query if any; with `method` in place of the attributes"))]);
    object(&[("policy", policy())], &[("request", object(&[], &request)), ("event", reference("Event"))])
}

pub(super) fn explanation() -> Value {
    let passed = object(&[("rule", rule()), ("field", text()), ("why", text())], &[("line", count())]);
    let stage = object(&[("stage", text()), ("recorded", truth_of("Whether there is an event of it")), ("holds", list(text()))], &[]);
    object(
        &[
            ("level", text()),
            ("omitStages", list(text())),
            ("omitManagedFields", truth_of("Whether bodies are without managedFields")),
            ("rule", rule()),
            ("nRules", count()),
            ("passedOver", list(passed)),
            ("stages", list(stage)),
            ("attributes", object(&[], &attributes())),
        ],
        &[("line", json!({ "type": ["integer", "null"] }))],
    )
}

pub(super) fn simulate_question() -> Value {
    let mut policies = list(policy());
    policies["minItems"] = json!(1);
    policies["maxItems"] = json!(2);
    object(&[("policies", policies)], &range())
}

pub(super) fn simulation() -> Value {
    let rules = list(object(&[("rule", rule()), ("level", text()), ("events", count()), ("bytes", count()), ("dropped", amount())], &[("line", count())]));
    let simulated = object(
        &[
            ("events", count()),
            ("bytes", count()),
            ("unknownBodies", count()),
            ("byRule", rules),
            ("byLevel", amounts()),
            ("byResource", amounts()),
            ("byUser", amounts()),
            ("byNamespace", amounts()),
        ],
        &[("eventsPerDay", number()), ("bytesPerDay", number()), ("failedLogins", object(&[("recorded", count()), ("written", count())], &[]))],
    );
    let extent = object(&[("events", count()), ("bytes", count()), ("requests", count())], &[("first", text()), ("last", text()), ("bytesPerDay", number())]);
    let recorded =
        object(&[("levels", json!({ "type": "object", "additionalProperties": count(), "description": "Events, by the level they were recorded at" }))], &[]);
    let example = object(
        &[
            ("kind", json!({ "enum": ["lost", "gained", "lowered", "raised"] })),
            ("verb", text()),
            ("resource", text()),
            ("events", count()),
            ("bytes", count()),
        ],
        &[("before", text()), ("after", text()), ("user", text()), ("requestURI", text()), ("auditID", text())],
    );
    let diff =
        object(&[("lost", amount()), ("gained", amount()), ("lowered", amount()), ("raised", amount()), ("examples", list(example)), ("more", count())], &[]);
    object(
        &[
            ("extent", extent),
            ("recorded", recorded),
            ("policies", list(simulated)),
            ("complete", truth_of("Whether all events were looked at")),
            ("gaps", list(text())),
        ],
        &[("diff", diff)],
    )
}

fn number() -> Value {
    json!({ "type": ["number", "null"], "minimum": 0 })
}

pub(super) fn generate_question() -> Value {
    let profiles = decklog_audit::policy::generate::Profile::ALL.map(|profile| profile.name);
    let mut optional =
        vec![("profile", json!({ "enum": profiles })), ("budget", said("`500MB/day`, or `50%` of what was recorded")), ("mustKeep", reference("Filter"))];
    optional.extend(range());
    object(&[], &optional)
}

pub(super) fn generated() -> Value {
    let cut = object(
        &[
            ("noise", text()),
            ("level", text()),
            ("who", text()),
            ("verbs", list(text())),
            ("things", list(text())),
            ("savedBytesPerDay", count()),
            ("events", count()),
        ],
        &[],
    );
    let left_out = object(&[("what", text()), ("events", count()), ("savedBytesPerDay", count())], &[]);
    object(
        &[("policy", policy()), ("cuts", list(cut)), ("leftOut", list(left_out))],
        &[
            ("recorded", said_count("Bytes a day, as recorded")),
            ("before", said_count("Bytes a day with the profile")),
            ("after", said_count("Bytes a day with this policy")),
            ("budget", said_count("Bytes a day")),
            ("reached", truth_of("Whether `after` is within `budget`")),
            ("unknownBodies", count()),
            ("complete", truth_of("Whether all events were looked at")),
            ("gaps", list(text())),
        ],
    )
}

fn said_count(note: &str) -> Value {
    let mut schema = count();
    schema["description"] = json!(note);
    schema
}
