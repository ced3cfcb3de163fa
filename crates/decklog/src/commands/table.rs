//! `decklog table`: what the table of events holds, and its care by hand.

mod care;
mod figures;

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::{OutputFlags, OutputFormat, TEMPLATE};
use crate::commands::Context;
use crate::config::{Config, SettingFlags, load_layers};
use crate::failure::{Exit, Failures, Outcome};
use crate::output::{Answer, Cell, Head, Listing, ListingColumn, Table, Value, plural, with_thousands};
use figures::Figures;

/// Shows the table of events, and cares for it by hand
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog table info --data-dir ./decklog-data                  files, events, bytes; also beside a running server
  decklog table compact --data-dir ./decklog-data               merge its files now
  decklog table retain --retention-max-age 400d --dry-run       which days would go

A running server does all of it by itself; compact and retain are for a data directory without one."
)]
pub(crate) struct TableFlags {
    #[command(subcommand)]
    command: TableCommand,
}

impl TableFlags {
    /// `-o`.
    pub(crate) fn output(&self) -> OutputFormat {
        match &self.command {
            TableCommand::Info(flags) => flags.output.output,
            TableCommand::Compact(flags) => flags.output.output,
            TableCommand::Retain(flags) => flags.output.output,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
enum TableCommand {
    Info(InfoFlags),
    Compact(CompactFlags),
    Retain(RetainFlags),
}

/// Which table.
#[derive(Clone, Debug, clap::Args)]
struct PlaceFlags {
    /// The data directory
    #[arg(long, value_name = "DIR", help_heading = "Target")]
    data_dir: Option<PathBuf>,
    /// Where its table lies: a folder or s3://BUCKET/PREFIX [default: table in the data directory]
    #[arg(long, value_name = "PLACE", help_heading = "Target")]
    table: Option<String>,
    /// The configuration file that says so [default: ./decklog.yaml, then /etc/decklog/decklog.yaml]
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    config: Option<PathBuf>,
}

impl PlaceFlags {
    /// The server's settings, with what flags say over them.
    fn config(&self, others: Vec<(&'static str, Option<String>)>, context: &Context) -> Result<Config, Failures> {
        let data_dir = self.data_dir.as_ref().map(|path| path.display().to_string());
        let given = others.into_iter().chain([("data-dir", data_dir), ("table", self.table.clone())]);
        Ok(load_layers(self.config.as_deref(), &SettingFlags::of(given), &[], &context.environment)?.config)
    }
}

/// Shows what the table holds: files, events, bytes, days, and how far it is behind the journal
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog table info
  decklog table info --days                 also a row for each day
  decklog table info -o json",
    after_help = "Exit codes: 0 done, 3 could not be read (decklog help exit-codes)"
)]
struct InfoFlags {
    #[command(flatten)]
    place: PlaceFlags,
    /// A row for each day
    #[arg(long, help_heading = "Output")]
    days: bool,
    #[command(flatten)]
    output: OutputFlags,
}

/// Writes what waits into the table, and merges its files into as few as can be
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog table compact --data-dir ./decklog-data
  decklog table compact --dry-run                    what it would merge; also beside a running server
  decklog table compact --vacuum-after 0s            the former files go at once: nobody else may be reading them",
    after_help = "Exit codes: 0 done, 3 could not be done, such as beside a running server (decklog help exit-codes)"
)]
struct CompactFlags {
    #[command(flatten)]
    place: PlaceFlags,
    /// Merge up to files of this size [default: 128MiB]
    #[arg(long, value_name = "SIZE", help_heading = "How")]
    table_compact_to: Option<String>,
    #[command(flatten)]
    how: care::CareFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Removes the days that are older, or more, than may be kept
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog table retain --retention-max-age 400d --dry-run
  decklog table retain --retention-max-size 200GiB
  decklog table retain --config /etc/decklog/decklog.yaml     as the server there would",
    after_help = "Exit codes: 0 done, 3 could not be done, such as beside a running server (decklog help exit-codes)"
)]
struct RetainFlags {
    #[command(flatten)]
    place: PlaceFlags,
    /// Days all of whose events are older go [default: none]
    #[arg(long, value_name = "DURATION", help_heading = "How")]
    retention_max_age: Option<String>,
    /// The oldest days go while the table is larger [default: none]
    #[arg(long, value_name = "SIZE", help_heading = "How")]
    retention_max_size: Option<String>,
    #[command(flatten)]
    how: care::CareFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Does it.
pub(crate) fn run(flags: &TableFlags, context: &Context) -> Outcome {
    match &flags.command {
        TableCommand::Info(flags) => info(flags, context),
        TableCommand::Compact(flags) => {
            let config = flags.place.config(vec![("table-compact-to", flags.table_compact_to.clone())], context)?;
            care::compact(&config, &flags.how, flags.output, context)
        }
        TableCommand::Retain(flags) => {
            let retention = vec![("retention-max-age", flags.retention_max_age.clone()), ("retention-max-size", flags.retention_max_size.clone())];
            let config = flags.place.config(retention, context)?;
            care::retain(&config, &flags.how, flags.output, context)
        }
    }
}

fn info(flags: &InfoFlags, context: &Context) -> Outcome {
    let config = flags.place.config(Vec::new(), context)?;
    let figures = Figures::read(&config, context.now)?;
    match flags.output.output {
        OutputFormat::Json => {
            let mut answer = Answer::new();
            answer.line(figures.json(flags.days).to_string().as_bytes())?;
            answer.flush()?;
        }
        OutputFormat::Csv => days(&figures, flags.output, context)?,
        OutputFormat::Table | OutputFormat::Wide => {
            let mut answer = Answer::new();
            let mut table = Table::new(vec![Head::text(""), Head::text("")], context.paint, None).without_heads();
            for (name, text) in figures.lines() {
                answer.with(|out| table.row(vec![Cell::plain(name), Cell::plain(&text)], out))?;
            }
            answer.with(|out| table.flush(out))?;
            answer.flush()?;
            drop(answer);
            if flags.days {
                days(&figures, flags.output, context)?;
            }
        }
    }
    Ok(Exit::Done)
}

fn days(figures: &Figures, output: OutputFlags, context: &Context) -> Result<(), Failures> {
    let columns = vec![
        ListingColumn::fixed("DAY", "day"),
        ListingColumn::number("FILES", "files"),
        ListingColumn::number("EVENTS", "events"),
        ListingColumn::number("BYTES", "bytes"),
        ListingColumn::number("BYTES/EVENT", "bytesPerEvent"),
    ];
    let mut listing = Listing::new(columns, output, context.paint);
    for (day, sum) in &figures.days {
        let number = |number: u64| Value::shown_as(number, &with_thousands(number));
        listing.row(vec![
            Value::text(&figures::day_text(*day)),
            number(sum.n_files as u64),
            number(sum.n_events),
            number(sum.n_bytes),
            sum.bytes_per_event().map_or_else(|| Value::shown_as(serde_json::Value::Null, ""), |bytes| Value::shown_as(bytes, &format!("{bytes:.1}"))),
        ])?;
    }
    listing.finish()?;
    if figures.days.is_empty() {
        context.note(&format!("the table is empty; {} wait in the journal", plural(figures.behind.n_events, "event")));
    }
    Ok(())
}
