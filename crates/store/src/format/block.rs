//! Reading one block: a batch as it lies on disk. The layout stands in the header of [`super`]; `encode.rs` writes it.

use std::cell::RefCell;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::{EventId, Origin, RecordFlags, RecordHead, RecordKind};

use super::Bytes;

/// Bytes of a block's header before its meta.
pub(crate) const HEADER_SIZE: usize = 96;
pub(crate) const MAGIC: [u8; 4] = [0xdb, b'D', b'L', b'B'];
pub(crate) const FLAG_CHECKPOINT: u16 = 1;
/// No part of a block is larger.
pub(crate) const MAX_PART: usize = 1 << 30;
pub(crate) const MAX_META: usize = 64 << 10;
/// No block has more records: of each one reading it keeps some 90 bytes.
pub(crate) const MAX_RECORDS: usize = 1 << 20;
/// Bytes of one record in the heads part.
pub(crate) const HEAD_SIZE: usize = 1 + 1 + 1 + 4 + 8 + 4;

thread_local! {
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The ids in an ids part.
pub(crate) fn ids(part: &[u8]) -> impl Iterator<Item = EventId> + '_ {
    part.chunks_exact(16).filter_map(|id| Some(EventId(id.try_into().ok()?)))
}

pub(crate) fn header_checksum(journal_id: &[u8; 16], header_and_meta: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(journal_id), header_and_meta)
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
            && header.n_records as usize <= MAX_RECORDS
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

/// The content of a frame, which has to say itself that it is this large: nothing is allocated for another one.
fn decompress(frame: &[u8], size: usize) -> Option<Vec<u8>> {
    if zstd::zstd_safe::get_frame_content_size(frame).ok()?? != size as u64 {
        return None;
    }
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
