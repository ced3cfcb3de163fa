//! [`Table`]: the table of a data directory, open for writing, with the threads that fill and tend it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use decklog_audit::journal::{Journal, Reader};
use decklog_audit::search::Stop;

use super::WriteError;
use super::compact::{self, Compacted, Retired};
use super::config::TableConfig;
use super::log::TableLog;
use super::place::TablePlace;
use super::plan::Thoroughness;
use super::schema::stored_schema;
use super::shared::Shared;
use super::snapshot::TableSnapshot;
use super::vacuum::Vacuumed;
use super::writer::{Step, Writer};
use crate::journal::{LocalJournal, StartFrom};
use crate::metrics::TableMetrics;

/// The name of the journal's reader that fills the table.
/// The name of the reader that fills the table, for [`crate::JournalConfig::never_overtaken`].
pub const TABLE_READER: &str = "table";
/// How often compaction, retention and vacuum are looked at.
const CARE: Duration = Duration::from_secs(10);
/// How long a flush waits for a table that cannot be written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(60);
/// How long a flush waits at most before it looks whether it is to end: `Stop` wakes nobody.
const LOOK: Duration = Duration::from_millis(20);

/// See the module.
pub struct Table {
    shared: Arc<Shared>,
    journal: Arc<LocalJournal>,
    /// Everything below is written to the table, or was looked at and is no event.
    written: Arc<AtomicU64>,
    /// A flush is wanted of everything below.
    wanted: Arc<AtomicU64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Figures about a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// The commit it is of.
    pub version: u64,
    /// Files.
    pub n_files: usize,
    /// Events in them.
    pub n_rows: u64,
    /// Their bytes.
    pub n_bytes: u64,
    /// Days that have files, first and last, as days since the epoch.
    pub days: Option<(i32, i32)>,
    /// The first sequence number that is not in the table yet.
    pub next_seq: u64,
    /// Why it is not being written, if that is so.
    pub failure: Option<String>,
}

impl Table {
    /// Opens the table at `place`, or makes it, and fills it from `journal` from now on.
    ///
    /// # Errors
    /// When it cannot be read or made, or the journal's reader cannot.
    pub fn open(place: &TablePlace, journal: &Arc<LocalJournal>, config: TableConfig, metrics: TableMetrics) -> Result<Self, WriteError> {
        let log = TableLog::open(place, &stored_schema(), "events", journal.clock().now())?;
        let store = Arc::clone(log.store());
        let marks_to = Arc::clone(journal);
        let marker = Box::new(move |batch| drop(marks_to.append(batch)));
        let shared = Shared::new(config, journal.clock(), metrics, store, log, marker).map_err(WriteError::Thread)?;
        let table = Self { shared: Arc::new(shared), journal: Arc::clone(journal), written: Arc::default(), wanted: Arc::default(), threads: Mutex::default() };
        let writer = table.writer()?;
        table.written.store(writer.reader.position(), Ordering::Release);
        table.spawn("table", move |table| fill(table, writer))?;
        table.spawn("table-care", |table| tend(&table))?;
        Ok(table)
    }

    fn writer(&self) -> Result<Writer, WriteError> {
        new_writer(&self.shared, &self.journal)
    }

    fn spawn(&self, name: &str, run: impl FnOnce(Running) + Send + 'static) -> Result<(), WriteError> {
        let running = Running {
            shared: Arc::clone(&self.shared),
            journal: Arc::clone(&self.journal),
            written: Arc::clone(&self.written),
            wanted: Arc::clone(&self.wanted),
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(running)).map_err(WriteError::Thread)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// The files that make up the table now.
    pub fn snapshot(&self) -> Arc<TableSnapshot> {
        self.shared.snapshot()
    }

    /// Gives the newest files to those who search, without keeping the table open.
    pub fn newest(&self) -> impl Fn() -> Arc<TableSnapshot> + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.snapshot()
    }

    /// Where its files lie.
    pub fn store(&self) -> Arc<dyn object_store::ObjectStore> {
        Arc::clone(&self.shared.store)
    }

    /// Its metrics.
    pub fn metrics(&self) -> &TableMetrics {
        &self.shared.metrics
    }

    /// Figures of this moment.
    pub fn stats(&self) -> TableStats {
        let snapshot = self.snapshot();
        TableStats { next_seq: self.shared.done(&self.journal.id()).max(1), failure: self.shared.failure(), ..stats_of(&snapshot) }
    }

    /// Writes what waits, up to the newest record, without waiting for its time. Blocks; ends early when `stop` is set or
    /// the table closes, or says why it cannot.
    ///
    /// # Errors
    /// When the table is closed or not being written.
    pub fn flush(&self, stop: &Stop) -> Result<(), WriteError> {
        let end = self.journal.next_seq();
        self.wanted.fetch_max(end, Ordering::AcqRel);
        self.shared.wake();
        let mut failing_since = None;
        while self.written.load(Ordering::Acquire) < end {
            match self.shared.failure() {
                Some(reason) => {
                    let since = *failing_since.get_or_insert_with(|| self.shared.clock.uptime());
                    if self.shared.clock.uptime().saturating_sub(since) > FLUSH_PATIENCE {
                        return Err(WriteError::Failing { reason });
                    }
                }
                None => failing_since = None,
            }
            if self.shared.stop.is_stopped() || stop.is_stopped() {
                return Err(WriteError::Closed);
            }
            self.shared.pause(LOOK);
        }
        Ok(())
    }

    /// Merges whatever can become fewer files.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn compact(&self) -> Result<Compacted, WriteError> {
        compact::run(&self.shared, Thoroughness::Full)
    }

    /// Removes the days that are due.
    ///
    /// # Errors
    /// When the commit cannot be written.
    pub fn retire(&self) -> Result<Vec<Retired>, WriteError> {
        compact::retire(&self.shared)
    }

    /// Deletes files that have not belonged to the table for `grace`.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn vacuum(&self, grace: Duration) -> Result<Vacuumed, WriteError> {
        let now = self.shared.now();
        Ok(self.shared.log().vacuum(grace, now)?)
    }

    /// Writes what waits and ends the threads. Blocks on the disk. What could not be written is in the journal.
    pub fn close(&self) {
        self.shared.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the table panicked");
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.close();
    }
}

/// Figures of a snapshot.
pub(crate) fn stats_of(snapshot: &TableSnapshot) -> TableStats {
    let days = snapshot.files.iter().map(|file| file.day);
    TableStats {
        version: snapshot.version,
        n_files: snapshot.files.len(),
        n_rows: snapshot.files.iter().filter_map(|file| file.n_rows).sum(),
        n_bytes: snapshot.size(),
        days: days.clone().min().zip(days.max()),
        next_seq: snapshot.transactions.values().filter_map(|last| u64::try_from(*last).ok()).max().map_or(1, |last| last + 1),
        failure: None,
    }
}

struct Running {
    shared: Arc<Shared>,
    journal: Arc<LocalJournal>,
    written: Arc<AtomicU64>,
    wanted: Arc<AtomicU64>,
}

fn new_writer(shared: &Arc<Shared>, journal: &LocalJournal) -> Result<Writer, WriteError> {
    let reader: Box<dyn Reader> = Box::new(journal.reader(TABLE_READER, StartFrom::Earliest)?);
    Ok(Writer::new(Arc::clone(shared), reader, journal.id()))
}

/// Follows the journal until the table closes.
fn fill(running: Running, writer: Writer) {
    let Running { shared, journal, written, wanted } = running;
    let mut writer = Some(writer);
    while !shared.stop.is_stopped() {
        let done = match &mut writer {
            Some(writer) => work(writer, &journal, &shared, &written, &wanted),
            None => new_writer(&shared, &journal).map(|again| writer = Some(again)),
        };
        if let Err(error) = done {
            // What was in memory is read again from where the table is.
            tracing::error!(%error, "the table could not be written");
            shared.note_failure(Some(error.to_string()));
            writer = None;
            shared.pause(Duration::from_secs(5));
        }
    }
    if let Some(mut writer) = writer
        && let Err(error) = writer.finish()
    {
        tracing::warn!(%error, "the newest events are in the journal alone");
    }
}

/// One step; waits where there is nothing to do.
fn work(writer: &mut Writer, journal: &LocalJournal, shared: &Shared, written: &AtomicU64, wanted: &AtomicU64) -> Result<(), WriteError> {
    let step = writer.step()?;
    if writer.is_flushed() {
        note_written(writer, shared, written);
    }
    let Step::Idle(patience) = step else { return Ok(()) };
    if wanted.load(Ordering::Acquire) > written.load(Ordering::Acquire) {
        writer.flush()?;
        note_written(writer, shared, written);
        return Ok(());
    }
    if !shared.stop.is_stopped() {
        shared.wait_for_records(journal, writer.reader.position(), patience);
    }
    Ok(())
}

/// Tells those who flush how far it is.
fn note_written(writer: &Writer, shared: &Shared, written: &AtomicU64) {
    let position = writer.reader.position();
    if written.fetch_max(position, Ordering::AcqRel) < position {
        shared.tell_written();
    }
}

/// Compacts, retires and vacuums now and then, until the table closes.
fn tend(running: &Running) {
    // Searches and what comes in go first.
    let _ = rustix::process::nice(10);
    let shared = &running.shared;
    while !shared.stop.is_stopped() {
        let tended = compact::run(shared, Thoroughness::Steady).and_then(|_| compact::retire(shared)).and_then(|_| {
            let now = shared.now();
            Ok(shared.log().vacuum(shared.config.vacuum_after, now)?)
        });
        match tended {
            Ok(vacuumed) if vacuumed.n_files > 0 => tracing::debug!(n_files = vacuumed.n_files, n_bytes = vacuumed.n_bytes, "files were deleted"),
            Ok(_) | Err(WriteError::Closed) => {}
            Err(error) => tracing::warn!(%error, "the table could not be tended; it is tried again"),
        }
        let until = shared.clock.uptime() + CARE;
        while !shared.stop.is_stopped() && shared.clock.uptime() < until {
            shared.pause(CARE);
        }
    }
}
