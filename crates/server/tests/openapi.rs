//! The OpenAPI document against its file in docs, against what handlers take, and against what they give.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::sync::atomic::Ordering;

use common::{Setup, get, open_with, read};
use http::Method;
use serde_json::{Value, json};

async fn document(address: std::net::SocketAddr) -> Value {
    get(address, "/openapi.json").await.json()
}

/// With `DECKLOG_BLESS=1` the file is written.
#[tokio::test]
async fn the_file_in_docs_is_what_the_server_gives() {
    let server = Setup::default().serve().await;
    let answer = get(server.address(), "/openapi.json").await;
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("DECKLOG_BLESS").is_some() {
        std::fs::write(&file, answer.text()).unwrap();
    }
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap_or_default()).unwrap_or_default();
    assert!(found == answer.json(), "docs/openapi.json is not what the server gives: run the test with DECKLOG_BLESS=1 and look at the difference");
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// A handler tells which parameters it takes when it is asked with one it does not know.
#[tokio::test]
async fn handlers_take_the_parameters_described() {
    let mut setup = Setup::default();
    setup.config.limits.read_burst = 1_000.0;
    let server = setup.serve().await;
    let document = document(server.address()).await;
    for (path, methods) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/")) {
        let (method, operation) = methods.as_object().unwrap().iter().next().unwrap();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let of_query = parameters.iter().map(|parameter| resolved(&document, parameter)).filter(|parameter| parameter["in"] == "query");
        let described: Vec<&str> = of_query.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        let target = format!("{}?zz=1", path.replace("{SEQ-ID}", "1-00000000000000000000000000000000"));
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let answer = read(open_with(server.address(), method, &target, &[], "").await).await;
        assert_eq!(answer.problem(), "bad-parameter", "{path}");
        let help = answer.json()["errors"][0]["help"].as_str().unwrap().to_owned();
        assert_eq!(help.strip_prefix("the parameters are ").unwrap_or_default(), described.join(", "), "{path}");
    }
}

/// Every member is described, and every one that is always there is there.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = resolved(document, schema);
    if let (Some(properties), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(name.as_str().unwrap()), "{place} has no {name}");
        }
        for (name, member) in members {
            let described = properties.get(name);
            assert!(described.is_some() || schema["additionalProperties"] == true, "{place}.{name} is not described");
            if let Some(described) = described {
                check(document, described, member, &format!("{place}.{name}"));
            }
        }
        return;
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        return values.iter().for_each(|value| check(document, items, value, &format!("{place}[]")));
    }
    if let Some(words) = schema["enum"].as_array() {
        return assert!(words.contains(value), "{place} is {value}");
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        // A whole number is one of any kind.
        Value::Number(number) if number.is_f64() || schema["type"] == "number" => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = schema["type"] == kind || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&json!(kind)));
    assert!(allowed, "{place} is {value}, described as {schema}");
}

#[tokio::test]
async fn answers_are_as_described() {
    let mut setup = Setup::default();
    setup.config.limits.read_burst = 1_000.0;
    let store = setup.store.clone();
    store.filters.store(true, Ordering::Relaxed);
    for number in 0..5 {
        store.request(number, "bob", "get", 200);
    }
    let server = setup.serve().await;
    let document = document(server.address()).await;
    for (target, schema) in [
        ("/", "Paths"),
        ("/version", "Version"),
        ("/api/v1/events?limit=2", "EventPage"),
        ("/api/v1/extent", "Extent"),
        ("/api/v1/extent?filter=verb:none", "Extent"),
        ("/api/v1/facets?field=user&field=code&size=1", "Facets"),
        ("/api/v1/fields", "FieldList"),
        ("/api/v1/filter?text=user:b", "FilterReading"),
        ("/api/v1/filter?text=usr:b&cursor=2", "FilterReading"),
        ("/api/v1/histogram?split=outcome", "Histogram"),
        ("/api/v1/quarantine", "QuarantineList"),
        ("/api/v1/sources", "SourceList"),
        ("/api/v1/events?filter=usr:b", "Problem"),
        ("/nothing", "Problem"),
    ] {
        let answer = get(server.address(), target).await;
        check(&document, &json!({ "$ref": format!("#/components/schemas/{schema}") }), &answer.json(), target);
    }
    let metadata = get(server.address(), "/openapi.json").await;
    assert_eq!(metadata.headers["content-type"], "application/json");
    for (path, methods) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/")) {
        for operation in methods.as_object().unwrap().values() {
            assert!(operation["x-cli"].as_str().unwrap().starts_with("decklog "), "{path}");
        }
    }
}
