//! What a policy says of one request.

use serde_json::{Value, json};

use super::minimal::MINIMAL;
use crate::event::{Level, Stage};

/// The answer of a policy: how much is recorded of a request, and at which moments.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'p> {
    /// The level as the rule writes it; `None` where no rule matched.
    pub level: &'p str,
    /// The moments that get no event.
    pub omit_stages: OmittedStages<'p>,
    /// Whether `managedFields` are left out of bodies.
    pub omit_managed_fields: bool,
    /// Which rule decided, from 0; nothing if none matched.
    pub rule: Option<usize>,
}

impl Decision<'_> {
    /// The level; a word that Kubernetes does not know orders as `None` there too. Minimal, which only a sink's policy may have, is
    /// the least of Metadata.
    pub fn known_level(&self) -> Level {
        if self.is_minimal() { Level::Metadata } else { Level::parse(self.level).unwrap_or(Level::None) }
    }

    /// Whether events are cut to [`MINIMAL`].
    pub fn is_minimal(&self) -> bool {
        self.level == MINIMAL
    }

    /// Whether a request that is decided so gets an event at `stage`.
    pub fn records(&self, stage: Stage) -> bool {
        self.known_level() != Level::None && !self.omit_stages.contains(stage)
    }

    /// For programs; the rule is counted from 0, -1 is none.
    #[must_use]
    pub fn report(&self) -> Value {
        json!({
            "level": self.level,
            "omitStages": self.omit_stages.names(),
            "omitManagedFields": self.omit_managed_fields,
            "rule": self.rule.map_or(-1, |rule| rule as i64),
        })
    }
}

impl PartialEq for Decision<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.level == other.level
            && self.rule == other.rule
            && self.omit_managed_fields == other.omit_managed_fields
            && self.omit_stages.names() == other.omit_stages.names()
    }
}

/// The stages of the policy and those of the rule, together.
#[derive(Clone, Copy, Debug, Default)]
pub struct OmittedStages<'p> {
    policy: &'p [String],
    rule: &'p [String],
}

impl<'p> OmittedStages<'p> {
    pub(super) fn new(policy: &'p [String], rule: &'p [String]) -> Self {
        Self { policy, rule }
    }

    /// Whether `stage` is among them.
    pub fn contains(&self, stage: Stage) -> bool {
        self.policy.iter().chain(self.rule).any(|name| name == stage.as_str())
    }

    /// Their names as written, sorted and each once; a policy that skipped validation may name what is no stage.
    pub fn names(&self) -> Vec<&'p str> {
        let mut names: Vec<&str> = self.policy.iter().chain(self.rule).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
