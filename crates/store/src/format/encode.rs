//! Writing one block: a batch as it lies on disk. The layout stands in the header of [`super`].
//!
//! In two steps: [`EncodedBlock::new`] compresses and checksums on the caller's thread;
//! [`EncodedBlock::place`] sets the place, which only the writer knows, and seals the header.

use std::cell::RefCell;
use std::io;

use decklog_audit::Timestamp;
use decklog_audit::journal::{EventId, Origin, RecordHead, RecordKind, SourcePosition};

use super::block::{FLAG_CHECKPOINT, HEAD_SIZE, HEADER_SIZE, MAGIC, MAX_META, MAX_PART, MAX_RECORDS, header_checksum, ids};
use super::{Bytes, put_position, put_short_text, put_time};

/// Fast, and within a few per cent of the next levels on audit events.
const ZSTD_LEVEL: i32 = 1;
/// A thread keeps its buffer for compression up to this size.
const MAX_KEPT_FRAME: usize = 4 << 20;

thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What goes into a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) ingested_at: Timestamp,
    pub(crate) position: Option<&'a SourcePosition>,
    pub(crate) heads: &'a [RecordHead],
    pub(crate) bytes: &'a [u8],
    pub(crate) is_checkpoint: bool,
}

/// A block ready but for its place.
#[derive(Clone, Debug)]
pub(crate) struct EncodedBlock {
    bytes: Vec<u8>,
    meta_end: usize,
    pub(crate) n_records: u32,
    pub(crate) n_events: u32,
}

/// Why a batch does not fit into a block.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("a batch of {0} bytes is more than a block takes (1 GiB)")]
    TooLarge(usize),
    #[error("a batch of {0} records is more than a block takes ({MAX_RECORDS})")]
    TooMany(usize),
    #[error("a source position or origin of {0} bytes is more than a block takes (64 KiB)")]
    MetaTooLarge(usize),
    #[error("compression failed: {0}")]
    Compress(io::Error),
}

impl EncodedBlock {
    pub(crate) fn new(content: &Content<'_>) -> Result<Self, EncodeError> {
        if content.bytes.len() >= MAX_PART {
            return Err(EncodeError::TooLarge(content.bytes.len()));
        }
        if content.heads.len() > MAX_RECORDS {
            return Err(EncodeError::TooMany(content.heads.len()));
        }
        let n_ids = content.heads.iter().filter(|head| head.id.is_some()).count();
        let mut bytes = Vec::with_capacity(1024 + n_ids * 16 + content.bytes.len() / 6);
        bytes.resize(HEADER_SIZE, 0);
        put_meta(&mut bytes, content.origin, content.position);
        let meta_end = bytes.len();
        if meta_end - HEADER_SIZE > MAX_META {
            return Err(EncodeError::MetaTooLarge(meta_end - HEADER_SIZE));
        }
        for id in content.heads.iter().filter_map(|head| head.id) {
            bytes.extend_from_slice(&id.0);
        }
        let heads_start = bytes.len();
        compress(&heads_part(content.heads), &mut bytes)?;
        let bytes_start = bytes.len();
        compress(content.bytes, &mut bytes)?;

        let summary = Summary::of(content);
        let mut header = Vec::with_capacity(HEADER_SIZE);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&(if content.is_checkpoint { FLAG_CHECKPOINT } else { 0 }).to_le_bytes());
        header.extend_from_slice(&[summary.kinds, 0]);
        for number in [
            meta_end - HEADER_SIZE,
            n_ids,
            bytes_start - heads_start,
            bytes.len() - bytes_start,
            content.bytes.len(),
            crc32c::crc32c(&bytes[meta_end..]) as usize,
            content.heads.len(),
            summary.n_events as usize,
        ] {
            header.extend_from_slice(&(number as u32).to_le_bytes());
        }
        header.extend_from_slice(&[0; 12]);
        put_time(&mut header, content.ingested_at);
        put_time(&mut header, summary.min_time);
        put_time(&mut header, summary.max_time);
        bytes[..header.len()].copy_from_slice(&header);
        Ok(Self { bytes, meta_end, n_records: content.heads.len() as u32, n_events: summary.n_events })
    }

    /// Sets where the block lies, and seals it.
    pub(crate) fn place(&mut self, journal_id: &[u8; 16], seq_in_segment: u64, back_to_group: u32) {
        self.bytes[44..48].copy_from_slice(&back_to_group.to_le_bytes());
        self.bytes[48..56].copy_from_slice(&seq_in_segment.to_le_bytes());
        let checksum = header_checksum(journal_id, &self.bytes[8..self.meta_end]);
        self.bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The ids of its events.
    pub(crate) fn ids(&self) -> impl Iterator<Item = EventId> + '_ {
        let n_ids = Bytes(&self.bytes[16..20]).u32().unwrap_or(0) as usize;
        ids(&self.bytes[self.meta_end..self.meta_end + n_ids * 16])
    }
}

struct Summary {
    kinds: u8,
    n_events: u32,
    min_time: Timestamp,
    max_time: Timestamp,
}

impl Summary {
    fn of(content: &Content<'_>) -> Self {
        let mut summary = Self { kinds: 0, n_events: 0, min_time: content.ingested_at, max_time: content.ingested_at };
        for head in content.heads {
            summary.kinds |= kind_bit(head.kind);
            if head.kind == RecordKind::Event {
                let is_first = summary.n_events == 0;
                summary.min_time = if is_first { head.time } else { summary.min_time.min(head.time) };
                summary.max_time = if is_first { head.time } else { summary.max_time.max(head.time) };
                summary.n_events += 1;
            }
        }
        summary
    }
}

fn kind_bit(kind: RecordKind) -> u8 {
    match kind {
        RecordKind::Event => 1,
        RecordKind::Alert => 2,
        RecordKind::Mark => 4,
        RecordKind::Unknown(_) => 128,
    }
}

fn put_meta(out: &mut Vec<u8>, origin: &Origin, position: Option<&SourcePosition>) {
    put_short_text(out, &origin.cluster);
    put_short_text(out, &origin.source);
    put_short_text(out, &origin.sender);
    out.push(u8::from(position.is_some()));
    if let Some(position) = position {
        put_position(out, &position.name, &position.bytes);
    }
}

fn heads_part(heads: &[RecordHead]) -> Vec<u8> {
    let mut out = Vec::with_capacity(heads.len() * HEAD_SIZE);
    out.extend(heads.iter().map(|head| head.kind.code()));
    out.extend(heads.iter().map(|head| head.flags.0));
    out.extend(heads.iter().map(|head| u8::from(head.id.is_some())));
    let mut start = 0;
    for head in heads {
        out.extend_from_slice(&((head.end - start) as u32).to_le_bytes());
        start = head.end;
    }
    heads.iter().for_each(|head| out.extend_from_slice(&head.time.seconds().to_le_bytes()));
    heads.iter().for_each(|head| out.extend_from_slice(&head.time.nanoseconds().to_le_bytes()));
    out
}

fn compress(part: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        FRAME.with_borrow_mut(|frame| {
            let compressor = match compressor {
                Some(compressor) => compressor,
                none => none.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(EncodeError::Compress)?),
            };
            frame.clear();
            frame.reserve(zstd::zstd_safe::compress_bound(part.len()));
            compressor.compress_to_buffer(part, frame).map_err(EncodeError::Compress)?;
            out.extend_from_slice(frame);
            if frame.capacity() > MAX_KEPT_FRAME {
                *frame = Vec::new();
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::block::{BlockHeader, MAX_RECORDS, NoHeader};
    use decklog_audit::journal::RecordFlags;

    fn block(n_records: usize, bytes: &[u8]) -> Result<EncodedBlock, EncodeError> {
        let head =
            RecordHead { kind: RecordKind::Mark, flags: RecordFlags::default(), end: bytes.len(), id: None, time: Timestamp::default(), former_id: None };
        let heads = vec![head; n_records];
        EncodedBlock::new(&Content {
            origin: &Origin::default(),
            ingested_at: Timestamp::default(),
            position: None,
            heads: &heads,
            bytes,
            is_checkpoint: false,
        })
    }

    /// The block with another number in its header, sealed again.
    fn with_number(mut block: EncodedBlock, at: usize, number: u32) -> EncodedBlock {
        block.bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        block.place(&[1; 16], 0, 0);
        block
    }

    #[test]
    fn a_frame_is_unpacked_only_to_the_size_both_it_and_the_header_say() {
        let zeros = vec![0; 1 << 20];
        for (size, is_right) in [(1 << 20, true), ((1 << 20) - 1, false), (1 << 30, false)] {
            let block = with_number(block(1, &zeros).unwrap(), 28, size);
            let (header, _) = BlockHeader::decode(block.bytes(), &[1; 16]).unwrap();
            assert!(header.is_whole(block.bytes()));
            assert_eq!(header.records(block.bytes()).is_some(), is_right, "{size}");
        }
    }

    #[test]
    fn a_block_has_a_bounded_number_of_records_written_and_read() {
        assert!(matches!(block(MAX_RECORDS + 1, b"x"), Err(EncodeError::TooMany(_))));
        let most = with_number(block(MAX_RECORDS, b"x").unwrap(), 36, MAX_RECORDS as u32);
        assert!(BlockHeader::decode(most.bytes(), &[1; 16]).is_ok());
        let more = with_number(most, 36, MAX_RECORDS as u32 + 1);
        assert_eq!(BlockHeader::decode(more.bytes(), &[1; 16]).unwrap_err(), NoHeader::Bad);
    }
}
