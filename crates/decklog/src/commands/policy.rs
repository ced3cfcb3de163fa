//! `decklog policy`: audit policies, understood and tried on recorded traffic. What is decided is in `audit::policy`; here are
//! the flags and the printing.

mod diff;
mod explain;
mod file;
mod generate;
mod simulate;
mod test;
mod traffic;

use clap::Subcommand;

use crate::cli::{OutputFormat, TEMPLATE};
use crate::commands::Context;
use crate::failure::Outcome;

pub(crate) use explain::lines_of;

/// Explains audit policies, tries them on recorded traffic, writes them
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog policy explain policy.yaml --verb get --resource secrets -n shop --user bob
  decklog policy simulate policy.yaml --events audit.log           what it would have recorded
  decklog policy diff policy.yaml new.yaml --events audit.log      what is gained and lost
  decklog policy generate --from audit.log --budget 500MB/day      a policy from that traffic
  decklog policy test policy.yaml                                  its own cases, from policy.test.yaml"
)]
pub(crate) struct PolicyFlags {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum PolicyCommand {
    Explain(explain::ExplainFlags),
    Simulate(simulate::SimulateFlags),
    Diff(diff::DiffFlags),
    Generate(generate::GenerateFlags),
    Test(test::TestFlags),
}

impl PolicyFlags {
    /// `-o`, which is also the form of errors.
    pub(crate) fn output(&self) -> OutputFormat {
        let for_programs = match &self.command {
            PolicyCommand::Explain(flags) => flags.for_programs(),
            PolicyCommand::Simulate(flags) => flags.for_programs(),
            PolicyCommand::Diff(flags) => flags.for_programs(),
            PolicyCommand::Generate(flags) => flags.for_programs(),
            PolicyCommand::Test(_) => false,
        };
        if for_programs { OutputFormat::Json } else { OutputFormat::Table }
    }
}

/// Does it.
pub(crate) fn run(flags: &PolicyFlags, context: &Context) -> Outcome {
    match &flags.command {
        PolicyCommand::Explain(flags) => explain::run(flags),
        PolicyCommand::Simulate(flags) => simulate::run(flags, context),
        PolicyCommand::Diff(flags) => diff::run(flags, context),
        PolicyCommand::Generate(flags) => generate::run(flags, context),
        PolicyCommand::Test(flags) => test::run(flags),
    }
}
