//! The commands, one file each.

pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod forward;
pub(crate) mod help;
pub(crate) mod import;
pub(crate) mod policy;
pub(crate) mod quarantine;
pub(crate) mod request_info;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod sources;
pub(crate) mod sql;
pub(crate) mod table;
pub(crate) mod tail;
pub(crate) mod top;
pub(crate) mod version;

use std::io::Write;

use crate::cli::{Cli, Command, CommonFlags, OutputFormat};
use crate::failure::Outcome;
use crate::invoked::Invoked;
use crate::output::{Paint, Zone};

/// What every command is given: how to look, and what time it is.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The common flags.
    pub(crate) common: CommonFlags,
    /// By which name the program was called.
    pub(crate) invoked: Invoked,
    /// Colour of stdout.
    pub(crate) paint: Paint,
    /// Every variable.
    pub(crate) environment: Vec<(String, String)>,
    /// The moment the program began, by which words such as `7d` are read.
    pub(crate) now: decklog_audit::Timestamp,
}

impl Context {
    /// The value of a variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Says something on stderr beside the answer, unless `-q`.
    pub(crate) fn note(&self, text: &str) {
        if !self.common.quiet {
            // A stderr that is gone is no reason to fail.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Says something on stderr with `-v`.
    pub(crate) fn detail(&self, text: &str) {
        if self.common.verbose > 0 {
            self.note(text);
        }
    }

    /// The zone of human times: `--utc`, else `DECKLOG_TZ`, else this machine's on a terminal and UTC in a pipe.
    pub(crate) fn zone(&self, utc: bool, format: OutputFormat) -> Zone {
        use std::io::IsTerminal;
        if utc || format.is_machine() {
            return Zone::utc();
        }
        match self.variable("DECKLOG_TZ") {
            Some(name) => Zone::named(name),
            None if std::io::stdout().is_terminal() => Zone::local(),
            None => Zone::utc(),
        }
    }
}

/// Runs the command.
pub(crate) fn run(cli: Cli, context: &Context) -> Outcome {
    match cli.command {
        Command::Serve(flags) => serve::run(&flags, context),
        Command::Import(flags) => import::run(&flags, context),
        Command::Forward(flags) => forward::run(&flags, context),
        Command::Search(flags) => search::run(&flags, context),
        Command::Tail(flags) => tail::run(&flags, context),
        Command::Sql(flags) => sql::run(&flags, context),
        Command::Top(flags) => top::run(&flags, context),
        Command::Table(flags) => table::run(&flags, context),
        Command::Policy(flags) => policy::run(&flags, context),
        Command::RequestInfo(flags) => request_info::run(&flags),
        Command::Quarantine(flags) => quarantine::run(&flags, context),
        Command::Sources(flags) => sources::run(&flags, context),
        Command::Config(flags) => config::run(&flags, context),
        Command::Version(flags) => version::run(&flags, context),
        Command::Completion(flags) => completion::run(&flags, context),
        Command::Complete(flags) => completion::complete(&flags, context),
        Command::Help(flags) => help::run(&flags, context),
    }
}
