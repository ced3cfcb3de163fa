//! What can be set about the journal.

use std::time::Duration;

/// Settings of a [`crate::LocalJournal`]. Any value is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// A segment takes no more blocks from this size on. Default 64 MiB.
    pub segment_size: u64,
    /// Bytes that may wait to be written before [`decklog_audit::journal::AppendError::Busy`]. Default 64 MiB. One batch
    /// that is larger is taken when nothing else waits.
    pub queue_bytes: u64,
    /// Bytes of a staged body kept in memory; a larger one goes to a file of its own. Default 8 MiB.
    pub body_in_memory: u64,
    /// Bytes of the newest records that are kept in memory for readers. Default 16 MiB.
    pub recent_bytes: u64,
    /// Different events a staged body may have; of each some 70 bytes are kept in memory until it is committed. A
    /// body of more is refused. Default 4,194,304: a body of 1 GiB whose events have 256 bytes.
    pub max_body_events: usize,
    /// Segments whose newest record came in longer ago are removed; a segment takes no more blocks
    /// once it is a sixteenth of this old. Default: kept whatever their age.
    pub max_age: Option<Duration>,
    /// The oldest segments are removed while all together are larger. Default: no bound.
    pub max_size: Option<u64>,
    /// Readers that retention never overtakes, not even on a full disk: without their having read it, nothing goes, also
    /// while they are not there. On a full disk the journal then refuses what comes. Default: none, so that limits count
    /// more than a reader that lags once the disk is full.
    pub never_overtaken: Vec<String>,
    /// Space kept free for cursors, marks and retention when the disk is full. Default 16 MiB.
    pub reserve: u64,
    /// The duplicate window.
    pub duplicates: DuplicateWindow,
    /// How long to wait before a disk that failed is tried again. Default 1 s.
    pub retry_after: Duration,
    /// How often retention looks. Default 60 s.
    pub retention_interval: Duration,
}

/// How far back an event is recognised as stored before: at least `min_age` and `min_events`, unless that
/// would be more than `max_events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateWindow {
    /// Default 10 minutes.
    pub min_age: Duration,
    /// Default 1,000,000.
    pub min_events: usize,
    /// Bounds memory: 20 to 40 bytes each. Default 3,670,016, which take 71 MiB: 10 minutes of 6,000 events a second. It is just what
    /// two tables of 2,097,152 places hold; one more would double them.
    pub max_events: usize,
}

impl Default for DuplicateWindow {
    fn default() -> Self {
        Self { min_age: Duration::from_secs(600), min_events: 1_000_000, max_events: 2 * (1 << 21) / 8 * 7 }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            segment_size: 64 << 20,
            queue_bytes: 64 << 20,
            body_in_memory: 8 << 20,
            recent_bytes: 16 << 20,
            max_body_events: 4 << 20,
            max_age: None,
            max_size: None,
            never_overtaken: Vec::new(),
            reserve: 16 << 20,
            duplicates: DuplicateWindow::default(),
            retry_after: Duration::from_secs(1),
            retention_interval: Duration::from_secs(60),
        }
    }
}
