//! The rooms put together: an open store, and the server around it.

mod forward;
mod keys;
mod logging;
mod quarantine;
mod reviews;
mod server;
mod signals;
mod sources;
mod store;
mod table;

pub(crate) use forward::{ForwardConfig, forward};
pub(crate) use logging::init_logging;
pub(crate) use server::serve;
pub(crate) use store::{Store, table_config, whole_reason};

use crate::failure::Failure;

/// Which build this is.
fn build() -> decklog_server::Build {
    decklog_server::Build { version: env!("CARGO_PKG_VERSION").to_owned(), revision: option_env!("DECKLOG_REVISION").unwrap_or("unknown").to_owned() }
}

/// The runtime of commands that speak to the network or capture events.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| Failure::failed("runtime", format!("cannot start threads: {error}")))
}
