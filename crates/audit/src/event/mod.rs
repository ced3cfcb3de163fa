//! One audit event: what kube-apiserver says of one stage of one request.
//!
//! An [`Event`] borrows from the line it was decoded from; the line itself is what decklog keeps
//! (architecture decision 1: an event is its bytes). Two ways lead out and are never mixed: the *stored
//! line*, which is the bytes that came, and [`write_log_line`], which writes kube-apiserver's own spelling
//! and like it drops what it does not know.
//!
//! Field names, order and omission rules: `k8s.io/apiserver/pkg/apis/audit/v1/types.go` (v0.36.3).

mod bytes;
pub(crate) mod cut;
mod decode;
mod derived;
mod encode;
mod legacy;

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use bytes::{readable_text, text_from_bytes};
pub use cut::without_managed_fields;
pub use decode::{DecodeError, DecodeErrorKind, Decoded};
pub use derived::{LATENCY_ANNOTATION, Outcome, UserType, VerbClass};
pub use encode::{EncodeError, JsonParts, write_annotations, write_event_list, write_extra, write_line_of_parts, write_log_line, write_status_details};
pub use legacy::{go_quoted, write_legacy_line, write_legacy_line_at};

use crate::json::RawJson;
use crate::time::Timestamp;

/// One event, decoded. `None` is "not in the event"; text that is there but empty is `Some("")`.
///
/// Unknown level, stage and verb words are kept as they are. Bodies stay raw JSON until looked into.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event<'a> {
    /// `kind` as sent; items of an EventList have none.
    pub kind: Option<Cow<'a, str>>,
    /// `apiVersion` as sent: v1, or the removed v1beta1 and v1alpha1.
    pub api_version: Option<Cow<'a, str>>,
    /// The level it was recorded at: `Metadata`, `Request`, `RequestResponse`.
    pub level: Option<Cow<'a, str>>,
    /// One per request, shared by its stages; the client may have chosen it.
    pub audit_id: Option<Cow<'a, str>>,
    /// `RequestReceived`, `ResponseStarted`, `ResponseComplete` or `Panic`.
    pub stage: Option<Cow<'a, str>>,
    /// Path and query as the client sent them.
    pub request_uri: Option<Cow<'a, str>>,
    /// The Kubernetes verb, or the lower-case HTTP method for non-resource requests; may be empty.
    pub verb: Option<Cow<'a, str>>,
    /// Who authenticated; all of it missing on a 401.
    pub user: UserInfo<'a>,
    /// Whom the user acts as, once that was allowed.
    pub impersonated_user: Option<UserInfo<'a>>,
    /// Since 1.35: how the impersonation was allowed.
    pub authentication_metadata: Option<AuthenticationMetadata<'a>>,
    /// Forwarded-for entries, then the peer: all but the last are the client's to forge.
    pub source_ips: Option<Vec<Cow<'a, str>>>,
    /// The client's own description of itself, cut by kube-apiserver at 1024 bytes.
    pub user_agent: Option<Cow<'a, str>>,
    /// The object a resource request is about.
    pub object_ref: Option<ObjectReference<'a>>,
    /// The answer's code, reason and message; missing on RequestReceived.
    pub response_status: Option<Status<'a>>,
    /// The request's body, at level Request and above.
    pub request_object: Option<RawJson<'a>>,
    /// The answer's body, at level RequestResponse.
    pub response_object: Option<RawJson<'a>>,
    /// When the request came in.
    pub request_received_timestamp: Option<Timestamp>,
    /// When this stage was reached: the event's time.
    pub stage_timestamp: Option<Timestamp>,
    /// Key and value in the order they came; of a repeated key the last holds (see [`Event::annotation`]).
    pub annotations: Option<Vec<(Cow<'a, str>, Cow<'a, str>)>>,
    /// Top-level members this version does not know, in order.
    pub unknown: Vec<(Cow<'a, str>, RawJson<'a>)>,
    /// Names of time fields that hold something else than a time: [`Event::decode`] takes such an event,
    /// kube-apiserver's codec does not.
    pub unreadable_times: Vec<&'static str>,
}

/// A user as authenticated or impersonated (`authentication.k8s.io/v1` UserInfo).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserInfo<'a> {
    /// The name that authorization looked at.
    pub username: Option<Cow<'a, str>>,
    /// Unique over time where the authenticator gives one.
    pub uid: Option<Cow<'a, str>>,
    /// Groups.
    pub groups: Option<Vec<Cow<'a, str>>>,
    /// What the authenticator adds, such as the credential id; a value may be JSON `null`.
    pub extra: Option<Vec<Extra<'a>>>,
}

/// One entry of [`UserInfo::extra`]: a key and its values (`None` for JSON `null`).
pub type Extra<'a> = (Cow<'a, str>, Option<Vec<Cow<'a, str>>>);

/// How authentication went (since Kubernetes 1.35).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthenticationMetadata<'a> {
    /// The verb by which a constrained impersonation was allowed.
    pub impersonation_constraint: Option<Cow<'a, str>>,
}

/// The object of a resource request.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct ObjectReference<'a> {
    pub resource: Option<Cow<'a, str>>,
    pub namespace: Option<Cow<'a, str>>,
    pub name: Option<Cow<'a, str>>,
    pub uid: Option<Cow<'a, str>>,
    /// Missing for the core group.
    pub api_group: Option<Cow<'a, str>>,
    pub api_version: Option<Cow<'a, str>>,
    pub resource_version: Option<Cow<'a, str>>,
    pub subresource: Option<Cow<'a, str>>,
}

/// The answer's `metav1.Status`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Status<'a> {
    pub kind: Option<Cow<'a, str>>,
    pub api_version: Option<Cow<'a, str>>,
    pub metadata: ListMeta<'a>,
    pub status: Option<Cow<'a, str>>,
    pub message: Option<Cow<'a, str>>,
    pub reason: Option<Cow<'a, str>>,
    pub details: Option<StatusDetails<'a>>,
    /// The HTTP status code; 0 is never written.
    pub code: Option<i32>,
}

/// `metav1.ListMeta` inside a Status: written as `{}` even when empty.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct ListMeta<'a> {
    pub self_link: Option<Cow<'a, str>>,
    pub resource_version: Option<Cow<'a, str>>,
    pub continue_token: Option<Cow<'a, str>>,
    pub remaining_item_count: Option<i64>,
}

/// `metav1.StatusDetails`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct StatusDetails<'a> {
    pub name: Option<Cow<'a, str>>,
    pub group: Option<Cow<'a, str>>,
    pub kind: Option<Cow<'a, str>>,
    pub uid: Option<Cow<'a, str>>,
    pub causes: Option<Vec<StatusCause<'a>>>,
    pub retry_after_seconds: Option<i32>,
}

impl StatusDetails<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> StatusDetails<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        let cause = |cause: StatusCause<'_>| StatusCause { reason: own(cause.reason), message: own(cause.message), field: own(cause.field) };
        StatusDetails {
            name: own(self.name),
            group: own(self.group),
            kind: own(self.kind),
            uid: own(self.uid),
            causes: self.causes.map(|causes| causes.into_iter().map(cause).collect()),
            retry_after_seconds: self.retry_after_seconds,
        }
    }
}

/// `metav1.StatusCause`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct StatusCause<'a> {
    pub reason: Option<Cow<'a, str>>,
    pub message: Option<Cow<'a, str>>,
    pub field: Option<Cow<'a, str>>,
}

/// How much of a request is recorded, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Level {
    None,
    Metadata,
    Request,
    RequestResponse,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Metadata, Self::Request, Self::RequestResponse];

    /// The level of that name, spelled exactly as Kubernetes does.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }

    /// Kubernetes' spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// The moment of a request's life an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    /// All stages in the order of a request's life.
    pub const ALL: [Self; 4] = [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic];

    /// The stage of that name, spelled exactly as Kubernetes does.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }

    /// Kubernetes' spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}
