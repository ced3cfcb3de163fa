//! What was seen of the cluster's traffic, summed up by who did what to which kind of thing.

use std::collections::HashMap;

use crate::Level;
use crate::policy::Attributes;

/// Kinds of traffic that are told apart; what comes beyond is only counted and never cut.
const MAX_KEYS: usize = 50_000;

/// Bytes of log lines: those of the event without bodies, and those each body adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// The event at level Metadata.
    pub metadata: u64,
    /// What level Request adds.
    pub request: u64,
    /// What level RequestResponse adds to that.
    pub response: u64,
}

impl Bytes {
    /// Bytes at a level.
    pub fn at(self, level: Level) -> u64 {
        match level {
            Level::None => 0,
            Level::Metadata => self.metadata,
            Level::Request => self.metadata + self.request,
            Level::RequestResponse => self.metadata + self.request + self.response,
        }
    }

    fn add(&mut self, other: Self) {
        self.metadata = self.metadata.saturating_add(other.metadata);
        self.request = self.request.saturating_add(other.request);
        self.response = self.response.saturating_add(other.response);
    }
}

/// One request that was seen, with all its events.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// What a policy is asked of it.
    pub attributes: Attributes<'a>,
    /// The level the profile records it at.
    pub level: Level,
    /// Of all its events.
    pub bytes: Bytes,
    /// How many there are.
    pub n_events: u64,
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
    n_requests: u64,
}

impl Traffic {
    /// Adds a request.
    pub fn add(&mut self, seen: &Observed<'_>) {
        self.n_requests += 1;
        if seen.level == Level::None {
            return;
        }
        self.n_bytes = self.n_bytes.saturating_add(seen.bytes.at(seen.level));
        self.n_events += seen.n_events;
        let attributes = &seen.attributes;
        // Without a user it is a failed login: never cut.
        let Some(user) = attributes.user else { return };
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
            level: seen.level,
        };
        if self.sums.len() >= MAX_KEYS && !self.sums.contains_key(&key) {
            return;
        }
        let sum = self.sums.entry(key).or_default();
        sum.bytes.add(seen.bytes);
        sum.n_events += seen.n_events;
        sum.has_kept |= seen.is_kept;
    }

    /// Requests added.
    pub fn n_requests(&self) -> u64 {
        self.n_requests
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
