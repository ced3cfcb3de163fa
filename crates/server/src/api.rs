//! The routes below `/api/v1`, and the questions behind them (docs/api.md).

mod body;
mod counts;
mod cursor;
mod event;
mod events;
mod filter;
mod lists;
mod outlet;
mod parameters;
mod policy;
mod search;
mod sql;
mod stream;
mod tail;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub use tail::TailConfig;

pub(crate) use cursor::CursorKey;

use crate::router::Shared;

/// The routes of the API, of `/metrics`, `/openapi.json` and of the root.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(lists::paths))
        .route("/metrics", get(lists::metrics))
        .route("/openapi.json", get(crate::openapi::get))
        .route("/api/v1/events", get(events::get))
        .route("/api/v1/events/{name}", get(event::get))
        .route("/api/v1/tail", get(tail::get))
        .route("/api/v1/histogram", get(counts::histogram))
        .route("/api/v1/facets", get(counts::facets))
        .route("/api/v1/extent", get(counts::extent))
        .route("/api/v1/filter", get(filter::get))
        .route("/api/v1/sql", post(sql::post))
        .route("/api/v1/policy/check", post(policy::check))
        .route("/api/v1/policy/explain", post(policy::explain))
        .route("/api/v1/policy/generate", post(policy::generate))
        .route("/api/v1/policy/simulate", post(policy::simulate))
        .route("/api/v1/fields", get(lists::fields))
        .route("/api/v1/sources", get(lists::sources))
        .route("/api/v1/quarantine", get(lists::quarantine))
        .route("/api/v1/quarantine/export", get(lists::quarantine_export))
        .with_state(shared)
}
