//! What the tests share: columns, changes, places, and deltalake-core as a second reader.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use decklog_audit::Timestamp;
use decklog_store::table::log::{NewFile, Operation, TableChange, TableLog, day_directory};
use decklog_store::table::place::TablePlace;
use decklog_store::table::snapshot::{DataFile, TableSnapshot};
use deltalake_core::DeltaTable;
use deltalake_core::logstore::{StorageConfig, default_logstore};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

/// 2026-11-20.
pub(crate) const DAY: i32 = 20_777;

/// Noon of [`DAY`].
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros((i64::from(DAY) * 86_400 + 43_200) * 1_000_000)
}

pub(crate) fn columns() -> Schema {
    Schema::new(vec![
        Field::new("seq", DataType::Int64, false),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("verb", DataType::Utf8, true),
    ])
}

pub(crate) fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

pub(crate) fn place_of(store: &Arc<dyn ObjectStore>) -> TablePlace {
    TablePlace::in_store(Url::parse("memory:///").unwrap(), Arc::clone(store))
}

pub(crate) fn open(place: &TablePlace) -> TableLog {
    TableLog::open(place, &columns(), "events", now()).unwrap()
}

pub(crate) fn path(name: &str) -> String {
    format!("{}/{name}.parquet", day_directory(DAY))
}

pub(crate) fn file(name: &str) -> NewFile {
    let stats_json = r#"{"numRecords":2,"minValues":{"seq":1,"time":"2026-11-20T12:00:00.000Z","verb":"get"},"maxValues":{"seq":2,"time":"2026-11-20T12:00:01.000Z","verb":"list"},"nullCount":{"seq":0,"time":0,"verb":0}}"#;
    NewFile { path: path(name), day: DAY, size: 10, n_rows: 2, stats_json: stats_json.to_owned() }
}

pub(crate) fn write(name: &str, transaction: Option<(&str, i64)>) -> TableChange {
    TableChange {
        operation: Operation::Write,
        adds: vec![file(name)],
        removes: Vec::new(),
        transaction: transaction.map(|(application, version)| (application.to_owned(), version)),
        lost: Vec::new(),
        at: now(),
    }
}

/// Puts another file in the place of the named ones.
pub(crate) fn compact(snapshot: &TableSnapshot, from: &[&str], to: &str) -> TableChange {
    TableChange { operation: Operation::Compaction, adds: vec![file(to)], removes: named(snapshot, from), transaction: None, lost: Vec::new(), at: now() }
}

pub(crate) fn retire(snapshot: &TableSnapshot, names: &[&str]) -> TableChange {
    TableChange { operation: Operation::Retention, adds: Vec::new(), removes: named(snapshot, names), transaction: None, lost: Vec::new(), at: now() }
}

fn named(snapshot: &TableSnapshot, names: &[&str]) -> Vec<Arc<DataFile>> {
    let paths = names.iter().map(|name| path(name)).collect::<Vec<_>>();
    snapshot.files.iter().filter(|file| paths.contains(&file.path)).cloned().collect()
}

/// The names of a snapshot's files.
pub(crate) fn names(snapshot: &TableSnapshot) -> Vec<String> {
    snapshot.files.iter().map(|file| short(&file.path)).collect()
}

fn short(path: &str) -> String {
    path.rsplit('/').next().unwrap().trim_end_matches(".parquet").to_owned()
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(work)
}

/// The table as deltalake-core reads it: its version and its files.
pub(crate) fn second_reader(store: &Arc<dyn ObjectStore>) -> (u64, BTreeSet<String>) {
    run(async {
        let root = Url::parse("memory:///").unwrap();
        let log = default_logstore(Arc::clone(store), Arc::clone(store), &root, &StorageConfig::default());
        let mut table = DeltaTable::new(log);
        table.load().await.unwrap();
        let files = table.get_file_uris().unwrap().map(|uri| short(&uri)).collect();
        (table.version().unwrap(), files)
    })
}

/// That ours and deltalake-core read the same table: these files.
#[track_caller]
pub(crate) fn assert_holds(store: &Arc<dyn ObjectStore>, expected: &[&str]) {
    let ours = TableLog::open_existing(&place_of(store)).unwrap().unwrap().snapshot();
    assert_eq!(names(&ours), expected);
    let (version, theirs) = second_reader(store);
    assert_eq!((version, theirs), (ours.version, expected.iter().map(|name| (*name).to_owned()).collect()));
}

pub(crate) fn read(store: &Arc<dyn ObjectStore>, path: &str) -> String {
    let bytes = run(async { store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap() });
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn put(store: &Arc<dyn ObjectStore>, path: &str, bytes: &[u8]) {
    run(store.put(&Path::from(path), bytes.to_vec().into())).unwrap();
}

pub(crate) fn delete(store: &Arc<dyn ObjectStore>, path: &str) {
    run(store.delete(&Path::from(path))).unwrap();
}

pub(crate) fn commit_name(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}
