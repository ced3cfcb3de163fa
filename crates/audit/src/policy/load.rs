//! What kube-apiserver would say of a policy text.

mod tree;

use super::model::Policy;

pub use tree::{Key, Node, Span, Value};

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
}

impl Verdict {
    /// Where each rule of the policy stands.
    #[must_use]
    pub fn rules(&self) -> &[Node] {
        self.tree.as_ref().and_then(|tree| tree.get("rules")).map_or(&[], Node::items)
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
    /// Where it stands.
    pub span: Span,
    /// What is wrong, for people, with the offending text in backquotes.
    pub message: String,
    /// What to write instead.
    pub fix: String,
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
