//! `percentile_rank(x, p)`: the smallest value that is not below p percent of the values (nearest rank), so always one
//! that was there; NULL where there is none.

use std::fmt;
use std::marker::PhantomData;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, Signature, Volatility};

pub(super) fn percentile_rank() -> AggregateUDF {
    AggregateUDF::from(PercentileRank { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PercentileRank {
    signature: Signature,
}

impl AggregateUDFImpl for PercentileRank {
    fn name(&self) -> &str {
        "percentile_rank"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(usage)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [values, percent] = types else { return Err(usage()) };
        let values = match values {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
            other if other.is_numeric() => DataType::Float64,
            _ => return Err(usage()),
        };
        if percent.is_numeric() { Ok(vec![values, DataType::Float64]) } else { Err(usage()) }
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let values = arguments.return_field.data_type().clone();
        Ok(vec![Arc::new(Field::new_list(format!("{}[values]", arguments.name), Field::new_list_field(values, true), true))])
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let percent = percent_of(&arguments)?;
        Ok(match arguments.return_field.data_type() {
            DataType::Int64 => Box::new(GroupRanks::<Int64Type>::new(percent)),
            _ => Box::new(GroupRanks::<Float64Type>::new(percent)),
        })
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let percent = percent_of(&arguments)?;
        Ok(match arguments.return_field.data_type() {
            DataType::Int64 => Box::new(Ranks::<Int64Type>::new(percent)),
            _ => Box::new(Ranks::<Float64Type>::new(percent)),
        })
    }
}

fn usage() -> DataFusionError {
    DataFusionError::Plan("percentile_rank is called as percentile_rank(latency_us, 99): a number column and a percentage".to_owned())
}

fn percent_of(arguments: &AccumulatorArgs<'_>) -> Result<f64> {
    let nothing = RecordBatch::new_empty(Arc::new(arguments.schema.clone()));
    let percent = arguments.exprs.get(1).ok_or_else(usage)?.evaluate(&nothing)?;
    let ColumnarValue::Scalar(ScalarValue::Float64(Some(percent))) = percent else {
        return Err(DataFusionError::Plan("the percentage of percentile_rank must be a fixed number from 0 to 100".to_owned()));
    };
    if (0.0..=100.0).contains(&percent) {
        return Ok(percent);
    }
    Err(DataFusionError::Plan(format!("`{percent}` is no percentage; percentile_rank wants a number from 0 to 100")))
}

struct Ranks<T: ArrowPrimitiveType> {
    percent: f64,
    values: Vec<T::Native>,
    kind: PhantomData<fn() -> T>,
}

impl<T: ArrowPrimitiveType> Ranks<T> {
    fn new(percent: f64) -> Self {
        Self { percent, values: Vec::new(), kind: PhantomData }
    }

    fn take(&mut self, array: &PrimitiveArray<T>) {
        if array.null_count() == 0 {
            self.values.extend_from_slice(array.values());
        } else {
            self.values.extend(array.iter().flatten());
        }
    }
}

impl<T: ArrowPrimitiveType> fmt::Debug for Ranks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ranks({} of {})", self.percent, self.values.len())
    }
}

/// The value at the nearest rank; it puts the values in another order.
fn ranked<T: ArrowPrimitiveType>(percent: f64, values: &mut [T::Native]) -> Option<T::Native> {
    if values.is_empty() {
        return None;
    }
    let (_, value, _) = values.select_nth_unstable_by(rank(percent, values.len()), |a, b| a.compare(*b));
    Some(*value)
}

/// Where the nearest rank stands among `n_values` in order; there must be some.
fn rank(percent: f64, n_values: usize) -> usize {
    let rank = (percent / 100.0 * n_values as f64).ceil() as usize;
    rank.clamp(1, n_values) - 1
}

impl<T: ArrowPrimitiveType> Accumulator for Ranks<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take(values[0].as_primitive::<T>());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.take(values.as_primitive::<T>());
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: PrimitiveArray<T> = PrimitiveArray::from_iter_values(std::mem::take(&mut self.values));
        Ok(vec![SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::new_primitive::<T>(ranked::<T>(self.percent, &mut self.values), &T::DATA_TYPE)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<T::Native>()
    }
}

/// The same for many groups at once.
struct GroupRanks<T: ArrowPrimitiveType> {
    percent: f64,
    groups: Vec<Vec<T::Native>>,
    /// Bytes that all groups have taken.
    n_bytes: usize,
}

impl<T: ArrowPrimitiveType> GroupRanks<T> {
    fn new(percent: f64) -> Self {
        Self { percent, groups: Vec::new(), n_bytes: 0 }
    }

    fn grow(&mut self, n_groups: usize) {
        self.groups.resize_with(n_groups.max(self.groups.len()), Vec::new);
    }

    fn take(&mut self, group: usize, values: &[T::Native]) {
        let of_group = &mut self.groups[group];
        let before = of_group.capacity();
        of_group.extend_from_slice(values);
        self.n_bytes += (of_group.capacity() - before) * size_of::<T::Native>();
    }

    fn emit(&mut self, emit_to: EmitTo) -> Vec<Vec<T::Native>> {
        let groups = emit_to.take_needed(&mut self.groups);
        self.n_bytes = self.n_bytes.saturating_sub(groups.iter().map(|group| group.capacity() * size_of::<T::Native>()).sum());
        groups
    }
}

fn lists<T: ArrowPrimitiveType>(groups: &[Vec<T::Native>]) -> ArrayRef {
    let lengths = OffsetBuffer::<i32>::from_lengths(groups.iter().map(Vec::len));
    let values: PrimitiveArray<T> = PrimitiveArray::from_iter_values(groups.iter().flatten().copied());
    Arc::new(ListArray::new(Arc::new(Field::new_list_field(T::DATA_TYPE, true)), lengths, Arc::new(values), None))
}

impl<T: ArrowPrimitiveType + Send> GroupsAccumulator for GroupRanks<T> {
    fn update_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], filter: Option<&BooleanArray>, n_groups: usize) -> Result<()> {
        self.grow(n_groups);
        let values = values[0].as_primitive::<T>();
        for (row, group) in group_indices.iter().enumerate() {
            let is_wanted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if is_wanted && values.is_valid(row) {
                self.take(*group, &[values.value(row)]);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], n_groups: usize) -> Result<()> {
        self.grow(n_groups);
        for (values, group) in states[0].as_list::<i32>().iter().zip(group_indices) {
            if let Some(values) = values {
                let values = values.as_primitive::<T>();
                if values.null_count() == 0 {
                    self.take(*group, values.values());
                } else {
                    values.iter().flatten().for_each(|value| self.take(*group, &[value]));
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let percent = self.percent;
        let ranked: PrimitiveArray<T> = self.emit(emit_to).iter_mut().map(|group| ranked::<T>(percent, group)).collect();
        Ok(Arc::new(ranked))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![lists::<T>(&self.emit(emit_to))])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>();
        let is_wanted = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) && values.is_valid(row);
        let groups: Vec<Vec<T::Native>> = (0..values.len()).map(|row| if is_wanted(row) { vec![values.value(row)] } else { Vec::new() }).collect();
        Ok(vec![lists::<T>(&groups)])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.groups.capacity() * size_of::<Vec<T::Native>>() + self.n_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rank_is_always_one_of_the_values() {
        assert_eq!([0.0, 1.0, 50.0, 51.0, 99.0, 100.0].map(|percent| rank(percent, 100)), [0, 0, 49, 50, 98, 99]);
        assert_eq!([0.0, 50.0, 50.1, 100.0].map(|percent| rank(percent, 2)), [0, 0, 1, 1]);
        assert_eq!(rank(99.0, 1), 0);
    }
}
