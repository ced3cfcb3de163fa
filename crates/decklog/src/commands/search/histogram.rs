//! `decklog search --histogram`: the events that match over time, as bars.

use std::io::IsTerminal;

use decklog_audit::Timestamp;
use decklog_audit::search::{Bucket, Histogram, HistogramRequest, MAX_BUCKETS};

use super::SearchFlags;
use crate::commands::Context;
use crate::failure::{Failure, Failures};
use crate::output::{Listing, ListingColumn, Value, Zone, plural, terminal_width, with_thousands};
use crate::target::{Question, Tally, Target};

/// Rows that fit a screen.
const DEFAULT_BUCKETS: usize = 30;
/// How long the longest bar is where no terminal says.
const BAR_WIDTH: usize = 40;
/// A bar shorter than this says nothing.
const SHORTEST_BAR: usize = 10;
const SECONDS_OF_A_DAY: u64 = 86_400;

/// Checks `--buckets`.
pub(super) fn check(n_buckets: Option<usize>) -> Result<usize, Failure> {
    match n_buckets.unwrap_or(DEFAULT_BUCKETS) {
        n_buckets if (1..=MAX_BUCKETS).contains(&n_buckets) => Ok(n_buckets),
        n_buckets => Err(Failure::usage("buckets", format!("--buckets: `{n_buckets}` is not from 1 to {MAX_BUCKETS}"))),
    }
}

/// Shows a row for each stretch of time.
pub(super) fn show(target: &Target, question: &Question, n_buckets: usize, flags: &SearchFlags, context: &Context) -> Result<Tally, Failures> {
    let (histogram, tally) = target.histogram(question, &HistogramRequest { n_buckets, split: None })?;
    let zone = context.zone(flags.utc, flags.output.output);
    let times = Times::of(&histogram, &zone);
    let most = histogram.buckets.iter().map(|bucket| bucket.n_events).max().unwrap_or_default();
    let columns = vec![
        ListingColumn::fixed(&times.head, "start"),
        // People read it once, below.
        ListingColumn::for_programs("seconds"),
        ListingColumn::number("EVENTS", "events"),
        ListingColumn::for_people(""),
    ];
    let mut listing = Listing::new(columns, flags.output, context.paint);
    let room = bar_room(&times, most);
    for bucket in &histogram.buckets {
        listing.row(vec![
            Value::shown_as(bucket.start.rfc3339_nano(), &times.text(bucket)),
            Value::number(histogram.seconds),
            Value::shown_as(bucket.n_events, &with_thousands(bucket.n_events)),
            Value::text(&bar(bucket.n_events, most, room)),
        ])?;
    }
    listing.finish()?;
    let rows = if histogram.buckets.is_empty() { String::new() } else { format!(", {} a row", length(histogram.seconds)) };
    context.note(&format!("{}{rows}", plural(tally.n_matched, "event")));
    Ok(tally)
}

/// How the starts of buckets are written: with what tells them apart.
struct Times<'a> {
    zone: &'a Zone,
    head: String,
    with_day: bool,
    with_time: bool,
}

impl<'a> Times<'a> {
    fn of(histogram: &Histogram, zone: &'a Zone) -> Self {
        let first = histogram.buckets.first().map(|bucket| bucket.start).unwrap_or_default();
        let last = histogram.buckets.last().map(|bucket| bucket.start).unwrap_or_default();
        let with_time = !histogram.seconds.is_multiple_of(SECONDS_OF_A_DAY) || zone.seconds(first) != "00:00:00";
        let with_day = !with_time || zone.day(first) != zone.day(last);
        let day_and_zone = zone.day_and_zone(first);
        let head = if with_day { day_and_zone.split_once(' ').map_or("", |(_, zone)| zone) } else { &day_and_zone };
        Self { zone, head: format!("TIME ({head})"), with_day, with_time }
    }

    fn text(&self, bucket: &Bucket) -> String {
        let start: Timestamp = bucket.start;
        match (self.with_day, self.with_time) {
            (true, true) => format!("{} {}", self.zone.day(start), self.zone.seconds(start)),
            (true, false) => self.zone.day(start),
            (false, _) => self.zone.seconds(start),
        }
    }
}

/// How many columns of the screen the longest bar has.
fn bar_room(times: &Times<'_>, most: u64) -> usize {
    let Some(width) = std::io::stdout().is_terminal().then(terminal_width).flatten() else { return BAR_WIDTH };
    let others = times.head.chars().count().max("2026-11-22 09:53:33".len()) + with_thousands(most).len().max("EVENTS".len()) + 4;
    width.saturating_sub(others).max(SHORTEST_BAR)
}

/// A bar as long as `n_events` is of `most`, in eighths of a column; something is never nothing.
fn bar(n_events: u64, most: u64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if n_events == 0 || most == 0 {
        return String::new();
    }
    let eighths = (u128::from(n_events) * room as u128 * 8 / u128::from(most)).max(1) as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// `5 s`, `15 min`, `3 h`, `30 d`.
fn length(seconds: u64) -> String {
    let units = [(SECONDS_OF_A_DAY, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "s"));
    format!("{} {name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(bar(0, 100, 40), "");
        assert_eq!(bar(1, 1_000_000, 40), "▏");
        assert_eq!(bar(50, 100, 4), "██");
        assert_eq!(bar(100, 100, 4), "████");
        assert_eq!(bar(u64::MAX, u64::MAX, 4), "████");
        assert_eq!(bar(9, 32, 4), "█▏");
    }

    #[test]
    fn lengths_have_the_unit_that_reads_best() {
        let lengths: Vec<String> = [1, 15, 60, 900, 10_800, 86_400, 2_592_000].map(length).into();
        assert_eq!(lengths, ["1 s", "15 s", "1 min", "15 min", "3 h", "1 d", "30 d"]);
    }

    #[test]
    fn times_say_what_tells_rows_apart() {
        let histogram = |starts: &[&str], seconds| {
            let buckets = starts.iter().map(|start| Bucket { start: Timestamp::parse_rfc3339(start).unwrap(), n_events: 1, by_value: Vec::new() }).collect();
            Histogram { buckets, seconds, values: Vec::new() }
        };
        let case = |starts: &[&str], seconds| {
            let histogram = histogram(starts, seconds);
            let zone = Zone::utc();
            let times = Times::of(&histogram, &zone);
            (times.head.clone(), times.text(&histogram.buckets[0]))
        };
        assert_eq!(case(&["2026-11-22T09:52:30Z", "2026-11-22T09:53:00Z"], 30), ("TIME (2026-11-22 UTC)".into(), "09:52:30".into()));
        assert_eq!(case(&["2026-11-22T23:00:00Z", "2026-11-23T00:00:00Z"], 3_600), ("TIME (UTC)".into(), "2026-11-22 23:00:00".into()));
        assert_eq!(case(&["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"], 86_400), ("TIME (UTC)".into(), "2026-11-22".into()));
    }
}
