//! Every route, asked over a loopback socket.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::routing::{get as route, post};
use common::{Setup, Store, get, open, send};
use decklog_server::{AccessConfig, Check, LimitsConfig, SessionToken, hash_token};
use http::{Method, StatusCode};
use http_body_util::BodyExt;

const LINES: [(&str, &str); 2] = [("accept", "application/x-ndjson"), ("te", "trailers")];

#[tokio::test]
async fn pages_hand_out_stored_bytes_and_stay_stable_while_events_arrive() {
    let setup = Setup::default();
    let store = setup.store.clone();
    store.events(0..7);
    let server = setup.serve().await;
    for (order, expected) in [("desc", ["6", "5", "4", "3", "2", "1", "0"]), ("asc", ["0", "1", "2", "3", "4", "5", "6"])] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let answer = get(server.address(), &format!("/api/v1/events?order={order}&limit=3&until=1970-01-01T00:00:07{cursor}")).await;
            assert!(answer.text().contains(r#""n":1.0e0}"#), "the spelling of numbers is kept: {}", answer.text());
            let page = answer.json();
            assert_eq!(page["complete"], true);
            assert_eq!(page["about"][0]["source"], "prod");
            if pages == 0 && order == "desc" {
                assert_eq!(page["matched"], 7);
            }
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["auditID"].as_str().unwrap().to_owned()));
            pages += 1;
            store.event(3, r#"{"auditID":"late"}"#);
            match page.get("next") {
                Some(next) => cursor = format!("&cursor={}", next.as_str().unwrap()),
                None => break,
            }
        }
        let seen: Vec<_> = seen.iter().filter(|id| *id != "late").map(String::as_str).collect();
        assert_eq!((seen.as_slice(), pages >= 3), (expected.as_slice(), true));
    }
}

#[tokio::test]
async fn a_cursor_is_bound_to_its_question() {
    let setup = Setup::default();
    setup.store.events(0..5);
    let server = setup.serve().await;
    let page = get(server.address(), "/api/v1/events?filter=verb:get&limit=2&since=1970-01-01").await.json();
    let next = page["next"].as_str().unwrap();
    let ask = async |question: &str| get(server.address(), &format!("/api/v1/events?{question}&cursor={next}")).await;
    assert_eq!(ask("filter=verb:get&limit=4&since=1970-01-01").await.status, StatusCode::OK);
    for question in [
        "filter=verb:list&since=1970-01-01",
        "filter=verb:get",
        "filter=verb:get&since=1970-01-01&order=asc",
        "filter=verb:get&since=1970-01-01&stages=final",
        "since=1970-01-01",
    ] {
        let answer = ask(question).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "cursor-mismatch"), "{question}");
    }
    assert_eq!(get(server.address(), "/api/v1/events?cursor=abc").await.problem(), "bad-cursor");
}

#[tokio::test]
async fn lines_stream_with_their_totals_behind() {
    let setup = Setup::default();
    let store = setup.store.clone();
    store.events(0..5);
    let server = setup.serve().await;
    let answer = send(server.address(), Method::GET, "/api/v1/events?limit=2", &LINES).await;
    assert_eq!(answer.text(), "{\"auditID\":\"3\",\"n\":1.0e0}\n{\"auditID\":\"4\",\"n\":1.0e0}\n");
    assert_eq!(
        (&answer.trailers["decklog-matched"], &answer.trailers["decklog-returned"], &answer.trailers["decklog-complete"]),
        (&"5".parse().unwrap(), &"2".parse().unwrap(), &"true".parse().unwrap())
    );
    let answer = send(server.address(), Method::GET, "/api/v1/events?order=desc&form=records", &LINES).await;
    let first: serde_json::Value = serde_json::from_str(answer.text().lines().next().unwrap()).unwrap();
    assert_eq!((first["event"]["auditID"].as_str(), first["cluster"].as_str()), (Some("4"), Some("lab")));
    assert!(first["id"].as_str().unwrap().starts_with("5-"));
    store.gaps.lock().unwrap().push("1 to 2 are damaged".to_owned());
    let answer = send(server.address(), Method::GET, "/api/v1/events?since=1971-01-01", &LINES).await;
    assert_eq!((answer.text(), &answer.trailers["decklog-complete"]), ("", &"false".parse().unwrap()));
    assert_eq!(get(server.address(), "/api/v1/events").await.json()["gaps"][0], "1 to 2 are damaged");
    assert_eq!(send(server.address(), Method::GET, "/api/v1/events?cursor=x", &LINES).await.problem(), "bad-parameter");
}

#[tokio::test]
async fn a_failed_search_tells_the_client_nothing_of_the_store() {
    let setup = Setup::default();
    setup.store.broken_search.store(true, Ordering::Relaxed);
    let server = setup.serve().await;
    for headers in [&LINES[..], &[]] {
        let answer = send(server.address(), Method::GET, "/api/v1/events", headers).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_search_ends_when_its_client_leaves_and_is_given_up_in_time() {
    let mut setup = Setup::default();
    setup.config.limits = LimitsConfig { query_timeout: Duration::from_millis(300), ..LimitsConfig::default() };
    let store = setup.store.clone();
    store.events(0..2_000);
    store.slow.store(5, Ordering::Relaxed);
    let server = setup.serve().await;
    // In 300 ms there are some events, and a way to go on.
    let page = get(server.address(), "/api/v1/events?limit=2000").await.json();
    assert_eq!((page["complete"].as_bool(), page["reason"].as_str(), page.get("matched")), (Some(false), Some("time-limit"), None));
    assert!(page["items"].as_array().is_some_and(|items| !items.is_empty() && items.len() <= 60) && page["next"].is_string());
    for path in ["/api/v1/facets?field=user", "/api/v1/histogram", "/api/v1/extent?since=1970-01-01"] {
        let answer = get(server.address(), path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::GATEWAY_TIMEOUT, "query-timeout"), "{path}");
    }
    let mut response = open(server.address(), Method::GET, "/api/v1/events", &LINES).await;
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    // 2,000 hits at 5 ms are 10 s; the mark of the last search is written when it has stopped.
    let stopped = async {
        while store.marks().len() < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), stopped).await.unwrap();
    assert!(store.n_hits.load(Ordering::Relaxed) < 1_000);
}

#[tokio::test]
async fn one_event_by_its_name() {
    let setup = Setup::default();
    setup.store.events(0..3);
    let server = setup.serve().await;
    let name = get(server.address(), "/api/v1/events?limit=1").await.json()["about"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/events/{name}");
    let answer = get(server.address(), &path).await;
    assert_eq!(answer.text(), r#"{"auditID":"2","n":1.0e0}"#);
    assert_eq!((&answer.headers["etag"], &answer.headers["decklog-cluster"]), (&format!("\"{name}\"").parse().unwrap(), &"lab".parse().unwrap()));
    let known = send(server.address(), Method::GET, &path, &[("if-none-match", &format!("\"{name}\""))]).await;
    assert_eq!((known.status, known.text()), (StatusCode::NOT_MODIFIED, ""));
    let other_id = format!("/api/v1/events/3-{}", "f".repeat(32));
    for path in [other_id.as_str(), "/api/v1/events/99-00000000000000000000000000000000", "/api/v1/events/nonsense", "/api/v1/nothing"] {
        let answer = get(server.address(), path).await;
        assert_eq!((answer.status, answer.problem().as_str(), answer.json()["instance"].as_str().unwrap()), (StatusCode::NOT_FOUND, "not-found", path));
    }
}

#[tokio::test]
async fn wrong_parameters_are_told_all_at_once() {
    let server = Setup::default().serve().await;
    let answer = get(server.address(), "/api/v1/events?since=2h&until=3h&limit=0&what=1").await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "bad-parameter"));
    let names: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|error| error["parameter"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["what", "until", "limit"]);
    let answer = get(server.address(), "/api/v1/events?since=90").await;
    assert_eq!(answer.problem(), "bad-time");
    assert!(answer.json()["errors"][0]["help"].as_str().unwrap().contains("unit"));
}

#[tokio::test]
async fn every_read_leaves_a_mark_and_a_broken_journal_stops_none() {
    let setup = Setup::default();
    let store = setup.store.clone();
    store.events(0..3);
    let server = setup.serve().await;
    let answer = get(server.address(), "/api/v1/events?filter=verb:get&since=1970-01-01&stages=final").await;
    let mark = store.mark("search").await;
    assert_eq!((mark["who"].as_str(), mark["filter"].as_str(), mark["count"].as_u64()), (Some("loopback"), Some("(verb:get) and final:true"), Some(3)));
    assert_eq!((mark["since"].as_str(), mark["at"].as_str()), (Some("1970-01-01T00:00:00Z"), Some("2026-11-24T20:00:00Z")));
    assert_eq!(mark["requestId"], answer.headers["x-request-id"].to_str().unwrap());
    get(server.address(), "/api/v1/quarantine/export").await;
    assert_eq!(store.mark("quarantine-export").await["count"], 2);
    store.broken_journal.store(true, Ordering::Relaxed);
    assert_eq!(get(server.address(), "/api/v1/events").await.status, StatusCode::OK);
    let failed = async { while !get(server.address(), "/metrics").await.text().contains("decklog_read_marks_failed_total 1") {} };
    tokio::time::timeout(Duration::from_secs(10), failed).await.unwrap();
}

#[tokio::test]
async fn health_before_and_after_the_parts_are_there() {
    let broken = Check::new("journal", || Err("no space in /data".to_owned()));
    let (server, parts) = Setup { checks: vec![broken, Check::new("sources", || Ok(()))], ..Setup::default() }.start().await;
    let address = server.address();
    assert_eq!(get(address, "/livez").await.text(), "ok");
    assert_eq!(get(address, "/version").await.json()["version"], "9.9.9");
    assert!(get(address, "/readyz").await.text().contains("[-]started failed"));
    for path in ["/api/v1/events", "/ingest/webhook/prod", "/metrics", "/nothing"] {
        let answer = get(address, path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str(), &answer.headers["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, "starting", &"2".parse().unwrap()),
            "{path}"
        );
    }
    server.hand_over(parts);
    let ready = get(address, "/readyz?verbose").await;
    assert_eq!(
        (ready.status, ready.text()),
        (StatusCode::SERVICE_UNAVAILABLE, "[+]ping ok\n[-]journal failed: no space in /data\n[+]sources ok\n[+]shutdown ok\nreadyz check failed\n")
    );
    assert_eq!(
        (get(address, "/readyz/sources").await.status, get(address, "/readyz/journal").await.status, get(address, "/readyz/none").await.status),
        (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_FOUND)
    );
    assert_eq!(get(address, "/healthz").await.text(), "ok");
    let foreign = send(address, Method::GET, "/readyz", &[("host", "evil.example")]).await;
    assert!(foreign.text().contains("[-]journal failed: reason withheld"), "{}", foreign.text());
    assert_eq!(send(address, Method::POST, "/livez", &[]).await.problem(), "method-not-allowed");
    server.announce_stop();
    assert!(get(address, "/readyz/shutdown").await.text().contains("the server is stopping"));
}

#[tokio::test]
async fn the_door_is_shut_to_browsers_and_other_names() {
    let session = SessionToken::new([5; 32]);
    let setup = Setup { access: AccessConfig { session: Some(session), ..AccessConfig::default() }, ..Setup::default() };
    let server = setup.serve().await;
    let link = SessionToken::new([5; 32]).link(server.address());
    for headers in [[("host", "evil.example:80")], [("origin", "http://evil.example")], [("sec-fetch-mode", "cors")], [("x-forwarded-for", "10.0.0.1")]] {
        for path in ["/", "/api/v1/events", "/api/v1/tail", "/metrics", "/ingest/x"] {
            let answer = send(server.address(), Method::GET, path, &headers).await;
            assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::UNAUTHORIZED, "unauthenticated"), "{path} {headers:?}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"decklog\"");
        }
    }
    let target = link.strip_prefix(&format!("http://{}", server.address())).unwrap();
    let answer = send(server.address(), Method::GET, target, &[("sec-fetch-site", "none")]).await;
    assert_eq!(
        (answer.status, &answer.headers["location"], &answer.headers["cache-control"]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap(), &"no-store".parse().unwrap())
    );
    let cookie = answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = send(server.address(), Method::GET, "/", &[("sec-fetch-site", "none"), ("cookie", &cookie)]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
}

#[tokio::test]
async fn scopes_decide_what_a_token_may() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    let line = |name: &str, scopes: &str, rest: &str| {
        let hash: String = hash_token(name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name} {scopes} {hash} {rest}\n")
    };
    std::fs::write(&path, line("sender", "send", "source=prod") + &line("reader", "read", "") + &line("boss", "admin", "")).unwrap();
    let ingest = axum::Router::new().route(
        "/ingest/webhook/{source}",
        post(|axum::Extension(identity): axum::Extension<decklog_audit::access::Identity>| async move { format!("{} {:?}", identity.name, identity.source) }),
    );
    let setup = Setup { access: AccessConfig { tokens_file: Some(path), ..AccessConfig::default() }, routers: vec![ingest], ..Setup::default() };
    let server = setup.serve().await;
    let ask = async |who: &str, method: Method, path: &str| {
        let bearer = format!("Bearer {who}");
        send(server.address(), method, path, &[("authorization", &bearer)]).await
    };
    for (path, method, allowed) in [
        ("/api/v1/events", Method::GET, ["reader", "boss"].as_slice()),
        ("/api/v1/sources", Method::GET, &["reader", "boss"]),
        ("/metrics", Method::GET, &["reader", "boss"]),
        ("/api/v1/quarantine", Method::GET, &["boss"]),
        ("/api/v1/quarantine/export", Method::GET, &["boss"]),
        ("/ingest/webhook/x", Method::POST, &["sender", "boss"]),
    ] {
        for who in ["sender", "reader", "boss"] {
            let answer = ask(who, method.clone(), path).await;
            if allowed.contains(&who) {
                assert_eq!(answer.status, StatusCode::OK, "{who} {path}");
            } else {
                assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::FORBIDDEN, "forbidden"), "{who} {path}");
                assert!(answer.json()["detail"].as_str().unwrap().contains("it needs the scope `"), "{}", answer.text());
            }
        }
        assert_eq!(send(server.address(), method.clone(), path, &[]).await.status, StatusCode::UNAUTHORIZED, "no open door beside a tokens file: {path}");
        assert_eq!(ask("nobody", method, path).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(ask("sender", Method::POST, "/ingest/webhook/other").await.text(), "sender Some(\"prod\")");
    let answer = ask("boss", Method::DELETE, "/api/v1/events").await;
    assert_eq!((answer.problem().as_str(), answer.headers["allow"].to_str().unwrap()), ("method-not-allowed", "GET,HEAD"));
    assert_eq!(send(server.address(), Method::GET, "/livez", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_wrong_filter_is_shown_where_it_is_wrong() {
    let server = Setup::default().serve().await;
    for headers in [&LINES[..], &[]] {
        let answer = send(server.address(), Method::GET, "/api/v1/events?filter=verb:delete%20and%20usr:bob&stages=final", headers).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "bad-filter"));
        let error = &answer.json()["errors"][0];
        assert_eq!((error["column"].as_u64(), error["length"].as_u64(), error["message"].as_str()), (Some(17), Some(3), Some("unknown field `usr`")));
    }
    let fields = get(server.address(), "/api/v1/fields").await.json();
    let named = |name: &str| fields["items"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone();
    assert_eq!((named("verb")["type"].as_str(), named("verb")["below"].as_str()), (Some("verb"), Some("nothing")));
    assert_eq!((named("decision")["type"].as_str(), named("decision")["below"].as_str()), (Some("keyword"), Some("nothing")));
}

#[tokio::test]
async fn lists_of_sources_and_quarantine() {
    let server = Setup::default().serve().await;
    let sources = get(server.address(), "/api/v1/sources").await.json();
    assert_eq!((sources["items"][0]["name"].as_str(), sources["items"][0]["type"].as_str()), (Some("prod"), Some("webhook")));
    let list = get(server.address(), "/api/v1/quarantine?source=prod&limit=5").await.json();
    assert_eq!((list["total"].as_u64(), list["items"][1]["id"].as_str(), list["items"][0]["source"].as_str()), (Some(2), Some("2"), Some("prod")));
    let export = get(server.address(), "/api/v1/quarantine/export").await;
    let first: serde_json::Value = serde_json::from_str(export.text().lines().next().unwrap()).unwrap();
    assert_eq!((first["bytes"].as_str(), first["reason"].as_str(), export.text().lines().count()), (Some("e/8="), Some("malformed"), 2));
    assert_eq!(get(server.address(), "/").await.json()["paths"][0], "/");
}

#[tokio::test]
async fn metrics_name_routes_and_never_paths() {
    let server = Setup::default().serve().await;
    get(server.address(), "/api/v1/events").await;
    get(server.address(), "/api/v1/events/secret-name").await;
    get(server.address(), "/secret-path").await;
    let answer = get(server.address(), "/metrics").await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "decklog_http_requests_total{route=\"/api/v1/events\",method=\"GET\",code=\"200\"} 1",
        "decklog_http_requests_total{route=\"/api/v1/events/{name}\",method=\"GET\",code=\"404\"} 1",
        "decklog_http_requests_total{route=\"unmatched\",method=\"GET\",code=\"404\"} 1",
        "decklog_query_duration_seconds_count{kind=\"search\",result=\"ok\"} 1",
        "decklog_build_info{version=\"9.9.9\",revision=\"abc\"} 1",
        "decklog_http_request_duration_seconds_bucket{le=\"0.001\",route=",
    ] {
        assert!(answer.text().contains(line), "{line} in {}", answer.text());
    }
    assert!(!answer.text().contains("secret"));
}

#[tokio::test]
async fn a_panic_is_an_answer_that_says_nothing() {
    async fn broken() -> &'static str {
        panic!("inner secret")
    }
    let server = Setup { routers: vec![axum::Router::new().route("/broken", route(broken))], ..Setup::default() }.serve().await;
    let answer = get(server.address(), "/broken").await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!answer.text().contains("secret"));
    assert_eq!(get(server.address(), "/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn reads_are_limited_by_rate() {
    let mut setup = Setup::default();
    setup.config.limits.read_burst = 3.0;
    setup.config.limits.reads_per_second = 0.1;
    let server = setup.serve().await;
    for _ in 0..3 {
        assert_eq!(get(server.address(), "/api/v1/sources").await.status, StatusCode::OK);
    }
    let answer = get(server.address(), "/api/v1/sources").await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate-limited"));
    assert!((1..=10).contains(&answer.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap()));
    assert_eq!(get(server.address(), "/metrics").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_page_ends_early_rather_than_grow() {
    let setup = Setup { store: Store::new(1), ..Setup::default() };
    for second in 0..3 {
        setup.store.event(second, format!("\"{}\"", "x".repeat(9 << 20)));
    }
    let server = setup.serve().await;
    let page = get(server.address(), "/api/v1/events").await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), page.get("next").is_some(), page["matched"].as_u64()), (1, true, Some(3)));
}

/// Who looks for a leaked token puts it into the filter; the data directory must not hold it.
#[tokio::test]
async fn a_token_in_a_filter_is_not_in_its_mark() {
    let store = Store::new(3);
    let server = Setup { store: store.clone(), ..Setup::default() }.serve().await;
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.c2lnbmF0dXJlLW9mLWl0LWFsbA";
    get(server.address(), &format!("/api/v1/events?filter=verb:get%20{token}")).await;
    let mark = store.mark("search").await;
    let filter = mark["filter"].as_str().unwrap();
    assert!(!filter.contains(token) && filter.contains("verb:get") && filter.contains("redacted:"), "{filter}");
}
