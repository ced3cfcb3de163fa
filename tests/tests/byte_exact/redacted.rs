//! The golden list of what redaction takes out of the recorded logs: event by event and path by path.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

/// What stands in place of a secret value: `redacted:<key id>:<16 hex>`.
const MARK: &str = "redacted:";
const HEX: usize = 16;

/// Lines of the golden file: log, auditID, stage → the paths that were redacted, and how often.
#[derive(Default)]
pub(crate) struct Golden {
    entries: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Golden {
    /// Takes note of where `stored` differs from `original`, after making sure that it differs nowhere but in
    /// whole redaction marks.
    pub(crate) fn compare(&mut self, log: &str, original: &[u8], stored: &[u8]) {
        if original == stored {
            return;
        }
        assert_fits(original, stored);
        let before: Value = serde_json::from_slice(original).unwrap();
        let after: Value = serde_json::from_slice(stored).unwrap();
        let event = format!("{log}\t{}\t{}", before["auditID"].as_str().unwrap(), before["stage"].as_str().unwrap());
        let mut paths = BTreeMap::new();
        differences(&before, &after, &mut String::new(), &mut paths);
        assert!(!paths.is_empty(), "{event} has other bytes and the same values");
        for (path, count) in paths {
            *self.entries.entry(event.clone()).or_default().entry(path).or_default() += count;
        }
    }

    /// Compares with the golden file; writes it instead if `UPDATE_GOLDEN` is set.
    pub(crate) fn check(&self, golden: &Path) {
        let mut text = String::from("# log, auditID, stage, path, values: made by UPDATE_GOLDEN=1 scripts/suites byte-exact\n");
        for (event, paths) in &self.entries {
            for (path, count) in paths {
                writeln!(text, "{event}\t{path}\t{count}").unwrap();
            }
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(golden).unwrap_or_default();
        for (number, (got, expected)) in text.lines().zip(expected.lines()).enumerate() {
            assert_eq!(got, expected, "line {} of {}", number + 1, golden.display());
        }
        assert_eq!(text.lines().count(), expected.lines().count(), "{}", golden.display());
        let n_values: usize = self.entries.values().flat_map(BTreeMap::values).sum();
        decklog_tests::shown(&format!("redaction hides {n_values} values of {} events, as listed, and changes nothing else", self.entries.len()));
    }
}

/// Every piece of `stored` between two marks stands in `original`, in order; first and last at its ends.
fn assert_fits(original: &[u8], stored: &[u8]) {
    let (original, stored) = (std::str::from_utf8(original).unwrap(), std::str::from_utf8(stored).unwrap());
    let mut pieces = stored.split(MARK);
    let first = pieces.next().unwrap();
    let mut rest = original.strip_prefix(first).unwrap_or_else(|| panic!("the start differs:\n{first}\n{original}"));
    let pieces: Vec<&str> = pieces
        .map(|piece| {
            let (_key, hash_and_rest) = piece.split_once(':').unwrap_or_else(|| panic!("no key id: {piece}"));
            let (hash, rest) = hash_and_rest.split_at(HEX);
            assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "no hash: {piece}");
            rest
        })
        .collect();
    for (index, piece) in pieces.iter().enumerate() {
        if index + 1 == pieces.len() {
            assert!(rest.ends_with(piece), "the end differs:\n{piece}\n{rest}");
        } else {
            let at = rest.find(piece).unwrap_or_else(|| panic!("not in the original:\n{piece}\n{rest}"));
            rest = &rest[at + piece.len()..];
        }
    }
}

/// The paths of `before` at which `after` has another value; elements of a list share one path.
fn differences(before: &Value, after: &Value, path: &mut String, found: &mut BTreeMap<String, usize>) {
    let length = path.len();
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            assert!(before.keys().eq(after.keys()), "other keys at {path}");
            for (key, value) in before {
                write!(path, ".{key}").unwrap();
                differences(value, &after[key], path, found);
                path.truncate(length);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (value, other) in before.iter().zip(after) {
                path.push_str("[]");
                differences(value, other, path, found);
                path.truncate(length);
            }
        }
        (before, after) if before == after => {}
        (_, after) => {
            assert!(after.as_str().is_some_and(|text| text.contains(MARK)), "{path} became {after}, which is no redaction");
            *found.entry(path.trim_start_matches('.').to_owned()).or_default() += 1;
        }
    }
}
