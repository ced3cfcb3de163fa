//! All work on files goes through [`Files`]: one small trait, so that tests can cut the power and fail any
//! call. [`Disk`] is the real one; [`memory`] keeps everything in memory and loses what was not synced.
//!
//! Used by every other module of this room; nothing else here opens a file. Every sync names its call site
//! ([`SyncPoint`]), which lets a test leave out exactly that one and show that something is then lost.

mod disk;
pub mod memory;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use disk::Disk;

/// The places in this room that sync. Each is necessary: `tests/power_cuts.rs` leaves each out in turn and
/// expects loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncPoint {
    /// The directories themselves, when a data directory is first used.
    NewDirectory,
    /// One group of blocks, before its batches are acknowledged.
    BlockGroup,
    /// The directory that got a new segment, before anything in the segment is acknowledged.
    NewSegment,
    /// A staged body's file, before it becomes a segment.
    Body,
    /// The directory in which a staged body became a segment.
    BodyRename,
    /// After a restart, the last group: it may have been written and never synced.
    RecoveredGroup,
    /// After a restart, the directory: its newest segment may not have been synced into it.
    RecoveredDirectory,
    /// A reader's new cursor file, before it takes the place of the old one.
    Cursor,
    /// The directory in which a cursor took the place of the old one.
    CursorRename,
    /// The directory after each removed segment, so that they go in order.
    Removal,
}

impl SyncPoint {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NewDirectory,
        Self::BlockGroup,
        Self::NewSegment,
        Self::Body,
        Self::BodyRename,
        Self::RecoveredGroup,
        Self::RecoveredDirectory,
        Self::Cursor,
        Self::CursorRename,
        Self::Removal,
    ];
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The file's name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A directory tree. Directories are made 0700 and files 0600: their content is confidential.
pub trait Files: Send + Sync {
    /// Makes the directory and its parents; tells whether it was missing.
    fn create_dir(&self, dir: &Path) -> io::Result<bool>;

    /// Opens a file for reading and writing, empty: what stood under that name is gone.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading and writing as it is.
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// The files of a directory, by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Gives a file another name, in one step taking the place of what stood there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes what the directory lists durable.
    fn sync_dir(&self, dir: &Path, why: SyncPoint) -> io::Result<()>;

    /// Bytes that can still be written below `dir` by this user.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;

    /// Takes the one write lock of `path`, leaving `holder` in it for others to read; it is held until the
    /// returned value is dropped or the process ends.
    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn Send + Sync>, LockError>;

    /// 16 bytes nobody can guess.
    fn random(&self) -> io::Result<[u8; 16]>;
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("locked by {holder}")]
    Held {
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The lock file could not be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An open file.
pub trait File: Send + Sync {
    /// Reads at `offset`, as much as there is, up to the buffer's size.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes content and size durable.
    fn sync_data(&self, why: SyncPoint) -> io::Result<()>;

    /// Cuts the file at `size`.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Takes `size` bytes of space for the file.
    fn allocate(&self, size: u64) -> io::Result<()>;

    /// The size in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// Reads `length` bytes at `offset`; fewer if the file ends before.
pub(crate) fn read_range(file: &dyn File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let available = file.size()?.saturating_sub(offset);
    let mut bytes = vec![0; length.min(usize::try_from(available).unwrap_or(usize::MAX))];
    fill(file, offset, &mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` from `offset`; cuts them where the file ends before.
pub(crate) fn fill(file: &dyn File, offset: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            n_read => filled += n_read,
        }
    }
    bytes.truncate(filled);
    Ok(())
}
