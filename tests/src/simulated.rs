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

/// Patches whose body was no JSON (tests/lab/traffic-full.sh sends them): above Metadata kube-apiserver 1.36 cannot write their
/// end, so the log that has everything has only that they were received, and no simulation can bring it back.
const LOST_PATCHES: [&str; 4] = [
    "1ab00000-0000-4000-8000-000000000291",
    "1ab00000-0000-4000-8000-000000000292",
    "1ab00000-0000-4000-8000-000000000293",
    "1ab00000-0000-4000-8000-000000000294",
];

#[test]
fn a_simulated_log_is_the_one_the_server_wrote() {
    let all = &LOST_PATCHES[..];
    // The GCE profile has the third at Metadata; the other three the server lost there too.
    for (name, n_events, lost) in
        [("a-all-rr", 978, &[][..]), ("b-metadata", 519, all), ("c-gce", 472, &all[2..3]), ("d-docs", 493, all), ("f-crd", 131, &[][..])]
    {
        let (n_requests, n_real, differing) = compare(name);
        println!("{name}: {n_requests} requests, {n_real} events, {} requests differ", differing.len());
        assert_eq!((n_requests, n_real), (481, n_events), "{name}");
        let ids: Vec<&str> = differing.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(ids, lost, "{name}: {differing:?}");
        for (id, simulated, real) in &differing {
            assert!(simulated.is_empty(), "{id}");
            assert_eq!(real[..], [("ResponseComplete".to_owned(), "Metadata".to_owned(), false, false)], "{id}");
        }
    }
}

#[test]
fn what_is_lost_has_no_end_in_the_log_of_everything() {
    let mut stages = BTreeMap::<String, Vec<String>>::new();
    for line in log("a-all-rr").lines() {
        let event = Event::decode(line).expect("a recorded line is an event");
        if event.verb.as_deref() == Some("patch") {
            stages.entry(event.audit_id.unwrap_or_default().into_owned()).or_default().push(event.stage.unwrap_or_default().into_owned());
        }
    }
    let without_end: Vec<&str> = stages.iter().filter(|(_, stages)| stages[..] == ["RequestReceived"]).map(|(id, _)| id.as_str()).collect();
    assert_eq!(without_end, LOST_PATCHES);
}
