//! A Parquet footer's statistics as the JSON of Delta's add action.

use std::ops::Not;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use decklog_audit::Timestamp;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

/// Characters of a text that stats keep, as Spark does.
const TEXT_LENGTH: usize = 32;

const MICROS_PER_MILLI: i64 = 1_000;

/// The statistics of a file as Delta's JSON: rows, and for each scalar column of `schema` the least and the
/// greatest value and how many are missing. What the footer does not say is left out, nested columns too. Times
/// are widened to whole milliseconds, texts cut to 32 characters (the greatest is then raised), so that every
/// value is within.
pub fn stats_json(metadata: &ParquetMetaData, schema: &Schema) -> String {
    let (mut min_values, mut max_values, mut null_count) = (Map::new(), Map::new(), Map::new());
    for field in schema.fields() {
        let Some(chunks) = chunks(metadata, field.name()) else { continue };
        if let Some(nulls) = chunks.iter().map(|chunk| chunk.statistics().and_then(Statistics::null_count_opt)).sum::<Option<u64>>() {
            null_count.insert(field.name().clone(), json!(nulls));
        }
        let Some(kind) = Kind::of(field.data_type()) else { continue };
        if let Some((min, max)) = bounds(&chunks, kind) {
            min.and_then(|min| min.floor()).map(|min| min_values.insert(field.name().clone(), min));
            max.and_then(|max| max.ceiling()).map(|max| max_values.insert(field.name().clone(), max));
        }
    }
    let rows = metadata.file_metadata().num_rows();
    json!({"numRecords": rows, "minValues": min_values, "maxValues": max_values, "nullCount": null_count}).to_string()
}

/// The chunks of a top-level scalar column, one per row group; `None` for a nested or missing one.
fn chunks<'a>(metadata: &'a ParquetMetaData, name: &str) -> Option<Vec<&'a ColumnChunkMetaData>> {
    let columns = metadata.file_metadata().schema_descr();
    let index = columns.columns().iter().position(|column| column.path().parts() == [name])?;
    Some(metadata.row_groups().iter().map(|group| group.column(index)).collect())
}

/// How a column's values are written into stats.
#[derive(Clone, Copy)]
enum Kind {
    Whole,
    Fraction,
    Date,
    Time,
    Text,
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(Self::Whole),
            DataType::Float32 | DataType::Float64 => Some(Self::Fraction),
            DataType::Date32 => Some(Self::Date),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Some(Self::Time),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Text),
            DataType::Dictionary(_, value) => Self::of(value),
            _ => None,
        }
    }
}

/// A value that is a bound.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Bound {
    Whole(i64),
    Fraction(f64),
    Date(i32),
    /// Microseconds since the epoch.
    Time(i64),
    Text(String),
}

impl Bound {
    /// A value that is not greater.
    fn floor(self) -> Option<Value> {
        match self {
            Self::Time(micros) => Some(time(micros.div_euclid(MICROS_PER_MILLI))),
            Self::Text(text) => Some(text.chars().take(TEXT_LENGTH).collect::<String>().into()),
            other => other.exactly(),
        }
    }

    /// A value that is not less, if there is one to write.
    fn ceiling(self) -> Option<Value> {
        match self {
            Self::Time(micros) => Some(time(micros.div_euclid(MICROS_PER_MILLI) + i64::from(micros.rem_euclid(MICROS_PER_MILLI) > 0))),
            Self::Text(text) if text.chars().nth(TEXT_LENGTH).is_some() => raised(text.chars().take(TEXT_LENGTH).collect()).map(Value::from),
            other => other.exactly(),
        }
    }

    fn exactly(self) -> Option<Value> {
        match self {
            Self::Whole(number) => Some(number.into()),
            Self::Fraction(number) => serde_json::Number::from_f64(number).map(Value::from),
            Self::Date(day) => Some(super::super::log::day_text(day).into()),
            Self::Time(micros) => Some(time(micros.div_euclid(MICROS_PER_MILLI))),
            Self::Text(text) => Some(text.into()),
        }
    }
}

fn time(millis: i64) -> Value {
    let text = Timestamp::from_micros(millis.saturating_mul(MICROS_PER_MILLI)).to_string();
    format!("{}Z", text.get(..23).unwrap_or(&text)).into()
}

/// The least text of the same length or less that is greater than all that begin with `text`.
fn raised(mut text: String) -> Option<String> {
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'), // what lies between is no character
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// Least and greatest over all row groups that have a value; `None` if one does not say.
fn bounds(chunks: &[&ColumnChunkMetaData], kind: Kind) -> Option<(Option<Bound>, Option<Bound>)> {
    let (mut least, mut greatest) = (None::<Bound>, None::<Bound>);
    for chunk in chunks {
        let statistics = chunk.statistics()?;
        if statistics.null_count_opt() == u64::try_from(chunk.num_values()).ok() {
            continue;
        }
        let (min, max) = read(statistics, kind)?;
        least = Some(least.filter(|least| *least <= min).unwrap_or(min));
        greatest = Some(greatest.filter(|greatest| *greatest >= max).unwrap_or(max));
    }
    Some((least, greatest))
}

fn read(statistics: &Statistics, kind: Kind) -> Option<(Bound, Bound)> {
    let both = |of: &dyn Fn(i64) -> Bound| match statistics {
        Statistics::Int32(values) => Some((of(i64::from(*values.min_opt()?)), of(i64::from(*values.max_opt()?)))),
        Statistics::Int64(values) => Some((of(*values.min_opt()?), of(*values.max_opt()?))),
        _ => None,
    };
    match (kind, statistics) {
        (Kind::Whole, _) => both(&Bound::Whole),
        (Kind::Time, _) => both(&Bound::Time),
        (Kind::Date, Statistics::Int32(values)) => Some((Bound::Date(*values.min_opt()?), Bound::Date(*values.max_opt()?))),
        // Not-a-number has no place in an order.
        (Kind::Fraction, Statistics::Float(values)) => fractions(f64::from(*values.min_opt()?), f64::from(*values.max_opt()?)),
        (Kind::Fraction, Statistics::Double(values)) => fractions(*values.min_opt()?, *values.max_opt()?),
        // Statistics of the deprecated kind compare texts as signed bytes.
        (Kind::Text, Statistics::ByteArray(values)) if !statistics.is_min_max_deprecated() => {
            Some((Bound::Text(values.min_opt()?.as_utf8().ok()?.to_owned()), Bound::Text(values.max_opt()?.as_utf8().ok()?.to_owned())))
        }
        _ => None,
    }
}

fn fractions(min: f64, max: f64) -> Option<(Bound, Bound)> {
    (min.is_nan() || max.is_nan()).not().then_some((Bound::Fraction(min), Bound::Fraction(max)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Int64Type;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::super::FileStats;
    use super::*;

    fn stats(columns: Vec<(&str, ArrayRef)>) -> Value {
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let metadata = writer.finish().unwrap();
        serde_json::from_str(&stats_json(&metadata, &batch.schema())).unwrap()
    }

    #[test]
    fn scalar_columns_have_bounds_over_all_row_groups() {
        let times = TimestampMicrosecondArray::from(vec![Some(1_001), None, Some(-1), Some(2_000_001)]).with_timezone("UTC");
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None, None, None]);
        let found = stats(vec![
            ("seq", Arc::new(Int64Array::from(vec![4, 9, 2, 3]))),
            ("time", Arc::new(times)),
            ("day", Arc::new(Date32Array::from(vec![Some(20_000), None, None, None]))),
            ("verb", Arc::new(StringArray::from(vec![None, None, Some("get"), Some("create")]))),
            ("share", Arc::new(Float64Array::from(vec![0.5, 1.5, -2.0, 0.0]))),
            ("none", Arc::new(StringArray::from(vec![None::<&str>; 4]))),
            ("list", Arc::new(lists)),
        ]);
        assert_eq!(
            found,
            json!({
                "numRecords": 4,
                "minValues": {"seq": 2, "time": "1969-12-31T23:59:59.999Z", "day": "2024-10-04", "verb": "create", "share": -2.0},
                "maxValues": {"seq": 9, "time": "1970-01-01T00:00:02.001Z", "day": "2024-10-04", "verb": "get", "share": 1.5},
                "nullCount": {"seq": 0, "time": 1, "day": 3, "verb": 2, "share": 0, "none": 4},
            })
        );
        let (read, n_rows) = FileStats::read(Some(&found.to_string()));
        assert_eq!((read.seq, n_rows), (Some((2, 9)), Some(4)));
        let (earliest, latest) = read.time.unwrap();
        assert!(earliest.micros() <= -1 && latest.micros() >= 2_000_001);
    }

    #[test]
    fn not_a_number_leaves_no_wrong_bounds() {
        let found = stats(vec![("share", Arc::new(Float64Array::from(vec![f64::NAN, f64::NAN, 1.0, 2.0])))]);
        assert!(found["maxValues"].get("share").is_none_or(|max| max.as_f64() >= Some(2.0)), "{found}");
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_within_its_bounds(texts in proptest::collection::vec("\\PC{0,40}|[\u{10FFFE}\u{10FFFF}\u{D7FF}]{30,35}", 1..6)) {
            let found = stats(vec![("text", Arc::new(StringArray::from(texts.clone())))]);
            let bound = |which: &str| found[which].get("text").and_then(Value::as_str).map(str::to_owned);
            for text in &texts {
                proptest::prop_assert!(bound("minValues").is_none_or(|min| min.as_str() <= text.as_str()));
                proptest::prop_assert!(bound("maxValues").is_none_or(|max| max.as_str() >= text.as_str()));
            }
            proptest::prop_assert!(bound("maxValues").is_none_or(|max| max.chars().count() <= TEXT_LENGTH + 1));
        }

        #[test]
        fn every_time_is_within_its_bounds(times in proptest::collection::vec(-1_000_000_000_000_000_i64..4_000_000_000_000_000, 1..6)) {
            let found = stats(vec![("time", Arc::new(TimestampMicrosecondArray::from(times.clone()).with_timezone("UTC")))]);
            let (earliest, latest) = FileStats::read(Some(&found.to_string())).0.time.unwrap();
            for time in times {
                proptest::prop_assert!(earliest.micros() <= time && time <= latest.micros());
            }
        }
    }
}
