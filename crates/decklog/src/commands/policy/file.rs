//! A policy file as the commands use it: its rules, and where each of them stands.

use std::path::Path;

use decklog_audit::policy::{Policy, from_document};

use crate::config::yaml::{self, Node, Value};
use crate::failure::{Failure, Failures};

/// A policy, its name, and the line of each rule.
pub(super) struct PolicyFile {
    /// As given on the command line.
    pub(super) name: String,
    /// What it says.
    pub(super) policy: Policy,
    /// From 1.
    lines: Vec<usize>,
}

impl PolicyFile {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Failures> {
        let name = path.display().to_string();
        let tree = yaml::parse(&text(path)?, &name)?;
        let document = json(&tree);
        let policy = from_document(&document);
        let wrong = |message: &str| Err(Failure::failed("policy", format!("`{name}`: {message}")).help("a Policy of audit.k8s.io/v1").into());
        if document["apiVersion"] != "audit.k8s.io/v1" {
            return wrong("it is no policy: `apiVersion: audit.k8s.io/v1` is missing");
        }
        if policy.rules.is_empty() {
            return wrong("it has no rule, and kube-apiserver refuses such a policy");
        }
        if let Some(index) = policy.rules.iter().position(|rule| decklog_audit::Level::parse(&rule.level).is_none()) {
            let level = &policy.rules[index].level;
            return wrong(&format!("`{level}` of rule {} is no level; levels are None, Metadata, Request and RequestResponse", index + 1));
        }
        Ok(Self { lines: rule_lines(&tree), name, policy })
    }

    /// `rule 16 of 17 (policy.yaml:125)`.
    pub(super) fn rule_text(&self, rule: Option<usize>) -> String {
        match rule {
            None => "no rule".to_owned(),
            Some(index) => {
                let place = self.lines.get(index).map(|line| format!(" ({}:{line})", self.name)).unwrap_or_default();
                format!("rule {} of {}{place}", index + 1, self.policy.rules.len())
            }
        }
    }
}

/// A file's text.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::failed("file", format!("cannot read `{}`: {error}", path.display())))
}

/// The values of a document.
pub(super) fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number.parse::<i64>().map_or_else(|_| number.as_str().into(), Into::into),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(members) => members.iter().map(|(key, value)| (key.text.clone(), json(value))).collect::<serde_json::Map<_, _>>().into(),
    }
}

fn rule_lines(tree: &Node) -> Vec<usize> {
    let Value::Map(members) = &tree.value else { return Vec::new() };
    match members.iter().find(|(key, _)| key.text == "rules").map(|(_, node)| &node.value) {
        Some(Value::List(rules)) => rules.iter().map(|rule| rule.spot.line).collect(),
        _ => Vec::new(),
    }
}
