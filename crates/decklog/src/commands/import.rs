//! `decklog import`: audit logs into a data directory, or into a running server.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use decklog_capture::import::{Ending, InputError, LocalDelivery, Progress, RemoteDelivery, Summary, Tally, find_inputs, import};

use crate::cli::{OutputFormat, SummaryFlags, TEMPLATE, TargetFlags};
use crate::client::{Client, Refusal, cluster, poster};
use crate::commands::Context;
use crate::config::{Config, SettingFlags, load_layers};
use crate::failure::{Exit, Failure, Failures, Outcome};
use crate::output::{Answer, escape, plural, with_thousands};
use crate::progress::Bar;
use crate::target::Choice;
use crate::wiring::Store;

/// Reads audit logs into a data directory or a running server
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog import audit.log --data-dir ./decklog-data
  decklog import /var/log/kubernetes/audit/ --cluster prod      a folder, rotated files in order
  decklog import 2026-11-*.log.zst --server http://127.0.0.1:7080
  gcloud logging read --format=json 'protoPayload.serviceName=\"k8s.io\"' | decklog import -
  decklog import ./cloudwatch-export/ --cluster prod-eu         what EKS, GKE and AKS deliver",
    after_help = "Formats are told apart by what is in the files: kube-apiserver's JSON and legacy text; records of
EKS (CloudWatch Logs), GKE (Cloud Audit Logs) and AKS (diagnostic records, Log Analytics);
events inside other JSON

Exit codes: 0 all is stored, 3 nothing could be done, 5 in part: something was quarantined or a file
could not be read whole (decklog help exit-codes)"
)]
pub(crate) struct ImportFlags {
    /// Files and folders, plain, .gz or .zst, in any of the formats below; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to.
    #[command(flatten)]
    target: TargetFlags,
    /// The cluster the events are from [default: default]
    #[arg(long, value_name = "NAME", help_heading = "How")]
    cluster: Option<String>,
    /// off stores credentials as they come [default: default]
    #[arg(long, value_name = "MODE", help_heading = "How")]
    redact: Option<String>,
    /// The key of redaction [default: redaction.key in the data directory]
    #[arg(long, value_name = "FILE", help_heading = "How")]
    redaction_key_file: Option<String>,
    /// The largest event taken [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = "How")]
    max_event_size: Option<String>,
    /// How the summary is written.
    #[command(flatten)]
    pub(crate) output: SummaryFlags,
}

/// Imports.
pub(crate) fn run(flags: &ImportFlags, context: &Context) -> Outcome {
    let config = settings(flags, context)?;
    let (inputs, path_errors) = find_inputs(&flags.files);
    let client = match Choice::of(&flags.target, context.invoked, &|name| context.variable(name)) {
        Choice::Server(url) => Some(Client::new(&url, &flags.target, context)?),
        Choice::Cluster => Some(crate::wiring::runtime()?.block_on(cluster::connect(&flags.target, context))?),
        Choice::DataDir(_) | Choice::Usual => None,
    };
    if client.is_some() && (flags.cluster.is_some() || flags.redact.is_some() || flags.redaction_key_file.is_some()) {
        let failure = Failure::usage("flags", "--cluster, --redact and --redaction-key-file are the server's to say")
            .help("leave them out, or import with --data-dir; a credential in the server's tokens file names a cluster");
        return Err(failure.into());
    }
    let runtime = crate::wiring::runtime()?;
    let max_event_bytes = usize::try_from(config.journal.max_event_size.0).unwrap_or(usize::MAX);
    let refusal = Refusal::default();
    let bar = Bar::new(context);
    let progress = |progress: Progress| bar.show(progress.n_read, progress.n_total, progress.n_events);
    let mut summary = match &client {
        // Nothing to read: a data directory is not made for it.
        _ if inputs.is_empty() => Summary::default(),
        Some(client) => runtime.block_on(import(inputs, max_event_bytes, Arc::new(RemoteDelivery::new(poster(client, &refusal))), progress)),
        None => {
            let store = Store::open(&config)?;
            let delivery = LocalDelivery::new(store.recorder.clone(), Arc::from(config.cluster.as_str()));
            let summary = runtime.block_on(import(inputs, max_event_bytes, Arc::new(delivery), progress));
            store.finish();
            summary
        }
    };
    bar.finish();
    summary.path_errors = path_errors.iter().map(InputError::to_string).collect();
    let refusal = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
    tell(&summary, refusal, flags, context)
}

fn settings(flags: &ImportFlags, context: &Context) -> Result<Config, Failures> {
    let data_dir = flags.target.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned());
    let given = [
        ("data-dir", data_dir),
        ("cluster", flags.cluster.clone()),
        ("redact", flags.redact.clone()),
        ("redaction-key-file", flags.redaction_key_file.clone()),
        ("max-event-size", flags.max_event_size.clone()),
    ];
    let loaded = load_layers(flags.target.config.as_deref(), &SettingFlags::of(given), &[], &context.environment)?;
    for warning in &loaded.warnings {
        context.note(&format!("warning: {warning}"));
    }
    Ok(loaded.config)
}

fn tell(summary: &Summary, refusal: Option<Failure>, flags: &ImportFlags, context: &Context) -> Outcome {
    let (total, tally) = (summary.total(), summary.tally());
    let mut problems: Vec<String> = summary.path_errors.clone();
    problems.extend(summary.files.iter().filter_map(|file| Some(format!("{}: {}", file.name, file.error.as_ref()?))));
    let n_read = summary.files.iter().filter(|file| !file.skipped).count();
    if flags.output.output == OutputFormat::Json {
        let mut answer = Answer::new();
        let converted: serde_json::Map<String, serde_json::Value> =
            tally.converted.iter().map(|(format, n_events)| (format.as_str().to_owned(), (*n_events).into())).collect();
        let line = serde_json::json!({
            "files": n_read, "bytes": summary.n_bytes(), "imported": total.stored, "duplicates": total.duplicates,
            "quarantined": total.quarantined, "converted": converted, "otherRecords": tally.skipped, "problems": problems,
            "seconds": summary.elapsed.as_secs_f64(),
        });
        answer.line(line.to_string().as_bytes())?;
        answer.flush()?;
    }
    let imported = format!("{} imported", plural(total.stored, "event"));
    let duplicates = if total.duplicates > 0 { format!(", {} there already", with_thousands(total.duplicates)) } else { String::new() };
    let quarantined = if total.quarantined > 0 { format!(", {} quarantined", with_thousands(total.quarantined)) } else { String::new() };
    let counts = format!("{imported}{duplicates}{quarantined}");
    for line in told(&tally) {
        context.note(&line);
    }
    let with_problems = |mut failure: Failure| {
        failure.notes.extend(problems.iter().take(20).map(|problem| escape(problem).into_owned()));
        if problems.len() > 20 {
            failure.notes.push(format!("{} more", problems.len() - 20));
        }
        if total.quarantined > 0 { failure.help("decklog quarantine list --source import") } else { failure }
    };
    let n_files = summary.files.len() + summary.path_errors.len();
    match summary.ending() {
        Ending::Complete => {
            let rate = total.stored as f64 / summary.elapsed.as_secs_f64().max(0.001);
            let files = plural(n_read as u64, "file");
            context.note(&format!("{counts} from {files} in {:.1} s ({} events/s)", summary.elapsed.as_secs_f64(), with_thousands(rate as u64)));
            Ok(Exit::Done)
        }
        Ending::Partial if problems.is_empty() => Err(with_problems(Failure::new(Exit::Partly, "partial", counts)).into()),
        Ending::Partial => {
            let message = format!("{} of {} could not be read whole; {counts}", problems.len(), plural(n_files as u64, "file"));
            Err(with_problems(Failure::new(Exit::Partly, "partial", message)).into())
        }
        Ending::Failed => {
            let reason = summary.failure.clone().unwrap_or_else(|| "nothing could be read".to_owned());
            let failure = refusal.unwrap_or_else(|| Failure::failed("import", reason));
            let message = format!("{}; {counts}", failure.message);
            Err(with_problems(Failure { message, ..failure }).into())
        }
    }
}

/// What was converted, by format, and which records of other logs were left alone.
fn told(tally: &Tally) -> Vec<String> {
    let mut lines = Vec::new();
    if !tally.converted.is_empty() {
        let parts: Vec<String> = tally.converted.iter().map(|(format, n_events)| format!("{} from {}", with_thousands(*n_events), format.as_str())).collect();
        lines.push(format!("converted: {} (their annotations decklog.io/… say what was inferred and what is missing)", parts.join(", ")));
    }
    if !tally.skipped.is_empty() {
        let n_records = tally.skipped.values().sum();
        let parts: Vec<String> = tally.skipped.iter().map(|(kind, n_records)| format!("{} of {kind}", with_thousands(*n_records))).collect();
        lines.push(format!("{} of other logs left alone: {}", plural(n_records, "record"), parts.join(", ")));
    }
    lines
}
