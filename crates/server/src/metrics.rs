//! What the server counts of itself. Label values are closed lists: routes by their pattern, never by path.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

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
    build: Build,
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

    pub(crate) fn build(&self) -> &Build {
        &self.build
    }
}

/// Methods are a closed list too: a client may send any word.
fn known_method(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
