//! `decklog sources`: where events come from, and how much came.

use std::io::IsTerminal;

use clap::Subcommand;
use decklog_audit::search::{SqlFormat, SqlRequest, Stop};
use serde::{Deserialize, Serialize};

use crate::cli::{OutputFlags, OutputFormat, TEMPLATE, TargetFlags};
use crate::commands::Context;
use crate::failure::{Exit, Failure, Failures, Outcome};
use crate::output::{Answer, Cell, Head, Table, terminal_width, with_thousands, write_csv_row};
use crate::suggest::closest;
use crate::target::Target;

/// Shows where events come from
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog sources list                              of the running server
  decklog sources list --data-dir ./decklog-data    of everything stored there
  decklog sources describe audit"
)]
pub(crate) struct SourcesFlags {
    #[command(subcommand)]
    command: SourcesCommand,
}

impl SourcesFlags {
    /// `-o`.
    pub(crate) fn output(&self) -> OutputFormat {
        match &self.command {
            SourcesCommand::List(flags) => flags.how.output.output,
            SourcesCommand::Describe(flags) => flags.how.output.output,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
enum SourcesCommand {
    List(ListFlags),
    Describe(DescribeFlags),
}

/// Where to ask, and how the answer is written.
#[derive(Clone, Debug, clap::Args)]
struct HowFlags {
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// Lists the sources: of a server with state and counts since its start, of a data directory with what is stored
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog sources list
  decklog sources list -o json",
    after_help = "Exit codes: 0 done, 3 could not be read, 4 not allowed (decklog help exit-codes)"
)]
struct ListFlags {
    #[command(flatten)]
    how: HowFlags,
}

/// Everything known of one source
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog sources describe audit
  decklog sources describe audit -o json",
    after_help = "Exit codes: 0 done, 3 could not be read or no such source, 4 not allowed (decklog help exit-codes)"
)]
struct DescribeFlags {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    how: HowFlags,
}

/// One source; the form of the server's API, of which a data directory knows only a part.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    name: String,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<u64>,
    /// Events in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_arrival: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_bytes: Option<u64>,
}

impl Source {
    /// Its state in words: why it failed, how long it has been silent.
    fn state_text(&self) -> String {
        match (&self.reason, self.silent_seconds) {
            (Some(reason), _) => format!("{}: {reason}", self.state),
            (None, Some(seconds)) if self.state == "silent" => format!("silent for {}", short_duration(seconds)),
            _ => self.state.clone(),
        }
    }
}

/// With its largest unit alone: `850ms`, `12s`, `3m`, `5h`, `2d`.
fn short_duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        _ if seconds < 1.0 => format!("{:.0}ms", seconds * 1e3),
        _ if seconds < 120.0 => format!("{seconds:.0}s"),
        _ if seconds < 7_200.0 => format!("{:.0}m", (seconds / 60.0).floor()),
        _ if seconds < 172_800.0 => format!("{:.0}h", (seconds / 3_600.0).floor()),
        _ => format!("{:.0}d", (seconds / 86_400.0).floor()),
    }
}

/// Does it.
pub(crate) fn run(flags: &SourcesFlags, context: &Context) -> Outcome {
    match &flags.command {
        SourcesCommand::List(flags) => list(flags, context),
        SourcesCommand::Describe(flags) => describe(flags, context),
    }
}

fn sources(flags: &TargetFlags, context: &Context) -> Result<Vec<Source>, Failures> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<Source>,
    }
    let target = Target::choose(flags, context)?;
    match &target {
        Target::DataDir { .. } => stored(&target),
        Target::Server(client) => Ok(crate::wiring::runtime()?.block_on(client.json::<List>("/api/v1/sources"))?.items),
        Target::Files(_) => Ok(Vec::new()),
    }
}

/// What is stored of each source, in the table and the journal together. The columns are named as the API names them.
const STORED: &str = r#"SELECT source AS name, cluster, count(*) AS stored, min(time) AS "firstEvent", max(time) AS "lastEvent"
FROM events GROUP BY source, cluster ORDER BY source, cluster"#;

fn stored(target: &Target) -> Result<Vec<Source>, Failures> {
    let request = SqlRequest { query: STORED.to_owned(), params: Vec::new(), limit: None, timeout: None, format: SqlFormat::Json, stop: Stop::default() };
    let mut lines = Vec::new();
    target.sql(&request, &mut |piece| {
        lines.extend_from_slice(piece);
        Ok(())
    })?;
    let rows = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice);
    rows.collect::<Result<_, _>>().map_err(|error| Failure::failed("answer", format!("the sources cannot be read from the answer: {error}")).into())
}

fn list(flags: &ListFlags, context: &Context) -> Outcome {
    let sources = sources(&flags.how.target, context)?;
    let mut answer = Answer::new();
    let of_files = sources.iter().any(|source| source.stored.is_some());
    let number = |number: Option<u64>| number.map(with_thousands).unwrap_or_default();
    let row = |source: &Source| -> Vec<String> {
        let last = source.last_event.clone().unwrap_or_default();
        if of_files {
            return vec![source.name.clone(), source.cluster.clone(), number(source.stored), source.first_event.clone().unwrap_or_default(), last];
        }
        vec![
            source.name.clone(),
            source.kind.clone(),
            source.cluster.clone(),
            source.state_text(),
            number(source.received),
            number(source.rejected),
            source.events_per_second.map(|rate| format!("{rate:.1}/s")).unwrap_or_default(),
            source.delay_seconds.map(short_duration).unwrap_or_default(),
            last,
            source.place.clone().unwrap_or_default(),
        ]
    };
    let names: &[&str] = if of_files {
        &["NAME", "CLUSTER", "EVENTS", "FIRST EVENT", "LAST EVENT"]
    } else {
        &["NAME", "TYPE", "CLUSTER", "STATE", "RECEIVED", "REJECTED", "RATE", "DELAY", "LAST EVENT", "PLACE"]
    };
    match flags.how.output.output {
        OutputFormat::Json => {
            for source in &sources {
                answer.line(&serde_json::to_vec(source).unwrap_or_default())?;
            }
        }
        OutputFormat::Csv => answer.with(|mut out| {
            let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
            write_csv_row(&mut out, names.iter().map(String::as_str))?;
            sources.iter().try_for_each(|source| write_csv_row(&mut out, row(source).iter().map(String::as_str)))
        })?,
        OutputFormat::Table | OutputFormat::Wide => {
            let head = |name: &&str| if matches!(*name, "EVENTS" | "RECEIVED" | "REJECTED" | "RATE" | "DELAY") { Head::number(name) } else { Head::text(name) };
            let width = std::io::stdout().is_terminal().then(terminal_width).flatten();
            let mut table = Table::new(names.iter().map(head).collect(), context.paint, width);
            table = if flags.how.output.no_headers { table.without_heads() } else { table };
            for source in &sources {
                let cells = row(source).iter().map(|text| Cell::plain(text)).collect();
                answer.with(|out| table.row(cells, out))?;
            }
            answer.with(|out| table.flush(out))?;
        }
    }
    answer.flush()?;
    if sources.is_empty() {
        context.note("no source yet: decklog import FILE, or decklog serve --tail FILE");
    }
    Ok(Exit::Done)
}

fn describe(flags: &DescribeFlags, context: &Context) -> Outcome {
    let sources = sources(&flags.how.target, context)?;
    let found: Vec<&Source> = sources.iter().filter(|source| source.name == flags.name).collect();
    if found.is_empty() {
        let meant = closest(&flags.name, sources.iter().map(|source| source.name.as_str()));
        let failure = Failure::failed("not-found", format!("there is no source `{}`", flags.name));
        return Err(meant.map_or(failure.clone(), |meant| failure.help(format!("did you mean `{meant}`?"))).into());
    }
    let mut answer = Answer::new();
    for source in found {
        let object = serde_json::to_value(source).unwrap_or_default();
        if flags.how.output.output == OutputFormat::Json {
            answer.line(object.to_string().as_bytes())?;
            continue;
        }
        let mut table = Table::new(vec![Head::text(""), Head::text("")], context.paint, None).without_heads();
        for (name, value) in object.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            answer.with(|out| table.row(vec![Cell::plain(name), Cell::plain(&text)], out))?;
        }
        answer.with(|out| table.flush(out))?;
    }
    answer.flush()?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_in_words() {
        let source = |state: &str, reason: Option<&str>, silent_seconds| Source {
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            silent_seconds,
            ..Source::default()
        };
        assert_eq!(source("active", None, Some(3.0)).state_text(), "active");
        assert_eq!(source("failed", Some("no such file"), None).state_text(), "failed: no such file");
        assert_eq!(source("silent", None, Some(4_000.0)).state_text(), "silent for 66m");
        let all = [0.0123, 5.4, 119.9, 120.0, 7_200.0, 1e6, -3.0].map(short_duration);
        assert_eq!(all, ["12ms", "5s", "120s", "2m", "2h", "11d", "0ms"]);
    }
}
