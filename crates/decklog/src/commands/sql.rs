//! `decklog sql`: questions in SQL, once or at a prompt.

mod editor;
mod keys;
mod prompt;
mod rows;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use decklog_audit::search::{SqlFormat, SqlRequest, SqlSummary, Stop};

use crate::cli::{OutputFormat, TEMPLATE, TargetFlags};
use crate::commands::Context;
use crate::config::parse_duration;
use crate::failure::{Exit, Failure, Failures, Outcome};
use crate::output::{Answer, escape, plural, terminal_width};
use crate::target::Target;
use rows::{Look, RowWriter};

/// Rows shown to people, if nothing else is asked for.
const DEFAULT_ROWS: usize = 1_000;
/// A query longer than this is none that somebody wrote; a server takes less.
const MAX_QUERY_BYTES: u64 = 1 << 20;

/// Answers questions in SQL over the view `events`
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog sql \"SELECT username, count(*) FROM requests WHERE outcome = 'denied' GROUP BY 1 ORDER BY 2 DESC\"
  decklog sql 'SELECT time, verb, name FROM events WHERE username = $1' --param mallory -o json
  decklog sql - < question.sql                            the query from standard input
  decklog sql 'SELECT * FROM events' --out events.parquet -o parquet
  decklog sql                                             a prompt: \\d, \\d VIEW, \\x, \\q

One statement that reads: SELECT, WITH, EXPLAIN, SHOW COLUMNS or DESCRIBE. Columns and functions: docs/sql.md",
    after_help = "Exit codes: 0 done, 2 no such query, 3 could not be read or too large, 4 not allowed, 124 took too long
(decklog help exit-codes)"
)]
pub(crate) struct SqlFlags {
    /// The query; - is standard input; without one a prompt
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    /// Where the events are.
    #[command(flatten)]
    target: TargetFlags,
    /// The value of $1; again for $2 and so on
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, help_heading = "Query")]
    param: Vec<String>,
    /// Rows at most; 0 is all [default: 1000 in tables, else all]
    #[arg(long, value_name = "N", help_heading = "Query")]
    limit: Option<usize>,
    /// How long it may take, such as 30s [default: the server's limit]
    #[arg(long, value_name = "DURATION", help_heading = "Query")]
    timeout: Option<String>,
    /// The form of the answer: table, json (a row a line), csv or parquet
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
    output: SqlOutput,
    /// Write the answer to this file, which is there once it is whole
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: Option<PathBuf>,
    /// No head row in tables
    #[arg(long, help_heading = "Output")]
    no_headers: bool,
}

/// `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum SqlOutput {
    /// For people.
    #[default]
    #[value(alias = "wide")]
    Table,
    /// An object a line.
    Json,
    /// With a header row.
    Csv,
    /// A Parquet file.
    Parquet,
}

impl SqlFlags {
    /// The form of errors.
    pub(crate) fn output(&self) -> OutputFormat {
        if self.output == SqlOutput::Json { OutputFormat::Json } else { OutputFormat::Table }
    }

    fn look(&self) -> Look {
        Look { expanded: false, with_heads: !self.no_headers }
    }

    fn request(&self, query: String) -> Result<SqlRequest, Failure> {
        let limit = match self.limit {
            None if self.output == SqlOutput::Table => Some(DEFAULT_ROWS),
            None | Some(0) => None,
            limit => limit,
        };
        let timeout = self
            .timeout
            .as_deref()
            .map(|text| parse_duration(text).map_err(|help| Failure::usage("timeout", format!("--timeout: `{text}` is not a duration")).help(help)));
        let format = match self.output {
            SqlOutput::Table | SqlOutput::Json => SqlFormat::Json,
            SqlOutput::Csv => SqlFormat::Csv,
            SqlOutput::Parquet => SqlFormat::Parquet,
        };
        let params = self.param.iter().cloned().map(Some).collect();
        Ok(SqlRequest { query, params, limit, timeout: timeout.transpose()?, format, stop: Stop::default() })
    }
}

/// Asks.
pub(crate) fn run(flags: &SqlFlags, context: &Context) -> Outcome {
    let Some(query) = query(flags)? else {
        // Wrong flags are told before the first question.
        let template = flags.request(String::new())?;
        let target = Target::choose(&flags.target, context)?;
        return prompt::run(&target, &template, flags, context);
    };
    let request = flags.request(query)?;
    if flags.output == SqlOutput::Parquet && flags.out.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::usage("output", "a Parquet file is nothing for a terminal").help("name a file with --out FILE").into());
    }
    let target = Target::choose(&flags.target, context)?;
    let summary = match &flags.out {
        None => answer(&target, &request, flags, Answer::new(), context)?,
        Some(path) => into_file(path, |out| answer(&target, &request, flags, out, context))?,
    };
    tell(&summary, context);
    Ok(Exit::Done)
}

/// The query; `None` asks for a prompt.
fn query(flags: &SqlFlags) -> Result<Option<String>, Failure> {
    let none = || Failure::usage("no-query", "no query is given").help("decklog sql 'SELECT count(*) FROM events', or - to read it from standard input");
    let query = match flags.query.as_deref() {
        Some("-") => {
            let mut text = String::new();
            let read = std::io::stdin().lock().take(MAX_QUERY_BYTES).read_to_string(&mut text);
            read.map_err(|error| Failure::failed("input", format!("cannot read the query from standard input: {error}")))?;
            text
        }
        Some(query) => query.to_owned(),
        None if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && flags.output == SqlOutput::Table && flags.out.is_none() => {
            return Ok(None);
        }
        None => return Err(none()),
    };
    if query.trim().is_empty() { Err(none()) } else { Ok(Some(query)) }
}

/// Writes the answer to `out`.
fn answer(target: &Target, request: &SqlRequest, flags: &SqlFlags, mut out: Answer, context: &Context) -> Result<SqlSummary, Failures> {
    if flags.output == SqlOutput::Table {
        let width = (flags.out.is_none() && std::io::stdout().is_terminal()).then(terminal_width).flatten();
        return table(target, request, flags.look(), width, out, context);
    }
    let summary = target.sql(request, &mut |piece| out.with(|out| out.write_all(piece)))?;
    out.flush()?;
    Ok(summary)
}

/// Writes the answer, which comes as JSON lines, as a table.
fn table(target: &Target, request: &SqlRequest, look: Look, width: Option<usize>, out: Answer, context: &Context) -> Result<SqlSummary, Failures> {
    let mut rows = RowWriter::new(out, look, context.paint, width);
    let mut summary = target.sql(request, &mut |piece| rows.feed(piece))?;
    summary.n_rows = rows.finish()?;
    Ok(summary)
}

/// What there is to say beside the rows.
fn tell(summary: &SqlSummary, context: &Context) {
    for gap in &summary.gaps {
        context.note(&format!("warning: not everything could be read: {}", escape(gap)));
    }
    let more = if summary.cut { "; there are more: --limit 0 gives all" } else { "" };
    context.note(&format!("{}{more}", plural(summary.n_rows, "row")));
}

/// Lets `write` write a file that is there under its name only once it is whole; what is no regular file, such as a pipe, is
/// written as it is.
fn into_file<T>(path: &Path, write: impl FnOnce(Answer) -> Result<T, Failures>) -> Result<T, Failures> {
    let failure = |error: std::io::Error| Failure::failed("output", format!("cannot write `{}`: {error}", path.display()));
    let is_special = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
    if is_special {
        return write(Answer::into_file(std::fs::OpenOptions::new().write(true).open(path).map_err(failure)?));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = std::fs::File::create(&part).map_err(failure).map_err(Failures::from).and_then(|file| write(Answer::into_file(file)));
    let kept = written.and_then(|written| std::fs::rename(&part, path).map(|()| written).map_err(|error| failure(error).into()));
    if kept.is_err() {
        // Half an answer is of no use to anybody.
        let _ = std::fs::remove_file(&part);
    }
    kept
}
