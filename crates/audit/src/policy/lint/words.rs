//! Verbs, users, groups, namespaces, names and paths that no request has.

use super::super::load::validate::nearest;
use super::super::load::{Node, Value};
use super::super::model::{Policy, Rule};
use super::super::request_info;
use super::{Edit, Found, has, listed};

/// Verbs of requests for resources (`k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`); `proxy` is that of the paths of old.
const VERBS: [&str; 9] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "proxy"];
/// HTTP methods, which are the verbs of other requests.
const METHODS: [&str; 9] = ["get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"];
/// What RBAC calls verbs, and no request has.
const RIGHTS: [&str; 7] = ["use", "bind", "escalate", "impersonate", "approve", "sign", "attest"];
/// Ways into a pod.
const WAYS_IN: [&str; 3] = ["exec", "attach", "portforward"];
/// Users that kube-apiserver and kubeadm name, besides nodes and service accounts.
const USERS: [&str; 8] = [
    "system:anonymous",
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    "system:cloud-controller-manager",
    "system:unsecured",
    "kubernetes-admin",
];
/// Groups of the same kind.
const GROUPS: [&str; 7] =
    ["system:masters", "system:nodes", "system:authenticated", "system:unauthenticated", "system:monitoring", "system:bootstrappers", "kubeadm:cluster-admins"];
/// Built-in resources whose objects have no namespace, without `namespaces`, whose objects count as in themselves.
pub(super) const CLUSTER_SCOPED: [&str; 38] = [
    "apiservices",
    "auditsinks",
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "clustertrustbundles",
    "componentstatuses",
    "csidrivers",
    "csinodes",
    "customresourcedefinitions",
    "deviceclasses",
    "devicetaintrules",
    "flowschemas",
    "ingressclasses",
    "ipaddresses",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "nodes",
    "persistentvolumes",
    "podsecuritypolicies",
    "priorityclasses",
    "prioritylevelconfigurations",
    "resourceslices",
    "runtimeclasses",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "servicecidrs",
    "storageclasses",
    "subjectaccessreviews",
    "tokenreviews",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
    "volumeattachments",
    "volumeattributesclasses",
    "storageversions",
];

pub(super) fn check(policy: &Policy, found: &mut Found<'_>) {
    for (index, rule) in policy.rules.iter().enumerate() {
        verbs(index, rule, found);
        users(index, rule, found);
        groups(index, rule, found);
        namespaces(index, rule, found);
        names(index, rule, found);
        urls(index, rule, found);
    }
}

fn verbs(index: usize, rule: &Rule, found: &mut Found<'_>) {
    let is_for_resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    let is_for_urls = !rule.non_resource_urls.is_empty();
    for (at, verb) in rule.verbs.iter().enumerate() {
        let is_of_resources = verb.is_empty() || VERBS.contains(&verb.as_str());
        let is_method = METHODS.contains(&verb.as_str());
        if (is_of_resources && !is_for_urls) || (is_method && !is_for_resources) {
            continue;
        }
        let span = found.item(index, "verbs", at);
        let lower = verb.to_ascii_lowercase();
        let (message, fix, meant) = match lower.as_str() {
            "*" => ("`*` is no wildcard in `verbs`".to_owned(), "leave `verbs` out: the rule is for all of them then".to_owned(), None),
            _ if is_for_urls && is_of_resources => (
                format!("`{verb}` is the verb of no request for a URL"),
                "for URLs verbs are HTTP methods: get, post, put, patch, delete, head".to_owned(),
                None,
            ),
            known if known != verb && VERBS.contains(&known) && !is_for_urls => {
                (format!("`{verb}` never matches: verbs are in small letters"), format!("write `{known}`"), Some(known))
            }
            "post" => (format!("`{verb}` is a method, and requests for resources have verbs"), "write `create`".to_owned(), Some("create")),
            "put" => (format!("`{verb}` is a method, and requests for resources have verbs"), "write `update`".to_owned(), Some("update")),
            "head" => (format!("`{verb}` is a method, and requests for resources have verbs"), "write `get`".to_owned(), None),
            way @ ("exec" | "attach" | "portforward" | "port-forward" | "log" | "logs") => {
                let subresource = way.replace('-', "").trim_end_matches('s').to_owned();
                let verbs = if subresource == "log" { "verb `get`" } else { "verbs `get` and `create`" };
                (format!("`{verb}` is no verb"), format!("write resource `pods/{subresource}` with {verbs}"), None)
            }
            "connect" => {
                let message = "`connect` is the verb of admission, not of audit".to_owned();
                (message, "name `pods/exec`, `pods/attach` and `pods/portforward` with `get` and `create`".to_owned(), None)
            }
            right if RIGHTS.contains(&right) => (format!("`{verb}` is a right that RBAC knows, and the verb of no request"), "leave it out".to_owned(), None),
            "apply" => ("`apply` is no verb: kubectl apply sends `patch`, `create` and `get`".to_owned(), "write `patch` and `create`".to_owned(), None),
            "edit" | "modify" | "write" | "change" => (format!("`{verb}` is no verb"), "write `create`, `update` and `patch`".to_owned(), None),
            "read" | "view" => (format!("`{verb}` is no verb"), "write `get`, `list` and `watch`".to_owned(), None),
            other => {
                let meant = nearest(other, &VERBS);
                let fix = meant.map_or_else(|| format!("verbs are {}", VERBS[..8].join(", ")), |meant| format!("write `{meant}`"));
                (format!("`{verb}` is the verb of no request"), fix, None)
            }
        };
        let edits = meant.filter(|meant| !has(&rule.verbs, meant)).map(|meant| Edit { start: span.start, end: span.end, text: format!("{meant:?}") });
        found.add("verb-never-matches", span, message, fix).edits = edits.into_iter().collect();
    }
    half_of_exec(index, rule, found);
}

/// kubectl opens these with GET over WebSockets (from 1.31) and with POST over SPDY.
fn half_of_exec(index: usize, rule: &Rule, found: &mut Found<'_>) {
    let named: Vec<&str> = rule
        .resources
        .iter()
        .filter(|entry| entry.group.is_empty())
        .flat_map(|entry| &entry.resources)
        .filter_map(|resource| resource.strip_prefix("pods/"))
        .filter(|subresource| WAYS_IN.contains(subresource))
        .collect();
    let (gets, creates) = (has(&rule.verbs, "get"), has(&rule.verbs, "create"));
    if named.is_empty() || gets == creates {
        return;
    }
    let (missing, clients) = if gets { ("create", "clients that use SPDY") } else { ("get", "kubectl from 1.31, which uses WebSockets") };
    let span = found.field(index, "verbs");
    found.add("half-of-exec", span, format!("{} of {clients} has the verb `{missing}`", listed(&named)), format!("add `{missing}`"));
}

fn users(index: usize, rule: &Rule, found: &mut Found<'_>) {
    let is_group = |user: &str| GROUPS.contains(&user) || user.starts_with("system:serviceaccounts") || user.starts_with("system:bootstrappers:");
    let all_are_groups = rule.user_groups.is_empty() && rule.users.iter().all(|user| is_group(user));
    for (at, user) in rule.users.iter().enumerate() {
        let span = found.item(index, "users", at);
        let account = user.strip_prefix("system:serviceaccount:");
        if user.contains('*') {
            let fix = match (user.as_str(), account.and_then(|rest| rest.strip_suffix(":*"))) {
                ("*", _) => "leave `users` out: the rule is for everybody then".to_owned(),
                (_, Some("*")) => "write `userGroups: [\"system:serviceaccounts\"]`".to_owned(),
                (_, Some(namespace)) => format!("write `userGroups: [\"system:serviceaccounts:{namespace}\"]`"),
                ("system:node:*" | "system:nodes:*", _) => "write `userGroups: [\"system:nodes\"]`".to_owned(),
                ("system:serviceaccount:*", _) => "write `userGroups: [\"system:serviceaccounts\"]`".to_owned(),
                _ => "name the users, or a group of them in `userGroups`".to_owned(),
            };
            found.add("wildcard-never-matches", span, format!("`{user}` matches nobody: `*` is no wildcard in `users`"), fix);
        } else if is_group(user) {
            let edits = if all_are_groups && at == 0 { renamed(found.rule(index), "users", "userGroups", found.text) } else { Vec::new() };
            found.add("group-as-user", span, format!("`{user}` is a group, and stands in `users`"), "write it in `userGroups`").edits = edits;
        } else if let Some(rest) = account
            && rest.split(':').filter(|part| !part.is_empty()).count() != 2
        {
            let fix = match rest.split_once('/') {
                Some((namespace, name)) => format!("write `system:serviceaccount:{namespace}:{name}`"),
                None => "write `system:serviceaccount:NAMESPACE:NAME`; all of a namespace are the group `system:serviceaccounts:NAMESPACE`".to_owned(),
            };
            found.add("user-never-matches", span, format!("`{user}` is no service account: a namespace and a name are wanted"), fix);
        } else if user.starts_with("serviceaccount:") || user.starts_with("serviceaccounts:") {
            found.add("user-never-matches", span, format!("`{user}` is nobody"), "service accounts are `system:serviceaccount:NAMESPACE:NAME`");
        }
    }
}

fn groups(index: usize, rule: &Rule, found: &mut Found<'_>) {
    let is_user = |group: &str| {
        USERS.contains(&group)
            || group.starts_with("system:node:")
            || group.strip_prefix("system:serviceaccount:").is_some_and(|rest| rest.split(':').filter(|part| !part.is_empty()).count() == 2)
    };
    let all_are_users = rule.users.is_empty() && rule.user_groups.iter().all(|group| is_user(group));
    for (at, group) in rule.user_groups.iter().enumerate() {
        let span = found.item(index, "userGroups", at);
        if group.contains('*') {
            let fix = match group.as_str() {
                "*" => "leave `userGroups` out, or write `system:authenticated`",
                "system:serviceaccounts:*" | "system:serviceaccount:*" => "write `system:serviceaccounts`",
                _ => "name the groups",
            };
            found.add("wildcard-never-matches", span, format!("`{group}` matches nobody: `*` is no wildcard in `userGroups`"), fix);
        } else if is_user(group) {
            let edits = if all_are_users && at == 0 { renamed(found.rule(index), "userGroups", "users", found.text) } else { Vec::new() };
            found.add("user-as-group", span, format!("`{group}` is a user, and stands in `userGroups`"), "write it in `users`").edits = edits;
        }
    }
}

/// Another name for a field, where it is written without quotes.
fn renamed(rule: &Node, name: &str, other: &str, text: &str) -> Vec<Edit> {
    let Value::Map(members) = &rule.value else {
        return Vec::new();
    };
    let key = members.iter().find(|(key, _)| key.text == name && text.get(key.span.start..key.span.end) == Some(name));
    key.map(|(key, _)| Edit { start: key.span.start, end: key.span.end, text: other.to_owned() }).into_iter().collect()
}

fn namespaces(index: usize, rule: &Rule, found: &mut Found<'_>) {
    for (at, namespace) in rule.namespaces.iter().enumerate() {
        let span = found.item(index, "namespaces", at);
        if namespace.contains('*') {
            let fix = if namespace == "*" { "leave `namespaces` out: the rule is for all of them then" } else { "name the namespaces" };
            found.add("wildcard-never-matches", span, format!("`{namespace}` matches no namespace: `*` is no wildcard there"), fix);
        }
    }
    let named: Vec<&str> = rule.resources.iter().flat_map(|entry| &entry.resources).map(|resource| resource.split('/').next().unwrap_or_default()).collect();
    let is_whole = rule.resources.iter().all(|entry| !entry.resources.is_empty());
    let in_namespaces = !rule.namespaces.is_empty() && !has(&rule.namespaces, "");
    if in_namespaces && is_whole && !named.is_empty() {
        let outside: Vec<&str> = named.iter().copied().filter(|name| CLUSTER_SCOPED.contains(name)).collect();
        if !outside.is_empty() {
            let verb = if outside.len() == 1 { "has" } else { "have" };
            let span = found.field(index, "namespaces");
            found.add(
                "cluster-scoped",
                span,
                format!("{} {verb} no namespace, so no request for them is in one", listed(&outside)),
                "leave `namespaces` out, or add \"\" to it",
            );
        }
    }
}

fn names(index: usize, rule: &Rule, found: &mut Found<'_>) {
    for (entry_index, entry) in rule.resources.iter().enumerate() {
        let Some(list) = found.entry(index, entry_index).get("resourceNames") else {
            continue;
        };
        for (name, node) in entry.resource_names.iter().zip(list.items()) {
            if name.contains('*') {
                let message = format!("`{name}` matches no object: `*` is no wildcard in `resourceNames`");
                found.add("wildcard-never-matches", super::begin(found.text, node.span), message, "name the objects, or leave `resourceNames` out");
            }
        }
        let nameless: Vec<&str> = rule.verbs.iter().map(String::as_str).filter(|verb| matches!(*verb, "create" | "deletecollection")).collect();
        if nameless.is_empty() || entry.resource_names.is_empty() || has(&entry.resource_names, "") {
            continue;
        }
        let which = if nameless.len() == rule.verbs.len() { "the rule never matches" } else { "those are left to later rules" };
        let message = format!("a request to {} names no object when the policy is asked: {which}", listed(&nameless));
        found.add("names-never-match", super::begin(found.text, list.span), message, "make a rule of those verbs without `resourceNames`");
    }
}

fn urls(index: usize, rule: &Rule, found: &mut Found<'_>) {
    for (at, url) in rule.non_resource_urls.iter().enumerate() {
        let path = url.trim_end_matches('*').trim_end_matches('/');
        let is_resource = request_info::resolve(b"GET", path.as_bytes()).is_ok_and(|resolved| resolved.info.is_resource_request);
        if is_resource {
            let span = found.item(index, "nonResourceURLs", at);
            found.add(
                "url-of-resource",
                span,
                format!("requests for `{url}` are for resources, and `nonResourceURLs` never matches those"),
                "write `resources` instead",
            );
        }
    }
}
