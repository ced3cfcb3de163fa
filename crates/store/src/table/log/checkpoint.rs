//! Checkpoints: the whole state in one Parquet file, so that opening reads a few commits and not all.
//!
//! They are written by deltalake-core, as is the clean-up of log files a checkpoint stands for. They are read
//! here, as the JSON lines they stand for, so that the same rules ([`super::state`]) make a state of both.

use std::sync::Arc;

use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use deltalake_core::DeltaTable;
use deltalake_core::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use deltalake_core::logstore::{StorageConfig, default_logstore};
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use url::Url;

use super::actions::{Line, read_lines};
use super::error::TableError;

/// What `_last_checkpoint` says: where to begin to look.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Hint {
    pub(crate) version: u64,
}

/// The actions decklog knows; a checkpoint's other columns are not read.
const ACTIONS: [&str; 5] = ["protocol", "metaData", "txn", "remove", "add"];

/// Reads a checkpoint (or a part of one) as lines.
///
/// # Errors
///
/// [`TableError::Damaged`], naming `path`.
pub(crate) fn read(path: &str, bytes: Bytes) -> Result<Vec<Line>, TableError> {
    let damaged = |problem: String| TableError::Damaged { path: path.to_owned(), problem };
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| damaged(error.to_string()))?;
    let columns = builder.parquet_schema().root_schema().get_fields();
    let known = columns.iter().enumerate().filter(|(_, column)| ACTIONS.contains(&column.name())).map(|(index, _)| index).collect::<Vec<_>>();
    let mask = ProjectionMask::roots(builder.parquet_schema(), known);
    let batches = builder.with_projection(mask).build().map_err(|error| damaged(error.to_string()))?;
    let mut lines = Vec::new();
    for batch in batches {
        let batch = batch.map_err(|error| damaged(error.to_string()))?;
        let mut json = LineDelimitedWriter::new(Vec::new());
        json.write(&batch).and_then(|()| json.finish()).map_err(|error| damaged(error.to_string()))?;
        lines.extend(read_lines(&json.into_inner()).map_err(|(_, error)| damaged(error.to_string()))?);
    }
    Ok(lines)
}

/// Writes the checkpoint of `version`, then removes log files that it stands for and that changed last before
/// `cutoff` (milliseconds since the epoch).
pub(crate) async fn create(store: Arc<dyn ObjectStore>, version: u64, cutoff: i64) -> Result<(), TableError> {
    let failed = |step| move |source| TableError::Delta { step, version, source: Box::new(source) };
    // The store is rooted at the table already: deltalake-core is told of a store whose paths begin there. It is
    // not told `file:`, for which it would open files beside the store.
    let root = Url::parse("memory:///").map_err(|error| TableError::Damaged { path: String::new(), problem: error.to_string() })?;
    let log = default_logstore(Arc::clone(&store), store, &root, &StorageConfig::default());
    let mut table = DeltaTable::new(Arc::clone(&log));
    table.load_version(version).await.map_err(failed("load"))?;
    create_checkpoint(&table, None).await.map_err(failed("write the checkpoint of"))?;
    cleanup_expired_logs_for(version, log.as_ref(), cutoff, None).await.map_err(failed("clean up the log before"))?;
    Ok(())
}
