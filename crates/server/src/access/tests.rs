//! Who comes in with what: the auth matrix, the link and its cookie, and the re-reading of the tokens file.

use super::*;

const HASH_FOO: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
const HASH_BAR: &str = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9";

fn ask(access: &Access, peer: &str, method: &Method, target: &str, headers: &[(&str, &str)]) -> Result<Identity, Problem> {
    with_caller(peer, method, target, headers, |caller| access.identify(caller, Instant::now()))
}

fn with_caller<T>(peer: &str, method: &Method, target: &str, headers: &[(&str, &str)], run: impl FnOnce(Caller<'_>) -> T) -> T {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let uri: Uri = target.parse().unwrap();
    let connection = Connection { peer: peer.parse().unwrap(), transport: Transport::Clear, certificate: None };
    run(Caller { connection: &connection, method, uri: &uri, headers: &map })
}

fn with_file(text: &str) -> (tempfile::TempDir, Access) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    std::fs::write(&path, text).unwrap();
    let access = AccessConfig { tokens_file: Some(path), ..AccessConfig::default() }.build().unwrap();
    (directory, access)
}

const HOST: (&str, &str) = ("host", "127.0.0.1:7080");

#[test]
fn the_open_door_gives_everything_to_this_machine() {
    let access = AccessConfig::default().build().unwrap();
    let identity = ask(&access, "127.0.0.1:5", &Method::GET, "/", &[HOST]).unwrap();
    assert_eq!((&*identity.name, &*identity.peer, identity.source.as_deref()), ("loopback", "127.0.0.1:5", None));
    assert!(Scope::ALL.into_iter().all(|scope| identity.may(scope)));
    for (peer, headers) in [
        ("10.0.0.1:5", vec![HOST]),
        ("127.0.0.1:5", vec![]),
        ("127.0.0.1:5", vec![HOST, ("origin", "http://evil")]),
        ("127.0.0.1:5", vec![("host", "evil:7080")]),
        ("127.0.0.1:5", vec![HOST, ("authorization", "Bearer foo")]),
        ("127.0.0.1:5", vec![HOST, ("authorization", "Basic Zm9v")]),
    ] {
        assert_eq!(ask(&access, peer, &Method::GET, "/", &headers).unwrap_err().kind, ProblemKind::Unauthenticated, "{peer} {headers:?}");
    }
}

#[test]
fn with_a_tokens_file_only_its_tokens_come_in() {
    let (_directory, access) = with_file(&format!("prod send {HASH_FOO} source=s cluster=c\ncarol read {HASH_BAR}\n"));
    let prod = ask(&access, "10.0.0.1:5", &Method::GET, "/", &[("authorization", "Bearer foo")]).unwrap();
    assert_eq!((&*prod.name, prod.source.as_deref(), prod.cluster.as_deref()), ("prod", Some("s"), Some("c")));
    assert!(prod.may(Scope::Send) && !prod.may(Scope::Read));
    assert!(ask(&access, "127.0.0.1:5", &Method::GET, "/", &[HOST, ("authorization", "bearer bar"), ("origin", "http://any")]).is_ok());
    for headers in [
        vec![HOST],
        vec![HOST, ("authorization", "Bearer baz")],
        vec![HOST, ("authorization", "Bearer ")],
        vec![HOST, ("authorization", "foo")],
        vec![HOST, ("authorization", "Bearer foo"), ("authorization", "Bearer bar")],
    ] {
        assert!(ask(&access, "127.0.0.1:5", &Method::GET, "/", &headers).is_err(), "{headers:?}");
    }
}

#[test]
fn the_link_is_exchanged_for_a_cookie() {
    let session = SessionToken::new([9; 32]);
    let link = session.link("127.0.0.1:7080".parse().unwrap());
    let target = link.strip_prefix("http://127.0.0.1:7080").unwrap().to_owned();
    assert_eq!(format!("{session:?}"), "SessionToken(…)");
    let access = AccessConfig { session: Some(session), ..AccessConfig::default() }.build().unwrap();
    let exchange = |peer: &str, target: &str, headers: &[(&str, &str)]| with_caller(peer, &Method::GET, target, headers, |caller| access.exchange(caller));
    let browser = [HOST, ("sec-fetch-site", "none")];
    let cookie = exchange("127.0.0.1:5", &target, &browser).unwrap().unwrap();
    assert!(cookie.starts_with("decklog-7080=") && cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
    assert!(exchange("127.0.0.1:5", "/?token=wrong", &browser).unwrap().is_err());
    assert!(exchange("10.0.0.1:5", &target, &browser).unwrap().is_err());
    assert!(exchange("127.0.0.1:5", &target, &[("host", "evil:7080")]).unwrap().is_err());
    assert!(exchange("127.0.0.1:5", "/", &browser).is_none());

    let pair = cookie.split(';').next().unwrap();
    let with_cookie = |method: Method, extra: &[(&str, &str)]| {
        ask(&access, "127.0.0.1:5", &method, "/api/v1/events", &[&[HOST, ("cookie", &format!("a=b; {pair}"))], extra].concat())
    };
    assert_eq!(&*with_cookie(Method::GET, &[("sec-fetch-site", "same-origin")]).unwrap().name, "session");
    assert!(with_cookie(Method::GET, &[("sec-fetch-site", "same-site")]).is_err());
    assert!(with_cookie(Method::POST, &[("origin", "http://127.0.0.1:7080")]).is_ok());
    assert!(with_cookie(Method::POST, &[("origin", "http://127.0.0.1:3000")]).is_err());
    assert!(ask(&access, "127.0.0.1:5", &Method::GET, "/", &[HOST, ("cookie", "decklog-7080=00"), ("sec-fetch-site", "same-origin")]).is_err());
    assert!(ask(&access, "127.0.0.1:5", &Method::GET, "/", &[("host", "127.0.0.1:81"), ("cookie", pair), ("sec-fetch-site", "same-origin")]).is_err());
    let token = target.split('=').nth(1).unwrap();
    let bearer = format!("Bearer {token}");
    assert!(ask(&access, "127.0.0.1:5", &Method::GET, "/", &[HOST, ("authorization", &bearer)]).is_ok());
    assert!(ask(&access, "10.0.0.1:5", &Method::GET, "/", &[HOST, ("authorization", &bearer)]).is_err());
}

#[test]
fn a_changed_tokens_file_is_read_again_and_a_wrong_one_is_not_taken() {
    let (directory, access) = with_file(&format!("carol read {HASH_FOO}\n"));
    let path = directory.path().join("tokens");
    let start = Instant::now();
    let may = |token: &str, after: Duration| {
        with_caller("10.0.0.1:5", &Method::GET, "/", &[("authorization", &format!("Bearer {token}"))], |caller| access.identify(caller, start + after).is_ok())
    };
    assert!(may("foo", Duration::ZERO) && !may("bar", Duration::ZERO));
    std::fs::write(&path, format!("carol read {HASH_FOO}\nbob read {HASH_BAR}\n")).unwrap();
    assert!(!may("bar", Duration::from_millis(900)), "looked at each second at most");
    assert!(may("bar", Duration::from_secs(3)));
    std::fs::write(&path, "bob read nonsense\n").unwrap();
    assert!(may("foo", Duration::from_secs(6)) && may("bar", Duration::from_secs(9)), "the old ones stay");
    std::fs::remove_file(&path).unwrap();
    assert!(may("foo", Duration::from_secs(12)));
    std::fs::write(&path, format!("bob read {HASH_BAR}\n")).unwrap();
    assert!(!may("foo", Duration::from_secs(15)) && may("bar", Duration::from_secs(15)));
}

#[test]
fn errors_of_the_file_name_it_and_all_lines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    let build = || AccessConfig { tokens_file: Some(path.clone()), ..AccessConfig::default() }.build().unwrap_err().to_string();
    assert!(build().starts_with("cannot read the tokens file "));
    std::fs::write(&path, "a\nb\n").unwrap();
    let text = build();
    assert!(text.contains("line 1: ") && text.contains("line 2: "), "{text}");
    std::fs::write(&path, vec![b'#'; tokens::MAX_FILE_BYTES + 1]).unwrap();
    assert!(build().contains("the limit is 1048576"));
}

#[test]
fn paths_ask_for_their_rights() {
    for (path, right) in [
        ("/livez", Right::Open),
        ("/readyz/journal", Right::Open),
        ("/readyzx", Right::Scope(Scope::Read)),
        ("/version", Right::Open),
        ("/metrics", Right::Scope(Scope::Read)),
        ("/", Right::Scope(Scope::Read)),
        ("/ingest/webhook/prod", Right::Scope(Scope::Send)),
        ("/ingested", Right::Scope(Scope::Read)),
        ("/api/v1/events", Right::Scope(Scope::Read)),
        ("/api/v1/quarantine", Right::Scope(Scope::Admin)),
        ("/api/v1/quarantine/export", Right::Scope(Scope::Admin)),
    ] {
        assert_eq!(right_of_path(path), right, "{path}");
    }
}

#[test]
fn a_source_with_a_token_of_its_own_closes_the_open_door() {
    let sender = Sender { source: "prod".into(), cluster: Some("eu".into()), hash: hash_token("secret-of-prod") };
    let access = AccessConfig { senders: vec![sender], ..AccessConfig::default() }.build().unwrap();
    assert!(!access.has_open_door());
    let uri = Uri::from_static("/ingest/webhook/prod");
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, "127.0.0.1:7080".parse().unwrap());
    let connection = Connection { peer: "127.0.0.1:4000".parse().unwrap(), transport: Transport::Clear, certificate: None };
    let identify = |headers: &HeaderMap| access.identify(Caller { connection: &connection, method: &Method::POST, uri: &uri, headers }, Instant::now());
    assert!(identify(&headers).is_err());
    headers.insert(header::AUTHORIZATION, "Bearer secret-of-prod".parse().unwrap());
    let identity = identify(&headers).unwrap();
    assert_eq!((identity.source.as_deref(), identity.cluster.as_deref()), (Some("prod"), Some("eu")));
    assert!(identity.may(Scope::Send) && !identity.may(Scope::Read));
}

#[test]
fn an_authority_for_client_certificates_closes_the_open_door() {
    let access = AccessConfig::default().build().unwrap().with_client_certificates();
    assert!(!access.has_open_door());
    let problem = ask(&access, "127.0.0.1:5", &Method::GET, "/", &[HOST]).unwrap_err();
    assert!(problem.kind == ProblemKind::Unauthenticated && problem.detail.contains("client certificate"), "{problem:?}");
}

#[test]
fn under_tls_the_cookie_is_for_tls_only() {
    let session = SessionToken::new([9; 32]);
    let link = session.tls_link("127.0.0.1:7080".parse().unwrap());
    let target: Uri = link.strip_prefix("https://127.0.0.1:7080").unwrap().parse().unwrap();
    let access = AccessConfig { session: Some(session), ..AccessConfig::default() }.build().unwrap();
    let connection = Connection { peer: "127.0.0.1:5".parse().unwrap(), transport: Transport::Tls, certificate: None };
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, "127.0.0.1:7080".parse().unwrap());
    let cookie = access.exchange(Caller { connection: &connection, method: &Method::GET, uri: &target, headers: &headers }).unwrap().unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Secure"), "{cookie}");
    headers.insert(header::COOKIE, cookie.split(';').next().unwrap().parse().unwrap());
    for (origin, may) in [("https://127.0.0.1:7080", true), ("http://127.0.0.1:7080", false)] {
        headers.insert(header::ORIGIN, origin.parse().unwrap());
        let caller = Caller { connection: &connection, method: &Method::POST, uri: &target, headers: &headers };
        assert_eq!(access.identify(caller, Instant::now()).is_ok(), may, "{origin}");
    }
}

#[tokio::test]
async fn kubernetes_is_asked_only_about_tokens_that_nobody_here_knows() {
    use std::sync::atomic::Ordering;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    std::fs::write(&path, format!("prod send {HASH_FOO} source=s\n")).unwrap();
    let cluster = super::reviews::tests::FakeCluster::allowing(&["alice get", "alice list", "foo *"]);
    let access = AccessConfig { tokens_file: Some(path), reviewer: Some(cluster.clone()), ..AccessConfig::default() }.build().unwrap();
    let uri = Uri::from_static("/api/v1/events");
    let connection = Connection { peer: "10.0.0.1:5".parse().unwrap(), transport: Transport::Tls, certificate: None };
    let find_out = async |authorization: Option<&str>| {
        let headers: HeaderMap = authorization.map(|value| (header::AUTHORIZATION, value.parse().unwrap())).into_iter().collect();
        let caller = Caller { connection: &connection, method: &Method::GET, uri: &uri, headers: &headers };
        access.find_out(caller, Instant::now()).await
    };
    assert_eq!(&*find_out(Some("Bearer foo")).await.unwrap().name, "prod", "the file goes first");
    assert!(find_out(None).await.is_err() && find_out(Some("Basic alice")).await.is_err());
    assert_eq!(cluster.n_asked.load(Ordering::Relaxed), 0);
    let alice = find_out(Some("bearer alice")).await.unwrap();
    assert_eq!((&*alice.name, alice.scopes.as_slice(), &*alice.peer), ("alice", &[Scope::Read][..], "10.0.0.1:5"));
    assert_eq!(find_out(Some("Bearer bob")).await.unwrap_err().kind, ProblemKind::Forbidden);
    assert_eq!(find_out(Some("Bearer nobody")).await.unwrap_err().kind, ProblemKind::Unauthenticated);
}

#[test]
fn kubernetes_closes_the_open_door() {
    let cluster = super::reviews::tests::FakeCluster::allowing(&[]);
    let access = AccessConfig { reviewer: Some(cluster), ..AccessConfig::default() }.build().unwrap();
    assert!(!access.has_open_door());
    let problem = ask(&access, "127.0.0.1:5", &Method::GET, "/", &[HOST]).unwrap_err();
    assert!(problem.kind == ProblemKind::Unauthenticated && problem.detail.contains("a token of Kubernetes"), "{problem:?}");
}
