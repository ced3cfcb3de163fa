//! `decklog policy` and `decklog request-info`.

#![allow(clippy::unwrap_used)] // helpers of tests

use serde_json::Value;

use crate::support::{Folder, Server, attack_log, until};

fn data(name: &str) -> String {
    format!("{}/../../tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Transcript 15 of the design.
#[test]
fn explain_says_which_rule_decides_and_why_no_other_does() {
    let folder = Folder::new();
    let policy = data("c-gce/policy.yaml");
    let controller = "system:serviceaccount:kube-system:deployment-controller";
    let out = folder.run(&["policy", "explain", &policy, "--verb", "update", "--resource", "deployments.apps/status", "-n", "team-b", "--user", controller]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert!(lines[0].starts_with("RequestResponse, by rule 16 of 17 ("), "{}", out.stdout);
    assert!(lines[0].ends_with("; RequestReceived omitted"), "{}", out.stdout);
    assert!(out.stdout.contains("verb `update` is not in verbs"), "{}", out.stdout);
    assert_eq!(lines[lines.len() - 1], "ResponseComplete: who, what and when, outcome, request body, response body");
    let by_line = ["policy", "explain", &policy, "PUT", "/apis/apps/v1/namespaces/team-b/deployments/web/status", "--user", controller];
    assert_eq!(folder.run(&by_line).stdout.lines().next(), Some(lines[0]));
    let json = folder.run(&[&by_line[..], &["-o", "json"]].concat());
    let value: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&value["level"], &value["rule"]), (&"RequestResponse".into(), &15.into()));
}

#[test]
fn explain_takes_an_event_and_many_requests() {
    let folder = Folder::new();
    let policy = folder.write("p.yaml", b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  users: [bob]\n- level: None\n");
    let event = folder.write(
        "e.json",
        br#"{"level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"list","user":{"username":"bob"}}"#,
    );
    let out = folder.run(&["policy", "explain", &policy, "--event", &event]);
    assert!(out.stdout.starts_with("Metadata, by rule 1 of 2"), "{}{}", out.stdout, out.stderr);
    let requests = folder.write("r.jsonl", b"{\"method\":\"GET\",\"target\":\"/x\",\"user\":{\"name\":\"bob\"}}\n{\"verb\":\"get\",\"resource\":\"pods\"}\n");
    let out = folder.run(&["policy", "explain", &policy, "--requests", &requests]);
    let answer = |level: &str, rule: i64| format!("{{\"level\":\"{level}\",\"omitManagedFields\":false,\"omitStages\":[],\"rule\":{rule}}}\n");
    assert_eq!(out.stdout, answer("Metadata", 0) + &answer("None", 1), "{}", out.stderr);
    let bad = folder.run(&["policy", "explain", &policy]);
    assert_eq!(bad.code, 2);
}

/// Transcript 16 of the design.
#[test]
fn simulate_tells_what_a_policy_would_have_recorded() {
    let folder = Folder::new();
    let (policy, log) = (data("c-gce/policy.yaml"), data("benign/audit.log.zst"));
    let out = folder.run(&["policy", "simulate", &policy, "--events", &log, "-o", "json"]);
    let value: Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!(value["recorded"], serde_json::json!({"events": 9097, "bytes": 22_937_185}));
    assert_eq!(value["written"], serde_json::json!({"events": 4238, "bytes": 9_447_404}));
    let events = folder.run(&["policy", "simulate", &policy, "--events", &log, "-o", "events"]);
    assert_eq!((events.stdout.lines().count(), events.stdout.len()), (4238, 9_447_404));
    let table = folder.run(&["policy", "simulate", &policy, "--events", &log]);
    assert!(table.stdout.contains("9,097") && table.stdout.contains("−53.4%") && table.stdout.contains("RequestResponse 1,485"), "{}", table.stdout);
    // Simulating again what was simulated changes nothing.
    let smaller = folder.write("smaller.log", events.stdout.as_bytes());
    let again = folder.run(&["policy", "simulate", &policy, "--events", &smaller, "-o", "json"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["written"], value["written"]);
}

#[test]
fn diff_shows_what_is_lost_and_gained() {
    let folder = Folder::new();
    let (gce, metadata, log) = (data("c-gce/policy.yaml"), data("b-metadata/policy.yaml"), data("attack/audit.log.zst"));
    let out = folder.run(&["policy", "diff", &metadata, &gce, "--events", &log, "-o", "json"]);
    let changes: Vec<Value> = out.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events_lost = changes.iter().find(|row| row["change"] == "lost" && row["resource"] == "events").unwrap();
    assert_eq!((&events_lost["to"], &events_lost["ruleAfter"]), (&"None".into(), &9.into()));
    assert!(changes.iter().any(|row| row["change"] == "raised" && row["to"] == "RequestResponse"));
    let same = folder.run(&["policy", "diff", &gce, &gce, "--events", &log, "-o", "json"]);
    assert_eq!(same.stdout, "");
}

#[test]
fn a_policys_own_cases_pass_or_say_what_differs() {
    let folder = Folder::new();
    let policy = folder.write("p.yaml", b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  users: [bob]\n- level: None\n");
    let cases = "cases:\n- name: bob is recorded\n  request: {method: GET, target: /x, user: {name: bob}}\n  level: Metadata\n  rule: 1\n";
    folder.write("p.test.yaml", cases.as_bytes());
    let out = folder.run(&["policy", "test", &policy]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "1 case passed, 0 failed\n"), "{}", out.stderr);
    folder.write("p.test.yaml", cases.replace("bob}", "eve}").as_bytes());
    let out = folder.run(&["policy", "test", &policy]);
    assert_eq!(out.code, 1);
    assert!(out.stdout.contains("level: wanted Metadata, got None\n  rule: wanted 1, got 2\n"), "{}", out.stdout);
}

#[test]
fn request_info_is_json() {
    let folder = Folder::new();
    let out = folder.run(&["request-info", "GET", "/api/v1/namespaces/a/pods/x/log"]);
    let value: Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!((&value["info"]["subresource"], &value["longRunning"], out.code), (&"log".into(), &true.into(), 0));
    let refused = folder.run(&["request-info", "GET", "/%zz"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.starts_with("{\"parseError\":"), "{}", refused.stdout);
    let batch = folder.write("b.jsonl", b"{\"method\":\"DELETE\",\"target\":\"/api/v1/pods\"}\n");
    let out = folder.run(&["request-info", "--batch", &batch]);
    assert!(out.stdout.contains("\"verb\":\"deletecollection\""), "{}", out.stdout);
}

#[test]
fn generate_prints_a_policy_for_a_purpose() {
    let folder = Folder::new();
    let out = folder.run(&["policy", "generate", "--profile", "security"]);
    assert_eq!((out.code, out.stdout), (0, std::fs::read_to_string(data("../../policies/security.yaml")).unwrap()), "{}", out.stderr);
    assert_eq!(folder.run(&["policy", "generate"]).code, 2);
    assert_eq!(folder.run(&["policy", "generate", "--profile", "best"]).code, 2);
    let bad = folder.run(&["policy", "generate", "--budget", "much", "--from", &data("benign/audit.log.zst")]);
    assert!(bad.code == 2 && bad.stderr.contains("500MB/day"), "{}", bad.stderr);
}

/// The labelled requests of an attack that the policy records: in their last stage, or where a login failed, in the only one.
fn attack_recorded(folder: &Folder, policy: &str) -> (usize, usize) {
    let events = folder.run(&["policy", "simulate", policy, "--events", &data("attack/audit.log.zst"), "-o", "events"]).stdout;
    let last_stages = |log: &str| -> std::collections::HashSet<String> {
        let last = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["stage"] == "ResponseComplete" || (event["stage"] == "ResponseStarted" && event["responseStatus"]["code"] == 401));
        last.map(|event| event["auditID"].as_str().unwrap().to_owned()).collect()
    };
    let everything = zstd::decode_all(std::fs::File::open(data("attack/audit.log.zst")).unwrap()).unwrap();
    let (all, recorded) = (last_stages(std::str::from_utf8(&everything).unwrap()), last_stages(&events));
    let labels = std::fs::read_to_string(data("attack/labels.jsonl")).unwrap();
    let steps = labels.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|step| step["label"] == "attack");
    let labelled: Vec<String> = steps
        .flat_map(|step| step["auditIDs"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>())
        .filter(|id| all.contains(id))
        .collect();
    (labelled.len(), labelled.iter().filter(|id| recorded.contains(*id)).count())
}

#[test]
fn generate_keeps_to_a_budget_and_keeps_the_attack() {
    let folder = Folder::new();
    let log = data("benign/audit.log.zst");
    for (budget, code) in [("50%", 0), ("20%", 0), ("1%", 1)] {
        let out = folder.run(&["policy", "generate", "--from", &log, "--budget", budget]);
        assert_eq!(out.code, code, "{}", out.stderr);
        assert_eq!(out.stderr.contains("the budget is not reached"), code == 1, "{}", out.stderr);
        let policy = folder.write("p.yaml", out.stdout.as_bytes());
        // What it says it will record is what it records.
        let told: Value = serde_json::from_str(&folder.run(&["policy", "generate", "--from", &log, "--budget", budget, "-o", "json"]).stdout).unwrap();
        let simulated: Value = serde_json::from_str(&folder.run(&["policy", "simulate", &policy, "--events", &log, "-o", "json"]).stdout).unwrap();
        let day = simulated["perDay"]["written"]["bytes"].as_f64().unwrap().round();
        assert_eq!(told["after"].as_f64().unwrap(), day, "{budget}");
        assert!(budget != "20%" || told["cuts"].as_array().unwrap().len() > 10);
        let (n_labelled, n_recorded) = attack_recorded(&folder, &policy);
        assert!(n_labelled >= 200);
        assert_eq!(n_recorded, n_labelled, "{budget}");
    }
}

#[test]
fn what_must_be_kept_is_not_cut() {
    let folder = Folder::new();
    let log = data("benign/audit.log.zst");
    let leases = |more: &[&str]| {
        let out = folder.run(&[&["policy", "generate", "--from", &log, "--budget", "1%"], more].concat());
        let policy = folder.write("p.yaml", out.stdout.as_bytes());
        let value: Value = serde_json::from_str(&folder.run(&["policy", "simulate", &policy, "--events", &log, "-o", "json"]).stdout).unwrap();
        value["resources"]["leases.coordination.k8s.io"]["events"].as_u64().unwrap_or(0)
    };
    assert_eq!(leases(&[]), 0);
    assert!(leases(&["--must-keep", "resource:leases user:system:node*"]) > 50);
}

#[test]
fn the_policies_that_decklog_comes_with_pass_their_own_cases() {
    let folder = Folder::new();
    for profile in decklog_audit::policy::generate::Profile::ALL {
        let policy = data(&format!("../../policies/{}.yaml", profile.name));
        let out = folder.run(&["policy", "test", &policy]);
        assert_eq!((out.code, out.stdout.as_str()), (0, "18 cases passed, 0 failed\n"), "{}", profile.name);
        // Failed logins are of nobody, so that a rule for users hides none of them.
        let value = folder.run(&["policy", "simulate", &policy, "--events", &data("attack/audit.log.zst"), "-o", "json"]);
        let value: Value = serde_json::from_str(&value.stdout).unwrap();
        assert_eq!(value["failedLogins"], serde_json::json!({"recorded": 30, "written": 30}), "{}", profile.name);
    }
}

/// Transcript 14 of the design: policies as people wrote them in articles about auditing, and what would have helped them.
#[test]
fn check_tells_the_authors_of_broken_policies_what_is_wrong() {
    let folder = Folder::new();
    for (name, code) in [("level-in-small-letters", 1), ("resources-beside-group", 1), ("no-rules-line", 1), ("pods-only", 2), ("ends-with-none", 2)] {
        let file = format!("{name}.yaml");
        folder.write(&file, &std::fs::read(data(&format!("policies/{file}"))).unwrap());
        let out = folder.run(&["policy", "check", &file]);
        assert_eq!((out.code, out.stdout), (code, std::fs::read_to_string(data(&format!("policies/{name}.txt"))).unwrap()), "{}", out.stderr);
        if code == 1 {
            let dry = folder.run(&["policy", "check", "--fix", "--dry-run", &file]);
            assert_eq!(dry.code, 1, "{}", dry.stderr);
            let mended = folder.run(&["policy", "check", "--fix", "--deny", "error", &file]);
            assert!(mended.code == 0 && mended.stderr.contains("+ ") && !mended.stdout.contains("error["), "{}{}", mended.stdout, mended.stderr);
        }
    }
}

#[test]
fn check_ends_with_what_was_asked_of_it() {
    let folder = Folder::new();
    let policy = |rest: &str| format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n{rest}- level: Metadata\n");
    let fine = folder.write("fine.yaml", policy("").as_bytes());
    let warned = folder.write("warned.yaml", policy("- level: None\n  users: [\"system:nodes\"]\n").as_bytes());
    let told = folder.write("told.yaml", policy("").replace("omitStages: [RequestReceived]\n", "").as_bytes());
    let refused = folder.write("refused.yaml", b"rules: 1");
    let code = |arguments: &[&str]| folder.run(&[&["policy", "check"], arguments].concat()).code;
    assert_eq!((code(&[&fine]), code(&[&warned]), code(&[&told]), code(&[&refused])), (0, 2, 0, 1));
    assert_eq!((code(&["--deny", "error", &warned]), code(&["--deny", "info", &told])), (0, 2));
    assert_eq!((code(&["--allow", "group-as-user", &warned]), code(&[&fine, &warned, &refused])), (0, 1));
    assert_eq!((code(&["missing.yaml", &fine]), code(&["--allow", "group-as-usr", &fine]), code(&["--nothing"])), (3, 64, 64));
    let unread = folder.run(&["policy", "check", "missing.yaml"]);
    assert!(unread.code == 3 && unread.stdout.is_empty() && unread.stderr.contains("missing.yaml"), "{}{}", unread.stdout, unread.stderr);
    let beta = folder.write("beta.yaml", policy("").replace("/v1\n", "/v1beta1\n").as_bytes());
    assert_eq!((code(&["--target-version", "1.23", &beta]), code(&["--target-version", "1.24", &beta]), code(&["--target-version", "2", &beta])), (0, 1, 64));
    let json = folder.run(&["policy", "check", "-o", "json", &fine, &warned, &refused]);
    let lines: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["ok"], &lines[0]["strict"], &lines[0]["lints"]), (&true.into(), &true.into(), &serde_json::json!([])));
    assert_eq!((&lines[1]["lints"][0]["code"], &lines[1]["lints"][0]["line"]), (&"group-as-user".into(), &6.into()));
    assert_eq!((&lines[2]["ok"], &lines[2]["stage"], &lines[2]["file"]), (&false.into(), &"group-version".into(), &refused.as_str().into()));
}

/// What we ship and what we generate has no lints; `gce.yaml` has those of the policy that it equals.
#[test]
fn our_own_policies_pass_check() {
    let folder = Folder::new();
    let ours = |name: &str| format!("{}/../../policies/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    for name in ["minimal", "security", "compliance", "forensics", "latency"] {
        let out = folder.run(&["policy", "check", "--deny", "info", &ours(name)]);
        assert_eq!((out.code, out.stdout.as_str()), (0, "1 file fine\n"), "{name}");
    }
    let gce = folder.run(&["policy", "check", "-o", "json", &ours("gce")]);
    let value: Value = serde_json::from_str(&gce.stdout).unwrap();
    let codes: Vec<&str> = value["lints"].as_array().unwrap().iter().filter_map(|lint| lint["code"].as_str()).collect();
    assert_eq!(codes, ["patches-lost", "noise-bodies", "sensitive-bodies"]);
    for budget in ["50%", "20%", "5%"] {
        let made = folder.run(&["policy", "generate", "--from", &data("benign/audit.log.zst"), "--budget", budget]);
        let file = folder.write("made.yaml", made.stdout.as_bytes());
        let out = folder.run(&["policy", "check", "--deny", "info", &file]);
        assert_eq!((out.code, out.stdout.as_str()), (0, "1 file fine\n"), "{budget}");
    }
}

#[test]
fn minimal_is_a_level_of_sinks_alone() {
    let folder = Folder::new();
    let policy = folder.write("sink.yaml", b"apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Minimal\n");
    let refused = folder.run(&["policy", "check", &policy]);
    assert!(refused.code == 1 && refused.stdout.contains("`Minimal` is no level of kube-apiserver"), "{}", refused.stdout);
    assert_eq!(folder.run(&["policy", "check", "--sink", "--deny", "info", &policy]).code, 0);
    let log = data("attack/audit.log.zst");
    assert_eq!(folder.run(&["policy", "simulate", &policy, "--events", &log]).code, 3);
    let events = folder.run(&["policy", "simulate", "--sink", &policy, "--events", &log, "-o", "events"]);
    let known = [
        "kind",
        "apiVersion",
        "level",
        "auditID",
        "stage",
        "requestURI",
        "verb",
        "user",
        "objectRef",
        "responseStatus",
        "requestReceivedTimestamp",
        "stageTimestamp",
    ];
    let mut n_events = 0;
    for line in events.stdout.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{line}");
        assert_eq!((&event["level"], &event["requestURI"]), (&"Minimal".into(), &"".into()));
        n_events += 1;
    }
    assert!(n_events > 1_600, "{n_events}: {}", events.stderr);
}

/// The same traffic from a log, a data directory and a server has the same totals.
#[test]
fn simulate_asks_logs_folders_and_servers_alike() {
    let folder = Folder::new();
    let policy = data("c-gce/policy.yaml");
    let log = folder.write("audit.log", &attack_log());
    let stored = folder.import_attack();
    let server = Server::start(&folder, &["--tail", &log, "--redact", "off"]);
    until("the log to be stored", || (folder.run(&["search", "--count", "--server", &server.url()]).stdout == "3431\n").then_some(()));
    let totals = |place: &[&str]| -> Value {
        let out = folder.run(&[&["policy", "simulate", &policy, "-o", "json"], place].concat());
        assert_eq!(out.code, 0, "{}", out.stderr);
        serde_json::from_str(&out.stdout).unwrap()
    };
    let by_log = totals(&["--events", &log]);
    assert_eq!(by_log["written"]["events"], 1675);
    assert_eq!(totals(&["--data-dir", &stored]), by_log);
    assert_eq!(totals(&["--server", &server.url()]), by_log);
    let later = totals(&["--server", &server.url(), "--since", "2026-11-22T09:53:30Z", "--filter", "user:mallory"]);
    assert!(later["recorded"]["events"].as_u64() < by_log["recorded"]["events"].as_u64() && later["recorded"]["events"] != 0, "{later}");
}
