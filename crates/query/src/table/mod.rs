//! Searching the table: its Parquet files, without a query engine.
//!
//! [`Finder`] finds the rows that match and counts them, and fetches the lines of those wanted; how a filter becomes
//! questions to columns stands in [`condition`] and [`access`]. The searcher joins what the journal has beyond
//! the table.

mod access;
mod bounds;
mod condition;
mod counts;
mod delta;
mod fetch;
mod files;
mod find;
mod groups;
mod kept;
mod looking;
mod narrow;
mod notes;
mod place;
mod pool;
mod sink;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::search::SearchError;
use object_store::ObjectStore;

pub(crate) use counts::{FacetSink, HistogramSink, NumberSink};
pub use delta::{DeltaSource, SnapshotSource};
pub(crate) use files::{FileReader, ReadFailure};
pub(crate) use find::{Finder, Outcome};
pub(crate) use notes::{Note, Notes};
use place::Span;
pub(crate) use sink::Sink;

/// What a search needs to know of the table: one version of it.
#[derive(Clone, Debug)]
pub struct TableView {
    /// Where the files lie.
    pub store: Arc<dyn ObjectStore>,
    /// The files.
    pub files: Vec<TableFile>,
    /// By journal (its id in hexadecimal), the last sequence number that is in the table.
    pub last_seqs: BTreeMap<String, u64>,
}

impl TableView {
    /// The first sequence number of a journal that is not in the table.
    pub(crate) fn next_seq(&self, journal_id: Option<&str>) -> u64 {
        journal_id.and_then(|id| self.last_seqs.get(id)).map_or(0, |last| last.saturating_add(1))
    }
}

/// A Parquet file of the table, as its writer `decklog_store::table::file::FileWriter` makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Where it lies in the store.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows, if known.
    pub n_rows: Option<u64>,
    /// The least and the greatest sequence number, if known.
    pub seqs: Option<(u64, u64)>,
    /// Within these times (both included) every row's lies, if known.
    pub times: Option<(Timestamp, Timestamp)>,
}

impl TableFile {
    fn span(&self) -> Span {
        let times = self.times.map(|(first, last)| (first.micros(), last.micros()));
        Span { seqs: self.seqs.unwrap_or(Span::UNKNOWN.seqs), times: times.unwrap_or(Span::UNKNOWN.times) }
    }
}

/// Gives the newest version of the table to each search.
pub trait TableSource: Send + Sync {
    /// The newest version.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn view(&self) -> Result<Arc<TableView>, SearchError>;
}

impl<F: Fn() -> Result<Arc<TableView>, SearchError> + Send + Sync> TableSource for F {
    fn view(&self) -> Result<Arc<TableView>, SearchError> {
        self()
    }
}

/// Parts files (indexes) into sets whose ranges of `key` do not overlap, in ascending order.
pub(crate) fn parted(view: &TableView, files: Vec<u32>, key: Key) -> Vec<FileSet> {
    let mut ranges: Vec<(i128, i128, u32)> = files
        .into_iter()
        .map(|number| {
            let span = view.files[number as usize].span();
            let (first, last) = match key {
                Key::Time => (i128::from(span.times.0), i128::from(span.times.1)),
                Key::Seq => (i128::from(span.seqs.0), i128::from(span.seqs.1)),
            };
            (first, last, number)
        })
        .collect();
    ranges.sort_unstable();
    let mut sets: Vec<FileSet> = Vec::new();
    for (first, last, number) in ranges {
        match sets.last_mut().filter(|set| first <= set.last) {
            Some(set) => {
                set.last = set.last.max(last);
                set.files.push(number);
            }
            None => sets.push(FileSet { first, last, files: vec![number] }),
        }
    }
    sets
}

/// What files are parted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// By time, in microseconds.
    Time,
    /// By sequence number.
    Seq,
}

/// Files whose range overlaps that of no other file.
pub(crate) struct FileSet {
    pub(crate) first: i128,
    pub(crate) last: i128,
    pub(crate) files: Vec<u32>,
}
