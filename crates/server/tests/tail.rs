//! The live tail over a loopback socket: order, resume, slow readers, limits, and its end.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::time::Duration;

use common::{Setup, Store, get, open, send};
use decklog_server::{Server, TailConfig};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// One server-sent event or comment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sent {
    id: Option<u64>,
    event: String,
    data: String,
}

/// Reads a tail.
struct Client {
    body: Incoming,
    text: String,
}

impl Client {
    async fn connect(server: &Server, target: &str, headers: &[(&str, &str)]) -> Self {
        let response = open(server.address(), Method::GET, target, headers).await;
        assert_eq!((response.status(), &response.headers()["content-type"]), (StatusCode::OK, &"text/event-stream".parse().unwrap()));
        Self { body: response.into_body(), text: String::new() }
    }

    /// The next block of lines; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                return Some(std::mem::replace(&mut self.text, rest));
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await.expect("something in time")?;
            self.text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
        }
    }

    /// The next event, comments left out.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            let mut sent = Sent::default();
            for line in self.block().await?.lines() {
                match line.split_once(": ") {
                    Some(("id", value)) => sent.id = Some(value.parse().unwrap()),
                    Some(("event", value)) => sent.event = value.to_owned(),
                    Some(("data", value)) => sent.data = value.to_owned(),
                    _ => {}
                }
            }
            if sent != Sent::default() {
                return Some(sent);
            }
        }
    }
}

fn audit(seq: u64, number: u64) -> Option<Sent> {
    Some(Sent { id: Some(seq), event: "audit".to_owned(), data: format!(r#"{{"auditID":"{number}","n":1.0e0}}"#) })
}

#[tokio::test]
async fn events_arrive_in_order_and_a_resumed_tail_misses_none() {
    let setup = Setup::default();
    let store = setup.store.clone();
    store.events(0..3); // 1, 2, 3: before the tail
    let server = setup.serve().await;
    let mut tail = Client::connect(&server, "/api/v1/tail?filter=verb:get", &[]).await;
    assert!(tail.block().await.unwrap().starts_with("retry: "));
    store.mark("tail-start").await; // 4
    store.events(4..6);
    assert_eq!((tail.next().await, tail.next().await), (audit(5, 4), audit(6, 5)));
    drop(tail);
    assert_eq!(store.mark("tail").await["count"], 2); // 7
    store.events(7..8);
    let mut resumed = Client::connect(&server, "/api/v1/tail", &[("last-event-id", "5")]).await;
    assert_eq!((resumed.next().await, resumed.next().await), (audit(6, 5), audit(8, 7)));
    let mut newest = Client::connect(&server, "/api/v1/tail?last=2", &[]).await;
    assert_eq!((newest.next().await, newest.next().await), (audit(6, 5), audit(8, 7)));
    let mut from_future = Client::connect(&server, "/api/v1/tail", &[("last-event-id", "900000")]).await;
    from_future.block().await.unwrap();
    store.events(20..21);
    assert_eq!(from_future.next().await.unwrap().data, audit(0, 20).unwrap().data);
}

#[tokio::test]
async fn a_journal_that_is_empty_is_tailed_from_its_first_event() {
    let setup = Setup { store: Store::new(0), ..Setup::default() };
    let store = setup.store.clone();
    let server = setup.serve().await;
    let mut tail = Client::connect(&server, "/api/v1/tail", &[]).await;
    tail.block().await.unwrap();
    store.events(0..1);
    assert_eq!(tail.next().await.unwrap().event, "audit");
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed_and_goes_on_at_the_end() {
    let mut setup = Setup::default();
    setup.config.tail = TailConfig { patience: Duration::from_millis(100), slice_bytes: 1 << 20, ..TailConfig::default() };
    let store = setup.store.clone();
    let server = setup.serve().await;
    // More than the buffers between can hold (some megabytes of socket memory), so that the server has to wait. There
    // before the client is: making them takes longer than the server's patience where the machine is busy.
    const N_EVENTS: i64 = 600;
    for number in 0..N_EVENTS {
        store.event(number, format!("\"{}\"", "x".repeat(100_000)));
    }
    let mut tail = Client::connect(&server, "/api/v1/tail", &[("last-event-id", "0")]).await;
    tail.block().await.unwrap();
    let (mut last, mut n_events) = (None, 0);
    let skipped = loop {
        let sent = tail.next().await.unwrap();
        match sent.event.as_str() {
            "audit" => {
                assert!(sent.id > last);
                last = sent.id;
                n_events += 1;
            }
            "lag" => break serde_json::from_str::<serde_json::Value>(&sent.data).unwrap()["skipped"].as_i64().unwrap(),
            other => panic!("{other}"),
        }
        if n_events == 1 {
            // The reader's pause is what is tested: longer than the server's patience.
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    };
    assert!(skipped > 0);
    assert_eq!(n_events + skipped, N_EVENTS);
    store.event(N_EVENTS, r#"{"auditID":"after"}"#);
    assert_eq!(tail.next().await.unwrap().data, r#"{"auditID":"after"}"#);
}

#[tokio::test]
async fn a_quiet_tail_sends_comments() {
    let mut setup = Setup::default();
    setup.config.tail.keep_alive = Duration::from_millis(20);
    let server = setup.serve().await;
    let mut tail = Client::connect(&server, "/api/v1/tail", &[]).await;
    tail.block().await.unwrap();
    assert_eq!((tail.block().await.unwrap().as_str(), tail.block().await.unwrap().as_str()), (":\n\n", ":\n\n"));
}

#[tokio::test]
async fn tails_end_when_the_server_stops() {
    let server = Setup::default().serve().await;
    let mut tail = Client::connect(&server, "/api/v1/tail", &[]).await;
    tail.block().await.unwrap();
    let stopping = tokio::spawn(server.stop(Duration::from_secs(30)));
    assert_eq!(tail.block().await.unwrap(), ": the server stops\n\n");
    assert_eq!(tail.block().await, None);
    assert_eq!(stopping.await.unwrap().n_cut, 0);
}

#[tokio::test]
async fn one_identity_has_sixteen_tails() {
    let server = Setup::default().serve().await;
    let mut tails = Vec::new();
    for _ in 0..16 {
        tails.push(Client::connect(&server, "/api/v1/tail", &[]).await);
    }
    let answer = get(server.address(), "/api/v1/tail").await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate-limited"));
    tails.pop();
    let again = async {
        while open(server.address(), Method::GET, "/api/v1/tail", &[]).await.status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
}

#[tokio::test]
async fn wrong_resumes_and_filters_are_refused() {
    let server = Setup::default().serve().await;
    let answer = send(server.address(), Method::GET, "/api/v1/tail?last=x&since=1h", &[("last-event-id", "abc")]).await;
    let names: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|error| error["parameter"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["since", "last", "Last-Event-ID"]);
}
