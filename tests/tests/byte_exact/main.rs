//! What goes in comes back byte for byte: every recorded log and the odd cases, through import, webhook and tail.
//! With redaction on, all but the paths of `tests/golden/redacted.tsv` do.
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

mod odd_lines;
mod redacted;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use decklog_tests::binary::{Server, run, split_lines, stored_lines, succeed, text};
use decklog_tests::http::Connection;
use decklog_tests::{logs, shown, wait};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn import_gives_back_every_line_of_every_recorded_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut n_lines = 0;
    for name in logs::JSON_LOGS {
        let data_dir = folder.path().join(name);
        succeed(["import", text(&logs::path(name)), "--data-dir", text(&data_dir), "--redact", "off"]);
        let lines = logs::lines(name);
        n_lines += lines.len();
        assert_same(name, &stored_lines(&data_dir), &logs::in_time_order(&lines));
    }
    shown(&format!("import and search give back {n_lines} lines of {} logs byte for byte", logs::JSON_LOGS.len()));
}

#[test]
fn webhook_and_tail_give_back_every_line_of_every_recorded_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut n_lines = 0;
    for name in logs::JSON_LOGS {
        let lines = logs::lines(name);
        n_lines += lines.len();
        let expected = logs::in_time_order(&lines);

        let posted = Server::start(&folder.path().join(format!("{name}-webhook")), &["--redact", "off"]);
        let mut connection = Connection::open(posted.port, PATIENCE).unwrap();
        for batch in lines.chunks(400) {
            let answer = connection.post("/ingest/webhook/lab", &logs::event_list(batch)).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert_same(&format!("{name} by webhook"), &posted.stored_lines(), &expected);

        let file = folder.path().join(format!("{name}.log"));
        std::fs::write(&file, logs::read(name)).unwrap();
        let tailing = Server::start(&folder.path().join(format!("{name}-tail")), &["--redact", "off", "--tail", text(&file)]);
        wait_for_lines(&tailing, lines.len());
        assert_same(&format!("{name} by tail"), &tailing.stored_lines(), &expected);
    }
    shown(&format!("webhook and tail give back the same {n_lines} lines"));
}

#[test]
fn recorded_deliveries_and_the_log_of_the_same_events_are_the_same_lines() {
    let (log, bodies) = logs::webhook();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &["--redact", "off"]);
    let mut connection = Connection::open(server.port, PATIENCE).unwrap();
    for (name, body) in &bodies {
        let answer = connection.post("/ingest/webhook/lab", body).unwrap();
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    let logged: BTreeSet<Vec<u8>> = split_lines(&log).into_iter().collect();
    let stored = server.stored_lines();
    let distinct: BTreeSet<Vec<u8>> = stored.iter().cloned().collect();
    assert_eq!(distinct.len(), stored.len(), "a delivery that was sent again is stored twice");
    // The log was copied before the control plane went down: what it delivered after that is in no log.
    let key = |line: &[u8]| {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap();
        format!("{} {}", event["auditID"], event["stage"])
    };
    let logged_events: BTreeSet<String> = logged.iter().map(|line| key(line)).collect();
    let in_both: Vec<&Vec<u8>> = distinct.iter().filter(|line| logged_events.contains(&key(line))).collect();
    for line in &in_both {
        assert!(logged.contains(*line), "delivered otherwise than logged: {}", String::from_utf8_lossy(line));
    }
    assert!(in_both.len() > 1000, "only {} events were delivered and logged", in_both.len());
    shown(&format!("{} recorded deliveries hold {} distinct events, {} of them logged too: the same lines", bodies.len(), distinct.len(), in_both.len()));
}

#[test]
fn odd_lines_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<Vec<u8>> = odd_lines::LINES.iter().map(|odd| odd.line().into_bytes()).collect();
    let mut expected: Vec<Vec<u8>> = odd_lines::LINES.iter().map(|odd| odd.stored().into_bytes()).collect();
    expected.sort();
    let sorted = |mut lines: Vec<Vec<u8>>| {
        lines.sort();
        lines
    };
    let file = folder.path().join("odd.log");
    let mut text_of_file = lines.join(&b'\n');
    text_of_file.push(b'\n');
    std::fs::write(&file, &text_of_file).unwrap();

    let imported = folder.path().join("import");
    succeed(["import", text(&file), "--data-dir", text(&imported), "--redact", "off"]);
    assert_same("odd lines by import", &sorted(stored_lines(&imported)), &expected);

    let posted = Server::start(&folder.path().join("webhook"), &["--redact", "off"]);
    let answer = Connection::open(posted.port, PATIENCE).unwrap().post("/ingest/webhook/lab", &logs::event_list(&lines)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_same("odd lines by webhook", &sorted(posted.stored_lines()), &expected);

    // By tail while the file grows, cut in the middle of lines.
    let growing = folder.path().join("growing.log");
    std::fs::write(&growing, b"").unwrap();
    let tailing = Server::start(&folder.path().join("tail"), &["--redact", "off", "--tail", text(&growing)]);
    let mut writer = std::fs::OpenOptions::new().append(true).open(&growing).unwrap();
    for piece in text_of_file.chunks(97) {
        writer.write_all(piece).unwrap();
        writer.flush().unwrap();
    }
    wait_for_lines(&tailing, expected.len());
    assert_same("odd lines by tail", &sorted(tailing.stored_lines()), &expected);
    shown(&format!("{} odd lines (numbers, duplicate keys, surrogates, white space, unknown fields) by three ways", expected.len()));
}

#[test]
fn redaction_changes_the_listed_paths_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut golden = redacted::Golden::default();
    for name in logs::JSON_LOGS {
        let data_dir = folder.path().join(name);
        succeed(["import", text(&logs::path(name)), "--data-dir", text(&data_dir)]);
        let originals = logs::in_time_order(&logs::lines(name));
        let stored = stored_lines(&data_dir);
        assert_eq!(stored.len(), originals.len(), "{name}");
        for (original, line) in originals.iter().zip(&stored) {
            golden.compare(name, original, line);
        }
    }
    golden.check(&decklog_tests::root().join("tests/golden/redacted.tsv"));
}

#[test]
fn what_was_refused_can_be_exported_and_the_rest_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixed.log");
    let good = [logs::made_event(1), logs::made_event(2)];
    let bad = "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":";
    std::fs::write(&file, format!("{}\n{bad}\n{}\n", good[0], good[1])).unwrap();
    let data_dir = folder.path().join("data");
    let imported = run(["import", text(&file), "--data-dir", text(&data_dir), "--redact", "off"]);
    assert_eq!(imported.status.code(), Some(5), "{}", String::from_utf8_lossy(&imported.stderr));
    assert_same("the good lines", &stored_lines(&data_dir), &good.map(String::into_bytes));
    let exported = String::from_utf8(succeed(["quarantine", "export", "--data-dir", text(&data_dir)])).unwrap();
    assert!(exported.contains(bad), "{exported}");
}

fn wait_for_lines(server: &Server, count: usize) {
    wait::until(&format!("{count} lines to be stored"), PATIENCE, || {
        let data_dir: &Path = &server.data_dir;
        (stored_lines(data_dir).len() >= count).then_some(())
    });
}

fn assert_same(what: &str, got: &[Vec<u8>], expected: &[Vec<u8>]) {
    if let Some(at) = got.iter().zip(expected).position(|(got, expected)| got != expected) {
        panic!("{what}: line {at} of {} is\n{}\nnot\n{}", expected.len(), String::from_utf8_lossy(&got[at]), String::from_utf8_lossy(&expected[at]));
    }
    assert_eq!(got.len(), expected.len(), "{what}");
}
