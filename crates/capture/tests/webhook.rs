//! The webhook receiver over a socket, on a journal and a quarantine that are files.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Extension;
use decklog_audit::access::{Identity, Scope};
use decklog_audit::intake::Intake;
use decklog_audit::journal::{Journal, Next, Reader, RecordKind};
use decklog_audit::redact::{RedactionKey, Redactor};
use decklog_capture::webhook::{Receiver, ReceiverConfig, routes};
use decklog_capture::{CaptureMetrics, Recorder};
use decklog_store::{JournalConfig, LocalJournal, LocalQuarantine, QuarantineConfig, QuarantineView, StartFrom};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Bench {
    address: SocketAddr,
    journal: Arc<LocalJournal>,
    registry: Registry,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: serde_json::Value,
}

impl Answer {
    fn counts(&self) -> [u64; 3] {
        assert_eq!(self.status, 200, "{self:?}");
        ["stored", "duplicates", "quarantined"].map(|name| self.body[name].as_u64().unwrap())
    }
}

async fn start(data_dir: &Path) -> Bench {
    let journal = Arc::new(LocalJournal::open(data_dir, JournalConfig { reserve: 1 << 16, ..JournalConfig::default() }).unwrap());
    let quarantine = Arc::new(LocalQuarantine::open(data_dir, QuarantineConfig::default()).unwrap());
    let mut registry = Registry::default();
    let metrics = CaptureMetrics::default();
    metrics.register(&mut registry);
    journal.metrics().register(&mut registry);
    quarantine.metrics().register(&mut registry);
    let intake = Intake { redactor: Some(Arc::new(Redactor::new(RedactionKey::generate([7; 32])))), max_event_bytes: 1 << 20 };
    let recorder = Recorder { intake: Arc::new(intake), journal: journal.clone(), quarantine, metrics };
    let identity = Identity { name: "loopback".into(), scopes: vec![Scope::Admin], source: None, cluster: None, peer: "127.0.0.1:4711".into() };
    let router = routes(Receiver::new(recorder, ReceiverConfig::default())).layer(Extension(identity));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Bench { address, journal, registry, serving }
}

async fn post(address: SocketAddr, headers: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /ingest/webhook/prod HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap() }
}

impl Bench {
    async fn post(&self, body: &[u8]) -> Answer {
        post(self.address, "", body).await
    }

    fn lines(&self) -> Vec<String> {
        let mut reader = self.journal.reader("test", StartFrom::Earliest).unwrap();
        let mut lines = Vec::new();
        while let Next::Block(block) = reader.next().unwrap() {
            lines
                .extend(block.records().filter(|record| record.head.kind == RecordKind::Event).map(|record| String::from_utf8(record.bytes.to_vec()).unwrap()));
        }
        lines
    }

    /// The sums of all metrics over their labels, as a scrape reads them.
    fn metrics(&self) -> HashMap<String, u64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let mut sums = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            if let Ok(value) = value.parse::<u64>() {
                *sums.entry(name.split('{').next().unwrap().to_owned()).or_default() += value;
            }
        }
        sums
    }

    /// Whatever arrived is acknowledged, a duplicate, or rejected.
    fn check_identity(&self, received: u64, acknowledged: u64, duplicates: u64, rejected: u64) {
        let metrics = self.metrics();
        let count = |name: &str| metrics.get(name).copied().unwrap_or(0);
        let counts = ["decklog_journal_acknowledged_events_total", "decklog_journal_duplicate_events_total", "decklog_source_rejected_events_total"].map(count);
        assert_eq!(counts, [acknowledged, duplicates, rejected]);
        assert_eq!((count("decklog_source_received_events_total"), received), (counts.iter().sum(), counts.iter().sum()));
    }
}

fn delivery(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/webhook").join(name);
    zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()
}

fn n_items(body: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(body).unwrap()["items"].as_array().unwrap().len() as u64
}

const DELIVERIES: [&str; 3] = ["cap-0003.body.json.zst", "cap-0021.body.json.zst", "cap2-0001.body.json.zst"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_deliveries_again_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bench = start(dir.path()).await;
    let bodies = DELIVERIES.map(delivery);
    let (mut received, mut stored) = (0, 0);
    for body in &bodies {
        let counts = bench.post(body).await.counts();
        assert_eq!((counts[0] + counts[1], counts[2]), (n_items(body), 0));
        received += n_items(body);
        stored += counts[0];
    }
    assert!(stored > 0);
    for body in &bodies {
        assert_eq!(bench.post(body).await.counts(), [0, n_items(body), 0]);
        received += n_items(body);
    }
    let packed = zstd::encode_all(&bodies[0][..], 1).unwrap();
    assert_eq!(post(bench.address, "content-encoding: zstd\r\n", &packed).await.counts(), [0, n_items(&bodies[0]), 0]);
    received += n_items(&bodies[0]);
    let lines = bench.lines();
    assert_eq!(lines.len() as u64, stored);
    bench.check_identity(received, stored, received - stored, 0);
    // A new process knows them too.
    bench.serving.abort();
    let _ = bench.serving.await;
    drop(bench.journal);
    let bench = start(dir.path()).await;
    assert_eq!(bench.post(&bodies[1]).await.counts(), [0, n_items(&bodies[1]), 0]);
    assert_eq!(bench.lines(), lines);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_body_many_times_at_once_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let bench = start(dir.path()).await;
    let body = Arc::new(delivery(DELIVERIES[0]));
    let address = bench.address;
    let posts: Vec<_> = (0..16)
        .map(|_| {
            let body = Arc::clone(&body);
            tokio::spawn(async move { post(address, "", &body).await.counts() })
        })
        .collect();
    let (mut stored, mut duplicates) = (0, 0);
    for post in posts {
        let counts = post.await.unwrap();
        (stored, duplicates) = (stored + counts[0], duplicates + counts[1]);
    }
    let n_different = bench.lines().len() as u64;
    assert_eq!((stored, stored + duplicates), (n_different, 16 * n_items(&body)));
    bench.check_identity(16 * n_items(&body), stored, duplicates, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_in_the_quarantine_when_the_answer_comes() {
    let dir = tempfile::tempdir().unwrap();
    let bench = start(dir.path()).await;
    let secret = "hunter2-hunter2-hunter2";
    let event = |id: u64| format!(r#"{{"level":"Metadata","auditID":"{id}","stage":"Panic","userAgent":"Bearer {secret}"}}"#);
    let broken = format!(r#"{{"stage":7,"objectRef":{{"resource":"secrets"}},"requestObject":{{"data":{{"a":"{secret}"}}}}}}"#);
    let huge = format!(r#"{{"level":"Metadata","auditID":"h","requestObject":{{"data":{{"a":"{secret}"}},"x":"{}"}}}}"#, "x".repeat(5 << 20));
    let list = format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{},{broken},{},{huge},{}]}}"#, event(1), event(2), event(1));
    assert_eq!(bench.post(list.as_bytes()).await.counts(), [2, 1, 2]);
    let whole = bench.post(b"no list at all").await;
    assert_eq!(whole.status, 400, "{whole:?}");
    let view = QuarantineView::open(dir.path()).unwrap();
    let items: Vec<_> = view.items().map(Result::unwrap).collect();
    assert_eq!(items.len(), 3);
    let mut kept: Vec<String> = items.iter().map(|item| String::from_utf8(view.read(item).unwrap().unwrap()).unwrap()).collect();
    assert_eq!(kept[2], "no list at all");
    kept.extend(bench.lines());
    assert_eq!(kept.len(), 5);
    assert!(kept.iter().all(|text| !text.contains(secret)), "{kept:?}");
    bench.check_identity(6, 2, 1, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_journal_sends_the_sender_away_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let bench = start(dir.path()).await;
    bench.journal.close();
    let body = delivery(DELIVERIES[0]);
    let answer = bench.post(&body).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("\r\nretry-after: 2"), "{answer:?}");
    bench.check_identity(n_items(&body), 0, 0, n_items(&body));
    assert_eq!(bench.journal.next_seq(), 1);
    bench.serving.abort();
    let _ = bench.serving.await;
    drop(bench.journal);
    let bench = start(dir.path()).await;
    let counts = bench.post(&body).await.counts();
    assert_eq!(counts[0] + counts[1], n_items(&body));
}
