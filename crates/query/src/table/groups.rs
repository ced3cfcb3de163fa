//! Rows of a batch that are alike in some columns: what follows from these columns is found out once for all of them.
//!
//! Words and small numbers make [`Groups`]. Of other columns, neighbours are compared ([`Alike`]): rows are sorted by
//! object and user, so long lists and texts often come again in the next row.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
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
            of_row
                .extend(self.of_row.iter().zip(keys).enumerate().map(|(row, (group, key))| number(&mut cells[*group as usize * n_keys + *key as usize], row)));
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

/// Compares rows of a batch by some columns.
pub(crate) struct Alike<'b>(Vec<Values<'b>>);

enum Values<'b> {
    View(&'b StringViewArray),
    Words(&'b DictionaryArray<Int32Type>),
    Long(&'b Int64Array),
    Int(&'b Int32Array),
    Time(&'b TimestampMicrosecondArray),
    Lists(&'b ListArray, &'b StringArray),
    /// Of no type that is compared.
    Other,
}

impl<'b> Alike<'b> {
    /// Compares by those of `columns` that are there.
    pub(crate) fn by(batch: &'b RecordBatch, columns: &[Column]) -> Self {
        Self(columns.iter().filter_map(|column| batch.column_by_name(column.name())).map(|array| Values::of(array.as_ref())).collect())
    }

    /// Whether the two rows are alike; false if that is not known.
    pub(crate) fn are(&self, one: usize, other: usize) -> bool {
        self.0.iter().all(|values| values.are_alike(one, other))
    }
}

impl<'b> Values<'b> {
    fn of(array: &'b dyn Array) -> Self {
        match array.data_type() {
            DataType::Utf8View => Self::View(array.as_string_view()),
            DataType::Dictionary(_, _) => array.as_dictionary_opt().map_or(Self::Other, Self::Words),
            DataType::Int64 => Self::Long(array.as_primitive::<Int64Type>()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Time(array.as_primitive::<TimestampMicrosecondType>()),
            DataType::List(_) => {
                let list: &ListArray = array.as_list();
                list.values().as_string_opt().map_or(Self::Other, |values| Self::Lists(list, values))
            }
            _ => Self::Other,
        }
    }

    fn are_alike(&self, one: usize, other: usize) -> bool {
        fn both<T: PartialEq>(array: &dyn Array, one: usize, other: usize, value: impl Fn(usize) -> T) -> bool {
            match (array.is_valid(one), array.is_valid(other)) {
                (true, true) => value(one) == value(other),
                (one, other) => one == other,
            }
        }
        match self {
            Self::View(array) => both(*array, one, other, |row| array.value(row)),
            Self::Words(array) => both(*array, one, other, |row| array.keys().value(row)),
            Self::Long(array) => both(*array, one, other, |row| array.value(row)),
            Self::Int(array) => both(*array, one, other, |row| array.value(row)),
            Self::Time(array) => both(*array, one, other, |row| array.value(row)),
            Self::Lists(list, values) => {
                let range = |row: usize| list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize;
                let (a, b) = (range(one), range(other));
                let are_equal = || a.len() == b.len() && a.zip(b).all(|(a, b)| values.value(a) == values.value(b));
                list.is_valid(one) == list.is_valid(other) && (list.is_null(one) || are_equal())
            }
            Self::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
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

    proptest! {
        #[test]
        fn neighbours_are_alike_if_they_hold_the_same(values in prop::collection::vec((prop::option::of(prop::collection::vec("[ab]{0,2}", 0..3)), prop::option::of("[ab]{0,16}")), 2..40)) {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for (list, _) in &values {
                list.iter().flatten().for_each(|text| lists.values().append_value(text));
                lists.append(list.is_some());
            }
            let texts: StringViewArray = values.iter().map(|(_, text)| text.as_deref()).collect();
            let arrays: [(&str, ArrayRef); 2] = [("user_groups", Arc::new(lists.finish())), ("message", Arc::new(texts))];
            let batch = RecordBatch::try_from_iter_with_nullable(arrays.map(|(name, array)| (name, array, true))).unwrap();
            let alike = Alike::by(&batch, &[Column::UserGroups, Column::Message]);
            for row in 1..values.len() {
                prop_assert_eq!(alike.are(row - 1, row), values[row - 1] == values[row]);
            }
        }
    }

    #[test]
    fn long_numbers_make_no_groups() {
        let batch = RecordBatch::try_from_iter([("seq", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
        assert!(Groups::of(&batch, &[Column::Seq]).is_none());
    }
}
