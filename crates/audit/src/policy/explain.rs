//! Why a policy decides a request as it does: which rule, why none before it, and what will be in the log.

use super::decision::Decision;
use super::model::{Attributes, Policy};
use super::walk::{Mismatch, mismatch, walk};
use crate::event::{Level, Stage};

/// The account of one decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<'p> {
    /// What was decided.
    pub decision: Decision<'p>,
    /// For each rule before the deciding one (for all if none did), the first field that does not match.
    pub passed_over: Vec<Mismatch>,
    /// The moments of such a request, in order, and what an event of each holds; nothing where none is written.
    pub stages: Vec<(Stage, Option<Vec<Part>>)>,
}

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// User, groups, addresses, user agent.
    Who,
    /// Verb, URI, object, times.
    What,
    /// Code, reason and message of the answer.
    Outcome,
    /// The request's body.
    RequestBody,
    /// The answer's body.
    ResponseBody,
}

impl Part {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::What => "what and when",
            Self::Outcome => "outcome",
            Self::RequestBody => "request body",
            Self::ResponseBody => "response body",
        }
    }
}

/// Whether the request has the stage ResponseStarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestLength {
    /// Answered at once.
    Short,
    /// A watch, a log, an exec and the like.
    LongRunning,
}

/// Explains the decision about a request.
pub fn explain<'p>(policy: &'p Policy, attributes: &Attributes<'_>, length: RequestLength) -> Explanation<'p> {
    let decision = walk(policy, attributes);
    let n_before = decision.rule.unwrap_or(policy.rules.len());
    let passed_over = policy.rules[..n_before].iter().filter_map(|rule| mismatch(rule, attributes)).collect();
    let moments: &[Stage] = match (attributes.user, length) {
        // Whom nobody could authenticate gets one event.
        (None, _) => &[Stage::ResponseStarted],
        (Some(_), RequestLength::Short) => &[Stage::RequestReceived, Stage::ResponseComplete],
        (Some(_), RequestLength::LongRunning) => &[Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete],
    };
    let level = decision.known_level();
    let stages = moments.iter().map(|stage| (*stage, decision.records(*stage).then(|| parts(level, *stage, attributes)))).collect();
    Explanation { decision, passed_over, stages }
}

/// A body is in an event from the moment it was read; a read has none in its request, a watch none at all.
fn parts(level: Level, stage: Stage, attributes: &Attributes<'_>) -> Vec<Part> {
    let mut parts = vec![Part::Who, Part::What];
    if stage == Stage::RequestReceived {
        return parts;
    }
    parts.push(Part::Outcome);
    let writes = matches!(attributes.verb, "create" | "update" | "patch" | "delete" | "deletecollection");
    if level >= Level::Request && attributes.is_resource_request && writes && stage == Stage::ResponseComplete {
        parts.push(Part::RequestBody);
    }
    if level >= Level::RequestResponse && attributes.is_resource_request && attributes.verb != "watch" {
        parts.push(Part::ResponseBody);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Rule, User};

    #[test]
    fn the_first_field_that_fails_is_told() {
        let rule = |level: &str| Rule { level: level.to_owned(), ..Rule::default() };
        let policy = Policy {
            rules: vec![
                Rule { users: vec!["bob".into()], ..rule("None") },
                Rule { verbs: vec!["list".into()], ..rule("None") },
                Rule { omit_stages: vec!["RequestReceived".into()], ..rule("Request") },
                rule("None"),
            ],
            ..Policy::default()
        };
        let attributes = Attributes { user: Some(User { name: "eve", groups: &[] }), verb: "create", is_resource_request: true, ..Attributes::default() };
        let explanation = explain(&policy, &attributes, RequestLength::Short);
        assert_eq!(explanation.passed_over, [Mismatch::Users, Mismatch::Verbs]);
        assert_eq!(explanation.decision.rule, Some(2));
        assert_eq!(explanation.stages[0], (Stage::RequestReceived, None));
        let parts = vec![Part::Who, Part::What, Part::Outcome, Part::RequestBody];
        assert_eq!(explanation.stages[1], (Stage::ResponseComplete, Some(parts)));
        let nobody = explain(&policy, &Attributes { user: None, ..attributes }, RequestLength::Short);
        assert_eq!(nobody.stages.len(), 1);
    }
}
