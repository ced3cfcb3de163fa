//! The stored line and the id, made of all stored columns: they cost the most and are made only where a question
//! selects them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use decklog_audit::intake::id_of;
use decklog_store::table::{COLUMNS, Column, Rows};

/// The name of the function that gives the stored line.
pub(super) const EVENT_LINE: &str = "event_line";

pub(super) fn functions() -> Vec<ScalarUDF> {
    [What::Line, What::Id].map(|what| ScalarUDF::from(OfAllColumns { what, signature: Signature::variadic_any(Volatility::Immutable) })).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Line,
    Id,
}

/// A function whose arguments are all stored columns in order.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfAllColumns {
    what: What,
    signature: Signature,
}

impl ScalarUDFImpl for OfAllColumns {
    fn name(&self) -> &str {
        match self.what {
            What::Line => EVENT_LINE,
            What::Id => "event_id",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns: Vec<Column> = COLUMNS.iter().map(|info| info.column).collect();
        let batch = batch_of(&columns, &arguments.args)?;
        let rows = Rows::new(&batch);
        let mut texts = StringViewBuilder::with_capacity(rows.n_rows()).with_fixed_block_size(1 << 20);
        let mut line = Vec::new();
        for row in 0..rows.n_rows() {
            line.clear();
            rows.write_line(row, &mut line);
            match self.what {
                What::Line => texts.append_value(String::from_utf8_lossy(&line)),
                What::Id => texts.append_value(id_of(rows.text(Column::Cluster, row).unwrap_or_default(), &line).to_string()),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

/// Arguments that are stored columns as the batch that [`Rows`] reads.
pub(super) fn batch_of(columns: &[Column], arguments: &[ColumnarValue]) -> Result<RecordBatch> {
    if columns.len() != arguments.len() {
        return Err(DataFusionError::Internal(format!("{} stored columns instead of {}", arguments.len(), columns.len())));
    }
    let arrays: Vec<ArrayRef> = ColumnarValue::values_to_arrays(arguments)?;
    let fields: Vec<Field> = columns.iter().zip(&arrays).map(|(column, array)| Field::new(column.name(), array.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
