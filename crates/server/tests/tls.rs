//! TLS on real sockets: reloads, client certificates, and handshakes that go wrong.

#![allow(clippy::unwrap_used)] // helpers of tests

mod certificates;
mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::routing::post;
use certificates::{Authority, Files, Kept, Pair, client_config, connect, get};
use common::Setup;
use decklog_audit::access::Identity;
use decklog_server::{AccessConfig, Server, StartError, TlsConfig, check_listen};
use http::Method;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn serve(tls: TlsConfig) -> Server {
    let mut setup = Setup::default();
    setup.config.tls = Some(tls.open().unwrap());
    // Tells who it was that came in.
    let told = |Extension(identity): Extension<Identity>| async move {
        let word = |word: &Option<Arc<str>>| word.as_deref().unwrap_or("-").to_owned();
        format!("{} {} {}", identity.name, word(&identity.source), word(&identity.cluster))
    };
    setup.routers = vec![axum::Router::new().route("/ingest/who", post(told))];
    setup.serve().await
}

/// Asks again until `holds`, each time on a new connection.
async fn until(address: SocketAddr, config: &Arc<ClientConfig>, path: &str, holds: impl Fn(&Result<(u16, String), String>) -> bool) -> String {
    let asking = async {
        loop {
            let answer = get(address, config, path).await;
            if holds(&answer) {
                return answer.map_or_else(|error| error, |(_, text)| text);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("it holds in time")
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_connections_live_on() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let files = Files::new(&old.server());
    let server = serve(files.config()).await;
    let (by_old, by_new) = (client_config(&old, None), client_config(&new, None));
    let mut kept = Kept::open(server.address(), &by_old).await.unwrap();
    assert_eq!(kept.ask(Method::GET, "/readyz", &[]).await.unwrap(), (200, "ok".to_owned()));
    assert!(get(server.address(), &by_new, "/livez").await.unwrap_err().contains("UnknownIssuer"));

    files.write(&new.server());
    until(server.address(), &by_new, "/livez", |answer| answer.is_ok()).await;
    assert_eq!(kept.ask(Method::GET, "/livez", &[]).await.unwrap().0, 200, "the connection under way is not touched");
    assert!(get(server.address(), &by_old, "/livez").await.is_err());
    let metrics = get(server.address(), &by_new, "/metrics").await.unwrap().1;
    assert!(metrics.contains(r#"decklog_reloads_total{what="tls",result="ok"}"#), "{metrics}");
    assert!(metrics.contains("decklog_tls_certificate_expiry_timestamp_seconds 6"), "rcgen's end is in the year 4096: {metrics}");
    assert_eq!(server.stop(Duration::from_secs(10)).await.n_cut, 0);
}

#[tokio::test]
async fn a_wrong_pair_keeps_the_old_one_and_shows() {
    let authority = Authority::new("ca");
    let files = Files::new(&authority.server());
    let server = serve(files.config()).await;
    let client = client_config(&authority, None);
    std::fs::write(files.path("tls.key"), authority.server().key).unwrap();
    let text = until(server.address(), &client, "/readyz?verbose", |answer| answer.as_ref().is_ok_and(|(_, text)| text.contains("stay in force"))).await;
    assert!(text.contains("[+]tls ok: ") && text.contains("does not belong to the certificate"), "{text}");
    std::fs::remove_file(files.path("tls.crt")).unwrap();
    until(server.address(), &client, "/readyz?verbose", |answer| answer.as_ref().is_ok_and(|(_, text)| text.contains("cannot read the certificate file")))
        .await;
    let metrics = get(server.address(), &client, "/metrics").await.unwrap().1;
    assert!(metrics.contains(r#"decklog_reloads_total{what="tls",result="error"}"#), "{metrics}");
    files.write(&authority.server());
    until(server.address(), &client, "/readyz?verbose", |answer| answer.as_ref().is_ok_and(|(_, text)| text.contains("[+]tls ok\n"))).await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_swap_of_a_mounted_secret_is_seen() {
    // As kubelet does it: tls.crt is a link through `..data`, which is renamed over.
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let files = Files { directory: tempfile::tempdir().unwrap() };
    for (version, pair) in [("..1", old.server()), ("..2", new.server())] {
        std::fs::create_dir(files.path(version)).unwrap();
        std::fs::write(files.path(version).join("tls.crt"), pair.certificate).unwrap();
        std::fs::write(files.path(version).join("tls.key"), pair.key).unwrap();
    }
    std::os::unix::fs::symlink("..1", files.path("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), files.path(name)).unwrap();
    }
    let server = serve(files.config()).await;
    assert!(get(server.address(), &client_config(&old, None), "/livez").await.is_ok());
    std::os::unix::fs::symlink("..2", files.path("..data_tmp")).unwrap();
    std::fs::rename(files.path("..data_tmp"), files.path("..data")).unwrap();
    until(server.address(), &client_config(&new, None), "/livez", |answer| answer.is_ok()).await;
}

#[tokio::test]
async fn client_certificates_are_identities() {
    let (authority, clients, strangers) = (Authority::new("server"), Authority::new("clients"), Authority::new("strangers"));
    let files = Files::new(&authority.server());
    let server = serve(files.config_with_clients_of(&[&clients])).await;
    let address = server.address();
    let ask =
        async |pair: Option<&Pair>, method: Method, path: &str, headers: &[(&str, &str)]| match Kept::open(address, &client_config(&authority, pair)).await {
            Ok(mut kept) => kept.ask(method, path, headers).await,
            Err(error) => Err(error),
        };

    let prod = clients.client("prod", &["decklog:send", "decklog:source=prod-eu"]);
    assert_eq!(ask(Some(&prod), Method::POST, "/ingest/who", &[]).await.unwrap(), (200, "prod prod-eu -".to_owned()));
    let (status, text) = ask(Some(&prod), Method::GET, "/api/v1/events", &[]).await.unwrap();
    assert!(status == 403 && text.contains("scope `read`"), "{text}");

    let carol = clients.client("carol", &["decklog:read"]);
    assert_eq!(ask(Some(&carol), Method::GET, "/api/v1/events", &[]).await.unwrap().0, 200);
    let cross_site = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    assert_eq!(ask(Some(&carol), Method::GET, "/api/v1/events", &cross_site).await.unwrap().0, 403, "a page may not use the browser's certificate");

    let (status, text) = ask(Some(&clients.client("bob", &["people"])), Method::GET, "/api/v1/events", &[]).await.unwrap();
    assert!(status == 403 && text.contains("`bob` has no scope") && text.contains("OU=decklog:read"), "{text}");
    let (status, text) = ask(None, Method::GET, "/api/v1/events", &[]).await.unwrap();
    assert!(status == 401 && text.contains("client certificate"), "no open door beside a client CA: {text}");
    assert_eq!(ask(None, Method::GET, "/livez", &[]).await.unwrap().0, 200);
    assert_eq!(ask(Some(&carol), Method::GET, "/api/v1/events", &[("authorization", "Bearer x")]).await.unwrap().0, 401, "a token goes first");

    // The last one is for servers only.
    for refused in [
        strangers.client("carol", &["decklog:read"]),
        clients.expired_client("carol", &["decklog:read"]),
        clients.client_for_servers("carol", &["decklog:read"]),
    ] {
        assert!(ask(Some(&refused), Method::GET, "/livez", &[]).await.is_err());
    }
    let metrics = ask(Some(&carol), Method::GET, "/metrics", &[]).await.unwrap().1;
    assert!(metrics.contains(r#"decklog_tls_handshakes_failed_total{reason="client_certificate"} 3"#), "{metrics}");
}

#[tokio::test]
async fn a_new_authority_for_clients_is_taken() {
    let (authority, old, new) = (Authority::new("server"), Authority::new("old"), Authority::new("new"));
    let files = Files::new(&authority.server());
    let server = serve(files.config_with_clients_of(&[&old])).await;
    let by = |issuer: &Authority| client_config(&authority, Some(&issuer.client("carol", &["decklog:read"])));
    let (by_old, by_new) = (by(&old), by(&new));
    assert_eq!(get(server.address(), &by_old, "/api/v1/events").await.unwrap().0, 200);
    assert!(get(server.address(), &by_new, "/api/v1/events").await.is_err());
    files.config_with_clients_of(&[&new]);
    until(server.address(), &by_new, "/api/v1/events", |answer| answer.as_ref().is_ok_and(|(status, _)| *status == 200)).await;
    assert!(get(server.address(), &by_old, "/api/v1/events").await.is_err(), "also where a session could be resumed");
}

#[tokio::test]
async fn plain_http_gets_an_answer() {
    let files = Files::new(&Authority::new("ca").server());
    let server = serve(files.config()).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"POST /ingest/webhook/prod HTTP/1.1\r\nhost: x\r\ncontent-length: 30000\r\n\r\n").await.unwrap();
    stream.write_all(&[b'x'; 30_000]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("use https://"), "{answer}");
}

#[tokio::test]
async fn slow_and_broken_handshakes_disturb_nobody() {
    let authority = Authority::new("ca");
    let files = Files::new(&authority.server());
    let mut setup = Setup::default();
    setup.config.max_connections = 2;
    setup.config.tls = Some(TlsConfig { max_handshakes: 4, ..files.config() }.open().unwrap());
    let server = setup.serve().await;
    let client = client_config(&authority, None);
    let mut slow = Vec::new();
    for bytes in [&b""[..], &b"\x16\x03\x01"[..], b"\x16\x03\x01\xff\xffgarbage", b"\0\0\0"].into_iter().cycle().take(40) {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let _ = stream.write_all(bytes).await;
        slow.push(stream);
    }
    assert_eq!(get(server.address(), &client, "/livez").await.unwrap().0, 200, "the oldest make room");
    let mut rest = Vec::new();
    let oldest = slow[0].read_to_end(&mut rest);
    let _ = tokio::time::timeout(Duration::from_secs(5), oldest).await.expect("the oldest was ended");
    assert_eq!(server.stop(Duration::from_secs(10)).await.n_cut, 0, "handshakes do not hold up a stop");
}

#[tokio::test]
async fn a_handshake_has_a_time_limit() {
    let files = Files::new(&Authority::new("ca").server());
    let server = serve(TlsConfig { handshake_timeout: Duration::from_millis(30), ..files.config() }).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"\x16\x03\x01").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect("closed in time");
    assert!(ended.is_err() || rest.is_empty());
}

#[tokio::test]
async fn http_1_1_is_offered_beside_http_2() {
    let authority = Authority::new("ca");
    let files = Files::new(&authority.server());
    let server = serve(files.config()).await;
    let mut config = ClientConfig::clone(&client_config(&authority, None));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = connect(server.address(), &Arc::new(config)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn an_expired_certificate_is_served_and_shows() {
    let authority = Authority::new("ca");
    let files = Files::new(&authority.expired_server());
    let server = serve(files.config_with_clients_of(&[&authority])).await;
    let error = get(server.address(), &client_config(&authority, None), "/livez").await.unwrap_err();
    assert!(error.contains("xpired"), "{error}");
    files.write(&authority.server());
    until(server.address(), &client_config(&authority, None), "/readyz", |answer| answer.is_ok()).await;
}

#[test]
fn other_machines_need_tls_and_credentials() {
    let authority = Authority::new("ca");
    let files = Files::new(&authority.server());
    let tls = files.config().open().unwrap();
    let with_clients = files.config_with_clients_of(&[&authority]).open().unwrap();
    let open = AccessConfig::default().build().unwrap();
    std::fs::write(files.path("tokens"), "carol read 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\n").unwrap();
    let tokens = AccessConfig { tokens_file: Some(files.path("tokens")), ..AccessConfig::default() }.build().unwrap();
    let anywhere: SocketAddr = "0.0.0.0:7443".parse().unwrap();
    assert!(matches!(check_listen(anywhere, None, &tokens), Err(StartError::NoTls { .. })));
    let error = check_listen(anywhere, Some(&tls), &open).unwrap_err();
    assert!(matches!(error, StartError::NoCredentials { .. }) && error.to_string().contains("server.auth.tokensFile"), "{error}");
    assert!(check_listen(anywhere, Some(&tls), &tokens).is_ok());
    assert!(check_listen(anywhere, Some(&with_clients), &open).is_ok());
    assert!(check_listen("127.0.0.1:7443".parse().unwrap(), Some(&tls), &open).is_ok());
}

#[test]
fn wrong_files_are_named() {
    let authority = Authority::new("ca");
    let files = Files::new(&authority.server());
    let error = |change: &dyn Fn()| {
        files.write(&authority.server());
        let config = files.config_with_clients_of(&[&authority]);
        change();
        config.open().unwrap_err().to_string()
    };
    let write = |name: &str, text: &str| std::fs::write(files.path(name), text).unwrap();
    assert!(error(&|| std::fs::remove_file(files.path("tls.crt")).unwrap()).starts_with("cannot read the certificate file `"));
    assert!(error(&|| write("tls.crt", "")).contains("holds no PEM block `CERTIFICATE`"));
    assert!(error(&|| write("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA")).contains("not readable as PEM"));
    assert!(error(&|| write("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).contains("is malformed"));
    assert!(error(&|| write("tls.crt", &"x".repeat(2 << 20))).contains("more than 1048576 bytes"));
    assert!(error(&|| write("tls.key", &authority.pem())).contains("holds no PEM block `PRIVATE KEY`"));
    assert!(error(&|| write("tls.key", &authority.server().key)).contains("replace both together"));
    assert!(error(&|| write("clients.crt", "none")).contains("client CA file `"));
}
