//! From an append to something that only has to be written: claiming what is new, encoding it, queueing it; and
//! giving claims back or confirming them once the writer knows.
//!
//! An append whose events are claimed by another one that is not yet answered is *parked*: it is submitted again
//! when claims are given back or confirmed.

use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::{AppendError, Appended, Batch, EventId, Origin, RecordBlock, RecordFlags, RecordHead, RecordKind, SourcePosition};

use super::body::Body;
use super::duplicates::{Claim, Identity, Kept, Ticket};
use super::oneshot::Completion;
use super::shared::Shared;
use crate::format::encode::{Content, EncodedBlock};

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
    /// What the block holds, for readers that keep up; its sequence number is not known yet.
    pub(crate) records: RecordBlock,
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

impl Shared {
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
        let mut window = self.window();
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
        let (origin, ingested_at) = (batch.origin.clone(), batch.ingested_at);
        let (position, mut heads, bytes) = match kept {
            Kept::All => batch.into_parts(),
            Kept::Some(kept) => {
                let (heads, bytes) = select(&batch, kept);
                (batch.position, heads, bytes)
            }
        };
        if heads.is_empty() && position.is_none() {
            self.metrics.duplicates(&origin.source, answer.n_duplicates);
            let appended = Appended { first_seq: None, n_stored: 0, n_duplicates: answer.n_duplicates };
            self.finish(answer, Ok(appended));
            return None;
        }
        let n_stored = heads.len() as u64;
        if heads.is_empty() {
            heads.push(placeholder(ingested_at));
        }
        let content = Content { origin: &origin, ingested_at, position: position.as_ref(), heads: &heads, bytes: &bytes, is_checkpoint: false };
        match EncodedBlock::new(&content) {
            Ok(block) => {
                let source = Arc::clone(&origin.source);
                let records = RecordBlock { origin: Arc::new(origin), ingested_at, first_seq: 0, heads, bytes: bytes.into() };
                Some(Item::Batch(Pending { may_use_reserve: block.n_events == 0, n_stored, block, position, source, records, answer }))
            }
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
        let mut window = self.window();
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
        let mut window = self.window();
        window.duplicates.confirm(ids, now);
        std::mem::take(&mut window.parked)
    }

    pub(crate) fn finish(&self, answer: Answer, result: Result<Appended, AppendError>) {
        self.queue().waiting_bytes -= answer.waiting_bytes;
        answer.completion.answer(result);
    }
}

/// The one record of a block that only carries a source's position: blocks without records are none.
fn placeholder(ingested_at: Timestamp) -> RecordHead {
    let flags = RecordFlags::default();
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
