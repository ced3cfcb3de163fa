//! One version of the table, as a searcher, compaction and retention see it: its files and what they hold.
//!
//! A snapshot never changes; whoever has one may read its files as long as vacuum's grace lasts.

use std::collections::BTreeMap;
use std::sync::Arc;

use decklog_audit::Timestamp;

use super::lost::Lost;
use super::stats::FileStats;

/// One version of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableSnapshot {
    /// The version: the number of the commit that made it, from 0.
    pub version: u64,
    /// The files by path, so those of one day stand together.
    pub files: Vec<Arc<DataFile>>,
    /// By application (for decklog: a journal's id), the last version (a sequence number) the table has.
    pub transactions: BTreeMap<String, i64>,
}

impl TableSnapshot {
    /// The version of `application`'s work that the table has, if any.
    pub fn transaction(&self, application: &str) -> Option<i64> {
        self.transactions.get(application).copied()
    }

    /// What the table could not get of `journal`, since it was damaged there.
    pub fn lost(&self, journal: &str) -> Vec<Lost> {
        Lost::of(self.transactions.iter().filter_map(|(application, last)| Some((application.as_str(), u64::try_from(*last).ok()?))), journal)
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// A Parquet file of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Where it lies, relative to the table: `day=2026-11-20/….parquet`.
    pub path: String,
    /// The day of its rows: days since 1970-01-01.
    pub day: i32,
    /// Bytes.
    pub size: u64,
    /// Rows; `None` where another writer did not say.
    pub n_rows: Option<u64>,
    /// When it was written, to the millisecond.
    pub modified: Timestamp,
    /// What is known of its columns.
    pub stats: FileStats,
}
