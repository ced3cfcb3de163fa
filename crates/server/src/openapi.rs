//! `GET /openapi.json`: the API for programs, as OpenAPI 3.1, made from one table of operations. `docs/openapi.json` is what
//! it gives, kept for those who read the repository; a test compares them.
//!
//! To add a route: one entry in `operations.rs`, and a schema in `schemas.rs` if its answer is new.

mod operations;
mod schemas;

use axum::response::{IntoResponse, Response};
use decklog_audit::access::Scope;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use self::operations::{OPERATIONS, Operation, PARAMETERS};
use crate::problem::ProblemKind;

/// The document, as it is answered.
pub(crate) async fn get() -> Response {
    let mut response = format!("{:#}\n", document()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation);
    }
    let parameters: Map<String, Value> = PARAMETERS
        .iter()
        .map(|parameter| {
            let schema: Value = serde_json::from_str(parameter.schema).expect("schemas of parameters are JSON, as a test reads them all");
            let mut described = json!({ "name": parameter.name, "in": parameter.place, "description": parameter.note, "schema": schema });
            if parameter.place == "path" {
                described["required"] = json!(true);
            }
            (parameter.key.to_owned(), described)
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "decklog",
            "version": "1",
            "description": "Kubernetes audit events: search, count, follow. Additive changes stay in v1: pass over members and headers you do not know. docs/api.md says the same in prose.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "tags": [
            { "name": "Search", "description": "Events, and what can be asked of them" },
            { "name": "Policy", "description": "Audit policies: checked, explained, tried, made" },
            { "name": "Ingest", "description": "Where events come from" },
            { "name": "Admin", "description": "How decklog is" }
        ],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "description": "A token of the tokens file or, with server.auth.kubernetes, of Kubernetes. Without either this machine needs none." } },
            "parameters": parameters,
            "responses": { "Problem": { "description": "Why it is not answered", "content": { "application/problem+json": { "schema": reference("Problem") } } } },
            "schemas": schemas::all(),
        }
    })
}

fn describe(operation: &Operation) -> Value {
    let content: Map<String, Value> = operation.answers.iter().map(|(media, schema)| ((*media).to_owned(), json!({ "schema": schema_of(schema) }))).collect();
    let mut responses = json!({ "200": { "description": operation.gives, "content": content } });
    for kind in operation.problems {
        responses[kind.status().as_str()] = json!({ "$ref": "#/components/responses/Problem" });
    }
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": responses,
    });
    if !operation.cli.is_empty() {
        described["x-cli"] = json!(operation.cli);
    }
    if !operation.parameters.is_empty() {
        described["parameters"] = operation.parameters.iter().map(|key| json!({ "$ref": format!("#/components/parameters/{key}") })).collect();
    }
    if let Some(body) = operation.body {
        described["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": reference(body) } } });
    }
    match operation.scope {
        Some(scope) => described["x-scope"] = json!(scope.as_str()),
        None => described["security"] = json!([]),
    }
    described
}

/// The schema of that name; `text` and `bytes` need none. Bytes have an empty one (OpenAPI 3.1, "Considerations for file uploads").
fn schema_of(name: &str) -> Value {
    match name {
        "text" => json!({ "type": "string" }),
        "bytes" => json!({}),
        name => reference(name),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Problems that every operation behind the access layer may answer with.
const ALWAYS: &[ProblemKind] =
    &[ProblemKind::BadParameter, ProblemKind::Unauthenticated, ProblemKind::Forbidden, ProblemKind::RateLimited, ProblemKind::Starting];
/// The same, and those of a search.
const SEARCHING: &[ProblemKind] = &[
    ProblemKind::BadFilter,
    ProblemKind::Unauthenticated,
    ProblemKind::Forbidden,
    ProblemKind::RateLimited,
    ProblemKind::Unavailable,
    ProblemKind::QueryTimeout,
];
const READ: Option<Scope> = Some(Scope::Read);
const ADMIN: Option<Scope> = Some(Scope::Admin);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
        let answered: BTreeSet<&str> = crate::router::PATHS.into_iter().collect();
        assert_eq!(described, answered);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut wanted = Vec::new();
        references(&document, &mut wanted);
        for reference in &wanted {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        for schema in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(wanted.contains(&format!("#/components/schemas/{schema}")), "`{schema}` is used nowhere");
        }
        for parameter in PARAMETERS {
            assert!(wanted.contains(&format!("#/components/parameters/{}", parameter.key)), "`{}` is used nowhere", parameter.key);
        }
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    found.push(reference.clone());
                }
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
}
