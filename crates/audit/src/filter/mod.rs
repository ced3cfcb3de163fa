//! The filter language: one text for search box, command line, API and live tail (docs/filter.md).
//!
//! ```text
//! text ─► lex ─► parse ─► tree (ast) ─► matching: is this event as it says?
//!                 │         ├─► print: the canonical text
//!    names, values┘         └─► prefilter: may this line match at all? · needs: what must be decoded?
//!  complete: tokens and what could stand at the cursor, by the same lexer and the parser's names
//! ```
//!
//! The matcher is the definition; whatever else reads the tree (prefilter, plans of the table) may only
//! narrow what it looks at. Times such as `today` are fixed when a filter is parsed.

pub mod ast;
pub mod body;
pub mod complete;
pub mod fields;
pub mod kinds;
mod lex;
mod matching;
mod names;
mod parse;
mod mixed;
pub mod pattern;
mod prefilter;
mod print;
pub mod time;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::ast::{Clause, Expression, Test, Values};
use self::fields::{FieldId, FieldType};
pub use self::parse::{MAX_BYTES, MAX_CLAUSES, MAX_DEPTH};
pub use self::prefilter::{Demand, Literal, Prefilter};
use crate::event::Event;
use crate::journal::{EventId, Origin};
use crate::time::Timestamp;

/// A parsed filter; the default matches every event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    expression: Expression,
}

/// What is wrong with a filter's text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// The first wrong character, counted in characters from 1.
    pub column: usize,
    /// How many characters are wrong.
    pub length: usize,
    /// A stable word for the kind of error.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// One event with what decklog knows of it beside its bytes: what a filter looks at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The event, decoded from `line`.
    pub event: &'a Event<'a>,
    /// The stored line.
    pub line: &'a str,
    /// Its place in the journal.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// Its time (see `RecordFlags::TIME_INFERRED`).
    pub time: Timestamp,
    /// When it came in.
    pub ingested_at: Timestamp,
    /// Where it came from.
    pub origin: &'a Arc<Origin>,
}

/// How much of an event a filter looks at, in rising order of cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Only what is known beside the line: `event` and `line` of the candidate may be empty.
    Place,
    /// The decoded event; its bodies stay unread.
    Event,
    /// What is inside bodies, or the whole line.
    Bodies,
}

impl Filter {
    /// Reads a filter; `now` gives words such as `today` and `now-6h` their meaning.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, FilterError> {
        Ok(Self { expression: parse::parse(text, now)? })
    }

    /// Whether the event belongs to the answer.
    pub fn matches(&self, candidate: &Candidate<'_>) -> bool {
        matching::matches(&self.expression, candidate)
    }

    /// The tree, for those who plan a search. A plan may only narrow: [`Filter::matches`] decides.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// Whether it matches every event.
    pub fn is_everything(&self) -> bool {
        self.expression == Expression::All
    }

    /// The filter that matches what all of `filters` match.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        Self { expression: Expression::all(filters.into_iter().map(|filter| filter.expression).collect()) }
    }

    /// How much of an event it looks at.
    pub fn needs(&self) -> Needs {
        needs(&self.expression)
    }

    /// The event times outside of which nothing matches; both ends included. No bound where the filter gives
    /// none.
    pub fn time_bounds(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let (start, end) = time_bounds(&self.expression);
        (start.map(time::timestamp_at), end.map(|end| time::timestamp_at(end - 1)))
    }

    /// A cheap test of raw lines that never turns away one this filter matches.
    pub fn prefilter(&self) -> Prefilter {
        Prefilter::new(&self.expression)
    }

    /// Conditions that can never hold though they look as if: what to write instead, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        collect_hints(&self.expression, &mut hints);
        hints
    }
}

impl From<Expression> for Filter {
    /// The filter of a part of another one's tree, for those who plan a search.
    fn from(expression: Expression) -> Self {
        Self { expression }
    }
}

impl Values {
    /// What they say of a field whose only value is `text`; fields of text, words and addresses.
    pub fn hold_for_text(&self, text: &str) -> bool {
        matching::text_holds(self, text)
    }

    /// What they say of a field whose only value is this whole number.
    pub fn hold_for_number(&self, value: i64) -> bool {
        matching::number_holds(self, value)
    }

    /// What they say of a field whose only value is this moment.
    pub fn hold_for_time(&self, value: Timestamp) -> bool {
        matching::time_holds(self, value)
    }
}

impl fields::Field {
    /// The field of that name, as it is written in filters: `user`, `annotations.KEY`, `request.PATH`.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn parse(name: &str) -> Result<Self, FilterError> {
        parse::parse_field(name)
    }

    /// Calls `visit` with each value the field has in an event, as text.
    pub fn each_value(&self, candidate: &Candidate<'_>, visit: &mut dyn FnMut(&str)) {
        matching::each_value(self, candidate, visit);
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        print::expression(&self.expression, f)
    }
}

fn needs(expression: &Expression) -> Needs {
    match expression {
        Expression::All => Needs::Place,
        Expression::And(parts) | Expression::Or(parts) => parts.iter().map(needs).max().unwrap_or(Needs::Place),
        Expression::Not(inner) => needs(inner),
        Expression::Text(_) => Needs::Bodies,
        Expression::Clause(clause) => match clause.field.info.id {
            FieldId::Cluster | FieldId::Source | FieldId::Sender | FieldId::Id | FieldId::Seq | FieldId::Ingested | FieldId::Time => Needs::Place,
            // The name of what a create with generateName made stands in the answer.
            FieldId::Object => Needs::Bodies,
            _ if clause.field.kind() == FieldType::Json => Needs::Bodies,
            _ => Needs::Event,
        },
    }
}

/// From the first moment to the one after the last, in nanoseconds.
fn time_bounds(expression: &Expression) -> (Option<i128>, Option<i128>) {
    match expression {
        Expression::And(parts) => parts
            .iter()
            .map(time_bounds)
            .fold((None, None), |(start, end), (other_start, other_end)| (start.max(other_start), [end, other_end].into_iter().flatten().min())),
        Expression::Or(parts) => parts
            .iter()
            .map(time_bounds)
            .reduce(|(start, end), (other_start, other_end)| (start.zip(other_start).map(|(a, b)| a.min(b)), end.zip(other_end).map(|(a, b)| a.max(b))))
            .unwrap_or_default(),
        Expression::Clause(Clause { field, values: Values::One(Test::Time(range)) }) if field.info.id == FieldId::Time => (range.start, range.end),
        _ => (None, None),
    }
}

fn collect_hints(expression: &Expression, hints: &mut Vec<String>) {
    match expression {
        Expression::All | Expression::Text(_) => {}
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| collect_hints(part, hints)),
        Expression::Not(inner) => collect_hints(inner, hints),
        Expression::Clause(Clause { field, values }) => {
            let what = match field.info.id {
                FieldId::Namespace => "cluster-wide objects have no namespace: `not ns:*`",
                FieldId::ApiGroup => "the core group is missing, not empty: `not apigroup:*`",
                _ => return,
            };
            if asks_for_empty(values) && !hints.iter().any(|hint| hint == what) {
                hints.push(what.to_owned());
            }
        }
    }
}

fn asks_for_empty(values: &Values) -> bool {
    match values {
        Values::One(test) => matches!(test, Test::Text(pattern) if pattern.pieces().is_empty()),
        Values::And(parts) | Values::Or(parts) => parts.iter().any(asks_for_empty),
        Values::Not(inner) => asks_for_empty(inner),
    }
}
