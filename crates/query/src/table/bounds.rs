//! What a file says of a column's values without their being read: in a row group, and in each of its pages.

use decklog_store::table::{Column, ColumnType};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::files::{OpenFile, Selection};

/// What is known of a column's values in some rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound<'a> {
    Unknown,
    /// There are none.
    NoValue,
    /// Between these bytes, both included; either may be cut, the greatest then raised.
    Text(&'a [u8], &'a [u8]),
    /// Between these, both included.
    Number(i64, i64),
}

/// What the footer says of a column in a group.
pub(super) fn of_group(file: &OpenFile, group: usize, column: Column) -> Bound<'_> {
    let Some(statistics) = file.statistics(group, column) else { return Bound::Unknown };
    if statistics.null_count_opt() == Some(file.n_rows(group) as u64) {
        return Bound::NoValue;
    }
    let bound = match statistics {
        Statistics::Int32(values) => values.min_opt().zip(values.max_opt()).map(|(min, max)| Bound::Number(i64::from(*min), i64::from(*max))),
        Statistics::Int64(values) => values.min_opt().zip(values.max_opt()).map(|(min, max)| Bound::Number(*min, *max)),
        // The deprecated bounds of texts were compared as signed bytes.
        Statistics::ByteArray(_) if !statistics.is_min_max_deprecated() => {
            statistics.min_bytes_opt().zip(statistics.max_bytes_opt()).map(|(min, max)| Bound::Text(min, max))
        }
        _ => None,
    };
    bound.unwrap_or(Bound::Unknown)
}

/// Whether the file says that none of the selected rows has a value in this column: then it need not be read.
pub(super) fn is_empty(file: &OpenFile, group: usize, column: Column, selection: Selection<'_>) -> bool {
    if file.n_missing(group, column) == Some(file.n_rows(group) as u64) {
        return true;
    }
    // The missing values of lists are those in them too: an empty list would be taken for none.
    let Selection::Ranges(ranges) = selection else { return false };
    if column.info().kind == ColumnType::Words {
        return false;
    }
    let Some(paged) = Paged::of(file, group, column) else { return false };
    ranges
        .iter()
        .filter(|range| !range.is_empty())
        .all(|range| (paged.page(range.start)..=paged.page(range.end - 1)).all(|page| paged.index.is_null_page(page)))
}

/// A column's pages in a group.
pub(super) struct Paged<'a> {
    pub(super) column: Column,
    index: &'a ColumnIndexMetaData,
    /// The first row of each page.
    pub(super) starts: Vec<usize>,
}

impl<'a> Paged<'a> {
    /// Those of `column`, if the file has an index of them that makes sense.
    pub(super) fn of(file: &'a OpenFile, group: usize, column: Column) -> Option<Self> {
        let (index, offsets) = file.pages(group, column)?;
        let starts: Vec<usize> = offsets.page_locations().iter().map(|page| usize::try_from(page.first_row_index).unwrap_or(0)).collect();
        let has_values = !matches!(index, ColumnIndexMetaData::NONE) && index.num_pages() == starts.len() as u64;
        (has_values && starts.first() == Some(&0) && starts.is_sorted()).then_some(Self { column, index, starts })
    }

    fn page(&self, row: usize) -> usize {
        self.starts.partition_point(|start| *start <= row).saturating_sub(1)
    }

    /// What is known of the page `row` is in.
    pub(super) fn bound(&self, row: usize) -> Bound<'a> {
        let page = self.page(row);
        if self.index.is_null_page(page) {
            return Bound::NoValue;
        }
        let bound = match self.index {
            ColumnIndexMetaData::INT32(index) => {
                index.min_value(page).zip(index.max_value(page)).map(|(min, max)| Bound::Number(i64::from(*min), i64::from(*max)))
            }
            ColumnIndexMetaData::INT64(index) => index.min_value(page).zip(index.max_value(page)).map(|(min, max)| Bound::Number(*min, *max)),
            ColumnIndexMetaData::BYTE_ARRAY(index) => index.min_value(page).zip(index.max_value(page)).map(|(min, max)| Bound::Text(min, max)),
            _ => None,
        };
        bound.unwrap_or(Bound::Unknown)
    }
}
