//! What one question reads: the files of one version of the table and the journal's records behind them.

use std::sync::Arc;

use decklog_store::table::DataFile;
use object_store::ObjectStore;

use super::tail::JournalTail;

/// The events of one moment, each of them once.
#[derive(Clone, Debug)]
pub struct SqlSnapshot {
    /// The table's files.
    pub files: Vec<TableFile>,
    /// Where they lie, rooted at the table.
    pub store: Arc<dyn ObjectStore>,
    /// The records that are in no file yet.
    pub tail: Option<JournalTail>,
    /// What is known to be missing, in words.
    pub gaps: Vec<String>,
}

/// A Parquet file of the table, with what is known of it without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Where it lies, relative to the table.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows, where they are known.
    pub n_rows: Option<u64>,
    /// Least and greatest sequence number.
    pub seq: Option<(i64, i64)>,
    /// Earliest and latest time, in microseconds since the epoch.
    pub time: Option<(i64, i64)>,
}

impl From<&DataFile> for TableFile {
    fn from(file: &DataFile) -> Self {
        let time = file.stats.time.map(|(first, last)| (first.micros(), last.micros()));
        Self { path: file.path.clone(), size: file.size, n_rows: file.n_rows, seq: file.stats.seq, time }
    }
}
