//! Counting what matches without reading its lines: values of fields, and events over time.

use decklog_audit::filter::Candidate;
use decklog_audit::filter::fields::Field;
use decklog_audit::search::{FacetCounter, HistogramCounter, first_value};
use decklog_store::table::{Column, Rows};

use super::access::Access;
use super::groups::Groups;
use super::sink::{Matches, Sink, Spot};

/// A field whose values are counted.
struct Counted<'a> {
    field: &'a Field,
    access: Access,
}

impl<'a> Counted<'a> {
    fn new(field: &'a Field) -> Self {
        Self { field, access: Access::of(field) }
    }

    /// Calls `look` with a row that stands for each group of matches that are alike in this field, and the matches.
    fn each_group(&self, matches: &Matches<'_>, look: &mut dyn FnMut(usize, &[usize])) {
        match Groups::of(matches.batch, self.access.columns()) {
            None => matches.at.iter().for_each(|row| look(*row, &[*row])),
            Some(groups) => {
                let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.rows.len()];
                matches.at.iter().for_each(|row| members[groups.of_row[*row] as usize].push(*row));
                groups.rows.iter().zip(&members).filter(|(_, members)| !members.is_empty()).for_each(|(row, members)| look(*row as usize, members));
            }
        }
    }

    /// The field's only text, where that is what a column holds.
    fn text<'r>(&self, rows: &Rows<'r>, row: usize) -> Option<Option<&'r str>> {
        if let Access::Text(column) = self.access { Some(rows.text(column, row)) } else { None }
    }

    fn first(&self, rows: &Rows<'_>, row: usize) -> Option<String> {
        match self.text(rows, row) {
            Some(text) => text.map(str::to_owned),
            None => self.access.with_candidate(rows, row, |candidate| first_value(self.field, candidate)),
        }
    }

    fn add(&self, rows: &Rows<'_>, row: usize, n_events: u64, counter: &mut FacetCounter) {
        match self.text(rows, row) {
            Some(Some(text)) => counter.add(text, n_events),
            Some(None) => counter.add_missing(n_events),
            None => self.access.with_candidate(rows, row, |candidate| counter.add_event(self.field, candidate, n_events)),
        }
    }
}

/// Counts the values of fields.
pub(crate) struct FacetSink<'a> {
    fields: Vec<Counted<'a>>,
    /// One for each field.
    pub(crate) counters: Vec<FacetCounter>,
}

impl<'a> FacetSink<'a> {
    pub(crate) fn new(fields: &'a [Field]) -> Self {
        Self { fields: fields.iter().map(Counted::new).collect(), counters: fields.iter().map(|_| FacetCounter::default()).collect() }
    }
}

impl Sink for FacetSink<'_> {
    fn columns(&self) -> Vec<Column> {
        self.fields.iter().flat_map(|field| field.access.columns().to_vec()).collect()
    }

    fn wants_lines(&self) -> bool {
        self.fields.iter().any(|field| field.access == Access::Line)
    }

    fn take(&mut self, matches: &Matches<'_>) {
        for (field, counter) in self.fields.iter().zip(&mut self.counters) {
            field.each_group(matches, &mut |row, members| field.add(matches.rows, row, members.len() as u64, counter));
        }
    }

    fn take_line(&mut self, _: Spot, candidate: &Candidate<'_>) {
        for (field, counter) in self.fields.iter().zip(&mut self.counters) {
            counter.add_event(field.field, candidate, 1);
        }
    }
}

/// Counts events over time.
pub(crate) struct HistogramSink<'a> {
    split: Option<Counted<'a>>,
    pub(crate) counter: HistogramCounter,
}

impl<'a> HistogramSink<'a> {
    pub(crate) fn new(split: Option<&'a Field>, n_buckets: usize) -> Self {
        Self { split: split.map(Counted::new), counter: HistogramCounter::new(n_buckets) }
    }
}

fn seconds(micros: i64) -> i64 {
    micros.div_euclid(1_000_000)
}

impl Sink for HistogramSink<'_> {
    fn columns(&self) -> Vec<Column> {
        let split = self.split.iter().flat_map(|split| split.access.columns().to_vec());
        split.chain([Column::Time]).collect()
    }

    fn wants_lines(&self) -> bool {
        self.split.as_ref().is_some_and(|split| split.access == Access::Line)
    }

    fn take(&mut self, matches: &Matches<'_>) {
        let Self { split, counter } = self;
        let mut add = |value: Option<&str>, members: &[usize]| {
            for row in members {
                counter.add(seconds(matches.rows.number(Column::Time, *row).unwrap_or_default()), value, 1);
            }
        };
        match split {
            None => add(None, matches.at),
            Some(split) => split.each_group(matches, &mut |row, members| add(split.first(matches.rows, row).as_deref(), members)),
        }
    }

    fn take_line(&mut self, _: Spot, candidate: &Candidate<'_>) {
        let value = self.split.as_ref().and_then(|split| first_value(split.field, candidate));
        self.counter.add(candidate.time.seconds(), value.as_deref(), 1);
    }
}

/// Counts nothing but how many there are.
pub(crate) struct NumberSink;

impl Sink for NumberSink {
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }

    fn take(&mut self, _: &Matches<'_>) {}

    fn take_line(&mut self, _: Spot, _: &Candidate<'_>) {}
}
