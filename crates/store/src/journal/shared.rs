//! What the writer, appenders and readers of one journal share.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{AppendError, Appended, Batch, EventId, Origin, RecordHead, RecordKind, SourcePosition};

use super::body::Body;
use super::duplicates::{Claim, Duplicates, Identity, Kept, Ticket};
use super::oneshot::Completion;
use super::segment_writer::Positions;
use super::waiting::Waiting;
use crate::clock::Clock;
use crate::config::JournalConfig;
use crate::damage::Damage;
use crate::files::Files;
use crate::format::block::{Content, EncodedBlock};
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
}

/// What waits for the writer.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) items: VecDeque<Item>,
    waiting_bytes: u64,
    pub(crate) is_closed: bool,
    pub(crate) waiting: Waiting,
}

struct Window {
    duplicates: Duplicates,
    /// Appends whose events are claimed by others that are not yet answered.
    parked: Vec<Submission>,
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

/// An append before it is known what of it is new.
pub(crate) enum Submission {
    Batch { batch: Batch, waiting_bytes: u64, completion: Completion },
    Body { body: Body, completion: Completion },
}

/// An append that only has to be written.
pub(crate) enum Item {
    Batch(Pending),
    Body(PendingBody),
}

pub(crate) struct Pending {
    pub(crate) block: EncodedBlock,
    pub(crate) position: Option<SourcePosition>,
    pub(crate) source: Arc<str>,
    /// Whether it may use the reserve: it holds no events.
    pub(crate) may_use_reserve: bool,
    pub(crate) n_stored: u64,
    pub(crate) answer: Answer,
}

pub(crate) struct PendingBody {
    pub(crate) body: Body,
    pub(crate) answer: Answer,
}

pub(crate) struct Answer {
    pub(crate) completion: Completion,
    pub(crate) ticket: Ticket,
    pub(crate) n_duplicates: u64,
    waiting_bytes: u64,
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
    pub(crate) fn new(files: Arc<dyn Files>, clock: Arc<dyn Clock>, config: JournalConfig, dir: PathBuf, metrics: JournalMetrics, recovered: Recovered) -> Self {
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
        }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
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

    /// Claims what is new of `submission` and queues it, parks it, or answers it.
    pub(crate) fn submit(&self, submission: Submission) {
        let mut work = vec![submission];
        while let Some(submission) = work.pop() {
            if let Some(item) = self.claim(submission, &mut work) {
                self.enqueue(item, &mut work);
            }
        }
    }

    fn claim(&self, submission: Submission, work: &mut Vec<Submission>) -> Option<Item> {
        let mut window = lock(&self.window);
        let ticket = window.duplicates.ticket();
        let claim = match &submission {
            Submission::Batch { batch, .. } => window.duplicates.claim(batch.heads().iter().map(Identity::of), ticket),
            Submission::Body { body, .. } => window.duplicates.claim(body.identities().iter().copied(), ticket),
        };
        let Claim::Granted { kept, n_duplicates } = claim else {
            window.parked.push(submission);
            return None;
        };
        drop(window);
        match submission {
            Submission::Batch { batch, waiting_bytes, completion } => {
                let answer = Answer { completion, ticket, n_duplicates, waiting_bytes };
                self.prepare(batch, &kept, answer, work)
            }
            Submission::Body { body, completion } => {
                let answer = Answer { completion, ticket, n_duplicates: n_duplicates + body.n_duplicates(), waiting_bytes: 0 };
                self.prepare_body(body, &kept, answer, work)
            }
        }
    }

    fn prepare(&self, batch: Batch, kept: &Kept, answer: Answer, work: &mut Vec<Submission>) -> Option<Item> {
        let (heads, bytes) = match kept {
            Kept::All => (None, None),
            Kept::Some(kept) => {
                let (heads, bytes) = select(&batch, kept);
                (Some(heads), Some(bytes))
            }
        };
        let heads = heads.as_deref().unwrap_or(batch.heads());
        let bytes = bytes.as_deref().unwrap_or(batch.bytes());
        if heads.is_empty() && batch.position.is_none() {
            self.metrics.duplicates(&batch.origin.source, answer.n_duplicates);
            let appended = Appended { first_seq: None, n_stored: 0, n_duplicates: answer.n_duplicates };
            self.finish(answer, Ok(appended));
            return None;
        }
        let alone = [placeholder(batch.ingested_at)];
        let content = Content {
            origin: &batch.origin,
            ingested_at: batch.ingested_at,
            position: batch.position.as_ref(),
            heads: if heads.is_empty() { &alone } else { heads },
            bytes,
            is_checkpoint: false,
        };
        match EncodedBlock::new(&content) {
            Ok(block) => Some(Item::Batch(Pending {
                may_use_reserve: block.n_events == 0,
                n_stored: heads.len() as u64,
                block,
                position: batch.position,
                source: batch.origin.source,
                answer,
            })),
            Err(error) => {
                let ids: Vec<EventId> = heads.iter().filter_map(|head| head.id).collect();
                work.append(&mut self.give_back(ids.into_iter(), answer.ticket));
                self.finish(answer, Err(AppendError::Unwritable { reason: error.to_string() }));
                None
            }
        }
    }

    fn prepare_body(&self, body: Body, kept: &Kept, answer: Answer, work: &mut Vec<Submission>) -> Option<Item> {
        let ids: Vec<EventId> = body.identities().iter().filter_map(|identity| identity.id).collect();
        let kept_body = match kept {
            Kept::All => Ok(body),
            Kept::Some(kept) => body.without_others(kept),
        };
        match kept_body {
            Ok(body) if body.n_records() == 0 => self.prepare_positions(&body, answer, work),
            Ok(body) => Some(Item::Body(PendingBody { body, answer })),
            Err(error) => {
                work.append(&mut self.give_back(ids.into_iter(), answer.ticket));
                self.finish(answer, Err(error));
                None
            }
        }
    }

    /// All events of a body were stored before: only its positions are left to store.
    fn prepare_positions(&self, body: &Body, answer: Answer, work: &mut Vec<Submission>) -> Option<Item> {
        let mut batches = body.positions().iter().map(|(name, bytes)| {
            let mut batch = Batch::new(Origin::default(), self.clock.now());
            batch.position = Some(SourcePosition { name: Arc::clone(name), bytes: bytes.clone() });
            batch
        });
        let last = batches.next_back().unwrap_or_default();
        batches.for_each(|batch| self.queue_batch(batch));
        self.prepare(last, &Kept::All, answer, work)
    }

    fn enqueue(&self, item: Item, work: &mut Vec<Submission>) {
        let mut queue = self.queue();
        if !queue.is_closed {
            queue.items.push_back(item);
            drop(queue);
            self.notify();
            return;
        }
        drop(queue);
        work.append(&mut self.refuse(item, &AppendError::Closed));
    }

    /// Gives claims back; the appends that waited for this are to be submitted again.
    #[must_use]
    fn give_back(&self, ids: impl Iterator<Item = EventId>, ticket: Ticket) -> Vec<Submission> {
        let mut window = lock(&self.window);
        window.duplicates.give_back(ids, ticket);
        std::mem::take(&mut window.parked)
    }

    /// Answers that nothing of `item` is stored.
    #[must_use]
    pub(crate) fn refuse(&self, item: Item, error: &AppendError) -> Vec<Submission> {
        let (parked, answer) = match item {
            Item::Batch(pending) => (self.give_back(pending.block.ids(), pending.answer.ticket), pending.answer),
            Item::Body(pending) => {
                let ids = pending.body.identities().iter().filter_map(|identity| identity.id);
                (self.give_back(ids, pending.answer.ticket), pending.answer)
            }
        };
        self.finish(answer, Err(error.clone()));
        parked
    }

    /// Turns claims into durable ids; the appends that waited for this are to be submitted again.
    #[must_use]
    pub(crate) fn confirm<'a>(&self, ids: impl Iterator<Item = EventId> + 'a, now: Timestamp) -> Vec<Submission> {
        let mut window = lock(&self.window);
        window.duplicates.confirm(ids, now);
        std::mem::take(&mut window.parked)
    }

    pub(crate) fn finish(&self, answer: Answer, result: Result<Appended, AppendError>) {
        self.queue().waiting_bytes -= answer.waiting_bytes;
        answer.completion.answer(result);
    }
}

/// Stands in a block that only carries a source's position.
fn placeholder(ingested_at: Timestamp) -> RecordHead {
    let flags = decklog_audit::journal::RecordFlags::default();
    RecordHead { kind: RecordKind::Unknown(0), flags, end: 0, id: None, time: ingested_at, former_id: None }
}

/// The records `kept` of a batch.
pub(crate) fn select(batch: &Batch, kept: &[usize]) -> (Vec<RecordHead>, Vec<u8>) {
    let mut heads = Vec::with_capacity(kept.len());
    let mut bytes = Vec::new();
    for &index in kept {
        bytes.extend_from_slice(batch.record(index));
        heads.push(RecordHead { end: bytes.len(), ..batch.heads()[index] });
    }
    (heads, bytes)
}
