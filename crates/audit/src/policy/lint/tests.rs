use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::policy::load::load;
use crate::policy::model::{Attributes, GroupResources, Policy, Rule, User};
use crate::policy::walk;

fn lints_of(text: &str) -> Vec<Lint> {
    let target = TargetVersion::default();
    lint(text, &load(text.as_bytes(), target), target)
}

fn codes_of(text: &str) -> Vec<&'static str> {
    lints_of(text).iter().map(|lint| lint.code).collect()
}

/// The pages of the codes.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/lints")
}

fn examples_of(code: &str) -> Vec<String> {
    let page = std::fs::read_to_string(folder().join(format!("{code}.md"))).unwrap_or_else(|error| panic!("{code}.md: {error}"));
    page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

/// In docs/reference/lints the wrong example has the lint, and the right one does not.
#[test]
fn each_code_has_a_page_whose_examples_are_true() {
    for (code, severity, title) in CODES {
        let page = std::fs::read_to_string(folder().join(format!("{code}.md"))).unwrap_or_else(|error| panic!("{code}.md: {error}"));
        assert!(page.starts_with(&format!("# `{code}`: {title}\n\nSeverity: {}.\n", severity.name())), "{code}");
        let examples = examples_of(code);
        if code == "too-large" {
            assert_eq!(examples.len(), 0);
            continue;
        }
        let [wrong, right] = examples.as_slice() else { panic!("{code}: {} examples", examples.len()) };
        assert!(codes_of(wrong).contains(&code), "{code}, the wrong one: {:?}", codes_of(wrong));
        assert!(!codes_of(right).contains(&code), "{code}, the right one: {:?}", codes_of(right));
        assert!(load(right.as_bytes(), TargetVersion::default()).result.is_ok(), "{code}, the right one");
    }
}

#[test]
fn the_index_lists_every_code_and_no_page_is_of_none() {
    let index = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for (code, severity, title) in CODES {
        assert!(index.contains(&format!("| [`{code}`]({code}.md) | {} | {title} |\n", severity.name())), "{code}");
    }
    assert_eq!(std::fs::read_dir(folder()).unwrap().count(), CODES.len() + 1);
}

#[test]
fn mending_the_broken_examples_leaves_nothing_to_mend() {
    for (code, ..) in CODES {
        for text in examples_of(code) {
            let mended = mend(&text, TargetVersion::default());
            assert!(lints_of(&mended.text).iter().all(|lint| lint.edits.is_empty()), "{code}: {}", mended.text);
            assert_eq!(mended.lints.is_empty(), mended.text == text, "{code}");
            if !mended.lints.is_empty() {
                let (before, after) = (lints_of(&text).len(), lints_of(&mended.text).len());
                assert!(load(mended.text.as_bytes(), TargetVersion::default()).result.is_ok(), "{code}: {}", mended.text);
                assert!(after <= before + 3, "{code}: {before} lints before, {after} after");
            }
        }
    }
}

#[test]
fn an_edit_keeps_line_ends_quotes_and_what_stands_around() {
    let mended = |text: &str| mend(text, TargetVersion::default()).text;
    let windows = "apiVersion: audit.k8s.io/v1\r\nkind: Policy\r\n- level: Metadata # all\r\n";
    assert_eq!(mended(windows), windows.replace("- level", "rules:\r\n- level"));
    let json = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "metadata"}]}"#;
    assert_eq!(mended(json), json.replace("metadata", "Metadata"));
    let moved = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n  - level: None\n    resources:\n      - group: \"\"\n        verbs: # only\n          - get\n        resources: [events]\n  - level: Metadata";
    assert_eq!(
        mended(moved),
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n  - level: None\n    resources:\n      - group: \"\"\n        resources: [events]\n    verbs: # only\n      - get\n  - level: Metadata"
    );
    assert_eq!(changed_lines("a\nb\nc", "a\nB\nc"), ["- b", "+ B"]);
}

#[test]
fn what_is_told_twice_is_told_once_and_nothing_else_is_left_out() {
    let policy = |rules: &str| format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}");
    let text = policy("- level: None\n  resources: [\"pods\"]\n- level: None\n  resources: pods\n- level: None\n  verbs: get\n");
    assert_eq!(codes_of(&text), ["resources-indent", "type", "type"]);
    let config_map = "apiVersion: v1\nkind: ConfigMap\ndata: {level: none}\n";
    assert_eq!(codes_of(config_map), ["not-a-policy"]);
    assert_eq!(mend(config_map, TargetVersion::default()).text, config_map);
    assert_eq!(codes_of("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules:\n- levl: None\n"), ["version-removed", "unknown-field"]);
}

/// Words of few letters, so that rules and requests meet.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", ""]).prop_map(str::to_owned)
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(word(), 0..3)
}

fn entry() -> impl Strategy<Value = GroupResources> {
    let group = prop::sample::select(vec!["", "g", "*"]).prop_map(str::to_owned);
    let pattern = prop::sample::select(vec!["a", "b", "a/s", "a/*", "*/s", "*", "*/*"]).prop_map(str::to_owned);
    (group, prop::collection::vec(pattern, 0..3), words()).prop_map(|(group, resources, names)| {
        let resource_names = if resources.is_empty() { Vec::new() } else { names };
        GroupResources { group, resources, resource_names }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let level = prop::sample::select(vec!["None", "Metadata", "Request", "RequestResponse"]).prop_map(str::to_owned);
    let url = prop::sample::select(vec!["/a", "/a*", "/b/*", "*", "/a/b"]).prop_map(str::to_owned);
    let things = prop_oneof![
        Just((Vec::new(), Vec::new(), Vec::new())),
        (prop::collection::vec(entry(), 0..3), words()).prop_map(|(resources, namespaces)| (resources, namespaces, Vec::new())),
        prop::collection::vec(url, 1..3).prop_map(|urls| (Vec::new(), Vec::new(), urls)),
    ];
    (level, words(), words(), words(), things).prop_map(|(level, users, user_groups, verbs, (resources, namespaces, non_resource_urls))| Rule {
        level,
        users,
        user_groups,
        verbs,
        resources,
        namespaces,
        non_resource_urls,
        ..Rule::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    /// A rule that is said to be unreachable decides no request, and neither does a part of one that is.
    #[test]
    fn what_is_said_to_be_unreachable_is(
        rules in prop::collection::vec(rule(), 1..7),
        requests in prop::collection::vec((prop::option::of((word(), words())), word(), word(), word(), word(), word(), any::<(bool, bool)>(), prop::sample::select(vec!["/a", "/a/b", "/b/c", "/c"])), 40),
    ) {
        let policy = Policy { rules, ..Policy::default() };
        let policy_json = json(&policy);
        let lints = lints_of(&policy_json);
        let lost: Vec<usize> = lints.iter().filter(|lint| lint.code == "unreachable").filter_map(|lint| {
            lint.message.strip_prefix("rule ")?.split(' ').next()?.parse::<usize>().ok()
        }).collect();
        for (user, verb, namespace, resource, name, _, (has_sub, is_resource), path) in &requests {
            let groups: Vec<&str> = user.iter().flat_map(|(_, groups)| groups.iter().map(String::as_str)).collect();
            for api_group in ["", "g", "h"] {
                let attributes = Attributes {
                    user: user.as_ref().map(|(name, _)| User { name, groups: &groups }),
                    verb,
                    namespace,
                    api_group,
                    api_version: "v1",
                    resource: if *is_resource { resource } else { "" },
                    subresource: if *has_sub && *is_resource { "s" } else { "" },
                    name,
                    path,
                    is_resource_request: *is_resource,
                };
                if let Some(rule) = walk(&policy, &attributes).rule {
                    prop_assert!(!lost.contains(&(rule + 1)), "rule {} of {policy_json} decides {attributes:?}", rule + 1);
                }
            }
        }
    }

    /// Texts that are nearly policies: there is an answer, in places of the text, and mending ends.
    #[test]
    fn any_text_has_an_answer(lines in prop::collection::vec(line(), 0..14), separator in prop::sample::select(vec!["\n", "\r\n"])) {
        let text = lines.join(separator);
        for lint in lints_of(&text) {
            prop_assert!(text.get(lint.span.start..lint.span.end).is_some(), "{lint:?}");
            prop_assert!(lint.edits.iter().all(|edit| text.get(edit.start..edit.end).is_some()), "{lint:?}");
            prop_assert!(CODES.iter().any(|(code, severity, _)| *code == lint.code && *severity == lint.severity));
            prop_assert!(lint.span.line <= text.matches('\n').count() + 1);
        }
        let mended = mend(&text, TargetVersion::default());
        prop_assert_eq!(mended.lints.is_empty(), mended.text == text);
    }
}

fn json(policy: &Policy) -> String {
    let entry = |entry: &GroupResources| serde_json::json!({"group": entry.group, "resources": entry.resources, "resourceNames": entry.resource_names});
    let rules: Vec<serde_json::Value> = policy
        .rules
        .iter()
        .map(|rule| {
            serde_json::json!({
                "level": rule.level, "users": rule.users, "userGroups": rule.user_groups, "verbs": rule.verbs, "namespaces": rule.namespaces,
                "resources": rule.resources.iter().map(entry).collect::<Vec<_>>(), "nonResourceURLs": rule.non_resource_urls,
            })
        })
        .collect();
    serde_json::json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}).to_string()
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "apiVersion: audit.k8s.io/v1", "apiVersion: audit.k8s.io/v1beta1", "kind: Policy", "rules:", "- level: Metadata", "- level: none", "  - level: Request",
            "  verbs: [get]", "  verb: [\"*\"]", "  resources:", "  - group: \"\"", "  - group: apps/v1", "    resources: [pod, deployments]", "  resources: [pods]",
            "    verbs: [create]", "  users: [\"system:nodes\"]", "  userGroups:", "  - system:node:a", "omitStages: [requestReceived]", "---", "# pods/log", "  namespaces: [é*]",
            "  <<: *a", "- &a {level: None}", "- *a", "{", "}", "\t", "",
        ]).prop_map(str::to_owned),
        1 => "[ -~é\t]{0,20}",
    ]
}

#[test]
fn hostile_policies_are_linted_in_bounds() {
    let names: Vec<String> = (0..500).map(|number| format!("\"n{number}\"")).collect();
    let names = names.join(",");
    let many_users: String = (0..1_000).map(|number| format!("- level: Request\n  users: [{names}]\n  verbs: [v{number}, w{number}]\n")).collect();
    let many_things: String = (0..40)
        .map(|number| {
            format!("- level: Request\n  users: [u{number}]\n  resources:\n  - group: g.example.com\n    resources: [{names}]\n    resourceNames: [{names}]\n")
        })
        .collect();
    for rules in [many_users, many_things] {
        let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}");
        let lints = lints_of(&text);
        assert!(lints.len() <= CODES.len() * MAX_OF_CODE && lints.iter().any(|lint| lint.code == "no-final-rule"));
    }
    // The same names in each rule would be compared for minutes.
    let same =
        format!("- level: Request\n  users: [{names}]\n  resources:\n  - group: g.example.com\n    resources: [{names}]\n    resourceNames: [{names}]\n");
    let text =
        format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{}", (0..300).map(|number| format!("{same}  verbs: [v{number}]\n")).collect::<String>());
    assert!(lints_of(&text).len() <= CODES.len() * MAX_OF_CODE);
    let text = format!(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{}",
        same.replace("    resourceNames", "  - group: h\n    resources: [a]\n    resourceNames").repeat(200)
    );
    assert!(codes_of(&text).contains(&"too-large") || codes_of(&text).contains(&"unreachable"));
}

#[test]
fn more_comparisons_than_there_is_time_for_are_said_to_be_left_out() {
    let rule = |number: usize| {
        format!("- level: Request\n  users: [u{number}]\n  verbs: [get, list, watch, create, update, patch, delete]\n  resources:\n  - group: g\n")
    };
    let rules: String = (0..8_000).map(rule).collect();
    assert!(codes_of(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}")).contains(&"too-large"));
}
