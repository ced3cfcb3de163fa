//! What was seen of the cluster's traffic, summed up by who did what to which kind of thing.

use std::collections::HashMap;

use crate::Level;
use crate::policy::Attributes;

/// Kinds of traffic that are told apart; what comes beyond is only counted and never cut.
const MAX_KEYS: usize = 50_000;

/// Bytes of log lines, by the level they are written at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// At level Metadata.
    pub metadata: u64,
    /// At level Request; may be less, as the word is shorter.
    pub request: u64,
    /// At level RequestResponse.
    pub response: u64,
}

impl Bytes {
    /// Bytes at a level.
    pub fn at(self, level: Level) -> u64 {
        match level {
            Level::None => 0,
            Level::Metadata => self.metadata,
            Level::Request => self.request,
            Level::RequestResponse => self.response,
        }
    }

    fn add(&mut self, other: Self) {
        self.metadata = self.metadata.saturating_add(other.metadata);
        self.request = self.request.saturating_add(other.request);
        self.response = self.response.saturating_add(other.response);
    }
}

/// One event that was seen.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// What a policy is asked of it.
    pub attributes: Attributes<'a>,
    /// The level the profile records it at; None also where it omits the stage.
    pub level: Level,
    /// Of its line.
    pub bytes: Bytes,
    /// It must stay: it was denied (401, 403), or the user asked for it.
    pub is_kept: bool,
}

/// Who does something, as a rule can name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// A user by name.
    User(String),
    /// Every kubelet: the group `system:nodes`.
    Nodes,
}

/// A kind of traffic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Who.
    pub who: Who,
    /// The verb.
    pub verb: String,
    /// The API group; empty for core, and for paths.
    pub api_group: String,
    /// `pods` or `pods/status`; empty for paths.
    pub resource: String,
    /// The path of a non-resource request; empty for resources.
    pub path: String,
    /// The level the profile records it at.
    pub level: Level,
}

/// Sums of one kind of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: Bytes,
    pub(super) n_events: u64,
    pub(super) has_kept: bool,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub(super) sums: HashMap<Key, Sum>,
    /// Bytes at the profile's levels, of everything.
    pub(super) n_bytes: u64,
    pub(super) n_events: u64,
}

impl Traffic {
    /// Adds an event.
    pub fn add(&mut self, seen: &Observed<'_>) {
        if seen.level == Level::None {
            return;
        }
        self.n_bytes = self.n_bytes.saturating_add(seen.bytes.at(seen.level));
        self.n_events += 1;
        if let Some(sum) = self.of(&seen.attributes, seen.level) {
            sum.bytes.add(seen.bytes);
            sum.n_events += 1;
            sum.has_kept |= seen.is_kept;
        }
    }

    /// Says that events like this must stay: of the same user, verb and kind of thing. `level` is the profile's.
    pub fn keep(&mut self, attributes: &Attributes<'_>, level: Level) {
        if let Some(sum) = self.of(attributes, level) {
            sum.has_kept = true;
        }
    }

    /// Nothing for a request without a user, a failed login, which is never cut, and where there is no room for another kind.
    fn of(&mut self, attributes: &Attributes<'_>, level: Level) -> Option<&mut Sum> {
        let user = attributes.user?;
        let is_node = user.name.starts_with("system:node:") && user.groups.contains(&"system:nodes");
        let key = Key {
            who: if is_node { Who::Nodes } else { Who::User(user.name.to_owned()) },
            verb: attributes.verb.to_owned(),
            api_group: attributes.api_group.to_owned(),
            resource: match attributes.subresource {
                "" => attributes.resource.to_owned(),
                subresource => format!("{}/{subresource}", attributes.resource),
            },
            path: if attributes.is_resource_request { String::new() } else { attributes.path.to_owned() },
            level,
        };
        if self.sums.len() >= MAX_KEYS && !self.sums.contains_key(&key) {
            return None;
        }
        Some(self.sums.entry(key).or_default())
    }

    /// Events the profile records of them.
    pub fn n_events(&self) -> u64 {
        self.n_events
    }

    /// Bytes the profile records of them.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }
}
