//! Rows of a batch that are alike in some columns: what follows from these columns is found out once for each group.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type};
use decklog_store::table::Column;

/// The most cells of a table that is looked up by two numbers; beyond, a hash map is.
const MAX_CELLS: usize = 1 << 17;
const NONE: u32 = u32::MAX;

/// Which rows are alike.
pub(crate) struct Groups {
    /// The group of each row.
    pub(crate) of_row: Vec<u32>,
    /// A row of each group.
    pub(crate) rows: Vec<u32>,
}

impl Groups {
    /// Rows alike in all of `columns`; `None` if one of them is there but holds neither words nor 32-bit numbers.
    pub(crate) fn of(batch: &RecordBatch, columns: &[Column]) -> Option<Self> {
        let n_rows = batch.num_rows();
        let mut groups = Self { of_row: vec![0; n_rows], rows: if n_rows == 0 { Vec::new() } else { vec![0] } };
        for column in columns {
            let Some(array) = batch.column_by_name(column.name()) else { continue };
            let (keys, n_keys) = keys(array)?;
            groups = groups.split(&keys, n_keys);
        }
        Some(groups)
    }

    /// Parts every group by `keys`, which are below `n_keys`.
    fn split(&self, keys: &[u32], n_keys: usize) -> Self {
        let mut of_row = Vec::with_capacity(keys.len());
        let mut rows: Vec<u32> = Vec::new();
        let mut number = |slot: &mut u32, row: usize| {
            if *slot == NONE {
                *slot = rows.len() as u32;
                rows.push(row as u32);
            }
            *slot
        };
        if self.rows.len().saturating_mul(n_keys) <= MAX_CELLS {
            let mut cells = vec![NONE; self.rows.len() * n_keys];
            of_row.extend(self.of_row.iter().zip(keys).enumerate().map(|(row, (group, key))| number(&mut cells[*group as usize * n_keys + *key as usize], row)));
        } else {
            let mut cells: HashMap<(u32, u32), u32> = HashMap::new();
            of_row.extend(self.of_row.iter().zip(keys).enumerate().map(|(row, (group, key))| number(cells.entry((*group, *key)).or_insert(NONE), row)));
        }
        Self { of_row, rows }
    }
}

/// For each row a number that stands for its value (0 for none), and the bound of these numbers.
fn keys(array: &dyn Array) -> Option<(Vec<u32>, usize)> {
    match array.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_dictionary_opt::<Int32Type>()?;
            let keys = dictionary.keys();
            let n_keys = dictionary.values().len() + 1;
            let keys = match keys.nulls().filter(|nulls| nulls.null_count() > 0) {
                None => keys.values().iter().map(|key| *key as u32 + 1).collect(),
                Some(nulls) => keys.values().iter().zip(nulls.iter()).map(|(key, is_there)| if is_there { *key as u32 + 1 } else { 0 }).collect(),
            };
            Some((keys, n_keys))
        }
        DataType::Int32 => {
            let numbers = array.as_primitive_opt::<Int32Type>()?;
            let mut known: HashMap<i32, u32> = HashMap::new();
            let mut last: Option<(i32, u32)> = None;
            let keys = numbers.iter().map(|number| {
                let Some(number) = number else { return 0 };
                if let Some((_, key)) = last.filter(|(value, _)| *value == number) {
                    return key;
                }
                let next = known.len() as u32 + 1;
                let key = *known.entry(number).or_insert(next);
                last = Some((number, key));
                key
            });
            let keys: Vec<u32> = keys.collect();
            Some((keys, known.len() + 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_of_one_group_if_and_only_if_they_are_alike(values in prop::collection::vec((prop::option::of("[ab]{0,2}"), prop::option::of(0..3i32)), 0..60)) {
            let words: DictionaryArray<Int32Type> = values.iter().map(|(word, _)| word.as_deref()).collect();
            let codes: Int32Array = values.iter().map(|(_, code)| *code).collect();
            let arrays: [(&str, ArrayRef); 2] = [("verb", Arc::new(words)), ("code", Arc::new(codes))];
            let batch = RecordBatch::try_from_iter_with_nullable(arrays.map(|(name, array)| (name, array, true))).unwrap();
            let groups = Groups::of(&batch, &[Column::Verb, Column::Code, Column::Name]).unwrap();
            for (a, one) in values.iter().enumerate() {
                prop_assert_eq!(&values[groups.rows[groups.of_row[a] as usize] as usize], one);
                for (b, other) in values.iter().enumerate() {
                    prop_assert_eq!(groups.of_row[a] == groups.of_row[b], one == other);
                }
            }
        }
    }

    #[test]
    fn long_numbers_make_no_groups() {
        let batch = RecordBatch::try_from_iter([("seq", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
        assert!(Groups::of(&batch, &[Column::Seq]).is_none());
    }
}
