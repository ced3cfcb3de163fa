//! The answers of the policy questions in JSON. Lines count from 1, rules from 0.

use std::collections::HashMap;

use decklog_audit::policy::load::Verdict;
use decklog_audit::policy::simulate::{Change, Difference, Sum, Totals};
use decklog_audit::policy::{Attributes, Explanation, Policy};
use decklog_audit::{Level, Timestamp};
use serde_json::{Value, json};

/// Values of each breakdown, the largest first.
const N_VALUES: usize = 100;
/// Kinds of change that are listed.
const N_CHANGES: usize = 500;

/// Why a policy decides as it does.
pub(super) fn explanation(verdict: &Verdict, attributes: &Attributes<'_>, explanation: &Explanation<'_>) -> Value {
    let mut answer = explanation.report(attributes);
    let line = |rule: usize| verdict.rules().get(rule).map(|rule| rule.span.line);
    answer["line"] = json!(explanation.decision.rule.and_then(line));
    answer["nRules"] = json!(verdict.rules().len());
    if let Some(passed_over) = answer["passedOver"].as_array_mut() {
        for (index, rule) in passed_over.iter_mut().enumerate() {
            rule["line"] = json!(line(index));
        }
    }
    answer["attributes"] = json!({
        "user": attributes.user.map(|user| json!({"name": user.name, "groups": user.groups})),
        "verb": attributes.verb,
        "namespace": attributes.namespace,
        "apiGroup": attributes.api_group,
        "apiVersion": attributes.api_version,
        "resource": attributes.resource,
        "subresource": attributes.subresource,
        "name": attributes.name,
        "path": attributes.path,
        "isResourceRequest": attributes.is_resource_request,
    });
    answer
}

/// What each policy would have recorded and, of two, what changes from the first to the second.
pub(super) fn simulation(policies: &[(Verdict, Policy)], totals: &[Totals], difference: &Difference, n_recorded: [u64; 4], gaps: &[String]) -> Value {
    let first = totals.first().cloned().unwrap_or_default();
    let time = |time: Timestamp| time.rfc3339_nano();
    let mut answer = json!({
        "extent": {
            "first": first.extent().map(|(first, _)| time(first)),
            "last": first.extent().map(|(_, last)| time(last)),
            "requests": first.requests,
            "events": first.recorded.events,
            "bytes": first.recorded.bytes,
            "bytesPerDay": first.per_day(first.recorded.bytes).map(f64::round),
        },
        "recorded": {"levels": Level::ALL.iter().map(|level| (level.as_str().to_owned(), json!(n_recorded[*level as usize]))).collect::<serde_json::Map<_, _>>()},
        "policies": policies.iter().zip(totals).map(|((verdict, policy), totals)| simulated(verdict, policy, totals)).collect::<Vec<_>>(),
    });
    if totals.len() == 2 {
        answer["diff"] = changes(difference);
    }
    add_gaps(&mut answer, gaps);
    answer
}

/// Says that an answer is not of everything, and why.
pub(super) fn add_gaps(answer: &mut Value, gaps: &[String]) {
    answer["complete"] = json!(gaps.is_empty());
    answer["gaps"] = json!(gaps);
}

fn amount(sum: Sum) -> Value {
    json!({"events": sum.events, "bytes": sum.bytes})
}

fn simulated(verdict: &Verdict, policy: &Policy, totals: &Totals) -> Value {
    let rule = |index: usize, rule: &decklog_audit::policy::Rule| {
        let sum = totals.by_rule.get(&index).copied().unwrap_or_default();
        let dropped = totals.not_recorded.get(&Some(index)).copied().unwrap_or_default();
        let line = verdict.rules().get(index).map(|rule| rule.span.line);
        json!({"rule": index, "line": line, "level": rule.level, "events": sum.events, "bytes": sum.bytes, "dropped": amount(dropped)})
    };
    let level = |level: Level| {
        let sum = totals.at_level(level);
        json!({"value": level.as_str(), "events": sum.events, "bytes": sum.bytes})
    };
    json!({
        "events": totals.written.events,
        "bytes": totals.written.bytes,
        "eventsPerDay": totals.per_day(totals.written.events).map(f64::round),
        "bytesPerDay": totals.per_day(totals.written.bytes).map(f64::round),
        "unknownBodies": totals.bodies_unknown,
        "failedLogins": {"recorded": totals.failed_logins.0, "written": totals.failed_logins.1},
        "byRule": policy.rules.iter().enumerate().map(|(index, of)| rule(index, of)).collect::<Vec<_>>(),
        "byLevel": Level::ALL.into_iter().map(level).collect::<Vec<_>>(),
        "byResource": largest(&totals.by_resource),
        "byUser": largest(&totals.by_user),
        "byNamespace": largest(&totals.by_namespace),
    })
}

fn largest(sums: &HashMap<String, Sum>) -> Vec<Value> {
    let mut rows: Vec<(&String, &Sum)> = sums.iter().collect();
    rows.sort_by(|left, right| right.1.bytes.cmp(&left.1.bytes).then_with(|| left.0.cmp(right.0)));
    rows.into_iter().take(N_VALUES).map(|(value, sum)| json!({"value": value, "events": sum.events, "bytes": sum.bytes})).collect()
}

fn changes(difference: &Difference) -> Value {
    let mut kinds: Vec<_> = difference.kinds.iter().collect();
    kinds.sort_by_key(|(kind, (sum, _))| (kind.change, std::cmp::Reverse(sum.bytes)));
    let sum_of = |wanted: Change| {
        let of = difference.kinds.iter().filter(|(kind, _)| kind.change == wanted).map(|(_, (sum, _))| *sum);
        amount(of.fold(Sum::default(), |all, sum| Sum { events: all.events + sum.events, bytes: all.bytes + sum.bytes }))
    };
    let row = |(kind, (sum, example)): &(&decklog_audit::policy::simulate::Kind, &(Sum, decklog_audit::policy::simulate::Example))| {
        json!({
            "kind": kind.change.as_str(),
            "verb": kind.verb,
            "resource": kind.resource,
            "events": sum.events,
            "bytes": sum.bytes,
            "before": kind.from.as_str(),
            "after": kind.to.as_str(),
            "user": example.user,
            "requestURI": example.request_uri,
            "auditID": example.audit_id,
        })
    };
    json!({
        "lost": sum_of(Change::Lost),
        "gained": sum_of(Change::Gained),
        "lowered": sum_of(Change::Lowered),
        "raised": sum_of(Change::Raised),
        "examples": kinds.iter().take(N_CHANGES).map(row).collect::<Vec<_>>(),
        "more": kinds.len().saturating_sub(N_CHANGES),
    })
}
