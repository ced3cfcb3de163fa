//! Answers as bytes: one writer for each format, all of them streaming.

mod csv;
mod shape;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use decklog_audit::search::SqlFormat;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use self::csv::CsvRows;
use self::shape::Shape;

/// Times in texts: RFC 3339 with microseconds, UTC.
const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";
/// Rows of a row group of a Parquet answer at most.
const GROUP_ROWS: usize = 64 * 1024;
/// Bytes of a row group of a Parquet answer at most, give or take a batch: they are held until it is whole.
const GROUP_BYTES: usize = 16 << 20;

/// Writes an answer.
pub(super) struct Output {
    shape: Shape,
    writer: Writer,
}

enum Writer {
    Json(Vec<u8>),
    Csv(CsvRows),
    Arrow(Box<StreamWriter<Vec<u8>>>),
    Parquet(Box<ArrowWriter<Vec<u8>>>),
}

impl Output {
    /// For rows of `schema`, whose columns are called `names` where these say something.
    pub(super) fn new(format: SqlFormat, schema: &SchemaRef, names: Option<&[Option<String>]>) -> Result<Self, ArrowError> {
        let shape = Shape::new(format, schema, names);
        let schema = shape.schema();
        let writer = match format {
            SqlFormat::Json => Writer::Json(Vec::new()),
            SqlFormat::Csv => Writer::Csv(CsvRows::new(schema)),
            SqlFormat::Arrow => Writer::Arrow(Box::new(StreamWriter::try_new(Vec::new(), schema)?)),
            SqlFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .set_created_by(format!("decklog {}", env!("CARGO_PKG_VERSION")))
                    .build();
                Writer::Parquet(Box::new(ArrowWriter::try_new(Vec::new(), std::sync::Arc::clone(schema), Some(properties))?))
            }
        };
        Ok(Self { shape, writer })
    }

    /// Writes rows.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let rows = self.shape.shape(rows)?;
        match &mut self.writer {
            Writer::Json(bytes) => {
                let builder = WriterBuilder::new().with_explicit_nulls(true).with_timestamp_format(TIME_FORMAT.to_owned());
                let mut writer = builder.with_timestamp_tz_format(TIME_FORMAT.to_owned()).build::<_, LineDelimited>(bytes);
                writer.write(&rows)?;
                writer.finish()
            }
            Writer::Csv(csv) => csv.write(&rows),
            Writer::Arrow(writer) => writer.write(&rows),
            Writer::Parquet(writer) => {
                writer.write(&rows)?;
                if writer.in_progress_size() > GROUP_BYTES {
                    writer.flush()?;
                }
                Ok(())
            }
        }
    }

    /// The bytes made so far, which are forgotten here.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(match &mut self.writer {
            Writer::Json(bytes) => bytes,
            Writer::Csv(csv) => csv.bytes(),
            Writer::Arrow(writer) => writer.get_mut(),
            Writer::Parquet(writer) => writer.inner_mut(),
        })
    }

    /// The last bytes.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, ArrowError> {
        match &mut self.writer {
            Writer::Json(_) | Writer::Csv(_) => {}
            Writer::Arrow(writer) => writer.finish()?,
            Writer::Parquet(writer) => {
                writer.finish()?;
            }
        }
        Ok(self.take())
    }
}
