//! The table: every event as a row of a Delta Lake table of Parquet files, for decklog's own searches and for any
//! other engine (architecture decision 8).
//!
//! ```text
//! journal ─► writer (one of the journal's readers): sort, Parquet, commit ─► log (Delta) ◄─ compact: merge, retire, vacuum
//!                                                                              └─► snapshot: which files ─► decklog-query
//! ```
//!
//! The layout: `day=2026-11-22/*.parquet` and `_delta_log/`. Reader version 1, writer version 2, so that every Delta
//! reader takes it. The columns are in [`schema`] and docs/table.md. A commit carries the journal's id and the last
//! sequence number it holds: what comes after that is still in the journal, and searches look there.

pub mod schema;
pub mod buffer;
pub mod rows;
pub mod file;
mod merge;
pub mod read;
pub mod place;
pub mod log;
mod lost;
pub mod snapshot;
pub mod stats;
pub mod vacuum;
mod config;
pub mod plan;
mod shared;
mod writer;
mod compact;
mod mark;
mod handle;
#[cfg(test)]
mod tests;

pub use buffer::RowBuffer;
pub use compact::{Compacted, Retired};
pub use config::TableConfig;
pub use handle::{TABLE_READER, Table, TableStats};
pub use log::{CommitError, TableError, TableLog};
pub use lost::Lost;
pub use place::TablePlace;
pub use plan::Why;
pub use read::StoredFile;
pub use rows::Rows;
pub use schema::{COLUMNS, Column, ColumnType};
pub use snapshot::{DataFile, TableSnapshot};
pub use vacuum::Vacuumed;

use decklog_audit::journal::ReadError;

/// Why rows could not be written, or the table not be tended.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The log of the table cannot be read or is another table's.
    #[error(transparent)]
    Log(#[from] TableError),
    /// A commit was not written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A file could not be written.
    #[error("cannot write `{path}` of the table: {source}")]
    Store {
        /// Which one, below the table's folder.
        path: String,
        /// What the store says.
        source: object_store::Error,
    },
    /// A file is not as it was written.
    #[error("`{path}` of the table is damaged or missing: {source}")]
    Damaged {
        /// Which one, below the table's folder.
        path: String,
        /// What is wrong with it.
        source: parquet::errors::ParquetError,
    },
    /// Rows cannot be encoded; this is a fault of decklog.
    #[error("rows cannot be encoded: {0}")]
    Encode(#[from] parquet::errors::ParquetError),
    /// Rows cannot be put in order; this is a fault of decklog, or a damaged file said so.
    #[error("rows cannot be put in order: {0}")]
    Rows(#[from] arrow::error::ArrowError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// A thread could not be started.
    #[error("cannot start the table's threads: {0}")]
    Thread(std::io::Error),
    /// The table could not be written for a while, and still cannot.
    #[error("the table cannot be written: {reason}")]
    Failing {
        /// Why, as said last.
        reason: String,
    },
    /// The table is closing.
    #[error("the table is closed")]
    Closed,
}

impl WriteError {
    /// Whether the same may work later: the store did not answer, is full, or is slow.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Store { .. } => true,
            Self::Log(error) => error.is_temporary(),
            Self::Commit(error) => error.is_temporary(),
            _ => false,
        }
    }
}

/// Two places are the same where they are written the same.
impl PartialEq for TablePlace {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for TablePlace {}
