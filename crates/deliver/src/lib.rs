//! Events go out: a [`Runner`] follows the journal for one sink, at its own pace and with a cursor of its own.
//!
//! ```text
//! journal ─► Runner: take ─► deliver ─► commit the cursor        Sink: one batch, once
//!                     ▲         │ later: pause, the same again
//!                     └─────────┤ refused: halve, until one event is left ─► quarantine, with the answer
//! ```
//!
//! Beside it stand kube-apiserver's own [`backend`]s, which the audit layer calls while a request waits, and what a client of other
//! servers needs: a [`kubeconfig`], [`tls`], a [`connector`].
//!
//! Decisions are values: how long to pause ([`retry`]), what an answer over HTTP means and what a body looks like
//! ([`webhook`]). Only [`runner`] is asynchronous. Who speaks to the other side is a [`decklog_audit::sink::Sink`] that
//! the binary hands in.

pub mod backend;
pub mod connector;
pub mod kubeconfig;
pub mod metrics;
mod random;
pub mod retry;
pub mod runner;
pub mod tls;
pub mod webhook;

pub use metrics::SinkMetrics;
pub use runner::{Runner, RunnerConfig, SinkState, SinkStatus, SinkStatusHandle};
