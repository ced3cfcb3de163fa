//! Events come in.
//!
//! * [`webhook`]: what kube-apiserver's `--audit-webhook-config-file` sends to, as an axum router;
//! * [`tail`]: an audit log file, followed through its rotations;
//! * [`import`]: log files and folders, once;
//! * [`layer`]: any HTTP service, auditing itself as kube-apiserver does;
//! * [`split`]: finds the events in any stream of JSON bytes.
//!
//! Everything taken goes through `decklog_audit::intake::Intake` into a batch of the [journal], what
//! cannot be taken into the [quarantine]; this room knows these two only as traits, and never where events
//! go from there.
//!
//! [journal]: decklog_audit::journal::Journal
//! [quarantine]: decklog_audit::quarantine::Quarantine

pub mod split;
pub mod metrics;
mod recorder;
pub mod webhook;
mod rotation;
pub mod vitals;
pub mod import;
pub mod tail;
pub mod layer;
#[cfg(test)]
mod testing;

pub use metrics::CaptureMetrics;
pub use recorder::Recorder;
