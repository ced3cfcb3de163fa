//! Bodies that should not be in a log, or are not worth their bytes.

use super::super::model::{Policy, Rule, User};
use super::super::walk::resource_matches;
use super::probe::{Probe, by_rule, probe};
use super::reach::{Cell, Reach, Thing, things};
use super::{Found, has, listed};

/// A kind whose bodies are sensitive.
struct Sensitive {
    code: &'static str,
    group: &'static str,
    name: &'static str,
    /// Verbs whose requests hold it.
    requests: &'static [&'static str],
    /// Verbs whose responses hold it too.
    responses: &'static [&'static str],
}

const WRITES: &[&str] = &["create", "update", "patch"];
/// A deleted object is in the response as well, unless it is a Status; those of deletecollection are a list.
const READS: &[&str] = &["get", "list", "deletecollection"];

const SENSITIVE: [Sensitive; 5] = [
    Sensitive { code: "secret-bodies", group: "", name: "secrets", requests: WRITES, responses: READS },
    Sensitive { code: "secret-bodies", group: "", name: "serviceaccounts/token", requests: &[], responses: &["create"] },
    Sensitive { code: "secret-bodies", group: "authentication.k8s.io", name: "tokenreviews", requests: &["create"], responses: &[] },
    Sensitive { code: "sensitive-bodies", group: "", name: "configmaps", requests: WRITES, responses: READS },
    Sensitive { code: "sensitive-bodies", group: "certificates.k8s.io", name: "certificatesigningrequests", requests: WRITES, responses: READS },
];

pub(super) fn check(policy: &Policy, reach: &mut Reach<'_>, found: &mut Found<'_>) {
    let mut n_told = 0;
    for (index, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| has_bodies(&rule.level)) {
        for code in ["secret-bodies", "sensitive-bodies"] {
            let kinds: Vec<&Sensitive> = SENSITIVE.iter().filter(|kind| kind.code == code && holds(index, rule, kind, reach)).collect();
            if !kinds.is_empty() {
                sensitive(code, index, rule, &kinds, n_told == 0, found);
                n_told += 1;
            }
        }
    }
    noise(policy, found);
    lists(policy, reach, found);
}

pub(super) fn has_bodies(level: &str) -> bool {
    matches!(level, "Request" | "RequestResponse")
}

/// Whether the rule keeps bodies of that kind.
fn holds(index: usize, rule: &Rule, kind: &Sensitive, reach: &mut Reach<'_>) -> bool {
    let responses = if rule.level == "RequestResponse" { kind.responses } else { &[] };
    kind.requests.iter().chain(responses).any(|verb| decides(index, rule, verb, kind.group, kind.name, reach))
}

/// Whether the rule decides requests of that verb for that resource.
pub(super) fn decides(index: usize, rule: &Rule, verb: &str, group: &str, name: &str, reach: &mut Reach<'_>) -> bool {
    if !(rule.verbs.is_empty() || has(&rule.verbs, verb)) {
        return false;
    }
    let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
    let is_cluster_scoped = super::words::CLUSTER_SCOPED.contains(&resource);
    if is_cluster_scoped && !rule.namespaces.is_empty() && !has(&rule.namespaces, "") {
        return false;
    }
    things(rule).into_iter().any(|thing| {
        let names = match thing {
            Thing::Any | Thing::Resources => &[][..],
            Thing::Url(_) => return false,
            Thing::Resource { group: named, pattern, names } => {
                let is_it = (named == group || named == "*") && pattern.is_none_or(|pattern| resource_matches(pattern, resource, subresource));
                if !is_it {
                    return false;
                }
                names
            }
        };
        reach.covering(index, Cell { verb: Some(verb), thing: Thing::Resource { group, pattern: Some(name), names } }).is_none()
    })
}

fn sensitive(code: &'static str, index: usize, rule: &Rule, kinds: &[&Sensitive], is_first: bool, found: &mut Found<'_>) {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let what = if code == "secret-bodies" { "whoever reads the log reads them" } else { "they often hold what is not for every reader of it" };
    let advice = if is_first && rule.level == "RequestResponse" {
        ". That critical resources be recorded at RequestResponse is good advice for those whose bodies are no secret"
    } else {
        ""
    };
    let lines: Vec<String> = kinds.iter().map(|kind| format!("{{group: {:?}, resources: [{:?}]}}", kind.group, kind.name)).collect();
    let span = found.field(index, "level");
    let message = format!("bodies of {} come into the log at {}: {what}{advice}", listed(&names), rule.level);
    found.add(code, span, message, format!("above this rule: `- {{level: Metadata, resources: [{}]}}`", lines.join(", ")));
}

const NODE: User<'static> = User { name: "system:node:a", groups: &["system:nodes", "system:authenticated"] };
const CONTROLLER: User<'static> = User { name: "system:kube-controller-manager", groups: &["system:authenticated"] };

/// What components send all the time.
static NOISE: [(User<'static>, Probe); 6] = [
    (NODE, probe("heartbeats (`leases`)", "update", "coordination.k8s.io", "leases", "kube-node-lease")),
    (CONTROLLER, probe("leader election (`leases`)", "update", "coordination.k8s.io", "leases", "kube-system")),
    (NODE, probe("`nodes/status` of kubelets", "patch", "", "nodes/status", "")),
    (NODE, probe("`pods/status` of kubelets", "patch", "", "pods/status", "default")),
    (NODE, probe("`events` of kubelets", "create", "", "events", "default")),
    (CONTROLLER, probe("`events.events.k8s.io` of controllers", "create", "events.k8s.io", "events", "default")),
];

fn noise(policy: &Policy, found: &mut Found<'_>) {
    let requests = NOISE.iter().map(|(who, noise)| (*who, noise));
    for (rule, whats) in by_rule(policy, requests, |decision| has_bodies(decision.level)) {
        let span = found.field(rule, "level");
        let message = format!("bodies that say little and come all the time: {}", whats.join(", "));
        found.add("noise-bodies", span, message, "above this rule: the same users and resources at `None` or `Metadata`");
    }
}

/// Rules that record what lists answer.
fn lists(policy: &Policy, reach: &mut Reach<'_>, found: &mut Found<'_>) {
    for (index, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| rule.level == "RequestResponse") {
        let lists = rule.verbs.is_empty() || has(&rule.verbs, "list");
        let is_open = |thing: Thing<'_>| match thing {
            Thing::Url(_) => false,
            Thing::Resource { pattern: Some(pattern), .. } if pattern.contains('/') => false,
            thing => reach.covering(index, Cell { verb: Some("list"), thing }).is_none(),
        };
        if lists && things(rule).into_iter().any(is_open) {
            let span = found.field(index, "level");
            let message = "each `list` brings the whole list into the log";
            found.add("list-bodies", span, message, "above this rule: the same resources with `verbs: [\"get\", \"list\", \"watch\"]` at `Metadata`");
        }
    }
}
