//! Answers as CSV (RFC 4180): a header always, NULL is empty, lists and records as JSON.
//!
//! Text that a spreadsheet would take as a formula gets a leading `'`, also when white space stands before it
//! (<https://owasp.org/www-community/attacks/CSV_Injection>): it was written by whoever sent the request.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::TIME_FORMAT;

pub(super) struct CsvRows {
    bytes: Vec<u8>,
}

enum Cells<'a> {
    Text(&'a arrow::array::StringArray),
    Plain(&'a dyn Array, ArrayFormatter<'a>),
    Nested(NullableEncoder<'a>),
}

impl CsvRows {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let mut bytes = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            push_cell(index, field.name(), true, &mut bytes);
        }
        bytes.extend_from_slice(b"\r\n");
        Self { bytes }
    }

    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let times = FormatOptions::default().with_timestamp_format(Some(TIME_FORMAT)).with_timestamp_tz_format(Some(TIME_FORMAT));
        let options = EncoderOptions::default();
        let schema = rows.schema();
        let columns: Result<Vec<Cells<'_>>, ArrowError> =
            rows.columns().iter().zip(schema.fields()).map(|(column, field)| Cells::of(column.as_ref(), field, &times, &options)).collect();
        let mut columns = columns?;
        for row in 0..rows.num_rows() {
            for (index, cells) in columns.iter_mut().enumerate() {
                match cells {
                    Cells::Text(array) if array.is_valid(row) => push_cell(index, array.value(row), true, &mut self.bytes),
                    Cells::Plain(array, formatter) if array.is_valid(row) => push_cell(index, &formatter.value(row).try_to_string()?, false, &mut self.bytes),
                    Cells::Nested(encoder) if !encoder.is_null(row) => {
                        let mut json = Vec::new();
                        encoder.encode(row, &mut json);
                        push_cell(index, &String::from_utf8_lossy(&json), true, &mut self.bytes);
                    }
                    _ => push_cell(index, "", false, &mut self.bytes),
                }
            }
            self.bytes.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

impl<'a> Cells<'a> {
    fn of(column: &'a dyn Array, field: &'a Arc<Field>, times: &'a FormatOptions<'a>, options: &'a EncoderOptions) -> Result<Self, ArrowError> {
        Ok(match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string()),
            nested if nested.is_nested() => Self::Nested(make_encoder(field, column, options)?),
            _ => Self::Plain(column, ArrayFormatter::try_new(column, times)?),
        })
    }
}

fn push_cell(index: usize, cell: &str, is_text: bool, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
    let guard = if is_text && is_formula(cell) { "'" } else { "" };
    if cell.contains(['"', ',', '\n', '\r']) || cell != cell.trim() {
        out.extend_from_slice(format!("\"{guard}{}\"", cell.replace('"', "\"\"")).as_bytes());
    } else {
        out.extend_from_slice(guard.as_bytes());
        out.extend_from_slice(cell.as_bytes());
    }
}

fn is_formula(cell: &str) -> bool {
    cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}
