//! Questions in SQL: read only, over the views of the table (docs/sql.md).

use std::time::Duration;

use super::Stop;

/// A question in SQL.
#[derive(Clone, Debug)]
pub struct SqlRequest {
    /// One statement: `SELECT`, `WITH`, `EXPLAIN`, `SHOW COLUMNS` or `DESCRIBE`.
    pub query: String,
    /// Values for `$1`, `$2` and so on, as text, which the query casts where it wants another type.
    pub params: Vec<Option<String>>,
    /// Rows at most; `None` is all.
    pub limit: Option<usize>,
    /// How long it may take; `None` is no limit of its own.
    pub timeout: Option<Duration>,
    /// How the answer is written.
    pub format: SqlFormat,
    /// Ends the question early.
    pub stop: Stop,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqlFormat {
    /// A JSON object a line, columns in the order of the query, NULL as `null`, times as RFC 3339.
    Json,
    /// RFC 4180 with a header row; NULL is empty.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// What there is to say beside the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlSummary {
    /// Rows written.
    pub n_rows: u64,
    /// Whether there were more than the limit.
    pub cut: bool,
    /// What could not be read, in words; empty if the answer is complete.
    pub gaps: Vec<String>,
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// What kind of error it is.
    pub kind: SqlErrorKind,
    /// What is wrong, for people.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
    /// Where in the text: line and column, both from 1.
    pub place: Option<(usize, usize)>,
}

/// The kinds of SQL errors; who answers over HTTP chooses the status by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqlErrorKind {
    /// It is no query, or names something that does not exist.
    Bad,
    /// It is a statement or function that is not allowed: nothing is written, no file is read.
    Forbidden,
    /// It wanted more memory than a question may have.
    Memory,
    /// It took longer than it may.
    Timeout,
    /// Who asked has gone.
    Stopped,
    /// Nothing here can answer SQL.
    Unavailable,
    /// Something failed that is not the question's fault; the text is for the log.
    Failed,
}

impl SqlError {
    /// An error without help or place.
    pub fn new(kind: SqlErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, place: None }
    }
}
