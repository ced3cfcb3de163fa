//! The one writer: takes what waits, writes and syncs it as a group, then answers all of it.
//!
//! Runs on a thread of its own ([`Writer::run`]); tests call [`Writer::step`] in its place.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{AppendError, Appended, RecordBlock};

use super::reserve::Reserve;
use super::retention;
use super::segment_writer::{Placed, Positions, SegmentWriter};
use super::shared::{Health, SegmentInfo, Shared};
use super::submit::{Item, Pending, PendingBody, Submission};

pub(crate) struct Writer {
    shared: Arc<Shared>,
    segments: SegmentWriter,
    reserve: Reserve,
    retry_at: Option<Duration>,
    retention_at: Duration,
    observe_at: Duration,
}

/// How often figures that change while nothing happens are taken anew.
const OBSERVE_EVERY: Duration = Duration::from_secs(10);

/// So many segments share the time for which records are kept: a record outlives it by one share, however few come.
const SEGMENTS_OF_AGE: u32 = 16;

/// However the writer's thread ends, nobody waits for it any more.
pub(super) struct Closing(pub(super) Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.is_closed = true;
        let items = std::mem::take(&mut queue.items);
        queue.waiting.wake(self.0.next_seq(), Duration::MAX);
        drop(queue);
        let parked = std::mem::take(&mut self.0.window().parked);
        // Their completions answer that the journal is closed.
        drop((items, parked));
    }
}

/// Whether there will be more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stepped {
    Open,
    Closed,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let segments = SegmentWriter::new(Arc::clone(&shared.files), shared.dir.clone(), shared.journal_id, shared.config.segment_size, shared.next_seq());
        let segments = segments.with_segment_age(shared.config.max_age.map(|max_age| max_age / SEGMENTS_OF_AGE));
        let reserve = Reserve::new(Arc::clone(&shared.files), &shared.dir, shared.config.reserve);
        let now = shared.clock.uptime();
        let mut writer = Self { retention_at: now, observe_at: now, shared, segments, reserve, retry_at: None };
        if let Err(error) = writer.reserve.take() {
            writer.refuse_from_now(&error);
        }
        writer
    }

    /// Works until the journal is closed and everything in the queue is answered.
    pub(crate) fn run(mut self) {
        let _closing = Closing(Arc::clone(&self.shared));
        loop {
            let shared = Arc::clone(&self.shared);
            let mut queue = shared.queue();
            while queue.items.is_empty() && !queue.is_closed {
                let now = shared.clock.uptime();
                let next =
                    [self.retry_at, Some(self.retention_at), Some(self.observe_at), queue.waiting.next_deadline()].into_iter().flatten().min().unwrap_or(now);
                let Some(patience) = next.checked_sub(now).filter(|patience| !patience.is_zero()) else { break };
                queue = shared.wait_for_work(queue, patience);
            }
            drop(queue);
            if self.step() == Stepped::Closed {
                return;
            }
        }
    }

    /// Does what is due now.
    pub(crate) fn step(&mut self) -> Stepped {
        let now = self.shared.clock.uptime();
        if self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            self.try_again();
        }
        if self.retention_at <= now {
            self.retain(retention::Pressure::None);
            self.retention_at = now + self.shared.config.retention_interval;
        }
        if self.observe_at <= now {
            self.observe();
            self.observe_at = now + OBSERVE_EVERY;
        }
        let (items, is_closed) = {
            let mut queue = self.shared.queue();
            (std::mem::take(&mut queue.items), queue.is_closed)
        };
        let is_done = items.is_empty() && is_closed;
        let mut group = Vec::new();
        for item in items {
            match item {
                Item::Batch(pending) => group.push(pending),
                Item::Body(body) => {
                    self.write_group(std::mem::take(&mut group));
                    self.write_body(body);
                }
            }
        }
        self.write_group(group);
        self.shared.queue().waiting.wake(self.shared.next_seq(), self.shared.clock.uptime());
        if is_done { Stepped::Closed } else { Stepped::Open }
    }

    fn write_group(&mut self, group: Vec<Pending>) {
        let (mut group, refused): (Vec<_>, Vec<_>) = group.into_iter().partition(|pending| self.shared.check_health(pending.may_use_reserve).is_ok());
        for pending in refused {
            if let Err(error) = self.shared.check_health(pending.may_use_reserve) {
                self.refuse(Item::Batch(pending), &error);
            }
        }
        if group.is_empty() {
            return;
        }
        match self.write_or_try_elsewhere(&mut group) {
            Ok(placed) => self.acknowledge(group, placed),
            Err(error) => {
                let error = self.refuse_from_now(&error);
                group.into_iter().for_each(|pending| self.refuse(Item::Batch(pending), &error));
            }
        }
    }

    /// A first failure may be the segment's; a second one is the disk's.
    fn write_or_try_elsewhere(&mut self, group: &mut [Pending]) -> io::Result<Placed> {
        let first = match self.write(group) {
            Ok(placed) => return Ok(placed),
            Err(error) => error,
        };
        tracing::warn!(error = %first, directory = %self.shared.dir.display(), "a write to the journal failed: it goes on in a new segment");
        if is_full(&first) {
            self.retain(retention::Pressure::DiskFull);
        }
        self.write(group)
    }

    fn write(&mut self, group: &mut [Pending]) -> io::Result<Placed> {
        let started = self.shared.clock.uptime();
        let positions = Arc::clone(&self.shared.log().positions);
        let mut blocks: Vec<_> = group.iter_mut().map(|pending| &mut pending.block).collect();
        let placed = self.segments.write(&mut blocks, &positions, self.shared.clock.now())?;
        self.shared.metrics.group_committed(self.shared.clock.uptime().saturating_sub(started));
        Ok(placed)
    }

    fn acknowledge(&mut self, group: Vec<Pending>, placed: Placed) {
        let now = self.shared.clock.now();
        self.add_segment(placed, now);
        {
            let mut log = self.shared.log();
            for position in group.iter().filter_map(|pending| pending.position.as_ref()) {
                Arc::make_mut(&mut log.positions).insert(Arc::clone(&position.name), position.bytes.clone());
            }
        }
        let mut parked = self.shared.confirm(group.iter().flat_map(|pending| pending.block.ids()), now);
        let mut seq = placed.first_seq;
        let keeps_recent = !self.shared.log().readers.is_empty();
        let mut answers = Vec::with_capacity(group.len());
        for Pending { block, source, n_stored, records, answer, .. } in group {
            self.shared.metrics.acknowledged(&source, u64::from(block.n_events));
            self.shared.metrics.duplicates(&source, answer.n_duplicates);
            let appended = Appended { first_seq: (n_stored > 0).then_some(seq), n_stored, n_duplicates: answer.n_duplicates };
            if keeps_recent {
                self.shared.recent().push(RecordBlock { first_seq: seq, ..records }, self.shared.config.recent_bytes);
            }
            seq += u64::from(block.n_records);
            answers.push((answer, appended));
        }
        self.shared.set_next_seq(self.segments.next_seq());
        answers.into_iter().for_each(|(answer, appended)| self.shared.finish(answer, Ok(appended)));
        self.submit_again(&mut parked);
    }

    fn write_body(&mut self, pending: PendingBody) {
        let error = match self.shared.check_health(false) {
            Err(error) => error,
            Ok(()) => {
                let body = &pending.body;
                let mut positions = Positions::clone(&self.shared.log().positions);
                positions.extend(body.positions().iter().map(|(name, bytes)| (Arc::clone(name), bytes.clone())));
                let part = body.part();
                let now = self.shared.clock.now();
                match self.segments.adopt(&part.path, &*part.file, part.size, body.n_records(), &positions, now) {
                    Ok(placed) => return self.acknowledge_body(pending, placed, now),
                    Err(error) => self.refuse_from_now(&error),
                }
            }
        };
        self.refuse(Item::Body(pending), &error);
    }

    fn acknowledge_body(&mut self, PendingBody { mut body, answer }: PendingBody, placed: Placed, now: Timestamp) {
        body.set_adopted();
        self.add_segment(placed, now);
        Arc::make_mut(&mut self.shared.log().positions).extend(body.positions().iter().map(|(name, bytes)| (Arc::clone(name), bytes.clone())));
        let mut parked = self.shared.confirm(body.identities().iter().filter_map(|identity| identity.id), now);
        self.shared.set_next_seq(self.segments.next_seq());
        for (source, n_events) in body.n_events() {
            self.shared.metrics.acknowledged(source, *n_events);
        }
        if let Some((source, _)) = body.n_events().first() {
            self.shared.metrics.duplicates(source, answer.n_duplicates);
        }
        let appended = Appended { first_seq: Some(placed.first_seq), n_stored: body.n_records(), n_duplicates: answer.n_duplicates };
        self.shared.finish(answer, Ok(appended));
        self.submit_again(&mut parked);
    }

    fn add_segment(&mut self, placed: Placed, now: Timestamp) {
        let mut log = self.shared.log();
        let segment = log.segments.entry(placed.segment).or_insert(SegmentInfo { size: 0, created_at: now });
        segment.size = placed.size;
        if placed.is_new {
            segment.created_at = now;
        }
        self.shared.metrics.segments(log.segments.values().map(|segment| segment.size).sum(), log.segments.len());
    }

    fn refuse(&mut self, item: Item, error: &AppendError) {
        let mut parked = self.shared.refuse(item, error);
        self.submit_again(&mut parked);
    }

    fn submit_again(&self, parked: &mut Vec<Submission>) {
        parked.drain(..).for_each(|submission| self.shared.submit(submission));
    }

    /// From now on batches are refused, until [`Writer::try_again`] succeeds.
    fn refuse_from_now(&mut self, error: &io::Error) -> AppendError {
        let append_error = self.shared.append_error(error);
        if matches!(append_error, AppendError::Full { .. }) {
            self.reserve.release();
        }
        self.retry_at = Some(self.shared.clock.uptime() + self.shared.config.retry_after);
        let mut log = self.shared.log();
        if matches!(log.health, Health::Writable) {
            tracing::error!(error = %error, directory = %self.shared.dir.display(), "the journal refuses batches");
            log.health = Health::Refusing { error: append_error.clone(), since: self.shared.clock.now() };
            self.shared.metrics.set_writable(false);
        }
        append_error
    }

    /// Whether the disk takes something again: the reserve and a segment's beginning.
    fn try_again(&mut self) {
        self.retry_at = Some(self.shared.clock.uptime() + self.shared.config.retry_after);
        self.retain(retention::Pressure::DiskFull);
        let positions = Arc::clone(&self.shared.log().positions);
        let result = self.reserve.take().and_then(|()| self.segments.write(&mut [], &positions, self.shared.clock.now()));
        match result {
            Ok(placed) => {
                self.retry_at = None;
                self.add_segment(placed, self.shared.clock.now());
                self.shared.log().health = Health::Writable;
                self.shared.metrics.set_writable(true);
                tracing::info!(directory = %self.shared.dir.display(), "the journal takes batches again");
            }
            Err(error) => {
                if is_full(&error) {
                    self.reserve.release();
                }
            }
        }
    }

    fn retain(&mut self, pressure: retention::Pressure) {
        retention::run(&self.shared, pressure);
    }

    fn observe(&mut self) {
        let (next_seq, now) = (self.shared.next_seq(), self.shared.clock.now());
        for (name, reader) in &self.shared.log().readers {
            self.shared.metrics.reader_lag(name, next_seq.saturating_sub(reader.cursor), reader.lag(next_seq, now));
        }
        if let Ok(free) = self.shared.files.free_space(&self.shared.dir) {
            self.shared.metrics.free_bytes(free);
        }
    }
}

/// Whether the disk has no room, rather than a fault.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
