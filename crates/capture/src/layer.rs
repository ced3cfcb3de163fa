//! The audit layer: any HTTP service audits itself as kube-apiserver does, event for event.
//!
//! ```no_run
//! # fn example(policy: decklog_audit::policy::Compiled, backend: std::sync::Arc<dyn decklog_audit::backend::Backend>) {
//! use decklog_capture::layer::{AuditLayer, AuditorConfig};
//! let auditor = AuditorConfig::new(policy, backend).build();
//! let service: axum::Router = axum::Router::new().layer(AuditLayer::new(auditor));
//! # }
//! ```
//!
//! The layer reads a request's head ([`Received`]), asks the policy, and from then on follows its [`Life`]: RequestReceived before the
//! service sees it, ResponseStarted (long-running requests) before the answer's head goes out, ResponseComplete after its last byte, or
//! Panic. Clients that go away, answers that break off and upgraded connections end it too. What only the service knows (the
//! objects, annotations, impersonation) it says through the request's [`AuditContext`].
//!
//! In front of it stands what authenticates: it puts an [`AuthenticatedUser`] into the extensions of what it lets in, and answers the
//! rest by a service with a layer [for refused requests](AuditLayer::for_refused). Where events go is the [`Backend`]'s.
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/endpoints/filters/audit.go`, `audit_init.go` and `authn_audit.go` (v0.36.3).
//!
//! [`Backend`]: decklog_audit::backend::Backend

mod auditor;
mod body;
mod impersonation;
mod latency;
mod life;
mod metrics;
mod policy_file;
mod received;
mod record;
mod source_ips;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use decklog_audit::Level;
use decklog_audit::backend::{Processed, Processing, Waiting};
use decklog_audit::event::go_quoted;
use decklog_audit::policy::RequestLength;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

pub use auditor::{Auditor, AuditorConfig, AuthenticatedUser, BodySource, ClientCertificate, RefusedBecause};
pub use body::{RequestBody, ResponseBody};
pub use impersonation::{Impersonation, ImpersonationError};
pub use latency::LatencyOf;
pub use life::{Happening, Life, StatusChange, Step};
pub use metrics::LayerMetrics;
pub use policy_file::{PolicyFile, PolicyFileError};
pub use received::{AUDIT_ID, ReceiveFuture, ReceiveLayer, ReceiveService, Received};
pub use record::{AuditContext, RouteResource, Upgraded};
pub use source_ips::Peer;

use auditor::Admission;
use body::{Ahead, BROKEN_OFF, Guard, Tap, Tapped, panic_text};
use record::{Audited, is_json};

/// An answer to a refused or long-running request up to so many bytes is read before its first event, which has its `Status`.
const MAX_AHEAD: u64 = 64 << 10;

/// Makes services audited.
#[derive(Clone)]
pub struct AuditLayer {
    auditor: Auditor,
    admission: Admission,
}

impl AuditLayer {
    /// For requests that were let in.
    pub fn new(auditor: Auditor) -> Self {
        Self { auditor, admission: Admission::Admitted }
    }

    /// For a service that answers requests which were not let in, such as those whose authentication failed: one event each,
    /// ResponseStarted, without a user.
    pub fn for_refused(auditor: Auditor) -> Self {
        Self { auditor, admission: Admission::Refused }
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = AuditService<S>;

    fn layer(&self, inner: S) -> AuditService<S> {
        AuditService { inner, auditor: self.auditor.clone(), admission: self.admission }
    }
}

/// A service under audit.
#[derive(Clone)]
pub struct AuditService<S> {
    inner: S,
    auditor: Auditor,
    admission: Admission,
}

impl<S, B, R> Service<Request<B>> for AuditService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = AuditFuture<S::Future, Self::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        // What was read in front is given back in front.
        let made;
        let (received, gives_id_back) = match parts.extensions.get::<Arc<Received>>() {
            Some(received) => (received, false),
            None => {
                made = Received::of(&parts, self.auditor.now());
                (&made, true)
            }
        };
        let user = parts.extensions.get::<AuthenticatedUser>().map(|user| &user.0);
        let Some(extent) = self.auditor.extent(received, user.map(AsRef::as_ref)) else {
            let audit_id = gives_id_back.then(|| received.audit_id.clone());
            let future = self.inner.call(Request::from_parts(parts, RequestBody::new(body, None)));
            return AuditFuture { state: FutureState::Unaudited { future, audit_id } };
        };
        let audited = self.auditor.begin(&parts, received, user, extent, self.admission);
        let tap = request_tap(&self.auditor, &audited, received, &parts.headers, extent.level);
        // One that was audited further out already keeps its first handle.
        let _ = received.audited.set(Arc::downgrade(&audited));
        if gives_id_back {
            let made = received.clone();
            parts.extensions.insert(made);
        }
        let request = Request::from_parts(parts, RequestBody::new(body, tap));
        let run = Run { guard: Guard::new(audited), admission: self.admission, gives_id_back };
        let stored = match run.admission {
            Admission::Admitted => run.audited().received(),
            Admission::Refused => Processing::Done(Processed::Stored),
        };
        let state = match stored {
            Processing::Done(Processed::Stored) => match catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) {
                Ok(future) => FutureState::Serving { future, run: Some(run) },
                Err(panic) => FutureState::Waiting { future: Box::pin(run.panicked(panic)) },
            },
            Processing::Done(Processed::Failed) => FutureState::Waiting { future: Box::pin(ready(Ok(run.not_stored()))) },
            Processing::Later(waiting) => {
                // The one that was said to be ready is the one to be called.
                let fresh = self.inner.clone();
                let service = std::mem::replace(&mut self.inner, fresh);
                FutureState::Waiting { future: Box::pin(run.serve_after(waiting, service, request)) }
            }
        };
        AuditFuture { state }
    }
}

pin_project! {
    /// The answer of an audited service.
    pub struct AuditFuture<F, T, E> {
        #[pin]
        state: FutureState<F, T, E>,
    }
}

pin_project! {
    #[project = FutureProjection]
    enum FutureState<F, T, E> {
        // Nothing is recorded of the request; the audit ID is for the answer's header.
        Unaudited { #[pin] future: F, audit_id: Option<HeaderValue> },
        // The service has it.
        Serving { #[pin] future: F, run: Option<Run> },
        // A backend is waited for, or an answer is read ahead.
        Waiting { future: BoxedAnswer<T, E> },
    }
}

impl<F, R, E> Future for AuditFuture<F, Response<ResponseBody<R>>, E>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
    E: Send + 'static,
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let mut future = match state.as_mut().project() {
            FutureProjection::Unaudited { future, audit_id } => {
                let mut response = ready!(future.poll(cx))?;
                if let Some(audit_id) = audit_id.take() {
                    response.headers_mut().entry(&AUDIT_ID).or_insert(audit_id);
                }
                return Poll::Ready(Ok(response.map(ResponseBody::plain)));
            }
            FutureProjection::Waiting { future } => return future.as_mut().poll(cx),
            FutureProjection::Serving { future, run } => {
                let answer = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(answer)) => Ok(answer),
                    Err(panic) => Err(panic),
                };
                let run = run.take().expect("a future is not asked again after its answer");
                match run.answered(answer) {
                    Answered::Now(answer) => return Poll::Ready(answer),
                    Answered::Later(future) => future,
                }
            }
        };
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            state.set(FutureState::Waiting { future });
        }
        polled
    }
}

/// What a service gave: an answer, an error, or a panic.
type Given<R, E> = std::thread::Result<Result<Response<R>, E>>;

/// The answer as it goes out, at once where nothing is waited for.
enum Answered<R: Body, E> {
    Now(Result<Response<ResponseBody<R>>, E>),
    Later(BoxedAnswer<Response<ResponseBody<R>>, E>),
}

type BoxedAnswer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// One request under audit, on its way through the service.
struct Run {
    guard: Guard,
    admission: Admission,
    gives_id_back: bool,
}

impl Run {
    fn audited(&self) -> &Arc<Audited> {
        self.guard.audited()
    }

    /// Where the first event has to be waited for.
    async fn serve_after<S, Q, R>(self, stored: Waiting, mut service: S, request: Request<Q>) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>>,
        S::Error: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        if stored.await == Processed::Failed {
            return Ok(self.not_stored());
        }
        let given = AssertUnwindSafe(async { service.call(request).await }).catch_unwind().await;
        match self.answered(given) {
            Answered::Now(answer) => answer,
            Answered::Later(answer) => answer.await,
        }
    }

    fn answered<R, E>(mut self, given: Given<R, E>) -> Answered<R, E>
    where
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
        E: Send + 'static,
    {
        let response = match given {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let told = self.audited().happen(Happening::Panic(BROKEN_OFF));
                return later(told, Err(error));
            }
            Err(panic) => return Answered::Later(Box::pin(self.panicked(panic))),
        };
        let (mut head, body) = response.into_parts();
        if self.gives_id_back {
            head.headers.entry(&AUDIT_ID).or_insert_with(|| self.audited().request().audit_id.clone());
        }
        let mut tap = self.response_tap(head.status, &head.headers);
        let is_small = body.size_hint().upper().is_some_and(|size| size <= MAX_AHEAD);
        if self.says_status_at_its_start()
            && is_small
            && let Some(tap) = tap.take()
        {
            return Answered::Later(Box::pin(self.answer_read_ahead(head, body, tap)));
        }
        let started = self.audited().happen(Happening::Head(head.status.as_u16()));
        if body.is_end_stream() {
            let ended = self.guard.end();
            let told = Processing::all([started, ended].into_iter().flatten().map(Processing::Later)).waiting();
            return later(told, Ok(Response::from_parts(head, ResponseBody::plain(body))));
        }
        later(started, Ok(Response::from_parts(head, ResponseBody::audited(body, self.guard, tap))))
    }

    /// An answer whose `Status` belongs into the event of its start.
    async fn answer_read_ahead<R, E>(self, head: http::response::Parts, body: R, mut tap: Tap) -> Result<Response<ResponseBody<R>>, E>
    where
        R: Body<Data = Bytes>,
    {
        let ahead = read_ahead(body).await;
        ahead.iter().filter_map(|frame| frame.as_ref().ok()).for_each(|frame| tap.saw(frame));
        tap.finish();
        if let Some(waiting) = self.audited().happen(Happening::Head(head.status.as_u16())) {
            waiting.await;
        }
        Ok(Response::from_parts(head, ResponseBody::ahead(ahead, self.guard)))
    }

    /// The panic goes on once it is told.
    async fn panicked<R: Body, E>(self, panic: Box<dyn std::any::Any + Send>) -> Result<Response<ResponseBody<R>>, E> {
        if let Some(waiting) = self.audited().happen(Happening::Panic(&panic_text(panic.as_ref()))) {
            waiting.await;
        }
        resume_unwind(panic)
    }

    fn says_status_at_its_start(&self) -> bool {
        self.admission == Admission::Refused || self.audited().request().length == RequestLength::LongRunning
    }

    /// What is to be looked at of the answer's body: all of it at level RequestResponse, and else what may be a `Status`. Streams of
    /// long-running requests are not looked at.
    fn response_tap(&self, status: StatusCode, headers: &HeaderMap) -> Option<Tap> {
        let BodySource::Observed { max_bytes } = self.audited().auditor().bodies() else { return None };
        let is_failure = status.is_client_error() || status.is_server_error();
        let may_be_status = is_failure || self.audited().request().info.verb.starts_with("delete");
        let is_wanted = match self.audited().request().length {
            RequestLength::LongRunning => is_failure,
            RequestLength::Short => may_be_status || self.audited().extent().level == Level::RequestResponse,
        };
        let is_readable = headers.get(header::CONTENT_TYPE).is_none_or(|value| value.to_str().is_ok_and(is_json));
        if !is_wanted || !is_readable {
            return None;
        }
        if headers.contains_key(header::CONTENT_ENCODING) {
            self.audited().misses("responseObject", Level::RequestResponse);
            return None;
        }
        Some(Tap::new(self.audited().clone(), Tapped::Response, max_bytes))
    }

    /// What kube-apiserver answers in mode blocking-strict (`pkg/endpoints/handlers/responsewriters/errors.go`).
    fn not_stored<R: Body<Data = Bytes>>(&self) -> Response<ResponseBody<R>> {
        self.audited().reject();
        let text = format!("Internal Server Error: {}: failed to store audit event\n", go_quoted(&self.audited().request().request_uri));
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let mut response = Response::new(ResponseBody::own(text));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(&AUDIT_ID, self.audited().request().audit_id.clone());
        response
    }
}

/// What is to be looked at of a request's body: that of a request about a resource which may carry one. From level Request on for the
/// event, below for the name of the object that is created.
fn request_tap(auditor: &Auditor, audited: &Arc<Audited>, received: &Received, headers: &HeaderMap, level: Level) -> Option<Tap> {
    let BodySource::Observed { max_bytes } = auditor.bodies() else { return None };
    let info = &received.info;
    let connects = matches!(info.subresource.as_ref(), "exec" | "attach" | "portforward" | "proxy");
    let carries_object = match info.verb.as_ref() {
        "patch" => level >= Level::Request,
        verb => matches!(verb, "create" | "update" | "delete" | "deletecollection"),
    };
    if !info.is_resource_request || connects || !carries_object {
        return None;
    }
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Some(Tap::new(audited.clone(), Tapped::Request(media_type.to_owned()), max_bytes))
}

/// An answer after what is to be waited for.
fn later<R: Body + Send + 'static, E: Send + 'static>(waiting: Option<Waiting>, answer: Result<Response<ResponseBody<R>>, E>) -> Answered<R, E>
where
    R::Error: Send,
{
    match waiting {
        None => Answered::Now(answer),
        Some(waiting) => Answered::Later(Box::pin(async move {
            waiting.await;
            answer
        })),
    }
}

/// Reads a body of small size.
async fn read_ahead<R: Body<Data = Bytes>>(body: R) -> Ahead<R::Error> {
    let mut ahead = VecDeque::new();
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let is_over = frame.is_err();
        ahead.push_back(frame);
        if is_over {
            break;
        }
    }
    ahead
}
