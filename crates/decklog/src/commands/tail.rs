//! `decklog tail`: events as they come.

use decklog_audit::search::{Order, TimeRange};

use crate::cli::{OutputFlags, OutputFormat, ScopeFlags, TEMPLATE, TargetFlags};
use crate::commands::Context;
use crate::failure::{Exit, Outcome};
use crate::output::{Column, EventForm, EventWriter};
use crate::question::{Stages, filter_text, with_stages};
use crate::target::{Question, Target};

/// Shows events as they come
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog tail outcome:denied                  refusals as they happen
  decklog tail user:mallory --last 20          after the newest 20 that are there
  decklog tail 'verbclass:connect' -o json     for another program, every stage",
    after_help = "Exit codes: 130 stopped with Ctrl-C, 2 wrong filter, 3 could not be read, 4 not allowed
(decklog help exit-codes; decklog help filter, fields)"
)]
pub(crate) struct TailFlags {
    /// Which events; several words are joined (decklog help filter)
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// Where they are.
    #[command(flatten)]
    target: TargetFlags,
    /// Whose.
    #[command(flatten)]
    scope: ScopeFlags,
    /// final, all or a list [default: final in tables, else all]
    #[arg(long, value_name = "STAGES", help_heading = "Which events")]
    stages: Option<String>,
    /// Begin with the newest N that are there
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Which events")]
    last: usize,
    /// How it is written.
    #[command(flatten)]
    pub(crate) output: OutputFlags,
    /// The columns of tables and CSV, with commas between
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST", hide_possible_values = true, help_heading = "Output")]
    columns: Vec<Column>,
    /// Times in UTC, also on a terminal
    #[arg(long, help_heading = "Output")]
    utc: bool,
}

/// Follows.
pub(crate) fn run(flags: &TailFlags, context: &Context) -> Outcome {
    let format = flags.output.output;
    let filter = filter_text(&flags.filter, &flags.scope, context.now)?;
    let stages = flags.stages.as_deref().map(Stages::parse).transpose()?.unwrap_or(if format.is_machine() { Stages::All } else { Stages::Final });
    let target = Target::choose(&flags.target, context)?;
    let columns = match format {
        _ if !flags.columns.is_empty() => flags.columns.clone(),
        OutputFormat::Table => Column::TAIL.to_vec(),
        _ => Column::WIDE.to_vec(),
    };
    let zone = context.zone(flags.utc, format);
    let mut writer = EventWriter::new(EventForm { output: flags.output, columns, zone, paint: context.paint, live: true });
    let question = Question { filter: with_stages(&filter, &stages), range: TimeRange::default(), limit: None, order: Order::Ascending, now: context.now };
    target.tail(&question, flags.last, context, &mut |line, time| writer.event(line, time))?;
    Ok(Exit::Done)
}
