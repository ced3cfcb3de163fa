//! One body on its way in: chunks go in, events gather in a batch; a large body's batches are set aside and
//! committed together.
//!
//! Nothing here waits. [`Collector::take`] and [`Collector::end`] only compute; [`Collector::set_aside`] blocks on
//! the disk and is for a blocking thread; [`Collector::into_parts`] gives what is left to do.

use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::{AppendError, Batch, Origin, Staged};
use decklog_audit::quarantine::Refused;

use crate::metrics::Rejected;
use crate::recorder::{Extent, Recorder};
use crate::split::{Bad, KEPT_BYTES, Piece, Place, Splitter};

/// Event times kept for the delay histogram; of a body with more events the first ones stand for all.
const MAX_TIMES: usize = 1 << 16;

/// What is under way of one body.
pub(super) struct Collector {
    recorder: Recorder,
    origin: Arc<Origin>,
    ingested_at: Timestamp,
    batch_bytes: usize,
    splitter: Splitter,
    batch: Batch,
    staged: Option<Box<dyn Staged>>,
    refused: Vec<Refused>,
    refused_bytes: usize,
    /// The body's beginning: until something in it is recognised, and of a compressed one to its end, since
    /// only there it is known to be whole.
    beginning: Option<Vec<u8>>,
    is_packed: bool,
    n_bytes: u64,
    pub(super) tally: Tally,
}

/// What was found in a body.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Events taken, duplicates among them.
    pub(super) n_events: u64,
    pub(super) n_malformed: u64,
    pub(super) n_too_large: u64,
    /// Times of events taken.
    pub(super) times: Vec<Timestamp>,
}

impl Tally {
    pub(super) fn n_refused(&self) -> u64 {
        self.n_malformed + self.n_too_large
    }
}

/// What is to be stored of a body that is complete.
pub(super) struct Parts {
    pub(super) batch: Batch,
    pub(super) staged: Option<Box<dyn Staged>>,
    pub(super) refused: Vec<Refused>,
    pub(super) tally: Tally,
    /// Whether an EventList or an event was in it.
    pub(super) recognised: bool,
}

impl Collector {
    pub(super) fn new(recorder: Recorder, origin: Origin, ingested_at: Timestamp, batch_bytes: usize, is_packed: bool) -> Self {
        let splitter = Splitter::new(recorder.intake.max_event_bytes);
        Self {
            batch: Batch::new(origin.clone(), ingested_at),
            origin: Arc::new(origin),
            recorder,
            ingested_at,
            batch_bytes,
            splitter,
            staged: None,
            refused: Vec::new(),
            refused_bytes: 0,
            beginning: Some(Vec::new()),
            is_packed,
            n_bytes: 0,
            tally: Tally::default(),
        }
    }

    /// Takes the next bytes of the body.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.n_bytes += bytes.len() as u64;
        self.splitter.feed(bytes);
        self.drain();
        if !self.is_packed && (self.tally.n_events > 0 || self.splitter.n_lists() > 0) {
            self.beginning = None;
        } else if let Some(beginning) = &mut self.beginning {
            let room = KEPT_BYTES.saturating_sub(beginning.len()).min(bytes.len());
            beginning.extend_from_slice(&bytes[..room]);
        }
    }

    /// The body is complete.
    pub(super) fn end(&mut self) {
        self.splitter.end();
        self.drain();
    }

    fn drain(&mut self) {
        let Self { splitter, recorder, batch, tally, .. } = self;
        let mut bad = Vec::new();
        while let Some(piece) = splitter.next() {
            match piece {
                Piece::Value { bytes, form, place } => match recorder.intake.push(bytes, form, batch) {
                    Ok(()) => tally.n_events += 1,
                    Err(refusal) => bad.push(Bad::refused(bytes, &refusal, place)),
                },
                Piece::Bad(piece) => bad.push(piece),
            }
        }
        for bad in bad {
            match Rejected::from_refusal(bad.reason) {
                Rejected::TooLarge => self.tally.n_too_large += 1,
                _ => self.tally.n_malformed += 1,
            }
            self.refused_bytes += bad.bytes.len() + std::mem::size_of::<Refused>();
            let place = bad.place.to_string();
            self.refused.push(self.recorder.refused(bad, place, &self.origin, self.ingested_at));
        }
    }

    /// Whether [`Collector::set_aside`] is due.
    pub(super) fn is_full(&self) -> bool {
        self.batch.bytes().len() + self.refused_bytes > self.batch_bytes
    }

    /// Writes what has gathered to the disk, uncommitted.
    pub(super) fn set_aside(&mut self) -> Result<(), AppendError> {
        if !self.refused.is_empty() && self.refused_bytes > self.batch_bytes / 2 {
            // These stay even if the body breaks off; sent again they lie there twice, which harms nobody.
            self.recorder.quarantine.put(std::mem::take(&mut self.refused))?;
            self.refused_bytes = 0;
        }
        if self.batch.n_records() > 0 {
            let batch = std::mem::replace(&mut self.batch, Batch::new((*self.origin).clone(), self.ingested_at));
            note_times(&mut self.tally.times, &batch);
            let staged = match &mut self.staged {
                Some(staged) => staged,
                none => none.insert(self.recorder.journal.stage()?),
            };
            staged.push(batch)?;
        }
        Ok(())
    }

    /// Bytes taken, unpacked.
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Memory held, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.splitter.memory_bytes()
            + self.beginning.as_ref().map_or(0, Vec::len)
            + self.batch.bytes().len()
            + self.batch.heads().len() * 80
            + self.refused_bytes
    }

    /// What is left to do after [`Collector::end`].
    pub(super) fn into_parts(mut self) -> Parts {
        note_times(&mut self.tally.times, &self.batch);
        let recognised = self.tally.n_events > 0 || self.splitter.n_lists() > 0;
        if let (false, Some(bytes), Some(first)) = (recognised, self.beginning.take(), self.refused.first()) {
            // No EventList at all: it goes to the quarantine whole instead of in pieces.
            let place = Place { line: 1, item: None };
            let whole = Bad { bytes, size: self.n_bytes, reason: first.reason, detail: first.detail.clone(), place };
            self.refused = vec![self.recorder.refused(whole, "body".to_owned(), &self.origin, self.ingested_at)];
        }
        Parts { batch: self.batch, staged: self.staged, refused: self.refused, tally: self.tally, recognised }
    }
    /// The body could not be unpacked: what is left to keep of it, given what came.
    pub(super) fn into_broken(mut self, packed: Packed, detail: String) -> Refused {
        let unpacked = self.beginning.take().unwrap_or_default();
        let is_text = std::str::from_utf8(&packed.bytes).is_ok();
        let (extent, bytes) = match (unpacked.is_empty(), is_text) {
            (false, _) => (Extent::Beginning, unpacked),
            // Its sender forgot to compress it.
            (true, true) if packed.bytes.len() as u64 == packed.size => (Extent::Whole, packed.bytes),
            (true, true) => (Extent::Beginning, packed.bytes),
            (true, false) => (Extent::Packed, packed.bytes),
        };
        let bad = Bad { bytes, size: packed.size, reason: "malformed", detail, place: Place { line: 1, item: None } };
        self.recorder.refused_of(extent, bad, "body".to_owned(), &self.origin, self.ingested_at)
    }
}

/// A compressed body as it came.
#[derive(Default)]
pub(super) struct Packed {
    /// Its beginning, as long as nothing of it is unpacked.
    bytes: Vec<u8>,
    /// Bytes that came.
    size: u64,
}

impl Packed {
    /// Notes the next part, given how many bytes were unpacked so far.
    pub(super) fn note(&mut self, part: &[u8], n_unpacked: u64) {
        self.size += part.len() as u64;
        if n_unpacked > 0 {
            self.bytes = Vec::new();
        } else {
            let room = KEPT_BYTES.saturating_sub(self.bytes.len()).min(part.len());
            self.bytes.extend_from_slice(&part[..room]);
        }
    }

    /// Bytes that came.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether more of it would not be kept.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= KEPT_BYTES
    }
}

fn note_times(times: &mut Vec<Timestamp>, batch: &Batch) {
    let room = MAX_TIMES.saturating_sub(times.len());
    times.extend(batch.heads().iter().take(room).map(|head| head.time));
}
