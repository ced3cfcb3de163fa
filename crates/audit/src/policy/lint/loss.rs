//! What leaves no trace: requests that no rule records, stages that are left out, patches that the server loses.

use super::super::load::TargetVersion;
use super::super::model::{Policy, User};
use super::super::walk::walk;
use super::bodies::{decides, has_bodies};
use super::probe::{Probe, by_rule, probe};
use super::reach::{Cell, Reach, Thing, things};
use super::{Found, Span, has};
use crate::Stage;

pub(super) fn check(policy: &Policy, target: TargetVersion, reach: &mut Reach<'_>, found: &mut Found<'_>) {
    let omits_all = |index: usize| {
        let omitted = |stage: &str| has(&policy.omit_stages, stage) || has(&policy.rules[index].omit_stages, stage);
        ["RequestReceived", "ResponseStarted", "ResponseComplete"].iter().all(|stage| omitted(stage))
    };
    let records = |index: usize| policy.rules[index].level != "None" && !omits_all(index);
    if !(0..policy.rules.len()).any(records) {
        let span = found.root.get("rules").map_or_else(Span::default, |rules| super::begin(found.text, rules.span));
        found.add("records-nothing", span, "no rule records anything", "end with `- level: Metadata`");
        return;
    }
    no_final_rule(policy, found);
    failed_logins(policy, found);
    blind_spots(policy, found);
    results(policy, found);
    if target.loses_patches() {
        patches(policy, target, reach, found);
    }
    request_received(policy, found);
}

/// The end of the policy, for what is missing there.
fn end(found: &Found<'_>) -> Span {
    let last = found.root.get("rules").map_or(0, |rules| rules.items().len()).saturating_sub(1);
    found.field(last, "level")
}

fn no_final_rule(policy: &Policy, found: &mut Found<'_>) {
    let is_final = |rule: &crate::policy::Rule| {
        rule.users.is_empty()
            && rule.user_groups.is_empty()
            && rule.verbs.is_empty()
            && rule.resources.is_empty()
            && rule.namespaces.is_empty()
            && rule.non_resource_urls.is_empty()
    };
    if !policy.rules.iter().any(is_final) {
        let span = end(found);
        let deeds: Vec<&str> = DEEDS.iter().filter(|deed| walk(policy, &deed.attributes(Some(SOMEONE))).rule.is_none()).map(|deed| deed.what).collect();
        let logins = walk(policy, &DEEDS[0].attributes(None)).rule.is_none().then_some("failed logins");
        let lost: Vec<&str> = logins.into_iter().chain(deeds).collect();
        let among = if lost.is_empty() { String::new() } else { format!(", so users leave no trace of: {}", lost.join(", ")) };
        let message = format!("what none of the rules names is not recorded{among}");
        found.add("no-final-rule", span, message, "end with `- level: Metadata`, or with `- level: None` if that is meant");
    }
}

/// What people want to know of: as in the rules of Falco and Sigma for Kubernetes, and the CIS benchmark's 3.2.2.
static DEEDS: [Probe; 9] = [
    probe("`kubectl exec` (WebSocket)", "get", "", "pods/exec", "default"),
    probe("`kubectl exec` (SPDY)", "create", "", "pods/exec", "default"),
    probe("reads of `secrets`", "get", "", "secrets", "default"),
    probe("changes of `secrets`", "update", "", "secrets", "default"),
    probe("tokens of service accounts", "create", "", "serviceaccounts/token", "default"),
    probe("changes of `clusterrolebindings`", "create", "rbac.authorization.k8s.io", "clusterrolebindings", ""),
    probe("changes of webhooks", "update", "admissionregistration.k8s.io", "validatingwebhookconfigurations", ""),
    probe("new `pods`", "create", "", "pods", "default"),
    probe("deletions of `pods`", "delete", "", "pods", "default"),
];

/// A user without any role.
const SOMEONE: User<'static> = User { name: "someone", groups: &["system:authenticated"] };

fn blind_spots(policy: &Policy, found: &mut Found<'_>) {
    let requests = DEEDS.iter().map(|deed| (SOMEONE, deed));
    for (rule, deeds) in by_rule(policy, requests, |decision| decision.level == "None") {
        let span = found.field(rule, "level");
        found.add("blind-spot", span, format!("users leave no trace of: {}", deeds.join(", ")), "above this rule record them at `Metadata`");
    }
}

/// What was not authenticated has no user, and its only event with a result is the ResponseStarted one
/// (`k8s.io/apiserver/pkg/endpoints/filters/authn_audit.go`).
fn failed_logins(policy: &Policy, found: &mut Found<'_>) {
    let requests = [probe("", "get", "", "secrets", "default"), probe("", "create", "", "pods", "default")];
    for request in &requests {
        let decision = walk(policy, &request.attributes(None));
        let is_omitted = decision.omit_stages.contains(Stage::ResponseStarted);
        let Some(rule) = decision.rule.filter(|_| decision.level == "None" || is_omitted) else {
            continue;
        };
        let (span, fix) = if is_omitted {
            let by_rule = has(&policy.rules[rule].omit_stages, "ResponseStarted");
            let of_policy = found.root.get("omitStages").filter(|_| !by_rule).map(|stages| super::begin(found.text, stages.span));
            (of_policy.unwrap_or_else(|| found.field(rule, "omitStages")), "leave `ResponseStarted` out of `omitStages`")
        } else {
            (found.field(rule, "level"), "end with `- level: Metadata`; above it limit `None` to `userGroups: [\"system:authenticated\"]`")
        };
        let message = "failed logins leave no trace: they have no user, and no event with their 401 but ResponseStarted";
        found.add("failed-logins-lost", span, message, fix);
        return;
    }
}

fn results(policy: &Policy, found: &mut Found<'_>) {
    let message = "without ResponseComplete nobody knows what came of a request";
    let fix = "leave `ResponseComplete` out of `omitStages`";
    if has(&policy.omit_stages, "ResponseComplete") {
        let span = found.root.get("omitStages").map_or_else(Span::default, |stages| super::begin(found.text, stages.span));
        found.add("results-lost", span, message, fix);
        return;
    }
    for (index, _) in policy.rules.iter().enumerate().filter(|(_, rule)| rule.level != "None" && has(&rule.omit_stages, "ResponseComplete")) {
        let span = found.field(index, "omitStages");
        found.add("results-lost", span, message, fix);
    }
}

/// Above Metadata the body of a patch goes into the event as it came, and an event that is no JSON is not written.
fn patches(policy: &Policy, target: TargetVersion, reach: &mut Reach<'_>, found: &mut Found<'_>) {
    for (index, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| has_bodies(&rule.level)) {
        let is_open = match things(rule).as_slice() {
            _ if !rule.verbs.is_empty() && !has(&rule.verbs, "patch") => false,
            things => things.iter().any(|thing| match thing {
                Thing::Url(_) => false,
                Thing::Resource { group, pattern: Some(pattern), .. } if !pattern.contains('*') => decides(index, rule, "patch", group, pattern, reach),
                thing => reach.covering(index, Cell { verb: Some("patch"), thing: *thing }).is_none(),
            }),
        };
        if is_open {
            let span = found.field(index, "level");
            let message = format!(
                "at {} a patch that is not JSON (`kubectl apply --server-side` sends YAML) loses its event, and with a webhook the batch around it, up to Kubernetes 1.36; this is for {target}",
                rule.level
            );
            found.add("patches-lost", span, message, "above this rule: `- {level: Metadata, verbs: [\"patch\"]}`");
            return;
        }
    }
}

fn request_received(policy: &Policy, found: &mut Found<'_>) {
    let has_both = |rule: &crate::policy::Rule| {
        rule.level != "None" && !["RequestReceived", "ResponseComplete"].iter().any(|stage| has(&policy.omit_stages, stage) || has(&rule.omit_stages, stage))
    };
    if let Some(index) = policy.rules.iter().position(has_both) {
        let span = found.field(index, "level");
        let message = "each request has a RequestReceived event too, which says nothing that its last one does not";
        found.add("request-received", span, message, "above `rules:` write `omitStages: [\"RequestReceived\"]`");
    }
}
