//! The seam to whatever answers searches: the journal scan, the table, or a server far away.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::filter::Filter;
use crate::journal::{EventId, Origin};
use crate::time::Timestamp;

/// A half-open range of event times: `since` belongs to it, `until` does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// First moment, or no bound.
    pub since: Option<Timestamp>,
    /// The moment after the last, or no bound.
    pub until: Option<Timestamp>,
}

impl TimeRange {
    /// Whether `time` lies in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }
}

/// A half-open range of sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqRange {
    /// The first one, or no bound.
    pub from: Option<u64>,
    /// The one after the last, or no bound: an answer `asof` that sequence.
    pub until: Option<u64>,
}

/// The order of a search's answer, by (time, sequence).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
    /// As they came in: by sequence alone.
    Arrival,
}

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct SearchRequest {
    /// Which events.
    pub filter: Filter,
    /// From when to when.
    pub range: TimeRange,
    /// Only events of these places in the journal.
    pub seqs: SeqRange,
    /// Only events behind this (time, sequence) in the order asked for: where the page before ended.
    pub after: Option<(Timestamp, u64)>,
    /// The newest this many, whatever the order; `None` is all.
    pub limit: Option<usize>,
    /// How to hand them out.
    pub order: Order,
    /// Ends the search early.
    pub stop: Stop,
}

/// Ends a running search from outside, such as when who asked has gone. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The search gives [`SearchError::Stopped`] soon, whether it finds something or not.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An event that was found.
#[derive(Clone, Debug)]
pub struct Hit<'a> {
    /// Its place in the journal.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// Its time, by which it is ordered.
    pub time: Timestamp,
    /// When it came in.
    pub ingested_at: Timestamp,
    /// Where it came from.
    pub origin: &'a Arc<Origin>,
    /// The stored line, without a newline.
    pub line: &'a [u8],
}

/// What a search has to say beside the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchSummary {
    /// Events that match, handed out or not.
    pub n_matched: u64,
    /// Events handed out.
    pub n_returned: u64,
    /// Events looked at.
    pub n_scanned: u64,
    /// The first and last time among all events looked at in range.
    pub extent: Option<(Timestamp, Timestamp)>,
    /// What could not be read, in words; empty if the answer is complete.
    pub gaps: Vec<String>,
}

/// Why a search gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] crate::journal::ReadError),
    /// Who asked has gone, or the time limit is over.
    #[error("the search was stopped")]
    Stopped,
    /// Something else failed; the text says what.
    #[error("{0}")]
    Failed(String),
}

/// Answers searches. Blocking: call it on a thread that may wait.
pub trait Searcher: Send + Sync {
    /// Hands every event found to `found`, in order, until that breaks or `request.stop` is set. Looks at the
    /// latter at least once for every block it reads.
    ///
    /// # Errors
    /// When the store cannot be read, or the search was stopped.
    fn search(&self, request: &SearchRequest, found: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>) -> Result<SearchSummary, SearchError>;
}
