//! A policy file as the commands use it: its rules, and where each of them stands.

use std::io::Read as _;
use std::path::Path;

use decklog_audit::policy::Policy;
use decklog_audit::policy::load::{Problem, Span, TargetVersion, Verdict, load, load_for_sink, text_of};

use crate::commands::Context;
use crate::config::yaml::{Node, Value};
use crate::failure::{Failure, Failures, Place};
use crate::output::escape;

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
    /// Reads a file that kube-apiserver would take; `-` is standard input.
    pub(super) fn read(path: &Path, context: &Context) -> Result<Self, Failures> {
        Self::loaded(path, context, |bytes| load(bytes, TargetVersion::default()))
    }

    /// The same of a file that one of decklog's sinks would take.
    pub(super) fn read_for_sink(path: &Path, context: &Context) -> Result<Self, Failures> {
        Self::loaded(path, context, load_for_sink)
    }

    fn loaded(path: &Path, context: &Context, load: impl Fn(&[u8]) -> Verdict) -> Result<Self, Failures> {
        let name = name_of(path);
        let bytes = bytes(path)?;
        let verdict = load(&bytes);
        if let Some(warning) = &verdict.warning {
            let words = warning.replace("\n ", "");
            context.note(&escape(&format!("warning: {name}: kube-apiserver passes over parts of it (decklog policy check says where): {words}")));
        }
        let lines = verdict.rules().iter().map(|rule| rule.span.line).collect();
        match verdict.result {
            Ok(policy) => Ok(Self { name, policy, lines }),
            Err(refusal) => {
                let text = text_of(&bytes).unwrap_or_default();
                let failure =
                    |problem: &Problem| Failure::failed("policy", problem.message.clone()).help(problem.fix.clone()).at(place_in(&name, &text, problem.span));
                Err(refusal.problems.iter().map(failure).collect::<Vec<_>>().into())
            }
        }
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

/// As people see it.
pub(super) fn name_of(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

/// A file's bytes; `-` is standard input.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" { std::io::stdin().read_to_end(&mut bytes).map(|_| bytes) } else { std::fs::read(path) };
    read.map_err(|error| Failure::failed("file", format!("cannot read `{}`: {error}", path.display())))
}

/// The place of `span` in `text`, with its line.
pub(super) fn place_in(file: &str, text: &str, span: Span) -> Place {
    let marked = text.get(span.start..span.end).and_then(|marked| marked.lines().next()).unwrap_or_default();
    Place {
        file: Some(file.to_owned()),
        line: span.line,
        column: span.column,
        length: marked.chars().count().max(1),
        text: text.lines().nth(span.line.saturating_sub(1)).map(str::to_owned),
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
