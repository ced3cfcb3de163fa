//! `decklog policy check`: what kube-apiserver would say of a policy, and what it would not say.

use std::path::{Path, PathBuf};

use decklog_audit::policy::lint::{CODES, Lint, Mended, Severity, lint, mend, report};
use decklog_audit::policy::load::{TargetVersion, Verdict, load, load_for_sink, text_of};

use super::file::{bytes, name_of, place_in};
use crate::cli::TEMPLATE;
use crate::commands::Context;
use crate::failure::{Exit, Failure, Failures, Outcome, pointer};
use crate::output::{Answer, Style, escape, plural};
use crate::suggest::closest;

/// Checks audit policies: what kube-apiserver refuses, passes over, never matches, leaks or loses
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog policy check policy.yaml
  decklog policy check --fix policy.yaml               mends what cannot be meant otherwise
  decklog policy check --target-version 1.33 *.yaml    as that kube-apiserver reads them
  decklog policy check --deny error -o json policy.yaml
  decklog policy check --allow patches-lost gce.yaml   is silent about that

Each code has a page in docs/reference/lints.",
    after_help = "Exit codes: 0 fine, 1 kube-apiserver refuses one, 2 lints of the denied severity, 3 could not be read, 64 wrong use"
)]
pub(super) struct CheckFlags {
    /// The policies; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The release of Kubernetes that reads them
    #[arg(long, value_name = "VERSION", default_value = "1.36")]
    target_version: String,
    /// They are policies of decklog's own sinks, which may have the level Minimal
    #[arg(long, conflicts_with = "target_version")]
    sink: bool,
    /// The least severity that fails
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "warning")]
    deny: Deny,
    /// A code to be silent about; may stand several times
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    /// Makes the edits that can change nothing that was meant, in the files
    #[arg(long)]
    fix: bool,
    /// With --fix: shows them only
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// The answer in JSON, a line for each file
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    output: CheckForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Deny {
    Info,
    Warning,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CheckForm {
    Table,
    Json,
}

impl CheckFlags {
    pub(super) fn for_programs(&self) -> bool {
        self.output == CheckForm::Json
    }
}

/// What was found in all files.
#[derive(Default)]
struct Counts {
    n_read: u64,
    n_refused: u64,
    n_errors: u64,
    n_warnings: u64,
    n_infos: u64,
}

pub(super) fn run(flags: &CheckFlags, context: &Context) -> Outcome {
    let wrong = |code, message: String, help: String| Failure::new(Exit::CheckUsage, code, message).help(help);
    let target: TargetVersion = if flags.sink { Ok(TargetVersion::NEWEST) } else { flags.target_version.parse() }
        .map_err(|error| wrong("version", format!("{error}"), "write 1.36".to_owned()))?;
    for code in &flags.allow {
        if !CODES.iter().any(|(known, ..)| known == code) {
            let meant = closest(code, CODES.iter().map(|(known, ..)| *known));
            let help = meant.map_or_else(|| "each code stands in brackets in front of what it is about".to_owned(), |meant| format!("did you mean `{meant}`?"));
            return Err(wrong("unknown-lint", format!("there is no lint `{code}`"), help).into());
        }
    }
    let (mut counts, mut failures, mut answer) = (Counts::default(), Vec::new(), Answer::new());
    for path in &flags.files {
        if let Err(failure) = check(path, target, flags, context, &mut counts, &mut answer) {
            failures.extend(failure.causes().iter().cloned());
        }
    }
    if flags.output == CheckForm::Table && counts.n_read > 0 {
        answer.line(sum(&counts).as_bytes())?;
    }
    answer.flush()?;
    Failures::check(failures)?;
    let n_denied = match flags.deny {
        Deny::Error => counts.n_errors,
        Deny::Warning => counts.n_errors + counts.n_warnings,
        Deny::Info => counts.n_errors + counts.n_warnings + counts.n_infos,
    };
    Ok(match (counts.n_refused, n_denied) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::Lints,
        _ => Exit::No,
    })
}

fn check(path: &Path, target: TargetVersion, flags: &CheckFlags, context: &Context, counts: &mut Counts, answer: &mut Answer) -> Result<(), Failures> {
    let name = name_of(path);
    let mut bytes = bytes(path)?;
    if flags.fix
        && let Ok(text) = text_of(&bytes)
    {
        let mended = mend(&text, target);
        if mended.text != text {
            let mark: &[u8] = if bytes.starts_with(b"\xef\xbb\xbf") { b"\xef\xbb\xbf" } else { b"" };
            let new = [mark, mended.text.as_bytes()].concat();
            write(path, &name, &text, &mended, &new, flags, context, answer)?;
            bytes = if flags.dry_run { bytes } else { new };
        }
    }
    let verdict = if flags.sink { load_for_sink(&bytes) } else { load(&bytes, target) };
    let text = text_of(&bytes).unwrap_or_default();
    let mut lints = lint(&text, &verdict, target);
    lints.retain(|lint| verdict.result.is_err() && lint.severity == Severity::Error || !flags.allow.iter().any(|code| code == lint.code));
    counts.n_read += 1;
    counts.n_refused += u64::from(verdict.result.is_err());
    for lint in &lints {
        match lint.severity {
            Severity::Error => counts.n_errors += 1,
            Severity::Warning => counts.n_warnings += 1,
            Severity::Info => counts.n_infos += 1,
        }
    }
    if flags.output == CheckForm::Json {
        let mut value = report(&text, &verdict, &lints);
        value["file"] = name.into();
        answer.line(value.to_string().as_bytes())?;
        return Ok(());
    }
    print(&name, &text, &verdict, &lints, context, answer)
}

/// Writes a mended file, or shows what would be in it.
#[expect(clippy::too_many_arguments, reason = "all of it is of one step")]
fn write(path: &Path, name: &str, text: &str, mended: &Mended, new: &[u8], flags: &CheckFlags, context: &Context, answer: &mut Answer) -> Result<(), Failures> {
    if path.as_os_str() == "-" && flags.output == CheckForm::Table {
        mended.text.lines().try_for_each(|line| answer.line(line.as_bytes()))?;
    } else if !flags.dry_run && path.as_os_str() != "-" {
        std::fs::write(path, new).map_err(|error| Failure::failed("file", format!("cannot write `{name}`: {error}")))?;
    }
    let codes: Vec<&str> = mended.lints.iter().map(|lint| lint.code).collect();
    let done = if flags.dry_run { "would mend" } else { "mended" };
    context.note(&escape(&format!("{name}: {done} {}; to undo it put the lines with - in the place of those with +", codes.join(", "))));
    for line in decklog_audit::policy::lint::changed_lines(text, &mended.text) {
        context.note(&format!("  {}", escape(&line)));
    }
    Ok(())
}

fn print(name: &str, text: &str, verdict: &Verdict, lints: &[Lint], context: &Context, answer: &mut Answer) -> Result<(), Failures> {
    let mut told: Vec<&Lint> = Vec::new();
    for lint in lints {
        // The same again is a place more.
        if told.iter().any(|known| known.code == lint.code && known.message == lint.message) {
            continue;
        }
        told.push(lint);
        let place = place_in(name, text, lint.span);
        let style = if lint.severity == Severity::Error { Style::Error } else { Style::Warning };
        let head = context.paint.paint(style, &format!("{}[{}]", lint.severity.name(), lint.code)).into_owned();
        let again: Vec<String> = lints
            .iter()
            .filter(|other| other.code == lint.code && other.message == lint.message && other.span != lint.span)
            .map(|other| format!("{}:{}", other.span.line, other.span.column))
            .collect();
        let again = if again.is_empty() { String::new() } else { format!(" (again at {})", again.join(", ")) };
        answer.line(format!("{head}: {}:{}:{}{again}: {}", escape(name), lint.span.line, lint.span.column, escape(&lint.message)).as_bytes())?;
        let by_hand = if lint.edits.is_empty() { "" } else { " (--fix)" };
        let help = format!("help: {}{by_hand}", escape(&lint.fix));
        match pointer(&place) {
            Some((line, marks)) => {
                let number = lint.span.line.to_string();
                answer.line(format!("  {number} | {line}").as_bytes())?;
                answer.line(format!("  {} | {} {help}", " ".repeat(number.len()), context.paint.paint(style, &marks)).as_bytes())?;
            }
            None => answer.line(format!("  {help}").as_bytes())?,
        }
    }
    let words = match &verdict.result {
        Err(refusal) if refusal.stage.name() != "decode" => Some(format!("kube-apiserver refuses it: {}", refusal.message)),
        Err(_) => Some("kube-apiserver refuses it: it cannot be decoded".to_owned()),
        Ok(_) => verdict.warning.as_ref().map(|warning| format!("kube-apiserver takes it, and logs: {}", warning.replace("\n ", ""))),
    };
    if let Some(words) = words {
        answer.line(format!("  = {}: {}", escape(name), escape(&words)).as_bytes())?;
    }
    Ok(())
}

/// `2 of 3 files refused, 5 errors, 1 warning`.
fn sum(counts: &Counts) -> String {
    let mut parts = Vec::new();
    if counts.n_refused > 0 {
        parts.push(format!("{} of {} refused", counts.n_refused, plural(counts.n_read, "file")));
    }
    let kinds = [(counts.n_errors, "error"), (counts.n_warnings, "warning"), (counts.n_infos, "info")];
    parts.extend(kinds.into_iter().filter(|(count, _)| *count > 0).map(|(count, kind)| plural(count, kind)));
    if parts.is_empty() {
        parts.push(format!("{} fine", plural(counts.n_read, "file")));
    }
    parts.join(", ")
}
