//! `decklog config`: look at the server's configuration before it runs.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::TEMPLATE;
use crate::commands::Context;
use crate::config::{SettingFlags, commented_file, load_layers};
use crate::failure::{Exit, Outcome};
use crate::output::{Answer, Cell, Head, Table, terminal_width};

/// Checks the configuration of `serve`, or prints one to begin with
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog config check                            the file that serve would take
  decklog config check new.yaml --show-origin     each value and where it comes from
  decklog config defaults > decklog.yaml          a file with every setting, explained"
)]
pub(crate) struct ConfigFlags {
    /// Which.
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ConfigCommand {
    Check(CheckFlags),
    Defaults(DefaultsFlags),
}

/// Reads the file and the DECKLOG_ variables as serve would, and reports everything that is wrong
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog config check
  decklog config check decklog.yaml
  decklog config check --show-origin",
    after_help = "Exit codes: 0 nothing is wrong, 2 something is (decklog help exit-codes)\nAll settings: docs/config.md"
)]
struct CheckFlags {
    /// The file; without it the one that serve would take
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print each value with where it comes from
    #[arg(long)]
    show_origin: bool,
}

/// Prints a file with every setting, what it means and its default
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog config defaults
  decklog config defaults > decklog.yaml",
    after_help = "Exit codes: 0 done (decklog help exit-codes)"
)]
struct DefaultsFlags {}

/// Does it.
pub(crate) fn run(flags: &ConfigFlags, context: &Context) -> Outcome {
    match &flags.command {
        ConfigCommand::Check(flags) => check(flags, context),
        ConfigCommand::Defaults(DefaultsFlags {}) => defaults(),
    }
}

fn check(flags: &CheckFlags, context: &Context) -> Outcome {
    let loaded = load_layers(flags.file.as_deref(), &SettingFlags::default(), &[], &context.environment)?;
    for warning in &loaded.warnings {
        context.note(&format!("warning: {warning}"));
    }
    if flags.show_origin {
        let mut answer = Answer::new();
        let width = std::io::stdout().is_terminal().then(terminal_width).flatten();
        let heads = vec![Head { cut_rank: 0, ..Head::text("SETTING") }, Head::text("VALUE"), Head { cut_rank: 2, ..Head::text("ORIGIN") }];
        let mut table = Table::new(heads, context.paint, width);
        for given in &loaded.given {
            let value = if given.value.is_empty() { "\"\"" } else { &given.value };
            let row = vec![Cell::plain(given.setting.path), Cell::plain(value), Cell::plain(&given.origin.to_string())];
            answer.with(|out| table.row(row, out))?;
        }
        answer.with(|out| table.flush(out))?;
        answer.flush()?;
    }
    let read = loaded.file.as_ref().map_or("no file, so the defaults".to_owned(), |file| file.display().to_string());
    context.note(&format!("nothing is wrong ({read})"));
    Ok(Exit::Done)
}

fn defaults() -> Outcome {
    let mut answer = Answer::new();
    answer.with(|out| out.write_all(commented_file().as_bytes()))?;
    answer.flush()?;
    Ok(Exit::Done)
}
