//! The lines of a Delta log: what one commit says, one JSON object per line.
//!
//! Only what decklog reads or writes is named. By the protocol a reader ignores actions and fields it does not
//! know (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md#actions>), which deltalake-core's own
//! `Action` does not: an unknown action fails the whole commit there. Hence types of our own.

use std::collections::BTreeMap;

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line: exactly one field is set in what we write; none in an action we do not know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit_info: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meta_data: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) txn: Option<Transaction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remove: Option<Remove>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) add: Option<Add>,
}

/// What a reader and a writer must be able to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    pub(crate) min_reader_version: i32,
    pub(crate) min_writer_version: i32,
}

/// Schema, partitions and properties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) format: Format,
    pub(crate) schema_string: String,
    pub(crate) partition_columns: Vec<String>,
    #[serde(default)]
    pub(crate) configuration: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_time: Option<i64>,
}

/// The files' format: always Parquet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Format {
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) options: BTreeMap<String, Option<String>>,
}

/// An application's own version: what of its work the table has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transaction {
    pub(crate) app_id: String,
    pub(crate) version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_updated: Option<i64>,
}

/// A file that is part of the table from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Add {
    /// A URL relative to the table: percent-encoded.
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) partition_values: BTreeMap<String, Option<String>>,
    pub(crate) size: u64,
    /// Milliseconds since the epoch.
    pub(crate) modification_time: i64,
    pub(crate) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stats: Option<String>,
}

/// A file that is no longer part of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remove {
    pub(crate) path: String,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deletion_timestamp: Option<i64>,
    pub(crate) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
}

/// Reads the lines of a commit; empty ones are skipped.
///
/// # Errors
///
/// The number of the first line that cannot be read, from 1, and why.
pub(crate) fn read_lines(bytes: &[u8]) -> Result<Vec<Line>, (usize, serde_json::Error)> {
    bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
        .map(|(index, line)| serde_json::from_slice(line).map_err(|source| (index + 1, source)))
        .collect()
}

/// The bytes of a commit.
pub(crate) fn write_lines(lines: &[Line]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// The path inside the table that an action names; `None` for what lies outside the table or cannot be read.
pub(crate) fn decode_path(encoded: &str) -> Option<String> {
    if encoded.starts_with('/') || encoded.contains(':') {
        return None;
    }
    let path = Path::from_url_path(encoded).ok()?;
    (!path.as_ref().is_empty()).then(|| path.as_ref().to_owned())
}

/// A path as an action names it: every byte that may mean something in a URL is percent-encoded.
pub(crate) fn encode_path(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'=' | b'/' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_actions_and_fields_are_ignored_and_broken_lines_named() {
        let lines = read_lines(b"{\"somethingNew\":{\"a\":1}}\n\n{\"txn\":{\"appId\":\"a\",\"version\":3,\"new\":true}}").unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].txn.as_ref().unwrap().version, 3);
        assert_eq!(read_lines(b"{}\n{\"add\":{\"path\":").unwrap_err().0, 2);
    }

    #[test]
    fn paths_outside_the_table_are_none() {
        for outside in ["/etc/passwd", "s3://other/file", "file:/x", "../x", "day=1/../../x", ""] {
            assert_eq!(decode_path(outside), None, "{outside}");
        }
        assert_eq!(decode_path("day=2026-11-20/a%20b.parquet").as_deref(), Some("day=2026-11-20/a b.parquet"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_lines_or_an_error(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = read_lines(&bytes);
        }

        #[test]
        fn encoded_paths_decode_to_themselves(name in "[a-zA-Z0-9 %#?=_.+-]{1,20}[a-z]") {
            let path = format!("day=2026-11-20/{name}");
            proptest::prop_assert_eq!(decode_path(&encode_path(&path)), Some(path));
        }
    }
}
