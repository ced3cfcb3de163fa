use proptest::prelude::*;

use super::*;
use crate::Level;
use crate::policy::{Attributes, User};

fn seen<'a>(user: &'a str, groups: &'a [&'a str], verb: &'a str, group: &'a str, resource: &'a str) -> Observed<'a> {
    let attributes =
        Attributes { user: Some(User { name: user, groups }), verb, api_group: group, resource, is_resource_request: true, ..Attributes::default() };
    Observed { attributes, level: Level::RequestResponse, bytes: Bytes { metadata: 100, request: 400, response: 1_000 }, is_kept: false }
}

fn traffic(all: &[Observed<'_>]) -> Traffic {
    let mut traffic = Traffic::default();
    all.iter().for_each(|one| traffic.add(one));
    traffic
}

#[test]
fn a_large_budget_cuts_nothing() {
    let traffic = traffic(&[seen("system:kube-scheduler", &[], "update", "coordination.k8s.io", "leases")]);
    assert_eq!(plan(&traffic, 1_000), Plan { cuts: Vec::new(), before: 1_000, after: 1_000 });
}

#[test]
fn leases_go_before_reads_and_people_stay() {
    let all = [
        seen("system:kube-scheduler", &[], "update", "coordination.k8s.io", "leases"),
        seen("system:kube-scheduler", &[], "get", "coordination.k8s.io", "leases"),
        seen("system:node:a", &["system:nodes"], "list", "", "pods"),
        seen("system:node:b", &["system:nodes"], "list", "", "services"),
        seen("alice", &[], "list", "", "pods"),
        seen("system:kube-controller-manager", &[], "get", "", "secrets"),
    ];
    let traffic = traffic(&all);
    let leases = plan(&traffic, 4_000);
    assert_eq!(leases.after, 4_000);
    assert_eq!(
        leases.cuts.iter().map(|cut| (cut.noise, cut.verbs.join(","), cut.saved_bytes)).collect::<Vec<_>>(),
        [(Noise::Leases, "get,update".to_owned(), 2_000)]
    );
    // With no budget at all, what people did and secrets keep their metadata.
    let all = plan(&traffic, 0);
    assert_eq!(all.after, 200);
    let none: Vec<&Cut> = all.cuts.iter().filter(|cut| cut.level == Level::None).collect();
    assert!(none.iter().all(|cut| cut.who != Who::User("alice".to_owned())), "{none:?}");
    assert!(none.iter().any(|cut| cut.who == Who::Nodes && cut.resources[""] == ["pods", "services"]), "{none:?}");
}

#[test]
fn what_must_be_kept_keeps_its_event() {
    let kept = Observed { is_kept: true, ..seen("system:kube-scheduler", &[], "list", "", "pods") };
    let plan = plan(&traffic(&[kept]), 0);
    assert_eq!(plan.after, 100);
    assert!(plan.cuts.iter().all(|cut| cut.level == Level::Metadata), "{plan:?}");
}

#[test]
fn the_text_has_the_cuts_before_the_profile() {
    let traffic = traffic(&[seen("system:serviceaccount:kube-system:a\"b", &[], "list", "", "pods")]);
    let text = write_policy(
        "# About.\n\napiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n# All.\n- level: Metadata\n",
        &["two\nlines".to_owned()],
        &plan(&traffic, 0),
        &|bytes| format!("{bytes} B"),
    );
    let wanted = "# two lines\napiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n# Cut: reads of components\n# saves 1000 B; events seen: 1\n- level: None\n  \
        users: [\"system:serviceaccount:kube-system:a\\\"b\"]\n  verbs: [\"list\"]\n  resources:\n  - group: \"\"\n    resources: [\"pods\"]\n# All.\n- level: Metadata\n";
    assert_eq!(text, wanted);
}

proptest! {
    #[test]
    fn every_cut_was_seen_and_the_sums_are_true(
        which in prop::collection::vec((0usize..5, 0usize..6, 0usize..6, any::<bool>(), 0u64..1_000), 1..60),
        budget in 0u64..60_000,
    ) {
        let users = ["system:kube-scheduler", "system:node:n1", "alice", "system:serviceaccount:kube-system:x", "system:apiserver"];
        let verbs = ["get", "list", "watch", "update", "patch", "delete"];
        let things = [("", "pods"), ("", "secrets"), ("coordination.k8s.io", "leases"), ("", "pods/status"), ("apps", "deployments"), ("", "events")];
        let all: Vec<Observed<'_>> = which.iter().map(|(user, verb, thing, is_kept, size)| Observed {
            is_kept: *is_kept,
            bytes: Bytes { metadata: 50, request: *size, response: *size * 2 },
            ..seen(users[*user], &["system:nodes"], verbs[*verb], things[*thing].0, things[*thing].1)
        }).collect();
        let plan = plan(&traffic(&all), budget);
        let level_of = |one: &Observed<'_>| {
            let who = if one.attributes.user.unwrap().name.starts_with("system:node:") { Who::Nodes } else { Who::User(one.attributes.user.unwrap().name.to_owned()) };
            let hit = plan.cuts.iter().find(|cut| {
                cut.who == who
                    && cut.verbs.iter().any(|verb| verb == one.attributes.verb)
                    && cut.resources.get(one.attributes.api_group).is_some_and(|all| all.iter().any(|resource| resource == one.attributes.resource))
            });
            hit.map_or(one.level, |cut| cut.level)
        };
        let after: u64 = all.iter().map(|one| one.bytes.at(level_of(one))).sum();
        prop_assert_eq!(after, plan.after);
        prop_assert!(all.iter().all(|one| !one.is_kept || level_of(one) > Level::None));
        prop_assert_eq!(plan.before - plan.cuts.iter().map(|cut| cut.saved_bytes).sum::<u64>(), plan.after);
    }
}
