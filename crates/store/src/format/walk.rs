//! Walks a segment from block to block, and finds its way behind damage.
//!
//! Used by recovery (with [`Check::Content`]), readers and views. It reads headers through a small window, so a
//! closed segment is walked without reading the events in it.

use std::io;
use std::sync::Arc;

use super::block::{BlockHeader, HEADER_SIZE, MAGIC, MAX_META, NoHeader};
use super::segment;
use crate::files::{File, fill, read_range};

/// Bytes read at once to get at headers of small blocks: several of one event.
const WINDOW: usize = 16 << 10;
/// Bytes read at once to get at the header and meta of a block that follows a large one.
const SMALL_WINDOW: usize = 1 << 10;
/// Bytes read at once to find a header again, or to check content.
const SEARCH_WINDOW: usize = 1 << 20;

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Step {
    /// A block with a good header, at this offset.
    Block(u64, BlockHeader),
    /// Bytes that are no block, or sequence numbers without one.
    Damaged(DamagedRange),
    /// Nothing more (for an open segment: nothing more yet).
    End,
}

/// Where a segment cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamagedRange {
    pub(crate) from_offset: u64,
    pub(crate) to_offset: u64,
    pub(crate) from_seq: u64,
    pub(crate) to_seq: u64,
}

/// Whether to trust a good header or to read what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Header,
    Content,
}

/// A place in a segment.
pub(crate) struct Walk {
    file: Arc<dyn File>,
    journal_id: [u8; 16],
    first_seq: u64,
    /// Where the next segment begins; `None` for the newest one.
    end_seq: Option<u64>,
    check: Check,
    offset: u64,
    next_seq: u64,
    window: Vec<u8>,
    window_offset: u64,
    meta: Vec<u8>,
}

impl Walk {
    /// From the first block of the segment that begins with `first_seq`.
    pub(crate) fn new(file: Arc<dyn File>, journal_id: [u8; 16], first_seq: u64, check: Check) -> Self {
        let offset = segment::HEADER_SIZE as u64;
        Self { file, journal_id, first_seq, end_seq: None, check, offset, next_seq: first_seq, window: Vec::new(), window_offset: 0, meta: Vec::new() }
    }

    /// The same place in the file opened anew: another file may have come under its name.
    pub(crate) fn with_file(mut self, file: Arc<dyn File>) -> Self {
        self.file = file;
        self.window.clear();
        self
    }

    /// Goes back to a block that is to be looked at again later.
    pub(crate) fn go_back(&mut self, offset: u64, seq: u64) {
        self.offset = offset;
        self.next_seq = seq;
        self.window.clear();
    }

    /// Says that another segment follows.
    pub(crate) fn set_end(&mut self, end_seq: Option<u64>) {
        self.end_seq = end_seq;
    }

    /// The sequence number expected next.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Where the next block is expected.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// The meta of the block given last.
    pub(crate) fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// The first sequence number of a block of this segment.
    pub(crate) fn first_seq_of(&self, header: &BlockHeader) -> u64 {
        self.first_seq.saturating_add(header.seq_in_segment)
    }

    /// The next block or gap.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let size = self.file.size()?;
        if self.end_seq.is_some_and(|end| self.next_seq >= end) {
            return self.last_checkpoint(size);
        }
        match self.header_at(self.offset, size)? {
            Found::Header(header) => self.accept(self.offset, header),
            Found::Nothing => self.find_again(size),
        }
    }

    /// Behind the last record there may be a checkpoint (a staged body ends with one); all else is no part of
    /// the journal.
    fn last_checkpoint(&mut self, size: u64) -> io::Result<Step> {
        match self.header_at(self.offset, size)? {
            Found::Header(header) if header.is_checkpoint => {
                let offset = self.offset;
                self.offset += header.size();
                Ok(Step::Block(offset, header))
            }
            _ => Ok(Step::End),
        }
    }

    /// Takes a header found at `offset`; what lies between is a gap.
    fn accept(&mut self, offset: u64, header: BlockHeader) -> io::Result<Step> {
        let first_seq = self.first_seq_of(&header);
        if self.end_seq.is_some_and(|end| first_seq >= end && header.n_records > 0) {
            return Ok(self.rest_is_missing(offset));
        }
        if first_seq > self.next_seq || offset > self.offset {
            let gap = DamagedRange { from_offset: self.offset, to_offset: offset, from_seq: self.next_seq, to_seq: first_seq };
            self.offset = offset;
            self.next_seq = first_seq;
            return Ok(Step::Damaged(gap));
        }
        let end = offset + header.size();
        let end_seq = first_seq + u64::from(header.n_records);
        if self.check == Check::Content && !self.is_whole(offset, &header)? {
            self.offset = end;
            self.next_seq = end_seq;
            return Ok(Step::Damaged(DamagedRange { from_offset: offset, to_offset: end, from_seq: first_seq, to_seq: end_seq }));
        }
        self.offset = end;
        self.next_seq = end_seq;
        Ok(Step::Block(offset, header))
    }

    fn is_whole(&self, offset: u64, header: &BlockHeader) -> io::Result<bool> {
        let length = usize::try_from(header.size()).unwrap_or(usize::MAX);
        Ok(header.is_whole(&read_range(&*self.file, offset, length)?))
    }

    /// Looks for the next header behind bytes that are none.
    fn find_again(&mut self, size: u64) -> io::Result<Step> {
        let mut at = self.offset + 1;
        while at + HEADER_SIZE as u64 <= size {
            let bytes = read_range(&*self.file, at, SEARCH_WINDOW + MAGIC.len())?;
            for candidate in bytes.windows(MAGIC.len()).enumerate().filter(|(_, four)| *four == MAGIC).map(|(index, _)| at + index as u64) {
                if let Found::Header(header) = self.header_at(candidate, size)?
                    && self.first_seq_of(&header) >= self.next_seq
                {
                    return self.accept(candidate, header);
                }
            }
            at += SEARCH_WINDOW as u64;
        }
        Ok(self.rest_is_missing(size))
    }

    /// No block of this segment comes any more: a gap if the next segment begins later.
    fn rest_is_missing(&mut self, offset: u64) -> Step {
        match self.end_seq {
            Some(end) if end > self.next_seq => {
                let gap = DamagedRange { from_offset: self.offset, to_offset: offset.max(self.offset), from_seq: self.next_seq, to_seq: end };
                self.next_seq = end;
                Step::Damaged(gap)
            }
            _ => Step::End,
        }
    }

    /// The header at `offset`, if there is a good one of a block that lies within the file and is not from before.
    fn header_at(&mut self, offset: u64, size: u64) -> io::Result<Found> {
        let mut length = HEADER_SIZE;
        let journal_id = self.journal_id;
        loop {
            let bytes = self.window_at(offset, length)?;
            let n_bytes = bytes.len();
            match BlockHeader::decode(bytes, &journal_id) {
                Ok((header, _)) => {
                    let end = HEADER_SIZE + header.meta_length as usize;
                    let meta = bytes[HEADER_SIZE..end].to_vec();
                    let fits = offset + header.size() <= size && self.first_seq_of(&header) >= self.next_seq;
                    if fits {
                        self.meta = meta;
                        return Ok(Found::Header(header));
                    }
                    return Ok(Found::Nothing);
                }
                Err(NoHeader::Short(needed)) if needed > n_bytes && offset + needed as u64 <= size && needed <= HEADER_SIZE + MAX_META => {
                    length = needed;
                }
                Err(_) => return Ok(Found::Nothing),
            }
        }
    }

    /// At least `length` bytes at `offset`, if the file has them.
    fn window_at(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = self.window_offset + self.window.len() as u64;
        if offset < self.window_offset || offset + length as u64 > end {
            let is_far = offset >= end + WINDOW as u64;
            self.window.resize(length.max(if is_far { SMALL_WINDOW } else { WINDOW }), 0);
            self.window_offset = offset;
            fill(&*self.file, offset, &mut self.window).inspect_err(|_| self.window.clear())?;
        }
        let start = (offset - self.window_offset) as usize;
        Ok(&self.window[start..])
    }
}

enum Found {
    Header(BlockHeader),
    Nothing,
}
