//! Lines at other levels, and that all stages of a request are decided as one.

use std::collections::HashMap;

use super::*;
use crate::policy::{Policy, Rule};

fn policy(level: &str, omit_managed_fields: bool) -> Compiled {
    Compiled::new(&Policy { rules: vec![Rule { level: level.to_owned(), ..Rule::default() }], omit_managed_fields, ..Policy::default() })
}

fn line_under(policy: &Compiled, line: &str) -> Option<String> {
    let event = Event::decode(line).unwrap();
    match simulate(policy, &RecordedRequest::of(&event), &event, line).fate {
        Fate::Written { line, .. } => Some(line.into_owned()),
        _ => None,
    }
}

const LINE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/pods","verb":"create","user":{"username":"bob"},"requestObject":{"kind":"Pod","metadata":{"name":"x","managedFields":[1,2],"uid":"u"}},"responseObject":{"items":[{"metadata":{"managedFields":[],"name":"y"}}]},"requestReceivedTimestamp":"2026-11-22T09:52:31.654839Z","stageTimestamp":"2026-11-22T09:52:31.654839Z","new":1}"#;

#[test]
fn what_a_level_has_not_is_cut_and_the_rest_stays_byte_for_byte() {
    assert_eq!(line_under(&policy("RequestResponse", false), LINE).unwrap(), LINE);
    let request = LINE
        .replace(r#""level":"RequestResponse""#, r#""level":"Request""#)
        .replace(r#","responseObject":{"items":[{"metadata":{"managedFields":[],"name":"y"}}]}"#, "");
    assert_eq!(line_under(&policy("Request", false), LINE).unwrap(), request);
    let metadata = request
        .replace(r#""level":"Request""#, r#""level":"Metadata""#)
        .replace(r#","requestObject":{"kind":"Pod","metadata":{"name":"x","managedFields":[1,2],"uid":"u"}}"#, "");
    assert_eq!(line_under(&policy("Metadata", false), LINE).unwrap(), metadata);
    assert_eq!(line_under(&policy("None", false), LINE), None);
    let without = LINE.replace(r#","managedFields":[1,2]"#, "").replace(r#""managedFields":[],"#, "");
    assert_eq!(line_under(&policy("RequestResponse", true), LINE).unwrap(), without);
}

#[test]
fn a_line_spelled_otherwise_is_written_anew() {
    let spaced = LINE.replace(r#","requestObject":"#, r#" , "requestObject" : "#);
    let line = line_under(&policy("Metadata", false), &spaced).unwrap();
    let event = Event::decode(&line).unwrap();
    assert_eq!((event.level.as_deref(), event.request_object, event.response_object), (Some("Metadata"), None, None));
    let patched = LINE.replace(r#","new":1"#, r#","annotations":{"mutation.webhook.admission.k8s.io/a":"1","patch.webhook.admission.k8s.io/a":"2"}"#);
    assert!(!line_under(&policy("Metadata", false), &patched).unwrap().contains("patch.webhook"));
    assert!(line_under(&policy("Request", false), &patched).unwrap().contains("patch.webhook"));
}

#[test]
fn every_stage_of_a_recorded_request_is_asked_about_the_same() {
    for name in ["a-all-rr", "attack", "benign"] {
        let path = format!("{}/../../tests/data/{name}/audit.log.zst", env!("CARGO_MANIFEST_DIR"));
        let text = String::from_utf8(zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap();
        let mut seen: HashMap<String, String> = HashMap::new();
        for line in text.lines() {
            let event = Event::decode(line).unwrap();
            let request = RecordedRequest::of(&event);
            let asked = format!("{:?}", request);
            let key = format!("{:?} {:?}", event.audit_id, event.request_received_timestamp);
            assert_eq!(seen.entry(key).or_insert_with(|| asked.clone()), &asked, "{line}");
        }
    }
}

#[test]
fn bodies_that_were_not_recorded_are_unknown() {
    let line = LINE.replace("\"level\":\"RequestResponse\"", "\"level\":\"Metadata\"");
    let event = Event::decode(&line).unwrap();
    let compiled = policy("Request", false);
    let request = RecordedRequest::of(&event);
    let simulated = simulate(&compiled, &request, &event, &line);
    let mut totals = Totals::default();
    totals.add(&event, &request, line.len(), &simulated);
    assert_eq!((totals.bodies_unknown, totals.received_unknown, totals.written.events), (1, 1, 1));
    assert_eq!(totals.by_resource.keys().collect::<Vec<_>>(), ["pods"]);
}
