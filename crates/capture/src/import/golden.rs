//! The cases of tests/data/managed: what each input gives, compared byte for byte with what was worked out by hand
//! beside it, and the table of what each format's events hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use decklog_audit::Event;

use super::*;
use crate::testing;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/managed");
const WANT: &str = ".want";

/// Every input, beside its wanted result.
fn cases() -> Vec<(PathBuf, PathBuf)> {
    let mut wanted: Vec<PathBuf> = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.to_str().unwrap().ends_with(WANT))
        .collect();
    wanted.sort();
    wanted.into_iter().map(|want| (PathBuf::from(want.to_str().unwrap().strip_suffix(WANT).unwrap()), want)).collect()
}

/// The stored lines, what was skipped by kind, and what was quarantined, with its place.
async fn result_of(input: &Path) -> String {
    let (recorder, journal, quarantine) = testing::recorder(1 << 20);
    let (inputs, errors) = find_inputs(&[input.to_owned()]);
    assert!(errors.is_empty(), "{errors:?}");
    let summary = import(inputs, 1 << 20, Arc::new(LocalDelivery::new(recorder, "lab".into())), |_| {}).await;
    let mut result: String = journal.lines().iter().map(|line| format!("{line}\n")).collect();
    for (kind, n_records) in summary.tally().skipped {
        result.push_str(&format!("# skipped {n_records}: {kind}\n"));
    }
    for item in quarantine.0.lock().unwrap().iter() {
        let place = item.place.rsplit('/').next().unwrap();
        result.push_str(&format!("# quarantined {place}: {}\n", item.detail));
    }
    for file in &summary.files {
        result.extend(file.error.as_ref().map(|_| "# a file could not be read to its end\n"));
    }
    result
}

#[tokio::test]
async fn every_case_gives_what_is_wanted() {
    let cases = cases();
    assert!(cases.len() >= 12, "{} cases in {FOLDER}", cases.len());
    let mut wrong = 0;
    for (input, want) in cases {
        let (result, wanted) = (result_of(&input).await, std::fs::read_to_string(&want).unwrap());
        if result != wanted {
            wrong += 1;
            println!("{}:", want.display());
            for (number, (got, expected)) in result.lines().zip(wanted.lines()).enumerate() {
                if got != expected {
                    println!("line {}\n  is     {got}\n  wanted {expected}", number + 1);
                }
            }
            println!("{} lines, wanted {}: {:?}", result.lines().count(), wanted.lines().count(), result.lines().last());
        }
    }
    assert_eq!(wrong, 0);
}

/// The fields of the table, in kube-apiserver's order.
const FIELDS: [&str; 24] = [
    "level",
    "auditID",
    "stage",
    "requestURI",
    "requestURI.query",
    "verb",
    "user.username",
    "user.uid",
    "user.groups",
    "user.extra",
    "impersonatedUser",
    "authenticationMetadata",
    "sourceIPs",
    "sourceIPs.chain",
    "userAgent",
    "objectRef",
    "objectRef.name",
    "responseStatus",
    "responseStatus.code",
    "requestObject",
    "responseObject",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "annotations",
];

fn is_there(event: &Event<'_>, field: &str) -> bool {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_ref().is_some_and(|text| !text.is_empty());
    match field {
        "level" => text(&event.level),
        "auditID" => text(&event.audit_id),
        "stage" => text(&event.stage),
        "requestURI" => text(&event.request_uri),
        "requestURI.query" => event.request_uri.as_ref().is_some_and(|uri| uri.contains('?')),
        "verb" => text(&event.verb),
        "user.username" => text(&event.user.username),
        "user.uid" => text(&event.user.uid),
        "user.groups" => event.user.groups.is_some(),
        "user.extra" => event.user.extra.is_some(),
        "impersonatedUser" => event.impersonated_user.is_some(),
        "authenticationMetadata" => event.authentication_metadata.is_some(),
        "sourceIPs" => event.source_ips.is_some(),
        "sourceIPs.chain" => event.source_ips.as_ref().is_some_and(|ips| ips.len() > 1),
        "userAgent" => text(&event.user_agent),
        "objectRef" => event.object_ref.is_some(),
        "objectRef.name" => event.object_ref.as_ref().is_some_and(|object| text(&object.name)),
        "responseStatus" => event.response_status.is_some(),
        "responseStatus.code" => event.response_status.as_ref().is_some_and(|status| status.code.is_some()),
        "requestObject" => event.request_object.is_some(),
        "responseObject" => event.response_object.is_some(),
        "requestReceivedTimestamp" => event.request_received_timestamp.is_some(),
        "stageTimestamp" => event.stage_timestamp.is_some(),
        _ => event.annotations.iter().flatten().any(|(key, _)| !key.starts_with("decklog.io/")),
    }
}

/// Fields that a format lacks by its shape, and not since something was cut.
const NEVER_CUT: [&str; 7] = ["requestURI.query", "user.uid", "user.groups", "user.extra", "impersonatedUser", "authenticationMetadata", "sourceIPs.chain"];

/// What became of a field of one event.
fn fate(event: &Event<'_>, field: &str) -> &'static str {
    let named = |key: &str| event.annotation(key).is_some_and(|names| names.split(',').any(|name| name == field));
    let cut = event.annotation("decklog.io/truncated").is_some();
    match (named("decklog.io/inferred"), named("decklog.io/missing"), is_there(event, field)) {
        (true, ..) => "inferred",
        (_, true, _) if cut && !NEVER_CUT.contains(&field) => "cut",
        (_, true, _) => "missing",
        (.., true) => "taken",
        _ => "",
    }
}

#[test]
fn the_table_of_formats_and_fields() {
    let mut table: BTreeMap<(usize, String), BTreeMap<&str, usize>> = BTreeMap::new();
    let mut n_events: BTreeMap<String, usize> = BTreeMap::new();
    for (_, want) in cases() {
        let text = std::fs::read_to_string(want).unwrap();
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let event = Event::decode(line).unwrap();
            let Some(source) = event.annotation("decklog.io/source") else { continue };
            *n_events.entry(source.to_owned()).or_default() += 1;
            for (index, field) in FIELDS.iter().enumerate() {
                *table.entry((index, source.to_owned())).or_default().entry(fate(&event, field)).or_default() += 1;
            }
        }
    }
    for (source, n_events) in &n_events {
        println!("shown: {source}: {n_events} events of tests/data/managed");
    }
    println!("shown: {:<26}{}", "field", n_events.keys().map(|source| format!("{source:<28}")).collect::<String>());
    for (index, field) in FIELDS.iter().enumerate() {
        let cells = n_events.keys().map(|source| {
            let fates = &table[&(index, source.clone())];
            let cell: Vec<String> = fates.iter().filter(|(fate, _)| !fate.is_empty()).map(|(fate, count)| format!("{fate} {count}")).collect();
            format!("{:<28}", if cell.is_empty() { "-".to_owned() } else { cell.join(", ") })
        });
        println!("shown: {field:<26}{}", cells.collect::<String>().trim_end());
    }
    assert_eq!(n_events.len(), Format::ALL.len(), "every format has cases");
}
