//! `jq`, `jq_num` and `json_has`: one value out of a JSON text. The text is looked at in place; what is no JSON has no
//! values.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};
use decklog_audit::json::{JsonKind, RawJson};

use super::arguments::{Argument, Function, Texts};
use super::json_path::JsonPath;

pub(super) fn functions() -> Vec<ScalarUDF> {
    const TWO: &[Argument] = &[Argument::Text, Argument::Text];
    vec![
        Function::udf("jq", TWO, DataType::Utf8View, "jq(request_object, '.spec.replicas')", text),
        Function::udf("jq_num", TWO, DataType::Float64, "jq_num(request_object, '.spec.replicas')", number),
        Function::udf("json_has", TWO, DataType::Boolean, "json_has(request_object, '$.spec.replicas')", has),
    ]
}

/// Calls `visit` for each row: outer `None` where an argument is NULL, inner where the path leads nowhere.
fn each_value(arguments: &[ColumnarValue], n_rows: usize, mut visit: impl FnMut(Option<Option<RawJson<'_>>>)) -> Result<()> {
    let (texts, paths) = (Texts::of(&arguments[0])?, Texts::of(&arguments[1])?);
    let mut last: Option<(&str, JsonPath)> = None;
    for row in 0..n_rows {
        let (Some(text), Some(path)) = (texts.get(row), paths.get(row)) else {
            visit(None);
            continue;
        };
        if last.as_ref().is_none_or(|(of, _)| *of != path) {
            last = Some((path, JsonPath::parse(path).map_err(|error| DataFusionError::Plan(error.to_string()))?));
        }
        let json = RawJson::parse(text).ok();
        visit(Some(json.zip(last.as_ref()).and_then(|(json, (_, path))| path.find(json))));
    }
    Ok(())
}

/// A string's characters, other values as compact JSON; NULL for null and what is missing.
fn text(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    let mut found = StringViewBuilder::with_capacity(n_rows);
    each_value(arguments, n_rows, |value| match value.flatten() {
        Some(value) if value.kind() == JsonKind::String => found.append_option(value.as_string()),
        Some(value) if value.kind() != JsonKind::Null => found.append_value(value.compact()),
        _ => found.append_null(),
    })?;
    Ok(Arc::new(found.finish()))
}

fn number(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    let mut found = Vec::with_capacity(n_rows);
    each_value(arguments, n_rows, |value| found.push(value.flatten().and_then(RawJson::as_number)))?;
    Ok(Arc::new(Float64Array::from(found)))
}

fn has(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    let mut found = Vec::with_capacity(n_rows);
    each_value(arguments, n_rows, |value| found.push(value.map(|value| value.is_some())))?;
    Ok(Arc::new(BooleanArray::from(found)))
}
