//! Fewer and larger files: those of a day are merged into one, which a commit puts in their place.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use futures_util::StreamExt;
use object_store::path::Path;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::ParquetRecordBatchStream;
use parquet::errors::ParquetError;

use super::WriteError;
use super::file::{Effort, FileWriter};
use super::log::{NewFile, Operation, TableChange};
use super::merge;
use super::plan::{Merge, Thoroughness, Why, expired, next_merge};
use super::read::StoredFile;
use super::schema::memory_schema;
use super::shared::Shared;
use super::snapshot::DataFile;

/// Bytes of lines that a batch of one input may have, about.
const BATCH_BYTES: u64 = 2 << 20;

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that are no longer part of the table.
    pub n_before: usize,
    /// Files that stand in their place.
    pub n_after: usize,
    /// Size of the former.
    pub bytes_before: u64,
    /// Size of the latter.
    pub bytes_after: u64,
}

/// Merges until nothing is left to merge, or the table closes.
pub(super) fn run(shared: &Shared, thoroughness: Thoroughness) -> Result<Compacted, WriteError> {
    let mut sum = Compacted::default();
    let _care = shared.care();
    while !shared.stop.is_stopped() {
        let Some(merge) = next_merge(&shared.snapshot().files, &shared.config, thoroughness) else { break };
        let new_files = merge_files(shared, &merge)?;
        sum.n_before += merge.len();
        sum.n_after += new_files.len();
        sum.bytes_before += merge.iter().map(|file| file.size).sum::<u64>();
        sum.bytes_after += new_files.iter().map(|file| file.size).sum::<u64>();
        let at = shared.now();
        shared.commit(&TableChange { operation: Operation::Compaction, adds: new_files, removes: merge, transaction: None, lost: Vec::new(), at })?;
        shared.metrics.compacted();
    }
    Ok(sum)
}

/// Writes the rows of `files`, all of one day, into new ones.
fn merge_files(shared: &Shared, files: &Merge) -> Result<Vec<NewFile>, WriteError> {
    let day = files.first().map_or(0, |file| file.day);
    let mut inputs: Vec<Box<dyn merge::Rows + '_>> = Vec::with_capacity(files.len());
    for file in files {
        inputs.push(Box::new(Input::open(shared, file)?));
    }
    let mut writer = FileWriter::new(Effort::Compaction)?;
    let mut n_rows = 0;
    merge::merge(inputs, 4096, &mut |batch| {
        writer.push(&batch)?;
        n_rows += batch.num_rows() as u64;
        if shared.stop.is_stopped() {
            return Err(WriteError::Closed);
        }
        Ok::<(), WriteError>(())
    })?;
    // One file, whatever its size: were there as many as before, there would be no end of merging.
    if n_rows == 0 { Ok(Vec::new()) } else { Ok(vec![shared.put_file(writer, day, n_rows, |path, bytes| shared.put(path, bytes))?]) }
}

/// A file of the table being read.
struct Input<'s> {
    shared: &'s Shared,
    stream: ParquetRecordBatchStream<StoredFile>,
    path: String,
}

impl<'s> Input<'s> {
    fn open(shared: &'s Shared, file: &DataFile) -> Result<Self, WriteError> {
        let damaged = |source: ParquetError| WriteError::Damaged { path: file.path.clone(), source };
        let reader = StoredFile::new(Arc::clone(&shared.store), Path::from(file.path.as_str()), file.size);
        let options = ArrowReaderOptions::new().with_schema(memory_schema());
        let builder = shared.block_on(ParquetRecordBatchStreamBuilder::new_with_options(reader, options)).map_err(damaged)?;
        let uncompressed: i64 = builder.metadata().row_groups().iter().map(|group| group.total_byte_size()).sum();
        let n_all: i64 = builder.metadata().row_groups().iter().map(|group| group.num_rows()).sum();
        let per_row = u64::try_from(uncompressed / n_all.max(1)).unwrap_or(0) + 1;
        let n_rows = usize::try_from(BATCH_BYTES / per_row).unwrap_or(usize::MAX).clamp(16, 4096);
        let stream = builder.with_batch_size(n_rows).build().map_err(damaged)?;
        Ok(Self { shared, stream, path: file.path.clone() })
    }
}

impl merge::Rows for Input<'_> {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let next = self.shared.block_on(self.stream.next());
        next.transpose().map_err(|error| ArrowError::ExternalError(Box::new(WriteError::Damaged { path: self.path.clone(), source: error })))
    }
}

/// Whole days that were removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Days since the epoch.
    pub day: i32,
    /// Why.
    pub why: Why,
    /// Files.
    pub n_files: usize,
    /// Events.
    pub n_rows: u64,
    /// Bytes.
    pub n_bytes: u64,
}

/// Removes the days that are due from the table; their files go with the next vacuum.
pub(super) fn retire(shared: &Shared) -> Result<Vec<Retired>, WriteError> {
    let mut retired = Vec::new();
    let _care = shared.care();
    for (day, why, files) in expired(&shared.snapshot().files, &shared.config, shared.now()) {
        let of_day = Retired {
            day,
            why,
            n_files: files.len(),
            n_rows: files.iter().filter_map(|file| file.n_rows).sum(),
            n_bytes: files.iter().map(|file| file.size).sum(),
        };
        shared.commit(&TableChange {
            operation: Operation::Retention,
            adds: Vec::new(),
            removes: files,
            transaction: None,
            lost: Vec::new(),
            at: shared.now(),
        })?;
        super::mark::leave(shared, &of_day);
        retired.push(of_day);
    }
    Ok(retired)
}
