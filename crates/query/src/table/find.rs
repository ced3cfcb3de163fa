//! Finding the rows that match: file by file, row group by row group, on all cores.
//!
//! Cheapest first. A file or group whose places are not wanted is not read. Then the filter's columns are read in
//! steps, each for the rows that are still undecided ([`Condition`]), and in the end the few whole lines that nothing
//! else decides. What to do with a row that matches is for a [`Sink`].

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::RecordBatch;
use decklog_audit::event::readable_text;
use decklog_audit::filter::{Candidate, Needs, Prefilter};
use decklog_audit::intake::id_of;
use decklog_audit::journal::Origin;
use decklog_audit::search::{SearchRequest, Stop};
use decklog_audit::{Event, Timestamp};
use decklog_store::table::{COLUMNS, Column, Rows};

use super::access::Cost;
use super::condition::{Condition, Truth};
use super::files::{FileReader, OpenFile, ReadFailure, Selection};
use super::narrow::Narrowing;
use super::place::{Places, Span};
use super::pool;
use super::{TableFile, TableView};
use crate::scan::Tally;

/// Rows of a batch in which columns are looked at.
const BATCH_ROWS: usize = 16 * 1024;
/// Rows of a batch of whole lines, which may be long.
pub(super) const LINE_ROWS: usize = 512;

/// What is done with rows that match. One for each thread.
pub(crate) trait Sink: Send {
    /// The columns it looks at.
    fn columns(&self) -> Vec<Column>;

    /// Whether it looks at whole lines instead.
    fn wants_lines(&self) -> bool {
        false
    }

    /// Takes rows that match.
    fn take(&mut self, matches: &Matches<'_>);

    /// Takes a row that matches and was decoded.
    fn take_line(&mut self, spot: Spot, candidate: &Candidate<'_>);

    /// The time (microseconds) before which a row changes nothing any more, but for its number.
    fn floor(&self) -> Option<i64> {
        None
    }
}

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The file's index in the view.
    pub(crate) file: u32,
    /// The row group.
    pub(crate) group: u32,
    /// The row in it.
    pub(crate) row: u32,
}

/// Rows of a batch that match.
pub(crate) struct Matches<'a> {
    pub(crate) batch: &'a RecordBatch,
    pub(crate) rows: &'a Rows<'a>,
    /// Their indexes in the batch.
    pub(crate) at: &'a [usize],
    file: u32,
    group: u32,
    /// The row in the group of each row of the batch.
    numbers: &'a [u32],
}

impl Matches<'_> {
    /// Where the row at an index of the batch lies.
    pub(crate) fn spot(&self, index: usize) -> Spot {
        Spot { file: self.file, group: self.group, row: self.numbers[index] }
    }
}

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
    request: &'a SearchRequest,
    places: Places,
    condition: Condition,
    narrowing: Narrowing,
    prefilter: Prefilter,
    needs: Needs,
    /// The highest floor of all sinks.
    floor: AtomicI64,
}

/// A row group to look at.
struct Unit {
    file: u32,
    group: usize,
    open: Arc<OpenFile>,
    span: Span,
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
        let mut looking = Looking { finder: self, unit, wants_all, tally: of_unit, numbers: Vec::new(), at: Vec::new() };
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

/// A row group that is looked at.
struct Looking<'f, 'a> {
    finder: &'f Finder<'a>,
    unit: &'f Unit,
    wants_all: bool,
    tally: Tally,
    /// The row numbers of the batch at hand.
    numbers: Vec<u32>,
    /// Its matches.
    at: Vec<usize>,
}

impl Looking<'_, '_> {
    /// Goes through all steps, from the rows of `ranges`.
    fn run<S: Sink>(&mut self, sink: &mut S, mut ranges: Vec<Range<usize>>) -> Result<(), ReadFailure> {
        for (index, step) in self.finder.condition.steps().into_iter().enumerate() {
            if ranges.is_empty() {
                return Ok(());
            }
            ranges = self.step(sink, &ranges, step, index == 0)?;
        }
        if ranges.is_empty() { Ok(()) } else { self.lines(sink, &ranges) }
    }

    /// Reads the columns of one step for the rows of `ranges`, and gives those that are still undecided.
    fn step<S: Sink>(&mut self, sink: &mut S, ranges: &[Range<usize>], step: Cost, is_first: bool) -> Result<Vec<Range<usize>>, ReadFailure> {
        let condition = &self.finder.condition;
        let mut columns = condition.columns(step);
        columns.extend(sink.columns());
        if is_first && !self.wants_all {
            columns.extend([Column::Time, Column::Seq]);
        }
        if condition.decodes_raw() {
            columns.push(Column::Raw);
        }
        if columns.is_empty() {
            // Every row matches and nobody looks at any column.
            columns.push(Column::Seq);
        }
        let mut undecided: Vec<Range<usize>> = Vec::new();
        let (unit, reader) = (self.unit, self.finder.reader);
        let mut numbers = ranges.iter().cloned().flatten();
        reader.read(&unit.open, unit.group, &columns, selection(ranges, unit), BATCH_ROWS, &mut |batch| {
            self.check_stop()?;
            self.numbers.clear();
            self.numbers.extend(numbers.by_ref().take(batch.num_rows()).map(|number| number as u32));
            let rows = Rows::new(batch);
            let mut truths = condition.truths(batch, &rows, step);
            if is_first && !self.wants_all {
                self.keep_wanted(&rows, &mut truths);
            }
            self.at.clear();
            for (row, truth) in truths.iter().enumerate() {
                match truth {
                    Truth::No => {}
                    Truth::Yes if !sink.wants_lines() => self.at.push(row),
                    Truth::Yes | Truth::Maybe => add_row(&mut undecided, self.numbers[row] as usize),
                }
            }
            self.tally.n_matched += self.at.len() as u64;
            if !self.at.is_empty() {
                sink.take(&Matches { batch, rows: &rows, at: &self.at, file: unit.file, group: unit.group as u32, numbers: &self.numbers });
            }
            Ok(())
        })?;
        Ok(undecided)
    }

    /// Rules out rows whose place is not wanted, and counts the others.
    fn keep_wanted(&mut self, rows: &Rows<'_>, truths: &mut [Truth]) {
        for (row, truth) in truths.iter_mut().enumerate() {
            let (time, seq) = (rows.number(Column::Time, row).unwrap_or_default(), rows.seq(row));
            if self.finder.places.wants(time, seq) {
                let time = Timestamp::from_micros(time);
                self.tally.n_scanned += 1;
                self.tally.extent = Some(self.tally.extent.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
            } else {
                *truth = Truth::No;
            }
        }
    }

    /// Decides about whole lines, as the journal's scan does.
    fn lines<S: Sink>(&mut self, sink: &mut S, ranges: &[Range<usize>]) -> Result<(), ReadFailure> {
        let all: Vec<Column> = COLUMNS.iter().map(|info| info.column).collect();
        let (unit, finder) = (self.unit, self.finder);
        let mut numbers = ranges.iter().cloned().flatten();
        let mut line = Vec::new();
        finder.reader.read(&unit.open, unit.group, &all, selection(ranges, unit), LINE_ROWS, &mut |batch| {
            let rows = Rows::new(batch);
            for (row, number) in (0..batch.num_rows()).zip(numbers.by_ref()) {
                self.check_stop()?;
                line.clear();
                rows.write_line(row, &mut line);
                let spot = Spot { file: unit.file, group: unit.group as u32, row: number as u32 };
                self.line(sink, spot, &rows, row, &line);
            }
            Ok(())
        })
    }

    fn line<S: Sink>(&mut self, sink: &mut S, spot: Spot, rows: &Rows<'_>, row: usize, line: &[u8]) {
        let finder = self.finder;
        if finder.needs != Needs::Place && !finder.prefilter.may_match(line) {
            return;
        }
        let text = readable_text(line);
        let event = match Event::decode(&text) {
            Ok(event) => event,
            Err(_) if finder.needs == Needs::Place => Event::default(),
            Err(_) => {
                self.tally.n_undecodable += 1;
                return;
            }
        };
        let origin = Arc::new(origin(rows, row));
        let candidate = Candidate {
            event: &event,
            line: &text,
            seq: rows.seq(row),
            id: id_of(&origin.cluster, line),
            time: rows.time(Column::Time, row).unwrap_or_default(),
            ingested_at: rows.time(Column::IngestedAt, row).unwrap_or_default(),
            origin: &origin,
        };
        if finder.request.filter.matches(&candidate) {
            self.tally.n_matched += 1;
            sink.take_line(spot, &candidate);
        }
    }

    fn check_stop(&self) -> Result<(), ReadFailure> {
        if self.finder.stop().is_stopped() { Err(ReadFailure::Stopped) } else { Ok(()) }
    }
}

/// All rows of the group, where the ranges are no narrower.
fn selection<'r>(ranges: &'r [Range<usize>], unit: &Unit) -> Selection<'r> {
    let n_rows = unit.open.n_rows(unit.group);
    if let [one] = ranges
        && *one == (0..n_rows)
    {
        return Selection::All;
    }
    Selection::Ranges(ranges)
}

/// Adds the next row to ranges in order.
pub(super) fn add_row(ranges: &mut Vec<Range<usize>>, row: usize) {
    match ranges.last_mut() {
        Some(last) if last.end == row => last.end += 1,
        _ => ranges.push(row..row + 1),
    }
}

/// Where a row came from.
pub(super) fn origin(rows: &Rows<'_>, row: usize) -> Origin {
    let text = |column| Arc::from(rows.text(column, row).unwrap_or_default());
    Origin { cluster: text(Column::Cluster), source: text(Column::Source), sender: text(Column::Sender) }
}
