//! One block: a batch as it lies on disk. The layout stands in the header of [`super`].
//!
//! Encoding is in two steps: [`EncodedBlock::new`] compresses and checksums on the caller's thread;
//! [`EncodedBlock::place`] sets the place, which only the writer knows, and seals the header.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::{EventId, Origin, RecordFlags, RecordHead, RecordKind, SourcePosition};

use super::{Bytes, put_position, put_short_text, put_time};

/// Bytes of a block's header before its meta.
pub(crate) const HEADER_SIZE: usize = 96;
pub(crate) const MAGIC: [u8; 4] = [0xdb, b'D', b'L', b'B'];
const FLAG_CHECKPOINT: u16 = 1;
/// No part of a block is larger.
pub(crate) const MAX_PART: usize = 1 << 30;
pub(crate) const MAX_META: usize = 64 << 10;
/// Fast, and within a few per cent of the next levels on audit events.
const ZSTD_LEVEL: i32 = 1;
/// A thread keeps its buffer for compression up to this size.
const MAX_KEPT_FRAME: usize = 4 << 20;
/// Bytes of one record in the heads part.
const HEAD_SIZE: usize = 1 + 1 + 1 + 4 + 8 + 4;

thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
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
    #[error("a source position or origin of {0} bytes is more than a block takes (64 KiB)")]
    MetaTooLarge(usize),
    #[error("compression failed: {0}")]
    Compress(io::Error),
}

impl EncodedBlock {
    pub(crate) fn new(content: &Content<'_>) -> Result<Self, EncodeError> {
        if content.bytes.len() >= MAX_PART || content.heads.len() * HEAD_SIZE >= MAX_PART {
            return Err(EncodeError::TooLarge(content.bytes.len()));
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

/// The ids in an ids part.
pub(crate) fn ids(part: &[u8]) -> impl Iterator<Item = EventId> + '_ {
    part.chunks_exact(16).filter_map(|id| Some(EventId(id.try_into().ok()?)))
}

fn header_checksum(journal_id: &[u8; 16], header_and_meta: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(journal_id), header_and_meta)
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

/// What can be known of a block without decompressing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) is_checkpoint: bool,
    pub(crate) kinds: u8,
    pub(crate) meta_length: u32,
    pub(crate) n_ids: u32,
    pub(crate) heads_length: u32,
    pub(crate) bytes_length: u32,
    pub(crate) bytes_size: u32,
    pub(crate) checksum: u32,
    pub(crate) n_records: u32,
    pub(crate) n_events: u32,
    pub(crate) back_to_group: u32,
    pub(crate) seq_in_segment: u64,
    pub(crate) ingested_at: Timestamp,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
}

/// A block's meta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) source: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) position: Option<(&'a str, &'a [u8])>,
}

/// What was asked of bytes that are not (yet) a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// More bytes are needed: at least this many from the header's start.
    Short(usize),
    /// These bytes are no header.
    Bad,
}

impl BlockHeader {
    /// Reads header and meta at the front of `bytes`.
    pub(crate) fn decode<'a>(bytes: &'a [u8], journal_id: &[u8; 16]) -> Result<(Self, Meta<'a>), NoHeader> {
        if bytes.len() < HEADER_SIZE {
            return Err(NoHeader::Short(HEADER_SIZE));
        }
        if bytes[..4] != MAGIC {
            return Err(NoHeader::Bad);
        }
        let header = Self::fields(&bytes[8..HEADER_SIZE]).ok_or(NoHeader::Bad)?;
        let meta_length = header.meta_length as usize;
        if meta_length > MAX_META {
            return Err(NoHeader::Bad);
        }
        let meta_end = HEADER_SIZE + meta_length;
        if bytes.len() < meta_end {
            return Err(NoHeader::Short(meta_end));
        }
        if Bytes(&bytes[4..8]).u32() != Some(header_checksum(journal_id, &bytes[8..meta_end])) {
            return Err(NoHeader::Bad);
        }
        let meta = Meta::decode(&bytes[HEADER_SIZE..meta_end]).ok_or(NoHeader::Bad)?;
        Ok((header, meta))
    }

    /// The header of a block whose header was checked before.
    pub(crate) fn of_whole_block(block: &[u8]) -> Option<Self> {
        Self::fields(block.get(8..HEADER_SIZE)?)
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let flags = rest.u16()?;
        let kinds = rest.u8()?;
        rest.u8()?;
        let header = Self {
            is_checkpoint: flags & FLAG_CHECKPOINT != 0,
            kinds,
            meta_length: rest.u32()?,
            n_ids: rest.u32()?,
            heads_length: rest.u32()?,
            bytes_length: rest.u32()?,
            bytes_size: rest.u32()?,
            checksum: rest.u32()?,
            n_records: rest.u32()?,
            n_events: rest.u32()?,
            back_to_group: rest.u32()?,
            seq_in_segment: rest.u64()?,
            ingested_at: rest.time()?,
            min_time: rest.time()?,
            max_time: rest.time()?,
        };
        let is_sane = header.bytes_size as usize <= MAX_PART
            && header.bytes_length as usize <= MAX_PART + (MAX_PART >> 4)
            && header.n_ids <= header.n_records
            && header.n_records as usize * HEAD_SIZE <= MAX_PART
            && header.seq_in_segment < 1 << 62;
        is_sane.then_some(header)
    }

    /// Bytes from the block's start to the next one.
    pub(crate) fn size(&self) -> u64 {
        HEADER_SIZE as u64 + u64::from(self.meta_length) + u64::from(self.data_length())
    }

    /// Bytes of ids, heads and bytes as stored.
    fn data_length(&self) -> u32 {
        (self.n_ids * 16).saturating_add(self.heads_length).saturating_add(self.bytes_length)
    }

    /// Whether the whole block, given from its start, has the content its header promises.
    pub(crate) fn is_whole(&self, block: &[u8]) -> bool {
        let start = HEADER_SIZE + self.meta_length as usize;
        block.get(start..start + self.data_length() as usize).is_some_and(|data| crc32c::crc32c(data) == self.checksum)
    }

    /// The records, from the whole block.
    pub(crate) fn records(&self, block: &[u8]) -> Option<(Vec<RecordHead>, Vec<u8>)> {
        let start = HEADER_SIZE + self.meta_length as usize;
        let mut rest = Bytes(block.get(start..)?);
        let mut ids = ids(rest.take(self.n_ids as usize * 16)?);
        let n_records = self.n_records as usize;
        let heads = decompress(rest.take(self.heads_length as usize)?, n_records * HEAD_SIZE)?;
        let bytes = decompress(rest.take(self.bytes_length as usize)?, self.bytes_size as usize)?;
        let mut columns = Bytes(&heads);
        let kinds = columns.take(n_records)?;
        let flags = columns.take(n_records)?;
        let has_id = columns.take(n_records)?;
        let mut lengths = Bytes(columns.take(n_records * 4)?);
        let mut seconds = Bytes(columns.take(n_records * 8)?);
        let mut nanoseconds = columns;
        let mut end = 0_usize;
        let mut heads = Vec::with_capacity(n_records);
        for index in 0..n_records {
            end = end.checked_add(lengths.u32()? as usize)?;
            heads.push(RecordHead {
                kind: RecordKind::from_code(kinds[index]),
                flags: RecordFlags(flags[index]),
                end,
                id: if has_id[index] == 1 { Some(ids.next()?) } else { None },
                time: Timestamp::new(seconds.u64()? as i64, nanoseconds.u32()?)?,
                former_id: None,
            });
        }
        let is_consistent = if self.is_checkpoint { heads.is_empty() } else { end == bytes.len() };
        is_consistent.then_some((heads, bytes))
    }
}

impl<'a> Meta<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        Some(Self {
            cluster: rest.short_text()?,
            source: rest.short_text()?,
            sender: rest.short_text()?,
            position: match rest.u8()? {
                0 => None,
                _ => Some((rest.short_text()?, rest.long_bytes()?)),
            },
        })
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin { cluster: self.cluster.into(), source: self.source.into(), sender: self.sender.into() }
    }

    /// Whether it is the origin `known`.
    pub(crate) fn has_origin(&self, known: &Arc<Origin>) -> bool {
        *known.cluster == *self.cluster && *known.source == *self.source && *known.sender == *self.sender
    }
}

fn decompress(frame: &[u8], size: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        let mut out = Vec::with_capacity(size);
        decompressor.decompress_to_buffer(frame, &mut out).ok()?;
        (out.len() == size).then_some(out)
    })
}
