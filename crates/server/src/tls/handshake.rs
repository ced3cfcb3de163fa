//! The handshake of one connection: bounded in time, and many at once do not keep others out.
//!
//! A connection takes one of the server's places only when its handshake is done. Until then it is one of
//! at most [`TlsConfig::max_handshakes`](super::TlsConfig): one more ends the oldest, so that clients that open connections
//! and say nothing cannot keep out those that do (theirs takes milliseconds).

use std::collections::VecDeque;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{ClientCertificate, Tls};
use crate::metrics::ServerMetrics;

/// The first byte of every TLS handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// Of failed handshakes at most one in this time is a warning; port scanners fail by the thousand.
const WARN_EVERY: Duration = Duration::from_secs(1);
/// How long and how much is read of what a client of plain HTTP still sends, so that our answer reaches it.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);
const DRAIN_BYTES: u64 = 64 << 10;

/// The answer to plain HTTP, in the form of all of decklog's problems.
const SPEAK_TLS: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: 142\r\n\r\n",
    r#"{"type":"https://decklog.io/problems/tls-required","title":"This port speaks TLS","status":400,"detail":"this port speaks TLS: use https://"}"#,
    "\n"
);

/// All handshakes under way.
pub(crate) struct Handshakes {
    tls: Tls,
    metrics: ServerMetrics,
    under_way: VecDeque<oneshot::Sender<()>>,
    warned: Arc<Mutex<Option<Instant>>>,
}

/// The right to do one.
pub(crate) struct Handshake {
    config: Arc<rustls::ServerConfig>,
    patience: Duration,
    /// Resolves when a newer one needs the place.
    displaced: oneshot::Receiver<()>,
    metrics: ServerMetrics,
    warned: Arc<Mutex<Option<Instant>>>,
}

/// A connection that is through.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) place: OwnedSemaphorePermit,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("the client took longer than {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("too many others began one later")]
    Displaced,
    #[error("the client spoke plain HTTP; it should use https://")]
    PlainHttp,
    #[error("the client's first byte was no TLS")]
    NotTls,
    #[error("the client went away")]
    Closed,
    #[error("the client certificate is refused: {0}")]
    ClientCertificate(rustls::CertificateError),
    #[error("the client refused the server: {0:?}")]
    Alert(rustls::AlertDescription),
    #[error("{0}")]
    Broken(#[source] std::io::Error),
}

/// All labels of the metric.
pub(crate) const HANDSHAKE_REASONS: [&str; 8] =
    ["timeout", "displaced", "plain_http", "not_tls", "closed", "client_certificate", "refused_by_client", "broken"];

impl HandshakeError {
    fn of(error: std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(reason)) => Self::ClientCertificate(reason.clone()),
            Some(rustls::Error::AlertReceived(alert)) => Self::Alert(*alert),
            None if matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset) => Self::Closed,
            _ => Self::Broken(error),
        }
    }

    /// The label of the metric.
    fn word(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Displaced => "displaced",
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::Closed => "closed",
            Self::ClientCertificate(_) => "client_certificate",
            Self::Alert(_) => "refused_by_client",
            Self::Broken(_) => "broken",
        }
    }
}

impl Handshakes {
    pub(crate) fn new(tls: Tls, metrics: ServerMetrics) -> Self {
        Self { tls, metrics, under_way: VecDeque::new(), warned: Arc::default() }
    }

    /// Makes room for one more.
    pub(crate) fn begin(&mut self) -> Handshake {
        let config = self.tls.config();
        self.under_way.retain(|one| !one.is_closed());
        while self.under_way.len() >= config.max_handshakes.max(1) {
            self.under_way.pop_front();
        }
        let (place, displaced) = oneshot::channel();
        self.under_way.push_back(place);
        Handshake { config: self.tls.current(), patience: config.handshake_timeout, displaced, metrics: self.metrics.clone(), warned: self.warned.clone() }
    }
}

impl Handshake {
    /// Does it, and waits for one of `places`. What failed is counted and logged here.
    pub(crate) async fn run(mut self, stream: TcpStream, peer: SocketAddr, places: Arc<Semaphore>) -> Option<Secured> {
        let secured = tokio::select! {
            secured = timeout(self.patience, secure(self.config.clone(), stream, places)) => {
                secured.unwrap_or(Err(HandshakeError::Timeout(self.patience)))
            }
            _ = &mut self.displaced => Err(HandshakeError::Displaced),
        };
        secured.map_err(|error| self.failed(peer, &error)).ok()
    }

    fn failed(&self, peer: SocketAddr, error: &HandshakeError) {
        self.metrics.handshake_failed(error.word());
        // Load balancers look whether the port is open by opening it.
        if !matches!(error, HandshakeError::Closed) && self.may_warn(Instant::now()) {
            tracing::warn!(%peer, %error, "a TLS handshake failed");
        } else {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
        }
    }

    fn may_warn(&self, now: Instant) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let may = warned.is_none_or(|warned| now.duration_since(warned) >= WARN_EVERY);
        if may {
            *warned = Some(now);
        }
        may
    }
}

async fn secure(config: Arc<rustls::ServerConfig>, stream: TcpStream, places: Arc<Semaphore>) -> Result<Secured, HandshakeError> {
    let mut first = [0];
    match stream.peek(&mut first).await.map_err(HandshakeError::of)? {
        0 => return Err(HandshakeError::Closed),
        _ if first[0] == HANDSHAKE_RECORD => {}
        _ if first[0].is_ascii_uppercase() => {
            say_tls(stream).await;
            return Err(HandshakeError::PlainHttp);
        }
        _ => return Err(HandshakeError::NotTls),
    }
    let stream = TlsAcceptor::from(config).accept(stream).await.map_err(HandshakeError::of)?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| ClientCertificate::read(leaf));
    let place = match places.acquire_owned().await {
        Ok(place) => place,
        Err(_closed) => pending().await,
    };
    Ok(Secured { stream, certificate, place })
}

/// Tells a client of plain HTTP what is wrong.
async fn say_tls(mut stream: TcpStream) {
    if stream.write_all(SPEAK_TLS.as_bytes()).await.is_ok() && stream.shutdown().await.is_ok() {
        // Closing with bytes unread would reset the connection, and take the answer from the client.
        let _ = timeout(DRAIN_PATIENCE, tokio::io::copy(&mut stream.take(DRAIN_BYTES), &mut tokio::io::sink())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_well_formed() {
        let (head, body) = SPEAK_TLS.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["status"], 400);
    }
}
