//! One row group that is looked at: step by step, from cheap columns to whole lines.
//!
//! Each step reads its columns for the rows that are still undecided. Rows that match go to the sink at once.

use std::ops::Range;
use std::sync::Arc;

use decklog_audit::event::readable_text;
use decklog_audit::filter::{Candidate, Needs};
use decklog_audit::intake::id_of;
use decklog_audit::journal::Origin;
use decklog_audit::{Event, Timestamp};
use decklog_store::table::{COLUMNS, Column, Rows};

use super::access::Cost;
use super::condition::Truth;
use super::files::{ReadFailure, Selection};
use super::find::{Finder, Unit};
use super::sink::{Matches, Sink, Spot};
use crate::scan::Tally;

/// Rows of a batch in which columns are looked at.
const BATCH_ROWS: usize = 16 * 1024;
/// Rows of a batch of whole lines, which may be long.
pub(super) const LINE_ROWS: usize = 512;

/// A row group that is looked at.
pub(super) struct Looking<'f, 'a> {
    finder: &'f Finder<'a>,
    unit: &'f Unit,
    wants_all: bool,
    pub(super) tally: Tally,
    /// The row numbers of the batch at hand.
    numbers: Vec<u32>,
    /// Its matches.
    at: Vec<usize>,
}

impl<'f, 'a> Looking<'f, 'a> {
    /// Looks at `unit`, of which all rows are wanted by their place (and counted in `tally`) or each is asked.
    pub(super) fn new(finder: &'f Finder<'a>, unit: &'f Unit, wants_all: bool, tally: Tally) -> Self {
        Self { finder, unit, wants_all, tally, numbers: Vec::new(), at: Vec::new() }
    }

    /// Goes through all steps, from the rows of `ranges`.
    pub(super) fn run<S: Sink>(&mut self, sink: &mut S, mut ranges: Vec<Range<usize>>) -> Result<(), ReadFailure> {
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
        // Where few rows are left, what is noted of them is read for them alone.
        let is_deferred = !sink.wants_lines() && !sink.columns().is_empty() && (step > Cost::Word || self.finder.narrowing.wants_one_value());
        if !is_deferred {
            columns.extend(sink.columns());
        }
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
        let (mut undecided, mut found): (Vec<Range<usize>>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
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
            if is_deferred {
                self.at.iter().for_each(|row| add_row(&mut found, self.numbers[*row] as usize));
            } else if !self.at.is_empty() {
                sink.take(&Matches { batch, rows: &rows, at: &self.at, file: unit.file, group: unit.group as u32, numbers: &self.numbers });
            }
            Ok(())
        })?;
        if !found.is_empty() {
            self.take_all(sink, &found)?;
        }
        Ok(undecided)
    }

    /// Gives the sink rows that match, with its columns.
    fn take_all<S: Sink>(&mut self, sink: &mut S, ranges: &[Range<usize>]) -> Result<(), ReadFailure> {
        let (unit, reader) = (self.unit, self.finder.reader);
        let mut numbers = ranges.iter().cloned().flatten();
        reader.read(&unit.open, unit.group, &sink.columns(), selection(ranges, unit), BATCH_ROWS, &mut |batch| {
            self.check_stop()?;
            self.numbers.clear();
            self.numbers.extend(numbers.by_ref().take(batch.num_rows()).map(|number| number as u32));
            self.at.clear();
            self.at.extend(0..batch.num_rows());
            sink.take(&Matches { batch, rows: &Rows::new(batch), at: &self.at, file: unit.file, group: unit.group as u32, numbers: &self.numbers });
            Ok(())
        })
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
