//! Reading the table's files: footers and bloom filters, which are kept since files never change, and the columns of a row group.
//!
//! Files lie in an object store, which is asynchronous; who searches waits. Requests run on a small runtime that all
//! searches share; decoding is done on the thread that waits.

use std::error::Error;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use decklog_store::table::{COLUMNS, Column, ColumnType, StoredFile};
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::statistics::Statistics;
use tokio::runtime::Runtime;

use super::TableFile;
use super::bounds;
use super::kept::Kept;
use super::place::Span;

/// Threads that wait for the disk. Each keeps memory of its own, so there are few.
const DISK_THREADS: usize = 4;
/// Bytes of footers that are kept: without page index, of more than a thousand files.
const FOOTER_BYTES: usize = 64 << 20;
/// Bytes of bloom filters that are kept.
const FILTER_BYTES: usize = 32 << 20;

/// Why something could not be read from a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// Compaction or retention removed it.
    #[error("the file is gone")]
    Vanished,
    /// It is damaged, or the store cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The search was stopped.
    #[error("stopped")]
    Stopped,
}

impl From<ParquetError> for ReadFailure {
    fn from(error: ParquetError) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(known) = cause {
            if matches!(known.downcast_ref(), Some(object_store::Error::NotFound { .. })) {
                return Self::Vanished;
            }
            cause = match known.downcast_ref::<ParquetError>() {
                Some(ParquetError::External(inner)) => Some(inner.as_ref()),
                _ => known.source(),
            };
        }
        Self::Unreadable(error.to_string())
    }
}

impl From<arrow::error::ArrowError> for ReadFailure {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// What of a file's end is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Row groups with their statistics. Enough to rule most files out.
    Groups,
    /// The page index too, which is ten times as large.
    Pages,
}

/// A file with its footer.
pub(crate) struct OpenFile {
    path: Arc<str>,
    file: StoredFile,
    depth: Depth,
    metadata: ArrowReaderMetadata,
    /// Where each of [`COLUMNS`] stands in the file.
    roots: Vec<Option<usize>>,
    /// The same among the leaves, by which footers know them; a list has one.
    leaves: Vec<Option<usize>>,
}

impl OpenFile {
    /// Its row groups.
    pub(crate) fn groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    fn leaf(&self, column: Column) -> Option<usize> {
        self.leaves[column.index()]
    }

    /// What the footer says of a column in a group.
    pub(crate) fn statistics(&self, group: usize, column: Column) -> Option<&Statistics> {
        self.groups()[group].column(self.leaf(column)?).statistics()
    }

    /// How many rows of a group have no value in a column, if the footer says so.
    pub(super) fn n_missing(&self, group: usize, column: Column) -> Option<u64> {
        let chunk = self.groups()[group].column(self.leaf(column)?);
        let whole = |count: i64| u64::try_from(count).ok();
        match chunk.definition_level_histogram() {
            // At level 0 not even the column's root is there.
            Some(levels) if chunk.column_descr().max_def_level() > 0 => levels.get(0).and_then(whole),
            _ if column.info().kind == ColumnType::Words => None,
            _ => chunk.statistics()?.null_count_opt(),
        }
    }

    /// The places of a group's rows.
    pub(crate) fn span(&self, group: usize) -> Span {
        let bounds = |column| match self.statistics(group, column)? {
            Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
            _ => None,
        };
        let seqs = bounds(Column::Seq).and_then(|(min, max)| Some((u64::try_from(min).ok()?, u64::try_from(max).ok()?)));
        Span { seqs: seqs.unwrap_or(Span::UNKNOWN.seqs), times: bounds(Column::Time).unwrap_or(Span::UNKNOWN.times) }
    }

    /// Rows of a group.
    pub(crate) fn n_rows(&self, group: usize) -> usize {
        usize::try_from(self.groups()[group].num_rows()).unwrap_or(0)
    }

    /// The pages of a group's column, if the file has a page index.
    pub(crate) fn pages(&self, group: usize, column: Column) -> Option<(&ColumnIndexMetaData, &OffsetIndexMetaData)> {
        let (leaf, metadata) = (self.leaf(column)?, self.metadata.metadata());
        metadata.column_index()?.get(group)?.get(leaf).zip(metadata.offset_index()?.get(group)?.get(leaf))
    }
}

/// Rows of a group to read: all, or those of ranges in order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection<'a> {
    All,
    Ranges(&'a [Range<usize>]),
}

/// File, group and leaf.
type FilterKey = (Arc<str>, usize, usize);

/// Opens and reads files, for all searches at once.
pub(crate) struct FileReader {
    /// Only taken when dropped: a runtime must not be dropped by waiting in async code.
    runtime: Option<Runtime>,
    footers: Mutex<Kept<Arc<str>, Arc<OpenFile>>>,
    filters: Mutex<Kept<FilterKey, Arc<Sbbf>>>,
}

impl FileReader {
    /// A reader with a runtime of its own.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(DISK_THREADS)
            .thread_name("decklog-search")
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime), footers: Mutex::new(Kept::new(FOOTER_BYTES)), filters: Mutex::new(Kept::new(FILTER_BYTES)) })
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("the runtime is only taken when this is dropped"),
        }
    }

    /// The file with its footer, read at least as deep as `depth` says.
    pub(crate) fn open(&self, store: &Arc<dyn ObjectStore>, file: &TableFile, depth: Depth) -> Result<Arc<OpenFile>, ReadFailure> {
        let key = Arc::from(file.path.as_str());
        if let Some(known) = lock(&self.footers).get(&key) {
            return self.deepen(known, depth);
        }
        let path = Path::parse(&file.path).map_err(|error| ReadFailure::Unreadable(error.to_string()))?;
        let mut stored = StoredFile::new(Arc::clone(store), path, file.size);
        let policy = if depth == Depth::Pages { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
        let options = ArrowReaderOptions::new().with_page_index_policy(policy);
        let footer = self.wait(stored.get_metadata(Some(&options)))?;
        let plain = ArrowReaderMetadata::try_new(Arc::clone(&footer), ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
        let schema = Arc::new(in_memory(plain.schema()));
        let roots: Vec<Option<usize>> = COLUMNS.iter().map(|info| schema.index_of(info.name).ok()).collect();
        let metadata = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new().with_schema(schema))?;
        let described = metadata.parquet_schema();
        let leaf_of = |root: usize| (0..described.num_columns()).find(|leaf| described.get_column_root_idx(*leaf) == root);
        let leaves = roots.iter().map(|root| leaf_of((*root)?)).collect();
        Ok(self.keep(OpenFile { path: key, file: stored, depth, metadata, leaves, roots }))
    }

    /// The same file, read at least as deep as `depth` says.
    pub(crate) fn deepen(&self, open: Arc<OpenFile>, depth: Depth) -> Result<Arc<OpenFile>, ReadFailure> {
        if open.depth >= depth {
            return Ok(open);
        }
        let mut reader = ParquetMetaDataReader::new_with_metadata(open.metadata.metadata().as_ref().clone()).with_page_index_policy(PageIndexPolicy::Optional);
        let mut stored = open.file.clone();
        self.wait(reader.load_page_index(&mut stored))?;
        let options = ArrowReaderOptions::new().with_schema(Arc::clone(open.metadata.schema()));
        let metadata = ArrowReaderMetadata::try_new(Arc::new(reader.finish()?), options)?;
        let (roots, leaves) = (open.roots.clone(), open.leaves.clone());
        Ok(self.keep(OpenFile { path: Arc::clone(&open.path), file: stored, depth, metadata, roots, leaves }))
    }

    fn keep(&self, open: OpenFile) -> Arc<OpenFile> {
        let (n_bytes, open) = (open.metadata.metadata().memory_size(), Arc::new(open));
        lock(&self.footers).keep(Arc::clone(&open.path), Arc::clone(&open), n_bytes);
        open
    }

    /// Calls `each` with the selected rows of a group, batch by batch, of `columns`; those the file lacks are left out,
    /// and those of which it says that no selected row has a value.
    pub(crate) fn read(
        &self,
        file: &OpenFile,
        group: usize,
        columns: &[Column],
        selection: Selection<'_>,
        batch_rows: usize,
        each: &mut dyn FnMut(&RecordBatch) -> Result<(), ReadFailure>,
    ) -> Result<(), ReadFailure> {
        let wanted = columns.iter().filter(|column| !bounds::is_empty(file, group, **column, selection));
        let mut roots: Vec<usize> = wanted.filter_map(|column| file.roots[column.index()]).collect();
        if roots.is_empty() {
            // One is read all the same, to count the rows.
            roots.extend(file.roots[Column::Seq.index()].or_else(|| columns.iter().find_map(|column| file.roots[column.index()])));
        }
        let mask = ProjectionMask::roots(file.metadata.parquet_schema(), roots);
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file.file.clone(), file.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(batch_rows);
        if let Selection::Ranges(ranges) = selection {
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(ranges.iter().cloned(), file.n_rows(group)));
        }
        let mut stream = builder.build()?;
        while let Some(batches) = self.wait(stream.next_row_group())? {
            for batch in batches {
                each(&batch?)?;
            }
        }
        Ok(())
    }

    /// The bloom filter of a column in a group, if the file has one.
    pub(crate) fn bloom_filter(&self, file: &OpenFile, group: usize, column: Column) -> Result<Option<Arc<Sbbf>>, ReadFailure> {
        let Some(leaf) = file.leaf(column).filter(|leaf| file.groups()[group].column(*leaf).bloom_filter_offset().is_some()) else { return Ok(None) };
        let key = (Arc::clone(&file.path), group, leaf);
        if let Some(known) = lock(&self.filters).get(&key) {
            return Ok(Some(known));
        }
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file.file.clone(), file.metadata.clone());
        let Some(filter) = self.wait(builder.get_row_group_column_bloom_filter(group, leaf))? else { return Ok(None) };
        let (n_bytes, filter) = (filter.num_blocks() * 32, Arc::new(filter));
        lock(&self.filters).keep(key, Arc::clone(&filter), n_bytes);
        Ok(Some(filter))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for FileReader {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The file's columns as they are wanted in memory. Columns that are not the table's stay as they are.
fn in_memory(stored: &Schema) -> Schema {
    let field = |field: &Arc<Field>| {
        let known = COLUMNS.iter().find(|info| info.name == field.name() && *field.data_type() == DataType::Utf8);
        known.map_or_else(|| Arc::clone(field), |info| Arc::new(field.as_ref().clone().with_data_type(info.kind.in_memory())))
    };
    Schema::new(stored.fields().iter().map(field).collect::<Vec<_>>())
}
