//! `decklog search`: events that match, or how many there are, by value and over time.

mod facets;
mod histogram;

use std::path::PathBuf;

use decklog_audit::Filter;
use decklog_audit::search::{Order, TimeRange};

use crate::cli::{OutputFlags, OutputFormat, RangeFlags, ScopeFlags, TEMPLATE, TargetFlags};
use crate::commands::Context;
use crate::failure::{Exit, Failures, Outcome};
use crate::output::{Answer, Column, EventForm, EventWriter, Zone, escape, plural, with_thousands};
use crate::question::{Stages, filter_text, range, with_stages};
use crate::target::{Question, Tally, Target};

/// Above this many events the totals of requests are not counted for a table: each is a scan of its own.
const MAX_COUNTED: u64 = 2_000_000;
/// Events shown, if nothing else is asked for.
const DEFAULT_EVENTS: usize = 100;

/// Finds events
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog search verbclass:delete usertype:user                who deleted what
  decklog search outcome:denied --since 1h                     refusals of the last hour
  decklog search user:bob -n shop -o wide                      with address, tool and binding
  decklog search object:deploy/web --limit 0 -o json > web.log every stage, byte for byte
  decklog search outcome:denied --facet user --facet verb      who was refused how often
  decklog search verb:delete --histogram --since 1d            when
  decklog search -e 'verb:create resource:clusterrolebindings' exit code 1 if there is none
  decklog search user:bob -- audit.log.gz                      straight from a file",
    after_help = "Exit codes: 0 done, 1 nothing matched (with -e), 2 wrong filter or time, 3 could not be read, 4 not allowed
(decklog help exit-codes; decklog help filter, fields, time)"
)]
pub(crate) struct SearchFlags {
    /// Which events; several words are joined (decklog help filter)
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// Behind `--`: log files to search as they are, without importing them; - is standard input
    #[arg(last = true, value_name = "FILE", conflicts_with_all = ["server", "data_dir"])]
    files: Vec<PathBuf>,
    /// Where they are.
    #[command(flatten)]
    target: TargetFlags,
    /// Whose.
    #[command(flatten)]
    scope: ScopeFlags,
    /// When.
    #[command(flatten)]
    range: RangeFlags,
    /// final, all or a list [default: final in tables, else all]
    #[arg(long, value_name = "STAGES", help_heading = "Which events")]
    stages: Option<String>,
    /// The newest N, or the N most frequent values of --facet; 0 is all [default: 100 events, 10 values]
    #[arg(long, value_name = "N", help_heading = "Which events")]
    limit: Option<usize>,
    /// How it is written.
    #[command(flatten)]
    pub(crate) output: OutputFlags,
    /// Oldest or newest first [default: desc in tables, else asc]
    #[arg(long, value_enum, value_name = "asc|desc", hide_possible_values = true, help_heading = "Output")]
    order: Option<OrderChoice>,
    /// The columns of tables and CSV, with commas between
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST", hide_possible_values = true, help_heading = "Output")]
    columns: Vec<Column>,
    /// Only how many there are
    #[arg(long, help_heading = "Counts")]
    count: bool,
    /// Only how many there are of each value of this field; may stand several times
    #[arg(long, value_name = "FIELD", conflicts_with = "count", help_heading = "Counts")]
    facet: Vec<String>,
    /// Only how many there are over time
    #[arg(long, conflicts_with_all = ["count", "facet"], help_heading = "Counts")]
    histogram: bool,
    /// Rows of --histogram at most; how long each is, is the shortest time that reads well [default: 30]
    #[arg(long, value_name = "N", requires = "histogram", help_heading = "Counts")]
    buckets: Option<usize>,
    /// Exit code 1 if nothing matches
    #[arg(short, long, help_heading = "Output")]
    exit_code: bool,
    /// Times in UTC, also on a terminal
    #[arg(long, help_heading = "Output")]
    utc: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OrderChoice {
    Asc,
    Desc,
}

impl SearchFlags {
    /// Events shown at most; 0 is all.
    fn n_events(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_EVENTS)
    }
}

/// What is asked for.
enum AnswerKind {
    /// The events.
    Events,
    /// How many.
    Count,
    /// How many of each value.
    Facets(Vec<facets::Named>),
    /// How many over time, in so many stretches at most.
    Histogram(usize),
}

impl AnswerKind {
    fn of(flags: &SearchFlags) -> Result<Self, Failures> {
        Ok(match () {
            () if flags.count => Self::Count,
            () if flags.histogram => Self::Histogram(histogram::check(flags.buckets)?),
            () if !flags.facet.is_empty() => Self::Facets(facets::read(&flags.facet)?),
            () => Self::Events,
        })
    }
}

/// Searches.
pub(crate) fn run(flags: &SearchFlags, context: &Context) -> Outcome {
    let format = flags.output.output;
    // Everything that can be wrong with the question is told before anything is opened.
    let filter = filter_text(&flags.filter, &flags.scope, context.now)?;
    let times = range(&flags.range, context.now)?;
    let answer = AnswerKind::of(flags)?;
    let machine = format.is_machine() || !matches!(answer, AnswerKind::Events);
    let stages = flags.stages.as_deref().map(Stages::parse).transpose()?.unwrap_or(if machine { Stages::All } else { Stages::Final });
    let order = match flags.order {
        Some(OrderChoice::Asc) => Order::Ascending,
        Some(OrderChoice::Desc) => Order::Descending,
        None if format.is_machine() => Order::Ascending,
        None => Order::Descending,
    };
    let question =
        Question { filter: with_stages(&filter, &stages), range: times, limit: (flags.n_events() > 0).then_some(flags.n_events()), order, now: context.now };
    let target = if flags.files.is_empty() { Target::choose(&flags.target, context)? } else { Target::of_files(&flags.files, context)? };
    let tally = match &answer {
        AnswerKind::Events => show(&target, &question, flags, context)?,
        AnswerKind::Count => count(&target, &question, flags)?,
        AnswerKind::Facets(fields) => facets::show(&target, &question, fields, flags, context)?,
        AnswerKind::Histogram(n_buckets) => histogram::show(&target, &question, *n_buckets, flags, context)?,
    };
    for gap in &tally.gaps {
        context.note(&format!("warning: not everything could be read: {}", escape(gap)));
    }
    if matches!(answer, AnswerKind::Events) && !context.common.quiet {
        let searched = Searched { target: &target, filter: &filter, stages: &stages, range: times };
        context.note(&searched.totals(&tally, flags, context)?);
        for hint in Filter::parse(&filter, context.now).map(|filter| filter.hints()).unwrap_or_default() {
            context.note(&format!("hint: {hint}"));
        }
    }
    Ok(if flags.exit_code && tally.n_matched == 0 { Exit::No } else { Exit::Done })
}

fn count(target: &Target, question: &Question, flags: &SearchFlags) -> Result<Tally, Failures> {
    let tally = target.count(question)?;
    let mut answer = Answer::new();
    match flags.output.output {
        OutputFormat::Json => answer.line(format!("{{\"count\":{}}}", tally.n_matched).as_bytes())?,
        _ => answer.line(tally.n_matched.to_string().as_bytes())?,
    }
    answer.flush()?;
    Ok(tally)
}

fn show(target: &Target, question: &Question, flags: &SearchFlags, context: &Context) -> Result<Tally, Failures> {
    let columns = match flags.output.output {
        _ if !flags.columns.is_empty() => flags.columns.clone(),
        OutputFormat::Table => Column::TABLE.to_vec(),
        _ => Column::WIDE.to_vec(),
    };
    let zone = context.zone(flags.utc, flags.output.output);
    let mut writer = EventWriter::new(EventForm { output: flags.output, columns, zone, paint: context.paint, live: false });
    let tally = target.search(question, &mut |line, time| writer.event(line, time))?;
    writer.finish()?;
    Ok(tally)
}

/// What the totals are about.
struct Searched<'a> {
    target: &'a Target,
    /// Without the stages.
    filter: &'a str,
    stages: &'a Stages,
    range: TimeRange,
}

impl Searched<'_> {
    fn count(&self, filter: String, context: &Context) -> Result<Tally, Failures> {
        self.target.count(&Question { filter, range: self.range, limit: None, order: Order::Ascending, now: context.now })
    }

    /// `8 requests (16 events) of 1,670 (3,431), 09:52:31 to 09:53:46`: what was found, and in what.
    fn totals(&self, tally: &Tally, flags: &SearchFlags, context: &Context) -> Result<String, Failures> {
        let n_matched = tally.n_matched;
        let shown = flags.n_events() as u64;
        let cut = if shown > 0 && n_matched > shown { format!("the newest {} of ", with_thousands(shown)) } else { String::new() };
        let more = if cut.is_empty() { "" } else { "; --limit 0 shows all" };
        // For programs the count of what was found is enough: more would be another search, and another mark.
        if flags.output.output.is_machine() {
            return Ok(format!("{cut}{}{more}", plural(n_matched, "event")));
        }
        let zone = context.zone(flags.utc, flags.output.output);
        if *self.stages != Stages::Final {
            let all = self.count(String::new(), context)?;
            let of = if all.n_matched > n_matched { format!(" of {}", with_thousands(all.n_matched)) } else { String::new() };
            return Ok(format!("{cut}{}{of}{}{more}", plural(n_matched, "event"), extent(all.extent, &zone)));
        }
        let all = self.count(String::new(), context)?;
        if all.n_matched > MAX_COUNTED {
            return Ok(format!("{cut}{} in {} events{}{more}", plural(n_matched, "request"), with_thousands(all.n_matched), extent(all.extent, &zone)));
        }
        let events = self.count(self.filter.to_owned(), context)?.n_matched;
        let requests = self.count(with_stages("", &Stages::Final), context)?.n_matched;
        Ok(format!(
            "{cut}{} ({}) of {} ({}){}{more}",
            plural(n_matched, "request"),
            plural(events, "event"),
            with_thousands(requests),
            with_thousands(all.n_matched),
            extent(all.extent, &zone)
        ))
    }
}

/// `, 09:52:31 to 09:53:46`; with the days where they are more than one.
fn extent(extent: Option<(decklog_audit::Timestamp, decklog_audit::Timestamp)>, zone: &Zone) -> String {
    let Some((first, last)) = extent else { return String::new() };
    if zone.day(first) == zone.day(last) {
        format!(", {} to {}", zone.seconds(first), zone.seconds(last))
    } else {
        format!(", {} {} to {} {}", zone.day(first), zone.seconds(first), zone.day(last), zone.seconds(last))
    }
}
