//! `POST /api/v1/policy/…` over a loopback socket: what each question is answered, and how wrong ones fail.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{Setup, Store, open_with, read};
use decklog_server::Server;
use http::{Method, StatusCode};
use serde_json::{Value, json};

const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [mallory]
- level: Metadata
  verbs: [get]
";

async fn ask(server: &Server, question: &str, body: &Value) -> common::Answer {
    read(open_with(server.address(), Method::POST, &format!("/api/v1/policy/{question}"), &[], body.to_string()).await).await
}

async fn answer(server: &Server, question: &str, body: &Value) -> Value {
    let answer = ask(server, question, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{question} {body}: {}", answer.text());
    answer.json()
}

/// Ten requests of three users, two events each.
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

#[tokio::test]
async fn check_says_what_kube_apiserver_would_and_where() {
    let server = Setup::default().serve().await;
    let fine = answer(&server, "check", &json!({"policy": POLICY})).await;
    assert_eq!((&fine["ok"], &fine["rules"]), (&json!(true), &json!([{"line": 5, "level": "None"}, {"line": 7, "level": "Metadata"}])), "{fine}");
    let wrong = answer(&server, "check", &json!({"policy": POLICY.replace("Metadata", "metadata")})).await;
    assert_eq!((&wrong["ok"], &wrong["stage"], &wrong["line"], &wrong["rules"]), (&json!(false), &json!("validate"), &json!(7), &json!([])), "{wrong}");
    let old = POLICY.replace("/v1", "/v1beta1");
    assert_eq!(answer(&server, "check", &json!({"policy": old, "targetVersion": "1.23"})).await["ok"], true);
    assert_eq!(answer(&server, "check", &json!({"policy": old, "targetVersion": "1.24"})).await["ok"], false);
}

#[tokio::test]
async fn explain_takes_attributes_a_request_line_and_an_event() {
    let server = Setup::default().serve().await;
    let bob = json!({"name": "bob", "groups": ["ops"]});
    let line = json!({"policy": POLICY, "request": {"method": "GET", "target": "/api/v1/namespaces/a/pods/x", "user": bob}});
    let by_line = answer(&server, "explain", &line).await;
    assert_eq!((&by_line["level"], &by_line["rule"], &by_line["line"], &by_line["nRules"]), (&json!("Metadata"), &json!(1), &json!(7), &json!(2)));
    assert_eq!(by_line["passedOver"], json!([{"rule": 0, "line": 5, "field": "users", "why": "user bob is not in users"}]));
    assert_eq!(by_line["stages"][0], json!({"stage": "RequestReceived", "recorded": false, "holds": []}));
    assert_eq!((&by_line["attributes"]["resource"], &by_line["attributes"]["user"]), (&json!("pods"), &bob));
    let attributes = json!({"policy": POLICY, "request": {"verb": "list", "resource": "pods", "user": bob}});
    let nothing = answer(&server, "explain", &attributes).await;
    assert_eq!((&nothing["level"], &nothing["rule"], &nothing["line"]), (&json!("None"), &json!(-1), &Value::Null));
    let event = json!({"policy": POLICY, "event": {"verb": "get", "requestURI": "/api", "user": {"username": "mallory"}}});
    assert_eq!(answer(&server, "explain", &event).await["rule"], 0);
}

#[tokio::test]
async fn simulate_sums_up_what_is_stored_and_compares() {
    let (server, store) = ten_requests().await;
    let everything = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n";
    let both = answer(&server, "simulate", &json!({"policies": [everything, POLICY]})).await;
    assert_eq!((&both["extent"]["events"], &both["extent"]["requests"], &both["complete"]), (&json!(20), &json!(10), &json!(true)), "{both}");
    assert_eq!((&both["policies"][0]["events"], &both["policies"][1]["events"]), (&json!(20), &json!(3)));
    assert_eq!(both["policies"][1]["byRule"][0]["dropped"]["events"], 6);
    assert_eq!((&both["diff"]["lost"]["events"], &both["diff"]["gained"]["events"]), (&json!(17), &json!(0)));
    assert!(both["diff"]["examples"].as_array().unwrap().iter().all(|example| example["kind"] == "lost"));
    let bobs = answer(&server, "simulate", &json!({"policies": [POLICY], "filter": "user:bob", "until": "1970-01-01T00:00:31Z"})).await;
    assert_eq!((&bobs["extent"]["events"], &bobs["diff"]), (&json!(4), &Value::Null));
    let mark = store.mark("policy-simulate").await;
    assert_eq!((&mark["count"], &mark["who"]), (&json!(20), &json!("loopback")));
    store.gaps.lock().unwrap().push("1 to 2 are damaged".to_owned());
    let partly = answer(&server, "simulate", &json!({"policies": [POLICY]})).await;
    assert_eq!((&partly["complete"], &partly["gaps"]), (&json!(false), &json!(["1 to 2 are damaged"])));
}

#[tokio::test]
async fn generate_gives_a_profile_or_makes_one_from_what_is_stored() {
    let (server, _store) = ten_requests().await;
    let profile = answer(&server, "generate", &json!({"profile": "minimal"})).await;
    assert!(profile["policy"].as_str().unwrap().contains("kind: Policy"));
    let made = answer(&server, "generate", &json!({"budget": "60%", "mustKeep": "user:bob", "filter": "not user:carol"})).await;
    assert_eq!((&made["reached"], &made["complete"]), (&json!(true), &json!(true)), "{made}");
    assert!(made["policy"].as_str().unwrap().starts_with("# Made by decklog from 14 events"), "{made}");
    assert_eq!(answer(&server, "check", &json!({"policy": made["policy"]})).await["ok"], true);
}

#[tokio::test]
async fn what_is_wrong_is_told_by_name_and_place() {
    let server = Setup::default().serve().await;
    let bad = POLICY.replace("Metadata", "metadata");
    for (question, body, word, parameter, line) in [
        ("check", json!({}), "bad-parameter", "body", None),
        ("check", json!({"policy": 1}), "bad-parameter", "body", None),
        ("check", json!({"policy": POLICY, "targetVersion": "new"}), "bad-parameter", "targetVersion", None),
        ("explain", json!({"policy": bad, "request": {"verb": "get"}}), "bad-parameter", "policy", Some(7)),
        ("explain", json!({"policy": POLICY}), "bad-parameter", "request", None),
        ("explain", json!({"policy": POLICY, "request": {}}), "bad-parameter", "request", None),
        ("explain", json!({"policy": POLICY, "request": {"method": "GET", "target": "/%zz"}}), "bad-parameter", "request", None),
        ("explain", json!({"policy": POLICY, "event": {"verb": 1}}), "bad-parameter", "event", None),
        ("simulate", json!({"policies": []}), "bad-parameter", "policies", None),
        ("simulate", json!({"policies": [bad]}), "bad-parameter", "policies", Some(7)),
        ("simulate", json!({"policies": [POLICY], "filter": "verb:("}), "bad-filter", "filter", None),
        ("simulate", json!({"policies": [POLICY], "since": "soon"}), "bad-time", "since", None),
        ("generate", json!({}), "bad-parameter", "profile", None),
        ("generate", json!({"profile": "best"}), "bad-parameter", "profile", None),
        ("generate", json!({"budget": "much"}), "bad-parameter", "budget", None),
        ("generate", json!({"budget": "50%", "mustKeep": "verb:("}), "bad-filter", "mustKeep", None),
        ("generate", json!({"budget": "50%"}), "bad-parameter", "filter", None),
    ] {
        let answer = ask(&server, question, &body).await;
        assert_eq!(answer.problem(), word, "{question} {body}: {}", answer.text());
        let error = &answer.json()["errors"][0];
        assert_eq!(error["parameter"], parameter, "{question} {body}: {error}");
        assert_eq!(error["line"].as_u64(), line, "{question} {body}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty() && !error["help"].as_str().unwrap().is_empty(), "{error}");
    }
    let huge = ask(&server, "check", &json!({"policy": "#".repeat(2 << 20)})).await;
    assert_eq!(huge.problem(), "too-large");
}
