//! `bench-policy`: what a policy's answer costs, beside kube-apiserver's own evaluator, in one run; fails if a target is missed.
//!
//! Policies of 8, 30 and 80 rules and one of 1,000 made of the largest are asked about the same requests. All of it is on one core
//! and timed in CPU seconds; contenders of this process take turns, Go runs right after on one processor. Last is how fast recorded
//! events are simulated, beside decoding them.

mod peer;

use std::hint::black_box;
use std::process::ExitCode;

use decklog_audit::event::Event;
use decklog_audit::policy::lint::lint;
use decklog_audit::policy::load::{TargetVersion, load, load_unchecked};
use decklog_audit::policy::simulate::{RecordedRequest, Totals, simulate};
use decklog_audit::policy::{Attributes, Compiled, Policy, User, walk};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

const REQUESTS: &str = include_str!("../../../data/attrs.json");
const POLICIES: [(&str, &str); 3] = [
    ("8", include_str!("../../../data/policy-8.json")),
    ("30", include_str!("../../../data/policy-30.json")),
    ("80", include_str!("../../../data/policy-80.json")),
];
const LOGS: [&str; 3] = ["a-all-rr", "attack", "benign"];
const ROUNDS: usize = 31;
/// Times all requests are asked in a round.
const REPEATS: u32 = 40;
const N_RULES: usize = 1000;

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command's output")]
fn main() -> ExitCode {
    let mut documents: Vec<(String, Value)> =
        POLICIES.iter().map(|(name, text)| ((*name).to_owned(), serde_json::from_str(text).expect("a policy in JSON"))).collect();
    let large = amplified(&documents[2].1);
    documents.push((N_RULES.to_string(), large));
    let requests: Vec<Value> = serde_json::from_str(REQUESTS).expect("requests in JSON");
    let groups: Vec<Vec<&str>> = requests.iter().map(|request| texts(&request["user"]["groups"])).collect();
    let attributes: Vec<Attributes<'_>> = requests.iter().zip(&groups).map(|(request, groups)| attributes(request, groups)).collect();

    let policies: Vec<Policy> = documents.iter().map(|(_, document)| load_unchecked(document.to_string().as_bytes()).expect("a policy")).collect();
    let compiled: Vec<Compiled> = policies.iter().map(Compiled::new).collect();
    for (policy, compiled) in policies.iter().zip(&compiled) {
        for request in &attributes {
            assert_eq!(compiled.evaluate(request), walk(policy, request), "the compiled policy answers otherwise");
        }
    }
    let contenders: Vec<Box<dyn Fn() + '_>> = compiled
        .iter()
        .map(|compiled| {
            let attributes = &attributes;
            Box::new(move || attributes.iter().for_each(|request| _ = black_box(compiled.evaluate(black_box(request))))) as Box<dyn Fn() + '_>
        })
        .chain(policies.iter().map(|policy| {
            let attributes = &attributes;
            Box::new(move || attributes.iter().for_each(|request| _ = black_box(walk(policy, black_box(request))))) as Box<dyn Fn() + '_>
        }))
        .collect();
    let seconds = in_turns(&contenders, REPEATS);
    let nanoseconds: Vec<f64> = seconds.iter().map(|seconds| seconds * 1e9 / attributes.len() as f64).collect();
    let go = match peer::go_evaluator(&documents) {
        Ok(go) => go,
        Err(error) => {
            eprintln!("error: Go's evaluator was not measured: {error}");
            return ExitCode::from(3);
        }
    };
    println!("{} requests, ns each", attributes.len());
    println!("{:>6} {:>10} {:>10} {:>10}", "rules", "decklog", "walk", "Go");
    for (index, (name, _)) in documents.iter().enumerate() {
        println!("{name:>6} {:>10.1} {:>10.1} {:>10.1}", nanoseconds[index], nanoseconds[documents.len() + index], go[index]);
    }
    let (decode, simulated) = simulation(&compiled[1]);
    println!("decode {decode:.0} MB/s, simulate {simulated:.0} MB/s");
    let [load, check] = checking(&documents[3].1);
    println!("{N_RULES} rules as YAML: load {:.1} ms, check {:.1} ms", load * 1e3, check * 1e3);
    let ratios = [
        ("times Go on 80 rules", go[2] / nanoseconds[2], 20.0),
        ("times Go on 8 rules", go[0] / nanoseconds[0], 5.0),
        ("80 rules, times the speed on 1,000, of at least a third", nanoseconds[2] / nanoseconds[3], 1.0 / 3.0),
        ("simulate, times the speed of decoding", simulated / decode, 0.5),
    ];
    let mut missed = false;
    for (what, ratio, target) in ratios {
        let met = ratio >= target;
        missed |= !met;
        println!("{ratio:6.2} (at least {target:.2}) {what}{}", if met { "" } else { ": MISSED" });
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Median CPU seconds of one call of each.
fn in_turns(contenders: &[Box<dyn Fn() + '_>], repeats: u32) -> Vec<f64> {
    let mut rounds = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for round in 0..=ROUNDS {
        for (contender, seconds) in contenders.iter().zip(&mut rounds) {
            let start = cpu_seconds();
            (0..repeats).for_each(|_| contender());
            // The first round warms up.
            if round > 0 {
                seconds.push((cpu_seconds() - start) / f64::from(repeats));
            }
        }
    }
    rounds
        .into_iter()
        .map(|mut seconds| {
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2]
        })
        .collect()
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Decoding and simulating the recorded logs, in MB/s.
fn simulation(policy: &Compiled) -> (f64, f64) {
    let text: String = LOGS.iter().map(|name| String::from_utf8_lossy(&decklog_tests::logs::read(name)).into_owned()).collect();
    let text = text.as_str();
    let contenders: Vec<Box<dyn Fn() + '_>> = vec![
        Box::new(move || text.lines().for_each(|line| drop(black_box(Event::decode(line))))),
        Box::new(move || {
            let mut totals = Totals::default();
            for line in text.lines() {
                if let Ok(event) = Event::decode(line) {
                    let request = RecordedRequest::of(&event);
                    let simulated = simulate(policy, &request, &event, line);
                    totals.add(&event, &request, line.len(), &simulated);
                }
            }
            black_box(totals);
        }),
    ];
    let seconds = in_turns(&contenders, 1);
    let speed = |seconds: f64| text.len() as f64 / 1e6 / seconds;
    (speed(seconds[0]), speed(seconds[1]))
}

/// CPU seconds that a policy takes as YAML: loading it, and loading it with all lints.
fn checking(document: &Value) -> [f64; 2] {
    let mut document = document.clone();
    document["apiVersion"] = "audit.k8s.io/v1".into();
    document["kind"] = "Policy".into();
    // The comment makes it YAML, whose lists and maps may be written as in JSON.
    let text = format!("# {N_RULES} rules\n{document:#}\n");
    let target = TargetVersion::default();
    assert!(load(text.as_bytes(), target).result.is_ok(), "a policy that kube-apiserver takes");
    let text = text.as_str();
    let contenders: Vec<Box<dyn Fn() + '_>> = vec![
        Box::new(move || drop(black_box(load(text.as_bytes(), target)))),
        Box::new(move || drop(black_box(lint(text, &load(text.as_bytes(), target), target)))),
    ];
    let seconds = in_turns(&contenders, 1);
    [seconds[0], seconds[1]]
}

/// A policy of [`N_RULES`]: in front of the rules of `document` stand copies of them for users, namespaces and paths of other
/// tenants, so that a walk has to pass them all and the answers stay what they were.
fn amplified(document: &Value) -> Value {
    let rules = document["rules"].as_array().cloned().unwrap_or_default();
    let mut all = Vec::with_capacity(N_RULES);
    for tenant in 1.. {
        for rule in &rules {
            if all.len() + rules.len() == N_RULES {
                all.extend(rules.iter().cloned());
                let mut document = document.clone();
                document["rules"] = all.into();
                return document;
            }
            all.push(of_tenant(rule, tenant));
        }
    }
    unreachable!("tenants go on for ever")
}

fn of_tenant(rule: &Value, tenant: usize) -> Value {
    let mut rule = rule.clone();
    let rename = |list: &Value, prefix: &str| -> Value { texts(list).iter().map(|text| format!("{prefix}{tenant}{text}")).collect() };
    let mut own = false;
    for (field, prefix) in [("users", "tenant-"), ("userGroups", "tenant-"), ("namespaces", "tenant-"), ("nonResourceURLs", "/tenant-")] {
        if rule[field].as_array().is_some_and(|list| !list.is_empty()) {
            rule[field] = rename(&rule[field], prefix);
            own = true;
        }
    }
    if !own {
        rule["namespaces"] = Value::from(vec![format!("tenant-{tenant}")]);
    }
    rule
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn attributes<'v>(request: &'v Value, groups: &'v [&'v str]) -> Attributes<'v> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    Attributes {
        user: request["user"].is_object().then(|| User { name: request["user"]["name"].as_str().unwrap_or_default(), groups }),
        verb: text("verb"),
        namespace: text("namespace"),
        api_group: text("apiGroup"),
        api_version: text("apiVersion"),
        resource: text("resource"),
        subresource: text("subresource"),
        name: text("name"),
        path: text("path"),
        is_resource_request: request["isResourceRequest"] == true,
    }
}
