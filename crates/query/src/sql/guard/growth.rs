//! How many bytes a function can make of its arguments at most.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

/// How the result of a function grows with its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) enum Growth {
    /// Not beyond what it is given, a few times.
    None,
    /// To all arguments together, or twice that.
    Sum,
    /// To the first argument as many times as the second says.
    Repeated,
    /// To as many characters as the second argument says.
    Padded,
    /// To the last argument in the place of every part of the first.
    Replaced,
    /// To the elements of the first argument with the others in between.
    Joined,
    /// To the second argument, with every sign of it a few letters.
    Formatted,
    /// It does not grow, but takes its time.
    Slow,
}

impl Growth {
    /// Bytes of the result for `n_rows` rows at most, give or take a small factor.
    pub(super) fn bytes(self, arguments: &[ColumnarValue], n_rows: usize) -> Result<u128> {
        let all = || arguments.iter().map(|argument| total_bytes(argument, n_rows)).sum::<u128>();
        let arrays = || ColumnarValue::values_to_arrays(arguments);
        Ok(match self {
            Self::None | Self::Slow => 0,
            Self::Sum => all() * 2,
            Self::Repeated => {
                let arrays = arrays()?;
                let times = numbers(&arrays, 1)?;
                let fill = arrays.get(2).map_or(0, |fill| lengths(fill).into_iter().max().unwrap_or(0));
                lengths(&arrays[0]).into_iter().zip(times).map(|(length, times)| (length.max(8) + fill) * times).sum()
            }
            Self::Padded => {
                let arrays = arrays()?;
                numbers(&arrays, 1)?.into_iter().map(|characters| characters * 4).sum()
            }
            Self::Replaced => {
                let arrays = arrays()?;
                let (texts, replacements) = (lengths(&arrays[0]), arrays.get(2).map_or_else(Vec::new, lengths));
                // At most one part between any two characters, and each of it may stand in the replacement many times.
                texts.into_iter().zip(replacements).map(|(text, replacement)| text + (text + 1) * replacement).sum()
            }
            Self::Joined => {
                let arrays = arrays()?;
                let separators: u128 = arrays.iter().skip(1).map(|array| lengths(array).into_iter().max().unwrap_or(0)).sum();
                lengths(&arrays[0]).into_iter().map(|length| length + n_elements_at_most(length) * separators).sum()
            }
            Self::Formatted => arguments.get(1).map_or(0, |format| total_bytes(format, n_rows)) * 8,
        })
    }
}

/// Elements of a list of that many bytes: each takes some.
fn n_elements_at_most(bytes: u128) -> u128 {
    bytes / 4 + 1
}

fn numbers(arrays: &[ArrayRef], index: usize) -> Result<Vec<u128>> {
    let Some(array) = arrays.get(index) else { return Ok(Vec::new()) };
    let numbers = cast(array, &DataType::Int64)?;
    Ok(numbers.as_primitive::<Int64Type>().iter().map(|number| u128::try_from(number.unwrap_or(0)).unwrap_or(0)).collect())
}

/// Bytes of each row.
fn lengths(array: &ArrayRef) -> Vec<u128> {
    let n_rows = array.len();
    let length = |row: usize| -> usize {
        match array.data_type() {
            DataType::Utf8View => array.as_string_view().views()[row] as u32 as usize,
            DataType::Utf8 => array.as_string::<i32>().value_length(row) as usize,
            DataType::LargeUtf8 => usize::try_from(array.as_string::<i64>().value_length(row)).unwrap_or(usize::MAX),
            _ => slice_bytes(&array.slice(row, 1)),
        }
    };
    (0..n_rows).map(|row| length(row) as u128).collect()
}

/// Bytes that a column takes, each value counted once however many others share its buffer.
pub(in crate::sql) fn slice_bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().views().iter().map(|view| 16 + (*view as u32 as usize)).sum(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (start, end) = (list.value_offsets()[0] as usize, list.value_offsets()[list.len()] as usize);
            list.len() * 4 + slice_bytes(&list.values().slice(start, end - start))
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(slice_bytes).sum(),
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

fn total_bytes(argument: &ColumnarValue, n_rows: usize) -> u128 {
    match argument {
        ColumnarValue::Array(array) => slice_bytes(array) as u128,
        ColumnarValue::Scalar(scalar) => scalar.size() as u128 * n_rows as u128,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringViewArray};
    use datafusion::common::ScalarValue;

    use super::*;

    fn texts(values: &[&str]) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(StringViewArray::from(values.to_vec())))
    }

    #[test]
    fn what_would_be_made_is_not_underestimated() {
        let long = "x".repeat(100);
        let numbers = ColumnarValue::Array(Arc::new(Int64Array::from(vec![1_000_000_000, 5])));
        assert!(Growth::Repeated.bytes(&[texts(&[&long, "y"]), numbers.clone()], 2).unwrap() >= 100_000_000_005);
        assert!(Growth::Padded.bytes(&[texts(&["a", "b"]), numbers], 2).unwrap() >= 1_000_000_005);
        let replaced = [texts(&[&long]), texts(&["x"]), texts(&[&long])];
        assert!(Growth::Replaced.bytes(&replaced, 1).unwrap() >= 10_000);
        let one = ColumnarValue::Scalar(ScalarValue::Utf8(Some(long.clone())));
        assert!(Growth::Sum.bytes(&[one.clone(), one], 1000).unwrap() >= 200_000);
        assert!(Growth::Sum.bytes(&[texts(&[&long, ""])], 2).unwrap() < 1000);
    }
}
