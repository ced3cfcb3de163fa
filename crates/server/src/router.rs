//! All routes with the layers in front of them, from the moment the binary has handed over its [`Parts`].
//!
//! ```text
//! request ─► route pattern noted ─► a page? ─► access: who, and may they ─► rate ─► handler
//! ```

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use decklog_audit::access::Scope;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::{Access, Caller, Connection, Right, right_of_path};
use crate::api::{self, CursorKey, TailConfig};
use crate::limits::Limits;
use crate::mark::Marks;
use crate::metrics::ServerMetrics;
use crate::parts::Parts;
use crate::problem::{Problem, ProblemKind};

/// The paths this crate answers itself.
pub(crate) const PATHS: [&str; 23] = [
    "/",
    "/api/v1/events",
    "/api/v1/events/{SEQ-ID}",
    "/api/v1/extent",
    "/api/v1/facets",
    "/api/v1/fields",
    "/api/v1/filter",
    "/api/v1/histogram",
    "/api/v1/policy/check",
    "/api/v1/policy/explain",
    "/api/v1/policy/generate",
    "/api/v1/policy/simulate",
    "/api/v1/quarantine",
    "/api/v1/quarantine/export",
    "/api/v1/sources",
    "/api/v1/sql",
    "/api/v1/tail",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/version",
];

/// What every handler shares.
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    pub(crate) access: Arc<Access>,
    pub(crate) limits: Limits,
    pub(crate) marks: Marks,
    pub(crate) metrics: ServerMetrics,
    pub(crate) cursor_key: CursorKey,
    pub(crate) tail: TailConfig,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// The pattern of the route that answered, for metrics.
#[derive(Clone)]
pub(crate) struct RouteLabel(pub(crate) String);

/// Joins the routes and puts the layers in front.
///
/// # Panics
/// When a handed-in router has a route that exists already, or a fallback.
pub(crate) fn router(shared: &Arc<Shared>, others: Vec<Router>) -> Router {
    let own = api::routes(shared.clone());
    others
        .into_iter()
        .fold(own, Router::merge)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(shared.clone(), guard))
        .layer(from_fn(note_route))
}

async fn not_found() -> Problem {
    Problem::new(ProblemKind::NotFound, "there is no such path; `/` lists those that exist")
}

async fn method_not_allowed() -> Problem {
    Problem::new(ProblemKind::MethodNotAllowed, "the path exists, but does not take this method; `Allow` names those it takes")
}

async fn note_route(request: Request, next: Next) -> Response {
    let label = request.extensions().get::<MatchedPath>().map(|path| RouteLabel(path.as_str().to_owned()));
    let mut response = next.run(request).await;
    if let Some(label) = label {
        response.extensions_mut().insert(label);
    }
    response
}

/// Lets nothing pass without an identity that may; puts it into the request.
async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let Some(connection) = request.extensions().get::<Arc<Connection>>().cloned() else {
        return Problem::internal("a request without its connection").into_response();
    };
    let caller = Caller { connection: &connection, method: request.method(), uri: request.uri(), headers: request.headers() };
    if let Some(exchanged) = shared.access.exchange(caller) {
        return exchanged.map_or_else(IntoResponse::into_response, set_cookie);
    }
    if let Some(page) = crate::ui::answer(&request) {
        return page;
    }
    let path = request.uri().path();
    let scope = match right_of_path(path) {
        Right::Open => return next.run(request).await,
        Right::Scope(scope) => scope,
    };
    let now = Instant::now();
    let identity = match shared.access.find_out(caller, now).await {
        Ok(identity) => identity,
        Err(problem) => return problem.into_response(),
    };
    if !identity.may(scope) {
        let detail = format!("`{}` may not do this: it needs the scope `{}`", identity.name, scope.as_str());
        return Problem::new(ProblemKind::Forbidden, detail).into_response();
    }
    // Sending is not limited by rate but by the disk: a refused batch is a lost one.
    if scope != Scope::Send
        && path.starts_with("/api/")
        && let Err(problem) = shared.limits.read(&identity, now)
    {
        return problem.into_response();
    }
    request.extensions_mut().insert(identity);
    next.run(request).await
}

/// Leads the browser on to the page without the token in its address.
fn set_cookie(cookie: String) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match HeaderValue::try_from(cookie) {
        Ok(cookie) => {
            headers.insert(header::SET_COOKIE, cookie);
            response
        }
        Err(error) => Problem::internal(error.to_string()).into_response(),
    }
}
