//! Requests that a policy is asked about, to see what becomes of them.

use super::super::model::{Attributes, User};

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
