//! Pauses, answers and bodies, and a receiver on the loopback interface.

use std::sync::atomic::{AtomicUsize, Ordering};

use decklog_audit::Event;
use decklog_audit::backend::Bodies;
use decklog_audit::event::write_event_list;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn line(id: &str) -> Line {
    let event = Event { audit_id: Some(id.to_owned().into()), ..Event::default() };
    Line::json(&Emitted::new(&event, Bodies::default()))
}

#[test]
fn pauses_grow_by_half_and_stretch_by_a_fifth_at_most() {
    let backoff = Backoff { initial: Duration::from_secs(10) };
    let pauses: Vec<f64> = (1..=4).map(|n_failed| backoff.pause(n_failed, 0).unwrap().as_secs_f64()).collect();
    assert_eq!(pauses, [10.0, 15.0, 22.5, 33.75]);
    assert!(backoff.pause(1, 1023).unwrap() < Duration::from_secs(12));
    assert_eq!(backoff.pause(5, 0), None);
}

#[test]
fn answers_mean_what_they_mean_to_kube_apiserver() {
    let with = |name: header::HeaderName, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
    let of = |code, headers: HeaderMap| Verdict::of(StatusCode::from_u16(code).unwrap(), &headers);
    for code in [200, 201, 204, 206] {
        assert_eq!(of(code, HeaderMap::new()), Verdict::Delivered);
    }
    for code in [207, 304, 400, 403, 404, 429, 500, 503] {
        assert!(matches!(of(code, HeaderMap::new()), Verdict::Failed(_)), "{code}");
    }
    assert_eq!(of(429, with(header::RETRY_AFTER, "2")), Verdict::Again(Duration::from_secs(2)));
    assert_eq!(of(503, with(header::RETRY_AFTER, "2")), Verdict::Again(Duration::from_secs(2)));
    assert!(matches!(of(403, with(header::RETRY_AFTER, "2")), Verdict::Failed(_)));
    assert_eq!(of(302, with(header::LOCATION, "/x")), Verdict::Elsewhere(Method::GET, "/x".to_owned()));
    assert_eq!(of(307, with(header::LOCATION, "/x")), Verdict::Elsewhere(Method::POST, "/x".to_owned()));
}

#[test]
fn a_body_of_lines_is_the_list_of_their_events() {
    let events = [Event { audit_id: Some("<a>".into()), ..Event::default() }, Event { audit_id: Some("b".into()), ..Event::default() }];
    let lines: Vec<Line> = events.iter().map(|event| Line::json(&Emitted::new(event, Bodies::default()))).collect();
    let mut want = Vec::new();
    write_event_list(&events, &mut want).unwrap();
    assert_eq!(event_list(&lines).unwrap(), want);
    assert_eq!(event_list(&[lines[0].clone(), Line::Unencodable(Bytes::new())]), None);
}

/// Answers each request with what `answers` gives for its number; keeps heads and bodies.
async fn receiver(answers: fn(usize) -> &'static str) -> (String, Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/audit/hook/?x=1", listener.local_addr().unwrap());
    let (kept, count) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (keep, number) = (kept.clone(), count.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (keep, number) = (keep.clone(), number.clone());
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                loop {
                    while !bytes.ends_with(b"]}\n") {
                        let mut chunk = [0; 4096];
                        match stream.read(&mut chunk).await {
                            Ok(0) | Err(_) => return,
                            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                        }
                    }
                    keep.lock().unwrap().push(String::from_utf8(std::mem::take(&mut bytes)).unwrap());
                    let answer = answers(number.fetch_add(1, Ordering::SeqCst));
                    if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, kept, count)
}

async fn backend(url: &str, initial: Duration, compat: Compat) -> (WebhookBackend, PluginErrors) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let user = "users: [{name: u, user: {token: secret}}]";
    std::fs::write(
        &path,
        format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{server: '{url}'}}}}]\n{user}\n"
        ),
    )
    .unwrap();
    let errors = PluginErrors::default();
    (WebhookBackend::open(&path, initial, compat, errors.clone(), Handle::current()).unwrap(), errors)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const ERROR: &str = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_batch_is_one_post_without_a_credential_over_clear_http() {
    let (url, kept, _) = receiver(|_| OK).await;
    let (backend, errors) = backend(&url, Duration::from_millis(1), Compat::Mended).await;
    assert_eq!(backend.carry(vec![line("a"), line("b")]).wait().await, Processed::Stored);
    let request = kept.lock().unwrap()[0].to_ascii_lowercase();
    assert!(request.starts_with("post /audit/hook?timeout=30s http/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json\r\n") && !request.contains("authorization"), "{request}");
    assert_eq!(errors.lost(Plugin::Webhook), 0);
}

#[tokio::test]
async fn five_tries_then_the_batch_is_lost_and_counted() {
    let (url, kept, count) = receiver(|_| ERROR).await;
    let (backend, errors) = backend(&url, Duration::from_millis(2), Compat::Mended).await;
    assert_eq!(backend.carry(vec![line("a"), line("b")]).wait().await, Processed::Failed);
    assert_eq!((count.load(Ordering::SeqCst), errors.lost(Plugin::Webhook)), (5, 2));
    assert!(kept.lock().unwrap().windows(2).all(|pair| pair[0].split("\r\n\r\n").nth(1) == pair[1].split("\r\n\r\n").nth(1)));
}

#[tokio::test]
async fn a_receiver_that_comes_back_in_time_loses_nothing() {
    let (url, _, count) = receiver(|n| if n < 3 { ["", ERROR, "HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n"][n] } else { OK }).await;
    let (backend, errors) = backend(&url, Duration::from_millis(2), Compat::Mended).await;
    assert_eq!(backend.carry(vec![line("a")]).wait().await, Processed::Stored);
    backend.stop().await;
    assert_eq!((count.load(Ordering::SeqCst), errors.lost(Plugin::Webhook)), (4, 0));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_in_compat_a_loss_that_looks_delivered() {
    let moved = |n: usize| if n.is_multiple_of(2) { "HTTP/1.1 302 X\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n" } else { OK };
    let (url, _, _) = receiver(moved).await;
    let (mended, errors) = backend(&url, Duration::from_millis(1), Compat::Mended).await;
    assert_eq!(mended.carry(vec![line("a")]).wait().await, Processed::Stored, "the next try is answered with 200");
    assert_eq!(errors.lost(Plugin::Webhook), 0);
    let (url, _, _) = receiver(|_| "HTTP/1.1 302 X\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n").await;
    let (mended, errors) = backend(&url, Duration::from_millis(1), Compat::Mended).await;
    assert_eq!(mended.carry(vec![line("a")]).wait().await, Processed::Failed);
    assert_eq!(errors.lost(Plugin::Webhook), 1);
}

#[tokio::test]
async fn in_compat_one_event_takes_its_batch_along() {
    let (url, kept, _) = receiver(|_| OK).await;
    let (backend, errors) = backend(&url, Duration::from_millis(1), Compat::V1_36).await;
    assert_eq!(backend.carry(vec![line("a"), Line::Unencodable(Bytes::from("x")), line("b")]).wait().await, Processed::Failed);
    assert_eq!((kept.lock().unwrap().len(), errors.lost(Plugin::Webhook)), (0, 3));
}

proptest! {
    #[test]
    fn no_answer_panics(code in 100_u16..600, location in ".{0,40}", retry in "[0-9a-z -]{0,25}") {
        let headers = HeaderMap::from_iter([(header::LOCATION, location), (header::RETRY_AFTER, retry)].into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?))));
        let uri: Uri = "http://h:1/p".parse().unwrap();
        if let Verdict::Elsewhere(_, location) = Verdict::of(StatusCode::from_u16(code).unwrap(), &headers) {
            let _ = elsewhere(&uri, &location);
        }
    }
}
