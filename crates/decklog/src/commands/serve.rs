//! `decklog serve`: record and answer until stopped.

use std::path::PathBuf;

use crate::cli::TEMPLATE;
use crate::commands::Context;
use crate::config::{SettingFlags, load_layers};
use crate::failure::Outcome;
use crate::wiring::{init_logging, runtime, serve};

/// Records events from webhooks and log files, and answers searches
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog serve --data-dir ./decklog-data
  decklog serve --tail /var/log/kubernetes/audit/audit.log --cluster prod
  decklog serve --config /etc/decklog/decklog.yaml
  decklog serve --listen 127.0.0.1:8080 --retention-max-age 400d",
    after_help = "Exit codes: 0 stopped as asked, 2 the configuration is wrong, 3 it could not be done, 130 ended at once by a second
signal (decklog help exit-codes)\nAll settings: decklog config defaults, docs/config.md"
)]
pub(crate) struct ServeFlags {
    /// The configuration file [default: ./decklog.yaml, then /etc/decklog/decklog.yaml]
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    config: Option<PathBuf>,
    /// Follow this audit log file; may be given several times
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    tail: Vec<PathBuf>,
    /// Every setting.
    #[command(flatten)]
    settings: SettingFlags,
}

/// Serves until a signal.
pub(crate) fn run(flags: &ServeFlags, context: &Context) -> Outcome {
    let loaded = load_layers(flags.config.as_deref(), &flags.settings, &flags.tail, &context.environment)?;
    init_logging(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(loaded.config, &|text| context.note(text)));
    // A thread that still waits on the disk must not keep the process: everything that was acknowledged is safe.
    runtime.shutdown_background();
    outcome
}
