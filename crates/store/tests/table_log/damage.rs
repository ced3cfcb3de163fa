//! Logs that something happened to: the error names the file, and nothing is deleted or made anew.

use std::sync::Arc;

use decklog_store::table::log::{TableError, TableLog};
use object_store::ObjectStore;

use crate::support::{columns, commit_name, delete, memory, now, open, place_of, put, read, write};

const CHECKPOINT: &str = "_delta_log/00000000000000000050.checkpoint.parquet";

/// A table of 52 commits with a checkpoint at 50.
fn table() -> Arc<dyn ObjectStore> {
    let store = memory();
    let mut log = open(&place_of(&store));
    for seq in 1..=52 {
        log.commit(&write(&format!("{seq:02}"), Some(("journal", seq)))).unwrap();
    }
    assert!(log.upkeep_error().is_none());
    store
}

fn refused(store: &Arc<dyn ObjectStore>) -> TableError {
    let files = |store: &Arc<dyn ObjectStore>| {
        use futures_util::TryStreamExt;
        crate::support::run(store.list(None).map_ok(|entry| (entry.location, entry.size)).try_collect::<Vec<_>>()).unwrap()
    };
    let before = files(store);
    let error = TableLog::open(&place_of(store), &columns(), "events", now()).unwrap_err();
    assert!(TableLog::open_existing(&place_of(store)).is_err());
    assert_eq!(files(store), before, "nothing was deleted or made");
    error
}

#[track_caller]
fn check_damaged(path: &str, bytes: &[u8], problem: &str) {
    let store = table();
    put(&store, path, bytes);
    let error = refused(&store);
    let TableError::Damaged { path: named, problem: told } = &error else { panic!("{error:?}") };
    assert_eq!(named, path);
    assert!(told.contains(problem), "`{told}` lacks `{problem}`");
}

#[test]
fn a_damaged_commit_is_named() {
    let path = commit_name(51);
    check_damaged(&path, b"", "it is empty");
    check_damaged(&path, b"{\"commitInfo\":{}}\n{\"add\":{\"path\":\"day=", "line 2");
    check_damaged(&path, b"\0\0\0\0", "line 1");
    check_damaged(
        &path,
        b"{\"add\":{\"path\":\"day=2026-11-20/a\",\"partitionValues\":{},\"size\":1,\"modificationTime\":0,\"dataChange\":true}}",
        "without a day",
    );
    check_damaged(&path, b"{\"remove\":{\"path\":\"s3://other/a\",\"dataChange\":true}}", "no path in the table");
}

#[test]
fn a_damaged_checkpoint_is_named() {
    check_damaged(CHECKPOINT, b"", "");
    check_damaged(CHECKPOINT, b"PAR1 and then nothing", "");
}

#[test]
fn a_checkpoint_cut_short_is_named() {
    let store = table();
    let bytes = crate::support::run(async { object_store::ObjectStoreExt::get(store.as_ref(), &CHECKPOINT.into()).await.unwrap().bytes().await.unwrap() });
    for length in [bytes.len() / 2, bytes.len() - 1] {
        put(&store, CHECKPOINT, &bytes[..length]);
        assert!(matches!(refused(&store), TableError::Damaged { path, .. } if path == CHECKPOINT));
    }
    // A page in the middle that is no page any more.
    let mut torn = bytes.to_vec();
    torn[4..64].fill(0xFF);
    put(&store, CHECKPOINT, &torn);
    assert!(matches!(refused(&store), TableError::Damaged { path, .. } if path == CHECKPOINT));
}

#[test]
fn a_missing_checkpoint_and_a_missing_commit_are_named() {
    let store = table();
    delete(&store, CHECKPOINT);
    assert!(matches!(refused(&store), TableError::Missing { path } if path == CHECKPOINT));
    let store = table();
    delete(&store, &commit_name(51));
    assert!(matches!(refused(&store), TableError::Missing { path } if path == commit_name(51)));
}

#[test]
fn a_hint_that_is_damaged_or_gone_is_done_without() {
    for hint in [&b""[..], b"{\"version\":", b"[]"] {
        let store = table();
        put(&store, "_delta_log/_last_checkpoint", hint);
        assert_eq!(open(&place_of(&store)).snapshot().files.len(), 52);
    }
    let store = table();
    delete(&store, "_delta_log/_last_checkpoint");
    let log = open(&place_of(&store));
    assert_eq!((log.snapshot().files.len(), log.checkpoint()), (52, Some(50)));
}

#[test]
fn other_files_without_a_log_are_no_place_for_a_new_table() {
    let store = memory();
    put(&store, "day=2026-11-20/a.parquet", b"x");
    let error = TableLog::open(&place_of(&store), &columns(), "events", now()).unwrap_err();
    assert!(matches!(&error, TableError::NotEmpty { path } if path == "day=2026-11-20/a.parquet"), "{error}");
    assert!(TableLog::open_existing(&place_of(&store)).unwrap().is_none());
}

#[test]
fn a_commit_without_a_protocol_is_no_beginning() {
    let store = memory();
    put(&store, &commit_name(0), b"{\"commitInfo\":{}}");
    assert!(matches!(refused(&store), TableError::Damaged { path, .. } if path == commit_name(0)));
}

#[test]
fn actions_of_other_writers_that_are_not_known_are_ignored() {
    let store = table();
    let known = read(&store, &commit_name(52));
    put(&store, &commit_name(52), format!("{{\"somethingNew\":{{\"a\":[1]}}}}\n{known}").as_bytes());
    assert_eq!(open(&place_of(&store)).snapshot().files.len(), 52);
}
