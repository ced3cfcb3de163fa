//! The journal's format, version 1. Little-endian throughout; times are seconds since 1970 (i64) and
//! nanoseconds (u32).
//!
//! ```text
//! <data dir>/journal/
//!   00000000000000000001.seg      a segment, named by the sequence number of its first record
//!   body-3.part                   a large body on its way in; removed at start
//!   reserve                       space kept free for cursors and marks when the disk is full
//!   cursors/<reader>.cursor       see `cursor.rs`
//!
//! segment = header, block, block, …
//!   header (64 bytes)                              block
//!    0  8  "decklogJ"                               header (96 bytes)
//!    8  2  version, 1                                0  4  DB 'D' 'L' 'B'
//!   10  1  codec, 0 = clear                          4  4  CRC-32C of journal id, header from 8, meta
//!   11  1  0                                         8  2  flags: 1 = checkpoint
//!   12  4  id of the key, 0 = none                  10  1  kinds in it: 1 event, 2 alert, 4 mark, 128 other
//!   16 16  journal id                               11  1  0
//!   32  8  sequence number of the first record      12  4  length of meta
//!   40 12  when it was made                         16  4  number of ids
//!   52  8  0                                        20  4  length of heads, compressed
//!   60  4  CRC-32C of bytes 0 to 60                 24  4  length of bytes, compressed
//!                                                   28  4  length of bytes
//!                                                   32  4  CRC-32C of ids, heads, bytes as stored
//!                                                   36  4  number of records
//!                                                   40  4  number of events
//!                                                   44  4  offset back to the first block of its group
//!                                                   48  8  first sequence number − the segment's
//!                                                   56 12  when it came in
//!                                                   68 12  smallest event time
//!                                                   80 12  largest event time
//!                                                   92  4  0
//!                                                  meta:  cluster, source, sender, each length (u16), bytes;
//!                                                         then 0, or 1, name (u16, bytes), position (u32, bytes)
//!                                                  ids:   16 bytes for each record that has one
//!                                                  heads: a zstd frame: kinds (u8 each), flags (u8), whether it
//!                                                         has an id (u8), lengths (u32), times (i64), times (u32)
//!                                                  bytes: a zstd frame: the records, one after the other
//! ```
//!
//! **A batch is a block**: it is there whole or not at all, with the source's position in its meta. A block
//! always has at least one record; a position alone travels with one record of kind 0, which readers skip as
//! they skip every kind they do not know. A *checkpoint* has no records: its bytes are the positions of all
//! sources at that moment (name and position as in meta, one after the other); every segment has one, so
//! positions outlive retention.
//!
//! **A group** is the blocks written and synced at once. A segment takes a group only after the one before it was
//! synced; so what was acknowledged lies in earlier groups, or in a last group that was synced whole.
//!
//! **Where a segment ends**: at the last block whose sequence numbers lie below the first one of the next
//! segment. What lies behind was never acknowledged: a torn last write, or what was written before a failed
//! sync, whose batches went on into the next segment. So no file is ever cut to recover, and a restart
//! always goes on in a new segment.
//!
//! **Damage**: a header is found again, behind bytes that are none, by its first four bytes and checksum. The
//! checksum begins with the journal id, which no sender knows: bytes of an event cannot pose as a block.
//!
//! **Limits**: a block's compressed and plain parts are each below 1 GiB; meta is at most 64 KiB; it has at
//! most 1,048,576 records. A larger batch is refused (batches are a few MiB; a large body comes in parts, see
//! `body.rs`), and so is a header that claims more, or a zstd frame whose own size is not that of the header.
//!
//! **Versions**: a reader refuses a version it does not know. `testdata/journal-v1` keeps a journal of this one.

pub(crate) mod block;
pub(crate) mod encode;
pub(crate) mod segment;
pub(crate) mod walk;

/// Reads numbers and strings off the front of a slice; `None` as soon as it is too short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn id(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    pub(crate) fn time(&mut self) -> Option<decklog_audit::Timestamp> {
        let seconds = i64::from_le_bytes(self.array()?);
        decklog_audit::Timestamp::new(seconds, self.u32()?)
    }

    pub(crate) fn short_text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u16()?);
        std::str::from_utf8(self.take(length)?).ok()
    }

    pub(crate) fn long_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
}

pub(crate) fn put_time(out: &mut Vec<u8>, time: decklog_audit::Timestamp) {
    out.extend_from_slice(&time.seconds().to_le_bytes());
    out.extend_from_slice(&time.nanoseconds().to_le_bytes());
}

/// Appends a text of at most 65,535 bytes; of a longer one the beginning.
pub(crate) fn put_short_text(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    out.extend_from_slice(&(length as u16).to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..length]);
}

pub(crate) fn put_long_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a source's position, as in a block's meta and in a checkpoint.
pub(crate) fn put_position(out: &mut Vec<u8>, name: &str, position: &[u8]) {
    put_short_text(out, name);
    put_long_bytes(out, position);
}
