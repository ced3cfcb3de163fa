//! The journal on local files: [`LocalJournal`].
//!
//! ```text
//! append ─► claim ids (duplicates) ─► encode, compress (caller's thread) ─► queue ─► Writer ─► SegmentWriter
//!                                                                                    │  group: write, sync
//!           answer ◄── confirm ids, next_seq, positions ◄────────────────────────────┘
//! ```
//!
//! Readers follow with a file of their own ([`LocalReader`]); other processes look at the files through
//! [`crate::JournalView`].

pub(crate) mod shared;
mod append;
mod recent;
mod submit;
pub(crate) mod duplicates;
mod body;
pub(crate) mod segment_writer;
mod writer;
mod reserve;
mod retention;
mod oneshot;
mod waiting;
pub(crate) mod recovery;
mod cursor;
mod reader;
#[cfg(test)]
mod power_cuts;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use decklog_audit::journal::{AppendError, Appending, Batch, Journal, ReadError, Staged};

pub use reader::{LocalReader, StartFrom};
pub use shared::Health;
pub(crate) use writer::is_full;

use self::body::LocalStaged;
use self::recovery::{Places, make_directories, recover};
use self::shared::Shared;
use self::writer::Writer;
use crate::clock::{Clock, SystemClock};
use crate::config::JournalConfig;
use crate::damage::Damage;
use crate::error::OpenError;
use crate::files::{Disk, Files, LockError};
use crate::metrics::JournalMetrics;
use crate::view::JournalView;

/// The journal of a data directory, open for writing. Only one process can have it.
pub struct LocalJournal {
    shared: Arc<Shared>,
    data_dir: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

/// Everything a journal needs from outside.
#[derive(Clone)]
pub struct Environment {
    /// Where its files lie.
    pub files: Arc<dyn Files>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What it counts into.
    pub metrics: JournalMetrics,
}

impl Default for Environment {
    fn default() -> Self {
        Self { files: Arc::new(Disk), clock: Arc::new(SystemClock::default()), metrics: JournalMetrics::default() }
    }
}

/// Figures about a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalStats {
    /// The number the next record gets.
    pub next_seq: u64,
    /// The oldest record that is there; `next_seq` if there is none.
    pub oldest_seq: u64,
    /// Number of segments.
    pub n_segments: usize,
    /// Size of all segments in bytes.
    pub size: u64,
    /// Bytes free on the file system.
    pub free: u64,
    /// Its readers, by name.
    pub readers: Vec<ReaderStats>,
}

/// Figures about a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderStats {
    /// Its name.
    pub name: String,
    /// The next record it wants, as last committed.
    pub cursor: u64,
    /// Records it has not committed yet.
    pub lag_events: u64,
    /// How old the newest record it has read is, while it lags; zero otherwise and before it read any.
    pub lag: Duration,
    /// Records that were gone before it read them.
    pub n_missed: u64,
}

impl LocalJournal {
    /// Opens the journal in `data_dir`, which is made if it is missing; recovers what a crash left.
    ///
    /// # Errors
    /// When another process has it, a directory or file cannot be used, or a segment is of another version. A
    /// full disk is no error: the journal opens and refuses batches until there is room.
    pub fn open(data_dir: &Path, config: JournalConfig) -> Result<Self, OpenError> {
        Self::open_with(data_dir, config, Environment::default())
    }

    /// The same with files, clock and metrics of the caller's.
    ///
    /// # Errors
    /// As [`LocalJournal::open`].
    pub fn open_with(data_dir: &Path, config: JournalConfig, environment: Environment) -> Result<Self, OpenError> {
        let (journal, writer) = Self::without_thread(data_dir, config, environment)?;
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run());
        *journal.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread.map_err(|source| OpenError::Thread { source })?);
        Ok(journal)
    }

    /// A journal in memory, for tests.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn in_memory() -> Result<Self, OpenError> {
        let environment = Environment { files: Arc::new(crate::files::memory::MemoryFiles::new()), ..Environment::default() };
        Self::open_with(Path::new("/data"), JournalConfig { reserve: 0, ..JournalConfig::default() }, environment)
    }

    /// The journal and its writer, which the caller has to drive.
    fn without_thread(data_dir: &Path, config: JournalConfig, environment: Environment) -> Result<(Self, Writer), OpenError> {
        let Environment { files, clock, metrics } = environment;
        let places = Places::new(data_dir);
        make_directories(&*files, &places.journal, Some(&places.cursors), data_dir)?;
        let lock = take_lock(&*files, &*clock, &data_dir.join("lock"), data_dir)?;
        let recovered = recover(&*files, &places, &config, clock.now())?;
        for damage in &recovered.log.damage {
            tracing::error!(%damage, "a part of the journal cannot be read");
        }
        let shared = Arc::new(Shared::new(files, clock, config, places.journal, metrics, recovered));
        let writer = Writer::new(Arc::clone(&shared));
        let journal = Self { shared, data_dir: data_dir.to_owned(), thread: Mutex::default(), lock: Mutex::new(Some(lock)) };
        Ok((journal, writer))
    }

    /// The reader of that name: where its cursor is, or a new one that begins at `start`. Retention waits for
    /// every reader there ever was, until [`LocalJournal::forget_reader`]. Open each name once at a time.
    ///
    /// # Errors
    /// When its cursor cannot be read or written.
    pub fn reader(&self, name: &str, start: StartFrom) -> Result<LocalReader, ReadError> {
        LocalReader::open(Arc::clone(&self.shared), name, start)
    }

    /// Removes a reader's cursor and state.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget_reader(&self, name: &str) -> Result<(), ReadError> {
        reader::forget(&self.shared, name)
    }

    /// A view of what is durable, for searching within this process.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn view(&self) -> Result<JournalView, ReadError> {
        JournalView::of_journal(Arc::clone(&self.shared))
    }

    /// Whether it takes batches, and if not why.
    pub fn health(&self) -> Health {
        self.shared.log().health.clone()
    }

    /// What was found damaged when it was opened. Damage in older segments is found by reading them.
    pub fn damage(&self) -> Vec<Damage> {
        self.shared.log().damage.clone()
    }

    /// What names this journal for ever, in hexadecimal: a table notes under it how far it is.
    pub fn id(&self) -> String {
        self.shared.journal_id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The clock it tells the time by.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    /// Its metrics.
    pub fn metrics(&self) -> &JournalMetrics {
        &self.shared.metrics
    }

    /// The directory it lies in, as given to [`LocalJournal::open`].
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Figures of this moment.
    pub fn stats(&self) -> JournalStats {
        let free = self.shared.files.free_space(&self.shared.dir).unwrap_or(0);
        let next_seq = self.shared.next_seq();
        let now = self.shared.clock.now();
        let log = self.shared.log();
        let readers = log.readers.iter().map(|(name, reader)| ReaderStats {
            name: name.clone(),
            cursor: reader.cursor,
            lag_events: next_seq.saturating_sub(reader.cursor),
            lag: reader.lag(next_seq, now),
            n_missed: reader.n_missed,
        });
        JournalStats {
            next_seq,
            oldest_seq: log.segments.keys().next().map_or(next_seq, |first_seq| *first_seq),
            n_segments: log.segments.len(),
            size: log.segments.values().map(|segment| segment.size).sum(),
            free,
            readers: readers.collect(),
        }
    }

    /// Takes no more batches, writes and answers those that wait, and gives up the lock. Blocks on the disk.
    pub fn close(&self) {
        self.shared.queue().is_closed = true;
        self.shared.notify();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's thread panicked");
        }
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for LocalJournal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Appending compresses on the caller's thread (about a millisecond for 400 KB) and does not wait for the disk.
impl Journal for LocalJournal {
    fn append(&self, batch: Batch) -> Appending {
        Shared::append(&self.shared, batch)
    }

    fn stage(&self) -> Result<Box<dyn Staged>, AppendError> {
        self.shared.check_health(false)?;
        Ok(Box::new(LocalStaged::new(Arc::clone(&self.shared))))
    }

    fn position(&self, name: &str) -> Option<Vec<u8>> {
        self.shared.log().positions.get(name).cloned()
    }

    fn next_seq(&self) -> u64 {
        self.shared.next_seq()
    }

    fn wait_beyond(&self, seq: u64, patience: Duration) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        let now = self.shared.clock.uptime();
        let wait = {
            let mut queue = self.shared.queue();
            let next_seq = self.shared.next_seq();
            if next_seq > seq || patience.is_zero() || queue.is_closed {
                return Box::pin(std::future::ready(next_seq));
            }
            queue.waiting.add(seq, now.saturating_add(patience))
        };
        self.shared.notify();
        Box::pin(wait)
    }
}

/// Takes the lock of a directory, saying who we are.
pub(crate) fn take_lock(files: &dyn Files, clock: &dyn Clock, path: &Path, data_dir: &Path) -> Result<Box<dyn Send + Sync>, OpenError> {
    let command: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let holder = format!("process {} (`{}`) since {}\n", std::process::id(), command.join(" "), clock.now().rfc3339_nano());
    files.lock(path, &holder).map_err(|error| match error {
        LockError::Held { holder } => OpenError::Locked { path: data_dir.to_owned(), holder },
        LockError::Io(source) => OpenError::Lock { path: path.to_owned(), source },
    })
}
