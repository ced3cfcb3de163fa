//! The recorded table of webhook answers (`tests/data/webhook/summary.md`), run again against decklog: down, stopped in
//! the middle, and out of disk. kube-apiserver gives up on a batch after 81 to 97 s; until then nothing may be lost, and
//! with the log tailed beside the webhook nothing is ever lost.
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

mod small_disk;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use decklog_tests::binary::{ServeCommand, Server, free_port, text};
use decklog_tests::http::{self, Connection};
use decklog_tests::lab::{Cluster, ClusterConfig};
use decklog_tests::{logs, short_or_soak, shown, wait};
use small_disk::SmallDisk;

/// Longer than the gap between two attempts of one batch.
const NEXT_ATTEMPT: Duration = Duration::from_secs(60);

#[test]
fn nothing_is_lost_while_decklog_is_back_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&folder.path().join("disk"), 192);
    let data_dir = disk.folder().join("data");
    let port = free_port();
    let serve = ServeCommand { data_dir: &data_dir, port, arguments: &["--redact", "off"] };
    let mut server = Server::start_on(&serve);
    let url = format!("http://127.0.0.1:{port}/ingest/webhook/lab");
    let flags = ["--audit-webhook-batch-max-wait=1s"];
    let mut cluster = Cluster::up(&ClusterConfig { folder: &folder.path().join("cluster"), policy: "b-metadata.yaml", webhook_url: Some(&url), flags: &flags });

    for seconds in short_or_soak(&[20][..], &[20, 50, 75]) {
        let before = phase(&cluster, &data_dir, "up");
        let began = Instant::now();
        server.kill();
        cluster.traffic("traffic.sh");
        wait_out(began, *seconds);
        server = Server::start_on(&serve);
        report(&cluster, &data_dir, &format!("killed, back after {seconds} s"), before);
    }
    for seconds in short_or_soak(&[35][..], &[35, 75]) {
        let before = phase(&cluster, &data_dir, "up");
        let began = Instant::now();
        server.pause();
        cluster.traffic("traffic.sh");
        wait_out(began, *seconds);
        server.resume();
        report(&cluster, &data_dir, &format!("stopped for {seconds} s, as if the machine hung"), before);
    }
    for seconds in short_or_soak(&[15][..], &[15, 75, 200]) {
        let before = phase(&cluster, &data_dir, "up");
        let began = Instant::now();
        disk.fill();
        cluster.traffic("traffic.sh");
        wait_out(began, *seconds);
        let refused = server.metric("decklog_journal_writable");
        assert!(refused < 1.0, "decklog says that it can write to a full disk");
        disk.free();
        report(&cluster, &data_dir, &format!("disk full for {seconds} s, refused with Retry-After"), before);
    }

    // While it shuts down kube-apiserver still logs a few events that its webhook, closed before, never sends.
    let n_logged = phase(&cluster, &data_dir, "up");
    cluster.down();
    let logged: BTreeSet<Vec<u8>> = cluster.logged_lines().into_iter().collect();
    let stored = server.stored_lines();
    assert!(stored.len() >= n_logged, "{} events stored of {n_logged} logged", stored.len());
    assert!(stored.iter().all(|line| logged.contains(line)), "something is stored that was not logged");
    assert!(server.stop().success());
}

#[test]
fn with_the_log_tailed_beside_it_nothing_is_ever_lost() {
    // An outage longer than kube-apiserver's five attempts: in the short form the attempts are made to end sooner.
    let (outage, backoff) = short_or_soak((Duration::from_secs(30), "1s"), (Duration::from_secs(200), "10s"));
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let port = free_port();
    let cluster_folder = folder.path().join("cluster");
    let audit_log = cluster_folder.join("audit.log");
    let arguments = ["--redact", "off", "--tail", text(&audit_log)];
    let serve = ServeCommand { data_dir: &data_dir, port, arguments: &arguments };
    let server = Server::start_on(&serve);
    let url = format!("http://127.0.0.1:{port}/ingest/webhook/lab");
    let flags = ["--audit-webhook-batch-max-wait=1s".to_owned(), format!("--audit-webhook-initial-backoff={backoff}")];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut cluster = Cluster::up(&ClusterConfig { folder: &cluster_folder, policy: "a-all-rr.yaml", webhook_url: Some(&url), flags: &flags });

    server.kill();
    cluster.traffic("traffic.sh");
    wait::outage(outage);
    let n_given_up = cluster.metric("apiserver_audit_error_total{plugin=\"webhook\"}");
    assert!(n_given_up > 0.0, "the outage was too short: kube-apiserver's webhook has given nothing up");
    let server = Server::start_on(&serve);
    cluster.traffic("traffic.sh");
    cluster.down();

    let logged = cluster.logged_lines();
    wait_until_stored(&logged, &data_dir);
    let stored = server.stored_lines();
    assert_eq!(stored.len(), logged.len(), "events stored and events logged");
    assert!(server.stop().success());
    shown(&format!("down for {} s with the log tailed: webhook gave up {n_given_up} events, {} logged, 0 lost", outage.as_secs(), logged.len()));
}

#[test]
fn a_full_disk_is_told_and_gets_over() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&folder.path().join("disk"), 192);
    let server = Server::start(&disk.folder().join("data"), &["--redact", "off"]);
    let mut connection = Connection::open(server.port, NEXT_ATTEMPT).unwrap();
    let mut post = |number: u64| connection.post("/ingest/webhook/lab", &logs::event_list(&[logs::made_event(number)])).unwrap();
    assert_eq!(post(0).status, 200);
    disk.fill();
    // What is left of a preallocated segment or reserve may still be used: refusal comes last.
    let mut number = 1;
    let refused = wait::until("a refusal", NEXT_ATTEMPT, || {
        let answer = post(number);
        if answer.status == 200 {
            number += 1;
            return None;
        }
        Some(answer)
    });
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")), "{}", refused.text());
    let readiness = http::get(server.port, "/readyz?verbose").unwrap();
    assert_ne!(readiness.status, 200, "{}", readiness.text());
    disk.free();
    wait::until("the same batch to be taken", NEXT_ATTEMPT, || (post(number).status == 200).then_some(()));
    let expected: Vec<Vec<u8>> = (0..=number).map(|number| logs::made_event(number).into_bytes()).collect();
    assert_eq!(server.stored_lines().len(), expected.len());
    assert_eq!(http::get(server.port, "/readyz").unwrap().status, 200);
    assert!(server.stop().success());
}

/// Lets an outage that `began` last `seconds` altogether, the traffic in it included: what kube-apiserver bridges is
/// counted from its first attempt.
fn wait_out(began: Instant, seconds: u64) {
    wait::outage(Duration::from_secs(seconds).saturating_sub(began.elapsed()));
}

/// Waits until everything logged so far is stored; gives how many lines that are.
fn phase(cluster: &Cluster, data_dir: &Path, what: &str) -> usize {
    let logged = cluster.logged_lines();
    assert!(!logged.is_empty(), "nothing logged in phase {what}");
    wait_until_stored(&logged, data_dir);
    logged.len()
}

fn report(cluster: &Cluster, data_dir: &Path, what: &str, before: usize) {
    let started = Instant::now();
    let after = phase(cluster, data_dir, what);
    shown(&format!("{what}: {} events in the phase, 0 lost, all there {} s later", after - before, started.elapsed().as_secs()));
}

/// Waits until each of `logged` is stored, exactly once.
fn wait_until_stored(logged: &[Vec<u8>], data_dir: &Path) {
    let deadline = Instant::now() + NEXT_ATTEMPT;
    wait::until("everything logged to be stored", NEXT_ATTEMPT * 2, || {
        let stored = decklog_tests::binary::stored_lines(data_dir);
        let distinct: BTreeSet<&Vec<u8>> = stored.iter().collect();
        assert_eq!(distinct.len(), stored.len(), "an event is stored twice");
        let missing: Vec<&Vec<u8>> = logged.iter().filter(|line| !distinct.contains(line)).collect();
        let Some(first) = missing.first() else { return Some(()) };
        assert!(Instant::now() < deadline, "{} of {} events are lost, such as {}", missing.len(), logged.len(), String::from_utf8_lossy(first));
        None
    });
}
