//! Counts of what a search finds: the values of a field, most frequent first, and events over time.
//!
//! Both are functions over any `Searcher`: they stream its hits and keep only the counts.

use std::collections::HashMap;
use std::ops::ControlFlow;

use decklog_audit::filter::Candidate;
use decklog_audit::filter::fields::Field;
use decklog_audit::search::{Order, SearchError, SearchRequest, SearchSummary, Searcher};
use decklog_audit::{Event, Timestamp};

use crate::plan::text;

/// Different values counted at most; further ones are counted together.
pub const MAX_VALUES: usize = 100_000;
/// Buckets of a histogram at most.
pub const MAX_BUCKETS: usize = 10_000;

/// One value of a field, and how many events have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetCount {
    /// The value.
    pub value: String,
    /// Events that have it.
    pub n_events: u64,
}

/// The values of a field among the events that match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// The most frequent values, most frequent first, then by value.
    pub top: Vec<FacetCount>,
    /// Different values; [`MAX_VALUES`] if there are as many or more.
    pub n_values: usize,
    /// Occurrences of values that came after [`MAX_VALUES`] others were known: counted, but not by value.
    pub n_uncounted: u64,
    /// Matching events without the field.
    pub n_missing: u64,
    /// What the search says.
    pub summary: SearchSummary,
}

/// Counts the values of `field` among the events of `request` (its order and limit aside). An event with
/// several values counts once for each different one.
///
/// # Errors
/// As the search.
pub fn facets(searcher: &dyn Searcher, request: &SearchRequest, field: &Field, n_top: usize) -> Result<Facets, SearchError> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let (mut n_uncounted, mut n_missing) = (0, 0);
    let mut values: Vec<String> = Vec::new();
    let summary = searcher.search(&streaming(request), &mut |hit| {
        let line = text(hit.line);
        let Ok(event) = Event::decode(&line) else { return ControlFlow::Continue(()) };
        let candidate = Candidate { event: &event, line: &line, seq: hit.seq, id: hit.id, time: hit.time, ingested_at: hit.ingested_at, origin: hit.origin };
        values.clear();
        field.each_value(&candidate, &mut |value| values.push(value.to_owned()));
        values.sort_unstable();
        values.dedup();
        n_missing += u64::from(values.is_empty());
        for value in values.drain(..) {
            if let Some(count) = counts.get_mut(&value) {
                *count += 1;
            } else if counts.len() < MAX_VALUES {
                counts.insert(value, 1);
            } else {
                n_uncounted += 1;
            }
        }
        ControlFlow::Continue(())
    })?;
    let n_values = counts.len();
    let mut top: Vec<FacetCount> = counts.into_iter().map(|(value, n_events)| FacetCount { value, n_events }).collect();
    top.sort_unstable_by(|a, b| b.n_events.cmp(&a.n_events).then_with(|| a.value.cmp(&b.value)));
    top.truncate(n_top);
    Ok(Facets { top, n_values, n_uncounted, n_missing, summary })
}

/// A stretch of time, and how many events lie in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its first moment.
    pub start: Timestamp,
    /// Events in it.
    pub n_events: u64,
}

/// Events over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Stretches of equal length without gaps, from the first event's to the last one's.
    pub buckets: Vec<Bucket>,
    /// Each one's length in seconds.
    pub seconds: u64,
    /// What the search says.
    pub summary: SearchSummary,
}

/// Lengths that read well, in seconds: from a second to 30 days.
const LENGTHS: [u64; 17] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10_800, 21_600, 86_400, 2_592_000];

/// Counts the events of `request` (its order and limit aside) by time, in at most `n_buckets` stretches, whose
/// length is one that reads well.
///
/// # Errors
/// As the search.
pub fn histogram(searcher: &dyn Searcher, request: &SearchRequest, n_buckets: usize) -> Result<Histogram, SearchError> {
    let n_buckets = n_buckets.clamp(1, MAX_BUCKETS);
    let mut counter = Counter { length: 1, counts: HashMap::new(), span: None, n_buckets };
    let summary = searcher.search(&streaming(request), &mut |hit| {
        counter.count(hit.time.seconds());
        ControlFlow::Continue(())
    })?;
    Ok(Histogram { buckets: counter.buckets(), seconds: counter.length as u64, summary })
}

fn streaming(request: &SearchRequest) -> SearchRequest {
    SearchRequest { order: Order::Arrival, limit: None, after: None, ..request.clone() }
}

/// Counts in buckets that grow as soon as there are too many.
struct Counter {
    length: i64,
    /// By bucket number: seconds since the epoch divided by the length.
    counts: HashMap<i64, u64>,
    /// The first and last bucket.
    span: Option<(i64, i64)>,
    n_buckets: usize,
}

impl Counter {
    fn count(&mut self, seconds: i64) {
        let number = seconds.div_euclid(self.length);
        if let Some(count) = self.counts.get_mut(&number) {
            *count += 1;
            return;
        }
        self.counts.insert(number, 1);
        self.span = Some(self.span.map_or((number, number), |(first, last)| (first.min(number), last.max(number))));
        while self.span.is_some_and(|(first, last)| last.abs_diff(first) >= self.n_buckets as u64) {
            self.widen();
        }
    }

    /// Takes the next longer length that is a multiple of this one, so that buckets merge whole.
    fn widen(&mut self) {
        let longer = LENGTHS.into_iter().map(|length| length as i64).find(|length| *length > self.length && length % self.length == 0);
        let longer = longer.unwrap_or(self.length * 2);
        let factor = longer / self.length;
        let mut merged: HashMap<i64, u64> = HashMap::new();
        for (number, count) in self.counts.drain() {
            *merged.entry(number.div_euclid(factor)).or_default() += count;
        }
        self.counts = merged;
        self.span = self.span.map(|(first, last)| (first.div_euclid(factor), last.div_euclid(factor)));
        self.length = longer;
    }

    fn buckets(&self) -> Vec<Bucket> {
        let Some((first, last)) = self.span else { return Vec::new() };
        let start = |number: i64| Timestamp::new(number.saturating_mul(self.length), 0).unwrap_or_default();
        (first..=last).map(|number| Bucket { start: start(number), n_events: self.counts.get(&number).copied().unwrap_or(0) }).collect()
    }
}
