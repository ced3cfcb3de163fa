//! A function that is measured before it is called.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};
use decklog_audit::search::{SqlError, SqlErrorKind};

use super::Growth;
use crate::sql::limits::{MAX_FUNCTION_BYTES, MAX_SUM_BYTES};

/// Rows of a slow function between two looks at the time.
const SLOW_ROWS: usize = 128;

/// Another function, with a limit of what it makes of one batch.
#[derive(Debug)]
pub(super) struct Guarded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    ended: Arc<AtomicBool>,
}

impl Guarded {
    pub(super) fn new(inner: Arc<ScalarUDF>, growth: Growth, ended: Arc<AtomicBool>) -> Self {
        Self { inner, growth, ended }
    }

    fn check(&self, bytes: u128) -> Result<()> {
        let limit = if self.growth == Growth::Sum { MAX_SUM_BYTES } else { MAX_FUNCTION_BYTES };
        if bytes <= limit as u128 {
            return Ok(());
        }
        let message = format!("`{}` would make up to {} MiB at once, the limit is {} MiB", self.inner.name(), bytes >> 20, limit >> 20);
        Err(DataFusionError::External(Box::new(SqlError {
            help: Some("make shorter texts or lists".to_owned()),
            ..SqlError::new(SqlErrorKind::Memory, message)
        })))
    }

    /// Calls the function on a few rows after the other, as long as somebody waits for it.
    fn slowly(&self, arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = arguments.number_rows;
        let mut parts = Vec::with_capacity(n_rows.div_ceil(SLOW_ROWS));
        for start in (0..n_rows).step_by(SLOW_ROWS) {
            if self.ended.load(Ordering::Relaxed) {
                return Err(DataFusionError::External(Box::new(SqlError::new(SqlErrorKind::Stopped, "the query was stopped"))));
            }
            let number_rows = SLOW_ROWS.min(n_rows - start);
            let args = arguments.args.iter().map(|argument| match argument {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(start, number_rows)),
                scalar => scalar.clone(),
            });
            let of_part = ScalarFunctionArgs { args: args.collect(), number_rows, ..arguments.clone() };
            parts.push(self.inner.invoke_with_args(of_part)?.into_array(number_rows)?);
        }
        let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(arguments)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(self.growth.bytes(&arguments.args, arguments.number_rows)?)?;
        let has_column = arguments.args.iter().any(|argument| matches!(argument, ColumnarValue::Array(_)));
        if self.growth == Growth::Slow && has_column && arguments.number_rows > SLOW_ROWS {
            return self.slowly(&arguments);
        }
        self.inner.invoke_with_args(arguments)
    }
}
