//! What kube-apiserver would say of a policy text: its verdict, in its words, with the place and the fix of what is wrong.
//!
//! Source of all behaviour: `k8s.io/apiserver/pkg/audit/policy/reader.go` v0.36.3 and what it calls: the strict decoder first, the
//! lenient one with a warning where the strict one found only unknown or repeated fields, then the version, the rules, their number.

mod decode;
mod fields;
mod json;
mod metadata;
mod scalars;
#[cfg(test)]
mod tests;
mod text;
mod tree;
pub(in crate::policy) mod validate;
mod version;
mod yaml;

use std::borrow::Cow;

use self::fields::{Reader, Syntax};
use super::model::Policy;

pub(in crate::policy) use text::Places;
pub use text::{MAX_BYTES, text_of};
pub use tree::{Key, Node, Span, Value};
pub use version::{TargetVersion, VersionError};

/// The verdict on a text.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The first document as a tree; none where the text is no YAML.
    pub tree: Option<Node>,
    /// What the strict decoder found (unknown and repeated fields), in kube-apiserver's words; none where it took the text, or
    /// where nothing could be decoded. The policy is in force without those fields.
    pub warning: Option<String>,
    /// The policy in force, or why there is none.
    pub result: Result<Policy, Refusal>,
    /// The policy's `metadata`, as Kubernetes writes it again.
    metadata: serde_json::Map<String, serde_json::Value>,
}

impl Verdict {
    /// Where each rule of the policy stands.
    #[must_use]
    pub fn rules(&self) -> &[Node] {
        self.tree.as_ref().and_then(|tree| tree.get("rules")).map_or(&[], Node::items)
    }

    /// The policy in force as JSON in the v1 form, without what is empty; none where there is none.
    #[must_use]
    pub fn policy_json(&self) -> Option<serde_json::Value> {
        self.result.as_ref().ok().map(|policy| decode::as_json(policy, &self.metadata))
    }
}

/// Why kube-apiserver would not start with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The check that refused it.
    pub stage: Stage,
    /// In kube-apiserver's words; in ours for [`Stage::Decode`], whose words there are those of Go's YAML and JSON libraries.
    pub message: String,
    /// What to mend, at least one.
    pub problems: Vec<Problem>,
}

/// One thing that a policy is refused for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The lint that explains it (docs/reference/lints).
    pub code: &'static str,
    /// Where it stands.
    pub span: Span,
    /// What is wrong, for people, with the offending text in backquotes.
    pub message: String,
    /// What to write instead.
    pub fix: String,
    /// The text that may be put in the place without asking.
    pub replacement: Option<String>,
}

impl Problem {
    fn new(code: &'static str, span: Span, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, span, message: message.into(), fix: fix.into(), replacement: None }
    }

    fn replacing(mut self, text: impl Into<String>) -> Self {
        self.replacement = Some(text.into());
        self
    }
}

/// The checks of the loader, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not readable, a value of a wrong type, an unknown kind or version.
    Decode,
    /// No apiVersion that counts.
    GroupVersion,
    /// A rule that is not valid.
    Validate,
    /// No rule.
    NoRules,
}

impl Stage {
    /// `decode`, `group-version`, `validate` or `no-rules`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::GroupVersion => "group-version",
            Self::Validate => "validate",
            Self::NoRules => "no-rules",
        }
    }
}

/// Loads a policy as the kube-apiserver of `target` does. Time and memory are bounded by [`MAX_BYTES`] and go-yaml's bound for aliases.
#[must_use]
pub fn load(bytes: &[u8], target: TargetVersion) -> Verdict {
    let read = read(bytes);
    match read {
        Err(problem) => Verdict::refused(None, None, Stage::Decode, None, vec![problem]),
        Ok((document, syntax)) => judge(document, syntax, target, Owner::KubeApiserver),
    }
}

/// Loads a policy of one of decklog's own sinks: as the newest kube-apiserver would, and with the level
/// [`Minimal`](crate::policy::MINIMAL) beside the others.
#[must_use]
pub fn load_for_sink(bytes: &[u8]) -> Verdict {
    match read(bytes) {
        Err(problem) => Verdict::refused(None, None, Stage::Decode, None, vec![problem]),
        Ok((document, syntax)) => judge(document, syntax, TargetVersion::NEWEST, Owner::Sink),
    }
}

/// Whose policy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Owner {
    KubeApiserver,
    /// Of decklog.
    Sink,
}

/// The policy of a text that nobody checks, as a program has it that decodes a policy and asks it at once: it may be of no version, have no
/// rule, or have words that are no levels.
///
/// # Errors
/// What is no YAML or JSON, or of a wrong type.
pub fn load_unchecked(bytes: &[u8]) -> Result<Policy, Vec<Problem>> {
    let (document, syntax) = read(bytes).map_err(|problem| vec![problem])?;
    let mut reader = Reader::new(syntax);
    let decoded = document.tree.map(|tree| decode::policy(&tree, TargetVersion::default(), &mut reader)).unwrap_or_default();
    if reader.problems.is_empty() { Ok(decoded.policy) } else { Err(reader.problems) }
}

/// The document of a text. What begins with a brace is JSON, and nothing else is.
fn read(bytes: &[u8]) -> Result<(yaml::Document, Syntax), Problem> {
    let begin = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len());
    if bytes[begin..].starts_with(b"{") && bytes.len() <= MAX_BYTES {
        // Go's JSON reader takes bytes that are not UTF-8 for U+FFFD.
        let text: Cow<'_, str> = String::from_utf8_lossy(bytes);
        let tree = Some(json::parse(&text)?);
        return Ok((yaml::Document { tree, twice: Vec::new() }, Syntax::Json));
    }
    let text = text_of(bytes)?;
    let mut document = yaml::parse(&text)?;
    document.tree.get_or_insert(Node { value: Value::Null, span: yaml::end_of(&text) });
    Ok((document, Syntax::Yaml))
}

fn judge(document: yaml::Document, syntax: Syntax, target: TargetVersion, owner: Owner) -> Verdict {
    let tree = document.tree.unwrap_or(Node { value: Value::Null, span: Span::default() });
    let mut reader = Reader::new(syntax);
    let kind = match decode::kind_of(&tree, target, &mut reader) {
        Ok(kind) => kind,
        Err(problem) => return Verdict::refused(Some(tree), None, Stage::Decode, None, vec![problem]),
    };
    let decoded = match kind {
        decode::Kind::Policy => decode::policy(&tree, target, &mut reader),
        decode::Kind::Internal => {
            decode::internal_fields(&tree, &mut reader);
            decode::Decoded::default()
        }
    };
    if !reader.problems.is_empty() {
        return Verdict::refused(Some(tree), None, Stage::Decode, None, reader.problems);
    }
    let warning = warning(&document.twice, &reader.strict).filter(|_| target.warns());
    if kind == decode::Kind::Internal {
        let message = "unknown group version field audit.k8s.io/__internal, Kind=Policy in policy".to_owned();
        let span = tree.get("apiVersion").map_or(Span { end: tree.span.start, ..tree.span }, |version| version.span);
        let problem = Problem::new("no-header", span, "`apiVersion` is missing", "begin with `apiVersion: audit.k8s.io/v1` and `kind: Policy`");
        return Verdict::refused(Some(tree), warning, Stage::GroupVersion, Some(message), vec![problem]);
    }
    let found = validate::validate(&decoded.policy, &tree, target, owner);
    if !found.errors.is_empty() {
        let message = found.message();
        return Verdict::refused(Some(tree), warning, Stage::Validate, Some(message), found.problems);
    }
    if decoded.policy.rules.is_empty() {
        let span = tree.get("rules").map_or(Span { start: tree.span.end, ..tree.span }, |rules| rules.span);
        let fix = "add `rules:` with at least one entry, such as `- level: Metadata`";
        let problem = Problem::new("rules-missing", span, "the policy has no rule", fix);
        return Verdict::refused(Some(tree), warning, Stage::NoRules, Some("loaded illegal policy with 0 rules".to_owned()), vec![problem]);
    }
    Verdict { tree: Some(tree), warning, result: Ok(decoded.policy), metadata: decoded.metadata }
}

impl Verdict {
    fn refused(tree: Option<Node>, warning: Option<String>, stage: Stage, message: Option<String>, problems: Vec<Problem>) -> Self {
        let message = message.unwrap_or_else(|| problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "));
        Self { tree, warning, result: Err(Refusal { stage, message, problems }), metadata: serde_json::Map::new() }
    }
}

/// The strict decoder's complaint.
fn warning(twice: &[String], strict: &[String]) -> Option<String> {
    let yaml = (!twice.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {}", twice.join("\n  ")));
    let all: Vec<String> = yaml.into_iter().chain(strict.iter().cloned()).collect();
    (!all.is_empty()).then(|| format!("strict decoding error: {}", all.join(", ")))
}
