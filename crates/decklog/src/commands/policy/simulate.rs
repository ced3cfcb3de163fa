//! `decklog policy simulate`: what policies would have recorded of traffic.

use std::collections::HashMap;
use std::path::PathBuf;

use decklog_audit::policy::Compiled;
use decklog_audit::policy::simulate::{Fate, Sum, Totals, simulate};
use decklog_audit::{Level, Stage};
use serde_json::{Value, json};

use super::file::PolicyFile;
use super::traffic::TrafficFlags;
use crate::cli::TEMPLATE;
use crate::commands::Context;
use crate::failure::{Exit, Failure, Failures, Outcome};
use crate::output::{Answer, Cell, Head, Table, escape, with_thousands};

/// Rows shown of rules, resources, users and namespaces.
const N_SHOWN: usize = 8;

/// Shows what a policy would have recorded of traffic
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog policy simulate policy.yaml --events audit.log
  decklog policy simulate policy.yaml other.yaml --data-dir ./decklog-data --since 1d
  decklog policy simulate policy.yaml --events audit.log -o events > smaller.log    the events themselves

What was not recorded cannot be known: the best traffic to try policies on was recorded at RequestResponse, with all stages.",
    after_help = "Exit codes: 0 done, 2 wrong use, 3 could not be read, 4 not allowed (decklog help exit-codes)"
)]
pub(super) struct SimulateFlags {
    /// The policies
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// They are policies of decklog's own sinks, which may have the level Minimal
    #[arg(long)]
    sink: bool,
    /// Of which traffic.
    #[command(flatten)]
    traffic: TrafficFlags,
    /// table, json (totals, a line for each policy) or events (those of the one policy, one a line)
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    output: SimulateForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SimulateForm {
    Table,
    Json,
    Events,
}

impl SimulateFlags {
    pub(super) fn for_programs(&self) -> bool {
        self.output != SimulateForm::Table
    }
}

pub(super) fn run(flags: &SimulateFlags, context: &Context) -> Outcome {
    if flags.output == SimulateForm::Events && flags.files.len() != 1 {
        return Err(Failure::usage("output", "-o events is for one policy").help("one FILE, or -o json").into());
    }
    let read = if flags.sink { PolicyFile::read_for_sink } else { PolicyFile::read };
    let files = flags.files.iter().map(|path| read(path, context)).collect::<Result<Vec<_>, _>>()?;
    let compiled: Vec<Compiled> = files.iter().map(|file| Compiled::new(&file.policy)).collect();
    let mut totals = vec![Totals::default(); files.len()];
    let mut answer = Answer::new();
    flags.traffic.each(context, |event, request, line| {
        for (policy, totals) in compiled.iter().zip(&mut totals) {
            let simulated = simulate(policy, request, event, line);
            totals.add(event, request, line.len(), &simulated);
            if let (SimulateForm::Events, Fate::Written { line, .. }) = (flags.output, &simulated.fate) {
                answer.line(line.as_bytes())?;
            }
        }
        Ok(())
    })?;
    for (file, totals) in files.iter().zip(&totals) {
        match flags.output {
            SimulateForm::Events => {}
            SimulateForm::Json => answer.line(totals_json(file, totals).to_string().as_bytes())?,
            SimulateForm::Table => table(file, totals, &mut answer, context)?,
        }
        if flags.output != SimulateForm::Json {
            notes(file, totals, context);
        }
    }
    answer.flush()?;
    Ok(Exit::Done)
}

fn change(before: u64, after: u64) -> String {
    if before == 0 {
        return String::new();
    }
    let percent = (after as f64 - before as f64) * 100.0 / before as f64;
    format!("{}{:.1}%", if percent < 0.0 { "−" } else { "+" }, percent.abs())
}

fn table(file: &PolicyFile, totals: &Totals, answer: &mut Answer, context: &Context) -> Result<(), Failures> {
    let with = format!("WITH {}", file.name);
    let heads = vec![Head::text(""), Head::number("RECORDED"), Head::number(&with), Head::number("")];
    let mut table = Table::new(heads, context.paint, None);
    let mut rows = vec![("events", totals.recorded.events, totals.written.events), ("bytes", totals.recorded.bytes, totals.written.bytes)];
    let day = |amount: u64| totals.per_day(amount).map(|amount| amount.round() as u64);
    if let (Some(before), Some(after)) = (day(totals.recorded.events), day(totals.written.events)) {
        rows.push(("events a day", before, after));
    }
    if let (Some(before), Some(after)) = (day(totals.recorded.bytes), day(totals.written.bytes)) {
        rows.push(("bytes a day", before, after));
    }
    let seconds = |sum: Sum| totals.per_day(1).map(|days| (sum.apiserver_seconds() * days).round() as u64);
    if let (Some(before), Some(after)) = (seconds(totals.recorded), seconds(totals.written)) {
        rows.push(("kube-apiserver CPU, s a day", before, after));
    }
    for (name, before, after) in rows {
        let cells = vec![Cell::plain(name), Cell::plain(&with_thousands(before)), Cell::plain(&with_thousands(after)), Cell::plain(&change(before, after))];
        answer.with(|out| table.row(cells, out))?;
    }
    answer.with(|out| table.flush(out))?;
    for (name, text) in summaries(totals) {
        answer.line(escape(&format!("{name:<11}{text}")).as_bytes())?;
    }
    Ok(())
}

/// `rule 3 1,234 bytes · …`, the largest first.
fn largest<K>(sums: &HashMap<K, Sum>, name: impl Fn(&K) -> String) -> String {
    let mut rows: Vec<(String, Sum)> = sums.iter().map(|(key, sum)| (name(key), *sum)).collect();
    rows.sort_by(|left, right| right.1.bytes.cmp(&left.1.bytes).then_with(|| left.0.cmp(&right.0)));
    let n_more = rows.len().saturating_sub(N_SHOWN);
    let mut texts: Vec<String> = rows.iter().take(N_SHOWN).map(|(name, sum)| format!("{name} {}", with_thousands(sum.bytes))).collect();
    if let Some(first) = texts.first_mut() {
        first.push_str(" bytes");
    }
    if n_more > 0 {
        texts.push(format!("{n_more} more"));
    }
    texts.join(" · ")
}

fn rule_name(rule: Option<usize>) -> String {
    rule.map_or_else(|| "no rule".to_owned(), |rule| format!("rule {}", rule + 1))
}

fn summaries(totals: &Totals) -> Vec<(&'static str, String)> {
    let count = |name: &str, sum: Sum| (sum.events > 0).then(|| format!("{name} {}", with_thousands(sum.events)));
    let levels: Vec<String> = Level::ALL.iter().rev().filter_map(|level| count(level.as_str(), totals.at_level(*level))).collect();
    let mut dropped: Vec<String> = Stage::ALL.iter().filter_map(|stage| count(stage.as_str(), totals.omitted(*stage))).collect();
    let mut none: Vec<(&Option<usize>, &Sum)> = totals.not_recorded.iter().collect();
    none.sort_by(|left, right| right.1.events.cmp(&left.1.events).then_with(|| left.0.cmp(right.0)));
    dropped.extend(none.into_iter().filter_map(|(rule, sum)| count(&rule_name(*rule), *sum)));
    [
        ("by level", levels.join(" · ")),
        ("dropped", dropped.join(" · ")),
        ("rules", largest(&totals.by_rule, |rule| rule_name(Some(*rule)))),
        ("resources", largest(&totals.by_resource, Clone::clone)),
        ("users", largest(&totals.by_user, Clone::clone)),
        ("namespaces", largest(&totals.by_namespace, Clone::clone)),
        ("401 kept", format!("{} of {} failed logins", totals.failed_logins.1, totals.failed_logins.0)),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .collect()
}

/// What the log does not allow to know.
fn notes(file: &PolicyFile, totals: &Totals, context: &Context) {
    for limit in limits(totals) {
        context.note(&format!("note: {}: {limit}", escape(&file.name)));
    }
}

fn limits(totals: &Totals) -> Vec<String> {
    let mut limits = Vec::new();
    if totals.recorded.events == 0 {
        limits.push("there is no traffic to try it on".to_owned());
    }
    if totals.bodies_unknown > 0 {
        limits.push(format!("{} events would hold bodies that were not recorded: their bytes are more than is shown", with_thousands(totals.bodies_unknown)));
    }
    if totals.received_unknown > 0 {
        limits.push(format!("{} RequestReceived events that it wants were not recorded", with_thousands(totals.received_unknown)));
    }
    if totals.patches_unfinished > 0 {
        limits.push(format!(
            "{} patches have no end in the log: kube-apiserver to 1.36 loses it above Metadata where the body is no JSON, so a policy may record more of them",
            totals.patches_unfinished
        ));
    }
    limits
}

fn sum_json(sum: Sum) -> Value {
    json!({"events": sum.events, "bytes": sum.bytes})
}

fn totals_json(file: &PolicyFile, totals: &Totals) -> Value {
    let by_text = |sums: &HashMap<String, Sum>| sums.iter().map(|(key, sum)| (key.clone(), sum_json(*sum))).collect::<serde_json::Map<_, _>>();
    let mut rules: Vec<(i64, Value)> = totals.by_rule.iter().map(|(rule, sum)| (*rule as i64, json!({"rule": rule, "written": sum_json(*sum)}))).collect();
    rules.extend(totals.not_recorded.iter().map(|(rule, sum)| {
        let rule = rule.map_or(-1, |rule| rule as i64);
        (rule, json!({"rule": rule, "dropped": sum_json(*sum)}))
    }));
    rules.sort_by_key(|(rule, _)| *rule);
    let per_day = |sum: Sum| {
        json!({
            "events": totals.per_day(sum.events),
            "bytes": totals.per_day(sum.bytes),
            "apiserverSeconds": totals.per_day(1).map(|days| sum.apiserver_seconds() * days),
        })
    };
    json!({
        "policy": file.name,
        "recorded": sum_json(totals.recorded),
        "requests": totals.requests,
        "written": sum_json(totals.written),
        "perDay": {
            "recorded": per_day(totals.recorded),
            "written": per_day(totals.written),
        },
        "since": totals.extent().map(|(first, _)| first.micro_text().as_str().to_owned()),
        "until": totals.extent().map(|(_, last)| last.micro_text().as_str().to_owned()),
        "levels": Level::ALL.iter().map(|level| (level.as_str().to_owned(), sum_json(totals.at_level(*level)))).collect::<serde_json::Map<_, _>>(),
        "omittedStages": Stage::ALL.iter().map(|stage| (stage.as_str().to_owned(), sum_json(totals.omitted(*stage)))).collect::<serde_json::Map<_, _>>(),
        "rules": rules.into_iter().map(|(_, value)| value).collect::<Vec<_>>(),
        "resources": by_text(&totals.by_resource),
        "users": by_text(&totals.by_user),
        "namespaces": by_text(&totals.by_namespace),
        "failedLogins": {"recorded": totals.failed_logins.0, "written": totals.failed_logins.1},
        "unknown": {"bodies": totals.bodies_unknown, "requestReceived": totals.received_unknown, "patchesWithoutEnd": totals.patches_unfinished},
        "notes": limits(totals),
    })
}
