//! The first and last thing every request meets: its id, health, "still starting", and the one place where
//! answers get their common headers, problems their body, panics their 500, and metrics their numbers.
//!
//! It stands before the router because the listener opens before the journal is recovered: until the binary
//! hands over its parts there is no router yet.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::access::{Access, Caller, Connection};
use crate::health::{self, Outcome, Reasons, State};
use crate::metrics::ServerMetrics;
use crate::problem::{Problem, ProblemKind};
use crate::router::{RouteLabel, Shared};
use crate::tls::{Tls, now_seconds};

/// The header that names a request in answers, marks and the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of one request: 32 hex digits, made here. A client's own is not taken: it would be a way to
/// write into our log.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    fn new() -> Self {
        let mut random = [0u8; 16];
        // The name only tells requests apart; without randomness they still have their time and path.
        let _ = aws_lc_rs::rand::fill(&mut random);
        Self(random.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Answers requests, before and after the parts are there.
pub(crate) struct Front {
    pub(crate) access: Arc<Access>,
    pub(crate) tls: Option<Tls>,
    pub(crate) metrics: ServerMetrics,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) ready: OnceLock<Ready>,
}

/// What there is once the parts are handed over.
pub(crate) struct Ready {
    pub(crate) router: Router,
    pub(crate) shared: Arc<Shared>,
}

impl Front {
    /// Answers one request.
    pub(crate) async fn answer(&self, connection: Arc<Connection>, mut request: Request<Body>) -> Response {
        let started = Instant::now();
        let id = RequestId::new();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        request.extensions_mut().insert(id.clone());
        request.extensions_mut().insert(connection.clone());
        let answered = AssertUnwindSafe(self.route(&connection, request)).catch_unwind().await;
        let mut response = answered.unwrap_or_else(|panic| Problem::internal(panic_text(&*panic)).into_response());
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = explain(response, &problem, &path, &id);
        }
        finish(&mut response, &id);
        let route = response.extensions().get::<RouteLabel>().map_or("unmatched", |label| label.0.as_str());
        self.metrics.request(route, &method, response.status().as_u16(), started.elapsed());
        tracing::debug!(request_id = id.as_str(), peer = %connection.peer, %method, path, status = response.status().as_u16(), "answered");
        response
    }

    async fn route(&self, connection: &Connection, request: Request<Body>) -> Response {
        if let Some(response) = self.open_path(connection, &request) {
            return response;
        }
        match self.ready.get() {
            Some(ready) => match ready.router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            None => Problem::new(ProblemKind::Starting, "the journal is being recovered; `/readyz?verbose` says more").retry_after(2).into_response(),
        }
    }

    /// Health and version: they need no credential and are there from the first moment.
    fn open_path(&self, connection: &Connection, request: &Request<Body>) -> Option<Response> {
        let path = request.uri().path();
        let (endpoint, check) = match path.trim_start_matches('/').split_once('/') {
            Some((endpoint, check)) => (endpoint, Some(check)),
            None => (path.trim_start_matches('/'), None),
        };
        let label = match endpoint {
            "livez" | "healthz" | "readyz" => format!("/{endpoint}"),
            "version" if check.is_none() => "/version".to_owned(),
            _ => return None,
        };
        let mut response = if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = Problem::new(ProblemKind::MethodNotAllowed, "only GET and HEAD").into_response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
            response
        } else if endpoint == "version" {
            axum::Json(self.metrics.build()).into_response()
        } else {
            self.health(endpoint, check, connection, request)
        };
        response.extensions_mut().insert(RouteLabel(label));
        Some(response)
    }

    fn health(&self, endpoint: &str, check: Option<&str>, connection: &Connection, request: &Request<Body>) -> Response {
        let outcomes = if endpoint == "readyz" { self.readiness() } else { vec![("ping", State::Good)] };
        let chosen: Vec<Outcome> = outcomes.into_iter().filter(|(name, _)| check.is_none_or(|check| check == *name)).collect();
        if chosen.is_empty() {
            return Problem::new(ProblemKind::NotFound, format!("`/{endpoint}?verbose` lists the checks")).into_response();
        }
        let query = request.uri().query().unwrap_or_default();
        let verbose = query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose="));
        let caller = Caller { connection, method: request.method(), uri: request.uri(), headers: request.headers() };
        let known = self.access.identify(caller, tokio::time::Instant::now());
        let reasons = if known.is_ok() { Reasons::Shown } else { Reasons::Withheld };
        health::answer(endpoint, &chosen, verbose, reasons)
    }

    fn readiness(&self) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = vec![("ping", State::Good)];
        if let Some(tls) = &self.tls {
            // Never a failure: the files read before go on serving, and a restart would not mend the new ones.
            outcomes.push(("tls", tls.note(now_seconds()).map_or(State::Good, State::Noted)));
        }
        match self.ready.get() {
            Some(ready) => outcomes.extend(ready.shared.parts.checks.iter().map(|check| (check.name(), check.run().into()))),
            None => outcomes.push(("started", State::Failed("the journal is being recovered".to_owned()))),
        }
        let stopping = *self.stopping.borrow();
        outcomes.push(("shutdown", if stopping { State::Failed("the server is stopping".to_owned()) } else { State::Good }));
        outcomes
    }
}

/// Gives a problem its body, and the log what only the log should know.
fn explain(mut response: Response, problem: &Problem, path: &str, id: &RequestId) -> Response {
    if let Some(inside) = &problem.inside {
        tracing::error!(request_id = id.as_str(), path, problem = problem.kind.word(), inside, "a request failed");
    }
    *response.body_mut() = Body::from(problem.body(path, id.as_str()));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// What every answer has.
fn finish(response: &mut Response, id: &RequestId) {
    let is_redirect = response.status() == StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_redirect || !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_default())
}
