//! Finding the rows that match: file by file, row group by row group, on all cores.
//!
//! Cheapest first. A file or group whose places are not wanted is not read. Then statistics and bloom filters say which
//! rows may match at all; where that leaves fewer groups than there are threads, they share one. Then the filter's
//! columns are read in steps, each for the rows that are still undecided ([`Condition`]), and in the end the few whole lines that nothing
//! else decides. What to do with a row that matches is for a [`Sink`].

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use decklog_audit::Timestamp;
use decklog_audit::filter::{Needs, Prefilter};
use decklog_audit::search::{SearchRequest, Stop};

use super::condition::Condition;
use super::files::{Depth, FileReader, OpenFile, ReadFailure};
use super::looking::Looking;
use super::narrow::Narrowing;
use super::place::{Places, Span};
use super::pool;
use super::sink::Sink;
use super::{TableFile, TableView};
use crate::scan::Tally;

/// Rows of a group that threads share are parted at multiples of this: pages have as many (`decklog_store::table::file`).
const PART_ROWS: usize = 16 * 1024;

/// What finding gives beside what sinks took.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// What could not be read, with the file's first sequence number.
    pub(crate) gaps: Vec<(u64, String)>,
    /// A file is gone: another snapshot has its rows elsewhere.
    pub(crate) vanished: bool,
}

/// One search over the table.
pub(crate) struct Finder<'a> {
    pub(crate) reader: &'a FileReader,
    pub(crate) view: &'a TableView,
    pub(crate) n_threads: usize,
    pub(super) request: &'a SearchRequest,
    pub(super) places: Places,
    pub(super) condition: Condition,
    pub(super) narrowing: Narrowing,
    pub(super) prefilter: Prefilter,
    pub(super) needs: Needs,
    /// The highest floor of all sinks.
    floor: AtomicI64,
}

/// The index of a unit, its rows that are left, and its file with what was read of it.
type LeftUnit = (usize, Vec<Range<usize>>, Arc<OpenFile>);

/// A row group to look at.
pub(super) struct Unit {
    pub(super) file: u32,
    pub(super) group: usize,
    pub(super) open: Arc<OpenFile>,
    pub(super) span: Span,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(reader: &'a FileReader, view: &'a TableView, request: &'a SearchRequest, n_threads: usize) -> Self {
        let filter = &request.filter;
        Self {
            reader,
            view,
            n_threads,
            request,
            places: Places::of(request),
            condition: Condition::new(filter),
            narrowing: Narrowing::of(filter),
            prefilter: filter.prefilter(),
            needs: filter.needs(),
            floor: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.request.stop
    }

    /// Whether a file may hold something that is wanted.
    pub(crate) fn wants_file(&self, file: &TableFile) -> bool {
        self.places.may_want(&file.span())
    }

    /// Finds the rows that match in `files` (indexes in the view), each thread with a sink of its own.
    pub(crate) fn find<S: Sink>(&self, files: &[u32], sink: impl Fn() -> S + Sync) -> Result<(Vec<S>, Outcome), ReadFailure> {
        let mut outcome = Outcome::default();
        // Where most groups are ruled out by a bloom filter, the others' page index alone is read.
        let depth = if self.narrowing.wants_one_value() { Depth::Groups } else { Depth::Pages };
        let (opened, failures) = pool::each(self.n_threads, self.stop(), files.len(), Vec::new, |units: &mut Vec<Unit>, index| {
            let number = files[index];
            let file = &self.view.files[number as usize];
            let open = self.reader.open(&self.view.store, file, depth)?;
            let groups = (0..open.groups().len()).map(|group| Unit { file: number, group, span: open.span(group), open: Arc::clone(&open) });
            units.extend(groups.filter(|unit| self.places.may_want(&unit.span)));
            Ok(())
        })?;
        outcome.note(failures.into_iter().map(|(index, failure)| (files[index], failure)), self.view);
        let mut units: Vec<Unit> = opened.into_iter().flatten().collect();
        // With the newest first, a limit is reached soonest.
        units.sort_by_key(|unit| (std::cmp::Reverse(unit.span.times.1), unit.file, unit.group));
        let narrow = |left: &mut Vec<LeftUnit>, index: usize| {
            let unit = &units[index];
            if self.narrowing.may_have(self.reader, &unit.open, unit.group)? {
                let open = self.reader.deepen(Arc::clone(&unit.open), Depth::Pages)?;
                let ranges = self.narrowing.rows(&open, unit.group, &self.places);
                left.extend((!ranges.is_empty()).then_some((index, ranges, open)));
            }
            Ok(())
        };
        // Only bloom filters are read for it; without one it is no work for threads.
        let n_threads = if self.narrowing.wants_one_value() { self.n_threads } else { 1 };
        let (left, failures) = pool::each(n_threads, self.stop(), units.len(), Vec::new, narrow)?;
        outcome.note(failures.into_iter().map(|(index, failure)| (units[index].file, failure)), self.view);
        let mut narrowed = Vec::new();
        for (index, ranges, open) in left.into_iter().flatten() {
            units[index].open = open;
            narrowed.push((index, ranges));
        }
        let mut left: Vec<(usize, Vec<Range<usize>>)> = narrowed;
        left.sort_unstable_by_key(|(index, _)| *index);
        for (index, unit) in units.iter().enumerate() {
            // Rows that were ruled out count as looked at all the same.
            if self.places.wants_all_of(&unit.span) && left.binary_search_by_key(&index, |(index, _)| *index).is_err() {
                outcome.tally.add(&self.whole(unit));
            }
        }
        let parts = shared(left, self.n_threads);
        let state = || (sink(), Tally::default());
        let (states, failures) = pool::each(self.n_threads, self.stop(), parts.len(), state, |(sink, tally), index| {
            let part = &parts[index];
            self.look(&units[part.unit], part, sink, tally)
        })?;
        outcome.note(failures.into_iter().map(|(index, failure)| (units[parts[index].unit].file, failure)), self.view);
        let mut sinks = Vec::with_capacity(states.len());
        for (sink, tally) in states {
            outcome.tally.add(&tally);
            sinks.push(sink);
        }
        Ok((sinks, outcome))
    }

    /// What is counted of a group whose rows are all wanted by their place.
    fn whole(&self, unit: &Unit) -> Tally {
        let times = unit.span.times;
        Tally {
            n_scanned: unit.open.n_rows(unit.group) as u64,
            extent: Some((Timestamp::from_micros(times.0), Timestamp::from_micros(times.1))),
            ..Tally::default()
        }
    }

    /// Looks at rows of one row group.
    fn look<S: Sink>(&self, unit: &Unit, part: &Part, sink: &mut S, tally: &mut Tally) -> Result<(), ReadFailure> {
        let wants_all = self.places.wants_all_of(&unit.span);
        let mut of_unit = if wants_all && part.is_first { self.whole(unit) } else { Tally::default() };
        let is_counted_only = sink.columns().is_empty() && !sink.wants_lines() || unit.span.times.1 < self.floor.load(Ordering::Relaxed);
        if wants_all && self.condition.is_everything() && is_counted_only {
            of_unit.n_matched = part.ranges.iter().map(|range| range.len() as u64).sum();
            tally.add(&of_unit);
            return Ok(());
        }
        let mut looking = Looking::new(self, unit, wants_all, of_unit);
        let looked = looking.run(sink, part.ranges.clone());
        // What was found before a failure was taken by the sink.
        tally.add(&looking.tally);
        looked?;
        if let Some(floor) = sink.floor() {
            self.floor.fetch_max(floor, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Rows of a unit that one thread looks at.
struct Part {
    /// The unit's index.
    unit: usize,
    ranges: Vec<Range<usize>>,
    /// Whether it is the unit's first part, with which the unit is counted.
    is_first: bool,
}

/// The rows that are left, in parts for that many threads: where there are fewer groups than threads, a group's are parted.
fn shared(left: Vec<(usize, Vec<Range<usize>>)>, n_threads: usize) -> Vec<Part> {
    let n_parts = n_threads.div_ceil(left.len().max(1));
    let mut parts = Vec::new();
    for (unit, ranges) in left {
        let n_rows: usize = ranges.iter().map(Range::len).sum();
        let share = n_rows.div_ceil(n_parts).next_multiple_of(PART_ROWS);
        let mut of_unit: Vec<Vec<Range<usize>>> = vec![Vec::new()];
        let mut room = share;
        for mut range in ranges {
            while range.len() > room {
                let cut = range.start + room;
                if let Some(last) = of_unit.last_mut().filter(|_| room > 0) {
                    last.push(range.start..cut);
                }
                of_unit.push(Vec::new());
                range.start = cut;
                room = share;
            }
            room -= range.len();
            if let Some(last) = of_unit.last_mut().filter(|_| !range.is_empty()) {
                last.push(range);
            }
        }
        parts.extend(of_unit.into_iter().enumerate().map(|(index, ranges)| Part { unit, ranges, is_first: index == 0 }));
    }
    parts
}

impl Outcome {
    fn note(&mut self, failures: impl Iterator<Item = (u32, ReadFailure)>, view: &TableView) {
        for (number, failure) in failures {
            let file = &view.files[number as usize];
            self.vanished |= matches!(failure, ReadFailure::Vanished);
            let gap = gap(file, &failure);
            // Several parts of a file fail for one reason.
            if !self.gaps.contains(&gap) {
                self.gaps.push(gap);
            }
        }
    }
}

/// What is told of a file that could not be read.
pub(super) fn gap(file: &TableFile, failure: &ReadFailure) -> (u64, String) {
    let rows = file.n_rows.map_or_else(|| "events".to_owned(), |n_rows| format!("up to {n_rows} events"));
    (file.span().seqs.0, format!("{rows} of the table's file `{}` are missing: {failure}", file.path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_hold_every_row_once(groups in prop::collection::vec(prop::collection::vec((0usize..40_000, 1usize..60_000), 1..4), 0..4), n_threads in 1usize..9) {
            let ranges = |group: &Vec<(usize, usize)>| {
                let mut end = 0;
                group.iter().map(|(gap, length)| { let start = end + gap; end = start + length; start..end }).collect::<Vec<_>>()
            };
            let left: Vec<(usize, Vec<Range<usize>>)> = groups.iter().map(ranges).enumerate().collect();
            let parts = shared(left.clone(), n_threads);
            for (unit, ranges) in &left {
                let of_unit: Vec<&Part> = parts.iter().filter(|part| part.unit == *unit).collect();
                let rows: Vec<usize> = of_unit.iter().flat_map(|part| part.ranges.iter().cloned().flatten()).collect();
                prop_assert_eq!(rows, ranges.iter().cloned().flatten().collect::<Vec<_>>());
                prop_assert_eq!(of_unit.iter().filter(|part| part.is_first).count(), 1);
                prop_assert!(of_unit.iter().all(|part| !part.ranges.is_empty()));
            }
        }
    }
}
