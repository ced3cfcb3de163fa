//! What the end-to-end suites share: the real binary in a folder of its own, a small HTTP client, the recorded
//! logs, and a real control plane.
//!
//! The suites are in `tests/tests`, one file each, and know decklog from outside only: its commands, its HTTP
//! interface and its files. They are run by `scripts/suites` (`make test`); with `DECKLOG_SOAK` set they run
//! their long forms. [`conformance`] stands apart: it plays the vectors of the real kube-apiserver.

pub mod binary;
pub mod conformance;
pub mod http;
pub mod lab;
pub mod logs;
pub mod process;
#[cfg(test)]
mod simulated;
pub mod wait;

use std::path::PathBuf;

/// The checkout this was built from.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `short`, or `long` under `make soak`.
pub fn short_or_soak<T>(short: T, long: T) -> T {
    if std::env::var_os("DECKLOG_SOAK").is_some_and(|value| !value.is_empty()) { long } else { short }
}

/// A fact for the closing table of `make test`.
#[allow(clippy::print_stdout, reason = "the suites' way to speak to scripts/suites")]
pub fn shown(fact: &str) {
    println!("\nshown: {fact}");
}
