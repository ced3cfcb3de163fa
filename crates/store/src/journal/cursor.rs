//! A reader's cursor file: where it is and what it knows, replaced as a whole.
//!
//! ```text
//! cursors/<name>.cursor      (bytes of the name other than letters, digits, `-` and `_` as %xx)
//!  0  8  "decklogC"
//!  8  2  version, 1
//! 10  2  0
//! 12 16  journal id
//! 28  8  the sequence number of the next record to read
//! 36  8  records missed so far
//! 44  4  length of the state
//! 48  …  state, at most 64 KiB
//!     4  CRC-32C of everything before
//! ```
//!
//! A commit writes `<name>.part`, syncs it, renames it, syncs the directory: after a crash the cursor and
//! the state of one commit are there, never parts of two.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Files, SyncPoint, read_range};
use crate::format::Bytes;

use super::append::PART;

const MAGIC: &[u8; 8] = b"decklogC";
const VERSION: u16 = 1;
/// The most state a reader may keep.
pub(crate) const MAX_STATE: usize = 64 << 10;
const END: &str = ".cursor";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) next_seq: u64,
    pub(crate) n_missed: u64,
    pub(crate) state: Vec<u8>,
}

impl Cursor {
    pub(crate) fn save(&self, files: &dyn Files, dir: &Path, name: &str, journal_id: &[u8; 16]) -> io::Result<()> {
        let path = path(dir, name);
        let part = dir.join(format!("{}{PART}", escaped(name)));
        let file = files.create(&part)?;
        file.write_at(&self.encode(journal_id), 0)?;
        file.sync_data(SyncPoint::Cursor)?;
        files.rename(&part, &path)?;
        files.sync_dir(dir, SyncPoint::CursorRename)
    }

    /// The cursor of that name; `None` if there is none.
    pub(crate) fn load(files: &dyn Files, path: &Path) -> io::Result<Option<Self>> {
        let file = match files.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = read_range(&*file, 0, MAX_STATE + 1024)?;
        Self::decode(&bytes).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the cursor file is damaged"))
    }

    fn encode(&self, journal_id: &[u8; 16]) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.state.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(journal_id);
        out.extend_from_slice(&self.next_seq.to_le_bytes());
        out.extend_from_slice(&self.n_missed.to_le_bytes());
        out.extend_from_slice(&(self.state.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.state);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if Bytes(checksum).u32()? != crc32c::crc32c(content) {
            return None;
        }
        let mut rest = Bytes(content);
        if rest.take(8)? != MAGIC || rest.u16()? != VERSION {
            return None;
        }
        rest.take(2 + 16)?;
        Some(Self { next_seq: rest.u64()?, n_missed: rest.u64()?, state: rest.long_bytes()?.to_vec() })
    }
}

pub(crate) fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{}{END}", escaped(name)))
}

/// The reader whose file has this name.
pub(crate) fn reader_name(file_name: &str) -> Option<String> {
    let escaped = file_name.strip_suffix(END)?;
    let mut name = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            name.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            name.push(byte);
            rest = after;
        }
    }
    String::from_utf8(name).ok()
}

fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_whatever_is_in_them() {
        for name in ["table", "sink/a b", "..", "ä%", ""] {
            let path = path(Path::new("/c"), name);
            let file_name = path.file_name().and_then(|name| name.to_str()).unwrap();
            assert_eq!(reader_name(file_name).as_deref(), Some(name));
            assert_eq!(path.parent(), Some(Path::new("/c")));
        }
    }

    #[test]
    fn each_changed_byte_is_noticed() {
        let cursor = Cursor { next_seq: 7, n_missed: 1, state: b"state".to_vec() };
        let bytes = cursor.encode(&[3; 16]);
        assert_eq!(Cursor::decode(&bytes), Some(cursor));
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(Cursor::decode(&changed), None);
            assert_eq!(Cursor::decode(&bytes[..index]), None);
        }
    }
}
