//! What the writer, appenders and readers of one journal share.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{AppendError, EventId};

use super::duplicates::Duplicates;
use super::recent::Recent;
use super::segment_writer::Positions;
use super::submit::{Item, Submission};
use super::waiting::Waiting;
use crate::clock::Clock;
use crate::config::JournalConfig;
use crate::damage::Damage;
use crate::files::Files;
use crate::metrics::JournalMetrics;

pub(crate) struct Shared {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: JournalConfig,
    pub(crate) dir: PathBuf,
    pub(crate) journal_id: [u8; 16],
    pub(crate) metrics: JournalMetrics,
    /// Everything below is durable.
    next_seq: AtomicU64,
    queue: Mutex<Queue>,
    work: Condvar,
    window: Mutex<Window>,
    log: Mutex<Log>,
    recent: Mutex<Recent>,
}

/// What waits for the writer.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) items: VecDeque<Item>,
    pub(crate) waiting_bytes: u64,
    pub(crate) is_closed: bool,
    pub(crate) waiting: Waiting,
}

pub(crate) struct Window {
    pub(crate) duplicates: Duplicates,
    /// Appends whose events are claimed by others that are not yet answered.
    pub(crate) parked: Vec<Submission>,
}

/// What is durable.
pub(crate) struct Log {
    /// By first sequence number.
    pub(crate) segments: BTreeMap<u64, SegmentInfo>,
    /// Shared with a write under way, which may need all of them.
    pub(crate) positions: Arc<Positions>,
    pub(crate) health: Health,
    pub(crate) readers: BTreeMap<String, ReaderInfo>,
    pub(crate) damage: Vec<Damage>,
    /// A removed segment may be there again after a crash.
    pub(crate) has_unsynced_removal: bool,
}

/// A segment, from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentInfo {
    pub(crate) size: u64,
    pub(crate) created_at: Timestamp,
}

/// A reader, from outside.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReaderInfo {
    /// The next record it wants, durable.
    pub(crate) cursor: u64,
    /// When the last record given to it came in.
    pub(crate) last_ingested_at: Option<Timestamp>,
    /// Records retention removed before it read them.
    pub(crate) n_missed: u64,
}

/// Whether the journal takes batches.
#[derive(Clone, Debug, Default)]
pub enum Health {
    /// It does.
    #[default]
    Writable,
    /// It refuses them, and tries the disk again every [`JournalConfig::retry_after`].
    Refusing {
        /// Why.
        error: AppendError,
        /// Since when.
        since: Timestamp,
    },
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parts of [`Shared`] that recovery found.
pub(crate) struct Recovered {
    pub(crate) journal_id: [u8; 16],
    pub(crate) next_seq: u64,
    pub(crate) log: Log,
    pub(crate) duplicates: Duplicates,
}

impl Shared {
    pub(crate) fn new(
        files: Arc<dyn Files>,
        clock: Arc<dyn Clock>,
        config: JournalConfig,
        dir: PathBuf,
        metrics: JournalMetrics,
        recovered: Recovered,
    ) -> Self {
        Self {
            files,
            clock,
            config,
            dir,
            journal_id: recovered.journal_id,
            metrics,
            next_seq: AtomicU64::new(recovered.next_seq),
            queue: Mutex::default(),
            work: Condvar::new(),
            window: Mutex::new(Window { duplicates: recovered.duplicates, parked: Vec::new() }),
            log: Mutex::new(recovered.log),
            recent: Mutex::default(),
        }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        lock(&self.recent)
    }

    pub(crate) fn window(&self) -> MutexGuard<'_, Window> {
        lock(&self.window)
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq.load(Ordering::Acquire)
    }

    pub(crate) fn set_next_seq(&self, next_seq: u64) {
        self.next_seq.store(next_seq, Ordering::Release);
    }

    pub(crate) fn is_durable_event(&self, id: EventId, former_id: Option<EventId>) -> bool {
        let window = lock(&self.window);
        window.duplicates.is_durable(id) || former_id.is_some_and(|id| window.duplicates.is_durable(id))
    }

    /// Lets the writer look at the queue.
    pub(crate) fn notify(&self) {
        self.work.notify_one();
    }

    /// Waits for work, at longest `patience`.
    pub(crate) fn wait_for_work<'a>(&self, queue: MutexGuard<'a, Queue>, patience: Duration) -> MutexGuard<'a, Queue> {
        self.work.wait_timeout(queue, patience).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Refuses at once what the writer would refuse.
    pub(crate) fn check_health(&self, may_use_reserve: bool) -> Result<(), AppendError> {
        match &self.log().health {
            Health::Writable => Ok(()),
            Health::Refusing { error: AppendError::Full { .. }, .. } if may_use_reserve => Ok(()),
            Health::Refusing { error, .. } => Err(error.clone()),
        }
    }

    /// Takes room in the queue.
    pub(crate) fn reserve_room(&self, bytes: u64) -> Result<(), AppendError> {
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(AppendError::Closed);
        }
        if queue.waiting_bytes > 0 && queue.waiting_bytes + bytes > self.config.queue_bytes {
            return Err(AppendError::Busy { waiting_bytes: queue.waiting_bytes, limit_bytes: self.config.queue_bytes });
        }
        queue.waiting_bytes += bytes;
        Ok(())
    }
}
