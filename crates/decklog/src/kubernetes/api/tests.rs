//! Requests and a forwarded port against a small stand-in for an API server; the real one is in the suite `cluster`.

use std::convert::Infallible;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::{Login, forward};
use super::*;
use crate::kubernetes::Roots;

#[test]
fn the_standards_example_of_a_key() {
    assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/// What the stand-in does with a WebSocket.
#[derive(Clone, Copy)]
enum Forwards {
    /// Answers what it is sent, in capitals.
    Loudly,
    /// Says that nobody listens.
    Nobody,
    /// Takes the WebSocket without its key.
    Wrongly,
}

async fn api_server(forwards: Forwards) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}/k8s/c-1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request| async move { Ok::<_, Infallible>(answer(request, forwards)) });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    let access = Access { server, roots: Roots::System, server_name: None, user_name: "u".to_owned(), login: Login::Token("tok".into()), certificate: None };
    Api::new(&access, &RootCertStore::empty).unwrap()
}

fn answer(request: Request<Incoming>, forwards: Forwards) -> Response<Full<Bytes>> {
    let says = |status: StatusCode, body: &str| Response::builder().status(status).body(Full::from(body.to_owned())).unwrap();
    if request.headers().get(header::AUTHORIZATION).is_none_or(|value| value != "Bearer tok") {
        return says(StatusCode::UNAUTHORIZED, "");
    }
    match request.uri().path() {
        "/k8s/c-1/list" => says(StatusCode::OK, r#"{"items":["a"]}"#),
        "/k8s/c-1/forbidden" => says(StatusCode::FORBIDDEN, r#"{"kind":"Status","message":"pods is forbidden: \u001b[31mno"}"#),
        "/k8s/c-1/api/v1/namespaces/n/pods/p/portforward" if request.uri().query() == Some("ports=7080") => websocket(request, forwards),
        _ => says(StatusCode::OK, "<html>"),
    }
}

fn websocket(mut request: Request<Incoming>, forwards: Forwards) -> Response<Full<Bytes>> {
    let key = match forwards {
        Forwards::Wrongly => "another",
        _ => request.headers()[header::SEC_WEBSOCKET_KEY].to_str().unwrap(),
    };
    let answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept_of(key))
        .header(header::SEC_WEBSOCKET_PROTOCOL, "v4.channel.k8s.io")
        .body(Full::default())
        .unwrap();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        // The port's number on both channels, 7080 little end first.
        stream.write_all(&[0x82, 3, 0, 0xA8, 0x1B, 0x82, 3, 1, 0xA8, 0x1B]).await.unwrap();
        match forwards {
            Forwards::Nobody => stream.write_all(b"\x82\x0a\x01not there").await.unwrap(),
            _ => {
                // One short masked frame.
                let mut head = [0; 6];
                stream.read_exact(&mut head).await.unwrap();
                let mut payload = vec![0; usize::from(head[1] & 0x7F)];
                stream.read_exact(&mut payload).await.unwrap();
                let heard: Vec<u8> = payload.iter().zip(head[2..].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
                stream.write_all(&[0x82, heard.len() as u8]).await.unwrap();
                stream.write_all(&heard.to_ascii_uppercase()).await.unwrap();
                stream.write_all(&[0x88, 0]).await.unwrap();
            }
        }
    });
    answer
}

#[tokio::test]
async fn answers_and_refusals_are_read() {
    let api = api_server(Forwards::Loudly).await;
    let list: serde_json::Value = api.get("/list").await.unwrap();
    assert_eq!(list["items"][0], "a");
    let list: serde_json::Value = api.post("/list", &serde_json::json!({})).await.unwrap();
    assert_eq!(list["items"][0], "a");
    let error = api.get::<serde_json::Value>("/forbidden").await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::FORBIDDEN));
    assert!(error.to_string().ends_with("/k8s/c-1 says: pods is forbidden: \\u{1b}[31mno"), "{error}");
    let error = api.get::<serde_json::Value>("/page").await.unwrap_err().to_string();
    assert!(error.contains("does not answer as Kubernetes does"), "{error}");
}

#[tokio::test]
async fn a_port_is_forwarded() {
    let api = api_server(Forwards::Loudly).await;
    let mut stream = forward(&api, "n", "p", 7080).await.unwrap_or_else(|error| panic!("{error}"));
    stream.write_all(b"hello").await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "HELLO");
}

#[tokio::test]
async fn why_a_port_is_not_forwarded_is_told() {
    let mut stream = forward(&api_server(Forwards::Nobody).await, "n", "p", 7080).await.unwrap_or_else(|error| panic!("{error}"));
    let mut heard = Vec::new();
    assert_eq!(stream.read_to_end(&mut heard).await.unwrap_err().to_string(), "not there");
    let refused = async |api: Api, port| forward(&api, "n", "p", port).await.err().unwrap().to_string();
    assert!(refused(api_server(Forwards::Wrongly).await, 7080).await.contains("without its key"));
    assert!(refused(api_server(Forwards::Loudly).await, 1).await.contains("says: 200 OK"), "no WebSocket at all");
}

#[tokio::test]
async fn nobody_there() {
    let access = Access {
        server: "http://127.0.0.1:1".to_owned(),
        roots: Roots::System,
        server_name: None,
        user_name: String::new(),
        login: Login::None,
        certificate: None,
    };
    let api = Api::new(&access, &RootCertStore::empty).unwrap();
    let error = api.get::<serde_json::Value>("/").await.unwrap_err().to_string();
    assert_eq!(error, "no API server at http://127.0.0.1:1 (connection refused)");
}
