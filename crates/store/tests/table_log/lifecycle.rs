//! A table's life: made, written to, compacted, aged, vacuumed, by one writer and by several at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use decklog_audit::Timestamp;
use decklog_store::table::log::{CHECKPOINT_INTERVAL, CommitError, TableError, TableLog};
use decklog_store::table::place::TablePlace;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};

use crate::support::{
    DAY, assert_holds, columns, commit_name, compact, delete, file, memory, names, now, open, path, place_of, put, read, retire, run, second_reader, write,
};

fn lines(store: &Arc<dyn ObjectStore>, version: u64) -> Vec<Value> {
    read(store, &commit_name(version)).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_new_table_is_what_every_reader_knows() {
    let store = memory();
    assert!(TableLog::open_existing(&place_of(&store)).unwrap().is_none());
    let log = open(&place_of(&store));
    assert_eq!((log.snapshot().version, log.snapshot().files.len()), (0, 0));
    let lines = lines(&store, 0);
    assert_eq!(lines[1], json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}));
    let metadata = &lines[2]["metaData"];
    assert_eq!(metadata["partitionColumns"], json!(["day"]));
    assert_eq!(metadata["format"], json!({"provider": "parquet", "options": {}}));
    let field = |name: &str, kind: &str, nullable: bool| json!({"name": name, "type": kind, "nullable": nullable, "metadata": {}});
    let fields = [field("seq", "long", false), field("time", "timestamp", false), field("verb", "string", true), field("day", "date", true)];
    let schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
    assert_eq!(schema, json!({"type": "struct", "fields": fields}));
    assert_holds(&store, &[]);
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let place = TablePlace::local(directory.path().join("table"));
    assert!(TableLog::open_existing(&place).unwrap().is_none());
    assert!(!directory.path().join("table").try_exists().unwrap(), "looking makes nothing");
    let mut log = open(&place);
    log.commit(&write("a", Some(("journal", 10)))).unwrap();
    log.commit(&write("b", Some(("journal", 20)))).unwrap();
    let mut reader = TableLog::open_existing(&place).unwrap().unwrap();
    let compacted = log.commit(&compact(&log.snapshot(), &["a", "b"], "ab")).unwrap();
    assert_eq!(*compacted, *open(&place).snapshot());
    assert_eq!(names(&reader.snapshot()), ["a", "b"], "a snapshot stays what it was");
    assert_eq!(*reader.refresh().unwrap(), *compacted);
    let file = &compacted.files[0];
    assert_eq!((file.day, file.size, file.n_rows, file.stats.seq), (DAY, 10, Some(2), Some((1, 2))));
    assert_eq!(file.modified, now());
    assert_holds(log.store(), &["ab"]);
    assert!(matches!(reader.commit(&write("c", None)), Err(CommitError::Table(TableError::Protocol { .. }))), "opened for reading");
}

#[test]
fn it_works_on_a_thread_of_a_runtime_that_may_block_and_can_be_dropped_in_async_code() {
    let store = memory();
    run(async {
        let place = place_of(&store);
        let log = tokio::task::spawn_blocking(move || {
            let mut log = open(&place);
            for seq in 1..=CHECKPOINT_INTERVAL as i64 {
                log.commit(&write(&format!("{seq:02}"), Some(("journal", seq)))).unwrap();
            }
            log
        });
        let log = log.await.unwrap();
        assert_eq!(log.checkpoint(), Some(CHECKPOINT_INTERVAL));
        drop(log);
    });
}

#[test]
fn writers_at_once_lose_and_double_nothing() {
    const N_WRITERS: usize = 8;
    const N_COMMITS: i64 = 10;
    let directory = tempfile::tempdir().unwrap();
    let place = TablePlace::local(directory.path().join("table"));
    let start = Barrier::new(N_WRITERS);
    std::thread::scope(|scope| {
        for writer in 0..N_WRITERS {
            let (place, start) = (&place, &start);
            scope.spawn(move || {
                start.wait();
                let mut log = open(place);
                for seq in 1..=N_COMMITS {
                    log.commit(&write(&format!("{writer}-{seq}"), Some((&format!("journal-{writer}"), seq)))).unwrap();
                }
                assert!(log.upkeep_error().is_none(), "{:?}", log.upkeep_error());
            });
        }
    });
    let log = open(&place);
    let snapshot = log.snapshot();
    let expected = (0..N_WRITERS).flat_map(|writer| (1..=N_COMMITS).map(move |seq| format!("{writer}-{seq}"))).collect::<BTreeSet<_>>();
    assert_eq!(names(&snapshot).into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(snapshot.version, 80);
    assert!((0..N_WRITERS).all(|writer| snapshot.transaction(&format!("journal-{writer}")) == Some(N_COMMITS)));
    assert_eq!(second_reader(log.store()), (80, expected));
}

#[test]
fn of_two_compactions_of_the_same_files_one_is_a_conflict() {
    let store = memory();
    let (mut first, mut second) = (open(&place_of(&store)), open(&place_of(&store)));
    first.commit(&write("a", None)).unwrap();
    second.refresh().unwrap();
    let (one, other) = (compact(&first.snapshot(), &["a"], "one"), compact(&second.snapshot(), &["a"], "other"));
    let retention = retire(&second.snapshot(), &["a"]);
    first.commit(&one).unwrap();
    for change in [&other, &retention] {
        let refused = second.commit(change).unwrap_err();
        assert!(matches!(&refused, CommitError::Conflict { path: named } if *named == path("a")), "{refused}");
    }
    // Rows added meanwhile are no conflict.
    second.commit(&write("b", None)).unwrap();
    first.commit(&compact(&second.snapshot(), &["one"], "two")).unwrap();
    assert_holds(&store, &["b", "two"]);
    let compaction = lines(&store, 2);
    assert!(compaction[1..].iter().all(|line| line["add"]["dataChange"] == json!(false) || line["remove"]["dataChange"] == json!(false)), "{compaction:?}");
}

#[test]
fn a_transaction_the_table_has_is_done() {
    let store = memory();
    let mut log = open(&place_of(&store));
    log.commit(&write("a", Some(("journal", 10)))).unwrap();
    for repeated in [10, 9] {
        assert_eq!(log.commit(&write("again", Some(("journal", repeated)))).unwrap().version, 1);
    }
    assert_eq!(log.commit(&write("b", Some(("other", 1)))).unwrap().version, 2);
    assert_holds(&store, &["a", "b"]);
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let store = memory();
    let mut log = open(&place_of(&store));
    log.commit(&write("a", None)).unwrap();
    assert!(matches!(log.commit(&write("a", None)), Err(CommitError::Duplicate { .. })));
    for bad in ["a.parquet", "day=2026-11-21/a.parquet", "day=2026-11-20/", "day=2026-11-20/../_delta_log/x", "/day=2026-11-20/a", "day=2026-11-20/s3:x"] {
        let mut change = write("b", None);
        change.adds[0].path = bad.to_owned();
        assert!(matches!(log.commit(&change), Err(CommitError::Path { .. })), "{bad}");
    }
    let mut twice = write("b", None);
    twice.adds.push(file("b"));
    assert!(matches!(log.commit(&twice), Err(CommitError::Duplicate { .. })));
    assert_holds(&store, &["a"]);
}

#[test]
fn a_table_of_other_columns_or_of_a_newer_protocol_is_refused_by_name() {
    #[track_caller]
    fn check(columns: &Schema, edit: impl Fn(String) -> String, expected: &str) {
        let store = memory();
        drop(open(&place_of(&store)));
        put(&store, &commit_name(0), edit(read(&store, &commit_name(0))).as_bytes());
        let refused = TableLog::open(&place_of(&store), columns, "events", now()).unwrap_err().to_string();
        assert!(refused.contains(expected), "`{refused}` lacks `{expected}`");
    }
    let more = Schema::new(columns().fields().iter().cloned().chain([Arc::new(Field::new("user", DataType::Utf8, true))]).collect::<Vec<_>>());
    check(&more, |text| text, "it has no column `user`");
    let replace = |from: &'static str, to: &'static str| move |text: String| text.replace(from, to);
    check(&columns(), replace("\"minReaderVersion\":1", "\"minReaderVersion\":3"), "asks for reader version `3`");
    check(&columns(), replace("\"minWriterVersion\":2", "\"minWriterVersion\":7"), "asks for writer version `7`");
    check(&columns(), replace("\"partitionColumns\":[\"day\"]", "\"partitionColumns\":[\"verb\"]"), "partitioned by `verb` instead of `day`");
}

#[test]
fn a_table_that_is_append_only_is_compacted_and_loses_nothing() {
    let store = memory();
    drop(open(&place_of(&store)));
    let text = read(&store, &commit_name(0)).replace("\"configuration\":{", "\"configuration\":{\"delta.appendOnly\":\"true\",");
    put(&store, &commit_name(0), text.as_bytes());
    let mut log = open(&place_of(&store));
    log.commit(&write("a", None)).unwrap();
    log.commit(&compact(&log.snapshot(), &["a"], "b")).unwrap();
    assert!(matches!(log.commit(&retire(&log.snapshot(), &["b"])), Err(CommitError::AppendOnly)));
}

#[test]
fn after_300_commits_opening_begins_at_a_checkpoint() {
    let store = memory();
    let mut log = open(&place_of(&store));
    for seq in 1..=300 {
        log.commit(&write(&format!("{seq:03}"), Some(("journal", seq)))).unwrap();
    }
    log.commit(&compact(&log.snapshot(), &["001", "002"], "000")).unwrap();
    assert!(log.upkeep_error().is_none());
    let expected = log.snapshot();
    // Nothing before the checkpoint is needed any more.
    (0..300).for_each(|version| delete(&store, &commit_name(version)));
    let reopened = open(&place_of(&store));
    assert_eq!(reopened.checkpoint(), Some(300));
    assert_eq!(*reopened.snapshot(), *expected);
    assert_eq!(reopened.snapshot().transaction("journal"), Some(300));
    assert_eq!(second_reader(&store).0, 301);
}

#[test]
fn files_without_readable_stats_are_listed_and_do_not_stop_checkpoints() {
    let store = memory();
    let mut log = open(&place_of(&store));
    let mut change = write("a", None);
    change.adds[0].stats_json = "no stats".to_owned();
    log.commit(&change).unwrap();
    for seq in 2..=50 {
        log.commit(&write(&format!("{seq:02}"), None)).unwrap();
    }
    let upkeep = log.upkeep_error().map(ToString::to_string);
    let snapshot = open(&place_of(&store)).snapshot();
    assert_eq!(snapshot.files.len(), 50);
    let unreadable = snapshot.files.iter().find(|file| file.path == path("a")).unwrap();
    assert_eq!((unreadable.n_rows, unreadable.stats.seq, unreadable.stats.raw()), (None, None, Some("no stats")));
    assert_eq!(upkeep, None);
}

#[test]
fn the_log_forgets_what_a_checkpoint_stands_for_when_it_is_old() {
    let store = memory();
    let mut log = open(&place_of(&store));
    for seq in 1..100 {
        log.commit(&write(&format!("{seq:03}"), None)).unwrap();
    }
    let mut reader = TableLog::open_existing(&place_of(&store)).unwrap().unwrap();
    // The store's clock is the machine's: seen from far ahead of it, everything is old.
    let mut last = write("100", None);
    last.at = Timestamp::from_system(std::time::SystemTime::now() + Duration::from_secs(30 * 86_400));
    log.commit(&last).unwrap();
    assert!(log.upkeep_error().is_none());
    let gone = run(store.head(&Path::from(commit_name(1))));
    assert!(matches!(gone, Err(object_store::Error::NotFound { .. })), "{gone:?}");
    log.commit(&write("101", None)).unwrap();
    assert_eq!(open(&place_of(&store)).snapshot().files.len(), 101);
    assert_eq!(reader.refresh().unwrap().files.len(), 101);
}

#[test]
fn a_reader_that_slept_while_the_log_was_cleaned_up_finds_the_newest_version() {
    let store = memory();
    let mut log = open(&place_of(&store));
    let mut reader = TableLog::open_existing(&place_of(&store)).unwrap().unwrap();
    for seq in 1..=60 {
        log.commit(&write(&format!("{seq:02}"), None)).unwrap();
    }
    (0..50).for_each(|version| delete(&store, &commit_name(version)));
    assert_eq!(*reader.refresh().unwrap(), *log.snapshot());
}

/// The files of a place, other than the log's.
fn data(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    use futures_util::TryStreamExt;
    let paths = run(store.list(None).map_ok(|entry| entry.location.to_string()).try_collect::<Vec<_>>()).unwrap();
    paths.into_iter().filter(|path| !path.starts_with("_delta_log/")).collect()
}

#[test]
fn vacuum_deletes_what_no_version_within_the_grace_needs() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let store = memory();
    let mut log = open(&place_of(&store));
    let written = Timestamp::from_system(std::time::SystemTime::now());
    let after = |hours: i64| Timestamp::from_micros(written.micros() + hours * 3_600_000_000);
    for name in ["live", "removed", "orphan"] {
        put(&store, &path(name), b"0123456789");
    }
    for other in ["_other/kept", ".hidden/kept", "_staging/1-1"] {
        put(&store, other, b"x");
    }
    let (mut live, mut removed) = (write("live", None), write("removed", None));
    (live.at, removed.at) = (written, written);
    log.commit(&live).unwrap();
    log.commit(&removed).unwrap();
    let mut retention = retire(&log.snapshot(), &["removed"]);
    retention.at = after(5);
    log.commit(&retention).unwrap();

    let none = log.vacuum(HOUR * 6, after(5)).unwrap();
    assert_eq!((none.n_files, none.failed.len()), (0, 0));
    let orphans = log.vacuum(HOUR, after(5)).unwrap();
    assert_eq!((orphans.n_files, orphans.n_bytes), (2, 11), "what was never committed, and what was never finished");
    assert_eq!(data(&store), [".hidden/kept", "_other/kept", &path("live"), &path("removed")]);
    let tombstone = log.vacuum(HOUR, after(7)).unwrap();
    assert_eq!((tombstone.n_files, tombstone.n_bytes), (1, 10));
    assert_eq!(data(&store), [".hidden/kept", "_other/kept", &path("live")]);
    assert_holds(&store, &["live"]);
}

#[test]
fn data_files_that_are_gone_are_named() {
    let store = memory();
    let mut log = open(&place_of(&store));
    put(&store, &path("a"), b"x");
    log.commit(&write("a", None)).unwrap();
    log.commit(&write("b", None)).unwrap();
    assert_eq!(log.missing_files().unwrap(), [path("b")]);
}

#[test]
fn vacuum_sees_what_another_writer_committed() {
    let store = memory();
    let (mut ours, mut theirs) = (open(&place_of(&store)), open(&place_of(&store)));
    put(&store, &path("theirs"), b"x");
    theirs.commit(&write("theirs", None)).unwrap();
    let far = Timestamp::from_system(std::time::SystemTime::now() + Duration::from_secs(86_400));
    assert_eq!(ours.vacuum(Duration::ZERO, far).unwrap().n_files, 0);
    assert_eq!(data(&store), [path("theirs")]);
}
