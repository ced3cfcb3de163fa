//! A real journal in front of carriers that fail when told to.

use std::sync::Mutex;

use decklog_store::{JournalConfig, LocalJournal, LocalQuarantine, QuarantineConfig, StartFrom};

use super::*;

/// Fails so often, then keeps what it gets.
struct Flaky {
    failures: Mutex<u32>,
    kept: Mutex<Vec<String>>,
}

impl std::fmt::Display for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("flaky")
    }
}

impl Carrier for Flaky {
    fn line(&self, event: &Emitted<'_>) -> Line {
        Line::json(event)
    }

    fn carry(&self, lines: Vec<Line>) -> Processing {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Processing::Done(Processed::Failed);
        }
        for line in lines {
            let Line::Written(text) = line else { unreachable!("only written lines are in a journal") };
            self.kept.lock().unwrap().push(String::from_utf8(text.to_vec()).unwrap());
        }
        Processing::Done(Processed::Stored)
    }
}

fn open(folder: &std::path::Path, carrier: Arc<Flaky>, mode: Mode) -> (Journaled, Arc<LocalJournal>, PluginErrors) {
    open_truncating(folder, carrier, mode, None)
}

fn open_truncating(
    folder: &std::path::Path,
    carrier: Arc<Flaky>,
    mode: Mode,
    truncate: Option<TruncateConfig>,
) -> (Journaled, Arc<LocalJournal>, PluginErrors) {
    let config = JournalConfig { max_size: Some(0), never_overtaken: vec!["flaky".to_owned()], ..JournalConfig::default() };
    let journal = Arc::new(LocalJournal::open(folder, config).unwrap());
    let reader = journal.reader("flaky", StartFrom::Earliest).unwrap();
    let errors = PluginErrors::default();
    let config = JournaledConfig {
        journal: journal.clone(),
        quarantine: Arc::new(LocalQuarantine::open(folder, QuarantineConfig::default()).unwrap()),
        followers: vec![Follower { carrier, reader: Box::new(reader), truncate }],
        mode,
        errors: errors.clone(),
        now: || Timestamp::from_micros(1_000_000),
    };
    (config.start(&Handle::current()), journal, errors)
}

async fn send(backend: &Journaled, id: &str) -> Processed {
    let event = Event { audit_id: Some(id.to_owned().into()), ..Event::default() };
    let processing = backend.process(&[Emitted::new(&event, Bodies::default())]);
    processing.wait().await
}

fn ids(carrier: &Flaky) -> String {
    let kept = carrier.kept.lock().unwrap();
    kept.iter().filter_map(|line| line.split("\"auditID\":\"").nth(1)?.split('"').next()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_a_backend_does_not_take_comes_again_in_order_and_twice_the_same_is_two() {
    let folder = tempfile::tempdir().unwrap();
    let carrier = Arc::new(Flaky { failures: Mutex::new(3), kept: Mutex::default() });
    let (backend, journal, errors) = open(folder.path(), carrier.clone(), Mode::Blocking);
    assert_eq!(backend.to_string(), "ignoreErrors<journaled<flaky>>");
    for id in ["a", "b", "b", "c"] {
        assert_eq!(send(&backend, id).await, Processed::Stored);
    }
    while ids(&carrier) != "a b b c" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    backend.stop().await;
    assert_eq!(errors.lost(Plugin::Journal), 0);
    tokio::task::spawn_blocking(move || journal.close()).await.unwrap();
}

#[tokio::test]
async fn what_is_left_at_the_end_is_delivered_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let away = Arc::new(Flaky { failures: Mutex::new(u32::MAX), kept: Mutex::default() });
    let (backend, journal, errors) = open(folder.path(), away, Mode::BlockingStrict);
    assert_eq!(send(&backend, "a").await, Processed::Stored, "the journal has it");
    backend.stop().await;
    assert_eq!(send(&backend, "b").await, Processed::Failed);
    assert_eq!(errors.lost(Plugin::Journal), 1, "after the end it is counted");
    drop(backend);
    tokio::task::spawn_blocking(move || journal.close()).await.unwrap();
    let back = Arc::new(Flaky { failures: Mutex::new(0), kept: Mutex::default() });
    let (backend, journal, _) = open(folder.path(), back.clone(), Mode::Batch);
    assert_eq!(send(&backend, "c").await, Processed::Stored);
    while ids(&back) != "a c" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    backend.stop().await;
    tokio::task::spawn_blocking(move || journal.close()).await.unwrap();
}

#[tokio::test]
async fn behind_the_journal_events_are_truncated_too() {
    let folder = tempfile::tempdir().unwrap();
    let carrier = Arc::new(Flaky { failures: Mutex::new(0), kept: Mutex::default() });
    let truncate = Some(TruncateConfig { max_event_size: 400, max_batch_size: 1_000 });
    let (backend, journal, errors) = open_truncating(folder.path(), carrier.clone(), Mode::Blocking, truncate);
    let long = "x".repeat(500);
    let body = format!("{{\"a\":\"{long}\"}}");
    let with_body = Event { level: Some("Request".into()), audit_id: Some("body".into()), ..Event::default() };
    let bodies = Bodies { request: decklog_audit::json::RawJson::parse(&body).ok(), response: None };
    assert_eq!(backend.process(&[Emitted::new(&with_body, bodies)]).wait().await, Processed::Stored);
    assert_eq!(send(&backend, &long).await, Processed::Stored);
    assert_eq!(send(&backend, "last").await, Processed::Stored);
    while ids(&carrier) != "body last" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(carrier.kept.lock().unwrap()[0].contains(r#""annotations":{"audit.k8s.io/truncated":"true"}"#));
    assert_eq!(errors.lost(Plugin::Truncate), 1);
    backend.stop().await;
    tokio::task::spawn_blocking(move || journal.close()).await.unwrap();
}
