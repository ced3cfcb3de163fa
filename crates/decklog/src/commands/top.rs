//! `decklog top`: who and what fills the log, and what would make it smaller.

mod noise;

use decklog_audit::Timestamp;
use decklog_audit::filter::fields::{Field, FieldId};
use decklog_audit::search::{FacetRequest, MAX_VALUES, Order, TimeRange};

use crate::cli::{OutputFlags, OutputFormat, RangeFlags, ScopeFlags, TEMPLATE, TargetFlags};
use crate::commands::Context;
use crate::failure::{Exit, Failures, Outcome};
use crate::output::{Answer, Listing, ListingColumn, Value, Zone, escape, plural};
use crate::question::{filter_text, range, with_value};
use crate::target::{Question, Target};
use noise::{By, Cut, Measured, Noise};

/// Values shown, if nothing else is asked for.
const DEFAULT_VALUES: usize = 10;
const DAY_SECONDS: i64 = 86_400;

/// Shows who and what fills the log, and what would cut it
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog top                                       the noisiest users of the newest 24 h
  decklog top --by resource verbclass:read          what is read most
  decklog top --by tool --since 7d --limit 0        every client program of the week
  decklog top --by namespace -o csv > noise.csv
  decklog top --by verb -- audit.log.gz             straight from a file

Without --since and --until it looks at the 24 h that end at the newest event stored. BYTES are those of the events as
kube-apiserver writes them to its log. What would cut most is computed on the same events, each change of the policy by itself.",
    after_help = "Exit codes: 0 done, 2 wrong filter or time, 3 could not be read, 4 not allowed
(decklog help exit-codes; decklog help filter, fields, time)"
)]
pub(crate) struct TopFlags {
    /// Which events; several words are joined (decklog help filter)
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// Behind `--`: log files to look at as they are, without importing them; - is standard input
    #[arg(last = true, value_name = "FILE", conflicts_with_all = ["server", "data_dir"])]
    files: Vec<std::path::PathBuf>,
    /// What to tell apart: user, verb, resource, tool, namespace or source
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, hide_possible_values = true, help_heading = "Which events")]
    by: By,
    /// Where they are.
    #[command(flatten)]
    target: TargetFlags,
    /// Whose.
    #[command(flatten)]
    scope: ScopeFlags,
    /// When.
    #[command(flatten)]
    range: RangeFlags,
    /// The noisiest N; 0 is all
    #[arg(long, value_name = "N", default_value_t = DEFAULT_VALUES, help_heading = "Output")]
    limit: usize,
    /// How it is written.
    #[command(flatten)]
    pub(crate) output: OutputFlags,
    /// Times in UTC, also on a terminal
    #[arg(long, help_heading = "Output")]
    utc: bool,
}

/// Shows it.
pub(crate) fn run(flags: &TopFlags, context: &Context) -> Outcome {
    let filter = filter_text(&flags.filter, &flags.scope, context.now)?;
    let given = range(&flags.range, context.now)?;
    let target = if flags.files.is_empty() { Target::choose(&flags.target, context)? } else { Target::of_files(&flags.files, context)? };
    let range = if given == TimeRange::default() { newest_day(&target)? } else { given };
    let question = Question { filter, range, limit: None, order: Order::Arrival, now: context.now };
    let (noise, gaps) = measure(&target, &question, flags.by)?;
    for gap in &gaps {
        context.note(&format!("warning: not everything could be read: {}", escape(gap)));
    }
    let n_shown = if flags.limit == 0 { usize::MAX } else { flags.limit };
    match flags.output.output {
        OutputFormat::Json => write_json(&noise, n_shown, flags.by, range)?,
        _ => write_rows(&noise, n_shown, flags, context)?,
    }
    context.note(&totals(&noise, flags.by));
    context.note(&range_text(range, given == TimeRange::default(), &context.zone(flags.utc, flags.output.output)));
    Ok(Exit::Done)
}

/// The 24 h that end at the newest event, which belongs to them; everything if nothing is stored.
fn newest_day(target: &Target) -> Result<TimeRange, Failures> {
    let Some((_, last)) = target.extent()?.times else { return Ok(TimeRange::default()) };
    let behind = match last.nanoseconds() {
        999_999_999 => Timestamp::new(last.seconds() + 1, 0),
        nanoseconds => Timestamp::new(last.seconds(), nanoseconds + 1),
    };
    Ok(TimeRange { since: Timestamp::new(last.seconds().saturating_sub(DAY_SECONDS), last.nanoseconds()), until: behind })
}

/// Reads every event once, keeping sums alone.
fn measure(target: &Target, question: &Question, by: By) -> Result<(Noise, Vec<String>), Failures> {
    let mut noise = Noise::default();
    if by != By::Source {
        let tally = target.search(question, &mut |line, _| {
            noise.add(line, |event| by.of(event));
            Ok(())
        })?;
        return Ok((noise, tally.gaps));
    }
    // The source is no part of the line: each one is asked for by itself.
    let asked = FacetRequest { fields: vec![Field::plain(FieldId::Source)], n_top: MAX_VALUES, prefix: String::new() };
    let (facets, mut tally) = target.facets(question, &asked)?;
    for count in facets.into_iter().flat_map(|facets| facets.top) {
        let of_source = Question { filter: with_value(&question.filter, "source", &count.value), ..question.clone() };
        tally.gaps.extend(
            target
                .search(&of_source, &mut |line, _| {
                    noise.add(line, |_| Some(count.value.clone()));
                    Ok(())
                })?
                .gaps,
        );
    }
    tally.gaps.sort();
    tally.gaps.dedup();
    Ok((noise, tally.gaps))
}

fn write_rows(noise: &Noise, n_shown: usize, flags: &TopFlags, context: &Context) -> Result<(), Failures> {
    let name = flags.by.name();
    let columns = vec![
        ListingColumn::text(&name.to_uppercase(), name),
        ListingColumn::number("REQUESTS", "requests"),
        ListingColumn::number("EVENTS", "events"),
        ListingColumn::number("BYTES", "bytes"),
        ListingColumn::number("SHARE", "share"),
    ];
    let mut listing = Listing::new(columns, flags.output, context.paint);
    for Measured { value, sum } in noise.noisiest().into_iter().take(n_shown) {
        let share = noise.share(sum);
        listing.row(vec![
            Value::shown_as(value.map_or(serde_json::Value::Null, Into::into), &flags.by.shown(value)),
            Value::number(sum.n_requests),
            Value::number(sum.n_events),
            Value::number(sum.n_bytes),
            Value::shown_as(rounded(share), &format!("{:.1}%", share * 100.0)),
        ])?;
    }
    listing.finish()?;
    Ok(())
}

fn write_json(noise: &Noise, n_shown: usize, by: By, range: TimeRange) -> Result<(), Failures> {
    let noisiest = noise.noisiest();
    let value = |Measured { value, sum }: &Measured<'_>| {
        serde_json::json!({
            "value": value, "requests": sum.n_requests, "events": sum.n_events, "bytes": sum.n_bytes, "share": rounded(noise.share(*sum)),
        })
    };
    let cut = |cut: &Cut| serde_json::json!({ "kind": cut.kind(), "of": cut.of, "events": cut.n_events, "bytes": cut.n_bytes });
    let time = |time: Option<Timestamp>| time.map(Timestamp::rfc3339_nano);
    let answer = serde_json::json!({
        "by": by.name(),
        "since": time(range.since),
        "until": time(range.until),
        "requests": noise.total.n_requests,
        "events": noise.total.n_events,
        "bytes": noise.total.n_bytes,
        "distinct": noisiest.len(),
        "values": noisiest.iter().take(n_shown).map(value).collect::<Vec<_>>(),
        "cuts": noise.cuts().iter().map(cut).collect::<Vec<_>>(),
    });
    let mut out = Answer::new();
    out.line(answer.to_string().as_bytes())?;
    out.flush()?;
    Ok(())
}

/// A share with four digits behind the point.
fn rounded(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

/// `29 users, 22,937,185 bytes. What would cut most: omitStages RequestReceived −3,435,424 (4,427 events) · …`
fn totals(noise: &Noise, by: By) -> String {
    let mut text = format!("{}, {}", plural(noise.n_values() as u64, by.name()), plural(noise.total.n_bytes, "byte"));
    if noise.uncounted.n_events > 0 {
        text.push_str(&format!(" ({} of further values are not told apart)", plural(noise.uncounted.n_events, "event")));
    }
    let cuts: Vec<String> = noise.cuts().iter().map(Cut::to_string).collect();
    if !cuts.is_empty() {
        text.push_str(&format!(". What would cut most: {}", escape(&cuts.join(" · "))));
    }
    text
}

fn range_text(range: TimeRange, by_itself: bool, zone: &Zone) -> String {
    let time = |time: Timestamp| format!("{} {}", zone.day(time), zone.seconds(time));
    match (range.since, range.until) {
        (None, None) => "everything stored".to_owned(),
        (Some(since), Some(until)) if by_itself => format!("{} to {}, the 24 h that end at the newest event", time(since), time(until)),
        (since, until) => {
            let since = since.map_or_else(|| "the first event".to_owned(), time);
            let until = until.map_or_else(|| "the newest event".to_owned(), time);
            format!("{since} to {until}")
        }
    }
}
