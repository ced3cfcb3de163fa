//! `decklog policy generate`: a policy for a purpose, or one made from traffic that keeps to a budget.

use decklog_audit::policy::generate::{Generated, Generator, Goal, Profile};
use decklog_audit::policy::{Compiled, from_document};
use serde_json::json;

use super::file::json;
use super::traffic::TrafficFlags;
use crate::cli::TEMPLATE;
use crate::commands::Context;
use crate::config::yaml;
use crate::failure::{Exit, Failure, Failures, Outcome};
use crate::output::{Answer, Cell, Head, Table, with_thousands};

/// Writes a policy for a purpose, or from traffic within a budget
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog policy generate --profile security > policy.yaml
  decklog policy generate --from audit.log --budget 500MB/day > policy.yaml
  decklog policy generate --data-dir ./decklog-data --since 1d --budget 50% --must-keep 'resource:pods verb:create'

From traffic it starts from a profile and cuts noise of the cluster's own components first, least telling first, until what
is left keeps to the budget. What users do stays, and so do denied requests, failed logins, secrets and rights: at most
their bodies go. The policy goes to standard output, what was cut to standard error.",
    after_help = "Profiles:
  minimal     small disks: changes, secrets, ways into pods, failed logins
  security    detection: everything but routine, bodies of what attackers change
  compliance  proof of who did what: every request but probes, bodies of changes to rights
  latency     following controllers: every request with its times, without bodies
  gce         what GKE's clusters had by default, rule for rule
  forensics   reconstruction: bodies of every change, both ways

Exit codes: 0 done, 1 the budget is not reached, 2 wrong use, 3 could not be read, 4 not allowed (decklog help exit-codes)"
)]
pub(super) struct GenerateFlags {
    /// The purpose; with --budget what the cuts start from [default with --budget: forensics]
    #[arg(long, value_name = "NAME", value_parser = Profile::ALL.map(|profile| profile.name), hide_possible_values = true)]
    profile: Option<String>,
    /// How much the log may grow: 500MB/day, or 50% of what was recorded
    #[arg(long, value_name = "SIZE", value_parser = Goal::parse)]
    budget: Option<Goal>,
    /// Never cut events of the same user, verb and kind of thing as what this finds
    #[arg(long, value_name = "FILTER", requires = "budget")]
    must_keep: Option<String>,
    /// Of which traffic.
    #[command(flatten)]
    traffic: TrafficFlags,
    /// yaml (the policy) or json (the policy, its bytes a day and what was cut)
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "yaml", help_heading = "Output")]
    output: GenerateForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum GenerateForm {
    Yaml,
    Json,
}

impl GenerateFlags {
    pub(super) fn for_programs(&self) -> bool {
        self.output == GenerateForm::Json
    }
}

pub(super) fn run(flags: &GenerateFlags, context: &Context) -> Outcome {
    let profile = flags.profile.as_deref().or(flags.budget.map(|_| Profile::FULLEST)).and_then(Profile::named);
    let Some(profile) = profile else {
        return Err(Failure::usage("generate", "it needs a purpose or a budget")
            .help("decklog policy generate --profile security, or --from audit.log --budget 500MB/day")
            .into());
    };
    let mut answer = Answer::new();
    let Some(goal) = flags.budget else {
        if flags.traffic.is_asked() {
            return Err(Failure::usage("generate", "traffic is of use only with a budget").help("--budget 500MB/day, or 50%").into());
        }
        match flags.output {
            GenerateForm::Yaml => answer.with(|out| out.write_all(profile.text.as_bytes()))?,
            GenerateForm::Json => answer.line(json!({"policy": profile.text}).to_string().as_bytes())?,
        }
        answer.flush()?;
        return Ok(Exit::Done);
    };
    let generated = from_traffic(flags, profile, goal, context)?;
    match flags.output {
        GenerateForm::Yaml => answer.with(|out| out.write_all(generated.text.as_bytes()))?,
        GenerateForm::Json => answer.line(generated.report().to_string().as_bytes())?,
    }
    answer.flush()?;
    if flags.output == GenerateForm::Yaml {
        tell(&generated, context);
    }
    Ok(if generated.is_reached() { Exit::Done } else { Exit::No })
}

fn from_traffic(flags: &GenerateFlags, profile: Profile, goal: Goal, context: &Context) -> Result<Generated, Failures> {
    let policy = from_document(&json(&yaml::parse(profile.text, profile.name)?));
    let mut generator = Generator::new(profile, Compiled::new(&policy));
    if let Some(filter) = &flags.must_keep {
        flags.traffic.each_of(Some(filter), context, |_, request, _| {
            generator.keep(request);
            Ok(())
        })?;
    }
    flags.traffic.each(context, |event, request, line| {
        generator.add(event, request, line);
        Ok(())
    })?;
    generator.finish(goal).map_err(|message| Failure::failed("generate", message).help("events of a day or more tell most").into())
}

/// What was cut, for people.
fn tell(generated: &Generated, context: &Context) {
    let heads = ["CUT", "LEFT", "WHO", "VERBS", "OF"].map(Head::text);
    let mut table = Table::new([heads.as_slice(), &[Head::number("EVENTS"), Head::number("SAVES")]].concat(), context.paint, None);
    // Writing into memory does not fail.
    let mut text = Vec::new();
    for (what, (n_events, bytes)) in generated.left_out.rows() {
        let cells = [what, "", "", "", "", &with_thousands(n_events), &generated.say(bytes)].map(Cell::plain);
        let _ = table.row(cells.to_vec(), &mut text);
    }
    for cut in &generated.plan.cuts {
        let cells = [cut.noise.as_str(), cut.level.as_str(), &cut.who.to_string(), &cut.verbs.join(","), &cut.things().join(",")].map(Cell::plain);
        let numbers = [with_thousands(cut.n_events), generated.say(cut.saved_bytes)].map(|text| Cell::plain(&text));
        let _ = table.row([cells.as_slice(), &numbers].concat(), &mut text);
    }
    let _ = table.flush(&mut text);
    if !text.is_empty() {
        context.note(String::from_utf8_lossy(&text).trim_end());
    }
    let say = |bytes| generated.say(bytes);
    context.note(&format!(
        "recorded {}, with the profile {}, with this policy {}; the budget is {}",
        say(generated.recorded.1),
        say(generated.plan.before),
        say(generated.plan.after),
        say(generated.budget)
    ));
    if generated.bodies_unknown > 0 {
        context.note(&format!(
            "warning: {} events would hold bodies that were not recorded: their bytes are more than is shown",
            with_thousands(generated.bodies_unknown)
        ));
    }
    if !generated.is_reached() {
        context.note("warning: the budget is not reached, and nothing more may be cut: what is left is what users do, denied requests, secrets and rights");
    }
}
