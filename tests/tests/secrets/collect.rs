//! The secret values of one raw line, found by walking its JSON with the knowledge of what Kubernetes keeps secret:
//! data and stringData of Secrets (objects, lists, patches, the last applied configuration), issued and reviewed
//! tokens, and anywhere bearer tokens, JWTs and the password of `user:password@` in a URL.

use std::collections::BTreeSet;

use serde_json::Value;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(crate) fn secrets(line: &[u8]) -> BTreeSet<String> {
    let event: Value = serde_json::from_slice(line).unwrap();
    let mut found = BTreeSet::new();
    let of_secret = event["objectRef"]["resource"] == "secrets";
    for body in [&event["requestObject"], &event["responseObject"]] {
        walk(body, of_secret, &mut found);
    }
    tokens(&event, &mut found);
    found
}

fn walk(value: &Value, of_secret: bool, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let kind = object.get("kind").and_then(Value::as_str);
            let is_secret = kind == Some("Secret") || of_secret && !matches!(kind, Some("Status" | "DeleteOptions" | "Table"));
            if is_secret {
                for field in ["data", "stringData"] {
                    for (_, value) in object.get(field).and_then(Value::as_object).into_iter().flatten() {
                        add(value, found);
                    }
                }
            }
            // {"op": "add", "path": "/data/password", "value": "…"}
            if let Some(path) = object.get("path").and_then(Value::as_str).filter(|_| of_secret && object.contains_key("op")) {
                if path.starts_with("/data") || path.starts_with("/stringData") {
                    match &object["value"] {
                        Value::Object(values) => values.values().for_each(|value| add(value, found)),
                        value => add(value, found),
                    }
                }
            }
            if matches!(kind, Some("TokenRequest" | "TokenReview")) {
                for part in ["status", "spec"] {
                    add(&object.get(part).map_or(Value::Null, |part| part["token"].clone()), found);
                }
            }
            for (key, value) in object {
                match value.as_str().filter(|_| key == LAST_APPLIED).and_then(|text| serde_json::from_str::<Value>(text).ok()) {
                    Some(applied) => walk(&applied, of_secret, found),
                    None => walk(value, of_secret, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, of_secret, found)),
        _ => {}
    }
}

fn add(value: &Value, found: &mut BTreeSet<String>) {
    found.extend(value.as_str().filter(|text| !text.is_empty()).map(str::to_owned));
}

/// JWTs, bearer tokens and passwords in URLs, in any string.
fn tokens(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.values().for_each(|value| tokens(value, found)),
        Value::Array(items) => items.iter().for_each(|item| tokens(item, found)),
        Value::String(text) => {
            for word in text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter))) {
                if word.starts_with("eyJ") && word.matches('.').count() == 2 && word.len() > 60 {
                    found.insert(word.to_owned());
                }
            }
            let lower = text.to_ascii_lowercase();
            for (at, mark) in lower.match_indices("bearer ") {
                let token = text[at + mark.len()..].split(|letter: char| letter.is_whitespace() || "\"'\\,;".contains(letter)).next().unwrap_or_default();
                if token.len() >= 12 {
                    found.insert(token.to_owned());
                }
            }
            for (at, mark) in text.match_indices("://") {
                let authority = text[at + mark.len()..].split(|letter: char| letter.is_whitespace() || "/?#\"'".contains(letter)).next().unwrap_or_default();
                if let Some((_, password)) = authority.rsplit_once('@').and_then(|(credential, _)| credential.split_once(':')) {
                    found.insert(password.to_owned());
                }
            }
        }
        _ => {}
    }
}
