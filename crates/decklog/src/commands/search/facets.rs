//! `decklog search --facet`: the values of fields among the events that match, most frequent first.

use decklog_audit::filter::fields::{Field, FieldId, Tail};
use decklog_audit::search::{FacetRequest, Facets, MAX_VALUES};

use super::SearchFlags;
use crate::commands::Context;
use crate::failure::{Failure, Failures, Place};
use crate::output::{Listing, ListingColumn, Value, plural, with_thousands};
use crate::target::{Question, Tally, Target};

/// Values of a field, if nothing else is asked for.
const DEFAULT_VALUES: usize = 10;

/// A field by the name somebody gave it, which is the head of its table.
pub(super) struct Named {
    name: String,
    field: Field,
}

/// The fields of `--facet`.
pub(super) fn read(names: &[String]) -> Result<Vec<Named>, Failures> {
    let mut fields = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match Field::parse(name) {
            Ok(field) => fields.push(Named { name: name.clone(), field }),
            Err(error) => {
                let place = Place { column: error.column, length: error.length, text: Some(name.clone()), ..Place::default() };
                let failure = Failure::usage(error.code, format!("--facet: {}", error.message)).at(place);
                failures.push(if error.help.is_empty() { failure } else { failure.help(error.help) });
            }
        }
    }
    Failures::check(failures)?;
    Ok(fields)
}

/// Shows the values of each field.
pub(super) fn show(target: &Target, question: &Question, fields: &[Named], flags: &SearchFlags, context: &Context) -> Result<Tally, Failures> {
    let n_shown = match flags.limit {
        None => DEFAULT_VALUES,
        Some(0) => MAX_VALUES,
        Some(limit) => limit,
    };
    let asked = FacetRequest { fields: fields.iter().map(|named| named.field.clone()).collect(), n_top: n_shown, prefix: String::new() };
    let (facets, tally) = target.facets(question, &asked)?;
    let machine = flags.output.output.is_machine();
    let listing = |head: &str| {
        let columns = vec![ListingColumn::for_programs("field"), ListingColumn::text(head, "value"), ListingColumn::number("EVENTS", "events")];
        Listing::new(columns, flags.output, context.paint)
    };
    // For programs the values of all fields are one answer, for people a table each.
    let mut all = machine.then(|| listing(""));
    for (named, facets) in fields.iter().zip(facets) {
        let rows = rows(&facets, n_shown);
        let mut own = listing(&named.name.to_uppercase());
        let into = all.as_mut().unwrap_or(&mut own);
        for row in &rows.shown {
            into.row(vec![Value::text(&named.field.to_string()), row.value(), Value::number(row.n_events)])?;
        }
        if !machine {
            own.finish()?;
            context.note(&rows.totals(&named.field, tally.n_matched));
        }
    }
    all.map(Listing::finish).transpose()?;
    Ok(tally)
}

/// A value, or that there is none.
struct Row {
    value: Option<String>,
    n_events: u64,
}

impl Row {
    fn value(&self) -> Value {
        match &self.value {
            Some(value) => Value::text(value),
            None => Value::shown_as(serde_json::Value::Null, "(none)"),
        }
    }
}

struct Rows {
    shown: Vec<Row>,
    /// Values there are, "none" counted as one.
    n_values: usize,
    /// Events of those not shown; an event with several values counts for each.
    n_other: u64,
}

/// The values and "none", most frequent first, the first `n_shown` of them.
fn rows(facets: &Facets, n_shown: usize) -> Rows {
    let mut shown: Vec<Row> = facets.top.iter().map(|count| Row { value: Some(count.value.clone()), n_events: count.n_events }).collect();
    let mut n_values = facets.n_values;
    if facets.n_missing > 0 {
        let at = shown.iter().position(|row| row.n_events < facets.n_missing).unwrap_or(shown.len());
        shown.insert(at, Row { value: None, n_events: facets.n_missing });
        n_values += 1;
    }
    let cut = shown.split_off(n_shown.min(shown.len()));
    let n_other = facets.n_other + facets.n_uncounted + cut.iter().map(|row| row.n_events).sum::<u64>();
    Rows { shown, n_values, n_other }
}

impl Rows {
    /// `101 events, 8 values, 14 events in the 5 not shown; (none) = failed authentication, no user is known`.
    fn totals(&self, field: &Field, n_matched: u64) -> String {
        let mut text = format!("{}, {}", plural(n_matched, "event"), plural(self.n_values as u64, "value"));
        if self.n_values > self.shown.len() {
            text.push_str(&format!(", {} in the {} not shown", plural(self.n_other, "event"), with_thousands((self.n_values - self.shown.len()) as u64)));
        }
        if self.shown.iter().any(|row| row.value.is_none()) {
            text.push_str(&format!("; (none) = {}", why_none(field)));
        }
        text
    }
}

/// Why an event has no value of the field.
fn why_none(field: &Field) -> String {
    match (field.info.id, &field.tail) {
        (FieldId::UserName, Tail::None) => "failed authentication, no user is known".to_owned(),
        _ => format!("events without {field}"),
    }
}

#[cfg(test)]
mod tests {
    use decklog_audit::search::FacetCount;

    use super::*;

    #[test]
    fn none_is_a_value_among_the_others() {
        let count = |value: &str, n_events| FacetCount { value: value.to_owned(), n_events };
        let facets = Facets { top: vec![count("a", 9), count("b", 4), count("c", 3)], n_values: 5, n_other: 2, n_uncounted: 0, n_missing: 4 };
        let rows = rows(&facets, 3);
        let shown: Vec<_> = rows.shown.iter().map(|row| (row.value.as_deref(), row.n_events)).collect();
        assert_eq!(shown, [(Some("a"), 9), (Some("b"), 4), (None, 4)]);
        assert_eq!(rows.totals(&Field::parse("verb").unwrap(), 22), "22 events, 6 values, 5 events in the 3 not shown; (none) = events without verb");
    }
}
