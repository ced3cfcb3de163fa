//! Merging files: their rows, each file's in order, become one stream in order.
//!
//! Memory holds a batch of every file and one of the result; how many rows a batch has is for the caller, who knows
//! how long they are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch, take_record_batch};
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, SortField};

use super::file::ORDER;
use super::schema::{Column, memory_schema};

/// One file's rows, batch by batch.
pub trait Rows {
    /// The next batch of [`memory_schema`]; `None` after the last one.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ArrowError>;
}

/// Calls `give` with all rows of `inputs` in the order files have, in batches of `n_rows` at most.
///
/// # Errors
/// As the inputs, or what `give` gave.
pub fn merge<E: From<ArrowError>>(inputs: Vec<Box<dyn Rows + '_>>, n_rows: usize, give: &mut dyn FnMut(RecordBatch) -> Result<(), E>) -> Result<(), E> {
    let converter = converter()?;
    let mut cursors: Vec<Cursor<'_>> = Vec::with_capacity(inputs.len());
    for input in inputs {
        cursors.push(Cursor { input, batch: RecordBatch::new_empty(memory_schema()), keys: None, row: 0 });
    }
    let mut heap = BinaryHeap::with_capacity(cursors.len());
    for (index, cursor) in cursors.iter_mut().enumerate() {
        if cursor.load(&converter)? {
            heap.push(Reverse((cursor.key(), index)));
        }
    }
    // Batches the picked rows are in: those under way, and those finished since the last result.
    let mut picked: Vec<(usize, usize)> = Vec::with_capacity(n_rows);
    let mut finished: Vec<RecordBatch> = Vec::new();
    while let Some(Reverse((_, index))) = heap.pop() {
        picked.push((index, cursors[index].row));
        cursors[index].row += 1;
        if cursors[index].row == cursors[index].batch.num_rows() {
            // Rows of it may be picked already: it stays until they are given.
            finished.push(cursors[index].batch.clone());
            let place = cursors.len() + finished.len() - 1;
            picked.iter_mut().filter(|(of, _)| *of == index).for_each(|(of, _)| *of = place);
            if cursors[index].load(&converter)? {
                heap.push(Reverse((cursors[index].key(), index)));
            }
        } else {
            heap.push(Reverse((cursors[index].key(), index)));
        }
        if picked.len() >= n_rows {
            give(take(&cursors, &finished, &picked)?)?;
            picked.clear();
            finished.clear();
        }
    }
    if !picked.is_empty() {
        give(take(&cursors, &finished, &picked)?)?;
    }
    Ok(())
}

fn take(cursors: &[Cursor<'_>], finished: &[RecordBatch], picked: &[(usize, usize)]) -> Result<RecordBatch, ArrowError> {
    let batches: Vec<&RecordBatch> = cursors.iter().map(|cursor| &cursor.batch).chain(finished).collect();
    interleave_record_batch(&batches, picked)
}

struct Cursor<'i> {
    input: Box<dyn Rows + 'i>,
    batch: RecordBatch,
    keys: Option<arrow::row::Rows>,
    row: usize,
}

impl Cursor<'_> {
    /// Goes to the next batch with rows; tells whether there is one.
    fn load(&mut self, converter: &RowConverter) -> Result<bool, ArrowError> {
        self.row = 0;
        loop {
            let Some(batch) = self.input.next_batch()? else {
                self.keys = None;
                return Ok(false);
            };
            if batch.num_rows() > 0 {
                self.keys = Some(converter.convert_columns(&key_columns(&batch))?);
                self.batch = batch;
                return Ok(true);
            }
        }
    }

    fn key(&self) -> Option<OwnedRow> {
        self.keys.as_ref().map(|keys| keys.row(self.row).owned())
    }
}

fn key_columns(batch: &RecordBatch) -> Vec<arrow::array::ArrayRef> {
    key().map(|column| batch.column(column.index()).clone()).collect()
}

fn key() -> impl Iterator<Item = Column> {
    ORDER.into_iter().chain([Column::Time, Column::Seq])
}

fn converter() -> Result<RowConverter, ArrowError> {
    let schema = memory_schema();
    RowConverter::new(key().map(|column| SortField::new(schema.field(column.index()).data_type().clone())).collect())
}

/// The rows of several unordered batches in order, as one.
///
/// # Errors
/// None that batches of [`memory_schema`] can cause.
pub fn sorted(batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let all = concat_batches(&memory_schema(), batches)?;
    let keys = converter()?.convert_columns(&key_columns(&all))?;
    let mut rows: Vec<u32> = (0..all.num_rows() as u32).collect();
    rows.sort_unstable_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
    take_record_batch(&all, &UInt32Array::from(rows))
}
