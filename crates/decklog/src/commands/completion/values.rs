//! The values of a field, asked of the target that a half-written command names: those of the last hour stored, within
//! the time that somebody waits for a key.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use decklog_audit::Timestamp;
use decklog_audit::filter::fields::Field;
use decklog_audit::search::{FacetRequest, Order, TimeRange};

use crate::cli::TargetFlags;
use crate::client::cluster;
use crate::commands::Context;
use crate::failure::Failures;
use crate::target::{Choice, Question, Target};

/// How long somebody waits for a key.
const PATIENCE: Duration = Duration::from_millis(300);
/// Values offered at most.
const MAX_VALUES: usize = 50;
/// Longer values are no help in a list, and make it long.
const MAX_VALUE_BYTES: usize = 256;
const HOUR_SECONDS: i64 = 3_600;

/// The values that begin with `prefix`, most frequent first; none if they are not there in time, or not at all.
pub(super) fn of(field: &Field, prefix: &str, target: &[String], context: &Context) -> Vec<(String, u64)> {
    let Some(flags) = read(target) else { return Vec::new() };
    let (tell, told) = sync_channel(1);
    let mut context = context.clone();
    context.common.quiet = true;
    let (field, prefix) = (field.clone(), prefix.to_owned());
    // What takes longer ends with the program.
    let asking = std::thread::Builder::new().spawn(move || {
        let values = ask(&field, &prefix, &flags, &context).unwrap_or_default();
        // Nobody waits any more.
        let _ = tell.send(values);
    });
    asking.ok().and_then(|_| told.recv_timeout(PATIENCE).ok()).unwrap_or_default()
}

/// The flags of a target among all that were given.
fn read(given: &[String]) -> Option<TargetFlags> {
    let command = TargetFlags::augment_args(clap::Command::new("target")).no_binary_name(true);
    let known: Vec<String> = command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect();
    let words = given.chunks(2).filter(|pair| known.contains(&pair[0])).flatten();
    TargetFlags::from_arg_matches(&command.try_get_matches_from(words).ok()?).ok()
}

fn ask(field: &Field, prefix: &str, flags: &TargetFlags, context: &Context) -> Result<Vec<(String, u64)>, Failures> {
    // A credential plugin may open a browser: nobody expects that of a key.
    if Choice::of(flags, context.invoked, &|name| context.variable(name)) == Choice::Cluster && cluster::runs_a_program(flags, context) {
        return Ok(Vec::new());
    }
    let target = Target::choose(flags, context)?;
    let Some((_, last)) = target.extent()?.times else { return Ok(Vec::new()) };
    // An hour before the newest event and not before now: an old import has values too.
    let since = Timestamp::new(last.seconds().saturating_sub(HOUR_SECONDS), last.nanoseconds());
    let question = Question { filter: String::new(), range: TimeRange { since, until: None }, limit: None, order: Order::Arrival, now: context.now };
    let asked = FacetRequest { fields: vec![field.clone()], n_top: MAX_VALUES, prefix: prefix.to_owned() };
    let (mut facets, _) = target.facets(&question, &asked)?;
    let values = facets.pop().unwrap_or_default().top.into_iter().map(|count| (count.value, count.n_events));
    Ok(values.filter(|(value, _)| !value.is_empty() && value.len() <= MAX_VALUE_BYTES).collect())
}
