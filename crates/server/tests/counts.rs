//! Counts, completion and the place in the journal an answer is as of, asked over a loopback socket.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Setup, Store, get};
use decklog_server::Server;
use http::StatusCode;
use serde_json::{Value, json};

/// Ten requests of three users, two events each, from second 0 to 90.
async fn ten_requests() -> (Server, Arc<Store>) {
    let setup = Setup::default();
    let store = setup.store.clone();
    store.filters.store(true, Ordering::Relaxed);
    for number in 0..10 {
        let user = ["bob", "carol", "mallory"][number as usize % 3];
        store.request(number * 10, user, if number < 4 { "get" } else { "delete" }, if number == 9 { 403 } else { 200 });
    }
    (setup.serve().await, store)
}

async fn json(server: &Server, path: &str) -> Value {
    let answer = get(server.address(), path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn every_count_of_a_question_is_the_same() {
    let (server, _) = ten_requests().await;
    for question in ["", "&filter=verb:get", "&unit=request", "&filter=user:mallory&since=1970-01-01&until=1970-01-01T00:01", "&asof=7", "&filter=verb:none"] {
        let events = json(&server, &format!("/api/v1/events?limit=1000{question}")).await;
        let n_events = events["items"].as_array().unwrap().len() as u64;
        let histogram = json(&server, &format!("/api/v1/histogram?buckets=7&split=user{question}")).await;
        let buckets = histogram["buckets"].as_array().unwrap();
        let sum: u64 = buckets.iter().map(|bucket| bucket["events"].as_u64().unwrap()).sum();
        let by_value: u64 = buckets.iter().flat_map(|bucket| bucket["byValue"].as_array().unwrap()).map(|count| count.as_u64().unwrap()).sum();
        let facets = json(&server, &format!("/api/v1/facets?field=user&size=2{question}")).await;
        let facet = &facets["facets"][0];
        let shown: u64 = facet["values"].as_array().unwrap().iter().map(|value| value["events"].as_u64().unwrap()).sum();
        let counted = shown + facet["other"].as_u64().unwrap() + facet["missing"].as_u64().unwrap();
        let extent = json(&server, &format!("/api/v1/extent?{}", question.trim_start_matches('&'))).await;
        let totals = [events["matched"].as_u64().unwrap(), histogram["total"].as_u64().unwrap(), facets["total"].as_u64().unwrap()];
        assert_eq!((totals, sum, by_value, counted), ([n_events; 3], n_events, n_events, n_events), "{question}");
        assert_eq!(extent["events"], n_events, "{question}");
        for answer in [&events, &histogram, &facets, &extent] {
            assert_eq!((answer["complete"].as_bool(), answer["gaps"].as_array().map(Vec::len)), (Some(true), Some(0)), "{question}");
            assert!(answer["asof"].is_u64());
        }
    }
}

#[tokio::test]
async fn counts_are_by_time_value_and_request() {
    let (server, store) = ten_requests().await;
    let histogram = json(&server, "/api/v1/histogram?buckets=4&split=outcome&unit=request").await;
    assert_eq!((&histogram["seconds"], &histogram["values"], &histogram["total"]), (&json!(30), &json!(["allowed", "denied"]), &json!(10)));
    assert_eq!(histogram["buckets"][3], json!({"start": "1970-01-01T00:01:30Z", "events": 1, "byValue": [0, 1]}));
    let facets = json(&server, "/api/v1/facets?field=user&field=code&size=1").await;
    assert_eq!(facets["facets"][0], json!({"field": "user.username", "values": [{"value": "bob", "events": 8}], "distinct": 3, "missing": 0, "other": 12}));
    assert_eq!(
        facets["facets"][1],
        json!({"field": "responseStatus.code", "values": [{"value": "200", "events": 9}], "distinct": 2, "missing": 10, "other": 1})
    );
    let facets = json(&server, "/api/v1/facets?field=user&prefix=MA").await;
    assert_eq!(facets["facets"][0]["values"], json!([{"value": "mallory", "events": 6}]));
    let extent = json(&server, "/api/v1/extent").await;
    assert_eq!((&extent["events"], &extent["requests"]), (&json!(20), &json!(10)));
    let mark = store.mark("facets").await;
    assert_eq!((&mark["fields"], &mark["count"], &mark["who"]), (&json!(["user.username", "responseStatus.code"]), &json!(20), &json!("loopback")));
    for what in ["histogram", "extent"] {
        store.mark(what).await;
    }
    let metrics = get(server.address(), "/metrics").await;
    for kind in ["histogram", "facets", "extent"] {
        assert!(metrics.text().contains(&format!("decklog_query_duration_seconds_count{{kind=\"{kind}\",result=\"ok\"}}")), "{}", metrics.text());
    }
    store.gaps.lock().unwrap().push("1 to 2 are damaged".to_owned());
    for path in ["/api/v1/histogram", "/api/v1/facets?field=user", "/api/v1/extent", "/api/v1/extent?filter=user:*", "/api/v1/events"] {
        let answer = json(&server, path).await;
        assert_eq!((&answer["complete"], &answer["gaps"]), (&json!(false), &json!(["1 to 2 are damaged"])), "{path}");
    }
    assert_eq!(json(&server, "/api/v1/events").await["reason"], "gaps");
}

#[tokio::test]
async fn an_empty_store_has_no_extent() {
    let server = Setup::default().serve().await;
    let extent = json(&server, "/api/v1/extent").await;
    assert_eq!((&extent["events"], &extent["first"], &extent["last"], &extent["asof"]), (&json!(0), &Value::Null, &Value::Null, &json!(1)));
    assert_eq!(json(&server, "/api/v1/histogram").await["buckets"], json!([]));
    assert_eq!(json(&server, "/api/v1/facets?field=user").await["facets"][0]["distinct"], 0);
}

#[tokio::test]
async fn an_exact_link_shows_the_same_after_more_has_arrived() {
    let (server, store) = ten_requests().await;
    let first = json(&server, "/api/v1/events?limit=5&filter=user:bob").await;
    let asof = first["asof"].as_u64().unwrap();
    store.request(95, "bob", "get", 200);
    let link = format!("/api/v1/events?limit=5&filter=user:bob&asof={asof}");
    let again = json(&server, &link).await;
    assert_eq!((&again["items"], &again["matched"], &again["asof"]), (&first["items"], &json!(8), &json!(asof)));
    let rest = json(&server, &format!("{link}&cursor={}", again["next"].as_str().unwrap())).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["asof"]), (3, &json!(asof)));
    assert_eq!(json(&server, "/api/v1/events?filter=user:bob").await["matched"], 10);
    let other = get(server.address(), &format!("/api/v1/events?filter=user:bob&cursor={}", again["next"].as_str().unwrap())).await;
    assert_eq!(other.problem(), "cursor-mismatch");
}

#[tokio::test]
async fn hostile_parameters_are_named_with_what_to_write() {
    let (server, _) = ten_requests().await;
    let thousands = "field=a&".repeat(7_000);
    for (path, parameter, value) in [
        ("/api/v1/histogram?buckets=0", "buckets", "`0`"),
        ("/api/v1/histogram?buckets=99999999999999999999", "buckets", "`99999999999999999999`"),
        ("/api/v1/histogram?split=usr", "split", "`usr`"),
        ("/api/v1/histogram?split=", "split", "``"),
        ("/api/v1/facets?field=usr", "field", "`usr`"),
        ("/api/v1/facets", "field", "0 fields"),
        (&format!("/api/v1/facets?{thousands}"), "field", "7000 fields"),
        ("/api/v1/facets?field=user&size=1000000", "size", "`1000000`"),
        ("/api/v1/facets?field=user&size=-1", "size", "`-1`"),
        ("/api/v1/extent?asof=x", "asof", "`x`"),
        ("/api/v1/events?asof=99999", "asof", "`99999`"),
        ("/api/v1/events?asof=-1", "asof", "`-1`"),
        ("/api/v1/events?unit=object", "unit", "`object`"),
        ("/api/v1/filter?text=a&cursor=x", "cursor", "`x`"),
        ("/api/v1/extent?bucket=1", "bucket", "`bucket`"),
    ] {
        let answer = get(server.address(), path).await;
        let short = path.chars().take(80).collect::<String>();
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "bad-parameter"), "{short}");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["parameter"], parameter, "{short}");
        assert!(error["message"].as_str().unwrap().contains(value), "{short}: {error}");
        assert!(!error["help"].as_str().unwrap_or_default().is_empty(), "{short}: {error}");
    }
    let answer = get(server.address(), &format!("/api/v1/events?{}", "a=1&".repeat(10_000))).await;
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_filter_is_read_and_completed_with_counts() {
    let (server, store) = ten_requests().await;
    let body = json(&server, "/api/v1/filter?text=user:ma&cursor=7").await;
    assert_eq!((&body["canonical"], body.get("error")), (&json!("user.username:ma"), None));
    assert_eq!(body["tokens"][0], json!({"start": 0, "length": 4, "kind": "field"}));
    let completion = &body["completion"];
    assert_eq!((&completion["start"], &completion["end"], &completion["field"]), (&json!(5), &json!(7), &json!("user.username")));
    assert_eq!(completion["items"], json!([{"text": "mallory", "label": "mallory", "kind": "value", "events": 6}]));
    assert_eq!(store.mark("completion").await["filter"], "user.username:ma*");
    // Of the known values, those that occur come first and have a count.
    let items = json(&server, "/api/v1/filter?text=outcome:").await["completion"]["items"].clone();
    let counts: Vec<_> = items.as_array().unwrap().iter().map(|item| (item["label"].as_str().unwrap(), item["events"].as_u64())).collect();
    assert_eq!(counts, [("allowed", Some(9)), ("denied", Some(1)), ("error", None)]);
    json(&server, "/api/v1/facets?field=user").await;
    store.mark("facets").await;
    let n_marks = store.marks().iter().filter(|mark| mark["what"] == "completion").count();
    assert_eq!(n_marks, 1, "who types leaves one mark a minute");
    let body = json(&server, "/api/v1/filter?text=verb:get%20and%20usr:bob&cursor=0").await;
    assert_eq!(body["error"]["column"], 14);
    assert_eq!((&body["error"]["code"], &body["error"]["help"], body.get("canonical")), (&json!("unknown-field"), &json!("did you mean `user`?"), None));
    assert_eq!(json(&server, "/api/v1/filter").await["canonical"], "*");
    assert_eq!(json(&server, "/api/v1/filter?text=ns:%22%22").await["hints"].as_array().unwrap().len(), 1);
    store.slow.store(100, Ordering::Relaxed);
    let slow = json(&server, "/api/v1/filter?text=user:").await;
    assert_eq!(slow["completion"]["items"], json!([]), "values that are not there in time are left out");
}

#[tokio::test]
async fn a_count_ends_when_its_client_leaves() {
    for (path, what) in [("/api/v1/facets?field=user", "facets"), ("/api/v1/histogram", "histogram")] {
        let setup = Setup::default();
        let store = setup.store.clone();
        store.events(0..2_000);
        store.slow.store(5, Ordering::Relaxed);
        let server = setup.serve().await;
        let asking = tokio::spawn(get(server.address(), path));
        let begun = async {
            while store.n_hits.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), begun).await.unwrap();
        asking.abort();
        assert_eq!(store.mark(what).await["count"], 0);
        // 2,000 hits at 5 ms are 10 s.
        let ended = async {
            let line = format!("decklog_query_duration_seconds_count{{kind=\"{what}\",result=\"client_left\"}} 1");
            while !get(server.address(), "/metrics").await.text().contains(&line) {}
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap();
        assert!(store.n_hits.load(Ordering::Relaxed) < 1_000, "{path}");
    }
}
