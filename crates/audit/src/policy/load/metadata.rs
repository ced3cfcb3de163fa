//! `metadata` of a policy: Kubernetes' ObjectMeta, which decides nothing but must be of the right types.

use serde_json::{Map, Value as Json};

use super::fields::Reader;
use super::{Node, Problem, Value};

/// Its fields (`k8s.io/apimachinery/pkg/apis/meta/v1/types.go`).
pub(super) const FIELDS: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// Reads it, and gives it as Kubernetes writes it again: without what is empty.
pub(super) fn read(reader: &mut Reader, node: &Node, path: &str) -> Map<String, Json> {
    let mut found = Map::new();
    reader.members(node, path, &mut |reader, name, value| {
        let path = format!("{path}.{name}");
        let json = match name {
            "name" | "generateName" | "namespace" | "selfLink" | "uid" | "resourceVersion" => reader.text(value, &path).into(),
            "generation" | "deletionGracePeriodSeconds" => integer(reader, value, &path),
            "creationTimestamp" | "deletionTimestamp" => time(reader, value, &path),
            "labels" | "annotations" => words(reader, value, &path),
            "finalizers" => reader.texts(value, &path).into(),
            "ownerReferences" => reader.items(value, &path, owner).into(),
            "managedFields" => reader.items(value, &path, managed_fields).into(),
            _ => return false,
        };
        let is_empty = match &json {
            Json::Null => true,
            Json::String(text) => text.is_empty(),
            Json::Array(items) => items.is_empty(),
            Json::Object(members) => members.is_empty(),
            Json::Number(number) => number.as_i64() == Some(0) && name == "generation",
            Json::Bool(_) => false,
        };
        if is_empty {
            found.remove(name);
        } else {
            found.insert(name.to_owned(), json);
        }
        true
    });
    found
}

fn integer(reader: &mut Reader, node: &Node, path: &str) -> Json {
    let number = match &node.value {
        Value::Null => return Json::Null,
        // YAML's 3.0 is JSON's 3.
        Value::Number(text) => text.parse::<i64>().ok().or_else(|| {
            let number = text.replace('_', "").parse::<f64>().ok()?;
            (number.fract() == 0.0 && number.abs() < 9e15 && reader.syntax == super::fields::Syntax::Yaml).then_some(number as i64)
        }),
        _ => None,
    };
    number.map_or_else(
        || {
            reader.mistyped(node, path, "a whole number");
            Json::Null
        },
        Into::into,
    )
}

fn time(reader: &mut Reader, node: &Node, path: &str) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Text(text) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
            Err(_) => {
                let message = format!("`{path}` is `{text}`, which is no time");
                reader.problems.push(Problem::new("type", node.span, message, "write it as 2024-01-02T03:04:05Z, or leave it out"));
                Json::Null
            }
        },
        _ => {
            reader.mistyped(node, path, "a time in quotes");
            Json::Null
        }
    }
}

fn words(reader: &mut Reader, node: &Node, path: &str) -> Json {
    let mut found = Map::new();
    reader.members(node, path, &mut |reader, name, value| {
        let text = reader.text(value, &format!("{path}.{name}"));
        found.insert(name.to_owned(), text.into());
        true
    });
    found.into()
}

fn owner(reader: &mut Reader, node: &Node, path: &str) -> Json {
    let mut found = Map::new();
    reader.members(node, path, &mut |reader, name, value| {
        let path = format!("{path}.{name}");
        let json: Json = match name {
            "apiVersion" | "kind" | "name" | "uid" => reader.text(value, &path).into(),
            "controller" | "blockOwnerDeletion" => reader.truth(value, &path).into(),
            _ => return false,
        };
        if !json.is_null() {
            found.insert(name.to_owned(), json);
        }
        true
    });
    // Kubernetes writes these even where they are empty.
    for name in ["apiVersion", "kind", "name", "uid"] {
        found.entry(name).or_insert_with(|| "".into());
    }
    found.into()
}

fn managed_fields(reader: &mut Reader, node: &Node, path: &str) -> Json {
    let mut found = Map::new();
    reader.members(node, path, &mut |reader, name, value| {
        let path = format!("{path}.{name}");
        let json = match name {
            "manager" | "operation" | "apiVersion" | "fieldsType" | "subresource" => reader.text(value, &path).into(),
            "time" => time(reader, value, &path),
            "fieldsV1" => plain(value),
            _ => return false,
        };
        if !json.is_null() && json != "" {
            found.insert(name.to_owned(), json);
        }
        true
    });
    found.into()
}

/// Any value.
fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number.parse::<i64>().map_or_else(|_| number.parse::<f64>().map_or(Json::Null, Into::into), Into::into),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(members) => members.iter().map(|(key, value)| (key.text.clone(), plain(value))).collect::<Map<_, _>>().into(),
    }
}
