//! The table's columns and protocol: made of an Arrow schema, and compared with what an existing table has.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel as _;
use serde_json::Value;

use super::actions::{Format, Metadata, Protocol};
use super::error::TableError;

/// The partition column: the day of a row's time.
pub const DAY: &str = "day";

/// Every Delta reader of today reads a table of reader version 1, writer version 2; deletion vectors, column
/// mapping and other features that ask for more are never used.
pub(crate) const PROTOCOL: Protocol = Protocol { min_reader_version: 1, min_writer_version: 2 };

/// How long the log's own files are kept once a checkpoint stands for them.
const LOG_RETENTION: (&str, &str) = ("delta.logRetentionDuration", "interval 7 days");
/// How long removed files are named in checkpoints: vacuum's grace is exact up to this long.
const TOMBSTONE_RETENTION: (&str, &str) = ("delta.deletedFileRetentionDuration", "interval 7 days");

/// The columns as Delta's JSON: those of `columns` and then `day`.
pub(crate) fn delta_schema(columns: &Schema) -> Result<String, TableError> {
    // Arrow's metadata (field ids, extension names) is no part of the table.
    let plain = |field: &Arc<Field>| Arc::new(field.as_ref().clone().with_metadata(Default::default()));
    let day = Arc::new(Field::new(DAY, DataType::Date32, true));
    let fields = columns.fields().iter().map(plain).chain([day]).collect::<Vec<_>>();
    let delta: StructType = (&Schema::new(fields)).try_into_kernel().map_err(TableError::Columns)?;
    Ok(serde_json::to_string(&delta)?)
}

/// The metadata of a new table.
pub(crate) fn metadata(id: String, name: &str, schema: String, created: i64) -> Metadata {
    Metadata {
        id,
        name: Some(name.to_owned()),
        description: None,
        format: Format { provider: "parquet".to_owned(), options: BTreeMap::new() },
        schema_string: schema,
        partition_columns: vec![DAY.to_owned()],
        configuration: [LOG_RETENTION, TOMBSTONE_RETENTION].map(|(key, value)| (key.to_owned(), Some(value.to_owned()))).into(),
        created_time: Some(created),
    }
}

/// Refuses a table that cannot be read rightly.
pub(crate) fn check_readable(protocol: &Protocol, metadata: &Metadata) -> Result<(), TableError> {
    if protocol.min_reader_version > PROTOCOL.min_reader_version {
        return Err(TableError::Protocol { what: format!("reader version `{}`", protocol.min_reader_version) });
    }
    if metadata.partition_columns != [DAY] {
        let difference = format!("it is partitioned by `{}` instead of `{DAY}`", metadata.partition_columns.join("`, `"));
        return Err(TableError::Schema { difference });
    }
    Ok(())
}

/// Refuses a table that rows of `expected` columns cannot be added to.
pub(crate) fn check_writable(protocol: &Protocol, metadata: &Metadata, expected: &str) -> Result<(), TableError> {
    check_readable(protocol, metadata)?;
    if protocol.min_writer_version > PROTOCOL.min_writer_version {
        return Err(TableError::Protocol { what: format!("writer version `{}`", protocol.min_writer_version) });
    }
    match difference(&metadata.schema_string, expected)? {
        Some(difference) => Err(TableError::Schema { difference }),
        None => Ok(()),
    }
}

/// Whether the table refuses to lose rows.
pub(crate) fn is_append_only(metadata: &Metadata) -> bool {
    metadata.configuration.get("delta.appendOnly").and_then(Option::as_deref) == Some("true")
}

/// The first difference between the columns of two Delta schemas; their order and comments do not matter.
fn difference(table: &str, expected: &str) -> Result<Option<String>, TableError> {
    let table = columns(table).ok_or_else(|| TableError::Schema { difference: "its schema cannot be read".to_owned() })?;
    let expected = columns(expected).unwrap_or_default();
    for (name, column) in &expected {
        match table.get(name) {
            None => return Ok(Some(format!("it has no column `{name}`"))),
            Some(other) if other.kind != column.kind => {
                return Ok(Some(format!("its column `{name}` is `{}` instead of `{}`", text(&other.kind), text(&column.kind))));
            }
            Some(other) if column.nullable && !other.nullable => return Ok(Some(format!("its column `{name}` must have a value"))),
            Some(_) => {}
        }
    }
    Ok(table.keys().find(|name| !expected.contains_key(*name)).map(|name| format!("it has the column `{name}`, which decklog does not write")))
}

struct Column {
    kind: Value,
    nullable: bool,
}

fn columns(schema: &str) -> Option<BTreeMap<String, Column>> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    let column = |field: &Value| {
        let nullable = field.get("nullable").and_then(Value::as_bool).unwrap_or(true);
        Some((field.get("name")?.as_str()?.to_owned(), Column { kind: without_metadata(field.get("type")?), nullable }))
    };
    schema.get("fields")?.as_array()?.iter().map(column).collect()
}

fn without_metadata(kind: &Value) -> Value {
    match kind {
        Value::Object(members) => {
            Value::Object(members.iter().filter(|(key, _)| *key != "metadata").map(|(key, value)| (key.clone(), without_metadata(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_metadata).collect()),
        other => other.clone(),
    }
}

fn text(kind: &Value) -> String {
    kind.as_str().map_or_else(|| kind.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("seq", DataType::Int64, false),
            Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
            Field::new("verb", DataType::Utf8, true).with_metadata([("PARQUET:field_id".to_owned(), "7".to_owned())].into()),
        ])
    }

    #[test]
    fn the_columns_are_deltas_plain_types_and_the_day() {
        let delta: Value = serde_json::from_str(&delta_schema(&schema()).unwrap()).unwrap();
        let field = |name: &str, kind: &str, nullable: bool| serde_json::json!({"name": name, "type": kind, "nullable": nullable, "metadata": {}});
        let fields = [field("seq", "long", false), field("time", "timestamp", false), field("verb", "string", true), field("day", "date", true)];
        assert_eq!(delta, serde_json::json!({"type": "struct", "fields": fields}));
    }

    #[track_caller]
    fn check(edit: impl FnOnce(&mut Vec<Field>), expected: Option<&str>) {
        let mut fields = schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        edit(&mut fields);
        let found = difference(&delta_schema(&Schema::new(fields)).unwrap(), &delta_schema(&schema()).unwrap()).unwrap();
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn the_first_difference_is_named() {
        check(|fields| fields.reverse(), None);
        check(|fields| drop(fields.remove(2)), Some("it has no column `verb`"));
        check(|fields| fields[2] = Field::new("verb", DataType::Int32, true), Some("its column `verb` is `integer` instead of `string`"));
        check(|fields| fields[2] = Field::new("verb", DataType::Utf8, false), Some("its column `verb` must have a value"));
        check(|fields| fields.push(Field::new("more", DataType::Utf8, true)), Some("it has the column `more`, which decklog does not write"));
    }
}
