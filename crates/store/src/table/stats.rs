//! What is known of a file's columns without opening it: the `stats` of Delta's add action.
//!
//! [`stats_json`] makes them from a Parquet footer for the writer; [`FileStats`] reads them for pruning. Stats
//! only ever leave files out: where they are missing or unreadable, nothing is left out.
//! Format: <https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics>.

mod from_parquet;

pub use from_parquet::stats_json;

use std::sync::Arc;

use decklog_audit::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What is known of a file's columns. The bounds of `seq` and `time` are read at once, others when asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileStats {
    /// Least and greatest sequence number.
    pub seq: Option<(i64, i64)>,
    /// Earliest and latest time: every row's is within.
    pub time: Option<(Timestamp, Timestamp)>,
    raw: Option<Arc<str>>,
}

/// What is known of one column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnStats {
    /// No value is less; of a long text only the beginning.
    pub min: Option<Value>,
    /// No value is greater; a long text's beginning, raised.
    pub max: Option<Value>,
    /// Rows without a value.
    pub null_count: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Parsed {
    num_records: Option<u64>,
    min_values: Map<String, Value>,
    max_values: Map<String, Value>,
    null_count: Map<String, Value>,
}

impl FileStats {
    /// Reads an add action's `stats`; also gives the number of rows. Unreadable text is kept and says nothing.
    pub(crate) fn read(json: Option<&str>) -> (Self, Option<u64>) {
        let Some(json) = json else { return (Self::default(), None) };
        let raw = Some(Arc::from(json));
        let Ok(parsed) = serde_json::from_str::<Parsed>(json) else { return (Self { raw, ..Self::default() }, None) };
        let bound = |values: &Map<String, Value>, column: &str| values.get(column).cloned();
        let seq = bound(&parsed.min_values, "seq").and_then(|v| v.as_i64()).zip(bound(&parsed.max_values, "seq").and_then(|v| v.as_i64()));
        let time = bound(&parsed.min_values, "time")
            .as_ref()
            .and_then(Value::as_str)
            .and_then(Timestamp::parse_rfc3339)
            .zip(bound(&parsed.max_values, "time").as_ref().and_then(Value::as_str).and_then(latest_of));
        (Self { seq, time, raw }, parsed.num_records)
    }

    /// What is known of a column.
    pub fn column(&self, name: &str) -> ColumnStats {
        let Some(mut parsed) = self.raw.as_deref().and_then(|raw| serde_json::from_str::<Parsed>(raw).ok()) else { return ColumnStats::default() };
        ColumnStats {
            min: parsed.min_values.remove(name),
            max: parsed.max_values.remove(name),
            null_count: parsed.null_count.get(name).and_then(Value::as_u64),
        }
    }

    /// The text itself.
    pub fn raw(&self) -> Option<&str> {
        self.raw.as_deref()
    }
}

/// The latest time a written one can stand for: writers cut times (to milliseconds, by the protocol), so a
/// maximum of fewer than six fraction digits may have been up to one unit of its last digit later.
fn latest_of(text: &str) -> Option<Timestamp> {
    let written = Timestamp::parse_rfc3339(text)?;
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
    let unit = 10_i64.pow(6 - u32::try_from(digits.min(6)).unwrap_or(6));
    Some(Timestamp::from_micros(written.micros().saturating_add(unit - 1)))
}

#[cfg(test)]
mod tests;
