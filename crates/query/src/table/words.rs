//! Words without a field, asked of columns: whether a row may hold the text anywhere.
//!
//! A column of plain text holds it or not. In a column of JSON the text may be spelled with escapes, or stand in a key
//! that does not count: there the prefilter says no or maybe, and the line decides.

use arrow::array::RecordBatch;
use decklog_audit::Filter;
use decklog_audit::filter::ast::Expression;
use decklog_audit::filter::Prefilter;
use decklog_audit::filter::pattern::Pattern;
use decklog_store::table::{Column, ColumnType, Rows};

use super::access::Cost;
use super::condition::{Truth, per_group};

/// A pattern looked for in the whole event.
pub(crate) struct FreeText {
    pattern: Pattern,
    prefilter: Prefilter,
    /// Whether it matches something every event has.
    is_in_all: bool,
}

/// Columns whose text stands in the line as a JSON string.
const WORDS: [Column; 20] = [
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
    // Before the other texts, since they are the likeliest.
    Column::RequestUri,
    Column::Message,
    Column::AuditId,
];
const TEXTS: [Column; 2] = [Column::ObjectUid, Column::ResourceVersion];
const LISTS: [Column; 3] = [Column::UserGroups, Column::AsGroups, Column::SourceIps];
const NUMBERS: [Column; 1] = [Column::Code];
const TIMES: [Column; 2] = [Column::Time, Column::Received];
/// Columns of JSON.
const JSON: [Column; 6] = [Column::UserExtra, Column::AsExtra, Column::StatusDetails, Column::Annotations, Column::RequestObject, Column::ResponseObject];

impl FreeText {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        let prefilter = Filter::from(Expression::Text(pattern.clone())).prefilter();
        Self { is_in_all: pattern.matches("Event") || pattern.matches("audit.k8s.io/v1"), pattern: pattern.clone(), prefilter }
    }

    /// The steps it takes part in, with the columns of each.
    pub(crate) fn each_step(&self, visit: &mut dyn FnMut(Cost, &[Column])) {
        for columns in [WORDS.as_slice(), &TEXTS, &LISTS, &NUMBERS, &TIMES, &JSON] {
            visit(Cost::Body, columns);
        }
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
        for column in WORDS.into_iter().chain(TEXTS).chain(LISTS).chain(NUMBERS).chain(TIMES).chain(JSON) {
            if !live.contains(&true) {
                break;
            }
            let found = per_group(batch, &[column], &live, |row| self.in_column(rows, column, row));
            for ((truth, live), found) in truths.iter_mut().zip(&mut live).zip(found) {
                if *live {
                    *truth = found.max(*truth);
                    *live = *truth != Truth::Yes;
                }
            }
        }
        truths
    }

    fn in_column(&self, rows: &Rows<'_>, column: Column, row: usize) -> Truth {
        let is_in = |text: &str| if self.pattern.matches(text) { Truth::Yes } else { Truth::No };
        let found = if JSON.contains(&column) {
            rows.text(column, row).map(|json| if self.prefilter.may_match(json.as_bytes()) { Truth::Maybe } else { Truth::No })
        } else {
            match column.info().kind {
                ColumnType::Words => rows.texts(column, row).map(|texts| texts.iter().map(|text| is_in(text)).max().unwrap_or(Truth::No)),
                ColumnType::Int | ColumnType::Long => rows.number(column, row).map(|number| is_in(&number.to_string())),
                ColumnType::Time => rows.time(column, row).map(|time| is_in(time.micro_text().as_str())),
                ColumnType::Word | ColumnType::Text => rows.text(column, row).map(is_in),
            }
        };
        found.unwrap_or(Truth::No)
    }
}
