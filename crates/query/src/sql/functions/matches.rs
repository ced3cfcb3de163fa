//! `event_matches(event, 'FILTER')`: the whole filter language inside a question.
//!
//! The line alone does not say through which source an event came, and making it costs more than anything else. So the
//! planner puts, wherever it has brought the condition down to the stored columns, a function in its place that reads
//! just the columns the filter looks at ([`MatchStoredRows`]). What is left works on the line.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use decklog_audit::filter::ast::{Expression, Test, Values};
use decklog_audit::filter::fields::{Field, FieldId};
use decklog_audit::filter::{Candidate, Filter};
use decklog_audit::intake::id_of;
use decklog_audit::journal::{EventId, Origin};
use decklog_audit::{Event, Timestamp};
use decklog_store::table::{COLUMNS, Column, Rows};

use super::arguments::Texts;
use super::line::{EVENT_LINE, batch_of};

const NAME: &str = "event_matches";

/// The function as people write it.
pub(super) fn event_matches(now: Timestamp) -> ScalarUDF {
    ScalarUDF::from(EventMatches { now: now.micros(), signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EventMatches {
    now: i64,
    signature: Signature,
}

impl EventMatches {
    fn parse(&self, text: &str) -> Result<Filter> {
        Filter::parse(text, Timestamp::from_micros(self.now))
            .map_err(|error| DataFusionError::Plan(format!("the filter `{text}` is wrong at character {}: {}; {}", error.column, error.message, error.help)))
    }
}

impl ScalarUDFImpl for EventMatches {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_text = |given: &DataType| matches!(given, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null);
        if types.len() == 2 && types.iter().all(is_text) {
            return Ok(vec![DataType::Utf8View; 2]);
        }
        Err(DataFusionError::Plan("event_matches is called as event_matches(event, 'user:mallory outcome:denied')".to_owned()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (lines, filters) = (Texts::of(&arguments.args[0])?, Texts::of(&arguments.args[1])?);
        let origin = Arc::new(Origin::default());
        let mut last: Option<(&str, Filter)> = None;
        let mut found = Vec::with_capacity(arguments.number_rows);
        for row in 0..arguments.number_rows {
            let (Some(line), Some(text)) = (lines.get(row), filters.get(row)) else {
                found.push(None);
                continue;
            };
            if last.as_ref().is_none_or(|(of, _)| *of != text) {
                let filter = self.parse(text)?;
                if let Some(name) = asks_for_place(filter.expression()) {
                    let advice = "write event_matches(event, …) with a fixed filter in the WHERE of the query that says FROM events, or compare the column";
                    return Err(DataFusionError::Plan(format!("`{name}` does not stand in the event itself; {advice}")));
                }
                last = Some((text, filter));
            }
            let Ok(event) = Event::decode(line) else {
                found.push(Some(false));
                continue;
            };
            let time = event.stage_timestamp.or(event.request_received_timestamp).unwrap_or_default();
            let candidate = Candidate { event: &event, line, seq: 0, id: EventId([0; 16]), time, ingested_at: Timestamp::default(), origin: &origin };
            found.push(last.as_ref().map(|(_, filter)| filter.matches(&candidate)));
        }
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::from(found))))
    }
}

/// The name of a field in the filter that the line says nothing about.
fn asks_for_place(expression: &Expression) -> Option<&'static str> {
    let mut name = None;
    each_field(expression, &mut |field| {
        if matches!(field.info.id, FieldId::Cluster | FieldId::Source | FieldId::Sender | FieldId::Id | FieldId::Seq | FieldId::Ingested) {
            name = Some(field.info.name);
        }
    });
    name
}

fn each_field(expression: &Expression, visit: &mut dyn FnMut(&Field)) {
    match expression {
        Expression::All | Expression::Text(_) => {}
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| each_field(part, visit)),
        Expression::Not(inner) => each_field(inner, visit),
        Expression::Clause(clause) => visit(&clause.field),
    }
}

/// The stored columns a filter looks at, in order; all of them where it looks at the line.
fn columns_of(filter: &Filter) -> Vec<Column> {
    // Rows that are kept raw are decoded from that.
    let mut columns = BTreeSet::from([Column::Raw]);
    collect(filter.expression(), &mut columns);
    columns.into_iter().collect()
}

fn collect(expression: &Expression, columns: &mut BTreeSet<Column>) {
    match expression {
        Expression::All => {}
        Expression::Text(_) => columns.extend(COLUMNS.iter().map(|info| info.column)),
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| collect(part, columns)),
        Expression::Not(inner) => collect(inner, columns),
        Expression::Clause(clause) => match columns_of_field(clause.field.info.id) {
            Some(of_field) => {
                columns.extend(of_field);
                if has_pair(&clause.values) {
                    columns.insert(Column::Subresource);
                }
            }
            None => columns.extend(COLUMNS.iter().map(|info| info.column)),
        },
    }
}

fn has_pair(values: &Values) -> bool {
    match values {
        Values::One(test) => matches!(test, Test::ResourcePair(_)),
        Values::And(parts) | Values::Or(parts) => parts.iter().any(has_pair),
        Values::Not(inner) => has_pair(inner),
    }
}

/// `None` where the line is wanted: maps are read from it, and so is the id.
fn columns_of_field(field: FieldId) -> Option<&'static [Column]> {
    use Column as C;
    Some(match field {
        FieldId::Level => &[C::Level],
        FieldId::Stage => &[C::Stage],
        FieldId::Verb => &[C::Verb],
        FieldId::AuditId => &[C::AuditId],
        FieldId::RequestUri | FieldId::Path | FieldId::DryRun => &[C::RequestUri],
        FieldId::UserName | FieldId::UserType | FieldId::ServiceAccount => &[C::Username],
        FieldId::UserUid => &[C::UserUid],
        FieldId::UserGroups => &[C::UserGroups],
        FieldId::AsName => &[C::AsUsername],
        FieldId::AsUid => &[C::AsUid],
        FieldId::AsGroups => &[C::AsGroups],
        FieldId::Actor => &[C::Username, C::AsUsername],
        FieldId::ActorGroups => &[C::UserGroups, C::AsGroups],
        FieldId::Constraint => &[C::Constraint],
        FieldId::SourceIps | FieldId::Peer => &[C::SourceIps],
        FieldId::UserAgent | FieldId::Tool => &[C::UserAgent],
        FieldId::Resource => &[C::Resource],
        FieldId::Subresource => &[C::Subresource],
        FieldId::Name => &[C::Name],
        FieldId::Namespace => &[C::Namespace],
        FieldId::ObjectUid => &[C::ObjectUid],
        FieldId::ApiGroup => &[C::ApiGroup],
        FieldId::ApiVersion => &[C::ApiVersion],
        FieldId::ResourceVersion => &[C::ResourceVersion],
        FieldId::Object => &[C::Resource, C::Subresource, C::ApiGroup, C::Name, C::Verb, C::ResponseObject],
        FieldId::Code => &[C::Code],
        FieldId::Reason => &[C::Reason],
        FieldId::Message => &[C::Message],
        FieldId::Status => &[C::Status],
        FieldId::Request => &[C::RequestObject],
        FieldId::Response => &[C::ResponseObject],
        FieldId::Time => &[C::Time],
        FieldId::Received => &[C::Received],
        FieldId::Latency => &[C::Stage, C::Time, C::Received, C::Flags],
        FieldId::Outcome => &[C::Stage, C::Code],
        FieldId::VerbClass => &[C::Verb, C::Resource, C::Subresource, C::ApiGroup],
        FieldId::Final => &[C::Stage, C::Code, C::Username],
        FieldId::LongRunning => &[C::Verb, C::Subresource],
        FieldId::Cluster => &[C::Cluster],
        FieldId::Source => &[C::Source],
        FieldId::Sender => &[C::Sender],
        FieldId::Seq => &[C::Seq],
        FieldId::Ingested => &[C::IngestedAt],
        FieldId::UserExtra | FieldId::AsExtra | FieldId::Details | FieldId::Annotation | FieldId::Raw | FieldId::LatencyPart | FieldId::Id => return None,
    })
}

/// A filter on the stored columns it looks at, which are its arguments.
#[derive(Debug)]
struct StoredMatches {
    filter: Filter,
    columns: Vec<Column>,
    /// By which two of them are the same.
    text: String,
    signature: Signature,
}

impl PartialEq for StoredMatches {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.filter == other.filter
    }
}

impl Eq for StoredMatches {}

impl Hash for StoredMatches {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl ScalarUDFImpl for StoredMatches {
    fn name(&self) -> &str {
        "event_matches_stored"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let batch = batch_of(&self.columns, &arguments.args)?;
        let rows = Rows::new(&batch);
        let needs_line = self.columns.len() == COLUMNS.len();
        let mut judge = Judge { filter: &self.filter, origin: Arc::default(), line: Vec::new(), needs_line };
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::from((0..rows.n_rows()).map(|row| judge.matches(&rows, row)).collect::<Vec<_>>()))))
    }
}

/// Looks at one row after the other; what neighbours share is kept.
struct Judge<'f> {
    filter: &'f Filter,
    origin: Arc<Origin>,
    line: Vec<u8>,
    needs_line: bool,
}

impl Judge<'_> {
    fn matches(&mut self, rows: &Rows<'_>, row: usize) -> bool {
        let text = |column| rows.text(column, row).unwrap_or_default();
        let (cluster, source, sender) = (text(Column::Cluster), text(Column::Source), text(Column::Sender));
        if (&*self.origin.cluster, &*self.origin.source, &*self.origin.sender) != (cluster, source, sender) {
            self.origin = Arc::new(Origin { cluster: cluster.into(), source: source.into(), sender: sender.into() });
        }
        let (line, id) = if self.needs_line {
            self.line.clear();
            rows.write_line(row, &mut self.line);
            (String::from_utf8_lossy(&self.line), id_of(cluster, &self.line))
        } else {
            (rows.raw(row).map_or(Cow::Borrowed(""), Cow::Borrowed), EventId([0; 16]))
        };
        let event = if line.is_empty() { rows.event(row) } else { Event::decode(&line).unwrap_or_default() };
        self.filter.matches(&Candidate {
            event: &event,
            line: &line,
            seq: rows.seq(row),
            id,
            time: rows.time(Column::Time, row).unwrap_or_default(),
            ingested_at: rows.time(Column::IngestedAt, row).unwrap_or_default(),
            origin: &self.origin,
        })
    }
}

/// Puts [`StoredMatches`] in the place of `event_matches(event_line(…), 'FILTER')`.
#[derive(Debug)]
pub(in crate::sql) struct MatchStoredRows;

impl OptimizerRule for MatchStoredRows {
    fn name(&self) -> &str {
        "match_stored_rows"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.map_expressions(|expr| expr.transform_up(replace))
    }
}

fn replace(expr: Expr) -> Result<Transformed<Expr>> {
    let Some((filter, text, line)) = stored_match(&expr)? else { return Ok(Transformed::no(expr)) };
    let columns = columns_of(&filter);
    let args = columns.iter().map(|column| line[column.index()].clone()).collect();
    let function = StoredMatches { filter, columns, text, signature: Signature::variadic_any(Volatility::Immutable) };
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: Arc::new(ScalarUDF::from(function)), args })))
}

/// The filter, its text and the arguments of `event_line`, where the expression is that.
fn stored_match(expr: &Expr) -> Result<Option<(Filter, String, &[Expr])>> {
    let Expr::ScalarFunction(call) = expr else { return Ok(None) };
    let Some(function) = call.func.inner().downcast_ref::<EventMatches>() else { return Ok(None) };
    let [Expr::ScalarFunction(line), Expr::Literal(ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)), _)] = call.args.as_slice() else {
        return Ok(None);
    };
    if line.func.name() != EVENT_LINE || line.args.len() != COLUMNS.len() {
        return Ok(None);
    }
    Ok(Some((function.parse(text)?, text.clone(), &line.args)))
}
