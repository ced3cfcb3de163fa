//! What one question, and all of them together, may cost.

use std::time::Duration;

/// The bounds of [`super::SqlEngine`].
#[derive(Clone, Debug)]
pub struct SqlLimits {
    /// Bytes that all running questions may hold together for sorting, grouping and joining.
    pub memory: usize,
    /// Bytes of these that one question may hold.
    pub query_memory: usize,
    /// How long a question may take that asks for no limit, or for a longer one.
    pub timeout: Duration,
    /// Bytes of decoded records of the journal's tail that are kept for the next question.
    pub tail_cache: usize,
    /// Bytes of Parquet footers that are kept for the next question.
    pub footer_cache: usize,
    /// Threads that work on questions; 0 is one per core.
    pub n_threads: usize,
    /// What each of these threads does first, such as to step behind others.
    pub thread_start: fn(),
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            query_memory: 256 << 20,
            timeout: Duration::from_secs(30),
            tail_cache: 128 << 20,
            footer_cache: 64 << 20,
            n_threads: 0,
            thread_start: || {},
        }
    }
}

/// Bytes of one row of an answer at most: writing it takes as much again and more.
pub(super) const MAX_ROW_BYTES: usize = 64 << 20;
/// Bytes of a question's text at most.
pub const MAX_QUERY_BYTES: usize = 64 << 10;
/// Words of the language, operators and brackets of a question at most: what it can be nested in.
pub const MAX_QUERY_OPERATORS: usize = 1500;
/// Tables, common table expressions and subqueries of a question at most.
pub const MAX_QUERY_RELATIONS: usize = 64;
/// Bytes that a function such as `repeat` may make of one batch of rows.
pub const MAX_FUNCTION_BYTES: usize = 64 << 20;
/// Bytes that a function such as `concat` may make of one batch of rows: bodies may be large, but not twice as large
/// again and again.
pub const MAX_SUM_BYTES: usize = 512 << 20;
