//! Compaction and retention by hand: under the data directory's lock, or only told with `--dry-run`.

use std::collections::BTreeMap;
use std::time::Duration;

use decklog_audit::search::Stop;
use decklog_store::JournalView;
use decklog_store::table::log::CommitError;
use decklog_store::table::plan::{Thoroughness, expired, next_merge};
use decklog_store::table::{DataFile, Table, TableSnapshot, Why, WriteError};

use super::figures::{Sum, by_day, day_text, snapshot};
use crate::cli::{OutputFlags, OutputFormat};
use crate::commands::Context;
use crate::config::{Config, parse_duration};
use crate::failure::{Exit, Failure, Failures, Outcome};
use crate::output::{Answer, Listing, ListingColumn, Value, plural, with_thousands};
use crate::target::unreadable;
use crate::wiring::{Store, table_config, whole_reason};

/// How often a commit gives way to the table's own care, which runs at the same time; each time that has merged something.
const MAX_LOST_RACES: usize = 1_000;

/// How to care.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CareFlags {
    /// Only say what would be done; takes no lock
    #[arg(long, help_heading = "How")]
    dry_run: bool,
    /// Delete files that no longer belong to the table after this long: searches may be reading them [default: 10m]
    #[arg(long, value_name = "DURATION", help_heading = "How")]
    vacuum_after: Option<String>,
}

impl CareFlags {
    fn vacuum_after(&self) -> Result<Option<Duration>, Failure> {
        let read = |text: &String| {
            parse_duration(text).map_err(|help| Failure::usage("vacuum-after", format!("--vacuum-after: `{text}` is not a duration")).help(help))
        };
        self.vacuum_after.as_ref().map(read).transpose()
    }
}

/// Merges files.
pub(super) fn compact(config: &Config, flags: &CareFlags, output: OutputFlags, context: &Context) -> Outcome {
    let vacuum_after = flags.vacuum_after()?;
    let before = newest(config)?;
    let (n_after, bytes_after) = if flags.dry_run {
        // What the merged files will have is known only when they are written.
        (merged(&before, config), None)
    } else {
        let after = with_table(config, vacuum_after, |table| {
            table.flush(&Stop::default())?;
            merge_all(table)
        })?;
        (after.files.len(), Some(after.size()))
    };
    let (n_before, bytes_before) = (before.files.len(), before.size());
    let mut answer = Answer::new();
    if output.output == OutputFormat::Json {
        let told = serde_json::json!({
            "dryRun": flags.dry_run, "filesBefore": n_before, "filesAfter": n_after, "bytesBefore": bytes_before, "bytesAfter": bytes_after,
        });
        answer.line(told.to_string().as_bytes())?;
    } else {
        let would = if flags.dry_run { "would become " } else { "are now " };
        let bytes = bytes_after.map(|bytes| format!(", {}", plural(bytes, "byte"))).unwrap_or_default();
        let line = format!("{}, {} {would}{}{bytes}", plural(n_before as u64, "file"), plural(bytes_before, "byte"), plural(n_after as u64, "file"));
        answer.line(line.as_bytes())?;
    }
    answer.flush()?;
    if !flags.dry_run && vacuum_after.is_none() {
        context.note("the former files are deleted after 10 minutes, by a server or the next compact; --vacuum-after 0s does it at once");
    }
    Ok(Exit::Done)
}

/// How many files there would be.
fn merged(before: &TableSnapshot, config: &Config) -> usize {
    let config = table_config(config);
    let mut files = before.files.clone();
    while let Some(merge) = next_merge(&files, &config, Thoroughness::Full) {
        files.retain(|file| !merge.iter().any(|merged| merged.path == file.path));
        let Some(first) = merge.first() else { break };
        let size = merge.iter().map(|file| file.size).sum();
        // A file of this size is not merged again with the same others.
        files.push(std::sync::Arc::new(DataFile { size, path: format!("{}+", first.path), ..DataFile::clone(first) }));
    }
    files.len()
}

/// Merges until nothing is left to merge.
fn merge_all(table: &Table) -> Result<(), WriteError> {
    for _ in 0..MAX_LOST_RACES {
        match table.compact() {
            // The table's own care has merged the same files meanwhile.
            Err(WriteError::Commit(CommitError::Conflict { .. })) => {}
            done => return done.map(drop),
        }
    }
    table.compact().map(drop)
}

/// Removes days.
pub(super) fn retain(config: &Config, flags: &CareFlags, output: OutputFlags, context: &Context) -> Outcome {
    let vacuum_after = flags.vacuum_after()?;
    if config.retention.max_age.is_none() && config.retention.max_size.is_none() {
        return Err(Failure::usage("retention", "nothing says how long events are kept")
            .help("--retention-max-age 400d, --retention-max-size 200GiB, or --config FILE")
            .into());
    }
    let before = newest(config)?;
    let due = expired(&before.files, &table_config(config), context.now);
    let sums = by_day(&before);
    let mut gone: BTreeMap<i32, Option<Why>> = due.iter().map(|(day, why, _)| (*day, Some(*why))).collect();
    if !flags.dry_run {
        let after = with_table(config, vacuum_after, |table| {
            table.flush(&Stop::default())?;
            table.retire().map(drop)
        })?;
        // The table's own care may have been first, and what waited in the journal may have made it larger.
        let left = by_day(&after);
        gone = sums.keys().filter(|day| !left.contains_key(day)).map(|day| (*day, gone.get(day).copied().flatten())).collect();
    }
    tell(&gone, &sums, flags.dry_run, output, context)?;
    Ok(Exit::Done)
}

fn tell(gone: &BTreeMap<i32, Option<Why>>, sums: &BTreeMap<i32, Sum>, dry_run: bool, output: OutputFlags, context: &Context) -> Result<(), Failures> {
    let columns = vec![
        ListingColumn::fixed("DAY", "day"),
        ListingColumn::fixed("WHY", "why"),
        ListingColumn::number("FILES", "files"),
        ListingColumn::number("EVENTS", "events"),
        ListingColumn::number("BYTES", "bytes"),
    ];
    let mut listing = Listing::new(columns, output, context.paint);
    let mut n_events = 0;
    for (day, why) in gone {
        let sum = sums.get(day).copied().unwrap_or_default();
        let why = match why {
            Some(Why::Age) => "age",
            Some(Why::Size) | None => "size",
        };
        let number = |number: u64| Value::shown_as(number, &with_thousands(number));
        listing.row(vec![Value::text(&day_text(*day)), Value::text(why), number(sum.n_files as u64), number(sum.n_events), number(sum.n_bytes)])?;
        n_events += sum.n_events;
    }
    listing.finish()?;
    let removed = if dry_run { "would be removed" } else { "removed" };
    context.note(&format!("{} ({}) {removed}", plural(gone.len() as u64, "day"), plural(n_events, "event")));
    Ok(())
}

/// The newest version; an empty one where there is no table yet. A data directory is not made.
fn newest(config: &Config) -> Result<TableSnapshot, Failures> {
    JournalView::open(&config.data_dir).map_err(|error| unreadable(&config.data_dir, &error))?;
    Ok(snapshot(config)?.map(|snapshot| TableSnapshot::clone(&snapshot)).unwrap_or_default())
}

/// Lets `work` work on the table, open for writing, and vacuums it; the version it is then.
fn with_table(config: &Config, vacuum_after: Option<Duration>, work: impl FnOnce(&Table) -> Result<(), WriteError>) -> Result<TableSnapshot, Failures> {
    let store = Store::open(config).map_err(|failure| {
        // Its care is the server's: nothing has to be asked of it.
        if failure.code == "in-use" { failure.help("the server does this by itself; stop it first, or wait") } else { failure }
    })?;
    let done = match store.table.get() {
        Ok(table) => work(table)
            .and_then(|()| table.vacuum(vacuum_after.unwrap_or(table_config(config).vacuum_after)))
            .map(|_| TableSnapshot::clone(&table.snapshot()))
            .map_err(|error| Failure::failed("table", whole_reason(&error))),
        Err(reason) => Err(Failure::failed("table", reason)),
    };
    store.close();
    Ok(done?)
}
