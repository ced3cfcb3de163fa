//! decklog: records Kubernetes audit events durably, and finds them.
//!
//! This crate is the only one that knows all the others. It decides nothing: it reads arguments ([`cli`]) and
//! configuration ([`config`]), puts the rooms together ([`wiring`]), shows what comes out ([`output`]) and
//! turns every error into a text and an exit code ([`failure`]).

mod cli;
mod client;
mod commands;
mod config;
mod failure;
mod invoked;
mod kubernetes;
mod output;
mod place;
mod progress;
mod question;
mod suggest;
mod target;
mod wiring;

#[cfg(test)]
mod bless;

use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::cli::{Cli, OutputFormat};
use crate::commands::Context;
use crate::failure::{ErrorFormat, Exit};
use crate::invoked::Invoked;
use crate::output::Paint;

fn main() -> ExitCode {
    let environment: Vec<(String, String)> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let given: Vec<_> = std::env::args_os().collect();
    let invoked = Invoked::of(given.first().map(std::ffi::OsString::as_os_str));
    let mut command = invoked.command();
    let parsed = command.try_get_matches_from_mut(invoked.arguments(given)).and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    let cli = match parsed.map_err(|error| error.format(&mut command)) {
        Ok(cli) => cli,
        Err(error) => return usage_error(&error, &environment),
    };
    let errors = match cli.command.output() {
        OutputFormat::Json => ErrorFormat::Json,
        _ => ErrorFormat::Text(Paint::for_stderr(cli.common.color)),
    };
    let context = Context {
        paint: Paint::for_stdout(cli.common.color),
        common: cli.common.clone(),
        invoked,
        environment,
        now: decklog_audit::Timestamp::from_system(std::time::SystemTime::now()),
    };
    let exit = match commands::run(cli, &context) {
        Ok(exit) => exit,
        Err(failures) => {
            failure::print(&failures, errors);
            failures.exit()
        }
    };
    exit.into()
}

/// Help and version go to stdout and are no error; clap's own errors are already in our style.
fn usage_error(error: &clap::Error, environment: &[(String, String)]) -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let exit = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ if words.iter().filter(|word| !word.to_string_lossy().starts_with('-')).take(2).eq(["policy", "check"]) => Exit::CheckUsage,
        _ => Exit::Usage,
    };
    let variable = environment.iter().find(|(name, _)| name == "DECKLOG_OUTPUT").map(|(_, value)| value.as_str());
    if exit != Exit::Done && failure::asks_for_json(&words, variable) {
        failure::print(&failure::of_clap(error), ErrorFormat::Json);
    } else {
        let _ = error.print();
    }
    exit.into()
}
