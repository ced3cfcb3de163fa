//! What a client is told when a request fails: RFC 9457 problem details with a stable type.
//!
//! A [`Problem`] has an outside (type, title, status, detail, the wrong parameters) and an inside, which
//! goes to the log only. Handlers return it as an error; the body is written in one place, the front,
//! which knows the request's id and path. Used on its own it answers with its status and no body.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// Where the types of problems are described; with the word of the kind it is the problem's `type`.
const TYPE_BASE: &str = "https://decklog.io/problems/";

/// The closed list of problems. The word of each is part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The filter cannot be read; `errors` says where.
    BadFilter,
    /// A time or range cannot be read.
    BadTime,
    /// A cursor is not one of ours, or of before the last change of its key.
    BadCursor,
    /// A cursor belongs to another filter, range or order.
    CursorMismatch,
    /// Another parameter or header is wrong.
    BadParameter,
    /// A question in SQL cannot be read, or names something that does not exist.
    BadQuery,
    /// No credential, or one that is not known.
    Unauthenticated,
    /// The credential does not allow this; the detail names the right.
    Forbidden,
    /// A statement or function that nobody may use.
    ForbiddenQuery,
    /// Nothing is there.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// More requests, searches or tails than one identity may have.
    RateLimited,
    /// The request, or the memory its answer wants, is larger than it may be.
    TooLarge,
    /// The search took longer than it may.
    QueryTimeout,
    /// A bug; the log says which, under the request's id.
    Internal,
    /// The store cannot answer.
    Unavailable,
    /// The journal is still being recovered.
    Starting,
}

impl ProblemKind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::BadFilter,
        Self::BadTime,
        Self::BadCursor,
        Self::CursorMismatch,
        Self::BadParameter,
        Self::BadQuery,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::ForbiddenQuery,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RateLimited,
        Self::TooLarge,
        Self::QueryTimeout,
        Self::Internal,
        Self::Unavailable,
        Self::Starting,
    ];

    /// Word, title and status.
    fn facts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::BadFilter => ("bad-filter", "The filter cannot be read", StatusCode::BAD_REQUEST),
            Self::BadTime => ("bad-time", "A time cannot be read", StatusCode::BAD_REQUEST),
            Self::BadCursor => ("bad-cursor", "The cursor cannot be used", StatusCode::BAD_REQUEST),
            Self::CursorMismatch => ("cursor-mismatch", "The cursor belongs to another question", StatusCode::BAD_REQUEST),
            Self::BadParameter => ("bad-parameter", "A parameter is wrong", StatusCode::BAD_REQUEST),
            Self::BadQuery => ("bad-query", "The query cannot be answered", StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("unauthenticated", "Who are you?", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("forbidden", "Not allowed", StatusCode::FORBIDDEN),
            Self::ForbiddenQuery => ("forbidden-query", "Such queries are not allowed", StatusCode::FORBIDDEN),
            Self::NotFound => ("not-found", "Nothing is here", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method-not-allowed", "Not with this method", StatusCode::METHOD_NOT_ALLOWED),
            Self::RateLimited => ("rate-limited", "Too much at once", StatusCode::TOO_MANY_REQUESTS),
            Self::TooLarge => ("too-large", "Too large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::QueryTimeout => ("query-timeout", "The search took too long", StatusCode::GATEWAY_TIMEOUT),
            Self::Internal => ("internal", "Something broke in decklog", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Unavailable => ("unavailable", "Not available now", StatusCode::SERVICE_UNAVAILABLE),
            Self::Starting => ("starting", "decklog is starting", StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// The last part of the problem's type.
    pub fn word(self) -> &'static str {
        self.facts().0
    }

    /// The problem's type.
    pub fn uri(self) -> String {
        format!("{TYPE_BASE}{}", self.word())
    }

    /// The status it is answered with.
    pub fn status(self) -> StatusCode {
        self.facts().2
    }
}

/// One wrong parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ParameterError {
    /// Its name.
    pub parameter: String,
    /// The line of the first wrong character, counted from 1, in a text that may have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The first wrong character, counted from 1, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// How many characters are wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
}

impl ParameterError {
    /// A parameter that is wrong as a whole.
    pub fn new(parameter: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { parameter: parameter.to_owned(), message: message.into(), help: help.into(), ..Self::default() }
    }
}

/// Why a request failed.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Which of the closed list.
    pub kind: ProblemKind,
    /// What happened this time, for the client.
    pub detail: String,
    /// The wrong parameters.
    pub errors: Vec<ParameterError>,
    /// After how many seconds to come again.
    pub retry_after: Option<u32>,
    /// What the log gets beside; never sent.
    pub inside: Option<String>,
}

impl Problem {
    /// A problem with its outside text.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after: None, inside: None }
    }

    /// A problem of wrong parameters; the detail is the first one's message.
    pub fn of_parameters(kind: ProblemKind, errors: Vec<ParameterError>) -> Self {
        let detail = errors.first().map(|error| format!("{}: {}", error.parameter, error.message)).unwrap_or_default();
        Self { errors, ..Self::new(kind, detail) }
    }

    /// Something that is decklog's own fault: the client learns nothing but where to look.
    pub fn internal(inside: impl Into<String>) -> Self {
        Self { inside: Some(inside.into()), ..Self::new(ProblemKind::Internal, "the log of decklog has the details under this request id") }
    }

    /// Asks the client to come again after `seconds`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds what only the log should know.
    #[must_use]
    pub fn inside(mut self, inside: impl Into<String>) -> Self {
        self.inside = Some(inside.into());
        self
    }

    /// The body, for a request of that id on that path.
    pub(crate) fn body(&self, instance: &str, request_id: &str) -> Vec<u8> {
        let (_, title, status) = self.kind.facts();
        let body = ProblemBody { kind: self.kind.uri(), title, status: status.as_u16(), detail: &self.detail, instance, errors: &self.errors, request_id };
        serde_json::to_vec(&body).expect("strings and numbers are always JSON")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemBody<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "<[ParameterError]>::is_empty")]
    errors: &'a [ParameterError],
    request_id: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == ProblemKind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"decklog\""));
        }
        response.extensions_mut().insert(self);
        response
    }
}
