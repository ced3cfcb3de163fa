//! What the threads of one table share: its log, its files, and what they count.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use decklog_audit::Timestamp;
use decklog_audit::journal::{Batch, Journal};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::WriteError;
use super::config::TableConfig;
use super::file::FileWriter;
use super::log::{NewFile, TableChange, TableLog, day_directory};
use super::schema::stored_schema;
use super::snapshot::TableSnapshot;
use super::stats::stats_json;
use crate::clock::Clock;
use crate::journal::LocalJournal;
use crate::metrics::TableMetrics;
use crate::testing::wait;

/// Hands a mark to the journal.
pub(super) type Marker = Box<dyn Fn(Batch) + Send + Sync>;

pub(super) struct Shared {
    pub(super) config: TableConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: TableMetrics,
    pub(super) store: Arc<dyn ObjectStore>,
    /// Gone only while it is dropped.
    runtime: Option<tokio::runtime::Runtime>,
    pub(super) marker: Marker,
    log: Mutex<TableLog>,
    /// The newest version, for those who must not wait for a commit.
    current: Mutex<Arc<TableSnapshot>>,
    /// Why the table is not being written, as long as that is so.
    failure: Mutex<Option<String>>,
    /// Whether threads are to end.
    pub(super) stop: decklog_audit::search::Stop,
    sleeping: Mutex<()>,
    /// Held by who merges or removes files: two at once would plan with the same ones.
    care: Mutex<()>,
    woken: Condvar,
    /// Wakes the thread that fills the table; one that is awake just then sees it when it would sleep next.
    to_fill: tokio::sync::Notify,
    /// Distinguishes files of one process; with the process' start it is unique.
    next_file: std::sync::atomic::AtomicU64,
    started: i64,
}

impl Shared {
    pub(super) fn new(
        config: TableConfig,
        clock: Arc<dyn Clock>,
        metrics: TableMetrics,
        store: Arc<dyn ObjectStore>,
        log: TableLog,
        marker: Marker,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("table-files").enable_all().build()?;
        let started = clock.now().micros();
        let shared = Self {
            config,
            clock,
            metrics,
            store,
            runtime: Some(runtime),
            marker,
            current: Mutex::new(log.snapshot()),
            log: Mutex::new(log),
            failure: Mutex::default(),
            stop: decklog_audit::search::Stop::default(),
            sleeping: Mutex::default(),
            care: Mutex::default(),
            woken: Condvar::new(),
            to_fill: tokio::sync::Notify::new(),
            next_file: std::sync::atomic::AtomicU64::new(1),
            started,
        };
        shared.count(&shared.snapshot());
        shared.metrics.set_table_writable(true);
        Ok(shared)
    }

    /// For as long as it is held nobody else merges or removes files.
    pub(super) fn care(&self) -> std::sync::MutexGuard<'_, ()> {
        self.care.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what waits for files. Not to be called by a task of a runtime.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            None => wait(future),
        }
    }

    pub(super) fn log(&self) -> std::sync::MutexGuard<'_, TableLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> Arc<TableSnapshot> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The first sequence number of `journal` that the table does not have.
    pub(super) fn done(&self, journal: &str) -> u64 {
        self.snapshot().transaction(journal).and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1)
    }

    /// A name for a new file of that day.
    pub(super) fn new_path(&self, day: i32) -> String {
        let number = self.next_file.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("{}/{:016x}-{number:06}.parquet", day_directory(day), self.started)
    }

    /// Ends a file of `n_rows` rows of that day, puts it in its place with `put`, and says what a commit has to name.
    pub(super) fn put_file(
        &self,
        writer: FileWriter,
        day: i32,
        n_rows: u64,
        put: impl FnOnce(&str, Bytes) -> Result<(), WriteError>,
    ) -> Result<NewFile, WriteError> {
        let (bytes, metadata) = writer.finish()?;
        let path = self.new_path(day);
        let size = bytes.len() as u64;
        put(&path, bytes.into())?;
        Ok(NewFile { path, day, size, n_rows, stats_json: stats_json(&metadata, &stored_schema()) })
    }

    pub(super) fn put(&self, path: &str, bytes: Bytes) -> Result<(), WriteError> {
        let failed = |source| WriteError::Store { path: path.to_owned(), source };
        self.block_on(self.store.put(&Path::from(path), bytes.into())).map(drop).map_err(failed)
    }

    pub(super) fn commit(&self, change: &TableChange) -> Result<Arc<TableSnapshot>, WriteError> {
        let mut log = self.log();
        let snapshot = log.commit(change)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&snapshot);
        drop(log);
        self.count(&snapshot);
        Ok(snapshot)
    }

    fn count(&self, snapshot: &TableSnapshot) {
        let mut days: BTreeMap<i32, ()> = BTreeMap::new();
        for file in &snapshot.files {
            days.insert(file.day, ());
        }
        self.metrics.holds(snapshot.files.len(), snapshot.size(), days.len());
    }

    pub(super) fn flushed(&self, n_rows: usize, took: Duration) {
        self.metrics.flushed(n_rows as u64, took);
        tracing::debug!(n_rows, seconds = took.as_secs_f64(), "events were written to the table");
    }

    pub(super) fn note_failure(&self, failure: Option<String>) {
        self.metrics.set_table_writable(failure.is_none());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits, at longest until the table closes.
    pub(super) fn pause(&self, patience: Duration) {
        let guard = self.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.stop.is_stopped() {
            drop(self.woken.wait_timeout(guard, patience).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits for a record behind `position`, at longest until [`Shared::wake`] or [`Shared::close`].
    pub(super) fn wait_for_records(&self, journal: &LocalJournal, position: u64, patience: Duration) {
        let woken = std::pin::pin!(self.to_fill.notified());
        wait(futures_util::future::select(woken, journal.wait_beyond(position, patience)));
    }

    /// Ends all pauses, and lets threads look whether they are to end.
    pub(super) fn close(&self) {
        let guard = self.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.stop();
        drop(guard);
        self.wake();
    }

    /// Ends all pauses, and lets the thread that fills the table look at once.
    pub(super) fn wake(&self) {
        self.to_fill.notify_one();
        self.woken.notify_all();
    }

    /// Lets those who wait for what was written look.
    pub(super) fn tell_written(&self) {
        self.woken.notify_all();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Drop for Shared {
    /// Whoever drops it last may be a task, which must not wait for the runtime's thread.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
