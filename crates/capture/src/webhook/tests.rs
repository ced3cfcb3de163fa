//! Every answer of the receiver, through its router.

use std::convert::Infallible;
use std::io::Write;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use decklog_audit::Event;
use decklog_audit::access::{Identity, Scope};
use decklog_audit::event::write_log_line;
use decklog_audit::journal::AppendError;
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::testing::{self, MemoryJournal, MemoryQuarantine, Mood, item, line, list, odd_lines};

struct Bench {
    router: Router,
    receiver: Receiver,
    recorder: Recorder,
    journal: MemoryJournal,
    quarantine: MemoryQuarantine,
}

fn identity() -> Identity {
    Identity { name: "loopback".into(), scopes: vec![Scope::Admin], source: None, cluster: None, peer: "127.0.0.1:4711".into() }
}

fn bench_with(identity: Identity, config: ReceiverConfig, max_event_bytes: usize) -> Bench {
    let (recorder, journal, quarantine) = testing::recorder(max_event_bytes);
    let receiver = Receiver::new(recorder.clone(), config);
    let router = routes(receiver.clone()).layer(Extension(identity));
    Bench { router, receiver, recorder, journal, quarantine }
}

fn bench() -> Bench {
    bench_with(identity(), ReceiverConfig::default(), 1 << 20)
}

struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    json: serde_json::Value,
}

impl Bench {
    async fn send(&self, request: Request<Body>) -> Answer {
        answer(self.router.clone().oneshot(request).await.unwrap()).await
    }

    async fn post(&self, body: impl Into<Body>) -> Answer {
        self.send(Request::post("/ingest/webhook/prod").body(body.into()).unwrap()).await
    }

    fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.recorder.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    fn quarantined(&self) -> Vec<(String, String, String)> {
        let items = self.quarantine.0.lock().unwrap();
        items.iter().map(|item| (item.place.clone(), item.reason.to_owned(), String::from_utf8_lossy(&item.bytes).into_owned())).collect()
    }
}

async fn answer(response: Response) -> Answer {
    let status = response.status();
    let retry_after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
    let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let expected = if status == StatusCode::OK { "application/json" } else { "application/problem+json" };
    assert_eq!(content_type, expected);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, retry_after, json: serde_json::from_slice(&body).unwrap() }
}

#[track_caller]
fn check_taken(answer: &Answer, stored: u64, duplicates: u64, quarantined: u64) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert_eq!(answer.json, serde_json::json!({"stored": stored, "duplicates": duplicates, "quarantined": quarantined}));
}

#[track_caller]
fn check_problem(answer: &Answer, status: u16, name: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.json);
    assert_eq!(answer.json["type"], format!("https://decklog.io/problems/{name}"));
    assert_eq!(answer.json["status"], status);
    let expected = matches!(status, 429 | 503).then(|| "2".to_owned());
    assert_eq!(answer.retry_after, expected);
}

#[tokio::test]
async fn a_list_becomes_the_lines_of_the_log() {
    let bench = bench();
    let body = list(&[item(1), item(2)]);
    check_taken(&bench.post(body.clone()).await, 2, 0, 0);
    check_taken(&bench.post(body).await, 0, 2, 0);
    assert_eq!(bench.journal.lines(), [line(1), line(2)]);
    let inner = bench.journal.0.lock().unwrap();
    let origin = &inner.origins[0];
    assert_eq!((&*origin.cluster, &*origin.source, &*origin.sender), ("default", "prod", "127.0.0.1:4711"));
    let status = &bench.receiver.statuses()["prod"];
    assert_eq!((status.n_taken, status.n_refused, &status.error), (2, 0, &None));
    assert_eq!(status.last_event.unwrap().to_string(), "2026-11-22T09:54:00.000002Z");
}

#[tokio::test]
async fn single_events_and_lines_are_taken_too() {
    let bench = bench();
    check_taken(&bench.post(line(1)).await, 1, 0, 0);
    check_taken(&bench.post(format!("{}\n{}\n", line(2), line(3))).await, 2, 0, 0);
    check_taken(&bench.post(format!("{}{}", list(&[item(4)]), list(&[]))).await, 1, 0, 0);
    check_taken(&bench.post(list(&[])).await, 0, 0, 0);
    assert_eq!(bench.journal.lines(), (1..5).map(line).collect::<Vec<_>>());
}

#[tokio::test]
async fn odd_spellings_come_back_byte_for_byte() {
    let bench = bench();
    let lines = odd_lines();
    check_taken(&bench.post(lines.join("\n")).await, lines.len() as u64, 0, 0);
    assert_eq!(bench.journal.lines(), lines);
    // As items of a list they are the same events.
    let items: Vec<String> = lines
        .iter()
        .filter(|line| line.contains("audit.k8s.io/v1\""))
        .map(|line| line.replacen(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "", 1))
        .collect();
    check_taken(&bench.post(list(&items)).await, 0, items.len() as u64, 0);
    // White space between tokens goes, white space in strings stays.
    let spaced = item(77).replace(",", " ,\n\t").replace("system:authenticated", "a b  c\\n");
    check_taken(&bench.post(list(&[spaced])).await, 1, 0, 0);
    assert_eq!(*bench.journal.lines().last().unwrap(), line(77).replace("system:authenticated", "a b  c\\n"));
}

/// kube-apiserver v1.36.3 sent these bodies; what is stored are the lines its log backend writes of the same events.
#[tokio::test]
async fn recorded_deliveries_give_the_lines_of_the_log() {
    let bench = bench();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/webhook");
    for (name, n_events) in [("cap-0003", 228), ("cap-0021", 29), ("cap2-0001", 40)] {
        let body = zstd::decode_all(std::fs::File::open(folder.join(format!("{name}.body.json.zst"))).unwrap()).unwrap();
        check_taken(&bench.post(body.clone()).await, n_events, 0, 0);
        check_taken(&bench.post(body).await, 0, n_events, 0);
    }
    for line in bench.journal.lines() {
        let mut written = Vec::new();
        write_log_line(&Event::decode(&line).unwrap(), &mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap().trim_end(), line);
    }
}

#[tokio::test]
async fn bad_items_are_quarantined_and_the_rest_is_taken() {
    let bench = bench();
    let bad = ["17", r#"{"no":"event"}"#, r#"{"level":"Metadata","auditID":oops}"#, "{\"auditID\":\"\u{fffd}"];
    for (number, bad) in bad.iter().enumerate() {
        let number = number as u64 * 10;
        let body = list(&[item(number), (*bad).to_owned(), item(number + 1)]);
        check_taken(&bench.post(body).await, 2, 0, 1);
    }
    let places = |place: &str| bench.quarantined().into_iter().filter(|item| item.0 == place && item.1 == "malformed").map(|item| item.2).collect::<Vec<_>>();
    assert_eq!(places("items[1]"), bad);
    let metrics = bench.metrics();
    assert!(metrics.contains("decklog_source_received_events_total{source=\"prod\"} 12\n"), "{metrics}");
    assert!(metrics.contains("decklog_source_rejected_events_total{source=\"prod\",reason=\"malformed\"} 4\n"), "{metrics}");
    assert!(metrics.contains("decklog_ingest_delay_seconds_count{source=\"prod\"} 8\n"), "{metrics}");
}

#[tokio::test]
async fn invalid_utf8_and_huge_numbers_and_deep_nesting() {
    let bench = bench();
    let mut body = list(&[item(1), item(2).replace("bob", "b@b"), item(3)]).into_bytes();
    let at = body.iter().position(|byte| *byte == b'@').unwrap();
    body[at] = 0xff;
    check_taken(&bench.post(body).await, 2, 0, 1);
    let digits = "9".repeat(100_000);
    let huge = item(4).replace(r#""verb":"list""#, &format!(r#""verb":"list","requestObject":{{"n":{digits}e{digits}}}"#));
    let deep = item(5).replace(r#""verb":"list""#, &format!(r#""verb":"list","requestObject":{}{}"#, "[".repeat(200_000), "]".repeat(200_000)));
    check_taken(&bench.post(list(&[huge, deep, item(6)])).await, 2, 0, 1);
}

#[tokio::test]
async fn credentials_are_hidden_in_the_quarantine_too() {
    let (mut recorder, journal, quarantine) = testing::recorder(2000);
    let key = decklog_audit::redact::RedactionKey::generate([7; 32]);
    let redactor = Some(Arc::new(decklog_audit::redact::Redactor::new(key)));
    recorder.intake = Arc::new(decklog_audit::intake::Intake { redactor, max_event_bytes: 2000 });
    let router = routes(Receiver::new(recorder, ReceiverConfig::default())).layer(Extension(identity()));
    let secret = "hunter2-hunter2-hunter2";
    let with_secret = |number: u64| {
        let member = format!(r#""verb":"create","requestObject":{{"kind":"Secret","apiVersion":"v1","stringData":{{"password":"{secret}"}}}}"#);
        item(number).replace(r#""verb":"list""#, &member)
    };
    let broken = with_secret(2).replace("\"user\":", "\"user\" oops");
    let large = with_secret(3).replace("bob", &"b".repeat(3000));
    let body = list(&[with_secret(1), broken, large]);
    let send = |body: String| router.clone().oneshot(Request::post("/ingest/webhook/prod").body(Body::from(body)).unwrap());
    check_taken(&answer(send(body).await.unwrap()).await, 1, 0, 2);
    let whole = format!("no list: {{\"kind\":\"Secret\",\"data\":{{\"password\":\"{secret}\"}}}}");
    check_problem(&answer(send(whole).await.unwrap()).await, 400, "bad-body");
    // What is wrong is told to the sender, the log and the quarantine, and may quote the body.
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.c2lnbmF0dXJlLW9mLWl0LWFsbA";
    let told = answer(send(format!(r#"{{"kind":"{token}","auditID":"a","stage":"Panic"}}"#)).await.unwrap()).await;
    check_problem(&told, 400, "bad-body");
    let kept = quarantine.0.lock().unwrap();
    assert_eq!((kept.len(), journal.lines().len()), (4, 1));
    for text in [told.json.to_string(), kept[3].detail.clone()] {
        assert!(!text.contains(token) && text.contains("redacted:"), "{text}");
    }
    for text in kept.iter().map(|item| String::from_utf8_lossy(&item.bytes).into_owned()).chain(journal.lines()) {
        assert!(!text.contains(secret) && text.contains("redacted:"), "{text}");
    }
}

/// What tells of a Secret may stand behind all that is kept, and a token may be cut.
#[tokio::test]
async fn credentials_are_hidden_in_what_is_cut() {
    let (mut recorder, _, quarantine) = testing::recorder(2000);
    let redactor = Some(Arc::new(decklog_audit::redact::Redactor::new(decklog_audit::redact::RedactionKey::generate([7; 32]))));
    recorder.intake = Arc::new(decklog_audit::intake::Intake { redactor, max_event_bytes: 2000 });
    let router = routes(Receiver::new(recorder, ReceiverConfig::default())).layer(Extension(identity()));
    let secret = "aHVudGVyMi1odW50ZXIy";
    let body = format!(r#""requestObject":{{"data":{{"a":"{secret}"}},"x":"{}","kind":"Secret"}},"verb":"list""#, "x".repeat(5 << 20));
    let large = item(1).replace(r#""verb":"list""#, &body);
    let kind = item(2).replacen('{', &format!(r#"{{"kind":"eyJhbGciOiJSUzI1NiJ9.{}.{secret}","#, secret.repeat(100)), 1);
    for text in [list(&[large.clone(), kind]), large] {
        let _ = router.clone().oneshot(Request::post("/ingest/webhook/prod").body(Body::from(text)).unwrap()).await.unwrap();
    }
    for kept in &*quarantine.0.lock().unwrap() {
        assert!(!String::from_utf8_lossy(&kept.bytes).contains(secret) && !kept.detail.contains(secret), "{}: {}", kept.place, kept.detail);
    }
    assert_eq!(quarantine.0.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn too_large_items_are_quarantined_and_passed() {
    let bench = bench_with(identity(), ReceiverConfig::default(), 10_000);
    let large = item(1).replace("bob", &"b".repeat(20_000));
    check_taken(&bench.post(list(&[item(0), large.clone(), item(2)])).await, 2, 0, 1);
    assert_eq!(bench.quarantined(), [("items[1]".to_owned(), "too_large".to_owned(), large)]);
    assert!(bench.metrics().contains("decklog_source_rejected_events_total{source=\"prod\",reason=\"too_large\"} 1\n"));
}

#[tokio::test]
async fn what_is_no_list_is_a_400_and_quarantined_whole() {
    let bench = bench();
    for body in ["no json", "line one\nline two", r#"{"kind":"PodList","apiVersion":"v1","items":[{}]}"#, r#"{"level":"Metadata"}"#, "[]", "42"] {
        check_problem(&bench.post(body).await, 400, "bad-body");
        let last = bench.quarantined().pop().unwrap();
        assert_eq!((last.0.as_str(), last.2.as_str()), ("body", body));
    }
    let n_kept = bench.quarantined().len();
    check_problem(&bench.post("").await, 400, "bad-body");
    check_problem(&bench.post(" \n").await, 400, "bad-body");
    assert_eq!(bench.quarantined().len(), n_kept);
    assert!(bench.journal.lines().is_empty());
}

#[tokio::test]
async fn the_credential_decides_source_and_cluster() {
    let own = Identity { scopes: vec![Scope::Send], source: Some("prod".into()), cluster: Some("eu".into()), ..identity() };
    let bench = bench_with(own, ReceiverConfig::default(), 1 << 20);
    check_taken(&bench.post(list(&[item(1)])).await, 1, 0, 0);
    let other = Request::post("/ingest/webhook/staging").body(Body::from(list(&[item(2)]))).unwrap();
    check_problem(&bench.send(other).await, 403, "forbidden");
    assert_eq!(&*bench.journal.0.lock().unwrap().origins[0].cluster, "eu");

    let reader = bench_with(Identity { scopes: vec![Scope::Read], ..identity() }, ReceiverConfig::default(), 1 << 20);
    check_problem(&reader.post(list(&[item(1)])).await, 403, "forbidden");
    assert!(reader.journal.lines().is_empty());
}

#[tokio::test]
async fn source_names_of_urls_are_checked_and_bounded() {
    let bench = bench_with(identity(), ReceiverConfig { max_url_sources: 2, ..ReceiverConfig::default() }, 1 << 20);
    let send = |name: &str| Request::post(format!("/ingest/webhook/{name}")).body(Body::from(list(&[]))).unwrap();
    for (name, status) in [("a", 200), ("b", 200), ("c", 403), ("a", 200), ("A", 403), ("%00", 403), ("x_y", 403)] {
        assert_eq!(bench.send(send(name)).await.status.as_u16(), status, "{name}");
    }
}

#[tokio::test]
async fn the_journals_refusals_become_429_and_503() {
    let bench = bench();
    let busy = AppendError::Busy { waiting_bytes: 2, limit_bytes: 1 };
    for (error, status, name) in [
        (busy, 429, "overloaded"),
        (AppendError::Full { directory: "d".into() }, 503, "unavailable"),
        (AppendError::Unwritable { reason: "r".into() }, 503, "unavailable"),
        (AppendError::Closed, 503, "unavailable"),
    ] {
        bench.journal.set(Mood::Refuses(1, error));
        check_problem(&bench.post(list(&[item(1)])).await, status, name);
        assert!(bench.journal.lines().is_empty());
    }
    check_taken(&bench.post(list(&[item(1)])).await, 1, 0, 0);
    let metrics = bench.metrics();
    assert!(metrics.contains("reason=\"disk_full\"} 3\n"), "{metrics}");
    assert!(metrics.contains("reason=\"overload\"} 1\n"), "{metrics}");
    assert!(metrics.contains("received_events_total{source=\"prod\"} 5\n"), "{metrics}");
}

#[tokio::test]
async fn an_undurable_quarantine_is_a_503_and_the_retry_a_duplicate() {
    let bench = bench();
    let body = list(&[item(1), "{}".to_owned()]);
    bench.quarantine.1.store(true, Ordering::Relaxed);
    check_problem(&bench.post(body.clone()).await, 503, "unavailable");
    bench.quarantine.1.store(false, Ordering::Relaxed);
    check_taken(&bench.post(body).await, 0, 1, 1);
    // The event was durable the first time; only the rest was refused.
    let metrics = bench.metrics();
    assert!(metrics.contains("reason=\"disk_full\"} 1\n") && metrics.contains("received_events_total{source=\"prod\"} 4\n"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_disk_is_answered_within_20_s() {
    let bench = bench();
    bench.journal.set(Mood::Hangs);
    let began = tokio::time::Instant::now();
    check_problem(&bench.post(list(&[item(1)])).await, 503, "unavailable");
    assert!(began.elapsed() < Duration::from_secs(20));
}

fn dripping(parts: Vec<Bytes>, pause: Duration) -> Body {
    Body::from_stream(stream::iter(parts).then(move |part| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(part)
    }))
}

#[tokio::test(start_paused = true)]
async fn slow_senders_are_given_up() {
    let bench = bench();
    let body = Bytes::from(list(&(0..50).map(item).collect::<Vec<_>>()));
    let (first, rest) = (body.slice(..2000), body.slice(2000..));
    check_problem(&bench.post(dripping(vec![first, rest], Duration::from_secs(11))).await, 408, "slow");
    let dripped: Vec<Bytes> = (0..body.len()).step_by(100).map(|at| body.slice(at..(at + 100).min(body.len()))).collect();
    check_problem(&bench.post(dripping(dripped.clone(), Duration::from_secs(1))).await, 408, "slow");
    assert!(bench.journal.lines().is_empty());
    assert!(bench.metrics().contains("reason=\"slow\""));
    check_taken(&bench.post(dripping(dripped, Duration::from_millis(50))).await, 50, 0, 0);
}

#[tokio::test]
async fn of_a_body_that_breaks_off_nothing_is_stored() {
    for batch_bytes in [100, 4 << 20] {
        let bench = bench_with(identity(), ReceiverConfig { batch_bytes, ..ReceiverConfig::default() }, 1 << 20);
        let text = list(&(0..20).map(item).collect::<Vec<_>>());
        let cut = Bytes::from(text[..text.len() / 2].to_owned());
        let parts = [Ok(cut), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
        check_problem(&bench.post(Body::from_stream(stream::iter(parts))).await, 400, "broken-off");
        assert!(bench.journal.lines().is_empty());
        check_taken(&bench.post(text).await, 20, 0, 0);
    }
}

#[tokio::test]
async fn large_bodies_are_staged_and_committed_once() {
    let bench = bench_with(identity(), ReceiverConfig { batch_bytes: 10_000, ..ReceiverConfig::default() }, 1 << 20);
    let text = Bytes::from(list(&(0..1000).map(item).collect::<Vec<_>>()));
    let parts: Vec<_> = (0..text.len()).step_by(777).map(|at| Ok::<_, Infallible>(text.slice(at..(at + 777).min(text.len())))).collect();
    check_taken(&bench.post(Body::from_stream(stream::iter(parts))).await, 1000, 0, 0);
    assert_eq!(bench.journal.lines(), (0..1000).map(line).collect::<Vec<_>>());
    let inner = bench.journal.0.lock().unwrap();
    assert_eq!(inner.n_appends, 1);
    assert!(inner.largest_batch < 20_000);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_bodies() {
    let bench = bench();
    let text = list(&(0..100).map(item).collect::<Vec<_>>());
    let send = |encoding: &str, body: Vec<u8>| Request::post("/ingest/webhook/prod").header(header::CONTENT_ENCODING, encoding).body(Body::from(body)).unwrap();
    check_taken(&bench.send(send("gzip", gzip(text.as_bytes()))).await, 100, 0, 0);
    check_taken(&bench.send(send("zstd", zstd::encode_all(text.as_bytes(), 1).unwrap())).await, 0, 100, 0);
    check_problem(&bench.send(send("br", vec![1, 2])).await, 415, "unsupported-encoding");
    check_problem(&bench.send(send("gzip", vec![1, 2])).await, 400, "bad-body");
    let cut = gzip(text.as_bytes());
    check_problem(&bench.send(send("gzip", cut[..cut.len() - 9].to_vec())).await, 400, "bad-body");
    let bomb = gzip(&[&list(&[])[..list(&[]).len() - 3], &" ".repeat(300 << 20)].concat().into_bytes());
    check_problem(&bench.send(send("gzip", bomb)).await, 413, "too-large");
}

/// 400 means that nobody sends it again, so what came is kept: unpacked as far as that goes.
#[tokio::test]
async fn what_cannot_be_unpacked_is_quarantined() {
    let (mut recorder, journal, quarantine) = testing::recorder(1 << 20);
    let redactor = Some(Arc::new(decklog_audit::redact::Redactor::new(decklog_audit::redact::RedactionKey::generate([7; 32]))));
    recorder.intake = Arc::new(decklog_audit::intake::Intake { redactor, max_event_bytes: 1 << 20 });
    let metrics = recorder.metrics.clone();
    let router = routes(Receiver::new(recorder, ReceiverConfig::default())).layer(Extension(identity()));
    let post = async |encoding: &str, body: Vec<u8>| {
        let request = Request::post("/ingest/webhook/prod").header(header::CONTENT_ENCODING, encoding).body(Body::from(body)).unwrap();
        check_problem(&answer(router.clone().oneshot(request).await.unwrap()).await, 400, "bad-body");
        quarantine.0.lock().unwrap().drain(..).map(|item| (String::from_utf8_lossy(&item.bytes).into_owned(), item.size)).collect::<Vec<_>>()
    };
    let secret = "hunter2-hunter2-hunter2";
    let items: Vec<String> = (0..100).map(|number| item(number).replace("bob", &format!("Bearer {secret}"))).collect();
    let text = list(&items);
    for (encoding, packed) in [("gzip", gzip(text.as_bytes())), ("zstd", zstd::encode_all(text.as_bytes(), 1).unwrap())] {
        let size = packed.len() - 3;
        let kept = post(encoding, packed[..size].to_vec()).await;
        assert_eq!((kept.len(), kept[0].1), (1, size as u64), "{encoding}");
        assert!(!kept[0].0.contains(secret));
    }
    let kept = post("gzip", text.clone().into_bytes()).await;
    assert_eq!((kept.len(), kept[0].1), (1, text.len() as u64));
    assert!(kept[0].0.contains("EventList") && !kept[0].0.contains(secret));
    let kept = post("gzip", gzip(text.as_bytes())[1..].to_vec()).await;
    assert!(kept.len() == 1 && kept[0].0.starts_with("redacted:"), "{kept:?}");
    let kept = post("zstd", Vec::from([0x28, 0xb5, 0x2f, 0xfd])).await;
    assert_eq!(kept.len(), 1);
    assert!(journal.lines().is_empty());
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let mut encoded = String::new();
    prometheus_client::encoding::text::encode(&mut encoded, &registry).unwrap();
    // Each counts as the events that were found in it and the rest of it.
    assert!(encoded.contains("reason=\"malformed\"}"), "{encoded}");
}

#[tokio::test]
async fn bodies_above_the_limit_are_413() {
    let bench = bench_with(identity(), ReceiverConfig { max_body_bytes: 5000, ..ReceiverConfig::default() }, 1 << 20);
    let text = list(&(0..100).map(item).collect::<Vec<_>>());
    let announced = Request::post("/ingest/webhook/prod").header(header::CONTENT_LENGTH, text.len()).body(Body::from(text.clone())).unwrap();
    check_problem(&bench.send(announced).await, 413, "too-large");
    let parts: Vec<_> = text.into_bytes().chunks(1000).map(|part| Ok::<_, Infallible>(Bytes::copy_from_slice(part))).collect();
    check_problem(&bench.post(Body::from_stream(stream::iter(parts))).await, 413, "too-large");
    assert!(bench.journal.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_over_all_requests() {
    let bench = bench_with(identity(), ReceiverConfig { memory_bytes: 1 << 20, ..ReceiverConfig::default() }, 1 << 20);
    let stuck = || Request::post("/ingest/webhook/prod").body(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())).unwrap();
    let waiting: Vec<_> = (0..4).map(|_| tokio::spawn(bench.router.clone().oneshot(stuck()))).collect();
    tokio::task::yield_now().await;
    check_problem(&bench.post(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())).await, 429, "overloaded");
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap().status(), StatusCode::REQUEST_TIMEOUT);
    }
    check_taken(&bench.post(list(&[item(1)])).await, 1, 0, 0);
}

/// A list of 720 MB made as it is read, with one bad item in the middle.
#[tokio::test]
async fn a_huge_list_with_one_bad_item() {
    let bench = bench();
    bench.journal.set(Mood::Counts);
    const N_ITEMS: u64 = 720_000;
    let filler = "f".repeat(1000 - item(0).len());
    let part = move |number: u64| {
        let start = if number == 0 { r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["# } else { "" };
        let mut text = String::with_capacity(210_000);
        text.push_str(start);
        for number in number..number + 200 {
            if number == N_ITEMS / 2 {
                text.push_str(r#"{"level":"Metadata","auditID":"unclosed,"#);
            } else {
                text.push_str(&item(number).replace("bob", &filler));
            }
            text.push(',');
        }
        if number + 200 == N_ITEMS {
            text.pop();
            text.push_str("]}");
        }
        Ok::<_, Infallible>(Bytes::from(text))
    };
    let body = Body::from_stream(stream::iter((0..N_ITEMS).step_by(200).map(part)));
    check_taken(&bench.post(body).await, N_ITEMS - 1, 0, 1);
    assert_eq!(bench.quarantined().len(), 1);
    assert!(bench.journal.0.lock().unwrap().largest_batch < 6 << 20);
}
