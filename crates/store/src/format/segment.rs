//! A segment's header and name. The layout stands in the header of [`super`].

use decklog_audit::Timestamp;

use super::{Bytes, put_time};

/// Bytes before the first block.
pub(crate) const HEADER_SIZE: usize = 64;
const MAGIC: &[u8; 8] = b"decklogJ";
/// The version written and read.
pub(crate) const VERSION: u16 = 1;

/// What every segment says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) journal_id: [u8; 16],
    pub(crate) first_seq: u64,
    pub(crate) created_at: Timestamp,
}

/// Why a file is no segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("its header is damaged")]
    Damaged,
    #[error("its format is version {0}, this decklog reads version 1")]
    Version(u16),
    #[error("it is encrypted (codec {0}), which this decklog cannot read")]
    Codec(u8),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut out = Vec::with_capacity(HEADER_SIZE);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.journal_id);
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        put_time(&mut out, self.created_at);
        out.extend_from_slice(&[0; 8]);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        let mut header = [0; HEADER_SIZE];
        header.copy_from_slice(&out);
        header
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let content = bytes.get(..HEADER_SIZE - 4).ok_or(HeaderError::Damaged)?;
        let mut checksum = Bytes(&bytes[HEADER_SIZE - 4..]);
        if checksum.u32() != Some(crc32c::crc32c(content)) {
            return Err(HeaderError::Damaged);
        }
        Self::fields(content)
    }

    fn fields(content: &[u8]) -> Result<Self, HeaderError> {
        let mut rest = Bytes(content);
        if rest.take(8) != Some(MAGIC) {
            return Err(HeaderError::Damaged);
        }
        let version = rest.u16().ok_or(HeaderError::Damaged)?;
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let codec = rest.u8().ok_or(HeaderError::Damaged)?;
        if codec != 0 {
            return Err(HeaderError::Codec(codec));
        }
        rest.take(5);
        let journal_id = rest.id().ok_or(HeaderError::Damaged)?;
        let first_seq = rest.u64().ok_or(HeaderError::Damaged)?;
        let created_at = rest.time().ok_or(HeaderError::Damaged)?;
        Ok(Self { journal_id, first_seq, created_at })
    }
}

/// The file name of the segment that begins with `first_seq`.
pub(crate) fn segment_name(first_seq: u64) -> String {
    format!("{first_seq:020}.seg")
}

/// The first sequence number of the segment of that file name.
pub(crate) fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_name_come_back() {
        let header = SegmentHeader { journal_id: [7; 16], first_seq: 42, created_at: Timestamp::from_micros(1_700_000_000_123_456) };
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        assert_eq!(segment_name(42), "00000000000000000042.seg");
        assert_eq!(parse_segment_name("00000000000000000042.seg"), Some(42));
        for name in ["42.seg", "0000000000000000004x.seg", "00000000000000000042.part", "99999999999999999999.seg"] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }

    #[test]
    fn each_changed_byte_is_noticed() {
        let header = SegmentHeader { journal_id: [7; 16], first_seq: 42, created_at: Timestamp::default() }.encode();
        for index in 0..HEADER_SIZE {
            let mut changed = header;
            changed[index] ^= 1;
            assert_eq!(SegmentHeader::decode(&changed), Err(HeaderError::Damaged), "byte {index}");
        }
    }
}
