//! A filter made ready for columns: what it says of each row of a batch, as far as the columns at hand tell.
//!
//! The answer is *no*, *maybe* or *yes*. A part of the filter whose columns are not read yet says *maybe*. What decides
//! is always the matcher or a test of its own: values are looked at once for each group of rows that are alike
//! ([`Groups`]). Rows kept raw are *maybe* until their line is decoded.

use arrow::array::{Array, AsArray, RecordBatch, make_view};
use arrow::datatypes::DataType;
use decklog_audit::Filter;
use decklog_audit::filter::ast::{Clause, Expression, Test, Values};
use decklog_audit::filter::fields::{Field, FieldId};
use decklog_audit::filter::pattern::{Case, Extent};
use decklog_audit::filter::{Needs, Prefilter};
use decklog_store::table::{Column, ColumnType, Rows};

use super::access::{Access, Cost};
use super::groups::{Alike, Groups};
use super::words::FreeText;

/// What a condition says of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    No,
    Maybe,
    Yes,
}

impl Truth {
    fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

/// A filter made ready for columns.
pub(crate) struct Condition {
    root: Node,
    /// Whether it looks at nothing of the event itself: raw rows are then like others.
    of_place: bool,
}

enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Leaf(Box<Leaf>),
    Words(Box<FreeText>),
}

struct Leaf {
    access: Access,
    cost: Cost,
    clause: Clause,
    filter: Filter,
    prefilter: Prefilter,
}

impl Condition {
    /// The condition of `filter`.
    pub(crate) fn new(filter: &Filter) -> Self {
        Self { root: Node::of(filter.expression()), of_place: filter.needs() == Needs::Place }
    }

    /// Whether every event fulfils it.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self.root, Node::All)
    }

    /// Whether raw rows must be decoded.
    pub(crate) fn decodes_raw(&self) -> bool {
        !self.of_place
    }

    /// In which steps to look at it, cheapest first; never empty. The last one, the whole line, is left out.
    pub(crate) fn steps(&self) -> Vec<Cost> {
        let mut costs = Vec::new();
        self.root.each_leaf(&mut |cost, _| costs.push(cost));
        costs.retain(|cost| *cost != Cost::Line);
        costs.sort_unstable();
        costs.dedup();
        if costs.is_empty() {
            costs.push(Cost::Word);
        }
        costs
    }

    /// The columns it looks at up to this step.
    pub(crate) fn columns(&self, step: Cost) -> Vec<Column> {
        let mut columns = Vec::new();
        self.root.each_leaf(&mut |cost, of_leaf| {
            if cost <= step {
                columns.extend_from_slice(of_leaf);
            }
        });
        columns
    }

    /// What it says of each row of a batch with the columns up to `step` (and [`Column::Raw`] if it decodes raw rows).
    pub(crate) fn truths(&self, batch: &RecordBatch, rows: &Rows<'_>, step: Cost) -> Vec<Truth> {
        let view = View { batch, rows, step };
        let mut truths = self.root.truths(&view, &vec![true; rows.n_rows()]);
        let has_raw = batch.column_by_name(Column::Raw.name()).is_some_and(|raw| raw.null_count() < raw.len());
        if has_raw && self.decodes_raw() {
            for (row, truth) in truths.iter_mut().enumerate() {
                if rows.raw(row).is_some() {
                    *truth = Truth::Maybe;
                }
            }
        }
        truths
    }
}

/// What is at hand.
struct View<'a> {
    batch: &'a RecordBatch,
    rows: &'a Rows<'a>,
    step: Cost,
}

impl Node {
    fn of(expression: &Expression) -> Self {
        match expression {
            Expression::All => Self::All,
            Expression::And(parts) => Self::And(parts.iter().map(Self::of).collect()),
            Expression::Or(parts) => Self::Or(parts.iter().map(Self::of).collect()),
            Expression::Not(inner) => Self::Not(Box::new(Self::of(inner))),
            Expression::Text(pattern) => Self::Words(Box::new(FreeText::new(pattern))),
            Expression::Clause(clause) => Self::of_clause(clause),
        }
    }

    fn of_clause(clause: &Clause) -> Self {
        if let (FieldId::Object, Values::One(Test::Object(test))) = (clause.field.info.id, &clause.values) {
            let kind = |name| Test::Object(Box::new(decklog_audit::filter::kinds::ObjectTest { name, ..(**test).clone() }));
            let leaf = |access, test| Self::leaf(access, Clause { field: clause.field.clone(), values: Values::One(test) });
            let of_kind = leaf(Access::Event(&[Column::Resource, Column::Subresource, Column::ApiGroup]), kind(None));
            let Some(name) = &test.name else { return of_kind };
            // The name stands in its column, or else perhaps in the answer's body.
            let name_field = |test| Clause { field: Field::plain(FieldId::Name), values: Values::One(test) };
            let is_so = Self::leaf(Access::Text(Column::Name), name_field(Test::Text(name.clone())));
            let is_there = Self::leaf(Access::Text(Column::Name), name_field(Test::Present));
            let in_answer = leaf(Access::of(&clause.field), kind(Some(name.clone())));
            return Self::And(vec![of_kind, Self::Or(vec![is_so, Self::And(vec![Self::Not(Box::new(is_there)), in_answer])])]);
        }
        let access = match Access::of(&clause.field) {
            Access::Text(Column::Resource) if has_pair(&clause.values) => Access::Event(&[Column::Resource, Column::Subresource]),
            access => access,
        };
        Self::leaf(access, clause.clone())
    }

    fn leaf(access: Access, clause: Clause) -> Self {
        let filter = Filter::from(Expression::Clause(clause.clone()));
        Self::Leaf(Box::new(Leaf { cost: access.cost(), access, clause, prefilter: filter.prefilter(), filter }))
    }

    fn each_leaf(&self, visit: &mut dyn FnMut(Cost, &[Column])) {
        match self {
            Self::All => {}
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.each_leaf(visit)),
            Self::Not(inner) => inner.each_leaf(visit),
            Self::Leaf(leaf) => visit(leaf.cost, leaf.access.columns()),
            Self::Words(words) => words.each_step(visit),
        }
    }

    /// What it says of the rows that are `live`; of the others anything.
    fn truths(&self, view: &View<'_>, live: &[bool]) -> Vec<Truth> {
        match self {
            Self::All => vec![Truth::Yes; live.len()],
            Self::And(parts) => joined(parts, view, live, Truth::No, Truth::min),
            Self::Or(parts) => joined(parts, view, live, Truth::Yes, Truth::max),
            Self::Not(inner) => {
                let mut truths = inner.truths(view, live);
                truths.iter_mut().for_each(|truth| *truth = truth.not());
                truths
            }
            Self::Leaf(leaf) if leaf.cost > view.step => vec![Truth::Maybe; live.len()],
            Self::Leaf(leaf) => leaf.truths(view, live),
            Self::Words(words) => words.truths(view.batch, view.rows, view.step, live),
        }
    }
}

/// All parts' truths joined by `join`, where `end` settles a row.
fn joined(parts: &[Node], view: &View<'_>, live: &[bool], end: Truth, join: fn(Truth, Truth) -> Truth) -> Vec<Truth> {
    let mut live = live.to_vec();
    let mut truths = vec![end.not(); live.len()];
    for part in parts {
        if !live.contains(&true) {
            break;
        }
        let of_part = part.truths(view, &live);
        for ((truth, live), of_part) in truths.iter_mut().zip(&mut live).zip(of_part) {
            if *live {
                *truth = join(*truth, of_part);
                *live = *truth != end;
            }
        }
    }
    truths
}

impl Leaf {
    fn truths(&self, view: &View<'_>, live: &[bool]) -> Vec<Truth> {
        if let Some(truths) = self.exact().and_then(|(column, text)| equal_to(view.batch, column, &text)) {
            return truths;
        }
        let test = |row: usize| Truth::of(self.holds(view.rows, row));
        per_group(view.batch, self.access.columns(), live, test)
    }

    /// The text that a column must be, if that is all that is asked.
    fn exact(&self) -> Option<(Column, String)> {
        match (self.access, &self.clause.values) {
            (Access::Text(column), Values::One(Test::Text(pattern))) if pattern.case() == Case::Exact && pattern.extent() == Extent::Whole => {
                Some((column, pattern.as_literal()?))
            }
            _ => None,
        }
    }

    fn holds(&self, rows: &Rows<'_>, row: usize) -> bool {
        let values = &self.clause.values;
        match self.access {
            Access::Text(column) => rows.text(column, row).is_some_and(|text| values.hold_for_text(text)),
            Access::Number(column) => rows.number(column, row).is_some_and(|number| values.hold_for_number(number)),
            Access::Time(column) => rows.time(column, row).is_some_and(|time| values.hold_for_time(time)),
            Access::Json(column, before, after) => {
                // Most are turned away by their bytes.
                let line = rows.text(column, row).map(|json| [before, json, after].concat());
                line.is_none_or(|line| self.prefilter.may_match(line.as_bytes()))
                    && self.access.with_candidate(rows, row, |candidate| self.filter.matches(candidate))
            }
            Access::Event(_) | Access::Line => self.access.with_candidate(rows, row, |candidate| self.filter.matches(candidate)),
        }
    }
}

/// Which rows of a column of texts are `text`; `None` if the batch holds the column otherwise.
fn equal_to(batch: &RecordBatch, column: Column, text: &str) -> Option<Vec<Truth>> {
    let array = batch.column_by_name(column.name()).filter(|array| *array.data_type() == DataType::Utf8View)?.as_string_view();
    // Length and beginning are in the lower half of a view: nearly all others differ there.
    let begin = make_view(text.as_bytes(), 0, 0) as u64;
    let is_equal = |(row, view): (usize, &u128)| *view as u64 == begin && array.is_valid(row) && array.value(row) == text;
    Some(array.views().iter().enumerate().map(|found| Truth::of(is_equal(found))).collect())
}

/// `test` of every live row, asked once for rows that are alike in `columns`.
pub(super) fn per_group(batch: &RecordBatch, columns: &[Column], live: &[bool], test: impl Fn(usize) -> Truth) -> Vec<Truth> {
    let groupable = columns.iter().all(|column| matches!(column.info().kind, ColumnType::Word | ColumnType::Int));
    if let Some(groups) = groupable.then(|| Groups::of(batch, columns)).flatten() {
        let of_group: Vec<Truth> = groups.rows.iter().map(|row| test(*row as usize)).collect();
        return groups.of_row.iter().map(|group| of_group[*group as usize]).collect();
    }
    let alike = Alike::by(batch, columns);
    let mut last: Option<(usize, Truth)> = None;
    let truth = |(row, live): (usize, &bool)| {
        if !*live {
            return Truth::No;
        }
        let truth = match last.filter(|(before, _)| alike.are(*before, row)) {
            Some((_, truth)) => truth,
            None => test(row),
        };
        last = Some((row, truth));
        truth
    };
    live.iter().enumerate().map(truth).collect()
}

fn has_pair(values: &Values) -> bool {
    match values {
        Values::One(test) => matches!(test, Test::ResourcePair(_)),
        Values::And(parts) | Values::Or(parts) => parts.iter().any(has_pair),
        Values::Not(inner) => has_pair(inner),
    }
}
