//! No secret value of the recorded logs is anywhere after a whole run: not under the data directory, not in the
//! quarantine, a log, a metric or an answer. The values are collected first, from the raw logs, by a walk of its own that
//! shares nothing with the redaction.
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

mod collect;
mod haystack;

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use decklog_tests::binary::{Server, command, run, text};
use decklog_tests::http::{self, Connection};
use decklog_tests::{logs, shown, wait};
use haystack::Haystack;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_secret_value_is_anywhere_after_a_whole_run() {
    let mut all_lines = Vec::new();
    for name in logs::JSON_LOGS {
        all_lines.extend(logs::lines(name));
    }
    let secrets: BTreeSet<String> = all_lines.iter().flat_map(|line| collect::secrets(line)).collect();
    assert!(secrets.len() > 50, "only {} secret values found: the walk is broken", secrets.len());
    let raw = Haystack::of(vec![("the raw logs".to_owned(), all_lines.join(&b'\n'))]);
    assert_eq!(raw.holding(&secrets).len(), secrets.len(), "what is searched for can be found where it is");

    let folder = tempfile::tempdir().unwrap();
    let mut outputs: Vec<(String, Vec<u8>)> = Vec::new();
    let mut keep = |name: &str, bytes: Vec<u8>| outputs.push((name.to_owned(), bytes));

    // import
    let data_dir = folder.path().join("data");
    for name in logs::JSON_LOGS {
        let imported = run(["import", text(&logs::path(name)), "--data-dir", text(&data_dir), "--cluster", name]);
        assert!(imported.status.success());
        keep("import", [imported.stdout, imported.stderr].concat());
    }
    // webhook and tail, with items and lines that are no events beside the good ones: the secrets are in those too
    let broken: Vec<Vec<u8>> = all_lines.iter().filter(|line| !collect::secrets(line).is_empty()).flat_map(|line| damage(line)).collect();
    let tailed = folder.path().join("audit.log");
    let mut file = std::fs::File::create(&tailed).unwrap();
    for line in broken.iter().chain(&all_lines) {
        file.write_all(line).unwrap();
        file.write_all(b"\n").unwrap();
    }
    let server = Server::start(&data_dir, &["--tail", text(&tailed)]);
    let mut connection = Connection::open(server.port, PATIENCE).unwrap();
    for batch in all_lines.chunks(400) {
        keep("webhook answer", connection.post("/ingest/webhook/lab", &logs::event_list(batch)).unwrap().body);
    }
    for line in broken.iter().filter(|line| serde_json::from_slice::<serde_json::Value>(line).is_ok()) {
        keep("webhook answer", connection.post("/ingest/webhook/lab", &logs::event_list(&[line])).unwrap().body);
    }
    for line in broken.iter().filter(|line| serde_json::from_slice::<serde_json::Value>(line).is_err()).take(50) {
        // A body that is no list at all, and a list that ends in the middle.
        keep("webhook answer", Connection::open(server.port, PATIENCE).unwrap().post("/ingest/webhook/lab", line).unwrap().body);
        keep("webhook answer", Connection::open(server.port, PATIENCE).unwrap().post("/ingest/webhook/lab", &logs::event_list(&[line])).unwrap().body);
    }
    let n_distinct = all_lines.iter().collect::<BTreeSet<_>>().len();
    wait::until("webhook and tail to be stored", PATIENCE, || (server.stored_lines().len() >= n_distinct).then_some(()));

    // everything that gives events out
    let url = server.url();
    for arguments in [
        &["search", "--limit", "0", "-o", "json"][..],
        &["search", "resource:secrets", "--limit", "0"],
        &["search", "resource:secrets", "--limit", "0", "-o", "wide"],
        &["quarantine", "list"],
        &["quarantine", "export"],
        &["sources", "list"],
    ] {
        for target in [["--data-dir", text(&data_dir)], ["--server", &url]] {
            let output = command(arguments.iter().chain(&target)).output().unwrap();
            keep(&arguments.join(" "), [output.stdout, output.stderr].concat());
        }
    }
    for path in ["/metrics", "/readyz?verbose", "/api/v1/events?filter=resource:secrets&limit=1000"] {
        keep(path, http::get(server.port, path).unwrap().body);
    }
    let log = server.log.clone();
    assert!(server.stop().success());
    keep("the server's log", std::fs::read(log).unwrap());
    for (name, bytes) in haystack::files(&data_dir) {
        keep(&name, bytes);
    }

    let haystack = Haystack::of(outputs);
    assert!(haystack.n_bytes() > 10_000_000, "compressed blocks were not opened: {} bytes in all", haystack.n_bytes());
    let found = haystack.holding(&secrets);
    let listed: Vec<String> = found.iter().take(10).map(|(secret, places)| format!("{secret:?} in {}", places.join(", "))).collect();
    assert!(found.is_empty(), "{} of {} secret values are still there:\n{}", found.len(), secrets.len(), listed.join("\n"));
    shown(&format!(
        "{} secret values of the raw logs, {} broken items with them: none in {} MB of files, answers and logs",
        secrets.len(),
        broken.len(),
        haystack.n_bytes() / 1_000_000
    ));
}

/// A line that is no event any more: its stage gone, and cut off in the middle of its last body.
fn damage(line: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(line).unwrap();
    let no_event = text.replacen("\"stage\":\"", "\"stage\":7,\"was\":\"", 1);
    let cut = text.rfind("\"data\":{").or_else(|| text.rfind("\"token\":\"")).map(|at| text[..(at + 60).min(text.len())].to_owned());
    std::iter::once(no_event).chain(cut.filter(|cut| cut.is_ascii())).map(String::into_bytes).collect()
}
