//! `decklog import` of what managed clusters deliver.

use serde_json::{Value, json};

use crate::support::{Folder, Server};

const MANAGED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/managed");

#[test]
fn one_file_of_all_formats_is_told_apart_and_its_summary_tells() {
    let folder = Folder::new();
    let (data, file) = (folder.path("data"), format!("{MANAGED}/mixed/mixed.log"));
    let out = folder.run(&["import", &file, "--data-dir", &data, "--redact", "off"]);
    assert_eq!(out.code, 5, "three items are quarantined: {}", out.stderr);
    let notes: Vec<&str> = out.stderr.lines().collect();
    assert_eq!(
        notes[..3],
        [
            "converted: 3 from eks, 1 from gke, 1 from aks, 1 from embedded, 1 from legacy (their annotations decklog.io/… say what was inferred and what is missing)",
            "1 record of other logs left alone: 1 of eks: control message",
            "error: 8 events imported, 3 quarantined",
        ]
    );
    let wanted = std::fs::read_to_string(format!("{file}.want")).unwrap();
    let mut wanted: Vec<&str> = wanted.lines().filter(|line| line.starts_with('{')).collect();
    let found = folder.run(&["search", "--data-dir", &data, "--limit", "0", "-o", "json"]);
    let mut found: Vec<&str> = found.stdout.lines().collect();
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, wanted);
    let again = folder.run(&["import", &file, "--data-dir", &data, "--redact", "off", "-o", "json"]);
    let summary: Value = serde_json::from_str(again.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&summary["imported"], &summary["duplicates"]), (&json!(0), &json!(8)));
    assert_eq!(summary["converted"], json!({"aks": 1, "eks": 3, "embedded": 1, "gke": 1, "legacy": 1}));
    assert_eq!(summary["otherRecords"], json!({"eks: control message": 1}));
}

#[test]
fn a_server_gets_the_same_events() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let out = folder.run(&["import", &format!("{MANAGED}/gke/gcloud.json"), "--server", &server.url()]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(out.stderr.starts_with("converted: 2 from gke"), "{}", out.stderr);
    let found = folder.run(&["search", "annotations.\"decklog.io/source\":gke outcome:denied", "--count", "--server", &server.url()]);
    assert_eq!(found.stdout, "1\n", "{}", found.stderr);
}

/// In every format the body of a Secret is hidden, though some name its kind nowhere; in the quarantine too.
#[test]
fn credentials_of_every_format_are_hidden() {
    let folder = Folder::new();
    let data = folder.path("data");
    let (password, token) = ("aHVudGVyMi1pcy1sb25n", "hunter2-is-long");
    let body = format!(r#"{{"data":{{"password":"{password}"}}}}"#);
    let event = |id: &str, level: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"{level}","auditID":"{id}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets/db?access_token={token}","verb":"patch","user":{{"username":"ana"}},"objectRef":{{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"}},"requestObject":{body},"requestReceivedTimestamp":"2026-11-22T10:00:00.000000Z","stageTimestamp":"2026-11-22T10:00:00.000000Z"}}"#
        )
    };
    let element =
        |message: &str| json!({"logStreamName": "kube-apiserver-audit-1", "timestamp": 1_795_341_600_123_i64, "message": message, "eventId": "1"}).to_string();
    let record = |log: &str| json!({"category": "kube-audit", "resourceId": "/A", "properties": {"log": log, "pod": "p"}}).to_string();
    let entry = json!({"insertId": "i", "logName": "l", "timestamp": "2026-11-22T10:00:00Z", "protoPayload": {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io", "methodName": "io.k8s.core.v1.secrets.patch",
        "resourceName": "core/v1/namespaces/shop/secrets/db", "request": {"@type": "k8s.io/Patch", "data": {"password": password}}}});
    let mut split = entry.clone();
    split["split"] = json!({"uid": "u", "index": 1, "totalSplits": 2});
    let row = json!({"AuditId": "r", "Stage": "ResponseComplete", "Level": "Request", "Verb": "patch", "RequestUri": "/api/v1/namespaces/shop/secrets/db",
        "ObjectRef": {"resource": "secrets"}, "RequestObject": {"data": {"password": password}}, "TimeGenerated": "2026-11-22T10:00:00Z"});
    let mut bad_row = row.clone();
    bad_row["User"] = json!({"groups": "none"});
    let legacy = format!(r#"2026-11-22T10:00:00Z AUDIT: id="l" stage="ResponseComplete" uri="/x?access_token={token}" response="200""#);
    let whole = event("e", "Request");
    let lines = [
        element(&whole),
        element(&format!("{}[Truncated...]", &whole[..whole.len() - 20])),
        element(&whole.replacen("\"stageTimestamp\":", "oops:", 1)),
        record(&event("a", "Request")),
        entry.to_string(),
        split.to_string(),
        row.to_string(),
        bad_row.to_string(),
        json!({"log": event("g", "Request")}).to_string(),
        legacy.clone(),
        format!("{} oops", legacy),
    ];
    let file = folder.write("all.log", lines.join("\n").as_bytes());
    let out = folder.run(&["import", &file, "--data-dir", &data]);
    assert_eq!(out.code, 5, "{}", out.stderr);
    assert!(out.stderr.contains("7 events imported, 4 quarantined"), "{}", out.stderr);
    let stored = folder.run(&["search", "--data-dir", &data, "--limit", "0", "-o", "json"]).stdout;
    let refused = folder.run(&["quarantine", "export", "--data-dir", &data]).stdout;
    assert_eq!(stored.lines().count(), 7);
    assert!(stored.lines().all(|line| line.contains("redacted:")), "{stored}");
    for text in [stored, refused] {
        assert!(!text.contains(password) && !text.contains(token), "{text}");
    }
}
