//! What can be set about the table.

use std::time::Duration;

/// Settings of a [`super::Table`]. Any value is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// Events are written to the table when the oldest of them has waited this long. Default 60 s: searches find them
    /// before that in the journal.
    pub flush_every: Duration,
    /// They are written sooner when they have this many bytes. Default 64 MiB; it bounds the memory they take.
    pub flush_bytes: u64,
    /// Files are merged until they have this size. Default 128 MiB: a file being written is held in memory.
    pub compact_to: u64,
    /// Files of about the same size of one day are merged when there are this many. Default 8.
    pub compact_files: usize,
    /// Days older than this are removed whole. Default: kept whatever their age.
    pub max_age: Option<Duration>,
    /// The oldest days are removed while all files together are larger. The newest day stays. Default: no bound.
    pub max_size: Option<u64>,
    /// Files that no longer belong to the table are deleted after this long: until then searches under way may read
    /// them. Default 10 minutes.
    pub vacuum_after: Duration,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            flush_every: Duration::from_secs(60),
            flush_bytes: 64 << 20,
            compact_to: 128 << 20,
            compact_files: 8,
            max_age: None,
            max_size: None,
            vacuum_after: Duration::from_secs(600),
        }
    }
}
