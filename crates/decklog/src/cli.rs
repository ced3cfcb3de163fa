//! The tree of commands and the flags they share.
//!
//! Each command is a file in `commands/`: its flags, its help, and what it does. Adding one is that file, its
//! variant here and its line in `commands::run`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{completion, config, forward, help, import, policy, quarantine, request_info, search, serve, sources, sql, table, tail, top, version};
use crate::output::ColorChoice;

/// Sentence, usage, examples, arguments, exit codes.
pub(crate) const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

/// Records Kubernetes audit events durably, and finds them.
#[derive(Debug, Parser)]
#[command(
    name = "decklog",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog import audit.log.zst --data-dir ./decklog-data       put recorded events in
  decklog search verb:delete ns:shop --since 7d                who deleted what
  decklog serve --data-dir ./decklog-data --tail audit.log     follow a cluster
  decklog tail outcome:denied                                  see refusals as they happen
  decklog sql 'SELECT verb, count(*) FROM requests GROUP BY 1' ask in SQL",
    after_help = "Topics: decklog help filter, time, output, exit-codes, environment, fields"
)]
pub(crate) struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::ServeFlags),
    Import(import::ImportFlags),
    Forward(forward::ForwardFlags),
    Search(search::SearchFlags),
    Tail(tail::TailFlags),
    Sql(sql::SqlFlags),
    Top(top::TopFlags),
    Table(table::TableFlags),
    Policy(policy::PolicyFlags),
    RequestInfo(request_info::RequestInfoFlags),
    Quarantine(quarantine::QuarantineFlags),
    Sources(sources::SourcesFlags),
    Config(config::ConfigFlags),
    Version(version::VersionFlags),
    Completion(completion::CompletionFlags),
    #[command(hide = true)]
    Complete(completion::CompleteFlags),
    Help(help::HelpFlags),
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct CommonFlags {
    /// When to colour
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        env = "DECKLOG_COLOR",
        hide_env = true,
        hide_short_help = true,
        help_heading = "Common"
    )]
    pub(crate) color: ColorChoice,
    /// When to show progress of long work
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, hide_short_help = true, help_heading = "Common")]
    pub(crate) progress: ProgressChoice,
    /// No notes and totals on stderr, only errors
    #[arg(short, long, global = true, help_heading = "Common")]
    pub(crate) quiet: bool,
    /// Say more of what is done and chosen; -vv and -vvv still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Common")]
    pub(crate) verbose: u8,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressChoice {
    /// A bar on a terminal, else a line each 10 s.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where the events are.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TargetFlags {
    /// The decklog server to ask
    #[arg(long, value_name = "URL", conflicts_with = "data_dir", help_heading = "Target")]
    pub(crate) server: Option<String>,
    /// The data directory to read; also while a server writes there
    #[arg(long, value_name = "DIR", help_heading = "Target")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The configuration of the data directory's server: where its table lies [default: as recorded in the directory]
    #[arg(long, value_name = "FILE", conflicts_with = "server", hide_short_help = true, help_heading = "Target")]
    pub(crate) config: Option<PathBuf>,
    /// A file with the bearer token for the server
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    pub(crate) token_file: Option<PathBuf>,
    /// The authorities to trust at an https:// server, in PEM, in place of the system's
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = "Target")]
    pub(crate) ca_file: Option<PathBuf>,
    /// A client certificate for the server, in PEM
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = "Target")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Its key, if that is another file
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = "Target")]
    pub(crate) client_key: Option<PathBuf>,
    /// Ask the decklog inside the cluster that this kubeconfig names (docs/kubectl.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "data_dir", "config"], help_heading = "Target")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to take in place of the current one
    #[arg(long, value_name = "NAME", conflicts_with_all = ["server", "data_dir", "config"], help_heading = "Target")]
    pub(crate) context: Option<String>,
    /// decklog's Service in that cluster, in place of the one found by its label
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with_all = ["server", "data_dir", "config"], hide_short_help = true, help_heading = "Target")]
    pub(crate) service: Option<String>,
}

/// Which events.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ScopeFlags {
    /// Only events of this namespace
    #[arg(short, long, value_name = "NS", help_heading = "Which events")]
    pub(crate) namespace: Option<String>,
    /// Events of all namespaces and of none: the default
    #[arg(short = 'A', long, hide_short_help = true, conflicts_with = "namespace", help_heading = "Which events")]
    pub(crate) all_namespaces: bool,
    /// Only events of this cluster
    #[arg(long, value_name = "NAME", help_heading = "Which events")]
    pub(crate) cluster: Option<String>,
}

/// From when to when.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RangeFlags {
    /// Not before: 15m, 7d, today, 2026-11-22, RFC 3339 (decklog help time)
    #[arg(long, value_name = "TIME", help_heading = "Which events")]
    pub(crate) since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME", help_heading = "Which events")]
    pub(crate) until: Option<String>,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For people with wide terminals.
    Wide,
    /// One object a line; an event is its stored bytes.
    Json,
    /// With a header row.
    Csv,
}

impl OutputFormat {
    /// Whether programs read it.
    pub(crate) fn is_machine(self) -> bool {
        matches!(self, Self::Json | Self::Csv)
    }
}

/// `-o` of commands that answer with one thing.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct SummaryFlags {
    /// table is for people, json for programs
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t, hide_possible_values = true, help_heading = "Output")]
    pub(crate) output: OutputFormat,
}

/// `-o`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct OutputFlags {
    /// The form of the answer: table, wide, json or csv
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        env = "DECKLOG_OUTPUT",
        hide_env = true,
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub(crate) output: OutputFormat,
    /// No head row
    #[arg(long, help_heading = "Output")]
    pub(crate) no_headers: bool,
}

impl Command {
    /// The form of the answer, which is also the form of errors.
    pub(crate) fn output(&self) -> OutputFormat {
        match self {
            Self::Search(flags) => flags.output.output,
            Self::Tail(flags) => flags.output.output,
            Self::Sql(flags) => flags.output(),
            Self::Top(flags) => flags.output.output,
            Self::Import(flags) => flags.output.output,
            Self::Table(flags) => flags.output(),
            Self::Policy(flags) => flags.output(),
            Self::RequestInfo(_) => OutputFormat::Json,
            Self::Quarantine(flags) => flags.output(),
            Self::Sources(flags) => flags.output(),
            Self::Version(flags) => flags.output.output,
            Self::Serve(_) | Self::Forward(_) | Self::Config(_) | Self::Completion(_) | Self::Complete(_) | Self::Help(_) => OutputFormat::Table,
        }
    }
}
