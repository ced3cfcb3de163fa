//! The audit layer in a real HTTP/1.1 server: what only connections show.
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use decklog_audit::backend::{Backend, Emitted, Processed, Processing};
use decklog_audit::policy::Compiled;
use decklog_audit::policy::load::load_unchecked;
use decklog_capture::layer::{AuditContext, AuditLayer, Auditor, AuditorConfig, RequestBody};
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer as _;

/// Keeps the lines of events.
#[derive(Default)]
struct Memory(Mutex<Vec<String>>);

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("memory")
    }
}

impl Backend for Memory {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        self.0.lock().unwrap().extend(events.iter().map(|event| String::from_utf8(event.line().unwrap().to_vec()).unwrap()));
        Processing::Done(Processed::Stored)
    }
}

impl Memory {
    fn stages(&self) -> Vec<String> {
        let stage = |line: &String| line.split("\"stage\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        self.0.lock().unwrap().iter().map(stage).collect()
    }

    async fn until(&self, want: &[&str]) {
        for _ in 0..500 {
            if self.stages() == want {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("wanted {want:?}, got {:?}", self.stages());
    }

    fn last(&self) -> String {
        self.0.lock().unwrap().last().cloned().unwrap()
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// `/exec` upgrades to an echo, a POST is answered with nothing; the rest is a watch that never ends.
async fn answer(mut request: Request<RequestBody<Incoming>>) -> Result<Response<Body>, Infallible> {
    // With a request that is not read to its end, hyper does not see that the client of an endless answer is gone.
    if request.method() == Method::POST {
        return Ok(Response::new(Empty::new().boxed_unsync()));
    }
    if !request.uri().path().ends_with("/exec") {
        let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"{\"type\":\"ADDED\"}\n")))]);
        let body = StreamBody::new(futures_util::StreamExt::chain(first, stream::pending()));
        return Ok(Response::new(body.boxed_unsync()));
    }
    let upgraded = AuditContext::of(request.extensions()).map(|context| context.upgrade());
    let connection = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _until_the_connection_ends = upgraded;
        let mut connection = TokioIo::new(connection.await.unwrap());
        let mut bytes = [0; 64];
        while let Ok(n @ 1..) = connection.read(&mut bytes).await {
            connection.write_all(&bytes[..n]).await.unwrap();
        }
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header(header::UPGRADE, "echo").header(header::CONNECTION, "upgrade");
    Ok(response.body(Empty::new().boxed_unsync()).unwrap())
}

async fn server() -> (SocketAddr, Arc<Memory>) {
    let policy = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]\n";
    let memory = Arc::new(Memory::default());
    let auditor: Auditor = AuditorConfig::new(Compiled::new(&load_unchecked(policy).unwrap()), memory.clone()).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let service = AuditLayer::new(auditor).layer(tower::service_fn(answer));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
            tokio::spawn(connection.with_upgrades());
        }
    });
    (address, memory)
}

async fn ask(address: SocketAddr, head: &str, until: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, until).await;
    stream
}

async fn read_until(stream: &mut TcpStream, until: &[u8]) {
    let mut seen = Vec::new();
    while !seen.windows(until.len()).any(|window| window == until) {
        let mut bytes = [0; 1024];
        let n = stream.read(&mut bytes).await.unwrap();
        assert!(n > 0, "ended after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..n]);
    }
}

#[tokio::test]
async fn an_upgraded_connection_frames_its_session() {
    let (address, memory) = server().await;
    let exec = "GET /api/v1/namespaces/ns/pods/p/exec?command=sh HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut stream = ask(address, exec, b"\r\n\r\n").await;
    memory.until(&["RequestReceived", "ResponseStarted"]).await;
    stream.write_all(b"hello").await.unwrap();
    read_until(&mut stream, b"hello").await;
    assert_eq!(memory.stages().len(), 2, "the session is open");
    drop(stream);
    memory.until(&["RequestReceived", "ResponseStarted", "ResponseComplete"]).await;
    assert!(memory.last().contains("\"code\":101"), "{}", memory.last());
}

#[tokio::test]
async fn a_watch_is_passed_on_at_once_and_its_client_may_go() {
    let (address, memory) = server().await;
    let watch = "GET /api/v1/namespaces/ns/pods?watch=1 HTTP/1.1\r\nHost: x\r\nAudit-ID: mine\r\n\r\n";
    // The first event of the watch arrives though the answer never ends.
    let stream = ask(address, watch, b"ADDED").await;
    memory.until(&["RequestReceived", "ResponseStarted"]).await;
    drop(stream);
    memory.until(&["RequestReceived", "ResponseStarted", "ResponseComplete"]).await;
    let line = memory.last();
    assert!(line.contains("\"auditID\":\"mine\"") && line.contains("\"code\":200") && !line.contains("responseObject"), "{line}");
}

#[tokio::test]
async fn one_requests_trouble_never_touches_another() {
    let (address, memory) = server().await;
    let watch = "GET /api/v1/namespaces/ns/pods?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let kept = ask(address, watch, b"ADDED").await;
    for hostile in [
        format!("GET /x HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {}\r\n\r\n", "10.0.0.1, ".repeat(5_000)),
        format!("GET /x HTTP/1.1\r\nHost: x\r\nAudit-ID: {}\r\nAudit-ID: two\r\n\r\n", "\u{fffd}".repeat(5_000)),
        "POST /api/v1/namespaces/ns/pods HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"broken".to_owned(),
        "GET /api/v1/pods/%zz?timeout=%%% HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /\u{0} HTTP/1.1\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(hostile.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        // Some are answered by the service, some by the server itself, none by silence.
        stream.read_exact(&mut first).await.unwrap();
        assert!(first.starts_with(b"HTTP/1.1 "), "{first:?}");
    }
    drop(kept);
    let watch_again = ask(address, watch, b"ADDED").await;
    drop(watch_again);
    for _ in 0..500 {
        let stages = memory.stages();
        let (received, complete) =
            (stages.iter().filter(|stage| *stage == "RequestReceived").count(), stages.iter().filter(|stage| *stage == "ResponseComplete").count());
        if received == complete && received >= 5 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not every request has its end: {:?}", memory.stages());
}
