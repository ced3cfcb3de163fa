//! What to merge and what to remove: decisions about the list of files, without touching one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use decklog_audit::Timestamp;

use super::config::TableConfig;
use super::snapshot::DataFile;

/// A file grows by this factor from one tier to the next, so that a row is written again only a few times.
const TIER: u64 = 8;
/// Everything below this size is one tier.
const SMALLEST: u64 = 1 << 20;
/// Files merged at once at most: each takes memory while it is read.
pub(super) const FAN_IN: usize = 32;

/// Files of one day.
pub type Merge = Vec<Arc<DataFile>>;

/// How hard to look for files to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// Only where [`TableConfig::compact_files`] of a tier lie together.
    Steady,
    /// Whatever can become fewer files.
    Full,
}

/// The next files to merge, if any: of the oldest day that needs it.
pub fn next_merge(files: &[Arc<DataFile>], config: &TableConfig, thoroughness: Thoroughness) -> Option<Merge> {
    let mut days: BTreeMap<i32, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.size < config.compact_to / 2 + config.compact_to / 4) {
        days.entry(file.day).or_default().push(file);
    }
    days.values().find_map(|of_day| match thoroughness {
        Thoroughness::Full => (of_day.len() > 1).then(|| fit(of_day, config)).filter(|merge| merge.len() > 1),
        Thoroughness::Steady => {
            let mut tiers: BTreeMap<u32, Vec<&Arc<DataFile>>> = BTreeMap::new();
            for file in of_day {
                tiers.entry(tier(file.size)).or_default().push(file);
            }
            tiers.values().find(|tier| tier.len() >= config.compact_files.max(2)).map(|tier| fit(tier, config)).filter(|merge| merge.len() > 1)
        }
    })
}

fn tier(size: u64) -> u32 {
    (size / SMALLEST).checked_ilog(TIER).map_or(0, |tier| tier + 1)
}

/// The smallest files, as many as fit into one.
fn fit(files: &[&Arc<DataFile>], config: &TableConfig) -> Merge {
    let mut files = files.to_vec();
    files.sort_by_key(|file| file.size);
    let mut size = 0;
    let fits = |file: &&&Arc<DataFile>| {
        size += file.size;
        size <= config.compact_to
    };
    files.iter().take(FAN_IN).take_while(fits).map(|file| Arc::clone(file)).collect()
}

/// Why files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Their day is older than [`TableConfig::max_age`].
    Age,
    /// All together are larger than [`TableConfig::max_size`].
    Size,
}

/// The days to remove, oldest first, each with all its files.
pub fn expired(files: &[Arc<DataFile>], config: &TableConfig, now: Timestamp) -> Vec<(i32, Why, Merge)> {
    let mut days: BTreeMap<i32, Merge> = BTreeMap::new();
    for file in files {
        days.entry(file.day).or_default().push(Arc::clone(file));
    }
    let mut size: u64 = files.iter().map(|file| file.size).sum();
    let newest = days.keys().next_back().copied();
    let mut expired = Vec::new();
    for (day, of_day) in days {
        let why = if config.max_age.is_some_and(|max_age| is_over(day, now, max_age)) {
            Why::Age
        } else if config.max_size.is_some_and(|max_size| size > max_size) && Some(day) != newest {
            Why::Size
        } else {
            break;
        };
        size -= of_day.iter().map(|file| file.size).sum::<u64>();
        expired.push((day, why, of_day));
    }
    expired
}

/// Whether even the last moment of the day is older than `max_age`.
fn is_over(day: i32, now: Timestamp, max_age: Duration) -> bool {
    let end = (i64::from(day) + 1) * 86_400;
    let max_age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
    now.seconds().saturating_sub(end) >= max_age
}
