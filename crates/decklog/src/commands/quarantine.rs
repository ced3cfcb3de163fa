//! `decklog quarantine`: what was refused, and why.

use std::io::IsTerminal;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use decklog_store::QuarantineView;
use serde::{Deserialize, Serialize};

use crate::cli::{OutputFlags, OutputFormat, TEMPLATE, TargetFlags};
use crate::client::{Client, encoded};
use crate::commands::Context;
use crate::failure::{Exit, Failure, Failures, Outcome};
use crate::output::{Answer, Cell, Head, Table, plural, terminal_width, with_thousands, write_csv_row};
use crate::target::{Target, unreadable};

/// Shows what was refused and why
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog quarantine list
  decklog quarantine list --source import
  decklog quarantine export --id 7 > item        the bytes as they came
  decklog quarantine export -o json              every item with its facts, bytes in base64"
)]
pub(crate) struct QuarantineFlags {
    #[command(subcommand)]
    command: QuarantineCommand,
}

impl QuarantineFlags {
    /// `-o`.
    pub(crate) fn output(&self) -> OutputFormat {
        match &self.command {
            QuarantineCommand::List(flags) => flags.output.output,
            QuarantineCommand::Export(flags) => flags.output.output,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
enum QuarantineCommand {
    List(ListFlags),
    Export(ExportFlags),
}

/// Whose items, and where they are.
#[derive(Clone, Debug, clap::Args)]
struct WhichFlags {
    #[command(flatten)]
    target: TargetFlags,
    /// Only of this source
    #[arg(long, value_name = "NAME", help_heading = "Which items")]
    source: Option<String>,
}

/// Lists what was refused, newest last
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog quarantine list
  decklog quarantine list --source import --limit 0
  decklog quarantine list -o json",
    after_help = "Exit codes: 0 done, 3 could not be read, 4 not allowed (decklog help exit-codes)"
)]
struct ListFlags {
    #[command(flatten)]
    which: WhichFlags,
    /// The newest N; 0 is all
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Which items")]
    limit: usize,
    #[command(flatten)]
    output: OutputFlags,
}

/// Writes the bytes of what was refused, as they came, a newline behind each
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog quarantine export --id 7 > item
  decklog quarantine export --source import > refused.log
  decklog quarantine export -o json",
    after_help = "Exit codes: 0 done, 3 could not be read, 4 not allowed (decklog help exit-codes)"
)]
struct ExportFlags {
    #[command(flatten)]
    which: WhichFlags,
    /// Only the item of this id, without a newline behind it
    #[arg(long, value_name = "ID", help_heading = "Which items")]
    id: Option<u64>,
    #[command(flatten)]
    output: OutputFlags,
}

/// One item; the form of the server's API.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Item {
    id: String,
    at: String,
    source: String,
    cluster: String,
    sender: String,
    place: String,
    reason: String,
    detail: String,
    size: u64,
    kept: u64,
    /// In base64; only in exports.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

/// Does it.
pub(crate) fn run(flags: &QuarantineFlags, context: &Context) -> Outcome {
    match &flags.command {
        QuarantineCommand::List(flags) => list(flags, context),
        QuarantineCommand::Export(flags) => export(flags, context),
    }
}

fn list(flags: &ListFlags, context: &Context) -> Outcome {
    let target = Target::choose(&flags.which.target, context)?;
    let (items, n_matched) = match &target {
        Target::DataDir { path, .. } => listed(path, flags)?,
        Target::Server(client) => asked(client, flags)?,
        Target::Files(_) => (Vec::new(), 0),
    };
    let mut answer = Answer::new();
    match flags.output.output {
        OutputFormat::Json => {
            for item in &items {
                answer.line(&serde_json::to_vec(item).unwrap_or_default())?;
            }
        }
        OutputFormat::Csv => {
            answer.with(|mut out| {
                write_csv_row(&mut out, ["id", "at", "source", "cluster", "sender", "place", "reason", "size", "detail"])?;
                items.iter().try_for_each(|item| {
                    let size = item.size.to_string();
                    write_csv_row(&mut out, [&*item.id, &item.at, &item.source, &item.cluster, &item.sender, &item.place, &item.reason, &size, &item.detail])
                })
            })?;
        }
        format => {
            let width = std::io::stdout().is_terminal().then(terminal_width).flatten();
            let fixed = |name: &str| Head { cut_rank: 0, ..Head::text(name) };
            let mut heads = vec![
                Head::number("ID"),
                fixed("TIME (UTC)"),
                fixed("SOURCE"),
                Head { cut_rank: 2, ..Head::text("PLACE") },
                fixed("REASON"),
                Head::number("BYTES"),
            ];
            if format == OutputFormat::Wide {
                heads.extend([fixed("CLUSTER"), Head::text("SENDER")]);
            }
            heads.push(Head { cut_rank: 3, ..Head::text("DETAIL") });
            let mut table = Table::new(heads, context.paint, width);
            table = if flags.output.no_headers { table.without_heads() } else { table };
            for item in &items {
                let at = item.at.replace('T', " ").chars().take(19).collect::<String>();
                let mut cells = vec![&item.id, &at, &item.source, &item.place, &item.reason].into_iter().map(|text| Cell::plain(text)).collect::<Vec<_>>();
                cells.push(Cell::plain(&with_thousands(item.size)));
                if format == OutputFormat::Wide {
                    cells.extend([Cell::plain(&item.cluster), Cell::plain(&item.sender)]);
                }
                cells.push(Cell::plain(&item.detail));
                answer.with(|out| table.row(cells, out))?;
            }
            answer.with(|out| table.flush(out))?;
        }
    }
    answer.flush()?;
    let shown = items.len() as u64;
    context.note(&match n_matched {
        0 => "nothing is in quarantine".to_owned(),
        n_matched if n_matched > shown => format!("the newest {} of {} items; --limit 0 shows all", with_thousands(shown), with_thousands(n_matched)),
        n_matched => format!("{}; decklog quarantine export --id ID writes the bytes of one", plural(n_matched, "item")),
    });
    Ok(Exit::Done)
}

fn listed(data_dir: &Path, flags: &ListFlags) -> Result<(Vec<Item>, u64), Failures> {
    let mut items = Vec::new();
    each_of_files(data_dir, flags.which.source.as_deref(), None, &mut |item| {
        items.push(item);
        Ok(())
    })?;
    let n_matched = items.len();
    let surplus = if flags.limit == 0 { 0 } else { n_matched.saturating_sub(flags.limit) };
    items.drain(..surplus);
    items.iter_mut().for_each(|item| item.bytes = None);
    Ok((items, n_matched as u64))
}

fn asked(client: &Client, flags: &ListFlags) -> Result<(Vec<Item>, u64), Failures> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct List {
        items: Vec<Item>,
        total: u64,
    }
    // What the server gives at most.
    let limit = if flags.limit == 0 { 10_000 } else { flags.limit.min(10_000) };
    let source = flags.which.source.as_deref().map(|source| format!("&source={}", encoded(source))).unwrap_or_default();
    let list: List = crate::wiring::runtime()?.block_on(client.json(&format!("/api/v1/quarantine?limit={limit}{source}")))?;
    Ok((list.items, list.total))
}

fn export(flags: &ExportFlags, context: &Context) -> Outcome {
    let target = Target::choose(&flags.which.target, context)?;
    let mut answer = Answer::new();
    let mut n_found = 0_u64;
    let mut write = |item: Item| -> Result<(), Failure> {
        if flags.id.is_some_and(|id| item.id != id.to_string()) {
            return Ok(());
        }
        n_found += 1;
        if flags.output.output == OutputFormat::Json {
            return answer.line(&serde_json::to_vec(&item).unwrap_or_default());
        }
        let bytes = STANDARD.decode(item.bytes.unwrap_or_default()).unwrap_or_default();
        answer.with(|out| {
            out.write_all(&bytes)?;
            if flags.id.is_none() { out.write_all(b"\n") } else { Ok(()) }
        })
    };
    match &target {
        Target::DataDir { path, .. } => each_of_files(path, flags.which.source.as_deref(), flags.id, &mut write)?,
        Target::Server(client) => crate::wiring::runtime()?.block_on(each_of_server(client, flags.which.source.as_deref(), &mut write))?,
        Target::Files(_) => {}
    }
    answer.flush()?;
    match flags.id {
        Some(id) if n_found == 0 => Err(Failure::failed("not-found", format!("nothing in quarantine has the id {id}")).help("decklog quarantine list").into()),
        _ => Ok(Exit::Done),
    }
}

fn each_of_files(data_dir: &Path, source: Option<&str>, id: Option<u64>, found: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<(), Failures> {
    if !data_dir.try_exists().unwrap_or(true) {
        let missing = decklog_audit::journal::ReadError::Io { path: data_dir.display().to_string(), source: std::io::ErrorKind::NotFound.into() };
        return Err(unreadable(data_dir, &missing).into());
    }
    let view = QuarantineView::open(data_dir).map_err(|error| unreadable(data_dir, &error))?;
    for item in view.items() {
        let item = item.map_err(|error| unreadable(data_dir, &error))?;
        if source.is_some_and(|source| *item.origin.source != *source) || id.is_some_and(|id| item.number != id) {
            continue;
        }
        let Some(bytes) = view.read(&item).map_err(|error| unreadable(data_dir, &error))? else { continue };
        found(Item {
            id: item.number.to_string(),
            at: item.at.rfc3339_nano(),
            source: item.origin.source.to_string(),
            cluster: item.origin.cluster.to_string(),
            sender: item.origin.sender.to_string(),
            place: item.place,
            reason: item.reason,
            detail: item.detail,
            size: item.size,
            kept: item.kept,
            bytes: Some(STANDARD.encode(bytes)),
        })?;
    }
    Ok(())
}

async fn each_of_server(client: &Client, source: Option<&str>, found: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<(), Failure> {
    let query = source.map(|source| format!("?source={}", encoded(source))).unwrap_or_default();
    client
        .lines(&format!("/api/v1/quarantine/export{query}"), &mut |line| {
            let item = serde_json::from_slice(line).map_err(|error| Failure::failed("answer", format!("an item of the export cannot be read: {error}")))?;
            found(item)
        })
        .await
}
