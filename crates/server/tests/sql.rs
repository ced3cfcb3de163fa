//! `POST /api/v1/sql` over a loopback socket: what is asked, how it is answered, how it fails and ends.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Answer, Setup, open_with, read, send};
use decklog_server::Server;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;

const PATH: &str = "/api/v1/sql";

async fn ask(server: &Server, headers: &[(&str, &str)], body: impl ToString) -> Answer {
    read(open_with(server.address(), Method::POST, PATH, headers, body.to_string()).await).await
}

#[tokio::test]
async fn rows_come_in_the_format_asked_for_with_totals_behind() {
    let setup = Setup::default();
    let store = setup.store.clone();
    let server = setup.serve().await;
    let trailers = ("te", "trailers");
    let answer = ask(&server, &[trailers], json!({"query": "rows 2", "params": ["a", 5, true, null], "limit": 2})).await;
    let params = r#"[Some("a"), Some("5"), Some("true"), None] Some(2)"#;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, format!("Json 0 {params}\nJson 1 {params}\n").as_str()));
    let trailer = |answer: &Answer, name: &str| answer.trailers[name].to_str().unwrap().to_owned();
    assert_eq!(["decklog-returned", "decklog-cut", "decklog-complete"].map(|name| trailer(&answer, name)), ["2", "true", "true"]);
    for (accept, media_type, format) in [
        ("*/*", "application/x-ndjson", "Json"),
        ("text/csv; q=0.9", "text/csv", "Csv"),
        ("image/png, application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream", "Arrow"),
        ("Application/vnd.apache.parquet", "application/vnd.apache.parquet", "Parquet"),
    ] {
        let answer = ask(&server, &[("accept", accept)], json!({"query": "rows 1"})).await;
        assert_eq!((answer.headers["content-type"].to_str().unwrap(), answer.text()), (media_type, format!("{format} 0 [] None\n").as_str()), "{accept}");
    }
    let mark = store.mark("sql").await;
    assert_eq!((&mark["query"], &mark["count"], &mark["who"]), (&json!("rows 2"), &json!(2), &json!("loopback")));
    assert_eq!(mark["params"], json!(["a", "5", "true", null]));
    store.gaps.lock().unwrap().push("1 to 2 are damaged".to_owned());
    let none = ask(&server, &[trailers], json!({"query": "rows 0"})).await;
    assert_eq!((none.status, none.text(), trailer(&none, "decklog-complete").as_str()), (StatusCode::OK, "", "false"));
    assert_eq!(send(server.address(), Method::GET, PATH, &[]).await.problem(), "method-not-allowed");
}

#[tokio::test]
async fn errors_say_what_is_wrong_and_nothing_of_the_store() {
    let server = Setup::default().serve().await;
    for (query, status, word) in [
        ("bad", 400, "bad-query"),
        ("forbidden", 403, "forbidden-query"),
        ("memory", 413, "too-large"),
        ("timeout", 504, "query-timeout"),
        ("unavailable", 503, "unavailable"),
        ("failed", 503, "unavailable"),
    ] {
        let answer = ask(&server, &[], json!({"query": query})).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, word), "{query}");
        if status != 503 {
            let expected = json!({"parameter": "query", "line": 2, "column": 7, "message": "there is no `x`", "help": "a secret-free help"});
            assert_eq!(answer.json()["errors"][0], expected);
        }
        assert!(query != "failed" || !answer.text().contains("there is no"), "the store's own text is for the log: {}", answer.text());
    }
    let metrics = send(server.address(), Method::GET, "/metrics", &[]).await;
    for (result, count) in [("refused", 3), ("timeout", 1), ("failed", 2)] {
        let line = format!("decklog_query_duration_seconds_count{{kind=\"sql\",result=\"{result}\"}} {count}");
        assert!(metrics.text().contains(&line), "{line} in {}", metrics.text());
    }
}

#[tokio::test]
async fn bodies_that_are_no_question_are_refused() {
    let server = Setup::default().serve().await;
    for (body, parameter) in [
        ("", "body"),
        ("SELECT 1", "body"),
        ("{}", "body"),
        (r#"{"query": 5}"#, "body"),
        (r#"{"query": "rows 1", "limit": -1}"#, "body"),
        (r#"{"query": "rows 1", "offset": 1}"#, "body"),
        (r#"{"query": "rows 1", "params": [[1]]}"#, "params"),
        (&json!({"query": "rows 1", "params": vec![1; 1_001]}).to_string(), "params"),
        (&json!({"query": "x".repeat(100_000)}).to_string(), "query"),
    ] {
        let answer = ask(&server, &[], body).await;
        let short: String = body.chars().take(60).collect();
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "bad-parameter"), "{short}");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["parameter"], parameter, "{short}");
        assert!(!error["help"].as_str().unwrap().is_empty(), "{short}");
    }
    assert_eq!(ask(&server, &[], "x".repeat(2 << 20)).await.problem(), "too-large");
    let from_a_page = ask(&server, &[("origin", "http://evil.example")], json!({"query": "rows 1"})).await;
    assert_eq!(from_a_page.problem(), "unauthenticated");
}

#[tokio::test]
async fn a_question_ends_when_its_client_leaves() {
    let setup = Setup::default();
    let store = setup.store.clone();
    store.slow.store(5, Ordering::Relaxed);
    let server = setup.serve().await;
    let mut response = open_with(server.address(), Method::POST, PATH, &[], json!({"query": "rows 2000"}).to_string()).await;
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    // 2,000 rows at 5 ms are 10 s; the mark is written when the question has ended.
    tokio::time::timeout(Duration::from_secs(5), store.mark("sql")).await.unwrap();
    assert!(store.n_hits.load(Ordering::Relaxed) < 1_000);
}

/// A client that sends everything and goes before there is anything to read.
#[tokio::test]
async fn a_question_ends_also_before_its_first_row() {
    let setup = Setup::default();
    let store = setup.store.clone();
    store.slow.store(50, Ordering::Relaxed);
    let server = setup.serve().await;
    let asking = tokio::spawn(open_with(server.address(), Method::POST, PATH, &[], json!({"query": "rows 200"}).to_string()));
    let begun = async {
        while store.n_hits.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(5), begun).await.unwrap();
    asking.abort();
    tokio::time::timeout(Duration::from_secs(5), store.mark("sql")).await.unwrap();
    assert!(store.n_hits.load(Ordering::Relaxed) < 100);
}

#[tokio::test]
async fn a_token_in_a_question_is_not_in_its_mark() {
    let setup = Setup::default();
    let store = setup.store.clone();
    let server = setup.serve().await;
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.c2lnbmF0dXJlLW9mLWl0LWFsbA";
    ask(&server, &[], json!({"query": format!("rows 1 -- {token}"), "params": [token]})).await;
    let mark = store.mark("sql").await.to_string();
    assert!(!mark.contains(token) && mark.contains("rows 1 -- ") && mark.contains("redacted:"), "{mark}");
}
