//! decklog's own log, on stderr.

use std::io::IsTerminal;

use crate::config::{LogConfig, LogFormat};

/// Sends the log to stderr. The first call holds.
pub(crate) fn init_logging(config: &LogConfig) {
    let builder = tracing_subscriber::fmt().with_max_level(config.level).with_writer(std::io::stderr).with_target(config.level >= tracing::Level::DEBUG);
    let set = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()).try_init(),
    };
    // Only a second call can fail, and then the log is set up already.
    drop(set);
}
