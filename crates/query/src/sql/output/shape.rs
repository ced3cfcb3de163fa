//! The schema of an answer: names no two columns share, and types every reader knows.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use decklog_audit::search::SqlFormat;

pub(super) struct Shape {
    schema: SchemaRef,
}

impl Shape {
    pub(super) fn new(format: SqlFormat, schema: &SchemaRef, names: Option<&[Option<String>]>) -> Self {
        let names = names.filter(|names| names.len() == schema.fields().len());
        let mut taken = HashSet::new();
        let fields = schema.fields().iter().enumerate().map(|(index, field)| {
            let given = names.and_then(|names| names[index].clone());
            let name = free_name(given.as_deref().unwrap_or(field.name()), &taken);
            taken.insert(name.clone());
            Field::new(name, known_type(format, field.data_type()), true)
        });
        Self { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())) }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn shape(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = rows.columns().iter().zip(self.schema.fields());
        let columns: Result<Vec<ArrayRef>, ArrowError> = columns.map(|(column, field)| cast(column, field.data_type())).collect();
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns?, &RecordBatchOptions::new().with_row_count(Some(rows.num_rows())))
    }
}

fn free_name(wanted: &str, taken: &HashSet<String>) -> String {
    if !taken.contains(wanted) {
        return wanted.to_owned();
    }
    (1u32..).map(|number| format!("{wanted}_{number}")).find(|name| !taken.contains(name)).unwrap_or_default()
}

/// A type that readers know: plain text, times in UTC, no NULL type.
fn known_type(format: SqlFormat, given: &DataType) -> DataType {
    let field = |field: &Field| Arc::new(Field::new(field.name(), known_type(format, field.data_type()), field.is_nullable()));
    match given {
        DataType::Null | DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Dictionary(_, values) => known_type(format, values),
        DataType::BinaryView => DataType::Binary,
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        DataType::Interval(_) | DataType::Duration(_) if format != SqlFormat::Arrow => DataType::Utf8,
        DataType::List(inner) | DataType::ListView(inner) | DataType::FixedSizeList(inner, _) => DataType::List(field(inner)),
        DataType::LargeList(inner) | DataType::LargeListView(inner) => DataType::LargeList(field(inner)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|inner| field(inner)).collect()),
        other => other.clone(),
    }
}
