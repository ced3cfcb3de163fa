//! Questions in SQL: read only, over the views `events` and `requests` (docs/sql.md).
//!
//! ```text
//! text ─► statement: one SELECT? small enough? ─► planner, with the views over `stored` ─► limits: memory, time
//!                                                   stored = Parquet files of the table ∪ the journal's tail
//!                                                 ─► batches ─► output: NDJSON, CSV, Arrow, Parquet
//! ```
//!
//! [`SqlEngine`] answers; who calls it says what there is to read ([`SqlSnapshot`]). DataFusion plans and runs; it is
//! named nowhere but in this folder.

mod counted;
mod engine;
mod failure;
mod functions;
mod guard;
mod limits;
mod memory;
mod output;
mod planner;
mod snapshot;
mod statement;
mod stored;
mod tail;
mod views;
mod yielding;

pub use engine::SqlEngine;
pub use limits::{MAX_FUNCTION_BYTES, MAX_QUERY_BYTES, MAX_QUERY_OPERATORS, MAX_QUERY_RELATIONS, MAX_SUM_BYTES, SqlLimits};
pub use snapshot::{SqlSnapshot, TableFile};
pub use tail::{JournalTail, TailCache};
pub use views::{VIEWS, View, ViewColumn};

/// The names of the scalar functions a question may use, and of decklog's own aggregate.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    let own = ["jq", "jq_num", "json_has", "event_matches", "ip_in", "percentile_rank"];
    own.into_iter().chain(guard::ALLOWED.iter().flat_map(|(_, names)| names.iter().copied()))
}
