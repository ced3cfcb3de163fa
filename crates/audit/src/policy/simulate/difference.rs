//! What changes from one policy to another, on the same traffic.

use std::collections::BTreeMap;

use super::totals::{Sum, resource_name};
use super::{Fate, RecordedRequest, Simulated};
use crate::event::{Event, Level};

/// Kinds of events told apart at most.
const MAX_KINDS: usize = 10_000;

/// What becomes of an event under the second policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the first policy writes it.
    Lost,
    /// Only the second writes it.
    Gained,
    /// Both write it, the second at a lower level.
    Lowered,
    /// Both write it, the second at a higher level.
    Raised,
}

impl Change {
    /// For people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Gained => "gained",
            Self::Lowered => "lowered",
            Self::Raised => "raised",
        }
    }
}

/// One event of a kind that changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Its id.
    pub audit_id: String,
    /// Who.
    pub user: String,
    /// What was asked.
    pub request_uri: String,
    /// The rules that decide, from 0: of the first and of the second policy.
    pub rules: (Option<usize>, Option<usize>),
}

/// Events that change alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// What becomes of them.
    pub change: Change,
    /// What was done.
    pub verb: String,
    /// To what: `deployments.apps/status`, or a path's first part.
    pub resource: String,
    /// The level under the first policy.
    pub from: Level,
    /// The level under the second.
    pub to: Level,
}

/// Sums of changes, each with an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// By kind.
    pub kinds: BTreeMap<Kind, (Sum, Example)>,
    /// Changed events of kinds beyond the 10,000 that are told apart.
    pub others: u64,
}

impl Difference {
    /// Counts an event that both policies were asked about.
    pub fn add(&mut self, event: &Event<'_>, request: &RecordedRequest<'_>, before: &Simulated<'_, '_>, after: &Simulated<'_, '_>) {
        let levels = (before.decision.known_level(), after.decision.known_level());
        let (change, bytes) = match (&before.fate, &after.fate) {
            (Fate::Written { line, .. }, Fate::Written { line: after, .. }) => match levels.0.cmp(&levels.1) {
                std::cmp::Ordering::Equal => return,
                std::cmp::Ordering::Less => (Change::Raised, after.len().saturating_sub(line.len())),
                std::cmp::Ordering::Greater => (Change::Lowered, line.len().saturating_sub(after.len())),
            },
            (Fate::Written { line, .. }, _) => (Change::Lost, line.len() + 1),
            (_, Fate::Written { line, .. }) => (Change::Gained, line.len() + 1),
            _ => return,
        };
        let key = Kind { change, verb: request.info.verb.to_string(), resource: resource_name(request), from: levels.0, to: levels.1 };
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&key) {
            self.others += 1;
            return;
        }
        let (sum, _) = self.kinds.entry(key).or_insert_with(|| {
            let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
            let example = Example {
                audit_id: text(&event.audit_id),
                user: text(&event.user.username),
                request_uri: text(&event.request_uri),
                rules: (before.decision.rule, after.decision.rule),
            };
            (Sum::default(), example)
        });
        sum.events += 1;
        sum.bytes += bytes as u64;
    }
}
