//! The compiled policy is the plain walk, only faster.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::policy::model::{GroupResources, Rule};

fn words(from: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(select(from).prop_map(str::to_owned), 0..=most)]
}

const USERS: &[&str] = &["", "bob", "alice", "*", "system:serviceaccount:kube-system:deployment-controller"];
const GROUPS: &[&str] = &["system:nodes", "system:masters", "*", "ops"];
const VERBS: &[&str] = &["get", "list", "watch", "create", "", "*"];
const NAMESPACES: &[&str] = &["", "default", "kube-system", "*"];
const API_GROUPS: &[&str] = &["", "apps", "*", "batch"];
const RESOURCES: &[&str] = &["pods", "pods/log", "pods/*", "*/log", "*/*", "*", "", "nodes", "pods/log/x", "/*", "*/", "a/b"];
const NAMES: &[&str] = &["", "x", "y"];
const URLS: &[&str] = &["*", "/healthz*", "/healthz", "/a**", "/", "/api/*", "**", "/healthz/e*"];

fn entry() -> impl Strategy<Value = GroupResources> {
    (select(API_GROUPS), words(RESOURCES, 3), words(NAMES, 2)).prop_map(|(group, resources, resource_names)| GroupResources {
        group: group.to_owned(),
        resources,
        resource_names,
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let fields = (words(USERS, 2), words(GROUPS, 2), words(VERBS, 3), words(NAMESPACES, 2), words(URLS, 3));
    let resources = prop_oneof![Just(Vec::new()), prop::collection::vec(entry(), 0..3)];
    let others = (select(&["None", "Metadata", "odd"][..]), words(&["RequestReceived", "Panic", "odd"], 2), prop::option::of(any::<bool>()));
    (fields, resources, others).prop_map(
        |((users, user_groups, verbs, namespaces, non_resource_urls), resources, (level, omit_stages, omit_managed_fields))| Rule {
            level: level.to_owned(),
            users,
            user_groups,
            verbs,
            resources,
            namespaces,
            non_resource_urls,
            omit_stages,
            omit_managed_fields,
        },
    )
}

fn policy(most_rules: usize) -> impl Strategy<Value = Policy> {
    (prop::collection::vec(rule(), 0..most_rules), words(&["RequestReceived", "odd"], 1), any::<bool>())
        .prop_map(|(rules, omit_stages, omit_managed_fields)| Policy { rules, omit_stages, omit_managed_fields })
}

fn request() -> impl Strategy<Value = Attributes<'static>> {
    const PATHS: &[&str] = &["", "/", "/healthz", "/healthz/etcd", "/a", "/a*", "/api/v1", "*", "/x"];
    const OBJECTS: &[&str] = &["pods", "nodes", "", "a/b", "*", "pods/log", "secrets"];
    const PARTS: &[&str] = &["", "log", "*", "x", "log/x"];
    const SETS: &[&[&str]] = &[&[], &["ops"], &["system:nodes", "other"], &["*", "system:masters", "ops"]];
    let user = prop::option::of((select(&["", "bob", "alice", "carol", "*"][..]), select(SETS)).prop_map(|(name, groups)| User { name, groups }));
    let object = (select(API_GROUPS), select(OBJECTS), select(PARTS), select(NAMES));
    (user, select(VERBS), select(NAMESPACES), object, select(PATHS), any::<bool>()).prop_map(
        |(user, verb, namespace, (api_group, resource, subresource, name), path, is_resource_request)| Attributes {
            user,
            verb,
            namespace,
            api_group,
            api_version: "v1",
            resource,
            subresource,
            name,
            path,
            is_resource_request,
        },
    )
}

proptest! {
    #[test]
    fn a_compiled_policy_answers_as_the_walk(policy in policy(12), requests in prop::collection::vec(request(), 1..20)) {
        let compiled = Compiled::new(&policy);
        prop_assert!(compiled.index.is_some());
        for request in &requests {
            prop_assert_eq!(compiled.evaluate(request), walk(&policy, request));
        }
    }

    #[test]
    fn also_with_more_rules_than_a_word_has_bits(policy in policy(200), requests in prop::collection::vec(request(), 1..20)) {
        let compiled = Compiled::new(&policy);
        for request in &requests {
            prop_assert_eq!(compiled.evaluate(request), walk(&policy, request));
        }
    }
}

#[test]
fn more_groups_or_patterns_than_there_is_room_for_are_walked() {
    let names: Vec<String> = (0..40).map(|n| format!("g{n}")).collect();
    let urls: Vec<String> = (1..40).map(|n| format!("/{}*", "a".repeat(n))).collect();
    let group_rule = Rule { level: "Metadata".to_owned(), user_groups: names.clone(), ..Rule::default() };
    let url_rule = Rule { level: "Request".to_owned(), non_resource_urls: urls, ..Rule::default() };
    let policy = Policy { rules: vec![group_rule, url_rule], ..Policy::default() };
    let compiled = Compiled::new(&policy);
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    let path = format!("/{}", "a".repeat(50));
    let all = Attributes { user: Some(User { name: "x", groups: &groups }), path: &path, ..Attributes::default() };
    assert_eq!(compiled.evaluate(&all).rule, Some(0));
    let none = Attributes { user: None, ..all };
    assert_eq!(compiled.evaluate(&none).rule, Some(1));
}

#[test]
fn a_policy_too_large_for_an_index_is_walked() {
    let rules = (0..40_000).map(|n| Rule { level: "Metadata".to_owned(), users: vec![format!("user-{n}")], ..Rule::default() }).collect();
    let policy = Policy { rules, ..Policy::default() };
    let compiled = Compiled::new(&policy);
    assert!(compiled.index.is_none());
    let request = Attributes { user: Some(User { name: "user-39999", groups: &[] }), ..Attributes::default() };
    assert_eq!(compiled.evaluate(&request).rule, Some(39_999));
}
