//! `decklog policy diff`: what one policy records of traffic and another does not.

use std::path::PathBuf;

use decklog_audit::policy::Compiled;
use decklog_audit::policy::simulate::{Change, Difference, simulate};
use serde_json::json;

use super::file::PolicyFile;
use super::traffic::TrafficFlags;
use crate::cli::{OutputFlags, TEMPLATE};
use crate::commands::Context;
use crate::failure::{Exit, Outcome};
use crate::output::{Listing, ListingColumn, Value, with_thousands};

/// Shows what changes from one policy to another on recorded traffic
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog policy diff policy.yaml new.yaml --events audit.log
  decklog policy diff policy.yaml new.yaml --data-dir ./decklog-data --since 1d -o json

A row for each kind of event that changes, with one of them as an example.",
    after_help = "Exit codes: 0 done, 2 wrong use, 3 could not be read, 4 not allowed (decklog help exit-codes)"
)]
pub(super) struct DiffFlags {
    /// The policy now
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The other one
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Of which traffic.
    #[command(flatten)]
    traffic: TrafficFlags,
    /// How it is written.
    #[command(flatten)]
    output: OutputFlags,
}

impl DiffFlags {
    pub(super) fn for_programs(&self) -> bool {
        self.output.output.is_machine()
    }
}

pub(super) fn run(flags: &DiffFlags, context: &Context) -> Outcome {
    let (before, after) = (PolicyFile::read(&flags.before)?, PolicyFile::read(&flags.after)?);
    let (first, second) = (Compiled::new(&before.policy), Compiled::new(&after.policy));
    let mut difference = Difference::default();
    flags.traffic.each(context, |event, request, line| {
        difference.add(event, request, &simulate(&first, request, event, line), &simulate(&second, request, event, line));
        Ok(())
    })?;
    let columns = vec![
        ListingColumn::fixed("CHANGE", "change"),
        ListingColumn::fixed("VERB", "verb"),
        ListingColumn::fixed("RESOURCE", "resource"),
        ListingColumn::number("EVENTS", "events"),
        ListingColumn::number("BYTES", "bytes"),
        ListingColumn::fixed("FROM", "from"),
        ListingColumn::fixed("TO", "to"),
        ListingColumn::number("RULE A", "ruleBefore"),
        ListingColumn::number("RULE B", "ruleAfter"),
        ListingColumn::text("EXAMPLE", "example"),
    ];
    let mut listing = Listing::new(columns, flags.output, context.paint);
    let mut kinds: Vec<_> = difference.kinds.iter().collect();
    kinds.sort_by_key(|(kind, (sum, _))| (kind.change, std::cmp::Reverse(sum.bytes)));
    for (kind, (sum, example)) in kinds {
        let number = |number: u64| Value::shown_as(number, &with_thousands(number));
        // Programs count rules from 0, people from 1.
        let rule = |rule: Option<usize>| {
            let shown = rule.map_or_else(|| "none".to_owned(), |rule| (rule + 1).to_string());
            Value::shown_as(rule.map_or(-1, |rule| rule as i64), &shown)
        };
        let value = json!({"auditID": example.audit_id, "user": example.user, "requestURI": example.request_uri});
        listing.row(vec![
            Value::text(kind.change.as_str()),
            Value::text(&kind.verb),
            Value::text(&kind.resource),
            number(sum.events),
            number(sum.bytes),
            Value::text(kind.from.as_str()),
            Value::text(kind.to.as_str()),
            rule(example.rules.0),
            rule(example.rules.1),
            Value::shown_as(value, &format!("{} {}", example.user, example.request_uri)),
        ])?;
    }
    listing.finish()?;
    let sums: Vec<String> = [Change::Lost, Change::Gained, Change::Lowered, Change::Raised]
        .into_iter()
        .map(|wanted| {
            let (events, bytes) = difference
                .kinds
                .iter()
                .filter(|(kind, _)| kind.change == wanted)
                .fold((0, 0), |(events, bytes), (_, (sum, _))| (events + sum.events, bytes + sum.bytes));
            format!("{} {} events ({} bytes)", wanted.as_str(), with_thousands(events), with_thousands(bytes))
        })
        .collect();
    context.note(&sums.join(", "));
    if difference.others > 0 {
        context.note(&format!("warning: {} changed events are of further kinds and not in the list", with_thousands(difference.others)));
    }
    Ok(Exit::Done)
}
