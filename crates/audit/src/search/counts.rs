//! Counts of what a search finds: the values of fields, most frequent first, and events over time.
//!
//! [`facets`] and [`histogram`] count what any [`Searcher`] finds, by streaming its hits. A searcher that knows
//! a shorter way answers the same by itself.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::{Hit, Order, SearchError, SearchRequest, SearchSummary, Searcher};
use crate::Event;
use crate::event::readable_text;
use crate::filter::Candidate;
use crate::filter::fields::Field;
use crate::time::Timestamp;

/// Different values counted at most for one field; further ones are counted together.
pub const MAX_VALUES: usize = 100_000;
/// Bytes of the different values of one field at most: a field of long values, such as paths of requests, is cut before
/// [`MAX_VALUES`]. What has further values is counted together too.
pub const MAX_VALUES_BYTES: usize = 8 << 20;
/// Buckets of a histogram at most.
pub const MAX_BUCKETS: usize = 10_000;
/// Values by which a histogram is split at most; what has others is counted in [`Bucket::n_events`] alone.
pub const MAX_SPLIT: usize = 16;

/// What to count of the events that match.
#[derive(Clone, Debug)]
pub struct FacetRequest {
    /// The fields whose values are wanted.
    pub fields: Vec<Field>,
    /// The most frequent this many values of each.
    pub n_top: usize,
    /// Only values that begin so, in any case.
    pub prefix: String,
}

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
    /// Different values told apart; there are more if [`Facets::n_uncounted`] is not 0.
    pub n_values: usize,
    /// Occurrences of the values that are known but not in [`Facets::top`].
    pub n_other: u64,
    /// Occurrences of values that came after [`MAX_VALUES`] others or [`MAX_VALUES_BYTES`] were known: counted, but not by
    /// value.
    pub n_uncounted: u64,
    /// Matching events without the field.
    pub n_missing: u64,
}

impl Facets {
    /// What the list of values lacks, in words: it is not complete where some were not told apart.
    pub fn gap(&self, field: &Field) -> Option<String> {
        (self.n_uncounted > 0).then(|| {
            format!(
                "{field} has more values than are told apart ({MAX_VALUES}, or {} MiB of them): {} occurrences of others are counted together",
                MAX_VALUES_BYTES >> 20,
                self.n_uncounted
            )
        })
    }
}

/// Counts the values of one field. Give it every event's values, then take the result.
#[derive(Debug, Default)]
pub struct FacetCounter {
    counts: HashMap<String, u64>,
    /// Bytes of the values known.
    n_bytes: usize,
    n_uncounted: u64,
    n_missing: u64,
}

impl FacetCounter {
    /// Counts `n_events` events that have `value`.
    pub fn add(&mut self, value: &str, n_events: u64) {
        if let Some(count) = self.counts.get_mut(value) {
            *count += n_events;
        } else if self.counts.len() < MAX_VALUES && self.n_bytes + value.len() <= MAX_VALUES_BYTES {
            self.n_bytes += value.len();
            self.counts.insert(value.to_owned(), n_events);
        } else {
            self.n_uncounted += n_events;
        }
    }

    /// Counts the different values of `field` in `n_events` events like `candidate`.
    pub fn add_event(&mut self, field: &Field, candidate: &Candidate<'_>, n_events: u64) {
        let mut values: Vec<String> = Vec::new();
        field.each_value(candidate, &mut |value| values.push(value.to_owned()));
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            self.add_missing(n_events);
        }
        values.iter().for_each(|value| self.add(value, n_events));
    }

    /// Counts events that have no value.
    pub fn add_missing(&mut self, n_events: u64) {
        self.n_missing += n_events;
    }

    /// Takes over what another one counted.
    pub fn merge(&mut self, other: Self) {
        self.n_uncounted += other.n_uncounted;
        self.n_missing += other.n_missing;
        for (value, n_events) in other.counts {
            self.add(&value, n_events);
        }
    }

    /// The most frequent `n_top` values that begin with `prefix` (in any case).
    pub fn facets(self, n_top: usize, prefix: &str) -> Facets {
        let prefix = prefix.to_lowercase();
        let begins_so = |value: &str| prefix.is_empty() || value.to_lowercase().starts_with(&prefix);
        let mut top: Vec<FacetCount> =
            self.counts.into_iter().filter(|(value, _)| begins_so(value)).map(|(value, n_events)| FacetCount { value, n_events }).collect();
        let n_values = top.len();
        top.sort_unstable_by(|a, b| b.n_events.cmp(&a.n_events).then_with(|| a.value.cmp(&b.value)));
        let n_other = top.iter().skip(n_top).map(|count| count.n_events).sum();
        top.truncate(n_top);
        Facets { top, n_values, n_other, n_uncounted: self.n_uncounted, n_missing: self.n_missing }
    }
}

/// Counts the values of the fields asked for among the events of `request` (its order, place and limit aside). An
/// event with several values counts once for each different one.
///
/// # Errors
/// As the search.
pub fn facets<S: Searcher + ?Sized>(searcher: &S, request: &SearchRequest, asked: &FacetRequest) -> Result<(Vec<Facets>, SearchSummary), SearchError> {
    let mut counters: Vec<FacetCounter> = asked.fields.iter().map(|_| FacetCounter::default()).collect();
    let summary = count_facets(searcher, request, &asked.fields, &mut counters)?;
    Ok((counters.into_iter().map(|counter| counter.facets(asked.n_top, &asked.prefix)).collect(), summary))
}

/// Adds the values of `fields` among the events of `request` to a counter for each.
///
/// # Errors
/// As the search.
pub fn count_facets<S: Searcher + ?Sized>(
    searcher: &S,
    request: &SearchRequest,
    fields: &[Field],
    counters: &mut [FacetCounter],
) -> Result<SearchSummary, SearchError> {
    searcher.search(&streaming(request), &mut |hit| {
        with_candidate(&hit, |candidate| fields.iter().zip(&mut *counters).for_each(|(field, counter)| counter.add_event(field, candidate, 1)));
        ControlFlow::Continue(())
    })
}

/// Calls `look` with a hit as a filter sees it; not at all if no event can be read from its line.
fn with_candidate(hit: &Hit<'_>, look: impl FnOnce(&Candidate<'_>)) {
    let line = readable_text(hit.line);
    let Ok(event) = Event::decode(&line) else { return };
    look(&Candidate { event: &event, line: &line, seq: hit.seq, id: hit.id, time: hit.time, ingested_at: hit.ingested_at, origin: hit.origin });
}

/// How to count events over time.
#[derive(Clone, Debug)]
pub struct HistogramRequest {
    /// Buckets at most; their length is the shortest that reads well.
    pub n_buckets: usize,
    /// Count also by the values of this field, such as the outcome.
    pub split: Option<Field>,
}

/// A stretch of time, and how many events lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its first moment.
    pub start: Timestamp,
    /// Events in it.
    pub n_events: u64,
    /// Events with each of [`Histogram::values`].
    pub by_value: Vec<u64>,
}

/// Events over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Stretches of equal length without gaps, from the first event's to the last one's.
    pub buckets: Vec<Bucket>,
    /// Each one's length in seconds.
    pub seconds: u64,
    /// The values by which it is split, in order; none where it is not.
    pub values: Vec<String>,
}

/// Counts the events of `request` (its order, place and limit aside) by time, in at most `n_buckets` stretches, whose
/// length is one that reads well.
///
/// # Errors
/// As the search.
pub fn histogram<S: Searcher + ?Sized>(searcher: &S, request: &SearchRequest, asked: &HistogramRequest) -> Result<(Histogram, SearchSummary), SearchError> {
    let mut counter = HistogramCounter::new(asked.n_buckets);
    let summary = count_histogram(searcher, request, asked.split.as_ref(), &mut counter)?;
    Ok((counter.histogram(), summary))
}

/// Adds the events of `request` to a counter, each with its first value of `split`.
///
/// # Errors
/// As the search.
pub fn count_histogram<S: Searcher + ?Sized>(
    searcher: &S,
    request: &SearchRequest,
    split: Option<&Field>,
    counter: &mut HistogramCounter,
) -> Result<SearchSummary, SearchError> {
    searcher.search(&streaming(request), &mut |hit| {
        let mut value = None;
        if let Some(field) = split {
            with_candidate(&hit, |candidate| value = first_value(field, candidate));
        }
        counter.add(hit.time.seconds(), value.as_deref(), 1);
        ControlFlow::Continue(())
    })
}

/// The first value of a field, as histograms are split by it.
pub fn first_value(field: &Field, candidate: &Candidate<'_>) -> Option<String> {
    let mut first = None;
    field.each_value(candidate, &mut |value| {
        if first.is_none() {
            first = Some(value.to_owned());
        }
    });
    first
}

fn streaming(request: &SearchRequest) -> SearchRequest {
    SearchRequest { order: Order::Arrival, limit: None, after: None, ..request.clone() }
}

/// Lengths that read well, in seconds: from a second to 30 days.
const LENGTHS: [u64; 17] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10_800, 21_600, 86_400, 2_592_000];

/// Counts events in buckets that grow as soon as there are too many.
#[derive(Debug)]
pub struct HistogramCounter {
    length: i64,
    /// By bucket number: seconds since the epoch divided by the length.
    counts: HashMap<i64, Counts>,
    /// The first and last bucket.
    span: Option<(i64, i64)>,
    n_buckets: usize,
    /// The values seen, in the order they came.
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: u64,
    by_value: [u64; MAX_SPLIT],
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.by_value.iter_mut().zip(other.by_value).for_each(|(sum, n_events)| *sum += n_events);
    }
}

impl HistogramCounter {
    /// With at most this many buckets.
    pub fn new(n_buckets: usize) -> Self {
        Self { length: 1, counts: HashMap::new(), span: None, n_buckets: n_buckets.clamp(1, MAX_BUCKETS), values: Vec::new() }
    }

    /// Counts `n_events` at a moment (seconds since the epoch), with one value of the field it is split by.
    pub fn add(&mut self, seconds: i64, value: Option<&str>, n_events: u64) {
        let index = value.and_then(|value| self.index_of(value));
        let mut counts = Counts { all: n_events, ..Counts::default() };
        if let Some(index) = index {
            counts.by_value[index] = n_events;
        }
        self.add_to(seconds.div_euclid(self.length), &counts);
    }

    /// Takes over what another one with the same bound on buckets counted.
    pub fn merge(&mut self, other: &Self) {
        let indexes: Vec<Option<usize>> = other.values.iter().map(|value| self.index_of(value)).collect();
        for (number, counts) in &other.counts {
            let mut moved = Counts { all: counts.all, ..Counts::default() };
            for (index, n_events) in indexes.iter().zip(counts.by_value) {
                if let Some(index) = index {
                    moved.by_value[*index] += n_events;
                }
            }
            while self.length < other.length {
                self.widen();
            }
            self.add_to(number.saturating_mul(other.length).div_euclid(self.length), &moved);
        }
    }

    fn index_of(&mut self, value: &str) -> Option<usize> {
        if let Some(index) = self.values.iter().position(|known| known == value) {
            return Some(index);
        }
        (self.values.len() < MAX_SPLIT).then(|| {
            self.values.push(value.to_owned());
            self.values.len() - 1
        })
    }

    fn add_to(&mut self, number: i64, counts: &Counts) {
        if let Some(sum) = self.counts.get_mut(&number) {
            sum.add(counts);
            return;
        }
        self.counts.insert(number, *counts);
        self.span = Some(self.span.map_or((number, number), |(first, last)| (first.min(number), last.max(number))));
        while self.span.is_some_and(|(first, last)| last.abs_diff(first) >= self.n_buckets as u64) {
            self.widen();
        }
    }

    /// Takes the next longer length that is a multiple of this one, so that buckets merge whole.
    fn widen(&mut self) {
        let longer = LENGTHS.into_iter().map(|length| length as i64).find(|length| *length > self.length && length % self.length == 0);
        let longer = longer.unwrap_or(self.length.saturating_mul(2));
        let factor = longer / self.length;
        let mut merged: HashMap<i64, Counts> = HashMap::new();
        for (number, counts) in self.counts.drain() {
            merged.entry(number.div_euclid(factor)).or_default().add(&counts);
        }
        self.counts = merged;
        self.span = self.span.map(|(first, last)| (first.div_euclid(factor), last.div_euclid(factor)));
        self.length = longer;
    }

    /// What was counted.
    pub fn histogram(self) -> Histogram {
        let seconds = self.length as u64;
        let Some((first, last)) = self.span else { return Histogram { seconds, ..Histogram::default() } };
        let start = |number: i64| Timestamp::new(number.saturating_mul(self.length), 0).unwrap_or_default();
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by(|a, b| self.values[*a].cmp(&self.values[*b]));
        let bucket = |number: i64| {
            let counts = self.counts.get(&number).copied().unwrap_or_default();
            Bucket { start: start(number), n_events: counts.all, by_value: order.iter().map(|index| counts.by_value[*index]).collect() }
        };
        let buckets = (first..=last).map(bucket).collect();
        Histogram { buckets, seconds, values: order.iter().map(|index| self.values[*index].clone()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_bounded_by_their_bytes_and_nothing_is_left_out_of_the_sums() {
        let (mut one, mut other) = (FacetCounter::default(), FacetCounter::default());
        let value = |number: usize| format!("{number:0>2}{}", "x".repeat(999_998));
        (0..12).for_each(|number| if number % 2 == 0 { one.add(&value(number), 1) } else { other.add(&value(number), 1) });
        one.add(&value(0), 5);
        one.merge(other);
        let facets = one.facets(3, "");
        assert_eq!((facets.n_values, facets.n_uncounted), (8, 4));
        assert_eq!(facets.top.iter().map(|count| count.n_events).sum::<u64>() + facets.n_other + facets.n_uncounted, 17);
        let gap = facets.gap(&Field::parse("path").unwrap()).unwrap();
        assert!(gap.contains("path has more values") && gap.contains("4 occurrences"), "{gap}");
        assert_eq!(Facets::default().gap(&Field::parse("path").unwrap()), None);
    }
}
