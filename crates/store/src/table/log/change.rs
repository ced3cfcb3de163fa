//! A change to the table, checked against its state, as the lines of a commit. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use decklog_audit::Timestamp;
use serde_json::json;

use super::super::lost::Lost;
use super::super::snapshot::DataFile;
use super::actions::{Add, Line, Remove, Transaction, encode_path};
use super::error::CommitError;
use super::schema::{DAY, is_append_only};
use super::state::{State, day_text};

/// What one commit changes: all of it or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct TableChange {
    /// Why.
    pub operation: Operation,
    /// Files to add; they are durable in their place already.
    pub adds: Vec<NewFile>,
    /// Files to remove, as a snapshot gave them. They stay in their place until vacuum.
    pub removes: Vec<Arc<DataFile>>,
    /// An application (for decklog: a journal's id) and how far its work goes with this change. A table that has
    /// that version or a later one already is not changed.
    pub transaction: Option<(String, i64)>,
    /// What that application lost on its way here.
    pub lost: Vec<Lost>,
    /// The time of day.
    pub at: Timestamp,
}

/// Why the table changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Rows are added.
    Write,
    /// The same rows lie in other files.
    Compaction,
    /// Old rows go.
    Retention,
}

/// A file to add.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFile {
    /// Where it lies, relative to the table, below its day's directory ([`day_directory`]).
    pub path: String,
    /// The day of its rows: days since 1970-01-01.
    pub day: i32,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub n_rows: u64,
    /// What is known of its columns ([`stats_json`](super::super::stats::stats_json)).
    pub stats_json: String,
}

/// The directory of a day's files: `day=2026-11-20`.
pub fn day_directory(day: i32) -> String {
    format!("{DAY}={}", day_text(day))
}

impl TableChange {
    /// Whether the table has this change's transaction already.
    pub(crate) fn is_done(&self, state: &State) -> bool {
        self.transaction.as_ref().is_some_and(|(application, version)| state.transactions.get(application).is_some_and(|done| done >= version))
    }

    /// Refuses what cannot follow on `state`.
    pub(crate) fn check(&self, state: &State) -> Result<(), CommitError> {
        let mut paths = BTreeSet::new();
        for file in &self.adds {
            let expected = day_directory(file.day);
            let below = file.path.strip_prefix(&expected).and_then(|rest| rest.strip_prefix('/'));
            let is_path = object_store::path::Path::parse(&file.path).is_ok_and(|path| path.as_ref() == file.path);
            if !is_path || below.is_none_or(str::is_empty) || file.path.contains(':') {
                return Err(CommitError::Path { path: file.path.clone(), expected });
            }
            if !paths.insert(&file.path) || state.files.contains_key(&file.path) {
                return Err(CommitError::Duplicate { path: file.path.clone() });
            }
        }
        for file in &self.removes {
            if !paths.insert(&file.path) || !state.files.contains_key(&file.path) {
                return Err(CommitError::Conflict { path: file.path.clone() });
            }
        }
        let loses_rows = !self.removes.is_empty() && self.operation.changes_data();
        if loses_rows && state.metadata.as_ref().is_some_and(is_append_only) {
            return Err(CommitError::AppendOnly);
        }
        Ok(())
    }

    /// The commit's lines. `id` is unlike that of any other commit: by it a commit is recognised when the answer
    /// to its writing was lost.
    pub(crate) fn lines(&self, id: &str) -> Vec<Line> {
        let at = self.at.micros().div_euclid(1_000);
        let info = json!({
            "timestamp": at,
            "operation": self.operation.name(),
            "operationParameters": self.operation.parameters(),
            "isBlindAppend": self.removes.is_empty(),
            "engineInfo": concat!("decklog/", env!("CARGO_PKG_VERSION")),
            "txnId": id,
        });
        let lost = self.transaction.iter().flat_map(|(application, _)| self.lost.iter().map(|lost| lost.transaction(application)));
        let transactions = self
            .transaction
            .iter()
            .cloned()
            .chain(lost)
            .map(|(app_id, version)| Line { txn: Some(Transaction { app_id, version, last_updated: Some(at) }), ..Line::default() });
        let removes = self.removes.iter().map(|file| Line { remove: Some(self.remove(file, at)), ..Line::default() });
        let adds = self.adds.iter().map(|file| Line { add: Some(self.add(file, at)), ..Line::default() });
        let info = Line { commit_info: Some(info), ..Line::default() };
        std::iter::once(info).chain(transactions).chain(removes).chain(adds).collect()
    }

    fn add(&self, file: &NewFile, at: i64) -> Add {
        Add {
            path: encode_path(&file.path),
            partition_values: [(DAY.to_owned(), Some(day_text(file.day)))].into(),
            size: file.size,
            modification_time: at,
            data_change: self.operation.changes_data(),
            stats: Some(file.stats_json.clone()),
        }
    }

    fn remove(&self, file: &DataFile, at: i64) -> Remove {
        Remove {
            path: encode_path(&file.path),
            deletion_timestamp: Some(at),
            data_change: self.operation.changes_data(),
            extended_file_metadata: Some(true),
            partition_values: Some([(DAY.to_owned(), Some(day_text(file.day)))].into()),
            size: Some(file.size),
        }
    }
}

impl Operation {
    /// Whether a reader that follows the table's changes has to look at it.
    fn changes_data(self) -> bool {
        self != Self::Compaction
    }

    /// As other Delta engines call it.
    fn name(self) -> &'static str {
        match self {
            Self::Write => "WRITE",
            Self::Compaction => "OPTIMIZE",
            Self::Retention => "DELETE",
        }
    }

    fn parameters(self) -> serde_json::Value {
        match self {
            Self::Write => json!({"mode": "Append", "partitionBy": "[\"day\"]"}),
            Self::Compaction | Self::Retention => json!({}),
        }
    }
}
