//! The seam to the durable log: a [`Batch`] is appended whole and acknowledged once it is safe; [`Reader`]s
//! follow with a cursor of their own.
//!
//! `decklog-store` implements it on local files. The seam is small enough that a Kafka topic may implement
//! it too: append → durable acknowledgement; next records from a cursor; commit the cursor together with
//! the reader's own state.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;

/// Where events of a batch came from. Set from the receiver's own knowledge (a credential, a configured
/// path), never from what the sender claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The cluster's name; part of every event id.
    pub cluster: Arc<str>,
    /// The source's name in the configuration, or `import`.
    pub source: Arc<str>,
    /// Who sent it: a peer address or a file path.
    pub sender: Arc<str>,
}

/// An event's id: the first 16 bytes of SHA-256(cluster ‖ 0 ‖ line), after redaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub [u8; 16]);

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventId({self})")
    }
}

/// What a journal record holds. A reader skips kinds it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// An audit event's stored line; the only kind that has an id and is checked for duplicates.
    Event,
    /// A change of an alert.
    Alert,
    /// Something decklog itself did: a search, a tail, an export, a reload (JSON).
    Mark,
    /// A kind of a later version.
    Unknown(u8),
}

impl RecordKind {
    /// The number on disk.
    pub fn code(self) -> u8 {
        match self {
            Self::Event => 1,
            Self::Alert => 2,
            Self::Mark => 3,
            Self::Unknown(code) => code,
        }
    }

    /// The kind of that number.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Event,
            2 => Self::Alert,
            3 => Self::Mark,
            code => Self::Unknown(code),
        }
    }
}

/// Facts about one record that are not in its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordFlags(pub u8);

impl RecordFlags {
    /// The event's stageTimestamp could not be read; its time is requestReceivedTimestamp, else the
    /// moment it came in.
    pub const TIME_INFERRED: Self = Self(1);
    /// Something was redacted in it.
    pub const REDACTED: Self = Self(2);

    /// Whether all of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A record's place in a [`Batch`] or [`RecordBlock`]: its bytes end at `end`, and start where the one before ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// What it holds.
    pub kind: RecordKind,
    /// Facts about it.
    pub flags: RecordFlags,
    /// Where its bytes end in the common buffer.
    pub end: usize,
    /// Its id; only events have one.
    pub id: Option<EventId>,
    /// The event's time (see [`RecordFlags::TIME_INFERRED`]); for other kinds when it was made.
    pub time: Timestamp,
    /// A second id under which this event may have been stored before: the one it has under the
    /// previous redaction key. Not stored.
    pub former_id: Option<EventId>,
}

/// How far a tailing source had read when the batch was taken: opaque to the journal, kept with the batch in
/// one block, so that position and lines become durable together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePosition {
    /// The source's name (several files of one source have several names).
    pub name: Arc<str>,
    /// What the source wrote; at most 4 KiB.
    pub bytes: Vec<u8>,
}

/// Records to append together: all of them become durable, or none.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Where they came from.
    pub origin: Origin,
    /// When they came in.
    pub ingested_at: Timestamp,
    /// The source's position after these records.
    pub position: Option<SourcePosition>,
    heads: Vec<RecordHead>,
    bytes: Vec<u8>,
}

impl Batch {
    /// An empty batch.
    pub fn new(origin: Origin, ingested_at: Timestamp) -> Self {
        Self { origin, ingested_at, ..Self::default() }
    }

    /// Adds a record whose bytes `write` appends to the common buffer; its `end` is set here.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<RecordHead, E>) -> Result<(), E> {
        let start = self.bytes.len();
        match write(&mut self.bytes) {
            Ok(head) => {
                self.heads.push(RecordHead { end: self.bytes.len(), ..head });
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    /// Adds a record that is not an event.
    pub fn push_mark(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.heads.push(RecordHead {
            kind: RecordKind::Mark,
            flags: RecordFlags::default(),
            end: self.bytes.len(),
            id: None,
            time: self.ingested_at,
            former_id: None,
        });
    }

    /// The records' heads, in order.
    pub fn heads(&self) -> &[RecordHead] {
        &self.heads
    }

    /// All records' bytes, one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The position, the heads and the bytes, taken apart.
    pub fn into_parts(self) -> (Option<SourcePosition>, Vec<RecordHead>, Vec<u8>) {
        (self.position, self.heads, self.bytes)
    }

    /// The bytes of record `index`.
    pub fn record(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.heads[index - 1].end };
        &self.bytes[start..self.heads[index].end]
    }

    /// The number of records.
    pub fn n_records(&self) -> usize {
        self.heads.len()
    }

    /// Whether it has neither records nor a position to keep.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.position.is_none()
    }
}

/// The answer to an append: it is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The first sequence number given, if any record was stored.
    pub first_seq: Option<u64>,
    /// Records stored now.
    pub n_stored: u64,
    /// Events left out since the same event is stored already.
    pub n_duplicates: u64,
}

/// Why nothing of the batch was stored. The sender should keep it and come again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// More is waiting than the journal takes at once.
    #[error("the journal is busy: {waiting_bytes} bytes are waiting, the limit is {limit_bytes}")]
    Busy {
        /// Bytes in the queue.
        waiting_bytes: u64,
        /// The queue's bound.
        limit_bytes: u64,
    },
    /// The disk is full, or has less than the reserve left.
    #[error("no space left for the journal in {directory}")]
    Full {
        /// The journal's directory.
        directory: String,
    },
    /// A write or sync failed.
    #[error("the journal cannot write: {reason}")]
    Unwritable {
        /// What failed.
        reason: String,
    },
    /// The journal is closing.
    #[error("the journal is closed")]
    Closed,
}

/// An append under way. Dropping it does not take the records back.
pub type Appending = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send>>;

/// The durable log, from the side of those who write.
pub trait Journal: Send + Sync {
    /// Queues `batch`. When the future gives `Ok`, every record is durable or a duplicate of a durable one;
    /// when it gives an error, nothing of it is stored (or, after a crash in between, at most once).
    /// Records of one caller that awaits each append keep their order.
    fn append(&self, batch: Batch) -> Appending;

    /// Begins a body too large for one block: its batches are written aside and become durable together
    /// by [`Staged::commit`].
    fn stage(&self) -> Result<Box<dyn Staged>, AppendError>;

    /// The newest durable position of a source.
    fn position(&self, name: &str) -> Option<Vec<u8>>;

    /// The sequence number the next record gets: everything below is durable and readable.
    fn next_seq(&self) -> u64;

    /// Waits until [`Journal::next_seq`] is above `seq`, or `patience` is over; gives the present value.
    fn wait_beyond(&self, seq: u64, patience: Duration) -> Pin<Box<dyn Future<Output = u64> + Send>>;
}

/// A large body on its way in. Dropped without [`Staged::commit`], nothing of it stays.
pub trait Staged: Send {
    /// Writes a batch aside; blocks on the disk.
    fn push(&mut self, batch: Batch) -> Result<(), AppendError>;

    /// Makes all pushed batches durable at once.
    fn commit(self: Box<Self>) -> Appending;
}

/// Records that were made durable together.
#[derive(Clone, Debug)]
pub struct RecordBlock {
    /// Where they came from.
    pub origin: Arc<Origin>,
    /// When they came in.
    pub ingested_at: Timestamp,
    /// The first one's sequence number; the others follow without gaps.
    pub first_seq: u64,
    /// Their heads. `time` is kept; `former_id` is not.
    pub heads: Vec<RecordHead>,
    /// Their bytes.
    pub bytes: bytes::Bytes,
}

/// One record of a block.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its place in the journal.
    pub seq: u64,
    /// Kind, flags, id, time.
    pub head: RecordHead,
    /// Where it came from.
    pub origin: &'a Arc<Origin>,
    /// When it came in.
    pub ingested_at: Timestamp,
    /// Its bytes: for an event the stored line, without a newline.
    pub bytes: &'a [u8],
}

impl RecordBlock {
    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut start = 0;
        self.heads.iter().enumerate().map(move |(index, head)| {
            let bytes = &self.bytes[start..head.end];
            start = head.end;
            Record { seq: self.first_seq + index as u64, head: *head, origin: &self.origin, ingested_at: self.ingested_at, bytes }
        })
    }

    /// The sequence number after the last record.
    pub fn end_seq(&self) -> u64 {
        self.first_seq + self.heads.len() as u64
    }
}

/// Why a reader cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Reader state is larger than the journal keeps.
    #[error("reader `{reader}` wants to keep {size} bytes of state, the limit is 65536")]
    StateTooLarge {
        /// The reader's name.
        reader: String,
        /// The state's size.
        size: usize,
    },
}

/// A range of sequence numbers that cannot be read: damaged blocks, or removed by retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First missing sequence number.
    pub from_seq: u64,
    /// The first one after the gap.
    pub to_seq: u64,
    /// Why: what is damaged and where, or that retention removed it.
    pub reason: String,
}

/// What a reader gets next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Records.
    Block(RecordBlock),
    /// Records that exist no more; the reader goes on behind them.
    Gap(Gap),
    /// Nothing yet: all durable records were read.
    End,
}

/// A follower of the journal with its own durable cursor.
pub trait Reader: Send {
    /// The next block from the cursor on; blocks on the disk, never waits for new records.
    fn next(&mut self) -> Result<Next, ReadError>;

    /// Makes the cursor (behind the last block given) and `state` (at most 64 KiB) durable in one step.
    fn commit(&mut self, state: &[u8]) -> Result<(), ReadError>;

    /// The state of the last commit; empty at first.
    fn state(&self) -> &[u8];

    /// The sequence number of the next record.
    fn position(&self) -> u64;
}
