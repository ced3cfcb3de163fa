//! From [`Event`] to the very bytes kube-apiserver writes: the log backend's line and the webhook's EventList.
//!
//! Field order and omission are those of `k8s.io/apiserver/pkg/apis/audit/v1` as Go's `encoding/json` writes
//! them, with its HTML escaping; vectors/event-codec.jsonl holds what the real code answers.

use std::borrow::Cow;

use super::bytes::byte_at;
use super::{Event, ListMeta, ObjectReference, Status, StatusDetails, UserInfo};
use crate::json::{RawJson, compact_into};
use crate::time::Timestamp;

/// Why an event cannot be written. None exists today: an [`Event`] holds only valid bodies, where
/// kube-apiserver's fails on a body that is no JSON when it comes to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {}

/// Appends the line kube-apiserver's log backend writes for `event`, newline included.
///
/// Only what it knows is written: unknown members, `null` bodies and the fields of removed versions are dropped.
///
/// # Errors
/// None at present.
pub fn write_log_line(event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write_line_of_parts(event, &JsonParts::default(), out);
    out.push(b'\n');
    Ok(())
}

/// Parts of an event that are kept as the JSON text [`write_log_line`] wrote for them, such as in a table's column.
/// Where one is empty, the event's own field is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonParts<'a> {
    /// `user.extra`.
    pub user_extra: &'a str,
    /// `impersonatedUser.extra`.
    pub impersonated_extra: &'a str,
    /// `responseStatus.details`.
    pub status_details: &'a str,
    /// `annotations`.
    pub annotations: &'a str,
    /// `requestObject`, in any spelling.
    pub request_object: Option<RawJson<'a>>,
    /// `responseObject`, in any spelling.
    pub response_object: Option<RawJson<'a>>,
}

/// What an event without bodies usually takes, in bytes.
const LINE_WITHOUT_BODIES: usize = 1200;

/// Appends what [`write_log_line`] writes, without the newline, for an event some of whose parts are JSON text already.
pub fn write_line_of_parts(event: &Event<'_>, parts: &JsonParts<'_>, out: &mut Vec<u8>) {
    let bodies = [parts.request_object.or(event.request_object), parts.response_object.or(event.response_object)];
    out.reserve(bodies.into_iter().flatten().map(|body| body.as_str().len()).sum::<usize>() + LINE_WITHOUT_BODIES);
    out.extend_from_slice(b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"");
    event_members(event, parts, &mut Members { out, first: false });
    out.push(b'}');
}

/// Appends a user's extra as [`write_log_line`] does; nothing if there is none.
pub fn write_extra(user: &UserInfo<'_>, out: &mut Vec<u8>) {
    let Some(extra) = user.extra.as_deref().filter(|extra| !extra.is_empty()) else { return };
    Members { out, first: true }.braces(|inner| {
        for (key, values) in sorted_last(extra) {
            inner.map_key(key);
            match values {
                Some(values) => write_texts(values, inner.out),
                None => inner.out.extend_from_slice(b"null"),
            }
        }
    });
}

/// Appends a status' details as [`write_log_line`] does.
pub fn write_status_details(details: &StatusDetails<'_>, out: &mut Vec<u8>) {
    Members { out, first: true }.braces(|inner| status_details(details, inner));
}

/// Appends an event's annotations as [`write_log_line`] does; nothing if there are none.
pub fn write_annotations(event: &Event<'_>, out: &mut Vec<u8>) {
    let Some(annotations) = event.annotations.as_deref().filter(|annotations| !annotations.is_empty()) else { return };
    Members { out, first: true }.braces(|inner| {
        for (key, value) in sorted_last(annotations) {
            inner.map_key(key);
            write_text(value, inner.out);
        }
    });
}

/// Appends the body kube-apiserver's webhook backend posts for `events`.
///
/// Items have the `kind` and `apiVersion` that the events carry: kube-apiserver's own carry none, so clear
/// both in events that were decoded from a log.
///
/// # Errors
/// None at present.
pub fn write_event_list<'e, 'a: 'e>(events: impl IntoIterator<Item = &'e Event<'a>>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.extend_from_slice(b"{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{},\"items\":");
    let start = out.len();
    for event in events {
        out.extend_from_slice(if out.len() == start { b"[{" } else { b",{" });
        let mut members = Members { out, first: true };
        members.text("kind", &event.kind);
        members.text("apiVersion", &event.api_version);
        event_members(event, &JsonParts::default(), &mut members);
        out.push(b'}');
    }
    out.extend_from_slice(if out.len() == start { b"null}\n" } else { b"]}\n" });
    Ok(())
}

fn event_members(event: &Event<'_>, parts: &JsonParts<'_>, members: &mut Members<'_>) {
    members.always("level", &event.level);
    members.always("auditID", &event.audit_id);
    members.always("stage", &event.stage);
    members.always("requestURI", &event.request_uri);
    members.always("verb", &event.verb);
    members.object("user", |inner| user(&event.user, parts.user_extra, inner));
    if let Some(impersonated) = &event.impersonated_user {
        members.object("impersonatedUser", |inner| user(impersonated, parts.impersonated_extra, inner));
    }
    if let Some(metadata) = &event.authentication_metadata {
        members.object("authenticationMetadata", |inner| inner.text("impersonationConstraint", &metadata.impersonation_constraint));
    }
    members.texts("sourceIPs", &event.source_ips);
    members.text("userAgent", &event.user_agent);
    if let Some(object) = &event.object_ref {
        members.object("objectRef", |inner| object_reference(object, inner));
    }
    if let Some(answer) = &event.response_status {
        members.object("responseStatus", |inner| status(answer, parts.status_details, inner));
    }
    members.raw("requestObject", parts.request_object.or(event.request_object));
    members.raw("responseObject", parts.response_object.or(event.response_object));
    members.time("requestReceivedTimestamp", event.request_received_timestamp);
    members.time("stageTimestamp", event.stage_timestamp);
    members.part("annotations", parts.annotations, |out| write_annotations(event, out));
}

fn user(user: &UserInfo<'_>, extra: &str, members: &mut Members<'_>) {
    members.text("username", &user.username);
    members.text("uid", &user.uid);
    members.texts("groups", &user.groups);
    members.part("extra", extra, |out| write_extra(user, out));
}

fn object_reference(object: &ObjectReference<'_>, members: &mut Members<'_>) {
    members.text("resource", &object.resource);
    members.text("namespace", &object.namespace);
    members.text("name", &object.name);
    members.text("uid", &object.uid);
    members.text("apiGroup", &object.api_group);
    members.text("apiVersion", &object.api_version);
    members.text("resourceVersion", &object.resource_version);
    members.text("subresource", &object.subresource);
}

fn status(status: &Status<'_>, details: &str, members: &mut Members<'_>) {
    members.text("kind", &status.kind);
    members.text("apiVersion", &status.api_version);
    members.object("metadata", |inner| list_meta(&status.metadata, inner));
    members.text("status", &status.status);
    members.text("message", &status.message);
    members.text("reason", &status.reason);
    members.part("details", details, |out| {
        if let Some(details) = &status.details {
            write_status_details(details, out);
        }
    });
    members.whole("code", status.code.filter(|code| *code != 0));
}

fn list_meta(metadata: &ListMeta<'_>, members: &mut Members<'_>) {
    members.text("selfLink", &metadata.self_link);
    members.text("resourceVersion", &metadata.resource_version);
    members.text("continue", &metadata.continue_token);
    members.whole("remainingItemCount", metadata.remaining_item_count);
}

fn status_details(details: &StatusDetails<'_>, members: &mut Members<'_>) {
    members.text("name", &details.name);
    members.text("group", &details.group);
    members.text("kind", &details.kind);
    members.text("uid", &details.uid);
    if let Some(causes) = details.causes.as_deref().filter(|causes| !causes.is_empty()) {
        members.key("causes");
        for (index, cause) in causes.iter().enumerate() {
            members.out.push(if index == 0 { b'[' } else { b',' });
            members.braces(|inner| {
                inner.text("reason", &cause.reason);
                inner.text("message", &cause.message);
                inner.text("field", &cause.field);
            });
        }
        members.out.push(b']');
    }
    members.whole("retryAfterSeconds", details.retry_after_seconds.filter(|seconds| *seconds != 0));
}

/// A Go map as it is written: keys in byte order, of repeated keys the last.
fn sorted_last<'m, 'a, V>(entries: &'m [(Cow<'a, str>, V)]) -> Vec<&'m (Cow<'a, str>, V)> {
    let mut sorted: Vec<_> = entries.iter().collect();
    if entries.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return sorted;
    }
    sorted.sort_by(|left, right| left.0.cmp(&right.0));
    let mut kept: Vec<&(Cow<'a, str>, V)> = Vec::with_capacity(sorted.len());
    for entry in sorted {
        match kept.last_mut() {
            Some(last) if last.0 == entry.0 => *last = entry,
            _ => kept.push(entry),
        }
    }
    kept
}

/// The members of one object being written.
struct Members<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl Members<'_> {
    /// The name of a member of ours: nothing in it is escaped.
    #[inline]
    fn key(&mut self, name: &'static str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// The key of a map, which may be any text.
    fn map_key(&mut self, key: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_text(key, self.out);
        self.out.push(b':');
    }

    fn always(&mut self, name: &'static str, value: &Option<Cow<'_, str>>) {
        self.key(name);
        write_text(value.as_deref().unwrap_or_default(), self.out);
    }

    /// Left out when missing or empty (`omitempty`).
    fn text(&mut self, name: &'static str, value: &Option<Cow<'_, str>>) {
        if let Some(text) = value.as_deref().filter(|text| !text.is_empty()) {
            self.key(name);
            write_text(text, self.out);
        }
    }

    fn texts(&mut self, name: &'static str, values: &Option<Vec<Cow<'_, str>>>) {
        if let Some(values) = values.as_deref().filter(|values| !values.is_empty()) {
            self.key(name);
            write_texts(values, self.out);
        }
    }

    fn whole(&mut self, name: &'static str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.key(name);
            self.out.extend_from_slice(value.to_string().as_bytes());
        }
    }

    fn raw(&mut self, name: &'static str, value: Option<RawJson<'_>>) {
        if let Some(value) = value {
            self.key(name);
            write_raw(value, self.out);
        }
    }

    fn time(&mut self, name: &'static str, value: Option<Timestamp>) {
        self.key(name);
        match value.filter(|time| !time.is_zero_in_go()) {
            Some(time) => {
                self.out.push(b'"');
                self.out.extend_from_slice(time.micro_text().as_str().as_bytes());
                self.out.push(b'"');
            }
            None => self.out.extend_from_slice(b"null"),
        }
    }

    /// A value that `text` holds as JSON or `write` writes; left out if neither gives anything.
    fn part(&mut self, name: &'static str, text: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let (start, was_first) = (self.out.len(), self.first);
        self.key(name);
        let value_start = self.out.len();
        if text.is_empty() {
            write(self.out)
        } else {
            self.out.extend_from_slice(text.as_bytes())
        }
        if self.out.len() == value_start {
            self.out.truncate(start);
            self.first = was_first;
        }
    }

    fn object(&mut self, name: &'static str, write: impl FnOnce(&mut Members<'_>)) {
        self.key(name);
        self.braces(write);
    }

    fn braces(&mut self, write: impl FnOnce(&mut Members<'_>)) {
        self.out.push(b'{');
        write(&mut Members { out: self.out, first: true });
        self.out.push(b'}');
    }
}

fn write_texts(values: &[Cow<'_, str>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(value, out);
    }
    out.push(b']');
}

/// Bytes that are, or may begin, what is escaped in a string.
const MAY_BE_ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    let rest = *b"\"\\<>&\xe2\xf4";
    let mut index = 0;
    while index < rest.len() {
        table[rest[index] as usize] = true;
        index += 1;
    }
    table
};

/// A string as Go's `encoding/json` writes it: `<`, `>`, `&`, U+2028 and U+2029 escaped too.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let (mut start, mut from) = (0, 0);
    while let Some(found) = bytes[from..].iter().position(|byte| MAY_BE_ESCAPED[usize::from(*byte)]) {
        let at = from + found;
        from = at + 1;
        let byte = &bytes[at];
        let (escape, length): (&[u8], usize) = match byte {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            0x08 => (b"\\b", 1),
            0x0c => (b"\\f", 1),
            0..=0x1f | b'<' | b'>' | b'&' => (b"", 1),
            0xe2 if bytes[at..].starts_with(b"\xe2\x80\xa8") => (b"\\u2028", 3),
            0xe2 if bytes[at..].starts_with(b"\xe2\x80\xa9") => (b"\\u2029", 3),
            0xf4 if byte_at(&bytes[at..]).is_some() => (b"\\ufffd", 4),
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        if escape.is_empty() {
            write_unicode_escape(*byte, out);
        } else {
            out.extend_from_slice(escape);
        }
        start = at + length;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

fn write_unicode_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u00");
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

/// A raw body as `json.Compact` with HTML escaping leaves it: spellings and key order stay.
fn write_raw(raw: RawJson<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    compact_into(raw.as_str(), out);
    let special = |bytes: &[u8]| {
        let ascii = memchr::memchr3(b'<', b'>', b'&', bytes);
        let before = &bytes[..ascii.unwrap_or(bytes.len())];
        let wide = memchr::memchr2_iter(0xe2, 0xf4, before).find(|at| match bytes[*at] {
            0xe2 => bytes[*at..].starts_with(b"\xe2\x80\xa8") || bytes[*at..].starts_with(b"\xe2\x80\xa9"),
            _ => byte_at(&bytes[*at..]).is_some(),
        });
        wide.or(ascii)
    };
    // These characters can only stand inside strings, so one pass over the text is enough.
    let Some(mut at) = special(&out[start..]) else { return };
    let rest = out.split_off(start);
    let mut rest = rest.as_slice();
    loop {
        out.extend_from_slice(&rest[..at]);
        let length = if rest[at] == 0xe2 {
            out.extend_from_slice(if rest[at + 2] == 0xa8 { b"\\u2028" } else { b"\\u2029" });
            3
        } else if let Some(byte) = byte_at(&rest[at..]) {
            // `json.Compact` does not look at what is UTF-8.
            out.push(byte);
            4
        } else {
            write_unicode_escape(rest[at], out);
            1
        };
        rest = &rest[at + length..];
        match special(rest) {
            Some(next) => at = next,
            None => break out.extend_from_slice(rest),
        }
    }
}
