//! Which rows of a group may match, by what the file says of them beside their values.
//!
//! Least and greatest values of the group, then bloom filters for texts that must be there as a whole, then least and
//! greatest values of pages. All of it only rules out: a row that is left may still not match. Rows kept raw are in
//! the statistics with the same values the event has, but for [`Column::Received`], which is cut to microseconds.

use std::ops::Range;

use decklog_audit::Filter;
use decklog_audit::Timestamp;
use decklog_audit::filter::ast::{Clause, Expression, Test, Values};
use decklog_audit::filter::fields::FieldId;
use decklog_audit::filter::pattern::{Case, Extent, Pattern};
use decklog_audit::filter::time::nanoseconds_of;
use decklog_store::table::Column;

use super::access::Access;
use super::bounds::{Bound, Paged, of_group};
use super::files::{FileReader, OpenFile, ReadFailure};
use super::place::{Places, Span};

/// What of a filter statistics can tell about.
pub(crate) struct Narrowing {
    expression: Expression,
    /// The columns it looks at, place included.
    columns: Vec<Column>,
    /// Columns that must hold one of these texts.
    required: Vec<(Column, Vec<String>)>,
}

impl Narrowing {
    /// What `filter` asks.
    pub(crate) fn of(filter: &Filter) -> Self {
        let expression = filter.expression().clone();
        let mut columns = vec![Column::Time, Column::Seq];
        collect_columns(&expression, &mut columns);
        columns.sort_unstable();
        columns.dedup();
        let mut required = Vec::new();
        collect_required(&expression, &mut required);
        Self { expression, columns, required }
    }

    /// Whether a column must hold one of some texts: few rows do.
    pub(crate) fn wants_one_value(&self) -> bool {
        !self.required.is_empty()
    }

    /// Whether a group may hold a match, by its statistics and bloom filters.
    pub(crate) fn may_have(&self, reader: &FileReader, file: &OpenFile, group: usize) -> Result<bool, ReadFailure> {
        if file.n_rows(group) == 0 || !may_match(&self.expression, &|column| of_group(file, group, column)) {
            return Ok(false);
        }
        for (column, texts) in &self.required {
            if let Some(filter) = reader.bloom_filter(file, group, *column)?
                && !texts.iter().any(|text| filter.check(text.as_str()))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows of such a group whose pages may hold a match and may be wanted.
    pub(crate) fn rows(&self, file: &OpenFile, group: usize, places: &Places) -> Vec<Range<usize>> {
        let n_rows = file.n_rows(group);
        let paged: Vec<Paged<'_>> = self.columns.iter().filter_map(|column| Paged::of(file, group, *column)).collect();
        let mut starts: Vec<usize> = paged.iter().flat_map(|paged| paged.starts.iter().copied()).chain([0]).filter(|start| *start < n_rows).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(n_rows);
            let bound = |column| paged.iter().find(|paged| paged.column == column).map_or(Bound::Unknown, |paged| paged.bound(*start));
            if !places.may_want(&span(&bound)) || !may_match(&self.expression, &bound) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == *start => last.end = end,
                _ => ranges.push(*start..end),
            }
        }
        ranges
    }
}

fn span<'a>(bound: &impl Fn(Column) -> Bound<'a>) -> Span {
    let numbers = |column| if let Bound::Number(min, max) = bound(column) { Some((min, max)) } else { None };
    let seqs = numbers(Column::Seq).and_then(|(min, max)| Some((u64::try_from(min).ok()?, u64::try_from(max).ok()?)));
    Span { seqs: seqs.unwrap_or(Span::UNKNOWN.seqs), times: numbers(Column::Time).unwrap_or(Span::UNKNOWN.times) }
}

/// Whether some row within the bounds may fulfil a clause. Asks for every column it can tell something about.
fn clause_may_match<'a>(clause: &Clause, bound: &dyn Fn(Column) -> Bound<'a>) -> bool {
    match Access::of(&clause.field) {
        // Cut to microseconds, a raw row's own time may lie a little later.
        Access::Time(Column::Received) => bound(Column::Received) != Bound::NoValue,
        Access::Text(Column::Resource) => values_may(&clause.values, &|test| match test {
            Test::ResourcePair(pair) => pattern_may(&pair.0, bound(Column::Resource)) && pattern_may(&pair.1, bound(Column::Subresource)),
            test => test_may(test, bound(Column::Resource)),
        }),
        Access::Text(column) | Access::Number(column) | Access::Time(column) => values_may(&clause.values, &|test| test_may(test, bound(column))),
        Access::Json(column, ..) => bound(column) != Bound::NoValue,
        Access::Event(_) if clause.field.info.id == FieldId::Object => values_may(&clause.values, &|test| match test {
            Test::Object(test) => {
                let kind = pattern_may(&test.resource, bound(Column::Resource));
                let plural = test.plural.as_ref().is_some_and(|plural| {
                    let pattern = Pattern::literal(plural, Case::Any, Extent::Whole);
                    pattern_may(&pattern, bound(Column::Resource))
                });
                (kind || plural) && test.subresource.as_ref().is_none_or(|subresource| pattern_may(subresource, bound(Column::Subresource)))
            }
            _ => bound(Column::Resource) != Bound::NoValue,
        }),
        Access::Event(_) if clause.field.info.id == FieldId::Actor => {
            let any = |test: &Test| test_may(test, bound(Column::Username)) || test_may(test, bound(Column::AsUsername));
            values_may(&clause.values, &any)
        }
        Access::Event(_) | Access::Line => true,
    }
}

fn collect_columns(expression: &Expression, columns: &mut Vec<Column>) {
    match expression {
        Expression::All | Expression::Not(_) | Expression::Text(_) => {}
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| collect_columns(part, columns)),
        Expression::Clause(clause) => {
            let asked = std::cell::RefCell::new(columns);
            clause_may_match(clause, &|column| {
                asked.borrow_mut().push(column);
                Bound::Unknown
            });
        }
    }
}

/// Whether some row within the bounds may match.
fn may_match<'a>(expression: &Expression, bound: &dyn Fn(Column) -> Bound<'a>) -> bool {
    match expression {
        Expression::All | Expression::Not(_) | Expression::Text(_) => true,
        Expression::And(parts) => parts.iter().all(|part| may_match(part, bound)),
        Expression::Or(parts) => parts.iter().any(|part| may_match(part, bound)),
        Expression::Clause(clause) => clause_may_match(clause, bound),
    }
}

fn values_may(values: &Values, test_may: &dyn Fn(&Test) -> bool) -> bool {
    match values {
        Values::One(test) => test_may(test),
        Values::And(all) => all.iter().all(|one| values_may(one, test_may)),
        Values::Or(any) => any.iter().any(|one| values_may(one, test_may)),
        // The field must be there.
        Values::Not(_) => test_may(&Test::Present),
    }
}

fn test_may(test: &Test, bound: Bound<'_>) -> bool {
    match (test, bound) {
        (_, Bound::NoValue) => false,
        (Test::Text(pattern), _) => pattern_may(pattern, bound),
        (Test::Int(range), Bound::Number(min, max)) => range.min.is_none_or(|from| from <= max) && range.max.is_none_or(|to| min <= to),
        (Test::Time(range), Bound::Number(min, max)) => {
            let at = |micros| nanoseconds_of(Timestamp::from_micros(micros));
            range.start.is_none_or(|start| start <= at(max)) && range.end.is_none_or(|end| at(min) < end)
        }
        _ => true,
    }
}

/// Whether a text within the bounds may be as the pattern says: by what it begins with.
fn pattern_may(pattern: &Pattern, bound: Bound<'_>) -> bool {
    let (min, max) = match bound {
        Bound::NoValue => return false,
        Bound::Text(min, max) => (min, max),
        _ => return true,
    };
    let Some(stretch) = pattern.literals().next().filter(|stretch| stretch.at_start) else { return true };
    let plain = match pattern.case() {
        Case::Exact => stretch.text,
        // Any spelling of these characters lies between that in capitals and that in small letters.
        Case::Any => stretch.text.split(|character: char| !character.is_ascii()).next().unwrap_or_default(),
    };
    let least = match pattern.case() {
        Case::Exact => plain.to_owned(),
        Case::Any => plain.to_ascii_uppercase(),
    };
    let begin = &min[..min.len().min(plain.len())];
    least.as_bytes() <= max && begin <= plain.as_bytes()
}

/// The columns with a bloom filter that must hold one of some texts.
fn collect_required(expression: &Expression, required: &mut Vec<(Column, Vec<String>)>) {
    match expression {
        Expression::And(parts) => parts.iter().for_each(|part| collect_required(part, required)),
        Expression::Clause(Clause { field, values }) => {
            let mut texts = Vec::new();
            if let Access::Text(column @ (Column::AuditId | Column::Name | Column::Username)) = Access::of(field)
                && collect_texts(values, &mut texts)
            {
                required.push((column, texts));
            }
        }
        Expression::All | Expression::Or(_) | Expression::Not(_) | Expression::Text(_) => {}
    }
}

/// Collects the texts of which the value must be one; false if there are others.
fn collect_texts(values: &Values, texts: &mut Vec<String>) -> bool {
    match values {
        Values::One(Test::Text(pattern)) if pattern.case() == Case::Exact && pattern.extent() == Extent::Whole => {
            pattern.as_literal().map(|text| texts.push(text)).is_some()
        }
        Values::Or(any) => any.iter().all(|one| collect_texts(one, texts)),
        Values::One(_) | Values::And(_) | Values::Not(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn columns_of(text: &str) -> Vec<Column> {
        Narrowing::of(&Filter::parse(text, Timestamp::default()).unwrap()).columns
    }

    #[test]
    fn columns_are_those_the_filter_asks_about() {
        assert_eq!(columns_of("user:a ns:b"), [Column::Seq, Column::Time, Column::Username, Column::Namespace]);
        assert_eq!(columns_of("not user:a"), [Column::Seq, Column::Time]);
        assert_eq!(columns_of("resource:pods/exec"), [Column::Seq, Column::Time, Column::Resource, Column::Subresource]);
    }

    #[test]
    fn whole_texts_are_required() {
        let required = |text: &str| Narrowing::of(&Filter::parse(text, Timestamp::default()).unwrap()).required;
        assert_eq!(required("auditID:x user:(a or b)"), [(Column::AuditId, vec!["x".to_owned()]), (Column::Username, vec!["a".to_owned(), "b".to_owned()])]);
        assert!(required("user:a*").is_empty() && required("user:a or ns:b").is_empty() && required("not user:a").is_empty());
    }

    proptest! {
        #[test]
        fn bounds_never_rule_out_what_matches(texts in prop::collection::vec("[abAB-é]{0,3}", 1..4), pattern in "[abAB?é]{1,3}\\*?", number in 0i64..9, from in 0i64..9) {
            let (min, max) = (texts.iter().min().unwrap(), texts.iter().max().unwrap());
            let bound = Bound::Text(min.as_bytes(), max.as_bytes());
            for name in ["user", "verb"] {
                let filter = Filter::parse(&format!("{name}:{pattern}"), Timestamp::default()).unwrap();
                let Expression::Clause(clause) = filter.expression() else { panic!() };
                let matches = texts.iter().any(|text| clause.values.hold_for_text(text));
                prop_assert!(!matches || may_match(filter.expression(), &|_| bound), "{} {:?}", filter, texts);
            }
            let filter = Filter::parse(&format!("code>={from}"), Timestamp::default()).unwrap();
            prop_assert_eq!(may_match(filter.expression(), &|_| Bound::Number(number, number)), number >= from);
        }
    }
}
