//! Writes groups of blocks to segments, and keeps the rule that a failure closes a segment.
//!
//! Used by the journal's writer and by the quarantine. It knows nothing of queues, acknowledgements or
//! duplicates: what it is given is durable when it returns `Ok`, and is no part of the journal otherwise.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::Origin;

use super::duplicates::is_older;
use crate::files::{File, Files, SyncPoint};
use crate::format::encode::{Content, EncodedBlock};
use crate::format::put_position;
use crate::format::segment::{HEADER_SIZE, SegmentHeader, segment_name};

/// The positions of all sources, by name.
pub(crate) type Positions = std::collections::BTreeMap<Arc<str>, Vec<u8>>;

/// The segments of one directory, from the side of the one who writes them.
pub(crate) struct SegmentWriter {
    files: Arc<dyn Files>,
    dir: PathBuf,
    journal_id: [u8; 16],
    segment_size: u64,
    segment_age: Option<Duration>,
    next_seq: u64,
    current: Option<OpenSegment>,
    buffer: Vec<u8>,
}

struct OpenSegment {
    file: Arc<dyn File>,
    first_seq: u64,
    /// Up to here everything is durable.
    size: u64,
    created_at: Timestamp,
}

/// Where a group went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// The segment's first sequence number.
    pub(crate) segment: u64,
    /// The segment's size now.
    pub(crate) size: u64,
    /// Whether the segment is new.
    pub(crate) is_new: bool,
    /// The first record's sequence number.
    pub(crate) first_seq: u64,
}

impl SegmentWriter {
    pub(crate) fn new(files: Arc<dyn Files>, dir: PathBuf, journal_id: [u8; 16], segment_size: u64, next_seq: u64) -> Self {
        Self { files, dir, journal_id, segment_size, segment_age: None, next_seq, current: None, buffer: Vec::new() }
    }

    /// Begins a new segment also when the present one is this old.
    #[must_use]
    pub(crate) fn with_segment_age(self, segment_age: Option<Duration>) -> Self {
        Self { segment_age, ..self }
    }

    /// The number the next record gets.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Writes `blocks` and syncs them, in a new segment if the present one is full or old or there is none. After an
    /// error the present segment is closed: the next call begins a new one.
    pub(crate) fn write(&mut self, blocks: &mut [&mut EncodedBlock], positions: &Positions, now: Timestamp) -> io::Result<Placed> {
        let is_over = |segment: &OpenSegment| segment.size >= self.segment_size || self.segment_age.is_some_and(|age| is_older(segment.created_at, now, age));
        if self.current.as_ref().is_some_and(is_over) {
            self.current = None;
        }
        let result = match self.current.take() {
            Some(segment) => self.append(segment, blocks),
            None => self.begin(blocks, positions, now),
        };
        let n_records: u64 = blocks.iter().map(|block| u64::from(block.n_records)).sum();
        let (segment, is_new) = result?;
        let placed = Placed { segment: segment.first_seq, size: segment.size, is_new, first_seq: self.next_seq };
        self.next_seq += n_records;
        self.current = Some(segment);
        Ok(placed)
    }

    fn append(&mut self, mut segment: OpenSegment, blocks: &mut [&mut EncodedBlock]) -> io::Result<(OpenSegment, bool)> {
        self.buffer.clear();
        place(&mut self.buffer, blocks, &self.journal_id, self.next_seq - segment.first_seq, 0);
        let written = segment.file.write_at(&self.buffer, segment.size).and_then(|()| segment.file.sync_data(SyncPoint::BlockGroup));
        if let Err(error) = written {
            // What was not synced is no part of the journal even where this fails: the next segment begins
            // with the same sequence number.
            let _ = segment.file.truncate(segment.size);
            return Err(error);
        }
        segment.size += self.buffer.len() as u64;
        self.shrink_buffer();
        Ok((segment, false))
    }

    fn begin(&mut self, blocks: &mut [&mut EncodedBlock], positions: &Positions, now: Timestamp) -> io::Result<(OpenSegment, bool)> {
        let header = SegmentHeader { journal_id: self.journal_id, first_seq: self.next_seq, created_at: now };
        let mut checkpoint = checkpoint(positions, now)?;
        self.buffer.clear();
        self.buffer.extend_from_slice(&header.encode());
        place(&mut self.buffer, &mut [&mut checkpoint], &self.journal_id, 0, HEADER_SIZE);
        place(&mut self.buffer, blocks, &self.journal_id, 0, HEADER_SIZE);
        let path = self.dir.join(segment_name(self.next_seq));
        let written = self.files.create(&path).and_then(|file| {
            file.write_at(&self.buffer, 0)?;
            file.sync_data(SyncPoint::BlockGroup)?;
            self.files.sync_dir(&self.dir, SyncPoint::NewSegment)?;
            Ok(file)
        });
        match written {
            Ok(file) => {
                let size = self.buffer.len() as u64;
                self.shrink_buffer();
                Ok((OpenSegment { file, first_seq: self.next_seq, size, created_at: now }, true))
            }
            Err(error) => {
                // If it stays, the next segment of this name takes its place.
                let _ = self.files.remove(&path);
                Err(error)
            }
        }
    }

    /// Makes `part`, a file of blocks numbered from 0 with room for a header, the next segment.
    pub(crate) fn adopt(&mut self, part: &Path, file: &dyn File, size: u64, n_records: u64, positions: &Positions, now: Timestamp) -> io::Result<Placed> {
        // Whatever happens, the present segment is over: a segment of this number may come to be.
        self.current = None;
        let header = SegmentHeader { journal_id: self.journal_id, first_seq: self.next_seq, created_at: now };
        let mut checkpoint = checkpoint(positions, now)?;
        checkpoint.place(&self.journal_id, n_records, 0);
        file.write_at(checkpoint.bytes(), size)?;
        file.write_at(&header.encode(), 0)?;
        file.sync_data(SyncPoint::Body)?;
        let path = self.dir.join(segment_name(self.next_seq));
        self.files.rename(part, &path)?;
        if let Err(error) = self.files.sync_dir(&self.dir, SyncPoint::BodyRename) {
            let _ = self.files.remove(&path);
            return Err(error);
        }
        let placed = Placed { segment: self.next_seq, size: size + checkpoint.bytes().len() as u64, is_new: true, first_seq: self.next_seq };
        self.next_seq += n_records;
        Ok(placed)
    }

    /// One huge group must not keep its memory.
    fn shrink_buffer(&mut self) {
        const KEPT: usize = 8 << 20;
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
    }
}

/// Appends `blocks` to `buffer` with their places set; the group began at `group_start` of the buffer.
fn place(buffer: &mut Vec<u8>, blocks: &mut [&mut EncodedBlock], journal_id: &[u8; 16], seq_in_segment: u64, group_start: usize) {
    let mut seq = seq_in_segment;
    for block in blocks {
        let back = u32::try_from(buffer.len() - group_start).unwrap_or(u32::MAX);
        block.place(journal_id, seq, back);
        buffer.extend_from_slice(block.bytes());
        seq += u64::from(block.n_records);
    }
}

fn checkpoint(positions: &Positions, now: Timestamp) -> io::Result<EncodedBlock> {
    let mut bytes = Vec::new();
    for (name, position) in positions {
        put_position(&mut bytes, name, position);
    }
    let content = Content { origin: &Origin::default(), ingested_at: now, position: None, heads: &[], bytes: &bytes, is_checkpoint: true };
    EncodedBlock::new(&content).map_err(io::Error::other)
}
