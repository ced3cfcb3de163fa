//! What a policy would have recorded of traffic that was recorded under another one.
//!
//! The attributes of a recorded request come from its URI, its verb and its user (never from `objectRef`, which the request's body
//! fills, and never from the impersonated user, whom no policy sees). All of these are the same at every stage of a request,
//! so that all stages get one decision. What a recorded event does not hold cannot be made up: a policy that wants a body
//! that was not recorded is told so in [`Totals::bodies_unknown`].

mod difference;
mod splice;
#[cfg(test)]
mod tests;
mod totals;

pub use difference::{Change, Difference, Example, Kind};
pub use totals::{Sum, Totals};

use std::borrow::Cow;

use super::compiled::Compiled;
use super::decision::Decision;
use super::minimal::minimal_line;
use super::model::{Attributes, User};
use super::request_info::{RequestInfo, of_event};
use crate::event::{Event, Level, Stage};

/// What becomes of one recorded event.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated<'p, 'l> {
    /// What the policy says of its request.
    pub decision: Decision<'p>,
    /// Whether it is written, and how.
    pub fate: Fate<'l>,
}

/// Whether an event is written, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<'l> {
    /// The request is at level None.
    NotRecorded,
    /// Its stage is omitted.
    StageOmitted,
    /// Written.
    Written {
        /// The event as it would be, without a newline.
        line: Cow<'l, str>,
        /// Bodies that belong to the level but were not recorded.
        bodies: Bodies,
    },
}

/// Whether the recorded event holds what the simulated level wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// All of it.
    Known,
    /// It was recorded at a lower level.
    Unknown,
}

/// A recorded event's request.
#[derive(Clone, Debug)]
pub struct RecordedRequest<'e> {
    /// What it is about.
    pub info: RequestInfo<'e>,
    user: Option<&'e str>,
    groups: Vec<&'e str>,
}

impl<'e> RecordedRequest<'e> {
    /// From an event of any of its stages.
    pub fn of(event: &'e Event<'_>) -> Self {
        let info = of_event(event.request_uri.as_deref().unwrap_or_default(), event.verb.as_deref().unwrap_or_default());
        let groups: Vec<&str> = event.user.groups.iter().flatten().map(AsRef::as_ref).collect();
        // A user that is there has a name, so no name is no user: a failed login, or a bad `timeout`.
        let user = event.user.username.as_deref().or((!groups.is_empty()).then_some(""));
        Self { info, user, groups }
    }

    /// Asks a policy about it.
    pub fn decide<'p>(&self, policy: &'p Compiled) -> Decision<'p> {
        self.ask(|attributes| policy.evaluate(attributes))
    }

    /// Hands its attributes to `ask`.
    pub fn ask<T>(&self, ask: impl FnOnce(&Attributes<'_>) -> T) -> T {
        ask(&self.info.attributes(self.user.map(|name| User { name, groups: &self.groups })))
    }
}

/// Asks the policy about a recorded event whose text is `line`.
pub fn simulate<'p, 'l>(policy: &'p Compiled, request: &RecordedRequest<'_>, event: &Event<'_>, line: &'l str) -> Simulated<'p, 'l> {
    let decision = request.decide(policy);
    let level = decision.known_level();
    if level == Level::None {
        return Simulated { decision, fate: Fate::NotRecorded };
    }
    if event.stage_kind().is_some_and(|stage| decision.omit_stages.contains(stage)) {
        return Simulated { decision, fate: Fate::StageOmitted };
    }
    let recorded = event.level.as_deref().and_then(Level::parse).unwrap_or(Level::Metadata);
    let bodies = missing_bodies(recorded, level, event, request);
    let line = match decision.is_minimal() {
        true => Cow::Owned(minimal_line(event)),
        false => splice::at_level(event, line, level, decision.omit_managed_fields),
    };
    Simulated { decision, fate: Fate::Written { line, bodies } }
}

/// A read has no body in its request, a watch none in its answer, and nothing has one when it is received.
fn missing_bodies(recorded: Level, level: Level, event: &Event<'_>, request: &RecordedRequest<'_>) -> Bodies {
    let verb = request.info.verb.as_ref();
    let writes = matches!(verb, "create" | "update" | "patch" | "delete" | "deletecollection");
    let of_request = level >= Level::Request && recorded < Level::Request && writes;
    let of_answer = level >= Level::RequestResponse && recorded < Level::RequestResponse && verb != "watch";
    let has_any = event.stage_kind() != Some(Stage::RequestReceived) && request.info.is_resource_request;
    if has_any && (of_request || of_answer) { Bodies::Unknown } else { Bodies::Known }
}

/// Bytes of a recorded event's line at Metadata, Request and `RequestResponse`.
pub(super) fn at_each_level(event: &Event<'_>, line: &str, omit_managed_fields: bool) -> [usize; 3] {
    [Level::Metadata, Level::Request, Level::RequestResponse].map(|level| splice::at_level(event, line, level, omit_managed_fields).len())
}
