//! From what a provider sent to the line that is stored, and the annotations that say what was done.
//!
//! | annotation | says |
//! | --- | --- |
//! | `decklog.io/source` | the format the event came in |
//! | `decklog.io/cluster`, `decklog.io/instance` | the cluster and the API server as the provider names them |
//! | `decklog.io/inferred` | fields that the record does not hold in so many words |
//! | `decklog.io/missing` | fields that the event had or may have had, and the record has not |
//! | `decklog.io/truncated` | `provider`: the event was cut on its way |
//! | `decklog.io/original-sha256` | SHA-256 of what the event was read from, in hexadecimal |
//! | `decklog.io/line` | the line of the legacy format |
//!
//! Two ways lead to a line. An event that was rebuilt is written by `write_log_line`. One that arrived whole
//! keeps its bytes and only gets the annotations put in: for what kube-apiserver wrote both give the same
//! line (docs/decisions/160).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use aws_lc_rs::digest;
use decklog_audit::event::{DecodeError, DecodeErrorKind, write_annotations, write_log_line};
use decklog_audit::json::{JsonKind, RawJson};
use decklog_audit::{Event, Timestamp};

use super::formats::Format;
use super::salvage::salvage;

/// Where an event came from and what became of its fields.
pub(crate) struct Provenance<'p> {
    format: Format,
    original_sha256: String,
    /// The cluster as the provider names it.
    pub(super) cluster: Option<Cow<'p, str>>,
    /// The API server as the provider names it.
    pub(super) instance: Option<Cow<'p, str>>,
    /// The line of the legacy format.
    pub(super) line: Option<&'p str>,
    inferred: Vec<Cow<'static, str>>,
    missing: Vec<Cow<'static, str>>,
    truncated: bool,
}

impl<'p> Provenance<'p> {
    /// Of an event read from `original`.
    pub(super) fn new(format: Format, original: &str) -> Self {
        Self {
            format,
            original_sha256: sha256_hex(original.as_bytes()),
            cluster: None,
            instance: None,
            line: None,
            inferred: Vec::new(),
            missing: Vec::new(),
            truncated: false,
        }
    }

    /// Notes that `field` is not in the record in so many words.
    pub(super) fn inferred(&mut self, field: impl Into<Cow<'static, str>>) {
        note(&mut self.inferred, field.into());
    }

    /// Notes that the record lacks `field`.
    pub(super) fn missing(&mut self, field: impl Into<Cow<'static, str>>) {
        note(&mut self.missing, field.into());
    }

    /// Notes that the event was cut on its way.
    pub(super) fn truncated(&mut self) {
        self.truncated = true;
    }

    /// All annotations, keys in order.
    fn annotations(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let list = |names: &[Cow<'static, str>]| (!names.is_empty()).then(|| Cow::Owned(names.join(",")));
        let all = [
            ("decklog.io/cluster", self.cluster.as_deref().map(Cow::Borrowed)),
            ("decklog.io/inferred", list(&self.inferred)),
            ("decklog.io/instance", self.instance.as_deref().map(Cow::Borrowed)),
            ("decklog.io/line", self.line.map(Cow::Borrowed)),
            ("decklog.io/missing", list(&self.missing)),
            ("decklog.io/original-sha256", Some(Cow::Borrowed(self.original_sha256.as_str()))),
            ("decklog.io/source", Some(Cow::Borrowed(self.format.as_str()))),
            ("decklog.io/truncated", self.truncated.then_some(Cow::Borrowed("provider"))),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

fn note(names: &mut Vec<Cow<'static, str>>, name: Cow<'static, str>) {
    if let Err(place) = names.binary_search(&name) {
        names.insert(place, name);
    }
}

/// The line of an event that was rebuilt.
pub(crate) fn rebuilt_line(event: &Event<'_>, provenance: &Provenance<'_>) -> Vec<u8> {
    let ours = provenance.annotations();
    let mut event = event.clone();
    let annotations = event.annotations.get_or_insert_default();
    annotations.extend(ours.iter().map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(&**value))));
    let mut line = Vec::new();
    match write_log_line(&event, &mut line) {
        Ok(()) => _ = line.pop(),
        Err(never) => match never {},
    }
    line
}

/// A body that AKS replaced by a word since it was too large.
const TOO_BIG: &str = "skipped-too-big-size-object";

/// Whether `body` is what AKS puts in the place of one that was too large.
pub(super) fn is_too_big_mark(body: RawJson<'_>) -> bool {
    body.as_string().is_some_and(|text| text == TOO_BIG)
}

/// The line of an event whose JSON is in the record as `text`: whole, or cut somewhere. `time` is the
/// record's own, for an event whose time was cut off.
///
/// # Errors
/// Why no event can be read, not even a part of one.
pub(super) fn embedded_line(text: &str, time: Option<Timestamp>, mut provenance: Provenance<'_>) -> Result<Vec<u8>, DecodeError> {
    match Event::decode(text) {
        Ok(event) if event.audit_id.is_none() && event.stage.is_none() => Err(DecodeError { at: 0, field: None, kind: DecodeErrorKind::NoEvent }),
        Ok(event) => {
            let mut left_out: Vec<&str> = Vec::new();
            for (name, body) in [("requestObject", event.request_object), ("responseObject", event.response_object)] {
                if body.is_some_and(is_too_big_mark) {
                    left_out.push(name);
                    provenance.missing(name);
                    provenance.truncated();
                }
            }
            Ok(annotated(text, &left_out, &provenance.annotations()))
        }
        Err(error) => {
            let salvaged = salvage(text).ok_or_else(|| error.clone())?;
            let mut event = Event::decode(&salvaged.json).map_err(|_| error)?;
            for field in salvaged.lost {
                provenance.missing(field);
            }
            if event.stage_timestamp.is_none()
                && let Some(time) = time
            {
                event.stage_timestamp = Some(time);
                provenance.missing.retain(|field| field != "stageTimestamp");
                provenance.inferred("stageTimestamp");
            }
            for (name, _) in &event.unknown {
                provenance.missing(name.clone().into_owned());
            }
            provenance.truncated();
            Ok(rebuilt_line(&event, &provenance))
        }
    }
}

/// `text` (a JSON object) without the members `left_out` and with `ours` among its annotations, each in front of
/// the first key that is greater: where keys are in order, they stay so.
fn annotated(text: &str, left_out: &[&str], ours: &[(&'static str, Cow<'_, str>)]) -> Vec<u8> {
    let Ok(raw) = RawJson::parse(text) else { return text.as_bytes().to_vec() };
    let object_start = offset_in(text, raw.as_str());
    let object_end = object_start + raw.as_str().len();
    let mut annotations: Option<RawJson<'_>> = None;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut previous_end = object_start + 1;
    let mut any_left = false;
    for (name, value) in raw.members() {
        let end = offset_in(text, value.as_str()) + value.as_str().len();
        if name == "annotations" {
            annotations = Some(value);
        }
        if left_out.contains(&&*name) {
            // With the comma before it; of a first member the one behind it.
            let end = if any_left { end } else { text[end..object_end].find(',').map_or(end, |comma| end + comma + 1) };
            edits.push((previous_end..end, String::new()));
            previous_end = end;
        } else {
            any_left = true;
            previous_end = end;
        }
    }
    match annotations {
        Some(value) => {
            let start = offset_in(text, value.as_str());
            edits.push((start..start + value.as_str().len(), merged(value, ours)));
        }
        None => {
            let comma = if any_left { "," } else { "" };
            edits.push((object_end - 1..object_end - 1, format!("{comma}\"annotations\":{}", merged(RawJson::NULL, ours))));
        }
    }
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut line = Vec::with_capacity(text.len() + 512);
    let mut at = object_start;
    for (range, replacement) in edits {
        line.extend_from_slice(&text.as_bytes()[at..range.start]);
        line.extend_from_slice(replacement.as_bytes());
        at = range.end;
    }
    line.extend_from_slice(&text.as_bytes()[at..object_end]);
    line
}

/// The object `annotations` with `ours` in it; their keys are in order.
fn merged(annotations: RawJson<'_>, ours: &[(&'static str, Cow<'_, str>)]) -> String {
    let mut members: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    if annotations.kind() == JsonKind::Object {
        let text = annotations.as_str();
        let mut start = 1;
        for (key, value) in annotations.members() {
            let end = offset_in(text, value.as_str()) + value.as_str().len();
            members.push((key, Cow::Borrowed(text[start..end].trim())));
            // Only white space stands between a value and the comma behind it.
            start = text[end..].find(',').map_or(end, |comma| end + comma + 1);
        }
    }
    for (key, value) in ours {
        let member = member_text(key, value);
        // Behind one of the same name, whatever their order: the last holds.
        let behind_same = members.iter().rposition(|(other, _)| &**other == *key).map_or(0, |same| same + 1);
        let place = members.iter().position(|(other, _)| &**other > *key).unwrap_or(members.len()).max(behind_same);
        members.insert(place, (Cow::Borrowed(key), Cow::Owned(member)));
    }
    let mut object = String::from("{");
    for (index, (_, member)) in members.iter().enumerate() {
        object.push_str(if index == 0 { "" } else { "," });
        object.push_str(member);
    }
    object.push('}');
    object
}

/// `"key":"value"`, spelled as kube-apiserver spells it.
fn member_text(key: &str, value: &str) -> String {
    let event = Event { annotations: Some(vec![(Cow::Borrowed(key), Cow::Borrowed(value))]), ..Event::default() };
    let mut object = Vec::new();
    write_annotations(&event, &mut object);
    let object = String::from_utf8_lossy(&object);
    object.trim_start_matches('{').strip_suffix('}').unwrap_or_default().to_owned()
}

/// Where `part`, a piece of `text`, begins in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest::digest(&digest::SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::import::tests::quoted;

    fn provenance() -> Provenance<'static> {
        let mut provenance = Provenance::new(Format::Eks, "x");
        ["stage", "level", "stage"].into_iter().for_each(|field| provenance.inferred(field));
        provenance.missing("user.uid");
        provenance
    }

    fn line_of(text: &str) -> String {
        String::from_utf8(embedded_line(text, None, provenance()).unwrap()).unwrap()
    }

    #[test]
    fn annotations_go_where_their_order_wants_them() {
        let ours = format!(
            r#""decklog.io/inferred":"level,stage","decklog.io/missing":"user.uid","decklog.io/original-sha256":"{}","decklog.io/source":"eks""#,
            sha256_hex(b"x")
        );
        for (before, after) in [
            (r#"{"auditID":"a"}"#, format!(r#"{{"auditID":"a","annotations":{{{ours}}}}}"#)),
            (r#" {"auditID":"a","annotations":{}} "#, format!(r#"{{"auditID":"a","annotations":{{{ours}}}}}"#)),
            (r#"{"auditID":"a","annotations":null,"new":1.0}"#, format!(r#"{{"auditID":"a","annotations":{{{ours}}},"new":1.0}}"#)),
            (
                r#"{"annotations":{"authorization.k8s.io/decision":"allow","pod-security":"x"},"auditID":"a"}"#,
                format!(r#"{{"annotations":{{"authorization.k8s.io/decision":"allow",{ours},"pod-security":"x"}},"auditID":"a"}}"#),
            ),
            (
                r#"{"auditID":"a","requestObject":"skipped-too-big-size-object"}"#,
                format!(r#"{{"auditID":"a","annotations":{{{},"decklog.io/truncated":"provider"}}}}"#, ours.replace("user.uid", "requestObject,user.uid")),
            ),
            (
                r#"{"requestObject":"skipped-too-big-size-object" , "auditID":"a"}"#,
                format!(r#"{{ "auditID":"a","annotations":{{{},"decklog.io/truncated":"provider"}}}}"#, ours.replace("user.uid", "requestObject,user.uid")),
            ),
        ] {
            assert_eq!(line_of(before), after);
        }
    }

    #[test]
    fn annotations_of_ours_in_a_record_do_not_hold() {
        let line = line_of(r#"{"auditID":"a","annotations":{"decklog.io/source":"gke","decklog.io/missing":""}}"#);
        let event = Event::decode(&line).unwrap();
        assert_eq!((event.annotation("decklog.io/source"), event.annotation("decklog.io/missing")), (Some("eks"), Some("user.uid")));
    }

    proptest! {
        #[test]
        fn every_other_annotation_stays(entries: Vec<(String, String)>, space in "[ \n]{0,2}") {
            let members: Vec<String> = entries.iter().map(|(key, value)| format!("{space}{}{space}:{space}{}{space}", quoted(key), quoted(value))).collect();
            let text = format!(r#"{{"auditID":"a",{space}"annotations"{space}:{space}{{{}}}{space}}}"#, members.join(","));
            let line = line_of(&text);
            let (before, after) = (Event::decode(&text).unwrap(), Event::decode(&line).unwrap());
            for (key, _) in &entries {
                if !key.starts_with("decklog.io/") {
                    prop_assert_eq!(before.annotation(key), after.annotation(key));
                }
            }
            prop_assert_eq!(after.annotation("decklog.io/source"), Some("eks"));
        }
    }
}
