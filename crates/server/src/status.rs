//! Health, version and metrics alone, for programs that answer nothing else (`decklog forward`).
//!
//! Open to whoever reaches the address, without TLS, as probes and scrapers want it: there is nothing here but counts
//! and the names of configured sources and sinks. Reasons of failed checks, which name files, are withheld from other
//! machines.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Method, Request, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::health::{self, Outcome, Reasons, State};
use crate::metrics::Build;
use crate::parts::Check;

/// Connections at once; the next ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may take to bring the next request's head, idle time included.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What is told.
pub struct Status {
    /// What `/version` says.
    pub build: Build,
    /// What readiness depends on.
    pub checks: Vec<Check>,
    /// What `/metrics` shows.
    pub registry: Registry,
}

impl Status {
    /// Answers on `listener` until dropped.
    pub async fn serve(self, listener: TcpListener) {
        let (status, places) = (Arc::new(self), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        loop {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let status = Arc::clone(&status);
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let response = status.answer(&request, peer);
                    async move { Ok::<_, Infallible>(response) }
                });
                let served = http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                drop(place);
            });
        }
    }

    fn answer<B>(&self, request: &Request<B>, peer: SocketAddr) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        let query = request.uri().query().unwrap_or_default();
        let verbose = query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose="));
        let reasons = if peer.ip().to_canonical().is_loopback() { Reasons::Shown } else { Reasons::Withheld };
        match request.uri().path() {
            "/livez" | "/healthz" => health::answer("livez", &[("ping", State::Good)], verbose, reasons),
            "/readyz" => {
                let outcomes: Vec<Outcome> = self.checks.iter().map(|check| (check.name(), check.run().into())).collect();
                health::answer("readyz", &outcomes, verbose, reasons)
            }
            "/version" => axum::Json(&self.build).into_response(),
            "/metrics" => crate::metrics::page(&self.registry).unwrap_or_else(|error| text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())),
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /healthz, /version and /metrics\n"),
        }
    }
}

fn text(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn asked(status: &Status, method: Method, path: &str, peer: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let response = status.answer(&request, peer.parse().unwrap());
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn it_tells_health_version_and_metrics_and_nothing_else() {
        let mut registry = Registry::default();
        registry.register("decklog_x", "Help", prometheus_client::metrics::counter::Counter::<u64>::default());
        let checks = vec![Check::new("journal", || Ok(())), Check::new("sink", || Err("secret place".to_owned()))];
        let status = Status { build: Build { version: "1".to_owned(), revision: "r".to_owned() }, checks, registry };
        let (here, away) = ("127.0.0.1:1", "192.0.2.1:1");
        assert_eq!(asked(&status, Method::GET, "/livez", away).await, (200, "ok".to_owned()));
        let (code, text) = asked(&status, Method::GET, "/readyz?verbose", here).await;
        assert_eq!((code, text.contains("secret place")), (503, true), "{text}");
        let (code, text) = asked(&status, Method::GET, "/readyz", away).await;
        assert_eq!((code, text.contains("secret place")), (503, false), "{text}");
        assert!(asked(&status, Method::GET, "/metrics", away).await.1.contains("decklog_x_total 0"));
        assert!(asked(&status, Method::GET, "/version", away).await.1.contains("\"revision\":\"r\""));
        assert_eq!(asked(&status, Method::GET, "/api/v1/events", here).await.0, 404);
        assert_eq!(asked(&status, Method::POST, "/livez", here).await.0, 405);
    }
}
