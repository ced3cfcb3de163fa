//! The listener: accepts, serves, and stops within a deadline.
//!
//! ```text
//! start ──► starting: health, version, 503 for the rest ──hand_over──► serving ──stop──► closed
//! ```
//!
//! With TLS each connection does its handshake first, in a task of its own (`tls/handshake.rs`).
//!
//! Stopping, in order: readiness turns false and tails end; no connection is accepted any more; requests
//! under way finish; at the deadline what is left is cut; marks reach the journal. Only then may
//! the binary close the journal.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::access::{Access, Connection, Transport};
use crate::api::{CursorKey, TailConfig};
use crate::front::{Front, Ready};
use crate::limits::{Limits, LimitsConfig};
use crate::mark::Marks;
use crate::metrics::ServerMetrics;
use crate::parts::Parts;
use crate::router::{Shared, router};
use crate::tls::{Handshakes, Tls};

/// How the server serves.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Connections at once; the next ones wait in the listener's queue.
    pub max_connections: usize,
    /// How long a connection may take to bring the next request's head, idle time included.
    pub header_timeout: Duration,
    /// The largest head of a request.
    pub max_header_bytes: usize,
    /// How much one identity may ask for.
    pub limits: LimitsConfig,
    /// How tails behave.
    pub tail: TailConfig,
    /// Speaks TLS, and only TLS; `None` is plain HTTP, which only loopback addresses may have.
    pub tls: Option<Tls>,
    /// Signs cursors. With a key that outlives a restart, so do cursors.
    pub cursor_key: [u8; 32],
}

impl ServerConfig {
    /// The defaults of `docs/api.md`.
    pub fn new(cursor_key: [u8; 32]) -> Self {
        Self {
            max_connections: 1_024,
            header_timeout: Duration::from_secs(10),
            max_header_bytes: 64 << 10,
            limits: LimitsConfig::default(),
            tail: TailConfig::default(),
            tls: None,
            cursor_key,
        }
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is reachable from other machines, and there is no TLS.
    #[error("cannot listen on `{address}` without TLS, since other machines can reach it: set server.tls.certFile and server.tls.keyFile, or use 127.0.0.1:{} or [::1]:{}", .address.port(), .address.port())]
    NoTls {
        /// The address.
        address: SocketAddr,
    },
    /// The address is reachable from other machines, and nobody has a credential.
    #[error("cannot listen on `{address}` without credentials, since other machines can reach it: set server.auth.tokensFile, server.auth.kubernetes or server.tls.clientCAFile, or use 127.0.0.1:{} or [::1]:{}", .address.port(), .address.port())]
    NoCredentials {
        /// The address.
        address: SocketAddr,
    },
    /// The listener cannot tell its address.
    #[error("cannot read the listener's address: {0}")]
    Address(#[source] std::io::Error),
}

/// Whether the server may listen on `address`; to be asked before binding. Loopback always may; what other machines
/// reach needs TLS, and credentials that come by a tokens file, a source's token, Kubernetes or a client certificate.
///
/// # Errors
/// [`StartError::NoTls`] or [`StartError::NoCredentials`].
pub fn check_listen(address: SocketAddr, tls: Option<&Tls>, access: &Access) -> Result<(), StartError> {
    match tls {
        _ if address.ip().to_canonical().is_loopback() => Ok(()),
        None => Err(StartError::NoTls { address }),
        Some(tls) if access.has_open_door() && !tls.takes_client_certificates() => Err(StartError::NoCredentials { address }),
        Some(_) => Ok(()),
    }
}

/// How a stop went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut at the deadline.
    pub n_cut: usize,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    front: Arc<Front>,
    config: ServerConfig,
    announced: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<Connections>,
}

impl Server {
    /// Begins to serve: health and version at once, everything else after [`Server::hand_over`]. Must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// When the listener's address can be reached from other machines, and TLS or credentials are missing.
    pub fn start(listener: TcpListener, config: ServerConfig, access: Access, metrics: ServerMetrics) -> Result<Self, StartError> {
        let address = listener.local_addr().map_err(StartError::Address)?;
        check_listen(address, config.tls.as_ref(), &access)?;
        let access = if config.tls.as_ref().is_some_and(Tls::takes_client_certificates) { access.with_client_certificates() } else { access };
        let (announced, announced_seen) = watch::channel(false);
        let (stopping, stopping_seen) = watch::channel(false);
        if let Some(tls) = &config.tls {
            // Ends with the stop.
            tokio::spawn(tls.clone().keep_fresh(metrics.clone(), stopping_seen.clone()));
        }
        let front = Arc::new(Front { access: Arc::new(access), tls: config.tls.clone(), metrics, stopping: announced_seen, ready: OnceLock::new() });
        let connections = Connections::new(front.clone(), &config, stopping_seen);
        let accepting = tokio::spawn(connections.accept(listener));
        Ok(Self { address, front, config, announced, stopping, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands over everything behind the routes; from now on they answer. A second call changes nothing.
    ///
    /// # Panics
    /// When two routers have the same route, or a router has a fallback.
    pub fn hand_over(&self, mut parts: Parts) {
        let others = std::mem::take(&mut parts.routers);
        let shared = Arc::new(Shared {
            access: self.front.access.clone(),
            limits: Limits::new(self.config.limits),
            marks: Marks::new(parts.journal.clone(), self.front.metrics.clone(), parts.clock.clone(), parts.redactor.clone()),
            metrics: self.front.metrics.clone(),
            cursor_key: CursorKey::new(&self.config.cursor_key),
            tail: self.config.tail,
            stopping: self.front.stopping.clone(),
            parts,
        });
        let ready = Ready { router: router(&shared, others), shared };
        if self.front.ready.set(ready).is_err() {
            tracing::warn!("the server's parts were handed over twice; the first ones stay");
        }
    }

    /// Turns readiness false and ends tails, while connections are still accepted and everything else is
    /// answered. [`Server::stop`] does it too; calling it before gives load balancers time to see it.
    pub fn announce_stop(&self) {
        self.announced.send_replace(true);
    }

    /// Stops: requests under way have until `patience` is over, then they are cut. When this returns, no
    /// handler runs and every mark has reached the journal or failed.
    pub async fn stop(self, patience: Duration) -> Stopped {
        let deadline = Instant::now() + patience;
        self.announce_stop();
        self.stopping.send_replace(true);
        let n_cut = match self.accepting.await {
            Ok(connections) => connections.close(deadline).await,
            Err(error) => {
                tracing::error!(%error, "the accept loop broke");
                0
            }
        };
        if let Some(ready) = self.front.ready.get()
            && timeout_at(deadline.max(Instant::now() + MARKS_PATIENCE), ready.shared.marks.drained()).await.is_err()
        {
            tracing::error!("marks of reads did not reach the journal before the deadline");
        }
        Stopped { n_cut }
    }
}

/// What marks get at least, even when connections have used up the deadline.
const MARKS_PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait after a failed accept: mostly the process has too many files open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The connections under way.
struct Connections {
    front: Arc<Front>,
    http: http1::Builder,
    places: Arc<Semaphore>,
    handshakes: Option<Handshakes>,
    stopping: watch::Receiver<bool>,
    tasks: JoinSet<()>,
}

impl Connections {
    fn new(front: Arc<Front>, config: &ServerConfig, stopping: watch::Receiver<bool>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(config.header_timeout).max_header_size(config.max_header_bytes).keep_alive(true);
        let handshakes = config.tls.clone().map(|tls| Handshakes::new(tls, front.metrics.clone()));
        Self { front, http, places: Arc::new(Semaphore::new(config.max_connections)), handshakes, stopping, tasks: JoinSet::new() }
    }

    /// Accepts until the server stops.
    async fn accept(mut self, listener: TcpListener) -> Self {
        let mut stopping = self.stopping.clone();
        loop {
            // With TLS a connection takes its place after its handshake, so that a slow one holds none.
            let place = match self.handshakes {
                Some(_) => None,
                None => tokio::select! {
                    place = self.places.clone().acquire_owned() => Some(place.expect("the semaphore is never closed")),
                    _ = stopping.wait_for(|stopping| *stopping) => return self,
                },
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = self.tasks.join_next() => continue,
                _ = stopping.wait_for(|stopping| *stopping) => return self,
            };
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer, place),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, peer: SocketAddr, place: Option<OwnedSemaphorePermit>) {
        // Answers are written whole: waiting for more to send with them only adds delay.
        let _ = stream.set_nodelay(true);
        let serving = Serving { front: self.front.clone(), http: self.http.clone(), stopping: self.stopping.clone() };
        let Some(handshakes) = &mut self.handshakes else {
            self.tasks.spawn(async move {
                serving.run(stream, Connection { peer, transport: Transport::Clear, certificate: None }).await;
                drop(place);
            });
            return;
        };
        let handshake = handshakes.begin();
        let (places, mut stopping) = (self.places.clone(), self.stopping.clone());
        self.tasks.spawn(async move {
            let secured = tokio::select! {
                secured = handshake.run(stream, peer, places) => secured,
                _ = stopping.wait_for(|stopping| *stopping) => None,
            };
            if let Some(secured) = secured {
                serving.run(secured.stream, Connection { peer, transport: Transport::Tls, certificate: secured.certificate }).await;
                drop(secured.place);
            }
        });
    }

    /// Lets requests finish, cuts them at the deadline, and gives the number cut.
    async fn close(mut self, deadline: Instant) -> usize {
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout_at(deadline, all_ended).await.is_ok() {
            return 0;
        }
        let n_cut = self.tasks.len();
        tracing::warn!(connections = n_cut, "connections were cut at the deadline");
        self.tasks.shutdown().await;
        n_cut
    }
}

/// Serves one connection to its end.
struct Serving {
    front: Arc<Front>,
    http: http1::Builder,
    stopping: watch::Receiver<bool>,
}

impl Serving {
    async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin, connection: Connection) {
        let peer = connection.peer;
        let shared = Arc::new(connection);
        let service = service_fn(move |request: http::Request<Incoming>| {
            let (front, connection) = (self.front.clone(), shared.clone());
            async move { Ok::<_, Infallible>(front.answer(connection, request.map(Body::new)).await) }
        });
        let mut connection = std::pin::pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}
