//! The seam to whatever answers searches: the journal scan, the table, or a server far away.

mod counts;
mod sql;

pub use counts::{
    Bucket, FacetCount, FacetCounter, FacetRequest, Facets, Histogram, HistogramCounter, HistogramRequest, MAX_BUCKETS, MAX_SPLIT, MAX_VALUES,
    MAX_VALUES_BYTES, count_facets, count_histogram, facets, first_value, histogram,
};
pub use sql::{SqlError, SqlErrorKind, SqlFormat, SqlRequest, SqlSummary};

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
    /// Events in range that were looked at, or that what is known of them together rules out.
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

/// What there is to search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Events stored.
    pub n_events: u64,
    /// Requests stored: events after which no other of the same request follows.
    pub n_requests: u64,
    /// The first and last event time.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The sequence number the next record gets: what an answer is `asof`.
    pub next_seq: u64,
}

impl Extent {
    /// Counts an event that comes after those counted before; its time aside, which summaries know.
    pub fn add(&mut self, hit: &Hit<'_>) {
        self.n_events += 1;
        let is_final = std::str::from_utf8(hit.line).ok().and_then(|line| crate::Event::decode(line).ok()).is_some_and(|event| event.is_final());
        self.n_requests += u64::from(is_final);
        self.next_seq = hit.seq + 1;
    }
}

/// Answers searches. Blocking: call it on a thread that may wait.
pub trait Searcher: Send + Sync {
    /// Hands every event found to `found`, in order, until that breaks or `request.stop` is set. Looks at the
    /// latter at least once for every block it reads.
    ///
    /// # Errors
    /// When the store cannot be read, or the search was stopped.
    fn search(&self, request: &SearchRequest, found: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>) -> Result<SearchSummary, SearchError>;

    /// Counts the values of fields among the events of `request` (its order, place and limit aside), in the order of
    /// `asked.fields`.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    fn facets(&self, request: &SearchRequest, asked: &FacetRequest) -> Result<(Vec<Facets>, SearchSummary), SearchError> {
        facets(self, request, asked)
    }

    /// Counts the events of `request` (its order, place and limit aside) over time.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    fn histogram(&self, request: &SearchRequest, asked: &HistogramRequest) -> Result<(Histogram, SearchSummary), SearchError> {
        histogram(self, request, asked)
    }

    /// What there is to search, until `stop` is set; the summary names what of it could not be read.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    fn extent(&self, stop: &Stop) -> Result<(Extent, SearchSummary), SearchError> {
        let request = SearchRequest { order: Order::Arrival, stop: stop.clone(), ..SearchRequest::default() };
        let mut extent = Extent::default();
        let summary = self.search(&request, &mut |hit| {
            extent.add(&hit);
            ControlFlow::Continue(())
        })?;
        extent.times = summary.extent;
        Ok((extent, summary))
    }

    /// Answers a question in SQL over the view `events` and its sisters (docs/sql.md); hands the answer to `out` in
    /// pieces of the format asked for, until that breaks.
    ///
    /// # Errors
    /// When the text is no query, asks for something that is not allowed, or is stopped by a limit.
    fn sql(&self, request: &SqlRequest, out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<SqlSummary, SqlError> {
        let _ = (request, out);
        Err(SqlError::new(SqlErrorKind::Unavailable, "this store answers no SQL"))
    }
}
