//! `kill -9` of the real binary under load, again and again: an event that was acknowledged is there exactly once, one
//! that was not is there at most once after it was sent again, and a tailed file loses and repeats no line.
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use decklog_tests::binary::{ServeCommand, Server, free_port, text};
use decklog_tests::http::Connection;
use decklog_tests::{logs, short_or_soak, shown, wait};

const PATIENCE: Duration = Duration::from_secs(60);
const N_SENDERS: u64 = 4;
const BATCH: u64 = 20;
/// From the start of the process to `/readyz`: kube-apiserver's retries bridge far more, readers should not notice.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// What is known of a batch when its sender has done with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A 200 came.
    Acknowledged,
    /// The connection broke, and it was not sent again.
    Unknown,
}

#[test]
fn every_acknowledged_event_is_there_exactly_once() {
    let n_kills: u64 = short_or_soak(20, 1000);
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let tailed = folder.path().join("audit.log");
    File::create(&tailed).unwrap();
    let port = free_port();
    let arguments = ["--tail", text(&tailed), "--redact", "off"];
    let serve = ServeCommand { data_dir: &data_dir, port, arguments: &arguments };
    let (n_acknowledged, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut slowest_start = Duration::ZERO;

    let (fates, n_tailed, server) = std::thread::scope(|scope| {
        let mut server = Server::start_on(&serve);
        let senders: Vec<_> = (0..N_SENDERS)
            .map(|sender| {
                scope.spawn({
                    let (n_acknowledged, done) = (&n_acknowledged, &done);
                    move || send_until(sender, port, n_acknowledged, done)
                })
            })
            .collect();
        let writer = scope.spawn(|| write_until(&tailed, &done));
        for _ in 0..n_kills {
            let target = n_acknowledged.load(Ordering::Relaxed) + 1 + random.below(8);
            wait::until("acknowledgements", PATIENCE, || (n_acknowledged.load(Ordering::Relaxed) >= target).then_some(()));
            wait::outage(Duration::from_micros(random.below(5_000)));
            server.kill();
            let started = Instant::now();
            server = Server::start_on(&serve);
            slowest_start = slowest_start.max(started.elapsed());
        }
        done.store(true, Ordering::Relaxed);
        let fates: Vec<(u64, Fate)> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        (fates, writer.join().unwrap(), server)
    });

    let mut times_stored: HashMap<String, u64> = HashMap::new();
    wait::until("the tailed lines to be stored", PATIENCE, || {
        times_stored.clear();
        for line in server.stored_lines() {
            *times_stored.entry(String::from_utf8(line).unwrap()).or_default() += 1;
        }
        (times_stored.keys().filter(|line| line.contains("-9000")).count() as u64 >= n_tailed).then_some(())
    });
    let (mut n_acknowledged_events, mut n_unknown, mut n_unknown_stored) = (0, 0, 0);
    for (first, fate) in fates {
        for number in first..first + BATCH {
            let times = times_stored.remove(&logs::made_event(number)).unwrap_or(0);
            match fate {
                Fate::Acknowledged => {
                    n_acknowledged_events += 1;
                    assert_eq!(times, 1, "event {number} was acknowledged and is stored {times} times");
                }
                Fate::Unknown => {
                    n_unknown += 1;
                    n_unknown_stored += times;
                    assert!(times <= 1, "event {number} was sent once, never acknowledged, and is stored {times} times");
                }
            }
        }
    }
    for number in 0..n_tailed {
        let times = times_stored.remove(&tailed_event(number)).unwrap_or(0);
        assert_eq!(times, 1, "line {number} of the tailed file is stored {times} times");
    }
    assert!(times_stored.is_empty(), "{} lines are stored that nobody sent", times_stored.len());
    assert!(slowest_start <= READY_WITHIN, "one start took {slowest_start:?} to be ready");
    assert!(server.stop().success());
    shown(&format!(
        "{n_kills} kills: {n_acknowledged_events} acknowledged events there exactly once; of {n_unknown} never acknowledged {n_unknown_stored} there, none twice; \
         {n_tailed} tailed lines there exactly once; slowest start {} ms",
        slowest_start.as_millis()
    ));
}

/// Sends batches until `done`. What breaks off is sent again if its number is even, as kube-apiserver does, and given
/// up if it is odd, as it does after its last attempt.
fn send_until(sender: u64, port: u16, n_acknowledged: &AtomicU64, done: &AtomicBool) -> Vec<(u64, Fate)> {
    let mut fates = Vec::new();
    let mut connection = None;
    for batch in 0u64.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let first = sender * 1_000_000_000 + batch * BATCH;
        let lines: Vec<String> = (first..first + BATCH).map(logs::made_event).collect();
        let body = logs::event_list(&lines);
        let fate = loop {
            let open = connection.get_or_insert_with(|| wait::until("a connection", PATIENCE, || Connection::open(port, PATIENCE).ok()));
            match open.post("/ingest/webhook/lab", &body) {
                Ok(answer) if answer.status == 200 => break Fate::Acknowledged,
                Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{} {}", answer.status, answer.text()),
                Err(_) => {
                    connection = None;
                    if batch % 2 == 1 {
                        break Fate::Unknown;
                    }
                }
            }
        };
        if fate == Fate::Acknowledged {
            n_acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        fates.push((first, fate));
    }
    fates
}

/// Appends lines to the tailed file until `done`; gives their number.
fn write_until(path: &Path, done: &AtomicBool) -> u64 {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    let mut n_lines = 0;
    while !done.load(Ordering::Relaxed) {
        for _ in 0..10 {
            file.write_all((tailed_event(n_lines) + "\n").as_bytes()).unwrap();
            n_lines += 1;
        }
        wait::outage(Duration::from_millis(5));
    }
    n_lines
}

fn tailed_event(number: u64) -> String {
    logs::made_event(900_000_000_000 + number)
}

/// SplitMix64: the same kills in every run, as far as the scheduler allows.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}
