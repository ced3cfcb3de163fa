//! The state a log adds up to, commit by commit.
//!
//! deltalake-core can do this too (`EagerSnapshot`), but one action it does not know makes the whole table unreadable
//! there, its errors do not say which file is damaged, and it gives an application's transaction only by name. This is
//! the one rule book, for checkpoints and commits alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use decklog_audit::Timestamp;

use super::super::snapshot::{DataFile, TableSnapshot};
use super::super::stats::FileStats;
use super::actions::{Add, Line, Metadata, Protocol, Remove, decode_path};
use super::error::TableError;
use super::schema::{DAY, check_readable};

/// What a log adds up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The version of the last commit applied; `None` before the first.
    pub(crate) version: Option<u64>,
    /// The version of the newest checkpoint known.
    pub(crate) checkpoint: Option<u64>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) files: BTreeMap<String, Arc<DataFile>>,
    /// Removed files by path, and when they were removed.
    pub(crate) tombstones: BTreeMap<String, Timestamp>,
    pub(crate) transactions: BTreeMap<String, i64>,
}

/// A line with what it names already read, so that applying it cannot fail half-way.
enum Effect {
    Protocol(Protocol),
    Metadata(Metadata),
    Transaction(String, i64),
    Remove(String, Timestamp),
    Add(DataFile),
}

impl State {
    /// Applies what `path` (a commit or a part of a checkpoint) says; on an error nothing is changed.
    ///
    /// # Errors
    ///
    /// [`TableError::Damaged`] naming `path`, or a protocol or partitioning that cannot be read.
    pub(crate) fn apply(&mut self, path: &str, lines: Vec<Line>) -> Result<(), TableError> {
        let effects = lines.into_iter().flat_map(effects).collect::<Result<Vec<_>, _>>();
        let effects = effects.map_err(|problem| TableError::Damaged { path: path.to_owned(), problem })?;
        let protocol =
            effects.iter().rev().find_map(|effect| if let Effect::Protocol(protocol) = effect { Some(protocol) } else { None }).or(self.protocol.as_ref());
        let metadata =
            effects.iter().rev().find_map(|effect| if let Effect::Metadata(metadata) = effect { Some(metadata) } else { None }).or(self.metadata.as_ref());
        if let (Some(protocol), Some(metadata)) = (protocol, metadata) {
            check_readable(protocol, metadata)?;
        }
        for effect in effects {
            self.take(effect);
        }
        Ok(())
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Protocol(protocol) => self.protocol = Some(protocol),
            Effect::Metadata(metadata) => self.metadata = Some(metadata),
            Effect::Transaction(application, version) => drop(self.transactions.insert(application, version)),
            Effect::Remove(path, removed) => {
                self.files.remove(&path);
                self.tombstones.insert(path, removed);
            }
            Effect::Add(file) => {
                self.tombstones.remove(&file.path);
                self.files.insert(file.path.clone(), Arc::new(file));
            }
        }
    }

    /// Forgets files removed before `time`, as checkpoints do.
    pub(crate) fn forget_tombstones(&mut self, before: Timestamp) {
        self.tombstones.retain(|_, removed| *removed >= before);
    }

    /// What others see of it.
    pub(crate) fn snapshot(&self) -> TableSnapshot {
        TableSnapshot { version: self.version.unwrap_or(0), files: self.files.values().cloned().collect(), transactions: self.transactions.clone() }
    }
}

/// What a line does. A remove comes before an add in our order of fields, but no line of a commit has both; a
/// checkpoint's neither.
fn effects(line: Line) -> impl Iterator<Item = Result<Effect, String>> {
    let Line { commit_info: _, protocol, meta_data, txn, remove, add } = line;
    [
        protocol.map(|protocol| Ok(Effect::Protocol(protocol))),
        meta_data.map(|metadata| Ok(Effect::Metadata(metadata))),
        txn.map(|txn| Ok(Effect::Transaction(txn.app_id, txn.version))),
        remove.as_ref().map(removed),
        add.as_ref().map(|add| data_file(add).map(Effect::Add)),
    ]
    .into_iter()
    .flatten()
}

fn removed(remove: &Remove) -> Result<Effect, String> {
    let path = decode_path(&remove.path).ok_or_else(|| format!("it removes `{}`, which is no path in the table", remove.path))?;
    Ok(Effect::Remove(path, from_millis(remove.deletion_timestamp.unwrap_or(0))))
}

fn data_file(add: &Add) -> Result<DataFile, String> {
    let path = decode_path(&add.path).ok_or_else(|| format!("it adds `{}`, which is no path in the table", add.path))?;
    let day = add.partition_values.get(DAY).and_then(Option::as_deref).and_then(parse_day);
    let day = day.ok_or_else(|| format!("it adds `{path}` without a day"))?;
    let (stats, n_rows) = FileStats::read(add.stats.as_deref());
    Ok(DataFile { path, day, size: add.size, n_rows, modified: from_millis(add.modification_time), stats })
}

/// From milliseconds since the epoch.
pub(crate) fn from_millis(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis.saturating_mul(1_000))
}

/// Days since the epoch of `YYYY-MM-DD`.
fn parse_day(text: &str) -> Option<i32> {
    let midnight = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))?;
    i32::try_from(midnight.day()).ok()
}

/// A day as the partition writes it: `YYYY-MM-DD`.
pub fn day_text(day: i32) -> String {
    let midnight = Timestamp::from_micros(i64::from(day).saturating_mul(86_400_000_000));
    midnight.micro_text().as_str().chars().take(10).collect()
}
