//! The recorded logs of `tests/data`, and the bodies kube-apiserver's webhook would have made of them.

use std::io::Read;
use std::path::PathBuf;

/// The recorded logs whose lines are JSON. One control plane and one traffic under five policies, an attack,
/// five ordinary minutes, and what a webhook test left.
pub const JSON_LOGS: [&str; 7] = ["a-all-rr", "attack", "b-metadata", "benign", "c-gce", "d-docs", "f-crd"];

/// What kube-apiserver's log puts in front of an event, and its webhook leaves out of an item.
const LINE_HEAD: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#;

/// The compressed file of a recorded log.
pub fn path(name: &str) -> PathBuf {
    crate::root().join("tests/data").join(name).join("audit.log.zst")
}

/// The text of a recorded log.
pub fn read(name: &str) -> Vec<u8> {
    decompress(&path(name))
}

/// The lines of a recorded log, without newlines.
pub fn lines(name: &str) -> Vec<Vec<u8>> {
    crate::binary::split_lines(&read(name))
}

/// The recorded webhook test: its log's text and the bodies as received, by file name.
pub fn webhook() -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let archive = decompress(&crate::root().join("tests/data/webhook/webhook.tar.zst"));
    let mut log = Vec::new();
    let mut bodies = Vec::new();
    for (name, content) in untar(&archive) {
        if name == "audit.log" {
            log = content.to_vec();
        } else if name.ends_with(".body.json") {
            bodies.push((name, content.to_vec()));
        }
    }
    (log, bodies)
}

fn decompress(path: &std::path::Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = Vec::new();
    zstd::Decoder::new(file).and_then(|mut decoder| decoder.read_to_end(&mut text)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text
}

/// The plain files of a tar archive (ustar: 512-byte headers, the size in octal at 124).
fn untar(archive: &[u8]) -> Vec<(String, &[u8])> {
    let text = |field: &[u8]| String::from_utf8_lossy(field).trim_end_matches('\0').trim().to_owned();
    let mut files = Vec::new();
    let mut rest = archive;
    while let Some((header, after)) = rest.split_first_chunk::<512>().filter(|(header, _)| header[0] != 0) {
        let size = usize::from_str_radix(&text(&header[124..135]), 8).expect("sizes are octal");
        if header[156] == b'0' {
            files.push((text(&header[..100]).trim_start_matches("./").to_owned(), &after[..size]));
        }
        rest = &after[size.next_multiple_of(512)..];
    }
    files
}

/// An EventList as kube-apiserver's webhook sends it: items without `kind` and `apiVersion`.
pub fn event_list<L: AsRef<[u8]>>(lines: &[L]) -> Vec<u8> {
    let mut body = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#.to_vec();
    for (index, line) in lines.iter().enumerate() {
        let line = line.as_ref();
        if index > 0 {
            body.push(b',');
        }
        match line.strip_prefix(LINE_HEAD) {
            Some(rest) => {
                body.push(b'{');
                body.extend_from_slice(rest);
            }
            None => body.extend_from_slice(line),
        }
    }
    body.extend_from_slice(b"]}\n");
    body
}

/// A small event at level Metadata that no other `number` has.
pub fn made_event(number: u64) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"00000000-0000-4000-8000-{number:012}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/team-a/configmaps/cm-{number}","verb":"get","user":{{"username":"alice","groups":["dev","system:authenticated"]}},"sourceIPs":["127.0.0.1"],"userAgent":"made/1.0","objectRef":{{"resource":"configmaps","namespace":"team-a","name":"cm-{number}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-11-22T10:{:02}:{:02}.{:06}Z","stageTimestamp":"2026-11-22T10:{:02}:{:02}.{:06}Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}}}"#,
        number / 60_000_000 % 60,
        number / 1_000_000 % 60,
        number % 1_000_000,
        number / 60_000_000 % 60,
        number / 1_000_000 % 60,
        number % 1_000_000,
    )
}

/// `lines` in the order of `search`: by stageTimestamp, then as they came.
pub fn in_time_order(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut sorted: Vec<(decklog_audit::Timestamp, Vec<u8>)> = lines
        .iter()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_slice(line).expect("recorded lines are JSON");
            let time = event["stageTimestamp"].as_str().and_then(decklog_audit::Timestamp::parse_micro);
            (time.expect("recorded events have a time"), line.clone())
        })
        .collect();
    sorted.sort_by_key(|(time, _)| *time);
    sorted.into_iter().map(|(_, line)| line).collect()
}
