//! From text to [`Event`], in one pass and by hand: unknown members are kept, repeated ones merge as in
//! Go's decoder, bodies are stepped over.
//!
//! Accepts what `k8s.io/apiserver`'s audit codec accepts (`k8s.io/apimachinery/pkg/runtime/serializer/json`:
//! case-sensitive names, unknown fields ignored, `null` leaves a field as it was), with one difference: a
//! time that cannot be read makes the codec refuse the event, while here it is noted in
//! [`Event::unreadable_times`], since a recorder must not drop an event for its clock.

use std::borrow::Cow;

use super::bytes::{readable, text_from_bytes};
use super::{AuthenticationMetadata, Event, Extra, ListMeta, ObjectReference, Status, StatusCause, StatusDetails, UserInfo};
use crate::json::{JsonError, JsonErrorKind, RawJson, Scanner, StringSpan, unescape};
use crate::time::Timestamp;

/// Why no event can be read from a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{kind} at byte {at}", field.as_ref().map(|field| format!("field `{field}`: ")).unwrap_or_default())]
pub struct DecodeError {
    /// The byte offset.
    pub at: usize,
    /// The member it is in, where known.
    pub field: Option<String>,
    /// What is wrong.
    pub kind: DecodeErrorKind,
}

/// What is wrong with a text as an audit event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// Not even JSON.
    #[error("{0}")]
    Json(JsonErrorKind),
    /// A value of another JSON type than the field has.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A number that does not fit the field.
    #[error("`{0}` is not a whole number of 32 bits")]
    NumberRange(String),
    /// `kind` names something else.
    #[error("kind `{0}` is not an audit Event")]
    OtherKind(String),
    /// `apiVersion` names no version of audit.k8s.io that ever was.
    #[error("apiVersion `{0}` is not audit.k8s.io/v1, v1beta1 or v1alpha1")]
    OtherVersion(String),
    /// None of the members every audit event has is there.
    #[error("not an audit event: it has neither auditID nor stage")]
    NoEvent,
}

impl From<JsonError> for DecodeError {
    fn from(error: JsonError) -> Self {
        Self { at: error.at, field: None, kind: DecodeErrorKind::Json(error.kind) }
    }
}

/// An event, and what was seen while reading it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// The event.
    pub event: Event<'a>,
    /// Whether white space stands outside strings: then the text is not yet the stored line.
    pub spaced: bool,
    /// Whether strings hold escapes for what could be written plainly, so that a look at the text alone may
    /// miss words in them.
    pub oddly_escaped: bool,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Event<'a> {
    /// Reads one event of `audit.k8s.io` v1, v1beta1 or v1alpha1; `kind` and `apiVersion` may be missing.
    ///
    /// # Errors
    /// Malformed JSON, a value of the wrong type, another kind or API group.
    pub fn decode(text: &'a str) -> Result<Event<'a>> {
        Ok(Self::decode_noting(text)?.event)
    }

    /// [`Event::decode`], telling also whether the text holds white space outside strings.
    ///
    /// # Errors
    /// As [`Event::decode`].
    pub fn decode_noting(text: &'a str) -> Result<Decoded<'a>> {
        Self::decode_item(text, "")
    }

    /// [`Event::decode_noting`] for an item of an EventList, which has the list's `apiVersion` where it
    /// names none itself.
    ///
    /// # Errors
    /// As [`Event::decode`].
    pub fn decode_item(text: &'a str, list_version: &'a str) -> Result<Decoded<'a>> {
        Decoder { text, scanner: Scanner::new(text.as_bytes()), encoding: Encoding::Utf8 }.whole(list_version)
    }

    /// Reads bytes that may hold invalid UTF-8, as Go does: in a string such a byte becomes U+FFFD, in a body
    /// it stays (`scratch` holds the text that stands for the bytes, see [`text_from_bytes`]).
    ///
    /// # Errors
    /// As [`Event::decode`].
    pub fn decode_lossy(bytes: &[u8], scratch: &'a mut String) -> Result<Event<'a>> {
        *scratch = text_from_bytes(bytes).into_owned();
        let text = scratch.as_str();
        Ok(Decoder { text, scanner: Scanner::new(text.as_bytes()), encoding: Encoding::Bytes }.whole("")?.event)
    }
}

impl<'a> Status<'a> {
    /// Reads a `metav1.Status`; nothing where a member has another type than it has there.
    pub fn decode(object: RawJson<'a>) -> Option<Self> {
        let text = object.as_str();
        let mut status = Self::default();
        Decoder { text, scanner: Scanner::new(text.as_bytes()), encoding: Encoding::Utf8 }.status(&mut status).ok()?;
        Some(status)
    }
}

fn check_kind(kind: Option<&str>, version: &str) -> Result<()> {
    let refuse = |kind| Err(DecodeError { at: 0, field: None, kind });
    match (kind, version) {
        (Some(other), _) if !matches!(other, "" | "Event") => refuse(DecodeErrorKind::OtherKind(other.to_owned())),
        (_, "" | "audit.k8s.io/v1" | "audit.k8s.io/v1beta1" | "audit.k8s.io/v1alpha1") => Ok(()),
        (_, other) => refuse(DecodeErrorKind::OtherVersion(other.to_owned())),
    }
}

/// How an objectRef names them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GroupVersion {
    Apart,
    InOneField,
}

/// v1alpha1 and v1beta1 had `timestamp` and `metadata.creationTimestamp` at second precision, used where the
/// micro times are missing; v1alpha1 had group and version in one field (`pkg/apis/audit/v1alpha1/conversion.go`).
fn from_removed_version(event: &mut Event<'_>, group_version: GroupVersion) {
    let unknown = |name: &str| event.unknown.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value);
    let read = |value: Option<RawJson<'_>>| Timestamp::parse_rfc3339(value?.as_string()?.as_ref());
    let received = read(unknown("timestamp"));
    let created = read(unknown("metadata").and_then(|metadata| metadata.member("creationTimestamp")));
    event.request_received_timestamp = event.request_received_timestamp.or(received);
    event.stage_timestamp = event.stage_timestamp.or(created);
    if group_version == GroupVersion::Apart {
        return;
    }
    if let Some(object) = &mut event.object_ref
        && let Some(group_version) = object.api_version.take()
    {
        match group_version.rsplit_once('/') {
            Some((group, version)) => {
                object.api_group = Some(Cow::Owned(group.to_owned()));
                object.api_version = Some(Cow::Owned(version.to_owned()));
            }
            None => object.api_version = Some(group_version),
        }
    }
}

struct Decoder<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    encoding: Encoding,
}

/// Whether the text is the one that came or stands for bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Bytes,
}

/// Some editors put it in front of a file; kube-apiserver's codec takes it too.
const BYTE_ORDER_MARK: &str = "\u{feff}";

impl<'a> Decoder<'a> {
    fn whole(mut self, list_version: &str) -> Result<Decoded<'a>> {
        if self.text.starts_with(BYTE_ORDER_MARK) {
            self.scanner.at = BYTE_ORDER_MARK.len();
        }
        let mut event = Event::default();
        self.event(&mut event)?;
        self.scanner.expect_end()?;
        let own_version = event.api_version.as_deref().filter(|version| !version.is_empty());
        check_kind(event.kind.as_deref(), own_version.unwrap_or(list_version))?;
        match own_version.unwrap_or(list_version) {
            "audit.k8s.io/v1alpha1" => from_removed_version(&mut event, GroupVersion::InOneField),
            "audit.k8s.io/v1beta1" => from_removed_version(&mut event, GroupVersion::Apart),
            _ => {}
        }
        Ok(Decoded { event, spaced: self.scanner.spaced, oddly_escaped: self.scanner.oddly_escaped })
    }

    fn event(&mut self, event: &mut Event<'a>) -> Result<()> {
        self.members(|decoder, key| {
            match key.as_ref() {
                "kind" => decoder.text_into(&mut event.kind),
                "apiVersion" => decoder.text_into(&mut event.api_version),
                "level" => decoder.text_into(&mut event.level),
                "auditID" => decoder.text_into(&mut event.audit_id),
                "stage" => decoder.text_into(&mut event.stage),
                "requestURI" => decoder.text_into(&mut event.request_uri),
                "verb" => decoder.text_into(&mut event.verb),
                "user" => decoder.unless_null(|decoder| decoder.user(&mut event.user)),
                "impersonatedUser" => decoder.optional(&mut event.impersonated_user, Self::user),
                "authenticationMetadata" => decoder.optional(&mut event.authentication_metadata, Self::authentication_metadata),
                "sourceIPs" => decoder.texts_into(&mut event.source_ips),
                "userAgent" => decoder.text_into(&mut event.user_agent),
                "objectRef" => decoder.optional(&mut event.object_ref, Self::object_reference),
                "responseStatus" => decoder.optional(&mut event.response_status, Self::status),
                "requestObject" => decoder.raw_into(&mut event.request_object),
                "responseObject" => decoder.raw_into(&mut event.response_object),
                "requestReceivedTimestamp" => decoder.time_into("requestReceivedTimestamp", &mut event.request_received_timestamp, &mut event.unreadable_times),
                "stageTimestamp" => decoder.time_into("stageTimestamp", &mut event.stage_timestamp, &mut event.unreadable_times),
                "annotations" => decoder.annotations_into(&mut event.annotations),
                _ => {
                    let value = decoder.raw()?;
                    event.unknown.push((key, value));
                    return Ok(());
                }
            }
            .map_err(|error| error.inside(&key))
        })
    }

    fn user(&mut self, user: &mut UserInfo<'a>) -> Result<()> {
        self.members(|decoder, key| match key.as_ref() {
            "username" => decoder.text_into(&mut user.username),
            "uid" => decoder.text_into(&mut user.uid),
            "groups" => decoder.texts_into(&mut user.groups),
            "extra" => decoder.extra_into(&mut user.extra),
            _ => decoder.skip(),
        })
    }

    fn authentication_metadata(&mut self, metadata: &mut AuthenticationMetadata<'a>) -> Result<()> {
        self.members(|decoder, key| match key.as_ref() {
            "impersonationConstraint" => decoder.text_into(&mut metadata.impersonation_constraint),
            _ => decoder.skip(),
        })
    }

    fn object_reference(&mut self, object: &mut ObjectReference<'a>) -> Result<()> {
        self.members(|decoder, key| match key.as_ref() {
            "resource" => decoder.text_into(&mut object.resource),
            "namespace" => decoder.text_into(&mut object.namespace),
            "name" => decoder.text_into(&mut object.name),
            "uid" => decoder.text_into(&mut object.uid),
            "apiGroup" => decoder.text_into(&mut object.api_group),
            "apiVersion" => decoder.text_into(&mut object.api_version),
            "resourceVersion" => decoder.text_into(&mut object.resource_version),
            "subresource" => decoder.text_into(&mut object.subresource),
            _ => decoder.skip(),
        })
    }

    fn status(&mut self, status: &mut Status<'a>) -> Result<()> {
        self.members(|decoder, key| match key.as_ref() {
            "kind" => decoder.text_into(&mut status.kind),
            "apiVersion" => decoder.text_into(&mut status.api_version),
            "metadata" => decoder.unless_null(|decoder| decoder.list_meta(&mut status.metadata)),
            "status" => decoder.text_into(&mut status.status),
            "message" => decoder.text_into(&mut status.message),
            "reason" => decoder.text_into(&mut status.reason),
            "details" => decoder.optional(&mut status.details, Self::status_details),
            "code" => decoder.whole_into(&mut status.code),
            _ => decoder.skip(),
        })
    }

    fn list_meta(&mut self, metadata: &mut ListMeta<'a>) -> Result<()> {
        self.members(|decoder, key| match key.as_ref() {
            "selfLink" => decoder.text_into(&mut metadata.self_link),
            "resourceVersion" => decoder.text_into(&mut metadata.resource_version),
            "continue" => decoder.text_into(&mut metadata.continue_token),
            "remainingItemCount" if decoder.scanner.null()? => {
                metadata.remaining_item_count = None;
                Ok(())
            }
            "remainingItemCount" => decoder.whole_into(&mut metadata.remaining_item_count),
            _ => decoder.skip(),
        })
    }

    fn status_details(&mut self, details: &mut StatusDetails<'a>) -> Result<()> {
        self.members(|decoder, key| match key.as_ref() {
            "name" => decoder.text_into(&mut details.name),
            "group" => decoder.text_into(&mut details.group),
            "kind" => decoder.text_into(&mut details.kind),
            "uid" => decoder.text_into(&mut details.uid),
            "causes" if decoder.scanner.null()? => {
                details.causes = None;
                Ok(())
            }
            "causes" => {
                let mut causes = Vec::new();
                decoder.elements(|decoder| {
                    let mut cause = StatusCause::default();
                    decoder.unless_null(|decoder| decoder.status_cause(&mut cause))?;
                    causes.push(cause);
                    Ok(())
                })?;
                details.causes = Some(causes);
                Ok(())
            }
            "retryAfterSeconds" => decoder.whole_into(&mut details.retry_after_seconds),
            _ => decoder.skip(),
        })
    }

    fn status_cause(&mut self, cause: &mut StatusCause<'a>) -> Result<()> {
        self.members(|decoder, key| match key.as_ref() {
            "reason" => decoder.text_into(&mut cause.reason),
            "message" => decoder.text_into(&mut cause.message),
            "field" => decoder.text_into(&mut cause.field),
            _ => decoder.skip(),
        })
    }

    fn extra_into(&mut self, extra: &mut Option<Vec<Extra<'a>>>) -> Result<()> {
        if self.scanner.null()? {
            *extra = None;
            return Ok(());
        }
        let entries = extra.get_or_insert_default();
        self.members(|decoder, key| {
            let mut values = None;
            decoder.texts_into(&mut values)?;
            entries.push((key, values));
            Ok(())
        })
    }

    fn annotations_into(&mut self, annotations: &mut Option<Vec<(Cow<'a, str>, Cow<'a, str>)>>) -> Result<()> {
        if self.scanner.null()? {
            *annotations = None;
            return Ok(());
        }
        let entries = annotations.get_or_insert_with(|| Vec::with_capacity(2));
        self.members(|decoder, key| {
            let mut value = None;
            decoder.text_into(&mut value)?;
            entries.push((key, value.unwrap_or_default()));
            Ok(())
        })
    }

    /// `null` leaves text as it was.
    #[inline]
    fn text_into(&mut self, field: &mut Option<Cow<'a, str>>) -> Result<()> {
        if self.scanner.peek()? == b'"' {
            *field = Some(self.string()?);
            return Ok(());
        }
        self.null_or("a string")
    }

    fn texts_into(&mut self, field: &mut Option<Vec<Cow<'a, str>>>) -> Result<()> {
        if self.scanner.null()? {
            *field = None;
            return Ok(());
        }
        let mut texts = Vec::new();
        self.elements(|decoder| {
            let mut text = None;
            decoder.text_into(&mut text)?;
            texts.push(text.unwrap_or_default());
            Ok(())
        })?;
        *field = Some(texts);
        Ok(())
    }

    /// A whole number without fraction or exponent, as Go takes it for an int32 or int64.
    fn whole_into<N: std::str::FromStr>(&mut self, field: &mut Option<N>) -> Result<()> {
        let byte = self.scanner.peek()?;
        if byte != b'-' && !byte.is_ascii_digit() {
            return self.null_or("a whole number");
        }
        let start = self.scanner.at;
        self.scanner.number()?;
        let text = &self.text[start..self.scanner.at];
        let value = text.parse().map_err(|_| self.refuse(start, DecodeErrorKind::NumberRange(text.to_owned())))?;
        *field = Some(value);
        Ok(())
    }

    fn time_into(&mut self, name: &'static str, field: &mut Option<Timestamp>, unreadable: &mut Vec<&'static str>) -> Result<()> {
        if self.scanner.null()? {
            *field = None;
            return Ok(());
        }
        *field = if self.scanner.peek()? == b'"' {
            Timestamp::parse_micro(&self.string()?)
        } else {
            self.skip()?;
            None
        };
        if field.is_none() {
            unreadable.push(name);
        }
        Ok(())
    }

    fn raw_into(&mut self, field: &mut Option<RawJson<'a>>) -> Result<()> {
        let raw = self.raw()?;
        *field = (raw != RawJson::NULL).then_some(raw);
        Ok(())
    }

    #[inline]
    fn raw(&mut self) -> Result<RawJson<'a>> {
        let start = self.scanner.skip_value()?;
        Ok(RawJson::scanned(&self.text[start..self.scanner.at]))
    }

    fn skip(&mut self) -> Result<()> {
        self.scanner.skip_value()?;
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<Cow<'a, str>> {
        let span = self.scanner.string()?;
        Ok(self.plain(span))
    }

    #[inline]
    fn plain(&self, span: StringSpan) -> Cow<'a, str> {
        let text = unescape(&self.text[span.start..span.end], span.escaped);
        if self.encoding == Encoding::Bytes { readable(text) } else { text }
    }

    fn optional<T: Default>(&mut self, field: &mut Option<T>, read: impl FnOnce(&mut Self, &mut T) -> Result<()>) -> Result<()> {
        if self.scanner.null()? {
            *field = None;
            return Ok(());
        }
        read(self, field.get_or_insert_default())
    }

    fn unless_null(&mut self, read: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.scanner.null()? { Ok(()) } else { read(self) }
    }

    fn null_or(&mut self, expected: &'static str) -> Result<()> {
        if self.scanner.null()? { Ok(()) } else { Err(self.refuse(self.scanner.at, DecodeErrorKind::Expected(expected))) }
    }

    #[inline]
    fn members(&mut self, mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<()>) -> Result<()> {
        self.open(b'{', "an object")?;
        let mut first = true;
        while self.scanner.more(first, b'}')? {
            first = false;
            let span = self.scanner.key()?;
            let key = self.plain(span);
            member(self, key)?;
        }
        Ok(())
    }

    #[inline]
    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.open(b'[', "a list")?;
        let mut first = true;
        while self.scanner.more(first, b']')? {
            first = false;
            element(self)?;
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8, expected: &'static str) -> Result<()> {
        match self.scanner.peek()? {
            byte if byte == bracket => {
                self.scanner.at += 1;
                Ok(())
            }
            b'{' | b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9' => Err(self.refuse(self.scanner.at, DecodeErrorKind::Expected(expected))),
            byte => Err(self.scanner.error(JsonErrorKind::Unexpected(byte)).into()),
        }
    }

    fn refuse(&self, at: usize, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { at, field: None, kind }
    }
}

impl DecodeError {
    fn inside(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.chars().take(64).collect());
        self
    }
}
