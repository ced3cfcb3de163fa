//! The functions of questions: those people write, and those only the views use.

mod arguments;
mod derived;
mod json;
mod json_path;
mod line;
mod matches;
mod network;
mod percentile;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use decklog_audit::Timestamp;

pub(super) use matches::MatchStoredRows;

/// The scalar functions people write; `now` gives words such as `today` in filters their meaning.
pub(super) fn public(now: Timestamp) -> Vec<ScalarUDF> {
    let mut functions = json::functions();
    functions.push(network::ip_in());
    functions.push(matches::event_matches(now));
    functions
}

/// The aggregates people write.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(percentile::percentile_rank())]
}

/// The functions of the views.
pub(super) fn of_views() -> Vec<ScalarUDF> {
    let mut functions = derived::functions();
    functions.extend(line::functions());
    functions
}

/// Whether decklog wrote the function of that name.
pub(super) fn is_own(name: &str) -> bool {
    matches!(name, "jq" | "jq_num" | "json_has" | "ip_in" | "event_matches" | "event_matches_stored" | "event_line" | "event_id" | "latency_part_us")
        || matches!(name, "event_path" | "event_tool" | "event_service_account" | "event_peer" | "event_dryrun")
}
