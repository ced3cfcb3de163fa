//! Which segments go, by age and size: whole segments, oldest first, and never the newest that has records.
//!
//! [`plan`] decides; [`run`] carries it out and leaves a mark. A segment that a reader has not passed stays,
//! whatever its age, until the disk is full: then limits count more than a reader that lags, and what it
//! misses is counted. Readers that hold the only other copy are never overtaken (`JournalConfig::never_overtaken`).

use std::collections::BTreeMap;
use std::io;

use decklog_audit::Timestamp;
use decklog_audit::journal::{Batch, Origin};
use serde::Serialize;

use super::duplicates::is_older;
use super::shared::{ReaderInfo, Shared};
use crate::config::JournalConfig;
use crate::files::SyncPoint;
use crate::format::segment::segment_name;

/// Whether readers that lag are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    None,
    DiskFull,
}

/// A segment as the plan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) first_seq: u64,
    pub(crate) end_seq: u64,
    pub(crate) size: u64,
    /// No record in it came in later.
    pub(crate) newest: Timestamp,
}

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Why {
    Age,
    Size,
}

/// Where readers are: the smallest cursor of any, and of those that are never overtaken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slowest {
    pub(crate) of_all: Option<u64>,
    pub(crate) of_kept: Option<u64>,
}

impl Slowest {
    /// A reader that should be there and is not has read nothing.
    fn of(readers: &BTreeMap<String, ReaderInfo>, never_overtaken: &[String]) -> Self {
        let cursor = |name: &String| readers.get(name).map_or(0, |reader| reader.cursor);
        Self { of_all: readers.values().map(|reader| reader.cursor).min(), of_kept: never_overtaken.iter().map(cursor).min() }
    }

    fn has_passed(self, seq: u64, pressure: Pressure) -> bool {
        let passed = |slowest: Option<u64>| slowest.is_none_or(|slowest| seq <= slowest);
        passed(self.of_kept) && (passed(self.of_all) || pressure == Pressure::DiskFull)
    }
}

/// The segments to remove, oldest first. `candidates` are all but the newest with records, oldest first;
/// `total_size` counts that one too.
pub(crate) fn plan(
    candidates: &[Candidate],
    total_size: u64,
    slowest: Slowest,
    config: &JournalConfig,
    now: Timestamp,
    pressure: Pressure,
) -> Vec<(Candidate, Why)> {
    let mut size = total_size;
    candidates
        .iter()
        .map_while(|candidate| {
            let why = if config.max_age.is_some_and(|max_age| is_older(candidate.newest, now, max_age)) {
                Why::Age
            } else if config.max_size.is_some_and(|max_size| size > max_size) {
                Why::Size
            } else {
                return None;
            };
            size = size.saturating_sub(candidate.size);
            slowest.has_passed(candidate.end_seq, pressure).then_some((*candidate, why))
        })
        .collect()
}

/// What a removal leaves in the journal.
#[derive(Serialize)]
struct Mark {
    mark: &'static str,
    why: Why,
    from_seq: u64,
    to_seq: u64,
    n_segments: usize,
    n_bytes: u64,
}

/// Removes what is due.
pub(crate) fn run(shared: &Shared, pressure: Pressure) {
    let now = shared.clock.now();
    let planned = {
        let log = shared.log();
        let bounds: Vec<_> = log.segments.iter().map(|(first_seq, segment)| (*first_seq, *segment)).collect();
        let n_with_records = bounds.iter().rposition(|(first_seq, _)| *first_seq < shared.next_seq()).unwrap_or(0);
        let candidates: Vec<Candidate> = bounds
            .windows(2)
            .take(n_with_records)
            .map(|pair| Candidate { first_seq: pair[0].0, end_seq: pair[1].0, size: pair[0].1.size, newest: pair[1].1.created_at })
            .collect();
        let slowest = Slowest::of(&log.readers, &shared.config.never_overtaken);
        let total_size = bounds.iter().map(|(_, segment)| segment.size).sum();
        plan(&candidates, total_size, slowest, &shared.config, now, pressure)
    };
    let removed: Vec<_> = planned.into_iter().map_while(|(candidate, why)| remove(shared, candidate).then_some((candidate, why))).collect();
    for why in [Why::Age, Why::Size] {
        let of_this: Vec<Candidate> = removed.iter().filter(|(_, reason)| *reason == why).map(|(candidate, _)| *candidate).collect();
        if let (Some(first), Some(last)) = (of_this.first(), of_this.last()) {
            let n_bytes = of_this.iter().map(|candidate| candidate.size).sum();
            leave_mark(shared, now, &Mark { mark: "retention", why, from_seq: first.first_seq, to_seq: last.end_seq, n_segments: of_this.len(), n_bytes });
        }
    }
}

/// Removes a segment; tells whether the next one may follow. Synced one by one, a failed sync first of all again: a later
/// segment must not go before an earlier one, which would look like damage.
fn remove(shared: &Shared, candidate: Candidate) -> bool {
    let path = shared.dir.join(segment_name(candidate.first_seq));
    let sync = || shared.files.sync_dir(&shared.dir, SyncPoint::Removal);
    let is_unsynced = shared.log().has_unsynced_removal;
    let removed = if is_unsynced { sync() } else { Ok(()) }.and_then(|()| shared.files.remove(&path));
    // One that somebody else removed is gone as well.
    if let Err(error) = removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }) {
        tracing::warn!(segment = %path.display(), %error, "a segment could not be removed");
        return false;
    }
    let synced = sync();
    if let Err(error) = &synced {
        tracing::warn!(segment = %path.display(), %error, "the removal of a segment could not be synced");
    }
    let mut log = shared.log();
    log.has_unsynced_removal = synced.is_err();
    log.segments.remove(&candidate.first_seq);
    shared.metrics.segments(log.segments.values().map(|segment| segment.size).sum(), log.segments.len());
    synced.is_ok()
}

fn leave_mark(shared: &Shared, now: Timestamp, mark: &Mark) {
    let origin = Origin { cluster: "".into(), source: "decklog".into(), sender: "".into() };
    let mut batch = Batch::new(origin, now);
    match serde_json::to_vec(mark) {
        Ok(bytes) => batch.push_mark(&bytes),
        Err(error) => return tracing::warn!(%error, "a mark could not be written"),
    }
    tracing::info!(from_seq = mark.from_seq, to_seq = mark.to_seq, n_bytes = mark.n_bytes, "retention removed segments");
    // Queued like any other batch; where it is refused, the log line above remains.
    shared.queue_batch(batch);
}
