//! An audit event somewhere inside another JSON document: as an object, or as JSON inside a string, one or two
//! strings deep. Many services and log shippers forward events so (IBM Cloud, OVHcloud, Fluent Bit, Fluentd).
//!
//! Only a document that is no event itself is searched: what stands inside an event's bodies is data, and must
//! never become an event.

use decklog_audit::json::{JsonKind, RawJson};
use memchr::memmem;

use super::convert::{Provenance, embedded_line};
use super::formats::{Format, Taking};
use super::object::Object;

/// Strings inside strings that are looked into.
const MAX_STRINGS: u8 = 2;
/// Objects and lists inside one another that are looked into, for each string.
const MAX_LEVELS: u8 = 16;
/// What every event has; without it a document is not searched at all.
const API_GROUP: &[u8] = b"audit.k8s.io";

/// See the module.
pub(super) fn read(object: &Object<'_>, taking: &mut Taking<'_>) -> bool {
    let text = object.raw().as_str();
    if memmem::find(text.as_bytes(), API_GROUP).is_none() {
        return false;
    }
    let mut n_found = 0;
    object.members().for_each(|(_, value)| n_found += search(value, MAX_STRINGS, MAX_LEVELS, taking));
    n_found > 0
}

/// Gives the events in `raw`; how many there are.
fn search(raw: RawJson<'_>, strings_left: u8, levels_left: u8, taking: &mut Taking<'_>) -> usize {
    if levels_left == 0 {
        return 0;
    }
    match raw.kind() {
        JsonKind::Object => {
            if is_event(raw) {
                return give(raw, taking);
            }
            raw.members().map(|(_, value)| search(value, strings_left, levels_left - 1, taking)).sum()
        }
        JsonKind::Array => raw.elements().map(|value| search(value, strings_left, levels_left - 1, taking)).sum(),
        JsonKind::String if strings_left > 0 && memmem::find(raw.as_str().as_bytes(), API_GROUP).is_some() => {
            let text = raw.as_string().unwrap_or_default();
            let inner = text.trim();
            match RawJson::parse(inner) {
                Ok(inner) if matches!(inner.kind(), JsonKind::Object | JsonKind::Array) => search(inner, strings_left - 1, MAX_LEVELS, taking),
                _ => 0,
            }
        }
        _ => 0,
    }
}

fn is_event(raw: RawJson<'_>) -> bool {
    let Some(object) = Object::of(raw) else { return false };
    object.text("kind").is_some_and(|kind| kind == "Event")
        && object.text("apiVersion").is_some_and(|version| version.starts_with("audit.k8s.io/"))
        && object.has("auditID")
        && object.has("stage")
}

fn give(event: RawJson<'_>, taking: &mut Taking<'_>) -> usize {
    let text = event.as_str();
    match embedded_line(text, None, Provenance::new(Format::Embedded, &event.compact())) {
        Ok(line) => taking.event(Format::Embedded, &line),
        Err(error) => taking.refuse(text, error),
    }
    1
}

#[cfg(test)]
mod tests {
    use crate::import::tests::{mutated, quoted, taken, without_ours};
    use crate::testing::{line, odd_lines};

    #[test]
    fn none_one_or_two_strings_deep_the_bytes_stay() {
        for event in odd_lines().iter().filter(|event| !event.contains("\"annotations\":")) {
            for text in [
                format!(r#"{{"log":{event},"host":"h"}}"#),
                format!(r#"{{"log":{},"host":"h"}}"#, quoted(event)),
                format!(r#"{{"a":[{{"message":{}}}]}}"#, quoted(&format!(r#"{{"line":{}}}"#, quoted(event)))),
            ] {
                let taken = taken(&text);
                let mut stored = String::new();
                without_ours(&taken.lines[0], &mut stored);
                assert_eq!((stored.as_str(), taken.lines.len(), taken.bad.len()), (event.as_str(), 1, 0), "{text}");
                assert!(taken.lines[0].contains(r#""decklog.io/source":"embedded""#));
            }
        }
        let three = format!(r#"{{"a":{}}}"#, quoted(&format!(r#"{{"b":{}}}"#, quoted(&format!(r#"{{"c":{}}}"#, quoted(&line(1)))))));
        assert_eq!(taken(&three).bad.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_document_ends(seed: u64, n_changes in 0usize..8, text: String) {
            taken(&format!(r#"{{"audit.k8s.io":{}}}"#, quoted(&text)));
            taken(&mutated(&format!(r#"{{"a":[{{"message":{}}},{}]}}"#, quoted(&format!(r#"{{"line":{}}}"#, quoted(&line(1)))), line(2)), seed, n_changes));
        }
    }

    #[test]
    fn what_stands_inside_an_event_never_becomes_one() {
        let forged = line(666);
        let event = line(1).replace(r#""stageTimestamp""#, &format!(r#""requestObject":{{"a":{},"b":{forged}}},"stageTimestamp""#, quoted(&forged)));
        let reordered = format!(r#"{{"stage":"ResponseComplete","requestObject":{forged},"auditID":"1"}}"#);
        for text in [event, reordered] {
            let taken = taken(&text);
            assert_eq!((taken.lines, taken.tally.converted.len()), (vec![text], 0));
        }
    }
}
