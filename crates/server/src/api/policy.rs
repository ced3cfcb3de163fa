//! `POST /api/v1/policy/check`, `explain`, `simulate` and `generate`: the questions of `decklog policy`, asked of a policy's text. What is
//! decided is in `audit::policy`; this reads the questions, keeps the limits, and tells errors.

mod answers;
mod traffic;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use decklog_audit::access::Identity;
use decklog_audit::policy::generate::{Generator, Goal, Profile};
use decklog_audit::policy::load::{TargetVersion, Verdict, load, text_of};
use decklog_audit::policy::simulate::{Difference, RecordedRequest, Totals, simulate as simulate_event};
use decklog_audit::policy::{AskedRequest, Attributes, Compiled, Policy, RequestLength, explain as explain_request, lint};
use decklog_audit::{Event, Level, Timestamp};
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::traffic::{Traffic, over};
use super::body::{self, wrong};
use super::parameters::Parameters;
use crate::background;
use crate::front::RequestId;
use crate::problem::{ParameterError, Problem, ProblemKind};
use crate::router::Shared;

/// The largest policy.
const MAX_POLICY_BYTES: usize = 1 << 20;
/// The largest question: two policies, with what JSON adds to them.
const MAX_BODY_BYTES: usize = 5 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CheckAsked {
    policy: String,
    target_version: Option<String>,
}

pub(crate) async fn check(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>, uri: Uri, body: Body) -> Result<Json<Value>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let asked: CheckAsked = body::read(body, MAX_BODY_BYTES, r#"{"policy": "apiVersion: audit.k8s.io/v1 …", "targetVersion": "1.36"}"#).await?;
    size(&asked.policy, "policy")?;
    let target = match &asked.target_version {
        None => TargetVersion::default(),
        Some(text) => text.parse().map_err(|_| wrong("targetVersion", format!("`{text}` is no version of Kubernetes"), "write 1.36"))?,
    };
    off_thread(&shared, &identity, move || {
        let verdict = load(asked.policy.as_bytes(), target);
        let text = text_of(asked.policy.as_bytes()).unwrap_or_default();
        Ok(lint::report(&text, &verdict, &lint::lint(&text, &verdict, target)))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainAsked {
    policy: String,
    request: Option<AskedRequest>,
    event: Option<Box<RawValue>>,
}

pub(crate) async fn explain(State(shared): State<Arc<Shared>>, Extension(identity): Extension<Identity>, uri: Uri, body: Body) -> Result<Json<Value>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let asked: ExplainAsked = body::read(body, MAX_BODY_BYTES, EXPLAIN_EXAMPLE).await?;
    size(&asked.policy, "policy")?;
    off_thread(&shared, &identity, move || explained(&asked)).await
}

const EXPLAIN_EXAMPLE: &str = r#"{"policy": "…", "request": {"user": {"name": "bob"}, "method": "GET", "target": "/api/v1/pods"}}"#;

fn explained(asked: &ExplainAsked) -> Result<Value, Problem> {
    let (verdict, policy) = loaded(&asked.policy, "policy")?;
    let answer = |attributes: &Attributes<'_>, length: RequestLength| answers::explanation(&verdict, attributes, &explain_request(&policy, attributes, length));
    match (&asked.request, &asked.event) {
        (Some(request), None) => {
            if request.verb.is_empty() && request.target.is_none() {
                return Err(wrong("request", "it has neither a verb nor a request line".to_owned(), format!("write {EXPLAIN_EXAMPLE}")));
            }
            request.ask(answer).map_err(|message| wrong("request", message, "write the target as it stands in the request line"))
        }
        (None, Some(event)) => {
            let event = Event::decode(event.get()).map_err(|error| wrong("event", format!("it is no audit event: {error}"), "an event of audit.k8s.io/v1"))?;
            let request = RecordedRequest::of(&event);
            let length = RequestLength::of(&request.info);
            Ok(request.ask(|attributes| answer(attributes, length)))
        }
        _ => Err(wrong("request", "one of `request` and `event` is needed".to_owned(), format!("write {EXPLAIN_EXAMPLE}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SimulateAsked {
    policies: Vec<String>,
    filter: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// What is summed up while the events go by.
struct Simulation {
    compiled: Vec<Compiled>,
    totals: Vec<Totals>,
    difference: Difference,
    /// Of what was recorded, by level from None.
    n_recorded: [u64; 4],
}

pub(crate) async fn simulate(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
    body: Body,
) -> Result<Json<Value>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let asked: SimulateAsked = body::read(body, MAX_BODY_BYTES, r#"{"policies": ["…"], "filter": "", "since": "1d"}"#).await?;
    if !(1..=2).contains(&asked.policies.len()) {
        return Err(wrong("policies", format!("there are {} policies", asked.policies.len()), "one, or two to compare"));
    }
    asked.policies.iter().try_for_each(|text| size(text, "policies"))?;
    let traffic = Traffic::read(&asked.filter, &asked.since, &asked.until, now(&shared))?;
    let texts = asked.policies;
    let policies = background_result(background::run(move || texts.iter().map(|text| loaded(text, "policies")).collect::<Result<Vec<_>, _>>()).await)?;
    let state = Simulation {
        compiled: policies.iter().map(|(_, policy)| Compiled::new(policy)).collect(),
        totals: vec![Totals::default(); policies.len()],
        difference: Difference::default(),
        n_recorded: [0; 4],
    };
    let (state, gaps) = over(&shared, (&identity, &request_id), "policy-simulate", traffic, state, |state, event, request, line| {
        let simulated: Vec<_> = state.compiled.iter().map(|policy| simulate_event(policy, request, event, line)).collect();
        for (totals, simulated) in state.totals.iter_mut().zip(&simulated) {
            totals.add(event, request, line.len(), simulated);
        }
        if let Some(level) = event.level.as_deref().and_then(Level::parse) {
            state.n_recorded[level as usize] += 1;
        }
        if let [before, after] = simulated.as_slice() {
            state.difference.add(event, request, before, after);
        }
    })
    .await?;
    Ok(Json(answers::simulation(&policies, &state.totals, &state.difference, state.n_recorded, &gaps)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GenerateAsked {
    profile: Option<String>,
    budget: Option<String>,
    must_keep: Option<String>,
    filter: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

pub(crate) async fn generate(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
    body: Body,
) -> Result<Json<Value>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let asked: GenerateAsked = body::read(body, MAX_BODY_BYTES, r#"{"profile": "security"} or {"budget": "500MB/day", "since": "1d"}"#).await?;
    let name = asked.profile.as_deref().unwrap_or(Profile::FULLEST);
    let names = Profile::ALL.map(|profile| profile.name).join(", ");
    let profile = Profile::named(name).ok_or_else(|| wrong("profile", format!("`{name}` is no profile"), format!("one of {names}")))?;
    let Some(budget) = &asked.budget else {
        if asked.profile.is_none() {
            return Err(wrong("profile", "neither a profile nor a budget is given".to_owned(), format!("one of {names}, or a budget such as 500MB/day")));
        }
        return Ok(Json(json!({"policy": profile.text, "cuts": [], "leftOut": []})));
    };
    let goal = Goal::parse(budget).map_err(|message| wrong("budget", message, "500MB/day, or 50%"))?;
    let traffic = Traffic::read(&asked.filter, &asked.since, &asked.until, now(&shared))?;
    let mut generator = Generator::new(profile);
    let asking = (&identity, &request_id);
    let mut gaps = Vec::new();
    if let Some(filter) = &asked.must_keep {
        let kept = traffic.narrowed(filter, "mustKeep", now(&shared))?;
        let (filled, more) = over(&shared, asking, "policy-generate", kept, generator, |generator, _, request, _| generator.keep(request)).await?;
        (generator, gaps) = (filled, more);
    }
    let (generator, more) =
        over(&shared, asking, "policy-generate", traffic, generator, |generator, event, request, line| generator.add(event, request, line)).await?;
    gaps.extend(more);
    let generated = generator.finish(goal).map_err(|message| wrong("filter", message, "take a longer time, or a filter that finds events"))?;
    let mut report = generated.report();
    answers::add_gaps(&mut report, &gaps);
    Ok(Json(report))
}

fn now(shared: &Shared) -> Timestamp {
    (shared.parts.clock)()
}

fn size(text: &str, parameter: &str) -> Result<(), Problem> {
    if text.len() <= MAX_POLICY_BYTES {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::TooLarge, format!("{parameter}: a policy of {} bytes, the limit is {MAX_POLICY_BYTES}", text.len())))
}

/// The policy of a text that kube-apiserver would take.
fn loaded(text: &str, parameter: &str) -> Result<(Verdict, Policy), Problem> {
    let verdict = load(text.as_bytes(), TargetVersion::default());
    match &verdict.result {
        Ok(policy) => {
            let policy = policy.clone();
            Ok((verdict, policy))
        }
        Err(refusal) => {
            let error = refusal.problems.first().map_or_else(
                || ParameterError::new(parameter, refusal.message.clone(), "check it"),
                |problem| ParameterError {
                    line: Some(problem.span.line),
                    column: Some(problem.span.column),
                    ..ParameterError::new(parameter, problem.message.clone(), problem.fix.clone())
                },
            );
            Err(Problem::of_parameters(ProblemKind::BadParameter, vec![error]))
        }
    }
}

/// Does what reads no event on a thread where it keeps nobody waiting, within the limits of questions.
async fn off_thread(shared: &Shared, identity: &Identity, work: impl FnOnce() -> Result<Value, Problem> + Send + 'static) -> Result<Json<Value>, Problem> {
    let permit = shared.limits.query(identity).await?;
    let result = background::run(move || {
        let _permit = permit;
        work()
    });
    background_result(result.await).map(Json)
}

fn background_result<T>(result: Result<Result<T, Problem>, background::Broken>) -> Result<T, Problem> {
    result.map_err(|broken| Problem::internal(broken.to_string()))?
}
