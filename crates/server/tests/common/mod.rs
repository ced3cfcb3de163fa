//! A server on a loopback socket with a journal and a search made of a vector, and a client to ask it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test file uses its part

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use decklog_audit::filter::Candidate;
use decklog_audit::journal::{AppendError, Appended, Appending, Batch, EventId, Journal, Origin, RecordKind, Staged};
use decklog_audit::search::{Hit, Order, SearchError, SearchRequest, SearchSummary, Searcher, SqlError, SqlErrorKind, SqlRequest, SqlSummary};
use decklog_audit::{Event, Timestamp};
use decklog_server::{AccessConfig, Build, Check, Parts, QuarantineItem, QuarantineRequest, QuarantineView, Server, ServerConfig, ServerMetrics, SourceStatus};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

/// Journal and search over one vector.
pub struct Store {
    records: Mutex<Vec<Record>>,
    next: watch::Sender<u64>,
    pub broken_journal: AtomicBool,
    pub broken_search: AtomicBool,
    /// How long each hit takes, in milliseconds.
    pub slow: std::sync::atomic::AtomicU64,
    /// Hits handed out since the start.
    pub n_hits: std::sync::atomic::AtomicU64,
    pub gaps: Mutex<Vec<String>>,
    /// Whether filters count; most tests leave them out, since their lines are no events.
    pub filters: AtomicBool,
    first_seq: u64,
}

#[derive(Clone)]
struct Record {
    kind: RecordKind,
    time: Timestamp,
    line: Vec<u8>,
}

impl Store {
    pub fn new(first_seq: u64) -> Arc<Self> {
        Arc::new(Self {
            records: Mutex::default(),
            next: watch::Sender::new(first_seq),
            broken_journal: AtomicBool::new(false),
            broken_search: AtomicBool::new(false),
            slow: 0.into(),
            n_hits: 0.into(),
            gaps: Mutex::default(),
            filters: AtomicBool::new(false),
            first_seq,
        })
    }

    pub fn event(&self, second: i64, line: impl Into<Vec<u8>>) {
        self.push(RecordKind::Event, Timestamp::new(second, 0).unwrap(), line.into());
    }

    pub fn events(&self, numbers: std::ops::Range<i64>) {
        for number in numbers {
            self.event(number, format!(r#"{{"auditID":"{number}","n":1.0e0}}"#));
        }
    }

    /// An event of its own request, as Kubernetes writes it.
    pub fn request(&self, second: i64, user: &str, verb: &str, code: u16) {
        let stage = |stage: &str, answer: &str| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{second}","stage":"{stage}","requestURI":"/api/v1/pods","verb":"{verb}","user":{{"username":"{user}"}}{answer}}}"#
            )
        };
        self.event(second, stage("RequestReceived", ""));
        self.event(second, stage("ResponseComplete", &format!(r#","responseStatus":{{"code":{code}}}"#)));
    }

    fn push(&self, kind: RecordKind, time: Timestamp, line: Vec<u8>) {
        let mut records = self.records.lock().unwrap();
        records.push(Record { kind, time, line });
        self.next.send_replace(self.first_seq + records.len() as u64);
    }

    /// The marks that were written, as JSON.
    pub fn marks(&self) -> Vec<serde_json::Value> {
        let records = self.records.lock().unwrap();
        records.iter().filter(|record| record.kind == RecordKind::Mark).map(|record| serde_json::from_slice(&record.line).unwrap()).collect()
    }

    /// Waits for a mark that says `what`.
    pub async fn mark(&self, what: &str) -> serde_json::Value {
        let mut grown = self.next.subscribe();
        loop {
            if let Some(mark) = self.marks().into_iter().find(|mark| mark["what"] == what) {
                return mark;
            }
            tokio::time::timeout(Duration::from_secs(10), grown.changed()).await.expect("a mark in time").unwrap();
        }
    }
}

impl Journal for Store {
    fn append(&self, batch: Batch) -> Appending {
        if self.broken_journal.load(Ordering::Relaxed) {
            return Box::pin(async { Err(AppendError::Full { directory: "there".to_owned() }) });
        }
        for (index, head) in batch.heads().iter().enumerate() {
            self.push(head.kind, head.time, batch.record(index).to_vec());
        }
        Box::pin(async { Ok(Appended::default()) })
    }

    fn stage(&self) -> Result<Box<dyn Staged>, AppendError> {
        Err(AppendError::Closed)
    }

    fn position(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }

    fn next_seq(&self) -> u64 {
        *self.next.borrow()
    }

    fn wait_beyond(&self, seq: u64, patience: Duration) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        let mut next = self.next.subscribe();
        Box::pin(async move {
            let _ = tokio::time::timeout(patience, next.wait_for(|next| *next > seq)).await;
            *next.borrow_and_update()
        })
    }
}

impl Searcher for Store {
    fn search(&self, request: &SearchRequest, found: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>) -> Result<SearchSummary, SearchError> {
        if self.broken_search.load(Ordering::Relaxed) {
            return Err(SearchError::Failed("secret path of the store".to_owned()));
        }
        let origin = Arc::new(Origin { cluster: "lab".into(), source: "prod".into(), sender: "127.0.0.1:9".into() });
        let mut hits: Vec<(u64, Record)> = {
            let records = self.records.lock().unwrap();
            records.iter().enumerate().map(|(index, record)| (self.first_seq + index as u64, record.clone())).collect()
        };
        hits.retain(|(seq, record)| {
            let key = (record.time, *seq);
            record.kind == RecordKind::Event
                && request.range.contains(record.time)
                && request.seqs.from.is_none_or(|from| from <= *seq)
                && request.seqs.until.is_none_or(|until| *seq < until)
                && request.after.is_none_or(|after| if request.order == Order::Descending { key < after } else { key > after })
        });
        if self.filters.load(Ordering::Relaxed) {
            hits.retain(|(seq, record)| matches(request, *seq, record, &origin));
        }
        let n_matched = hits.len() as u64;
        hits.sort_by_key(|(seq, record)| (record.time, *seq));
        if let Some(limit) = request.limit {
            hits.drain(..hits.len().saturating_sub(limit));
        }
        match request.order {
            Order::Ascending => {}
            Order::Descending => hits.reverse(),
            Order::Arrival => hits.sort_by_key(|(seq, _)| *seq),
        }
        let mut n_returned = 0;
        for (seq, record) in &hits {
            std::thread::sleep(Duration::from_millis(self.slow.load(Ordering::Relaxed)));
            let mut id = [0; 16];
            id[..8].copy_from_slice(&seq.to_be_bytes());
            n_returned += 1;
            self.n_hits.fetch_add(1, Ordering::Relaxed);
            let hit = Hit { seq: *seq, id: EventId(id), time: record.time, ingested_at: record.time, origin: &origin, line: &record.line };
            if request.stop.is_stopped() {
                return Err(SearchError::Stopped);
            }
            if found(hit).is_break() {
                break;
            }
        }
        Ok(SearchSummary { n_matched, n_returned, n_scanned: n_matched, extent: None, gaps: self.gaps.lock().unwrap().clone() })
    }

    /// Knows a few questions: `rows N` gives so many, each as slow as a hit; the word of an error kind gives that error.
    fn sql(&self, request: &SqlRequest, out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<SqlSummary, SqlError> {
        let kind = match request.query.as_str() {
            "bad" => SqlErrorKind::Bad,
            "forbidden" => SqlErrorKind::Forbidden,
            "memory" => SqlErrorKind::Memory,
            "timeout" => SqlErrorKind::Timeout,
            "unavailable" => SqlErrorKind::Unavailable,
            "failed" => SqlErrorKind::Failed,
            _ => {
                let n_rows: u64 = request.query.split(' ').nth(1).unwrap().parse().unwrap();
                for row in 0..n_rows {
                    std::thread::sleep(Duration::from_millis(self.slow.load(Ordering::Relaxed)));
                    self.n_hits.fetch_add(1, Ordering::Relaxed);
                    if request.stop.is_stopped() {
                        return Err(SqlError::new(SqlErrorKind::Stopped, "stopped"));
                    }
                    if out(format!("{:?} {row} {:?} {:?}\n", request.format, request.params, request.limit).as_bytes()).is_break() {
                        return Ok(SqlSummary { n_rows: row, ..SqlSummary::default() });
                    }
                }
                return Ok(SqlSummary { n_rows, cut: request.limit == Some(n_rows as usize), gaps: self.gaps.lock().unwrap().clone() });
            }
        };
        Err(SqlError { help: Some("a secret-free help".to_owned()), place: Some((2, 7)), ..SqlError::new(kind, "there is no `x`") })
    }
}

fn matches(request: &SearchRequest, seq: u64, record: &Record, origin: &Arc<Origin>) -> bool {
    let line = std::str::from_utf8(&record.line).unwrap();
    let event = Event::decode(line).unwrap();
    request.filter.matches(&Candidate { event: &event, line, seq, id: EventId([0; 16]), time: record.time, ingested_at: record.time, origin })
}

struct TwoRefused;

impl QuarantineView for TwoRefused {
    fn read(&self, request: &QuarantineRequest, found: &mut dyn FnMut(&QuarantineItem, &[u8]) -> ControlFlow<()>) -> Result<u64, String> {
        for id in ["1", "2"] {
            let item = QuarantineItem {
                id: id.to_owned(),
                source: request.source.clone().unwrap_or_default(),
                reason: "malformed".to_owned(),
                size: 2,
                ..QuarantineItem::default()
            };
            if found(&item, b"{\xff").is_break() {
                break;
            }
        }
        Ok(2)
    }
}

/// How a test's server differs from the defaults.
pub struct Setup {
    pub config: ServerConfig,
    pub access: AccessConfig,
    pub store: Arc<Store>,
    pub routers: Vec<axum::Router>,
    pub checks: Vec<Check>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { config: ServerConfig::new([1; 32]), access: AccessConfig::default(), store: Store::new(1), routers: Vec::new(), checks: Vec::new() }
    }
}

impl Setup {
    /// A server that has not been handed its parts yet, and the parts.
    pub async fn start(self) -> (Server, Parts) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut registry = Registry::default();
        let metrics = ServerMetrics::register(&mut registry, Build { version: "9.9.9".to_owned(), revision: "abc".to_owned() });
        let server = Server::start(listener, self.config, self.access.build().unwrap(), metrics).unwrap();
        let parts = Parts {
            journal: self.store.clone(),
            searcher: self.store,
            routers: self.routers,
            sources: Arc::new(|| {
                vec![SourceStatus { name: "prod".to_owned(), kind: "webhook".to_owned(), state: "active".to_owned(), ..SourceStatus::default() }]
            }),
            quarantine: Arc::new(TwoRefused),
            checks: self.checks,
            registry: Arc::new(registry),
            redactor: Some(Arc::new(decklog_audit::redact::Redactor::new(decklog_audit::redact::RedactionKey::generate([7; 32])))),
            clock: Arc::new(|| Timestamp::parse_rfc3339("2026-11-24T20:00:00Z").unwrap()),
        };
        (server, parts)
    }

    /// A server that serves.
    pub async fn serve(self) -> Server {
        let (server, parts) = self.start().await;
        server.hand_over(parts);
        server
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem's word, after checking that it is one.
    pub fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["requestId"], self.headers["x-request-id"].to_str().unwrap());
        body["type"].as_str().unwrap().strip_prefix("https://decklog.io/problems/").unwrap().to_owned()
    }
}

/// Sends a request on a connection of its own and gives the answer's head and body as it comes.
pub async fn open(address: SocketAddr, method: Method, target: &str, headers: &[(&str, &str)]) -> hyper::Response<Incoming> {
    open_with(address, method, target, headers, "").await
}

/// Sends a request that has a body.
pub async fn open_with(address: SocketAddr, method: Method, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> hyper::Response<Incoming> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(target);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap()
}

pub async fn send(address: SocketAddr, method: Method, target: &str, headers: &[(&str, &str)]) -> Answer {
    read(open(address, method, target, headers).await).await
}

/// Reads an answer to its end.
pub async fn read(response: hyper::Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    Answer { status: head.status, headers: head.headers, trailers, body: body.to_bytes() }
}

pub async fn get(address: SocketAddr, target: &str) -> Answer {
    send(address, Method::GET, target, &[]).await
}
