//! Bad input: the rest is taken, the bad item is quarantined and counted, memory and time are bounded.
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use decklog_tests::binary::{Server, command, run, split_lines, stored_lines, succeed, text};
use decklog_tests::http::{self, Connection};
use decklog_tests::process::peak_memory;
use decklog_tests::{logs, shown, wait};
use flate2::{Compression, write::GzEncoder};

const PATIENCE: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;
/// The most memory a server or an import may ever hold, whatever comes in.
const MEMORY: u64 = 512 * MIB;
/// From the last byte of a body to the answer: kube-apiserver gives up after 30 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long a sender that says nothing more may keep its connection.
const LET_GO_WITHIN: Duration = Duration::from_secs(45);

#[test]
fn a_list_of_720_mb_with_one_bad_item() {
    const SIZE: u64 = 720_000_000;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &["--redact", "off"]);
    let filler = "the same twenty kilobytes of a body ".repeat(560);
    let item = |number: u64| {
        logs::made_event(number).replacen(
            "\"requestReceivedTimestamp\"",
            &format!("\"requestObject\":{{\"n\":{number},\"s\":\"{filler}\"}},\"requestReceivedTimestamp\""),
            1,
        )
    };
    let bad = "{\"level\":\"Metadata\",\"auditID\":7}";
    let head = "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{},\"items\":[";
    let item_size = item(0).len() as u64 + 1;
    let n_items = (SIZE - head.len() as u64) / item_size;
    let bad_at = n_items / 2;
    let lengths = (0..n_items).map(|number| if number == bad_at { bad.len() } else { item(number).len() } as u64);
    let length = head.len() as u64 + lengths.sum::<u64>() + (n_items - 1) + 2;

    let mut last_byte = Instant::now();
    let mut connection = Connection::open(server.port, PATIENCE).unwrap();
    let started = Instant::now();
    let answer = connection
        .post_streamed("/ingest/webhook/lab", &[], length, |stream| {
            let mut out = BufWriter::with_capacity(1 << 20, stream);
            out.write_all(head.as_bytes())?;
            for number in 0..n_items {
                let item = if number == bad_at { bad.to_owned() } else { item(number) };
                let comma: &str = if number == 0 { "" } else { "," };
                write!(out, "{comma}{item}")?;
            }
            out.write_all(b"]}")?;
            out.flush()?;
            last_byte = Instant::now();
            Ok(())
        })
        .unwrap();
    let (sent_in, answered_in) = (last_byte - started, last_byte.elapsed());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answered_in <= ANSWER_WITHIN, "answered {answered_in:?} after the last byte");
    let memory = peak_memory(server.pid());
    assert!(memory <= MEMORY, "{} MiB resident", memory / MIB);
    let (stored, refused) = (server.metric("decklog_journal_acknowledged_events_total"), server.metric("decklog_source_rejected_events_total"));
    assert_eq!((stored, refused), ((n_items - 1) as f64, 1.0), "{}", answer.text());
    let exported = succeed(["quarantine", "export", "--data-dir", text(&server.data_dir)]);
    assert!(String::from_utf8_lossy(&exported).contains("\"auditID\":7"));
    // One of the middle, found by its name: everything is there and can be read.
    let found = split_lines(&succeed(["search", &format!("name:cm-{}", bad_at + 1), "--data-dir", text(&server.data_dir), "-o", "json"]));
    assert_eq!(found, [item(bad_at + 1).into_bytes()]);
    shown(&format!(
        "720 MB list of {n_items} items, one bad: 200 in {:.1} s ({:.1} s after the last byte), {} MiB resident, {stored} stored, {refused} quarantined",
        (sent_in + answered_in).as_secs_f64(),
        answered_in.as_secs_f64(),
        memory / MIB
    ));
}

#[test]
fn a_list_that_breaks_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &["--redact", "off"]);
    let lines: Vec<String> = (0..20_000).map(logs::made_event).collect();
    let body = logs::event_list(&lines);
    // Fewer bytes than announced, then the connection ends.
    let half = &body[..body.len() / 2];
    let mut connection = Connection::open(server.port, PATIENCE).unwrap();
    let answer = connection.post_streamed("/ingest/webhook/lab", &[], body.len() as u64, |stream| {
        stream.write_all(half)?;
        stream.shutdown(std::net::Shutdown::Write)
    });
    assert!(answer.as_ref().map_or(true, |answer| answer.status >= 400), "{answer:?}");
    assert_eq!(server.stored_lines().len(), 0, "a broken body leaves its blocks uncommitted");
    assert_eq!(Connection::open(server.port, PATIENCE).unwrap().post("/ingest/webhook/lab", &body).unwrap().status, 200);
    assert_eq!(server.stored_lines().len(), lines.len());
}

#[test]
fn strange_bodies_are_answered_and_hurt_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &["--redact", "off"]);
    let good = logs::made_event(1);
    let list = |items: &str| format!("{{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[{items}]}}").into_bytes();
    let mut invalid_utf8 = list(&format!("{{\"x\":\"#\"}},{}", logs::made_event(2)));
    let at = invalid_utf8.iter().position(|byte| *byte == b'#').unwrap();
    invalid_utf8[at] = 0xff;
    // What is no EventList is a 400; a list with bad items is a 200 that takes the others.
    let cases: Vec<(&str, Vec<u8>, u16, u64)> = vec![
        ("no body", Vec::new(), 400, 0),
        ("no JSON", b"hello".to_vec(), 400, 0),
        ("another kind", b"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[]}".to_vec(), 400, 0),
        ("a number", b"1e999999".to_vec(), 400, 0),
        ("deep nesting alone", "[".repeat(1_000_000).into_bytes(), 400, 0),
        ("an empty list", list(""), 200, 0),
        ("invalid UTF-8 in an item", invalid_utf8, 200, 1),
        ("deep nesting in an item", list(&format!("{{\"a\":{}{}}},{}", "[".repeat(100_000), "]".repeat(100_000), logs::made_event(3))), 200, 1),
        ("huge numbers in an item", list(&format!("{{\"code\":{}}},{}", "9".repeat(1_000_000), logs::made_event(4))), 200, 1),
        ("items that are no objects", list(&format!("null,1,\"x\",[],true,{}", logs::made_event(5))), 200, 1),
        ("an event after all that", list(&good), 200, 1),
    ];
    let mut n_expected = 0;
    for (what, body, status, n_taken) in cases {
        let started = Instant::now();
        let answer = Connection::open(server.port, PATIENCE).unwrap().post("/ingest/webhook/lab", &body).unwrap();
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(started.elapsed() <= ANSWER_WITHIN, "{what} took {:?}", started.elapsed());
        n_expected += n_taken;
        assert_eq!(server.stored_lines().len() as u64, n_expected, "{what}");
    }
    assert!(peak_memory(server.pid()) <= MEMORY);
    assert!(server.stop().success());
}

#[test]
fn a_gzip_bomb_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = folder.path().join("bomb.log.gz");
    // A good line, then a gigabyte without an event in it: about two hundred to one. Real logs reach thirty to one.
    let mut encoder = GzEncoder::new(File::create(&bomb).unwrap(), Compression::new(1));
    writeln!(encoder, "{}", logs::made_event(1)).unwrap();
    let piece = vec![b'a'; 1 << 20];
    for _ in 0..1024 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap();
    let data_dir = folder.path().join("data");
    let started = Instant::now();
    let (code, memory) = run_measured(&bomb, &data_dir);
    assert_eq!(code, Some(5), "done in part");
    assert!(memory <= MEMORY, "{} MiB resident", memory / MIB);
    assert_eq!(stored_lines(&data_dir), [logs::made_event(1).into_bytes()]);
    let took = started.elapsed();
    assert!(took < ANSWER_WITHIN, "the import took {took:?}");

    // The same bytes as a webhook body: kube-apiserver never compresses, so any refusal will do.
    let server = Server::start(&folder.path().join("served"), &["--redact", "off"]);
    let body = std::fs::read(&bomb).unwrap();
    let answer =
        Connection::open(server.port, PATIENCE)
            .unwrap()
            .post_streamed("/ingest/webhook/lab", &[("Content-Encoding", "gzip")], body.len() as u64, |stream| stream.write_all(&body));
    assert!(answer.as_ref().map_or(true, |answer| (400..500).contains(&answer.status)), "{answer:?}");
    assert!(peak_memory(server.pid()) <= MEMORY);
    assert_eq!(http::get(server.port, "/readyz").unwrap().status, 200);
    shown(&format!("gzip bomb of 1 GiB: the line before it imported, the rest given up after {:.1} s, {} MiB resident", took.as_secs_f64(), memory / MIB));
}

#[test]
fn a_line_over_the_limit_is_passed_over_by_the_tail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let mut log = BufWriter::new(File::create(&file).unwrap());
    writeln!(log, "{}", logs::made_event(1)).unwrap();
    let long = vec![b'x'; 1 << 20];
    for _ in 0..65 {
        log.write_all(&long).unwrap();
    }
    writeln!(log, "\n{}", logs::made_event(2)).unwrap();
    log.flush().unwrap();
    let server = Server::start(&folder.path().join("data"), &["--redact", "off", "--tail", text(&file)]);
    wait::until("both good lines", PATIENCE, || (server.stored_lines().len() == 2).then_some(()));
    assert_eq!(server.metric("decklog_source_rejected_events_total"), 1.0);
    assert!(peak_memory(server.pid()) <= MEMORY);
}

#[test]
fn slow_senders_keep_nobody_waiting() {
    const N_SLOW: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &["--redact", "off"]);
    let body = logs::event_list(&[logs::made_event(1)]);
    let mut slow: Vec<TcpStream> = (0..N_SLOW)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            write!(
                stream,
                "POST /ingest/webhook/lab HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                server.port,
                body.len()
            )
            .unwrap();
            stream
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for (round, piece) in body.chunks(16).take(20).enumerate() {
        for stream in &mut slow {
            stream.write_all(piece).unwrap();
        }
        let started = Instant::now();
        let answer =
            Connection::open(server.port, PATIENCE).unwrap().post("/ingest/webhook/lab", &logs::event_list(&[logs::made_event(100 + round as u64)])).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "others waited {slowest:?}");
    // A sender that stops altogether is let go: a 408, or the connection ends.
    let mut stopped = slow.pop().unwrap();
    stopped.set_read_timeout(Some(LET_GO_WITHIN)).unwrap();
    let mut answer = Vec::new();
    stopped.read_to_end(&mut answer).unwrap_or_else(|error| panic!("a sender that stopped is still waited for: {error}"));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    drop(slow);
    assert_eq!(server.stored_lines().len(), 20);
    shown(&format!("beside {N_SLOW} senders that never finish, others wait {} ms at most", slowest.as_millis()));
}

#[test]
fn wrong_use_is_told_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let missing = run(["import", text(&folder.path().join("missing.log")), "--data-dir", text(&nowhere)]);
    assert_eq!(missing.status.code(), Some(3), "{}", String::from_utf8_lossy(&missing.stderr));
    let empty = run(["search", "--data-dir", text(&folder.path().join("no-such-folder"))]);
    assert_eq!(empty.status.code(), Some(3), "{}", String::from_utf8_lossy(&empty.stderr));
    let wrong = run(["search", "usr:bob", "--data-dir", text(&folder.path().join("no-such-folder"))]);
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
    assert!(!folder.path().join("no-such-folder").try_exists().unwrap());
}

/// Imports `file` and gives the exit code and the most memory the process had, read until it ends.
fn run_measured(file: &Path, data_dir: &Path) -> (Option<i32>, u64) {
    let mut child = command(["import", text(file), "--data-dir", text(data_dir), "--redact", "off"]).spawn().unwrap();
    let mut memory = 0;
    let status = wait::until("the import to end", PATIENCE, || {
        // A process that has just ended is still there for /proc, without its memory.
        if let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", child.id())) {
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            memory = memory.max(peak.unwrap_or(0) * 1024);
        }
        child.try_wait().unwrap()
    });
    (status.code(), memory)
}
