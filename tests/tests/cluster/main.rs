//! A real kube-apiserver posts its webhook to decklog, which tails its log file at the same time: the same event by two
//! ways is one event, and what is stored is the log, byte for byte. And `kubectl decklog`, in [`kubectl`].
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

mod kubectl;

use std::time::Duration;

use decklog_tests::binary::{ServeCommand, Server, free_port, text};
use decklog_tests::lab::{Cluster, ClusterConfig};
use decklog_tests::{short_or_soak, shown, wait};

#[test]
fn webhook_and_tail_together_are_the_log_at_metadata() {
    webhook_and_tail_together_are_the_log("b-metadata.yaml");
}

#[test]
fn webhook_and_tail_together_are_the_log_at_request_response() {
    webhook_and_tail_together_are_the_log("a-all-rr.yaml");
}

fn webhook_and_tail_together_are_the_log(policy: &str) {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/ingest/webhook/lab");
    let mut config = ClusterConfig { folder: &folder.path().join("cluster"), policy, webhook_url: Some(&url), flags: &[] };
    let flags = ["--audit-webhook-batch-max-wait=2s"];
    config.flags = &flags;
    let audit_log = config.folder.join("audit.log");
    let data_dir = folder.path().join("data");
    let arguments = ["--tail", text(&audit_log), "--redact", "off"];
    let server = Server::start_on(&ServeCommand { data_dir: &data_dir, port, arguments: &arguments });

    let mut cluster = Cluster::up(&config);
    cluster.traffic(short_or_soak("traffic.sh", "traffic-full.sh"));
    cluster.down();

    let mut logged = cluster.logged_lines();
    let mut stored = wait::until("everything logged to be stored", Duration::from_secs(60), || {
        let stored = server.stored_lines();
        (stored.len() >= logged.len()).then_some(stored)
    });
    logged.sort();
    stored.sort();
    assert_eq!(stored.len(), logged.len(), "distinct events and lines of the log");
    for (stored, logged) in stored.iter().zip(&logged) {
        assert_eq!(String::from_utf8_lossy(stored), String::from_utf8_lossy(logged));
    }
    let n_received = server.metric("decklog_source_received_events_total");
    let n_duplicates = server.metric("decklog_journal_duplicate_events_total");
    assert!(n_duplicates > 0.0, "webhook and tail should have brought the same events");
    assert!(server.stop().success());
    shown(&format!(
        "{policy}: {} lines logged, {n_received} events received by two ways, {n_duplicates} of them again, {} stored, byte for byte the log",
        logged.len(),
        stored.len()
    ));
}
