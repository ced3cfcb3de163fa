//! A request as it came in, before anybody asked who sent it: its audit ID, its moment and what it is about.

use std::borrow::Cow;
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};

use decklog_audit::Timestamp;
use decklog_audit::event::text_from_bytes;
use decklog_audit::policy::RequestLength;
use decklog_audit::policy::request_info::{RequestInfo, resolve};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::record::Audited;

/// The header that names a request, in and out (`pkg/apis/audit/types.go`).
pub static AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// What is known of a request from its head alone. The layer makes it, unless something in front put one into the request's
/// extensions (as `Arc<Received>`), as [`ReceiveLayer`] does: then that is who gives the audit ID back.
#[derive(Debug)]
pub struct Received {
    /// When.
    pub at: Timestamp,
    /// The client's own, byte for byte, or a new random UUID.
    pub audit_id: HeaderValue,
    /// What it is about.
    pub info: RequestInfo<'static>,
    /// What the event has as `requestURI`.
    pub request_uri: String,
    /// Whether it has a ResponseStarted.
    pub length: RequestLength,
    /// Set once it is under audit.
    pub(crate) audited: OnceLock<Weak<Audited>>,
}

impl Received {
    /// Reads a request's head. A target that kube-apiserver would answer 400 or 500 to without an event is a non-resource request here.
    #[must_use]
    pub fn of(parts: &Parts, at: Timestamp) -> Arc<Self> {
        let audit_id = parts.headers.get(&AUDIT_ID).filter(|value| !value.is_empty()).cloned().unwrap_or_else(random_uuid);
        let whole;
        // Of a URI with a scheme or none but an authority the path is not all.
        let target = match parts.uri.path_and_query() {
            Some(path) if parts.uri.authority().is_none() => path.as_str(),
            _ => {
                whole = parts.uri.to_string();
                whole.as_str()
            }
        };
        let method = parts.method.as_str();
        let resolved = resolve(method.as_bytes(), target.as_bytes()).ok().filter(|resolved| resolved.error.is_none());
        let (info, request_uri) = match resolved {
            Some(resolved) => (resolved.info.into_owned(), resolved.event_request_uri.into_owned()),
            None => {
                let verb = method.to_ascii_lowercase();
                (RequestInfo { path: parts.uri.path().to_owned().into(), verb: verb.into(), ..RequestInfo::default() }, target.to_owned())
            }
        };
        Arc::new(Self::new(at, audit_id, info, request_uri))
    }

    /// One of which all is known otherwise.
    #[must_use]
    pub fn new(at: Timestamp, audit_id: HeaderValue, info: RequestInfo<'static>, request_uri: String) -> Self {
        let length = RequestLength::of(&info);
        Self { at, audit_id, info, request_uri, length, audited: OnceLock::new() }
    }

    /// The audit ID as an event holds it.
    pub(crate) fn audit_id_text(&self) -> Cow<'_, str> {
        text_from_bytes(self.audit_id.as_bytes())
    }
}

/// Reads requests' heads in front of everything else, and gives the audit ID back in every answer, also in those that the audit layer
/// does not see: of what limits, authenticates or routes.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveLayer {
    now: fn() -> Timestamp,
}

impl ReceiveLayer {
    /// With the time of day.
    pub fn new(now: fn() -> Timestamp) -> Self {
        Self { now }
    }
}

impl<S> Layer<S> for ReceiveLayer {
    type Service = ReceiveService<S>;

    fn layer(&self, inner: S) -> ReceiveService<S> {
        ReceiveService { inner, now: self.now }
    }
}

/// A service whose requests carry an `Arc<Received>`.
#[derive(Clone, Debug)]
pub struct ReceiveService<S> {
    inner: S,
    now: fn() -> Timestamp,
}

impl<S, B, R> Service<Request<B>> for ReceiveService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ReceiveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let received = Received::of(&parts, (self.now)());
        let audit_id = received.audit_id.clone();
        parts.extensions.insert(received);
        ReceiveFuture { future: self.inner.call(Request::from_parts(parts, body)), audit_id: Some(audit_id) }
    }
}

pin_project! {
    /// An answer with the audit ID.
    pub struct ReceiveFuture<F> {
        #[pin]
        future: F,
        audit_id: Option<HeaderValue>,
    }
}

impl<F, R, E> Future for ReceiveFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        if let Some(audit_id) = this.audit_id.take() {
            response.headers_mut().entry(&AUDIT_ID).or_insert(audit_id);
        }
        Poll::Ready(Ok(response))
    }
}

/// RFC 9562, version 4.
fn random_uuid() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = random_16();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.into_iter().enumerate() {
        at += usize::from(matches!(index, 4 | 6 | 8 | 10));
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are a header's value")
}

/// Random bytes are fetched for many requests at once.
fn random_16() -> [u8; 16] {
    const STOCK: usize = 64;
    thread_local!(static BYTES: RefCell<(usize, [[u8; 16]; STOCK])> = const { RefCell::new((STOCK, [[0; 16]; STOCK])) });
    BYTES.with_borrow_mut(|(used, bytes)| {
        if *used == STOCK {
            aws_lc_rs::rand::fill(bytes.as_flattened_mut()).expect("the system gives random bytes");
            *used = 0;
        }
        *used += 1;
        bytes[*used - 1]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(request: http::request::Builder) -> Arc<Received> {
        Received::of(&request.body(()).unwrap().into_parts().0, Timestamp::from_micros(1))
    }

    #[test]
    fn the_audit_id_is_the_clients_or_a_uuid() {
        let given = |id: &[u8]| received(http::Request::get("/x").header(&AUDIT_ID, HeaderValue::from_bytes(id).unwrap())).audit_id_text().into_owned();
        assert_eq!(given(b"any thing"), "any thing");
        assert_eq!(given("ü".as_bytes()), "ü");
        assert_eq!(given(&b"x".repeat(5_000)).len(), 5_000);
        let (one, other) = (given(b""), received(http::Request::get("/x")).audit_id_text().into_owned());
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[14..15], &one[23..24]), (36, "4", "-"), "{one}");
    }

    #[test]
    fn what_has_no_meaning_in_kubernetes_is_a_plain_path() {
        let odd = received(http::Request::get("/api/v1/watch"));
        assert_eq!((odd.info.verb.as_ref(), odd.info.path.as_ref(), odd.info.is_resource_request), ("get", "/api/v1/watch", false));
        let absolute = received(http::Request::get("http://kube.example/api/v1/nodes?limit=1"));
        assert_eq!((absolute.request_uri.as_str(), absolute.info.verb.as_ref()), ("/api/v1/nodes?limit=1", "list"));
    }
}
