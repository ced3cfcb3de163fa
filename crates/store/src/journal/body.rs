//! A large body on its way in: its batches lie in a file of their own that is no part of the journal, until
//! committing gives it a header and a segment's name. So all of it is there after a crash, or nothing.
//!
//! [`LocalStaged`] is what callers push into; it keeps a small body in memory, as one batch. A [`Body`] is the
//! finished file, on its way through the duplicate window to the writer.

use std::path::PathBuf;
use std::sync::Arc;

use decklog_audit::journal::{AppendError, Appended, Appending, Batch, RecordHead, SourcePosition, Staged};
use hashbrown::HashSet;

use super::duplicates::Identity;
use super::oneshot::oneshot;
use super::segment_writer::Positions;
use super::shared::Shared;
use super::submit::{Submission, select};
use crate::files::{File, Files, SyncPoint, read_range};
use crate::format::block::BlockHeader;
use crate::format::encode::{Content, EncodedBlock};
use crate::format::segment;

/// Written bytes after which a body is synced on its way, so that committing it does not hold up others. Only a
/// matter of pace: durable it becomes by the sync at its end.
const SYNC_EVERY: u64 = 16 << 20;

/// A finished body.
pub(crate) struct Body {
    shared: Arc<Shared>,
    part: Part,
    blocks: Vec<BlockPlace>,
    identities: Vec<Identity>,
    /// Stored events by source.
    n_events: Vec<(Arc<str>, u64)>,
    n_duplicates: u64,
    positions: Positions,
}

#[derive(Clone, Copy)]
struct BlockPlace {
    offset: u64,
    n_records: u32,
}

/// The file a body lies in; removed when it is dropped before it became a segment.
pub(crate) struct Part {
    files: Arc<dyn Files>,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) size: u64,
    n_unsynced: u64,
    is_adopted: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_adopted {
            // What stays is removed at the next start.
            let _ = self.files.remove(&self.path);
        }
    }
}

impl Body {
    fn new(shared: &Arc<Shared>) -> Result<Self, AppendError> {
        let path = shared.new_part_path();
        let file = shared.files.create(&path).map_err(|error| shared.append_error(&error))?;
        let part = Part { files: Arc::clone(&shared.files), path, file, size: segment::HEADER_SIZE as u64, n_unsynced: 0, is_adopted: false };
        Ok(Self {
            shared: Arc::clone(shared),
            part,
            blocks: Vec::new(),
            identities: Vec::new(),
            n_events: Vec::new(),
            n_duplicates: 0,
            positions: Positions::new(),
        })
    }

    pub(crate) fn identities(&self) -> &[Identity] {
        &self.identities
    }

    pub(crate) fn n_duplicates(&self) -> u64 {
        self.n_duplicates
    }

    pub(crate) fn n_records(&self) -> u64 {
        self.identities.len() as u64
    }

    pub(crate) fn n_events(&self) -> &[(Arc<str>, u64)] {
        &self.n_events
    }

    pub(crate) fn positions(&self) -> &Positions {
        &self.positions
    }

    pub(crate) fn part(&self) -> &Part {
        &self.part
    }

    /// The file is a segment now.
    pub(crate) fn set_adopted(&mut self) {
        self.part.is_adopted = true;
    }

    /// Writes one block; its source's position is kept for the whole body's end.
    fn write(&mut self, content: &Content<'_>) -> Result<(), AppendError> {
        let shared = Arc::clone(&self.shared);
        let limit = shared.config.max_body_events;
        if self.identities.len() + content.heads.len() > limit {
            return Err(AppendError::Unwritable { reason: format!("a body of more than {limit} events is not taken: send it in parts") });
        }
        let mut block = EncodedBlock::new(content).map_err(|error| AppendError::Unwritable { reason: error.to_string() })?;
        block.place(&shared.journal_id, self.n_records(), 0);
        self.part.append(block.bytes()).map_err(|error| shared.append_error(&error))?;
        self.blocks.push(BlockPlace { offset: self.part.size - block.bytes().len() as u64, n_records: block.n_records });
        self.identities.extend(content.heads.iter().map(Identity::of));
        self.count(&content.origin.source, u64::from(block.n_events));
        Ok(())
    }

    fn count(&mut self, source: &Arc<str>, n_events: u64) {
        match self.n_events.iter_mut().find(|(known, _)| known == source) {
            Some((_, n)) => *n += n_events,
            None => self.n_events.push((Arc::clone(source), n_events)),
        }
    }

    /// The same body with the records `kept` only: others were stored since they were pushed.
    pub(crate) fn without_others(self, kept: &[usize]) -> Result<Self, AppendError> {
        let shared = Arc::clone(&self.shared);
        let mut other = Self::new(&shared)?;
        other.positions.clone_from(&self.positions);
        other.n_duplicates = self.n_duplicates;
        let mut kept = kept.iter().copied().peekable();
        let mut first = 0;
        for place in &self.blocks {
            let end = first + place.n_records as usize;
            let of_block: Vec<usize> = std::iter::from_fn(|| kept.next_if(|index| *index < end)).map(|index| index - first).collect();
            first = end;
            if !of_block.is_empty() {
                self.copy_block(*place, &of_block, &mut other)?;
            }
        }
        Ok(other)
    }

    fn copy_block(&self, place: BlockPlace, kept: &[usize], to: &mut Self) -> Result<(), AppendError> {
        let unreadable = || AppendError::Unwritable { reason: "a staged body could not be read back".to_owned() };
        let length = usize::try_from(self.part.size - place.offset).unwrap_or(usize::MAX);
        let front = read_range(&*self.part.file, place.offset, length.min(1 << 17)).map_err(|_| unreadable())?;
        let (header, meta) = BlockHeader::decode(&front, &self.shared.journal_id).map_err(|_| unreadable())?;
        let origin = meta.origin();
        let block = read_range(&*self.part.file, place.offset, usize::try_from(header.size()).unwrap_or(usize::MAX)).map_err(|_| unreadable())?;
        if !header.is_whole(&block) {
            return Err(unreadable());
        }
        let (heads, bytes) = header.records(&block).ok_or_else(unreadable)?;
        let mut batch = Batch::new(origin, header.ingested_at);
        let mut start = 0;
        for head in heads {
            let end = head.end;
            let pushed: Result<(), std::convert::Infallible> = batch.push_with(|out| {
                out.extend_from_slice(&bytes[start..end]);
                Ok(head)
            });
            let Ok(()) = pushed;
            start = end;
        }
        let (heads, bytes) = select(&batch, kept);
        to.write(&Content { origin: &batch.origin, ingested_at: header.ingested_at, position: None, heads: &heads, bytes: &bytes, is_checkpoint: false })
    }
}

impl Part {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_at(bytes, self.size)?;
        self.size += bytes.len() as u64;
        self.n_unsynced += bytes.len() as u64;
        if self.n_unsynced >= SYNC_EVERY {
            self.file.sync_data(SyncPoint::Body)?;
            self.n_unsynced = 0;
        }
        Ok(())
    }
}

/// See [`Staged`].
pub(crate) struct LocalStaged {
    shared: Arc<Shared>,
    /// What was pushed, while it is small and of one origin.
    waiting: Option<Batch>,
    body: Option<Body>,
    /// Ids pushed so far, durable or not.
    seen: HashSet<[u8; 16]>,
    n_duplicates: u64,
    /// Why a push failed: such a body cannot be committed, part of it may be missing.
    failed: Option<AppendError>,
}

impl LocalStaged {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, waiting: None, body: None, seen: HashSet::new(), n_duplicates: 0, failed: None }
    }

    /// Writes `batch` to the body's file, without what is stored already or was pushed before.
    fn write_out(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let body = match &mut self.body {
            Some(body) => body,
            none => none.insert(Body::new(&self.shared)?),
        };
        if let Some(SourcePosition { name, bytes }) = batch.position.clone() {
            body.positions.insert(name, bytes);
        }
        let mut is_new = |head: &RecordHead| head.id.is_none_or(|id| !self.shared.is_durable_event(id, head.former_id) && self.seen.insert(id.0));
        let kept: Vec<usize> = batch.heads().iter().enumerate().filter_map(|(index, head)| is_new(head).then_some(index)).collect();
        self.n_duplicates += (batch.n_records() - kept.len()) as u64;
        if kept.is_empty() {
            return Ok(());
        }
        let selected = (kept.len() < batch.n_records()).then(|| select(batch, &kept));
        let (heads, bytes) = selected.as_ref().map_or((batch.heads(), batch.bytes()), |(heads, bytes)| (heads, bytes));
        body.write(&Content { origin: &batch.origin, ingested_at: batch.ingested_at, position: None, heads, bytes, is_checkpoint: false })
    }
}

impl LocalStaged {
    fn take_in(&mut self, batch: Batch) -> Result<(), AppendError> {
        self.shared.check_health(false)?;
        let Some(waiting) = self.waiting.take() else {
            if self.body.is_none() {
                self.waiting = Some(batch);
                return Ok(());
            }
            return self.write_out(&batch);
        };
        let fits = ((waiting.bytes().len() + batch.bytes().len()) as u64) < self.shared.config.body_in_memory;
        if fits && waiting.origin == batch.origin && waiting.position.is_none() {
            self.waiting = Some(joined(waiting, &batch));
            return Ok(());
        }
        self.write_out(&waiting)?;
        self.write_out(&batch)
    }
}

impl Staged for LocalStaged {
    fn push(&mut self, batch: Batch) -> Result<(), AppendError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.take_in(batch).inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn commit(mut self: Box<Self>) -> Appending {
        if let Some(error) = self.failed.take() {
            return Box::pin(std::future::ready(Err(error)));
        }
        if let Some(batch) = self.waiting.take() {
            return Shared::append(&self.shared, batch);
        }
        let Some(mut body) = self.body.take() else {
            return Box::pin(std::future::ready(Ok(Appended::default())));
        };
        body.n_duplicates = self.n_duplicates;
        let (completion, outcome) = oneshot();
        self.shared.submit(Submission::Body { body, completion });
        Box::pin(outcome)
    }
}

/// Both batches as one.
fn joined(mut first: Batch, second: &Batch) -> Batch {
    for (index, head) in second.heads().iter().enumerate() {
        let pushed: Result<(), std::convert::Infallible> = first.push_with(|out| {
            out.extend_from_slice(second.record(index));
            Ok(*head)
        });
        let Ok(()) = pushed;
    }
    first.position.clone_from(&second.position);
    first
}
