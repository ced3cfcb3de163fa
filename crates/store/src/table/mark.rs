//! What retention leaves in the journal: that events were there, and why they are there no more.

use decklog_audit::journal::{Batch, Origin};
use serde::Serialize;

use super::compact::Retired;
use super::log::day_text;
use super::plan::Why;
use super::shared::Shared;

#[derive(Serialize)]
struct Mark {
    mark: &'static str,
    why: &'static str,
    day: String,
    n_files: usize,
    n_events: u64,
    n_bytes: u64,
}

pub(super) fn leave(shared: &Shared, retired: &Retired) {
    let why = match retired.why {
        Why::Age => "age",
        Why::Size => "size",
    };
    let day = day_text(retired.day);
    tracing::info!(day, why, n_events = retired.n_rows, n_bytes = retired.n_bytes, "retention removed a day from the table");
    let mark = Mark { mark: "table-retention", why, day, n_files: retired.n_files, n_events: retired.n_rows, n_bytes: retired.n_bytes };
    let origin = Origin { cluster: "".into(), source: "decklog".into(), sender: "".into() };
    let mut batch = Batch::new(origin, shared.now());
    match serde_json::to_vec(&mark) {
        Ok(bytes) => batch.push_mark(&bytes),
        Err(error) => return tracing::warn!(%error, "a mark could not be written"),
    }
    (shared.marker)(batch);
}
