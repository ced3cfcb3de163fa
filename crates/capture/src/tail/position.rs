//! How far a log was read: kept by the journal in the block that holds the lines, so that lines and position
//! become durable together.

use decklog_audit::Timestamp;
use decklog_audit::intake::id_of;
use serde::{Deserialize, Serialize};

/// A file is known again by its first bytes, at most so many: they hold a whole event, and no two events of a
/// log are the same.
pub(super) const FINGERPRINT_BYTES: usize = 1024;

/// A place in the content of one file, whatever the file is called by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The format; 1.
    version: u32,
    /// A hash of the content's first [`Position::length`] bytes.
    fingerprint: String,
    /// At most [`FINGERPRINT_BYTES`], and never beyond `offset`.
    pub(super) length: usize,
    /// Where the next line starts, in unpacked bytes.
    pub(super) offset: u64,
    /// The number of lines before it.
    pub(super) line: u64,
    /// The file's device and inode, to choose between files of the same beginning.
    pub(super) identity: Identity,
    /// As in the name of a backup: backups made at this moment or later were not read to their end.
    pub(super) since: String,
}

/// Device and inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Position {
    /// Behind `line` lines and `offset` bytes of the content that starts with `head`.
    pub(super) fn new(head: &[u8], offset: u64, line: u64, identity: Identity, since: String) -> Self {
        let length = head.len().min(FINGERPRINT_BYTES).min(usize::try_from(offset).unwrap_or(usize::MAX));
        Self { version: 1, fingerprint: fingerprint(&head[..length]), length, offset, line, identity, since }
    }

    /// Before anything was read: everything written from `now` on is to be read.
    pub(super) fn begin(now: Timestamp) -> Self {
        Self::new(&[], 0, 0, Identity::default(), backup_time(now))
    }

    /// Whether nothing was read yet.
    pub(super) fn is_begin(&self) -> bool {
        self.length == 0
    }

    /// Whether `head`, the first bytes of a file, is the beginning of the file this is a position in.
    pub(super) fn fits(&self, head: &[u8]) -> bool {
        !self.is_begin() && head.get(..self.length).is_some_and(|start| fingerprint(start) == self.fingerprint)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and short texts have a JSON form")
    }

    /// Reads what [`Position::to_bytes`] wrote; `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|position: &Self| position.version == 1 && position.length <= FINGERPRINT_BYTES)
    }
}

fn fingerprint(bytes: &[u8]) -> String {
    id_of("fingerprint", bytes).to_string()
}

/// A moment as lumberjack puts it into the name of a backup: `2026-11-22T09-51-56.085`.
pub(super) fn backup_time(time: Timestamp) -> String {
    time.micro_text().as_str()[..23].replace(':', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOON;

    #[test]
    fn written_and_read() {
        let position = Position::new(&[b'x'; 2000], 5000, 7, Identity { device: 1, inode: 2 }, backup_time(NOON()));
        assert_eq!(Position::from_bytes(&position.to_bytes()), Some(position.clone()));
        assert!(position.to_bytes().len() < 4096);
        assert_eq!(position.since, "2026-11-22T12-00-00.000");
        for other in [&b""[..], b"{}", b"\xff", b"{\"version\":2}"] {
            assert_eq!(Position::from_bytes(other), None);
        }
    }

    #[test]
    fn fits_its_own_file_only() {
        let position = Position::new(b"one\ntwo\n", 4, 1, Identity::default(), backup_time(NOON()));
        assert!(position.fits(b"one\nthree") && position.fits(b"one\n"));
        assert!(!position.fits(b"one") && !position.fits(b"two\none\n"));
        assert!(!Position::begin(NOON()).fits(b"anything"));
    }
}
