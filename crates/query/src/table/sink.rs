//! What is done with rows that match: note them, count values, count over time.

use arrow::array::RecordBatch;
use decklog_audit::filter::Candidate;
use decklog_store::table::{Column, Rows};

/// What is done with rows that match. One for each thread.
pub(crate) trait Sink: Send {
    /// The columns it looks at.
    fn columns(&self) -> Vec<Column>;

    /// Whether it looks at whole lines instead.
    fn wants_lines(&self) -> bool {
        false
    }

    /// Takes rows that match.
    fn take(&mut self, matches: &Matches<'_>);

    /// Takes a row that matches and was decoded.
    fn take_line(&mut self, spot: Spot, candidate: &Candidate<'_>);

    /// The time (microseconds) before which a row changes nothing any more, but for its number.
    fn floor(&self) -> Option<i64> {
        None
    }
}

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The file's index in the view.
    pub(crate) file: u32,
    /// The row group.
    pub(crate) group: u32,
    /// The row in it.
    pub(crate) row: u32,
}

/// Rows of a batch that match.
pub(crate) struct Matches<'a> {
    pub(crate) batch: &'a RecordBatch,
    pub(crate) rows: &'a Rows<'a>,
    /// Their indexes in the batch.
    pub(crate) at: &'a [usize],
    pub(super) file: u32,
    pub(super) group: u32,
    /// The row in the group of each row of the batch.
    pub(super) numbers: &'a [u32],
}

impl Matches<'_> {
    /// Where the row at an index of the batch lies.
    pub(crate) fn spot(&self, index: usize) -> Spot {
        Spot { file: self.file, group: self.group, row: self.numbers[index] }
    }
}
