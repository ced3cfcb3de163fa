use proptest::prelude::*;

use super::*;

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n";

fn verdict(text: &str) -> Verdict {
    load(text.as_bytes(), TargetVersion::default())
}

fn problem(text: &str) -> (Stage, usize, usize, String, String) {
    let refusal = verdict(text).result.unwrap_err();
    let problem = refusal.problems[0].clone();
    (refusal.stage, problem.span.line, problem.span.column, problem.message, problem.fix)
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_fix() {
    let told = |text: &str| {
        let (stage, line, column, message, fix) = problem(text);
        format!("{} {line}:{column} {message} -> {fix}", stage.name())
    };
    for (text, wanted) in [
        (POLICY.replace("Metadata", "metadata"), "validate 4:10 `metadata` is no level: levels are written with capitals -> write `Metadata`"),
        (POLICY.replace("Metadata", "RequestReponse"), "validate 4:10 `RequestReponse` is no level -> write `RequestResponse`"),
        (
            POLICY.replace("- level: Metadata", "- verbs: [get]"),
            "validate 4:3 the rule has no `level` -> add `level: None`, `Metadata`, `Request` or `RequestResponse`",
        ),
        (
            POLICY.replace("v1\n", "v1beta1\n"),
            "decode 1:13 `audit.k8s.io/v1beta1` was removed in Kubernetes 1.24, and this is for 1.36 -> write `apiVersion: audit.k8s.io/v1`",
        ),
        (
            POLICY.replace("apiVersion: audit.k8s.io/v1\n", ""),
            "group-version 1:1 `apiVersion` is missing -> begin with `apiVersion: audit.k8s.io/v1` and `kind: Policy`",
        ),
        (POLICY.replace("rules:\n", ""), "decode 3:3 this is not YAML: "),
        (
            format!("{POLICY}  users: [yes]\n"),
            "decode 5:11 `rules[0].users[0]` is true or false, as YAML 1.1 reads this word, and a text is wanted -> write it in quotes",
        ),
        (format!("{POLICY}  verbs: get\n"), "decode 5:10 `rules[0].verbs` is a text, and a list is wanted -> write `[\"get\"]`"),
        (format!("{POLICY}\tusers: [a]\n"), "decode "),
        (
            format!("{POLICY}  resources:\n  - group: apps/v1\n"),
            "validate 6:12 `apps/v1` is no API group -> write `apps`: a group is named without its version",
        ),
        (format!("{POLICY}  nonResourceURLs: [\"*healthz\"]\n"), "validate 5:21 the URL `*healthz` does not begin with `/` -> write `/healthz`"),
        (POLICY.replace("- level: Metadata\n", ""), "no-rules 3:6 the policy has no rule -> add `rules:` with at least one entry, such as `- level: Metadata`"),
        (String::new(), "group-version 1:1 `apiVersion` is missing -> begin with `apiVersion: audit.k8s.io/v1` and `kind: Policy`"),
    ] {
        let told = told(&text);
        assert!(told.starts_with(wanted), "{text}\nwanted {wanted}\n   got {told}");
    }
}

#[test]
fn versions_differ() {
    let at = |text: &str, version: &str| load(text.as_bytes(), version.parse().unwrap());
    let beta = POLICY.replace("v1\n", "v1beta1\n");
    assert!(at(&beta, "1.23").result.is_ok() && at(&beta, "1.24").result.is_err());
    let any = format!("{POLICY}  resources:\n  - group: \"*\"\n");
    assert!(at(&any, "1.36").result.is_ok() && at(&any, "1.35").result.is_err());
    let unknown = format!("{POLICY}  foo: 1\n");
    assert!(at(&unknown, "1.26").warning.is_some() && at(&unknown, "1.25").warning.is_none());
    let fields = format!("{POLICY}  omitManagedFields: true\n");
    assert!(at(&fields, "1.23").result.unwrap().rules[0].omit_managed_fields.is_some());
    assert!(at(&fields, "1.22").result.unwrap().rules[0].omit_managed_fields.is_none());
}

#[test]
fn aliases_stand_for_their_values_within_a_bound() {
    let users = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  users: &who [a, b]\n- level: Metadata\n  users: *who\n";
    assert_eq!(verdict(users).result.unwrap().rules[1].users, ["a", "b"]);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
    }
    let (stage, _, _, message, _) = problem(&(bomb + POLICY));
    assert!(stage == Stage::Decode && message.contains("excessive aliasing"), "{message}");
}

#[test]
fn what_is_huge_or_deep_is_refused_soon() {
    let deep = format!("{POLICY}x: {}{}\n", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(problem(&deep).0, Stage::Decode);
    assert_eq!(problem(&format!("{{\"x\":{}{}}}", "[".repeat(900), "]".repeat(900))).0, Stage::Decode);
    assert_eq!(load(&vec![b'#'; MAX_BYTES + 1], TargetVersion::default()).result.unwrap_err().stage, Stage::Decode);
    let long = format!("{POLICY}{}", "- level: None\n  users: [a]\n".repeat(200_000));
    assert_eq!(verdict(&long).result.unwrap().rules.len(), 200_001);
}

#[test]
fn json_and_yaml_of_one_policy_are_the_same() {
    for name in ["a-all-rr", "b-metadata", "c-gce", "d-docs", "f-crd"] {
        let path = format!("{}/../../tests/data/{name}/policy.yaml", env!("CARGO_MANIFEST_DIR"));
        let yaml = load(&std::fs::read(path).unwrap(), TargetVersion::default());
        let json = load(yaml.policy_json().unwrap().to_string().as_bytes(), TargetVersion::default());
        assert_eq!((&json.result, &json.warning), (&yaml.result, &yaml.warning), "{name}");
        assert_eq!(json.policy_json(), yaml.policy_json(), "{name}");
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\n".to_owned()),
        Just("  ".to_owned()),
        Just("- level: Metadata\n".to_owned()),
        Just("  users: [a, &x b]\n".to_owned()),
        Just("  verbs: *x\n".to_owned()),
        Just("<<: {level: None}\n".to_owned()),
        Just("\t".to_owned()),
        Just("rules:\n".to_owned()),
        Just("? ".to_owned()),
        Just("!!binary ".to_owned()),
        "[-:{}\\[\\],&*!|>'\"%@` a-z0-9.~_+\\\\]{0,12}",
        any::<char>().prop_map(|character| character.to_string()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = load(&bytes, TargetVersion::default());
    }

    #[test]
    fn no_broken_policy_panics(cut in 0usize..80, pieces in prop::collection::vec(piece(), 0..12), tail in any::<bool>()) {
        let cut = cut.min(POLICY.len());
        let text = format!("{}{}{}", &POLICY[..cut], pieces.concat(), if tail { &POLICY[cut..] } else { "" });
        let verdict = verdict(&text);
        if let Err(refusal) = &verdict.result {
            prop_assert!(!refusal.problems.is_empty() && !refusal.message.is_empty());
            for problem in &refusal.problems {
                prop_assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len() && problem.span.line >= 1, "{problem:?}");
            }
        }
    }

    #[test]
    fn what_was_loaded_loads_again(users in prop::collection::vec(".{0,8}", 0..4), url in "[a-z/]{0,6}") {
        let text = serde_json::json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "None", "users": users, "nonResourceURLs": [format!("/{url}*")]}]}).to_string();
        let first = verdict(&text);
        let again = verdict(&first.policy_json().unwrap().to_string());
        prop_assert_eq!(first.result, again.result);
    }
}
