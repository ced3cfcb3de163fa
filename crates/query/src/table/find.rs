//! Finding the rows that match: file by file, row group by row group, on all cores.
//!
//! Cheapest first. A file or group whose places are not wanted is not read. Then the filter's columns are read in
//! steps, each for the rows that are still undecided ([`Condition`]), and in the end the few whole lines that nothing
//! else decides. What to do with a row that matches is for a [`Sink`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use decklog_audit::Timestamp;
use decklog_audit::filter::{Needs, Prefilter};
use decklog_audit::search::{SearchRequest, Stop};

use super::condition::Condition;
use super::files::{FileReader, OpenFile, ReadFailure};
use super::looking::Looking;
use super::narrow::Narrowing;
use super::place::{Places, Span};
use super::pool;
use super::sink::Sink;
use super::{TableFile, TableView};
use crate::scan::Tally;

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
        let (opened, failures) = pool::each(self.n_threads, self.stop(), files.len(), Vec::new, |units: &mut Vec<Unit>, index| {
            let number = files[index];
            let file = &self.view.files[number as usize];
            let open = self.reader.open(&self.view.store, file)?;
            let groups = (0..open.groups().len()).map(|group| Unit { file: number, group, span: open.span(group), open: Arc::clone(&open) });
            units.extend(groups.filter(|unit| self.places.may_want(&unit.span)));
            Ok(())
        })?;
        outcome.note(failures.into_iter().map(|(index, failure)| (files[index], failure)), self.view);
        let mut units: Vec<Unit> = opened.into_iter().flatten().collect();
        // With the newest first, a limit is reached soonest.
        units.sort_by_key(|unit| (std::cmp::Reverse(unit.span.times.1), unit.file, unit.group));
        let state = || (sink(), Tally::default());
        let (states, failures) = pool::each(self.n_threads, self.stop(), units.len(), state, |(sink, tally), index| self.look(&units[index], sink, tally))?;
        outcome.note(failures.into_iter().map(|(index, failure)| (units[index].file, failure)), self.view);
        let mut sinks = Vec::with_capacity(states.len());
        for (sink, tally) in states {
            outcome.tally.add(&tally);
            sinks.push(sink);
        }
        Ok((sinks, outcome))
    }

    /// Looks at one row group.
    fn look<S: Sink>(&self, unit: &Unit, sink: &mut S, tally: &mut Tally) -> Result<(), ReadFailure> {
        let n_rows = unit.open.n_rows(unit.group);
        let wants_all = self.places.wants_all_of(&unit.span);
        let mut of_unit = Tally::default();
        if wants_all {
            let times = unit.span.times;
            of_unit.n_scanned = n_rows as u64;
            of_unit.extent = Some((Timestamp::from_micros(times.0), Timestamp::from_micros(times.1)));
        }
        let is_counted_only = sink.columns().is_empty() && !sink.wants_lines() || unit.span.times.1 < self.floor.load(Ordering::Relaxed);
        if wants_all && self.condition.is_everything() && is_counted_only {
            of_unit.n_matched = n_rows as u64;
            tally.add(&of_unit);
            return Ok(());
        }
        let mut looking = Looking::new(self, unit, wants_all, of_unit);
        let looked = match self.narrowing.rows(self.reader, &unit.open, unit.group, &self.places) {
            Ok(Some(ranges)) => looking.run(sink, ranges),
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        // What was found before a failure was taken by the sink.
        tally.add(&looking.tally);
        looked?;
        if let Some(floor) = sink.floor() {
            self.floor.fetch_max(floor, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Outcome {
    fn note(&mut self, failures: impl Iterator<Item = (u32, ReadFailure)>, view: &TableView) {
        for (number, failure) in failures {
            let file = &view.files[number as usize];
            self.vanished |= matches!(failure, ReadFailure::Vanished);
            self.gaps.push(gap(file, &failure));
        }
    }
}

/// What is told of a file that could not be read.
pub(super) fn gap(file: &TableFile, failure: &ReadFailure) -> (u64, String) {
    let rows = file.n_rows.map_or_else(|| "events".to_owned(), |n_rows| format!("up to {n_rows} events"));
    (file.span().seqs.0, format!("{rows} of the table's file `{}` are missing: {failure}", file.path))
}
