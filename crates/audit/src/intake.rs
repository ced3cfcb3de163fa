//! What happens to every event between capture and journal: one line, redact, identify.
//!
//! ```text
//! bytes that came ─► one line (white space out, kind and apiVersion first) ─► redact ─► id ─► Batch
//! ```
//!
//! Architecture decisions 1 to 3 and 6. Everything that captures events calls [`Intake::push`]. An event's
//! day, which may differ from the day of its time, is the table's affair.

use std::sync::Arc;

use aws_lc_rs::digest;

use crate::event::{DecodeError, DecodeErrorKind, Decoded, Event};
use crate::journal::{Batch, EventId, RecordFlags, RecordHead, RecordKind};
use crate::json::{JsonErrorKind, compact_into};
use crate::redact::{self, Redactor};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// The version in force where a list names none.
const V1: &str = "audit.k8s.io/v1";

/// How events of one source are taken in.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Hides credentials; `None` is `redact.mode: off`.
    pub redactor: Option<Arc<Redactor>>,
    /// The longest event taken, in bytes: as it came, and as the line made of it.
    pub max_event_bytes: usize,
}

/// Why an event was not taken. It belongs in the quarantine, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No audit event can be read from it.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// Longer than `--max-event-size`.
    #[error("event of {size} bytes, the limit is {limit} (--max-event-size)")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

/// How an event stood where it came from.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// Alone, such as a line of an audit log.
    Line,
    /// An item of an EventList, whose `apiVersion` is given: `kind` and `apiVersion` are put first.
    ListItem(&'a str),
}

impl Intake {
    /// Takes one event into `batch`: makes one line of `bytes` (a JSON value, white space allowed anywhere),
    /// redacts and identifies it, and finds its time.
    ///
    /// # Errors
    /// Why it is no event; the batch is as before.
    pub fn push(&self, bytes: &[u8], form: Form<'_>, batch: &mut Batch) -> Result<(), Refusal> {
        let bytes = trim(bytes);
        self.check_size(bytes.len())?;
        let text = std::str::from_utf8(bytes).map_err(|error| refuse(error.valid_up_to(), DecodeErrorKind::Json(JsonErrorKind::BadUtf8)))?;
        let decoded = match form {
            Form::Line => Event::decode_noting(text)?,
            Form::ListItem(version) => Event::decode_item(text, version)?,
        };
        let event = &decoded.event;
        if event.audit_id.is_none() && event.stage.is_none() {
            return Err(refuse(0, DecodeErrorKind::NoEvent).into());
        }
        let cluster = Arc::clone(&batch.origin.cluster);
        let (time, time_flag) = time_of(event, batch.ingested_at);
        batch.push_with(|out| {
            let start = out.len();
            let line_size = text.len() + prefix_size(event, form);
            out.reserve(line_size);
            write_line(text, &decoded, form, out);
            self.check_size(out.len() - start)?;
            let (redacted, former_id) = self.redact(&decoded, &cluster, start, out);
            let flags = if redacted { time_flag.union(RecordFlags::REDACTED) } else { time_flag };
            let id = Some(id_of(&cluster, &out[start..]));
            Ok(RecordHead { kind: RecordKind::Event, flags, end: 0, id, time, former_id })
        })
    }

    fn check_size(&self, size: usize) -> Result<(), Refusal> {
        if size > self.max_event_bytes { Err(Refusal::TooLarge { size, limit: self.max_event_bytes }) } else { Ok(()) }
    }

    /// Redacts the line that begins at `start` of `out`, in place; tells whether anything was hidden, and the id
    /// the event had under the former key.
    fn redact(&self, decoded: &Decoded<'_>, cluster: &str, start: usize, out: &mut Vec<u8>) -> (bool, Option<EventId>) {
        let Some(redactor) = &self.redactor else { return (false, None) };
        let Ok(line) = std::str::from_utf8(&out[start..]) else { return (false, None) };
        if !redact::may_hold_secrets(decoded, line) {
            return (false, None);
        }
        let line = line.to_owned();
        let findings = redactor.find(&line);
        if findings.is_empty() {
            return (false, None);
        }
        out.truncate(start);
        redactor.write(&line, &findings, out);
        let former = redactor.write_former(&line, &findings);
        (true, former.map(|former_line| id_of(cluster, &former_line)))
    }
}

/// The first 16 bytes of SHA-256(cluster ‖ 0 ‖ line).
pub fn id_of(cluster: &str, line: &[u8]) -> EventId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(cluster.as_bytes());
    hash.update(&[0]);
    hash.update(line);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finish().as_ref()[..16]);
    EventId(id)
}

/// The moment of its stage, else when the request came in, else when the event did; in whole microseconds, as the table
/// keeps times.
fn time_of(event: &Event<'_>, ingested_at: Timestamp) -> (Timestamp, RecordFlags) {
    match event.stage_timestamp {
        Some(time) => (time.to_micros(), RecordFlags::default()),
        None => (event.request_received_timestamp.unwrap_or(ingested_at).to_micros(), RecordFlags::TIME_INFERRED),
    }
}

/// The stored line: `text` without white space between its tokens, and for a list's item the members it
/// lacks in front, spelled and ordered as kube-apiserver's log has them.
fn write_line(text: &str, decoded: &Decoded<'_>, form: Form<'_>, out: &mut Vec<u8>) {
    let mut rest = text;
    if prefix_size(&decoded.event, form) > 0 {
        out.push(b'{');
        for (name, value) in missing(&decoded.event, form).into_iter().flatten() {
            out.extend_from_slice(b"\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\",");
        }
        // Behind the brace: an event has at least one member, so the comma stands between two.
        rest = &text[1..];
    }
    if decoded.spaced {
        compact_into(rest, out);
    } else {
        out.extend_from_slice(rest.as_bytes());
    }
}

/// What an item lacks of `kind` and `apiVersion`; the version that was checked in decoding is one of three
/// plain words.
fn missing<'f>(event: &Event<'_>, form: Form<'f>) -> [Option<(&'static str, &'f str)>; 2] {
    let Form::ListItem(version) = form else { return [None, None] };
    let version = if version.is_empty() { V1 } else { version };
    [event.kind.is_none().then_some(("kind", "Event")), event.api_version.is_none().then_some(("apiVersion", version))]
}

fn prefix_size(event: &Event<'_>, form: Form<'_>) -> usize {
    missing(event, form).into_iter().flatten().map(|(name, value)| name.len() + value.len() + 6).sum()
}

/// Without the white space that JSON allows around a value, and without a byte order mark in front.
fn trim(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let no_space = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let start = bytes.iter().position(no_space).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(no_space).map_or(start, |last| last + 1);
    &bytes[start..end]
}

fn refuse(at: usize, kind: DecodeErrorKind) -> DecodeError {
    DecodeError { at, field: None, kind }
}

impl Refusal {
    /// The value of the metric label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
