//! One Parquet file of the table: how rows are ordered and encoded in it.
//!
//! Rows of one object lie together, and within it those of one user, by time: what people ask for is then in few pages,
//! and neighbours compress well. Files hold plain types (no Arrow schema), so that every engine reads the same.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use decklog_audit::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::schema::{COLUMNS, Column, ColumnType, memory_schema};

/// Rows of a row group at most.
const GROUP_ROWS: usize = 128 * 1024;
/// Bytes of rows (as [`Column::EventBytes`] counts them) in a row group at most, give or take one batch.
const GROUP_BYTES: usize = 128 << 20;
/// Rows of a page at most: what a search reads at least.
const PAGE_ROWS: usize = 16 * 1024;
/// Columns with a bloom filter, the most values of a row group it has room for (it shrinks to those there are), and its
/// share of false hits. A hit costs reading one column of a row group; an auditID's filter is as large as all others together.
const BLOOM_FILTERS: [(Column, u64, f64); 3] =
    [(Column::AuditId, GROUP_ROWS as u64, 0.05), (Column::Name, GROUP_ROWS as u64, 0.01), (Column::Username, 8192, 0.01)];
/// Rows handed to the encoder at once.
const CHUNK_ROWS: usize = 8 * 1024;

/// How much work goes into compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For files that will soon be merged with others.
    Flush,
    /// For files that stay.
    Compaction,
}

impl Effort {
    fn zstd(self) -> i32 {
        match self {
            Self::Flush => 1,
            Self::Compaction => 6,
        }
    }
}

/// The day an event lies in, as days since the epoch, and whether that is not the day of its time: a time more than 24
/// hours after receipt or 400 days before it is not believed (architecture decision 3).
pub fn day_of(time_micros: i64, ingested_micros: i64) -> (i32, bool) {
    const DAY: i64 = 86_400_000_000;
    let is_believed = time_micros <= ingested_micros.saturating_add(DAY) && time_micros >= ingested_micros.saturating_sub(400 * DAY);
    let micros = if is_believed { time_micros } else { ingested_micros };
    let day = Timestamp::from_micros(micros).micros().div_euclid(DAY);
    (i32::try_from(day).unwrap_or_default(), !is_believed)
}

/// The rows of each day, in the order files have them.
///
/// # Errors
/// None that a batch of [`memory_schema`] can cause.
pub fn sorted_days(batch: &RecordBatch) -> Result<Vec<(i32, RecordBatch)>, ArrowError> {
    let times = Timestamps::of(batch);
    let days: Vec<i32> = (0..batch.num_rows()).map(|row| times.day(row)).collect();
    let mut different = days.clone();
    different.sort_unstable();
    different.dedup();
    let mut parts = Vec::with_capacity(different.len());
    for day in different.iter().copied() {
        let rows = if different.len() == 1 {
            batch.clone()
        } else {
            filter_record_batch(
                batch,
                &BooleanArray::from_unary(&Int64Array::from_iter_values(days.iter().map(|day| i64::from(*day))), |of_row| of_row == i64::from(day)),
            )?
        };
        parts.push((day, take_record_batch(&rows, &order(&rows))?));
    }
    Ok(parts)
}

struct Timestamps<'b> {
    time: &'b [i64],
    ingested_at: &'b [i64],
}

impl<'b> Timestamps<'b> {
    fn of(batch: &'b RecordBatch) -> Self {
        let values = |column: Column| -> &[i64] { batch.column(column.index()).as_primitive::<arrow::datatypes::TimestampMicrosecondType>().values() };
        Self { time: values(Column::Time), ingested_at: values(Column::IngestedAt) }
    }

    fn day(&self, row: usize) -> i32 {
        day_of(self.time[row], self.ingested_at[row]).0
    }
}

/// The columns rows are ordered by, before time and sequence.
pub(super) const ORDER: [Column; 4] = [Column::Resource, Column::Namespace, Column::Name, Column::Username];

/// The order of the rows of one batch.
fn order(batch: &RecordBatch) -> UInt32Array {
    let words: Vec<Ranks> = ORDER.iter().map(|column| Ranks::of(batch.column(column.index()))).collect();
    let time = Timestamps::of(batch).time;
    let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
    rows.sort_unstable_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        let by_words = words.iter().map(|ranks| ranks.0[a].cmp(&ranks.0[b])).find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        by_words.then_with(|| time[a].cmp(&time[b])).then_with(|| a.cmp(&b))
    });
    UInt32Array::from(rows)
}

/// For each row the rank of its word among those of the batch; 0 where it is missing.
struct Ranks(Vec<u32>);

impl Ranks {
    fn of(array: &ArrayRef) -> Self {
        let dictionary = array.as_dictionary::<Int32Type>();
        let values = dictionary.values().as_string::<i32>();
        let mut by_text: Vec<usize> = (0..values.len()).collect();
        by_text.sort_unstable_by_key(|index| values.value(*index));
        let mut ranks = vec![0u32; values.len()];
        for (rank, index) in by_text.into_iter().enumerate() {
            ranks[index] = rank as u32 + 1;
        }
        Self(dictionary.keys().iter().map(|key| key.map_or(0, |key| ranks[key as usize])).collect())
    }
}

/// How the columns are encoded. Chosen by measuring on recorded and amplified logs (docs/measured/table.md).
pub(super) fn properties(effort: Effort) -> WriterProperties {
    let level = ZstdLevel::try_new(effort.zstd()).unwrap_or_default();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(1 << 20)
        .set_dictionary_page_size_limit(1 << 20)
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(format!("decklog {}", env!("CARGO_PKG_VERSION")));
    let path = |column: Column| ColumnPath::from(column.name());
    for info in &COLUMNS {
        match info.kind {
            ColumnType::Long | ColumnType::Time => {
                properties = properties.set_column_dictionary_enabled(path(info.column), false);
                properties = properties.set_column_encoding(path(info.column), Encoding::DELTA_BINARY_PACKED);
            }
            ColumnType::Int | ColumnType::Word | ColumnType::Words => {}
            ColumnType::Text => {}
        }
    }
    for column in [Column::RequestObject, Column::ResponseObject, Column::Raw, Column::StatusDetails] {
        // The smallest and largest JSON text tells a search nothing.
        properties = properties.set_column_statistics_enabled(path(column), EnabledStatistics::None);
    }
    properties = properties.set_column_dictionary_enabled(path(Column::AuditId), false);
    for (column, n_values, misses) in BLOOM_FILTERS {
        properties = properties.set_column_bloom_filter_enabled(path(column), true);
        properties = properties.set_column_bloom_filter_fpp(path(column), misses);
        properties = properties.set_column_bloom_filter_max_ndv(path(column), n_values);
    }
    properties.build()
}

/// Writes sorted rows into a Parquet file in memory, one batch after the other.
pub struct FileWriter {
    writer: ArrowWriter<Vec<u8>>,
    group_bytes: usize,
}

impl FileWriter {
    /// A file without rows.
    ///
    /// # Errors
    /// None with the table's own schema.
    pub fn new(effort: Effort) -> Result<Self, ParquetError> {
        let options = ArrowWriterOptions::new().with_properties(properties(effort)).with_skip_arrow_metadata(true);
        Ok(Self { writer: ArrowWriter::try_new_with_options(Vec::new(), memory_schema(), options)?, group_bytes: 0 })
    }

    /// Appends rows of [`memory_schema`], which must not come before those that are there.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let sizes = batch.column(Column::EventBytes.index()).as_primitive::<Int32Type>().values();
        let mut start = 0;
        while start < batch.num_rows() {
            let mut end = start;
            while end < batch.num_rows() && end - start < CHUNK_ROWS && (self.group_bytes < GROUP_BYTES || end == start) {
                self.group_bytes += usize::try_from(sizes[end]).unwrap_or(0);
                end += 1;
            }
            self.writer.write(&batch.slice(start, end - start))?;
            start = end;
            if self.group_bytes >= GROUP_BYTES {
                self.writer.flush()?;
                self.group_bytes = 0;
            } else if self.writer.in_progress_rows() == 0 {
                self.group_bytes = 0;
            }
        }
        Ok(())
    }

    /// The file's bytes and footer.
    ///
    /// # Errors
    /// When the last rows cannot be encoded.
    pub fn finish(mut self) -> Result<(Vec<u8>, Arc<ParquetMetaData>), ParquetError> {
        let metadata = self.writer.finish()?;
        let bytes = std::mem::take(self.writer.inner_mut());
        Ok((bytes, Arc::new(metadata)))
    }
}
