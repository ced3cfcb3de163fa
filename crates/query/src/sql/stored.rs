//! The stored columns as a table for the planner: Parquet files and the journal's tail, one union.
//!
//! Files that cannot hold what is asked for are left out by their statistics; within the others the Parquet reader goes
//! on by row group, page and bloom filter, and reads the columns a condition needs before the others.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanArray, Int64Array, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column as ColumnName, DFSchema, ScalarValue, Statistics, TableReference};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::StreamingTableExec;
use datafusion::physical_plan::union::UnionExec;
use decklog_store::table::schema::stored_schema;
use decklog_store::table::{COLUMNS, Column, ColumnType};

use super::snapshot::{SqlSnapshot, TableFile};

/// What the object store is called inside a question.
pub(super) const STORE_URL: &str = "decklog://table/";

/// The stored columns with the types questions see: text without copies.
pub(super) fn table_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let stored = stored_schema();
        let fields = COLUMNS.iter().zip(stored.fields()).map(|(info, field)| match info.kind {
            ColumnType::Word | ColumnType::Text => Field::new(info.name, DataType::Utf8View, field.is_nullable()),
            _ => field.as_ref().clone(),
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}

/// The stored events of whatever snapshot the session reads ([`Reading`]): so the views are planned once.
#[derive(Debug)]
pub(super) struct StoredEvents;

/// What a session reads: an extension of its configuration.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) snapshot: Arc<SqlSnapshot>,
    pub(super) footers: Arc<FileMetadataCache>,
}

impl Reading {
    fn files(&self, state: &dyn Session, files: &[&TableFile], projection: Option<&Vec<usize>>, limit: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        let options = TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..TableParquetOptions::default() };
        let readers = CachedParquetFileReaderFactory::new(Arc::clone(&self.snapshot.store), Arc::clone(&self.footers));
        let source =
            ParquetSource::new(TableSchema::from(table_schema())).with_table_parquet_options(options).with_parquet_file_reader_factory(Arc::new(readers));
        let partitioned: Vec<PartitionedFile> = files.iter().map(|file| PartitionedFile::new(file.path.clone(), file.size)).collect();
        let n_rows = files.iter().map(|file| file.n_rows).sum::<Option<u64>>().and_then(|n_rows| usize::try_from(n_rows).ok());
        let statistics = Statistics { num_rows: n_rows.map_or(Precision::Absent, Precision::Exact), ..Statistics::new_unknown(&table_schema()) };
        let groups = FileGroup::new(partitioned).split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE_URL)?, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_limit(limit)
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The files that may hold a row for which all of `filters` hold.
    fn wanted(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&TableFile>> {
        let files: Vec<&TableFile> = self.snapshot.files.iter().collect();
        let Some(filter) = conjunction(filters.iter().map(unqualified)) else { return Ok(files) };
        let schema = table_schema();
        let filter = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&schema))?)?;
        // A condition that says nothing about these columns is no reason to fail.
        let Ok(predicate) = PruningPredicateBuilder::new().with_file_schema(schema).try_build(filter) else { return Ok(files) };
        let keep = predicate.prune(&FileBounds(&files))?;
        Ok(files.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file).collect())
    }
}

fn unqualified(filter: &Expr) -> Expr {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let strip = |expr: Expr| match expr {
        Expr::Column(column) if column.relation.is_some() => Ok(Transformed::yes(Expr::Column(ColumnName::new(None::<TableReference>, column.name)))),
        other => Ok(Transformed::no(other)),
    };
    filter.clone().transform(strip).map(|transformed| transformed.data).unwrap_or_else(|_| filter.clone())
}

#[async_trait]
impl TableProvider for StoredEvents {
    fn schema(&self) -> SchemaRef {
        table_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(&self, state: &dyn Session, projection: Option<&Vec<usize>>, filters: &[Expr], limit: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        let reading = state.config().get_extension::<Reading>();
        let reading = reading.ok_or_else(|| DataFusionError::Internal("the session reads no snapshot".to_owned()))?;
        let files = reading.wanted(state, filters)?;
        let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !files.is_empty() {
            parts.push(reading.files(state, &files, projection, limit)?);
        }
        if let Some(tail) = reading.snapshot.tail.as_ref().filter(|tail| parts.is_empty() || !tail.is_empty()) {
            let partitions = tail.partitions(state.config().target_partitions());
            parts.push(Arc::new(StreamingTableExec::try_new(table_schema(), partitions, projection, [], false, limit)?));
        }
        match parts.len() {
            0 => reading.files(state, &[], projection, limit),
            1 => Ok(parts.remove(0)),
            _ => UnionExec::try_new(parts),
        }
    }
}

/// The bounds of times and sequence numbers, file by file.
struct FileBounds<'f>(&'f [&'f TableFile]);

impl FileBounds<'_> {
    fn bounds(&self, column: &ColumnName, side: impl Fn((i64, i64)) -> i64) -> Option<ArrayRef> {
        let values = |of_file: fn(&TableFile) -> Option<(i64, i64)>| self.0.iter().map(|file| of_file(file).map(&side)).collect::<Vec<_>>();
        if column.name == Column::Seq.name() {
            Some(Arc::new(Int64Array::from(values(|file| file.seq))))
        } else if column.name == Column::Time.name() {
            Some(Arc::new(TimestampMicrosecondArray::from(values(|file| file.time)).with_timezone("UTC")))
        } else {
            None
        }
    }
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.bounds(column, |(min, _)| min)
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.bounds(column, |(_, max)| max)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _column: &ColumnName) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from(self.0.iter().map(|file| file.n_rows).collect::<Vec<_>>())))
    }

    fn contained(&self, _column: &ColumnName, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
