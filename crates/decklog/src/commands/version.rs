//! `decklog version`: of this program, and of the server it is asked about.

use crate::cli::{OutputFormat, SummaryFlags, TEMPLATE};
use crate::commands::Context;
use crate::failure::{Exit, Outcome};
use crate::output::Answer;

/// Prints the version
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog version
  decklog version -o json",
    after_help = "Exit codes: 0 done (decklog help exit-codes)"
)]
pub(crate) struct VersionFlags {
    /// How to write it.
    #[command(flatten)]
    pub(crate) output: SummaryFlags,
}

/// Prints it.
pub(crate) fn run(flags: &VersionFlags, _context: &Context) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    let mut answer = Answer::new();
    match flags.output.output {
        OutputFormat::Json => answer.line(serde_json::json!({ "version": version }).to_string().as_bytes())?,
        _ => answer.line(format!("decklog {version}").as_bytes())?,
    }
    answer.flush()?;
    Ok(Exit::Done)
}
