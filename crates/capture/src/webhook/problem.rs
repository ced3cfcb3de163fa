//! Errors as `application/problem+json` (RFC 9457).

use std::fmt;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// An answer that is not 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: String,
    retry: bool,
    close: bool,
}

impl Problem {
    fn new(status: StatusCode, name: &'static str, title: &'static str, detail: String) -> Self {
        Self { status, name, title, detail, retry: false, close: false }
    }

    pub(super) fn bad_body(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-body", "the body holds no audit events", detail.to_string())
    }

    pub(super) fn forbidden(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "not allowed", detail.to_string())
    }

    pub(super) fn slow(detail: impl fmt::Display) -> Self {
        Self { close: true, ..Self::new(StatusCode::REQUEST_TIMEOUT, "slow", "the body came too slowly", detail.to_string()) }
    }

    pub(super) fn broken_off(detail: impl fmt::Display) -> Self {
        Self { close: true, ..Self::new(StatusCode::BAD_REQUEST, "broken-off", "the body broke off; nothing was stored", detail.to_string()) }
    }

    pub(super) fn too_large(detail: impl fmt::Display) -> Self {
        Self { close: true, ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large", detail.to_string()) }
    }

    pub(super) fn unsupported_encoding(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "unknown Content-Encoding", detail.to_string())
    }

    pub(super) fn overloaded(detail: impl fmt::Display) -> Self {
        Self { retry: true, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "too much is under way; come again", detail.to_string()) }
    }

    pub(super) fn unavailable(detail: impl fmt::Display) -> Self {
        Self { retry: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "cannot store at the moment; come again", detail.to_string()) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.title, self.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": format!("https://decklog.io/problems/{}", self.name),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.retry {
            // kube-apiserver waits this out up to ten times within each of its five attempts.
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
