//! What the server counts of itself. Label values are closed lists: routes by their pattern, never by path.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What `/metrics` answers: the registry as OpenMetrics text.
pub(crate) fn page(registry: &Registry) -> Result<Response, std::fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    let mut response = text.into_response();
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Which build this is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet, serde::Serialize)]
pub struct Build {
    /// The version, such as `0.1.0`.
    pub version: String,
    /// The revision of the source it was built from, or `unknown`.
    pub revision: String,
}

/// The server's metrics; cloning shares them.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<RequestLabels, Histogram, fn() -> Histogram>,
    query_duration: Family<QueryLabels, Histogram, fn() -> Histogram>,
    marks_failed: Counter<u64, AtomicU64>,
    reloads: Family<ReloadLabels, Counter>,
    handshakes_failed: Family<HandshakeLabels, Counter>,
    certificate_expiry: Gauge,
    build: Build,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    what: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    kind: &'static str,
    result: &'static str,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryResult {
    Ok,
    Incomplete,
    ClientLeft,
    Timeout,
    /// It was no question, or one that may not be asked.
    Refused,
    Failed,
}

impl QueryResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Incomplete => "incomplete",
            Self::ClientLeft => "client_left",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl ServerMetrics {
    /// Registers them, `decklog_build_info` included. The registry has no prefix: names are whole.
    pub fn register(registry: &mut Registry, build: Build) -> Self {
        let short: fn() -> Histogram = || Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        let metrics = Self {
            requests: Family::default(),
            request_duration: Family::new_with_constructor(short),
            query_duration: Family::new_with_constructor(short),
            marks_failed: Counter::default(),
            reloads: Family::default(),
            handshakes_failed: Family::default(),
            certificate_expiry: Gauge::default(),
            build,
        };
        registry.register("decklog_http_requests", "HTTP requests answered", metrics.requests.clone());
        registry.register("decklog_http_request_duration_seconds", "Seconds from the request's head to the answer's head", metrics.request_duration.clone());
        registry.register("decklog_query_duration_seconds", "Seconds a search took, to its end or until its client left", metrics.query_duration.clone());
        registry.register(
            "decklog_read_marks_failed",
            "Searches, tails and exports that could not be written to the journal as a mark",
            metrics.marks_failed.clone(),
        );
        // What has not happened yet is shown as 0, so that alerts see its first time as a rise.
        for result in ["ok", "error"] {
            drop(metrics.reloads.get_or_create(&ReloadLabels { what: "tls", result }));
        }
        for reason in crate::tls::HANDSHAKE_REASONS {
            drop(metrics.handshakes_failed.get_or_create(&HandshakeLabels { reason }));
        }
        registry.register("decklog_reloads", "Files that changed and were read again", metrics.reloads.clone());
        registry.register("decklog_tls_handshakes_failed", "Connections that ended before their TLS handshake did", metrics.handshakes_failed.clone());
        registry.register(
            "decklog_tls_certificate_expiry_timestamp_seconds",
            "When the TLS certificate in force ends; 0 without TLS",
            metrics.certificate_expiry.clone(),
        );
        let info = Family::<Build, Gauge>::default();
        info.get_or_create(&metrics.build).set(1);
        registry.register("decklog_build_info", "Always 1; the labels say which build this is", info);
        metrics
    }

    pub(crate) fn request(&self, route: &str, method: &http::Method, code: u16, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), method: known_method(method), code };
        self.requests.get_or_create(&labels).inc();
        self.request_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn query(&self, kind: &'static str, result: QueryResult, took: Duration) {
        self.query_duration.get_or_create(&QueryLabels { kind, result: result.as_str() }).observe(took.as_secs_f64());
    }

    pub(crate) fn mark_failed(&self) {
        self.marks_failed.inc();
    }

    pub(crate) fn reloaded(&self, what: &'static str, result: &'static str) {
        self.reloads.get_or_create(&ReloadLabels { what, result }).inc();
    }

    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.handshakes_failed.get_or_create(&HandshakeLabels { reason }).inc();
    }

    pub(crate) fn certificate_expires(&self, at: i64) {
        self.certificate_expiry.set(at);
    }

    pub(crate) fn build(&self) -> &Build {
        &self.build
    }
}

/// Methods are a closed list too: a client may send any word.
fn known_method(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
