//! A scalar function made of a plain Rust function, and how that gets at its arguments.

use std::hash::{Hash, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// What an argument has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    /// Text; other types are refused, so that a forgotten quote shows.
    Text,
    /// A list of texts.
    Texts,
}

/// The work of a function on `n_rows` rows.
pub(super) type Work = fn(&[ColumnarValue], usize) -> Result<ArrayRef>;

/// A function with a fixed number of arguments.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [Argument],
    pub(super) returns: DataType,
    /// How it is called, for errors.
    pub(super) usage: &'static str,
    pub(super) work: Work,
    signature: Signature,
}

impl Function {
    pub(super) fn udf(name: &'static str, arguments: &'static [Argument], returns: DataType, usage: &'static str, work: Work) -> ScalarUDF {
        ScalarUDF::from(Self { name, arguments, returns, usage, work, signature: Signature::user_defined(Volatility::Immutable) })
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let fits = |(wanted, given): (&Argument, &DataType)| match (wanted, given) {
            (Argument::Text, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => Some(DataType::Utf8View),
            (Argument::Texts, DataType::List(_)) => Some(given.clone()),
            _ => None,
        };
        let types: Option<Vec<DataType>> = (types.len() == self.arguments.len()).then(|| self.arguments.iter().zip(types).map(fits).collect()).flatten();
        types.ok_or_else(|| DataFusionError::Plan(format!("{} is called as {}", self.name, self.usage)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        (self.work)(&arguments.args, arguments.number_rows).map(ColumnarValue::Array)
    }
}

/// A text argument: the same for all rows, or one for each.
pub(super) enum Texts<'a> {
    One(Option<&'a str>),
    Each(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    pub(super) fn of(argument: &'a ColumnarValue) -> Result<Self> {
        match argument {
            ColumnarValue::Scalar(ScalarValue::Utf8View(text) | ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text)) => Ok(Self::One(text.as_deref())),
            ColumnarValue::Scalar(ScalarValue::Null) => Ok(Self::One(None)),
            ColumnarValue::Array(array) if array.data_type() == &DataType::Utf8View => Ok(Self::Each(array.as_string_view())),
            other => Err(DataFusionError::Plan(format!("text is wanted instead of {}", other.data_type()))),
        }
    }

    pub(super) fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::One(text) => *text,
            Self::Each(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}
