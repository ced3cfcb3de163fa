//! The plain walk over a policy: rule by rule, field by field, in kube-apiserver's order. It is what [`Compiled`](super::Compiled)
//! is measured against, and what tells why a rule did not match.
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/audit/policy/checker.go` (v0.36.3).

use super::decision::{Decision, OmittedStages};
use super::model::{Attributes, GroupResources, Policy, Rule};

/// Asks the rules in their order.
pub fn walk<'p>(policy: &'p Policy, attributes: &Attributes<'_>) -> Decision<'p> {
    let index = policy.rules.iter().position(|rule| mismatch(rule, attributes).is_none());
    decision_of(policy, index)
}

/// The decision of the rule of that index, or of no rule.
pub(super) fn decision_of(policy: &Policy, index: Option<usize>) -> Decision<'_> {
    match index.and_then(|index| policy.rules.get(index)) {
        Some(rule) => Decision {
            level: &rule.level,
            omit_stages: OmittedStages::new(&policy.omit_stages, &rule.omit_stages),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(policy.omit_managed_fields),
            rule: index,
        },
        None => {
            Decision { level: "None", omit_stages: OmittedStages::new(&policy.omit_stages, &[]), omit_managed_fields: policy.omit_managed_fields, rule: None }
        }
    }
}

/// The first field by which a rule does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// `users` does not name the user.
    Users,
    /// `userGroups` names none of the user's groups.
    UserGroups,
    /// `verbs` does not name the verb.
    Verbs,
    /// The rule has `resources` or `namespaces`, the request is not one of a resource.
    ForResources,
    /// `namespaces` does not name the request's.
    Namespaces,
    /// No entry of `resources` is of the request's API group.
    ApiGroup,
    /// Entries of that group are there, but none names the resource (with its subresource).
    Resource,
    /// An entry names the resource, but its `resourceNames` not the object.
    ResourceNames,
    /// The rule has `nonResourceURLs`, the request is one of a resource.
    ForUrls,
    /// `nonResourceURLs` does not match the path.
    NonResourceUrls,
}

impl Mismatch {
    /// The rule's field, as a policy spells it.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::UserGroups => "userGroups",
            Self::Verbs => "verbs",
            Self::ForResources | Self::ApiGroup | Self::Resource => "resources",
            Self::Namespaces => "namespaces",
            Self::ResourceNames => "resourceNames",
            Self::ForUrls | Self::NonResourceUrls => "nonResourceURLs",
        }
    }

    /// Why the request does not match, for people.
    #[must_use]
    pub fn reason(self, attributes: &Attributes<'_>) -> String {
        let user = attributes.user.map(|user| user.name);
        match self {
            Self::Users => user.map_or_else(|| "nobody is authenticated, and users is set".to_owned(), |user| format!("user {user} is not in users")),
            Self::UserGroups => "none of the user's groups is in userGroups".to_owned(),
            Self::Verbs => format!("verb `{}` is not in verbs", attributes.verb),
            Self::ForResources => "is for resources".to_owned(),
            Self::Namespaces if attributes.namespace.is_empty() => "the request has no namespace, which namespaces does not name".to_owned(),
            Self::Namespaces => format!("namespace {} is not in namespaces", attributes.namespace),
            Self::ApiGroup => format!("no resources of API group \"{}\"", attributes.api_group),
            Self::Resource if attributes.subresource.is_empty() => format!("resource {} is not in resources", attributes.resource),
            Self::Resource => format!("resource {}/{} is not in resources", attributes.resource, attributes.subresource),
            Self::ResourceNames if attributes.name.is_empty() => "the request has no name, and resourceNames is set".to_owned(),
            Self::ResourceNames => format!("name {} is not in resourceNames", attributes.name),
            Self::ForUrls => "is for URLs".to_owned(),
            Self::NonResourceUrls => format!("path {} is not in nonResourceURLs", attributes.path),
        }
    }
}

/// Why `rule` does not match; nothing if it does.
pub fn mismatch(rule: &Rule, attributes: &Attributes<'_>) -> Option<Mismatch> {
    if !rule.users.is_empty() && !attributes.user.is_some_and(|user| has(&rule.users, user.name)) {
        return Some(Mismatch::Users);
    }
    if !rule.user_groups.is_empty() && !attributes.user.is_some_and(|user| user.groups.iter().any(|group| has(&rule.user_groups, group))) {
        return Some(Mismatch::UserGroups);
    }
    if !rule.verbs.is_empty() && !has(&rule.verbs, attributes.verb) {
        return Some(Mismatch::Verbs);
    }
    if !rule.namespaces.is_empty() || !rule.resources.is_empty() {
        return resource_mismatch(rule, attributes);
    }
    if rule.non_resource_urls.is_empty() {
        return None;
    }
    if attributes.is_resource_request {
        return Some(Mismatch::ForUrls);
    }
    let matches = rule.non_resource_urls.iter().any(|pattern| url_matches(pattern, attributes.path));
    (!matches).then_some(Mismatch::NonResourceUrls)
}

fn resource_mismatch(rule: &Rule, attributes: &Attributes<'_>) -> Option<Mismatch> {
    if !attributes.is_resource_request {
        return Some(Mismatch::ForResources);
    }
    if !rule.namespaces.is_empty() && !has(&rule.namespaces, attributes.namespace) {
        return Some(Mismatch::Namespaces);
    }
    if rule.resources.is_empty() {
        return None;
    }
    let mut nearest = Mismatch::ApiGroup;
    for entry in &rule.resources {
        match entry_mismatch(entry, attributes) {
            None => return None,
            Some(Mismatch::ResourceNames) => nearest = Mismatch::ResourceNames,
            Some(Mismatch::Resource) if nearest == Mismatch::ApiGroup => nearest = Mismatch::Resource,
            Some(_) => {}
        }
    }
    Some(nearest)
}

fn entry_mismatch(entry: &GroupResources, attributes: &Attributes<'_>) -> Option<Mismatch> {
    if entry.group != attributes.api_group && entry.group != "*" {
        return Some(Mismatch::ApiGroup);
    }
    if entry.resources.is_empty() {
        return None;
    }
    if !entry.resources.iter().any(|pattern| resource_matches(pattern, attributes.resource, attributes.subresource)) {
        return Some(Mismatch::Resource);
    }
    let named = entry.resource_names.is_empty() || has(&entry.resource_names, attributes.name);
    (!named).then_some(Mismatch::ResourceNames)
}

/// Whether a string of `resources` means the resource: `pods` only without a subresource, `pods/log` only with it, `pods/*`
/// with any and without, `*/scale` that of any resource, `*` everything.
pub(super) fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    let is_whole = match (pattern.strip_prefix(resource), subresource) {
        (Some(rest), "") => rest.is_empty(),
        (Some(rest), subresource) => rest.strip_prefix('/') == Some(subresource),
        (None, _) => false,
    };
    is_whole || pattern == "*" || (!subresource.is_empty() && pattern.strip_prefix("*/") == Some(subresource)) || pattern.strip_suffix("/*") == Some(resource)
}

/// Whether a string of `nonResourceURLs` means the path; all stars at its end go before it is taken as a prefix.
pub(super) fn url_matches(pattern: &str, path: &str) -> bool {
    pattern == "*" || pattern == path || (pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*')))
}

/// Whether a rule's list names the word.
pub(super) fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|item| item == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_resources() {
        let cases = [
            ("pods", "pods", "", true),
            ("pods", "pods", "log", false),
            ("pods/log", "pods", "log", true),
            ("pods/log", "pods", "", false),
            ("pods/log", "pods/log", "", true),
            ("pods/*", "pods", "", true),
            ("pods/*", "pods", "exec", true),
            ("*/scale", "deployments", "scale", true),
            ("*/scale", "deployments", "", false),
            ("*", "pods", "log", true),
            ("*/*", "pods", "log", false),
            ("*/*", "pods", "*", true),
            ("*/*", "*", "", true),
            ("po*", "pods", "", false),
            ("", "", "", true),
            ("/x", "", "x", true),
        ];
        for (pattern, resource, subresource, wanted) in cases {
            assert_eq!(resource_matches(pattern, resource, subresource), wanted, "{pattern} {resource} {subresource}");
        }
    }

    #[test]
    fn strings_of_urls() {
        for (pattern, path, wanted) in [
            ("/healthz*", "/healthzfoo", true),
            ("/healthz/*", "/healthz", false),
            ("/a**", "/a", true),
            ("/a*b", "/a*b", true),
            ("/a*b", "/axb", false),
            ("*", "", true),
        ] {
            assert_eq!(url_matches(pattern, path), wanted, "{pattern} {path}");
        }
    }
}
