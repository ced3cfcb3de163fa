//! What a policy does that its author did not mean: fields that are passed over, words that never match, rules that are never
//! reached, secrets in bodies, requests that leave no trace. kube-apiserver says nothing of most of it.
//!
//! Each lint has a code, and a page of that name under docs/reference/lints with an example of what is wrong and what is right.
//!
//! Source of the behaviour that lints tell of: the same files as [`walk`](super::walk) and [`load`](super::load); of the resources,
//! `kubectl api-resources` of kube-apiserver 1.36.

mod bodies;
mod fix;
mod loss;
mod probe;
mod reach;
mod report;
mod resources;
mod shape;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;

use super::load::{Node, Span, TargetVersion, Verdict};
use super::walk::has;

pub use fix::{Mended, changed_lines, mend};
pub use report::report;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something is recorded that should not be, or is not that should be.
    Warning,
    /// kube-apiserver refuses the policy, or does something else than what is written.
    Error,
}

impl Severity {
    /// `error`, `warning` or `info`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// One of [`CODES`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub span: Span,
    /// What is wrong, with the offending text in backquotes.
    pub message: String,
    /// What to write instead.
    pub fix: String,
    /// The same as edits, where they can change nothing that was meant. None of them overlap.
    pub edits: Vec<Edit>,
}

/// Puts `text` in the place of the bytes from `start` to `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// A byte offset.
    pub start: usize,
    /// A byte offset, not before `start`.
    pub end: usize,
    /// What stands there afterwards.
    pub text: String,
}

/// All codes, with their severity and what they say.
pub const CODES: [(&str, Severity, &str); 45] = [
    ("syntax", Severity::Error, "the text is not YAML or JSON"),
    ("type", Severity::Error, "a value is of the wrong type"),
    ("no-header", Severity::Error, "`apiVersion` or `kind` is missing"),
    ("version-removed", Severity::Error, "the version of the policy was removed"),
    ("not-a-policy", Severity::Error, "the document is of another kind or version"),
    ("rules-missing", Severity::Error, "there is no rule under `rules:`"),
    ("level-case", Severity::Error, "a level is not written with capitals"),
    ("level", Severity::Error, "a rule has no level, or one that does not exist"),
    ("stage", Severity::Error, "a stage does not exist"),
    ("url", Severity::Error, "an entry of `nonResourceURLs` is no path"),
    ("group-name", Severity::Error, "an API group cannot be named so"),
    ("names-without-resource", Severity::Error, "`resourceNames` without `resources`"),
    ("mixed-rule", Severity::Error, "a rule is for resources and for URLs"),
    ("unknown-field", Severity::Error, "a field does not exist, and is passed over"),
    ("misplaced-field", Severity::Error, "a field stands where it does not exist, and is passed over"),
    ("resources-indent", Severity::Error, "the `resources` of a group stand beside the group"),
    ("repeated-field", Severity::Error, "a field stands twice, and only the last counts"),
    ("more-documents", Severity::Error, "only the first document counts"),
    ("resource-never-matches", Severity::Warning, "an entry of `resources` matches no request"),
    ("group-of-resource", Severity::Warning, "a resource is not in that API group"),
    ("group-unknown", Severity::Warning, "an API group does not exist"),
    ("verb-never-matches", Severity::Warning, "an entry of `verbs` is the verb of no request"),
    ("half-of-exec", Severity::Warning, "exec, attach and port-forward are matched for some clients only"),
    ("wildcard-never-matches", Severity::Warning, "a `*` stands where it is no wildcard"),
    ("group-as-user", Severity::Warning, "a group stands in `users`"),
    ("user-as-group", Severity::Warning, "a user stands in `userGroups`"),
    ("user-never-matches", Severity::Warning, "no user is named so"),
    ("cluster-scoped", Severity::Warning, "resources without a namespace are asked for in one"),
    ("names-never-match", Severity::Warning, "`resourceNames` with verbs whose requests name no object"),
    ("url-of-resource", Severity::Warning, "a path of resources in `nonResourceURLs`"),
    ("subresource-not-named", Severity::Warning, "a comment names a subresource that the rule does not"),
    ("unreachable", Severity::Warning, "earlier rules decide all that a rule is for"),
    ("partly-unreachable", Severity::Warning, "an earlier rule decides what a rule names"),
    ("secret-bodies", Severity::Warning, "secrets or tokens come into the log"),
    ("sensitive-bodies", Severity::Warning, "bodies that often hold secrets come into the log"),
    ("noise-bodies", Severity::Warning, "bodies of what components write all the time"),
    ("blind-spot", Severity::Warning, "what attackers do leaves no trace"),
    ("patches-lost", Severity::Warning, "a patch that is not JSON loses its event"),
    ("failed-logins-lost", Severity::Warning, "failed logins leave no trace"),
    ("results-lost", Severity::Warning, "what came of a request is not recorded"),
    ("no-final-rule", Severity::Warning, "what no rule names is not recorded"),
    ("records-nothing", Severity::Error, "no request is recorded"),
    ("list-bodies", Severity::Info, "whole lists come into the log"),
    ("request-received", Severity::Info, "each request has two events"),
    ("too-large", Severity::Info, "the policy is too large for every lint"),
];

/// Everything that there is to say of a policy, by place. `text` is what [`load`](super::load::load) read ([`text_of`](super::load::text_of)).
#[must_use]
pub fn lint(text: &str, verdict: &Verdict, target: TargetVersion) -> Vec<Lint> {
    let root = Node { value: super::load::Value::Null, span: Span::default() };
    let root = verdict.tree.as_ref().unwrap_or(&root);
    let mut found = Found { text, root, lints: Vec::new() };
    // Of another kind of object a policy's fields say nothing.
    if !matches!(&verdict.result, Err(refusal) if refusal.problems.iter().any(|problem| problem.code == "not-a-policy")) {
        shape::check(&mut found);
    }
    if let Err(refusal) = &verdict.result {
        shape::explain_refusal(refusal, &mut found);
        let inserted = found.lints.iter().find(|lint| lint.code == "rules-missing").and_then(|lint| lint.edits.first()).cloned();
        if let Some(inserted) = inserted {
            found.lints.extend(shape::behind(&inserted, text, target));
        }
    }
    if let Ok(policy) = &verdict.result {
        let mut reach = reach::Reach::new(policy);
        resources::check(policy, target, &mut found);
        words::check(policy, &mut found);
        reach::check(policy, &mut reach, &mut found);
        bodies::check(policy, &mut reach, &mut found);
        loss::check(policy, target, &mut reach, &mut found);
        if reach.is_exhausted() {
            found.add(
                "too-large",
                Span { end: root.span.start, ..root.span },
                "not every rule was compared with every earlier one",
                "split what it does by fewer rules",
            );
        }
    }
    found.lints.sort_by_key(|lint| (lint.span.start, std::cmp::Reverse(lint.severity)));
    shortened(found.lints)
}

/// More of one code than this nobody reads.
const MAX_OF_CODE: usize = 100;

/// Without those that are too many, of which the last of their code tells.
fn shortened(lints: Vec<Lint>) -> Vec<Lint> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut kept: Vec<Lint> = lints
        .into_iter()
        .filter(|lint| {
            let count = counts.entry(lint.code).or_default();
            *count += 1;
            *count <= MAX_OF_CODE
        })
        .collect();
    for (code, count) in counts.into_iter().filter(|(_, count)| *count > MAX_OF_CODE) {
        if let Some(last) = kept.iter_mut().rfind(|lint| lint.code == code) {
            last.message.push_str(&format!(" (and {} more of this code below)", count - MAX_OF_CODE));
        }
    }
    kept
}

/// What was found, and where things stand.
struct Found<'t> {
    text: &'t str,
    root: &'t Node,
    lints: Vec<Lint>,
}

impl<'t> Found<'t> {
    fn add(&mut self, code: &'static str, span: Span, message: impl Into<String>, fix: impl Into<String>) -> &mut Lint {
        let severity = CODES.iter().find(|(known, ..)| *known == code).map_or(Severity::Error, |(_, severity, _)| *severity);
        let index = self.lints.len();
        self.lints.push(Lint { code, severity, span, message: message.into(), fix: fix.into(), edits: Vec::new() });
        &mut self.lints[index]
    }

    fn rule(&self, rule: usize) -> &'t Node {
        self.root.get("rules").and_then(|rules| rules.items().get(rule)).unwrap_or(self.root)
    }

    /// A rule is pointed at by its first key.
    fn rule_span(&self, rule: usize) -> Span {
        begin(self.text, self.rule(rule).span)
    }

    /// The place of a rule's field, or of the rule where it does not have it.
    fn field(&self, rule: usize, name: &str) -> Span {
        self.rule(rule).get(name).map_or_else(|| self.rule_span(rule), |node| begin(self.text, node.span))
    }

    /// The place of an item of a rule's list.
    fn item(&self, rule: usize, name: &str, index: usize) -> Span {
        self.rule(rule).get(name).and_then(|list| list.items().get(index)).map_or_else(|| self.field(rule, name), |node| begin(self.text, node.span))
    }

    /// The entry of a rule's `resources`.
    fn entry(&self, rule: usize, entry: usize) -> &'t Node {
        self.rule(rule).get("resources").and_then(|list| list.items().get(entry)).unwrap_or_else(|| self.rule(rule))
    }

    /// `rule 3 (line 17)`.
    fn name(&self, rule: usize) -> String {
        format!("rule {} (line {})", rule + 1, self.rule(rule).span.line)
    }
}

/// What goes over several lines is pointed at by the rest of its first.
fn begin(text: &str, span: Span) -> Span {
    let length = text.get(span.start..span.end).and_then(|whole| whole.lines().next()).map_or(0, |line| line.trim_end().len());
    Span { end: span.start + length, ..span }
}

/// `a`, `b` and `c`.
fn listed<T: std::fmt::Display>(words: &[T]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
