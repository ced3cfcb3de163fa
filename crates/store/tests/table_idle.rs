//! A table that has nothing to do. In a process of its own: what its threads take is measured.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use decklog_audit::journal::{Batch, Journal, Origin};
use decklog_audit::search::Stop;
use decklog_store::table::{Table, TableConfig, TablePlace};
use decklog_store::testing::wait;
use decklog_store::{LocalJournal, TableMetrics};
use object_store::memory::InMemory;

/// Processor time that the table's threads have taken, in nanoseconds.
fn taken() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let of_table = tasks.filter(|task| std::fs::read_to_string(task.join("comm")).unwrap().starts_with("table"));
    of_table.map(|task| std::fs::read_to_string(task.join("schedstat")).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn it_waits_instead_of_looking_again_and_again() {
    let journal = Arc::new(LocalJournal::in_memory().unwrap());
    let place = TablePlace::in_store("memory:///table/".parse().unwrap(), Arc::new(InMemory::new()));
    let table = Table::open(&place, &journal, TableConfig::default(), TableMetrics::default()).unwrap();
    let mut batch = Batch::new(Origin::default(), decklog_audit::Timestamp::default());
    batch.push_mark(b"{}");
    wait(journal.append(batch)).unwrap();
    table.flush(&Stop::default()).unwrap();
    let (before, started) = (taken(), Instant::now());
    wait(journal.wait_beyond(u64::MAX - 1, Duration::from_millis(600)));
    let share = (taken() - before) as f64 / started.elapsed().as_nanos() as f64;
    assert!(share < 0.1, "{share} of a core for nothing");
}
