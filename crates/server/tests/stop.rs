//! Start, stop and hostile connections, on real sockets.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::routing::get as route;
use common::{Setup, get};
use decklog_server::{AccessConfig, Build, Server, ServerConfig, ServerMetrics, StartError, check_listen};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// A route that answers when told to.
fn held() -> (axum::Router, Arc<Notify>, Arc<Notify>) {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, release) = (entered.clone(), release.clone());
        move || async move {
            entered.notify_one();
            release.notified().await;
            "done"
        }
    };
    (axum::Router::new().route("/held", route(handler)), entered, release)
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_takes_no_new_ones() {
    let (router, entered, release) = held();
    let server = Setup { routers: vec![router], ..Setup::default() }.serve().await;
    let address = server.address();
    let asked = tokio::spawn(async move { get(address, "/held").await });
    entered.notified().await;
    let stopping = tokio::spawn(server.stop(Duration::from_secs(30)));
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    release.notify_one();
    let answer = asked.await.unwrap();
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "done"));
    assert_eq!(stopping.await.unwrap().n_cut, 0);
}

#[tokio::test]
async fn at_the_deadline_connections_are_cut() {
    let (router, entered, _release) = held();
    let server = Setup { routers: vec![router], ..Setup::default() }.serve().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!("GET /held HTTP/1.1\r\nhost: {}\r\n\r\n", server.address());
    stream.write_all(request.as_bytes()).await.unwrap();
    entered.notified().await;
    assert_eq!(server.stop(Duration::from_millis(50)).await.n_cut, 1);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_stop() {
    let server = Setup::default().serve().await;
    let mut idle = TcpStream::connect(server.address()).await.unwrap();
    get(server.address(), "/livez").await;
    assert_eq!(server.stop(Duration::from_secs(30)).await.n_cut, 0);
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let mut setup = Setup::default();
    setup.config.header_timeout = Duration::from_millis(200);
    let server = setup.serve().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let started = std::time::Instant::now();
    let trickle = async {
        let mut byte = [0; 1];
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        loop {
            // Each byte is new activity; only the time of the whole head counts.
            let _ = stream.write_all(b"x").await;
            match tokio::time::timeout(Duration::from_millis(20), stream.read(&mut byte)).await {
                Ok(Ok(0) | Err(_)) => return,
                _ => continue,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), trickle).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(190));
    assert_eq!(get(server.address(), "/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Setup::default().serve().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {}\r\n\r\n", "a".repeat(80 << 10));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(get(server.address(), "/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let mut setup = Setup::default();
    setup.config.max_connections = 2;
    let server = setup.serve().await;
    let held = [TcpStream::connect(server.address()).await.unwrap(), TcpStream::connect(server.address()).await.unwrap()];
    let address = server.address();
    let waiting = tokio::spawn(async move { get(address, "/livez").await.status });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(held);
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn addresses_of_other_machines_are_refused_without_tls() {
    let open = AccessConfig::default().build().unwrap();
    for address in ["127.0.0.1:0", "[::1]:7080", "127.9.9.9:1"] {
        assert!(check_listen(address.parse().unwrap(), None, &open).is_ok(), "{address}");
    }
    for address in ["0.0.0.0:7080", "[::]:7080", "10.0.0.1:7080"] {
        let error = check_listen(address.parse().unwrap(), None, &open).unwrap_err();
        assert!(error.to_string().contains("use 127.0.0.1:7080"), "{error}");
    }
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let metrics = ServerMetrics::register(&mut prometheus_client::registry::Registry::default(), Build { version: String::new(), revision: String::new() });
    let refused = Server::start(listener, ServerConfig::new([0; 32]), AccessConfig::default().build().unwrap(), metrics);
    assert!(matches!(refused, Err(StartError::NoTls { .. })));
}
