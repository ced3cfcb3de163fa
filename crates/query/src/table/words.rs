//! Words without a field, asked of columns: whether a row holds the text anywhere.
//!
//! A column of plain text holds it or not. In a column of JSON it may be spelled with escapes, or stand in a key that
//! does not count: there the prefilter turns most rows away, and the matcher looks at a line that has this part only.

use arrow::array::RecordBatch;
use decklog_audit::filter::ast::Expression;
use decklog_audit::filter::pattern::Pattern;
use decklog_audit::filter::{Candidate, Prefilter};
use decklog_audit::journal::EventId;
use decklog_audit::{Event, Filter, Timestamp};
use decklog_store::table::{Column, ColumnType, Rows};

use super::access::{Cost, no_origin};
use super::condition::{Truth, per_group};

/// A pattern looked for in the whole event.
pub(crate) struct FreeText {
    pattern: Pattern,
    filter: Filter,
    prefilter: Prefilter,
    /// Whether it matches something every event has.
    is_in_all: bool,
    /// Where it may be found.
    parts: Vec<Part>,
}

/// A column whose text stands in the line.
#[derive(Clone, Copy)]
enum Part {
    /// As JSON strings or numbers.
    Plain(Column),
    /// As it is, between these texts.
    Json(Column, &'static str, &'static str),
}

/// Columns that are plain in the line.
const PLAIN: [Column; 25] = [
    Column::Level,
    Column::Stage,
    Column::Verb,
    Column::UserAgent,
    Column::Username,
    Column::UserUid,
    Column::AsUsername,
    Column::AsUid,
    Column::Constraint,
    Column::Resource,
    Column::Subresource,
    Column::ApiGroup,
    Column::ApiVersion,
    Column::Namespace,
    Column::Name,
    Column::Status,
    Column::Reason,
    Column::UserGroups,
    Column::AsGroups,
    Column::SourceIps,
    Column::RequestUri,
    Column::Message,
    Column::AuditId,
    Column::ObjectUid,
    Column::ResourceVersion,
];

/// The columns of JSON.
const JSON: [Part; 6] = [
    Part::Json(Column::UserExtra, r#"{"user":{"extra":"#, "}}"),
    Part::Json(Column::AsExtra, r#"{"impersonatedUser":{"extra":"#, "}}"),
    Part::Json(Column::StatusDetails, r#"{"responseStatus":{"details":"#, "}}"),
    Part::Json(Column::Annotations, r#"{"annotations":"#, "}"),
    Part::Json(Column::RequestObject, r#"{"requestObject":"#, "}"),
    Part::Json(Column::ResponseObject, r#"{"responseObject":"#, "}"),
];

impl FreeText {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        let filter = Filter::from(Expression::Text(pattern.clone()));
        let may_hold = |characters: &str| pattern.literals().all(|stretch| stretch.text.chars().all(|character| characters.contains(character)));
        let mut parts: Vec<Part> = PLAIN.into_iter().map(Part::Plain).collect();
        if may_hold("0123456789-") {
            parts.push(Part::Plain(Column::Code));
        }
        if may_hold("0123456789-:.TtZz") {
            parts.extend([Column::Time, Column::Received].map(Part::Plain));
        }
        parts.extend(JSON);
        let is_in_all = pattern.matches("Event") || pattern.matches("audit.k8s.io/v1");
        Self { is_in_all, pattern: pattern.clone(), prefilter: filter.prefilter(), filter, parts }
    }

    /// The step it takes part in, with the columns.
    pub(crate) fn each_step(&self, visit: &mut dyn FnMut(Cost, &[Column])) {
        let columns: Vec<Column> = if self.is_in_all { Vec::new() } else { self.parts.iter().map(Part::column).collect() };
        visit(if self.is_in_all { Cost::Word } else { Cost::Body }, &columns);
    }

    /// What it says of the live rows.
    pub(crate) fn truths(&self, batch: &RecordBatch, rows: &Rows<'_>, step: Cost, live: &[bool]) -> Vec<Truth> {
        if self.is_in_all {
            return vec![Truth::Yes; live.len()];
        }
        if step < Cost::Body {
            return vec![Truth::Maybe; live.len()];
        }
        let mut live = live.to_vec();
        let mut truths = vec![Truth::No; live.len()];
        for part in &self.parts {
            if !live.contains(&true) {
                break;
            }
            let found = per_group(batch, &[part.column()], &live, |row| if self.is_in(*part, rows, row) { Truth::Yes } else { Truth::No });
            for ((truth, live), found) in truths.iter_mut().zip(&mut live).zip(found) {
                if *live && found == Truth::Yes {
                    *truth = Truth::Yes;
                    *live = false;
                }
            }
        }
        truths
    }

    fn is_in(&self, part: Part, rows: &Rows<'_>, row: usize) -> bool {
        let column = match part {
            Part::Json(column, before, after) => {
                return rows
                    .text(column, row)
                    .is_some_and(|json| self.prefilter.may_match(json.as_bytes()) && self.is_in_line(&[before, json, after].concat()));
            }
            Part::Plain(column) => column,
        };
        match column.info().kind {
            ColumnType::Word | ColumnType::Text => rows.text(column, row).is_some_and(|text| self.pattern.matches(text)),
            ColumnType::Words => rows.texts(column, row).is_some_and(|texts| texts.iter().any(|text| self.pattern.matches(text))),
            ColumnType::Int | ColumnType::Long => rows.number(column, row).is_some_and(|number| self.pattern.matches(&number.to_string())),
            ColumnType::Time => rows.time(column, row).is_some_and(|time| self.pattern.matches(time.micro_text().as_str())),
        }
    }

    fn is_in_line(&self, line: &str) -> bool {
        let (event, time) = (Event::default(), Timestamp::default());
        self.filter.matches(&Candidate { event: &event, line, seq: 0, id: EventId([0; 16]), time, ingested_at: time, origin: no_origin() })
    }
}

impl Part {
    fn column(&self) -> Column {
        match self {
            Self::Plain(column) | Self::Json(column, ..) => *column,
        }
    }
}

#[cfg(test)]
mod tests {
    use decklog_audit::filter::fields::Field;

    use super::super::access::Access;
    use super::*;

    #[test]
    fn every_column_of_the_line_is_looked_at() {
        let words = FreeText::new(&Pattern::literal("1", decklog_audit::filter::pattern::Case::Any, decklog_audit::filter::pattern::Extent::Within));
        let looked: Vec<Column> = words.parts.iter().map(Part::column).collect();
        // What decklog knows beside the line, what follows from other columns, and the line itself.
        let beside = [
            Column::Seq,
            Column::IngestedAt,
            Column::Cluster,
            Column::Source,
            Column::Sender,
            Column::Flags,
            Column::Credential,
            Column::Decision,
            Column::AuthzReason,
            Column::EventBytes,
            Column::Raw,
        ];
        for info in &decklog_store::table::COLUMNS {
            assert!(looked.contains(&info.column) != beside.contains(&info.column), "{}", info.name);
        }
    }

    #[test]
    fn parts_of_json_stand_where_fields_find_them() {
        for name in ["user.extra.a", "as.extra.a", "responseStatus.details.a", "annotations.a", "request.a", "response.a"] {
            let Access::Json(column, before, after) = Access::of(&Field::parse(name).unwrap()) else { panic!("{name}") };
            assert!(JSON.iter().any(|part| matches!(part, Part::Json(other, start, end) if (*other, *start, *end) == (column, before, after))), "{name}");
        }
    }
}
