//! API groups and resources that no request is for.

use super::super::load::validate::nearest;
use super::super::load::{Node, Span, TargetVersion};
use super::super::model::{GroupResources, Policy};
use super::{Edit, Found, begin, listed};
use crate::filter::kinds::{KINDS, Kind, find_kind};

/// Subresources of built-in kinds; every kind may have `status` and `scale` besides.
const SUBRESOURCES: [(&str, &[&str]); 7] = [
    ("pods", &["log", "exec", "attach", "portforward", "proxy", "binding", "eviction", "ephemeralcontainers", "resize"]),
    ("services", &["proxy"]),
    ("nodes", &["proxy"]),
    ("serviceaccounts", &["token"]),
    ("namespaces", &["finalize"]),
    ("certificatesigningrequests", &["approval"]),
    ("deployments", &["rollback"]),
];
/// Groups of kube-apiserver that are not in [`KINDS`], and those that clusters have beside it.
const MORE_GROUPS: [&str; 5] = ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io", "internal.apiserver.k8s.io", "storagemigration.k8s.io"];

pub(super) fn check(policy: &Policy, target: TargetVersion, found: &mut Found<'_>) {
    for (index, rule) in policy.rules.iter().enumerate() {
        for (at, entry) in rule.resources.iter().enumerate() {
            let node = found.entry(index, at);
            self::entry(entry, node, target, found);
        }
        subresource_in_comment(index, &rule.resources, found);
    }
}

fn is_built_in(group: &str) -> bool {
    MORE_GROUPS.contains(&group) || KINDS.iter().any(|kind| kind.groups.contains(&group))
}

fn entry(entry: &GroupResources, node: &Node, target: TargetVersion, found: &mut Found<'_>) {
    let group_span = node.get("group").map_or_else(|| begin(found.text, node.span), |group| begin(found.text, group.span));
    if let Some((message, fix, meant)) = unknown_group(&entry.group) {
        found.add("group-unknown", group_span, message, fix).edits = in_place(group_span, meant);
    }
    let mut elsewhere: Vec<(&str, &'static str)> = Vec::new();
    let list = node.get("resources");
    for (at, text) in entry.resources.iter().enumerate() {
        let span = list.and_then(|list| list.items().get(at)).map_or(group_span, |item| begin(found.text, item.span));
        match judge(text, &entry.group) {
            Judgement::Fine => {}
            Judgement::Never { message, fix, meant } => {
                found.add("resource-never-matches", span, message, fix).edits = in_place(span, meant.as_deref());
            }
            Judgement::Elsewhere(group) => elsewhere.push((text, group)),
        }
    }
    if entry.group == "extensions" && !target.has_extensions() && !entry.resources.is_empty() {
        let message = "group `extensions` has no resources since Kubernetes 1.22";
        found.add("group-of-resource", group_span, message, "write `apps`, `networking.k8s.io` or `policy`, where they are now");
    }
    if let Some((_, group)) = elsewhere.first() {
        let names: Vec<&str> = elsewhere.iter().map(|(name, _)| *name).collect();
        let is_one = elsewhere.iter().all(|(_, other)| other == group);
        let (verb, place) = (
            if names.len() == 1 { "is" } else { "are" },
            if entry.group.is_empty() { "the core group".to_owned() } else { format!("group `{}`", entry.group) },
        );
        let wanted: Vec<String> = elsewhere.iter().map(|(name, group)| format!("`{name}` is in group `{group}`")).collect();
        let fix = if is_one { format!("write `group: {group:?}`") } else { wanted.join(", ") };
        let is_safe = is_one && names.len() == entry.resources.len() && node.get("group").is_some();
        found.add("group-of-resource", group_span, format!("{} {verb} not in {place}", listed(&names)), fix).edits =
            in_place(group_span, is_safe.then_some(*group));
    }
}

fn in_place(span: Span, meant: Option<&str>) -> Vec<Edit> {
    meant.map(|meant| Edit { start: span.start, end: span.end, text: format!("{meant:?}") }).into_iter().collect()
}

fn unknown_group(group: &str) -> Option<(String, String, Option<&'static str>)> {
    if group.is_empty() || group == "*" || is_built_in(group) {
        return None;
    }
    if matches!(group, "core" | "v1" | "api") {
        return Some((format!("there is no API group `{group}`: the core group's name is empty"), "write `group: \"\"`".to_owned(), Some("")));
    }
    let known = || KINDS.iter().flat_map(|kind| kind.groups.iter().copied());
    if !group.contains('.') {
        let whole = known().find(|known| known.split_once('.').is_some_and(|(first, _)| first == group));
        let meant = whole.or_else(|| nearest(group, &known().filter(|known| !known.is_empty()).collect::<Vec<_>>()))?;
        return Some((format!("there is no API group `{group}`"), format!("write `{meant}`"), whole));
    }
    let meant = known().filter(|known| known.ends_with(".k8s.io")).find(|known| nearest(group, &[known]).is_some());
    let is_ours = group.ends_with(".k8s.io") && group.matches('.').count() == 2;
    meant.filter(|_| is_ours).map(|meant| (format!("there is no API group `{group}`"), format!("write `{meant}`"), None))
}

enum Judgement {
    Fine,
    Never { message: String, fix: String, meant: Option<String> },
    Elsewhere(&'static str),
}

impl Judgement {
    fn never(message: String, fix: impl Into<String>) -> Self {
        Self::Never { message, fix: fix.into(), meant: None }
    }

    fn meant(message: String, meant: String) -> Self {
        Self::Never { message, fix: format!("write `{meant}`"), meant: Some(meant) }
    }
}

fn judge(text: &str, group: &str) -> Judgement {
    let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
    match (resource, subresource) {
        ("*", "*") => return Judgement::never("`*/*` matches nothing".to_owned(), "write `*`, which is every resource and subresource of the group"),
        ("*", _) => return Judgement::Fine,
        ("", _) => return Judgement::never(format!("`{text}` is the name of no resource"), "leave it out, or write `*` for all resources of the group"),
        _ => {}
    }
    if resource.contains('*') || (subresource.contains('*') && subresource != "*") {
        return Judgement::never(format!("`{text}` matches nothing: `*` stands for a whole resource or subresource only"), "name the resources");
    }
    if subresource.contains('/') {
        return Judgement::never(
            format!("`{text}` matches nothing: a resource has one subresource"),
            format!("write `{resource}/{}`", subresource.split('/').next().unwrap_or_default()),
        );
    }
    if let Some((plural, rest)) = resource.split_once('.')
        && find_kind(plural).is_some()
    {
        return Judgement::never(
            format!("`{text}` matches nothing: the group stands in `group`"),
            format!("write `group: {rest:?}` and `resources: [{plural:?}]`"),
        );
    }
    let Some(kind) = find_kind(resource) else {
        return unknown_resource(text, group);
    };
    let is_its_group = group == "*" || kind.groups.contains(&group);
    if kind.plural != resource {
        // A custom resource may be named as a built-in kind is for short.
        if !is_its_group && !group.is_empty() {
            return Judgement::Fine;
        }
        let slash = if subresource.is_empty() { "" } else { "/" };
        return Judgement::meant(
            format!("`{text}` matches nothing: resources are plural, in small letters, and never short"),
            format!("{}{slash}{subresource}", kind.plural),
        );
    }
    if !is_its_group && is_built_in(group) {
        return Judgement::Elsewhere(kind.groups[0]);
    }
    if is_its_group { subresource_of(kind, text, subresource) } else { Judgement::Fine }
}

fn subresource_of(kind: &Kind, text: &str, subresource: &str) -> Judgement {
    let known = SUBRESOURCES.iter().find(|(plural, _)| *plural == kind.plural).map_or(&[][..], |(_, known)| known);
    if matches!(subresource, "" | "*" | "status" | "scale") || known.contains(&subresource) {
        return Judgement::Fine;
    }
    match nearest(subresource, known).or_else(|| (subresource == "logs").then_some("log")) {
        Some(meant) => Judgement::meant(format!("`{text}` matches nothing: there is no subresource `{subresource}`"), format!("{}/{meant}", kind.plural)),
        // Later releases may have more.
        None => Judgement::Fine,
    }
}

fn unknown_resource(text: &str, group: &str) -> Judgement {
    let owner = SUBRESOURCES.iter().find(|(_, known)| known.contains(&text) || (text == "logs" && known.contains(&"log")));
    if let Some((plural, _)) = owner.filter(|_| is_built_in(group)) {
        let subresource = if text == "logs" { "log" } else { text };
        return Judgement::never(format!("`{text}` is no resource of its own"), format!("write `{plural}/{subresource}`"));
    }
    let of_group: Vec<&str> = KINDS.iter().filter(|kind| kind.groups.contains(&group)).map(|kind| kind.plural).collect();
    let resource = text.split('/').next().unwrap_or(text);
    match nearest(resource, &of_group) {
        Some(meant) => Judgement::meant(format!("`{text}` matches nothing: there is no such resource"), text.replacen(resource, meant, 1)),
        None if group.is_empty() => {
            let fix = "custom resources are in groups of their own, as `kubectl api-resources` shows them";
            Judgement::never(format!("`{text}` is no resource of the core group"), fix)
        }
        None => Judgement::Fine,
    }
}

/// A comment that says `pods/exec`, above a rule that says `pods`.
fn subresource_in_comment(index: usize, entries: &[GroupResources], found: &mut Found<'_>) {
    let comment = comment_above(found.text, found.rule(index).span);
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.group.is_empty()) {
        let named = |resource: &str| entry.resources.iter().any(|known| known == resource);
        let missing: Vec<String> = SUBRESOURCES
            .iter()
            .filter(|(plural, _)| named(plural) && !named(&format!("{plural}/*")))
            .flat_map(|(plural, known)| known.iter().map(move |subresource| format!("{plural}/{subresource}")))
            .filter(|combined| !named(combined) && comment.contains(combined.as_str()))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let span = found.entry(index, at).get("resources").map_or_else(|| found.rule_span(index), |list| begin(found.text, list.span));
        let quoted: Vec<String> = missing.iter().map(|name| format!("{name:?}")).collect();
        let message = format!("the comment says {}, and `{}` does not match subresources", listed(&missing), missing[0].split('/').next().unwrap_or_default());
        found.add("subresource-not-named", span, message, format!("add {}", quoted.join(", ")));
    }
}

/// The lines of comment directly above a rule.
fn comment_above(text: &str, rule: Span) -> String {
    let start = text[..rule.start].rfind('\n').map_or(0, |at| at + 1);
    let above = text[..start].lines().rev().take_while(|line| line.trim_start().starts_with('#')).take(20);
    above.collect::<Vec<_>>().join("\n")
}
