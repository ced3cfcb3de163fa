//! HTTP: who may come in, the API, the live tail, health and metrics.
//!
//! The binary starts a [`Server`] on a listener before the journal is recovered, and hands over its
//! [`Parts`] when it is. The server knows the journal and the search only by the seams of `decklog-audit`;
//! routes of other rooms (such as the webhook receiver) are handed in as routers and sit behind the same
//! [`Access`]. What the routes take and give is in `docs/api.md`.
//!
//! ```no_run
//! # async fn run(listener: tokio::net::TcpListener, parts: decklog_server::Parts) -> Result<(), Box<dyn std::error::Error>> {
//! use decklog_server::{AccessConfig, Build, Server, ServerConfig, ServerMetrics};
//! let mut registry = prometheus_client::registry::Registry::default();
//! let metrics = ServerMetrics::register(&mut registry, Build { version: "0.1.0".into(), revision: "unknown".into() });
//! let server = Server::start(listener, ServerConfig::new([0; 32]), AccessConfig::default().build()?, metrics)?;
//! server.hand_over(parts); // after recovery
//! server.stop(std::time::Duration::from_secs(20)).await;
//! # Ok(()) }
//! ```
//!
//! It leaves to others: what a filter means, how a search is done, what becomes of what is sent in.

mod access;
mod api;
mod background;
mod front;
mod health;
mod limits;
mod mark;
mod metrics;
mod openapi;
mod parts;
mod problem;
mod router;
mod server;
mod status;
mod tls;
mod ui;

pub use access::{
    Access, AccessConfig, AccessError, ClusterUser, RESOURCE, ReviewError, Reviewer, Sender, SessionToken, Shut, Tokens, TokensError, hash_token,
};
pub use api::TailConfig;
pub use background::lower_priority;
pub use limits::LimitsConfig;
pub use metrics::{Build, ServerMetrics};
pub use parts::{Check, Clock, Parts, QuarantineItem, QuarantineRequest, QuarantineView, SourceStatus};
pub use problem::{ParameterError, Problem, ProblemKind};
pub use server::{Server, ServerConfig, StartError, Stopped, check_listen};
pub use status::Status;
pub use tls::{Tls, TlsConfig, TlsError};
