//! Requests that a policy is asked about, to see what becomes of them.

use super::super::decision::Decision;
use super::super::model::{Attributes, Policy, User};
use super::super::walk::walk;

/// A request for a resource, and what people call it.
pub(super) struct Probe {
    pub(super) what: &'static str,
    verb: &'static str,
    group: &'static str,
    /// With its subresource.
    name: &'static str,
    /// Empty for what has none.
    namespace: &'static str,
}

pub(super) const fn probe(what: &'static str, verb: &'static str, group: &'static str, name: &'static str, namespace: &'static str) -> Probe {
    Probe { what, verb, group, name, namespace }
}

impl Probe {
    /// As asked by `user`.
    pub(super) fn attributes<'a>(&self, user: Option<User<'a>>) -> Attributes<'a> {
        let (resource, subresource) = self.name.split_once('/').unwrap_or((self.name, ""));
        Attributes {
            user,
            verb: self.verb,
            namespace: self.namespace,
            api_group: self.group,
            api_version: "v1",
            resource,
            subresource,
            name: "a",
            path: "/",
            is_resource_request: true,
        }
    }
}

/// What is asked for by requests of which a rule decides as `is_wanted` says, by the index of that rule.
pub(super) fn by_rule(
    policy: &Policy,
    requests: impl IntoIterator<Item = (User<'static>, &'static Probe)>,
    is_wanted: impl Fn(&Decision<'_>) -> bool,
) -> Vec<(usize, Vec<&'static str>)> {
    let mut found: Vec<(usize, Vec<&'static str>)> = Vec::new();
    for (user, request) in requests {
        let decision = walk(policy, &request.attributes(Some(user)));
        if let Some(rule) = decision.rule.filter(|_| is_wanted(&decision)) {
            match found.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, whats)) => whats.push(request.what),
                None => found.push((rule, vec![request.what])),
            }
        }
    }
    found
}
