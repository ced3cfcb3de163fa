//! What can go wrong with the table's log. Nothing is ever deleted or repaired because of it.

use super::super::place::PlaceError;

/// Why a table cannot be opened, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The place itself.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A call to the store failed; another attempt may succeed.
    #[error("cannot {step} `{path}` of the table")]
    Storage {
        /// What was being done.
        step: &'static str,
        /// With which file or directory of the table.
        path: String,
        /// Why it failed.
        #[source]
        source: object_store::Error,
    },
    /// A file of the log cannot be read as what it must be.
    #[error("`{path}` is damaged: {problem}; restore it from a copy of the table, or move the table away to start a new one")]
    Damaged {
        /// The file, relative to the table.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of the log is gone while later ones are there.
    #[error("`{path}` is missing though later files of the log are there; restore it from a copy of the table")]
    Missing {
        /// The file, relative to the table.
        path: String,
    },
    /// There is no log, but there are other files: a table whose log was lost, or no place for a table.
    #[error("`{path}` lies where a new table was to be made; restore the table's `_delta_log`, or give an empty place")]
    NotEmpty {
        /// One of the files.
        path: String,
    },
    /// The table asks for more than decklog can do.
    #[error("the table asks for {what}; decklog reads and writes reader version 1, writer version 2")]
    Protocol {
        /// What it asks for.
        what: String,
    },
    /// The table's columns are not those decklog writes.
    #[error("the table cannot take decklog's rows: {difference}; give another place")]
    Schema {
        /// The first difference.
        difference: String,
    },
    /// The columns cannot be those of a Delta table.
    #[error("these columns are no Delta table's")]
    Columns(#[source] arrow::error::ArrowError),
    /// The log could not be written down as JSON.
    #[error("cannot write the commit as JSON")]
    Encode(#[from] serde_json::Error),
    /// deltalake-core could not do its part.
    #[error("cannot {step} version {version} of the table")]
    Delta {
        /// What was being done.
        step: &'static str,
        /// The table's version.
        version: u64,
        /// Why it failed.
        #[source]
        source: Box<deltalake_core::DeltaTableError>,
    },
    /// The runtime for calls to the store could not be started.
    #[error("cannot start the table's runtime")]
    Runtime(#[source] std::io::Error),
}

impl TableError {
    /// Whether another attempt may succeed without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Storage { .. } | Self::Runtime(_))
    }
}

/// Names step and path of a failed call.
pub(crate) fn storage(step: &'static str, path: impl ToString) -> impl FnOnce(object_store::Error) -> TableError {
    move |source| TableError::Storage { step, path: path.to_string(), source }
}

/// Why a change was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A file to be removed is no longer part of the table: somebody else removed it first. Nothing was changed.
    #[error("`{path}` is no longer part of the table; plan the change again from a fresh snapshot")]
    Conflict {
        /// The file.
        path: String,
    },
    /// A file to be added is part of the table already, or is named twice. Nothing was changed.
    #[error("`{path}` is part of the table already; give each file a name of its own")]
    Duplicate {
        /// The file.
        path: String,
    },
    /// A file's name is no path inside the table, below its day. Nothing was changed.
    #[error("`{path}` is no path of a data file; it must begin with `{expected}/`")]
    Path {
        /// The name.
        path: String,
        /// The directory of its day.
        expected: String,
    },
    /// The table allows rows to be added, not removed. Nothing was changed.
    #[error("the table is append-only (`delta.appendOnly`): no row may be removed")]
    AppendOnly,
    /// Others committed first again and again. Nothing was changed.
    #[error("another writer committed first {attempts} times in a row; try again")]
    Busy {
        /// How often it was tried.
        attempts: usize,
    },
    /// The store failed, and whether the commit was written is not known. Committing the same transaction again
    /// is safe; the added files must not be deleted by anything but vacuum.
    #[error("the commit of version {version} may or may not have been written; commit it again")]
    Unknown {
        /// The version it would have.
        version: u64,
        /// Why the store failed.
        #[source]
        source: object_store::Error,
    },
    /// The log cannot be read, or not be made durable. If that is temporary, commit the change again: it is done once.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl CommitError {
    /// Whether the same change may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unknown { .. } => true,
            Self::Table(error) => error.is_temporary(),
            Self::Conflict { .. } | Self::Duplicate { .. } | Self::Path { .. } | Self::AppendOnly => false,
        }
    }
}
