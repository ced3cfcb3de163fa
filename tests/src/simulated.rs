//! What `policy::simulate` makes of the log that has everything, beside what a real kube-apiserver wrote of the same requests
//! under four other policies (tests/data/policy-matrix.tsv joins them by auditID).

use std::collections::BTreeMap;

use decklog_audit::event::Event;
use decklog_audit::policy::simulate::{Fate, RecordedRequest, simulate};
use decklog_audit::policy::{Compiled, from_document};

/// Per auditID, sorted: stage, level, whether there is a request's body, whether there is an answer's.
type Written = BTreeMap<String, Vec<(String, String, bool, bool)>>;

fn note(written: &mut Written, event: &Event<'_>) {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    let events = written.entry(text(&event.audit_id)).or_default();
    events.push((text(&event.stage), text(&event.level), event.request_object.is_some(), event.response_object.is_some()));
    events.sort();
}

fn log(name: &str) -> String {
    let packed = std::fs::File::open(crate::root().join(format!("tests/data/{name}/audit.log.zst"))).expect("the log is there");
    String::from_utf8(zstd::decode_all(packed).expect("the log is whole")).expect("a log is UTF-8")
}

fn policy(name: &str) -> Compiled {
    let text = std::fs::read_to_string(crate::root().join(format!("tests/data/{name}/policy.yaml"))).expect("the policy is there");
    Compiled::new(&from_document(&serde_saphyr::from_str(&text).expect("the policy is YAML")))
}

/// A request whose events differ: its auditID, simulated, real.
type Differing = (String, Vec<(String, String, bool, bool)>, Vec<(String, String, bool, bool)>);

/// The requests that both runs made, and those whose events differ.
fn compare(name: &str) -> (usize, usize, Vec<Differing>) {
    let matrix = std::fs::read_to_string(crate::root().join("tests/data/policy-matrix.tsv")).expect("the matrix is there");
    let (everything, compiled) = (log("a-all-rr"), policy(name));
    let (mut simulated, mut real) = (Written::new(), Written::new());
    for line in everything.lines() {
        let event = Event::decode(line).expect("a recorded line is an event");
        let request = RecordedRequest::of(&event);
        if let Fate::Written { line, .. } = simulate(&compiled, &request, &event, line).fate {
            note(&mut simulated, &Event::decode(&line).expect("a simulated line is an event"));
        }
    }
    for line in log(name).lines() {
        note(&mut real, &Event::decode(line).expect("a recorded line is an event"));
    }
    let mut n_events = 0;
    let mut differing = Vec::new();
    let ids: Vec<&str> = matrix.lines().skip(1).filter_map(|row| row.split('\t').next()).collect();
    for id in &ids {
        let of = |written: &Written| written.get(*id).cloned().unwrap_or_default();
        n_events += of(&real).len();
        if of(&simulated) != of(&real) {
            differing.push(((*id).to_owned(), of(&simulated), of(&real)));
        }
    }
    (ids.len(), n_events, differing)
}

#[test]
fn a_simulated_log_is_the_one_the_server_wrote() {
    for name in ["a-all-rr", "b-metadata", "c-gce", "d-docs", "f-crd"] {
        let (n_requests, n_events, differing) = compare(name);
        println!("{name}: {n_requests} requests, {n_events} events, {} requests differ", differing.len());
        for (id, simulated, real) in &differing {
            println!("  {id}\n    simulated {simulated:?}\n    real      {real:?}");
        }
    }
}
