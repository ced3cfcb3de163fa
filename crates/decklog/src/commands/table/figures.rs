//! Figures of a table and of the journal before it, read without a lock.

use std::collections::BTreeMap;

use decklog_audit::Timestamp;
use decklog_store::JournalView;
use decklog_store::table::{TableLog, TableSnapshot};

use crate::config::Config;
use crate::failure::{Failure, Failures};
use crate::output::{plural, with_thousands};
use crate::target::unreadable;
use crate::wiring::whole_reason;

/// What some files hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Files.
    pub(super) n_files: usize,
    /// Events in them.
    pub(super) n_events: u64,
    /// Their bytes.
    pub(super) n_bytes: u64,
}

impl Sum {
    /// To a tenth of a byte.
    pub(super) fn bytes_per_event(&self) -> Option<f64> {
        (self.n_events > 0).then(|| (self.n_bytes as f64 / self.n_events as f64 * 10.0).round() / 10.0)
    }
}

/// What the table does not have yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Behind {
    /// Events that are in the journal alone.
    pub(super) n_events: u64,
    /// Their bytes in the journal.
    pub(super) n_bytes: u64,
    /// How long the oldest of them has been there, in seconds.
    pub(super) seconds: u64,
}

/// The figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// Where the table lies.
    place: String,
    /// The commit it is of; `None` if there is no table yet.
    version: Option<u64>,
    /// By day: days since the epoch.
    pub(super) days: BTreeMap<i32, Sum>,
    /// What waits in the journal.
    pub(super) behind: Behind,
}

impl Figures {
    /// Reads them.
    pub(super) fn read(config: &Config, now: Timestamp) -> Result<Self, Failures> {
        let view = JournalView::open(&config.data_dir).map_err(|error| unreadable(&config.data_dir, &error))?;
        let snapshot = snapshot(config)?;
        let next_seq = snapshot.as_ref().map_or(1, |snapshot| next_seq(snapshot));
        Ok(Self {
            place: crate::place::of_config(config)?.to_string(),
            version: snapshot.as_ref().map(|snapshot| snapshot.version),
            days: snapshot.as_ref().map(|snapshot| by_day(snapshot)).unwrap_or_default(),
            behind: behind(&view, next_seq, now),
        })
    }

    /// All days together.
    pub(super) fn total(&self) -> Sum {
        self.days.values().fold(Sum::default(), |total, sum| Sum {
            n_files: total.n_files + sum.n_files,
            n_events: total.n_events + sum.n_events,
            n_bytes: total.n_bytes + sum.n_bytes,
        })
    }

    /// For people: names and texts.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let total = self.total();
        let range = match self.days.keys().next().zip(self.days.keys().next_back()) {
            None => "none".to_owned(),
            Some((first, last)) if first == last => day_text(*first),
            Some((first, last)) => format!("{} to {} ({} with events)", day_text(*first), day_text(*last), with_thousands(self.days.len() as u64)),
        };
        let behind = match self.behind {
            Behind { n_events: 0, .. } => "0 events: all are in the table".to_owned(),
            Behind { n_events, n_bytes, seconds } => {
                format!("{}, {} in the journal, the oldest for {seconds} s", plural(n_events, "event"), plural(n_bytes, "byte"))
            }
        };
        vec![
            ("place", self.place.clone()),
            ("version", self.version.map_or_else(|| "no table yet".to_owned(), |version| version.to_string())),
            ("files", with_thousands(total.n_files as u64)),
            ("events", with_thousands(total.n_events)),
            ("bytes", with_thousands(total.n_bytes)),
            ("bytes per event", total.bytes_per_event().map_or_else(|| "none".to_owned(), |bytes| format!("{bytes:.1}"))),
            ("days", range),
            ("behind", behind),
        ]
    }

    /// For programs.
    pub(super) fn json(&self, with_days: bool) -> serde_json::Value {
        let of = |sum: &Sum| serde_json::json!({ "files": sum.n_files, "events": sum.n_events, "bytes": sum.n_bytes, "bytesPerEvent": sum.bytes_per_event() });
        let mut answer = of(&self.total());
        answer["place"] = self.place.as_str().into();
        answer["version"] = self.version.into();
        answer["firstDay"] = self.days.keys().next().map(|day| day_text(*day)).into();
        answer["lastDay"] = self.days.keys().next_back().map(|day| day_text(*day)).into();
        answer["behind"] = serde_json::json!({ "events": self.behind.n_events, "bytes": self.behind.n_bytes, "seconds": self.behind.seconds });
        if with_days {
            let day = |(day, sum): (&i32, &Sum)| {
                let mut answer = of(sum);
                answer["day"] = day_text(*day).into();
                answer
            };
            answer["days"] = self.days.iter().map(day).collect();
        }
        answer
    }
}

/// The newest version of the table of `config`, if there is one.
pub(super) fn snapshot(config: &Config) -> Result<Option<std::sync::Arc<TableSnapshot>>, Failure> {
    let log = TableLog::open_existing(&crate::place::of_config(config)?).map_err(|error| Failure::failed("table", whole_reason(&error)))?;
    Ok(log.map(|log| log.snapshot()))
}

/// What the days of a version hold.
pub(super) fn by_day(snapshot: &TableSnapshot) -> BTreeMap<i32, Sum> {
    let mut days: BTreeMap<i32, Sum> = BTreeMap::new();
    for file in &snapshot.files {
        let sum = days.entry(file.day).or_default();
        sum.n_files += 1;
        sum.n_events += file.n_rows.unwrap_or_default();
        sum.n_bytes += file.size;
    }
    days
}

/// The first sequence number that the table has not got.
fn next_seq(snapshot: &TableSnapshot) -> u64 {
    snapshot.transactions.values().filter_map(|last| u64::try_from(*last).ok()).max().map_or(1, |last| last.saturating_add(1))
}

/// What the journal holds from `next_seq` on. Of a block that the table has in part, the rest is estimated.
fn behind(view: &JournalView, next_seq: u64, now: Timestamp) -> Behind {
    let mut behind = Behind::default();
    let mut oldest: Option<Timestamp> = None;
    for block in view.blocks_from(next_seq).filter(|block| block.n_events > 0) {
        let n_left = block.end_seq().saturating_sub(next_seq.max(block.first_seq)).min(u64::from(block.n_events));
        behind.n_events += n_left;
        behind.n_bytes += u64::from(block.size) * n_left / u64::from(block.n_events);
        oldest = Some(oldest.map_or(block.ingested_at, |oldest| oldest.min(block.ingested_at)));
    }
    behind.seconds = oldest.map_or(0, |oldest| u64::try_from(now.seconds().saturating_sub(oldest.seconds())).unwrap_or_default());
    behind
}

/// `2026-11-22`, of days since the epoch.
pub(super) fn day_text(day: i32) -> String {
    Timestamp::new(i64::from(day) * 86_400, 0).map(|start| start.rfc3339_nano()).and_then(|text| Some(text.split_once('T')?.0.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_figures_for_people_and_programs() {
        let sum = Sum { n_files: 2, n_events: 3_000, n_bytes: 1_000_000 };
        let behind = Behind { n_events: 7, n_bytes: 900, seconds: 12 };
        let figures = Figures { place: "file:///t/".to_owned(), version: Some(4), days: [(20_779, sum), (20_781, sum)].into(), behind };
        let lines = figures.lines();
        let line = |name: &str| lines.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(line("days"), "2026-11-22 to 2026-11-24 (2 with events)");
        assert_eq!(line("bytes per event"), "333.3");
        assert_eq!(line("behind"), "7 events, 900 bytes in the journal, the oldest for 12 s");
        let json = figures.json(true);
        assert_eq!((json["events"].as_u64(), json["lastDay"].as_str(), json["days"][0]["files"].as_u64()), (Some(6_000), Some("2026-11-24"), Some(2)));
        assert_eq!(Figures::default().lines()[1].1, "no table yet");
    }
}
