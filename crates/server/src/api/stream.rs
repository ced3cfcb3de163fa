//! The stream of `GET /api/v1/events` with `Accept: application/x-ndjson`: a stored line each, or with
//! `form=records` an object each that holds the line and what decklog knows of it.
//! Totals come at the end, as HTTP trailers, for clients that send `TE: trailers`.

use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use decklog_audit::access::Identity;
use decklog_audit::search::{Hit, Order, SearchRequest, SearchSummary, SeqRange, Stop};
use http::{HeaderMap, HeaderValue};

use super::events::About;
use super::outlet::{self, COMPLETE, Outlet, RETURNED};
use super::parameters::Parameters;
use super::search::{problem_of, result_of};
use crate::background;
use crate::front::RequestId;
use crate::mark::{Mark, MarkFacts};
use crate::metrics::QueryResult;
use crate::problem::{ParameterError, Problem};
use crate::router::Shared;

/// Events that match, handed out or not.
const MATCHED: &str = "decklog-matched";

/// What a line of the stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Records,
}

pub(super) async fn events(shared: Arc<Shared>, identity: Identity, request_id: RequestId, mut parameters: Parameters) -> Result<Response, Problem> {
    let now = (shared.parts.clock)();
    let question = parameters.question(now);
    let order = parameters.order(Order::Ascending);
    let asof = parameters.asof(shared.parts.journal.next_seq());
    let limit = parameters.number("limit", 0, u64::MAX).unwrap_or(0);
    let form = parameters.word("form", &[("lines", Form::Lines), ("records", Form::Records)]);
    if parameters.text("cursor").is_some() {
        parameters.wrong(ParameterError::new("cursor", "a stream has no pages", "leave it out, or ask for `application/json`"));
    }
    parameters.finish()?;
    let mark = shared.marks.begin(&identity, request_id.as_str(), MarkFacts::new("search", &question.filter_text, question.range));
    let permit = shared.limits.query(&identity).await?;
    let request = SearchRequest {
        filter: question.filter,
        range: question.range,
        seqs: SeqRange { from: None, until: Some(asof) },
        after: None,
        limit: (limit > 0).then(|| usize::try_from(limit).unwrap_or(usize::MAX)),
        order,
        stop: Stop::default(),
    };
    let (outlet, inlet) = outlet::channel(shared.limits.config.stalled, request.stop.clone());
    // Its end is the stream's end, however it comes.
    let _running = background::run(move || {
        let _permit = permit;
        run(&shared, &request, form, &mark, outlet);
    });
    inlet.answer("application/x-ndjson", "decklog-matched, decklog-returned, decklog-complete").await
}

/// The search itself, on a thread that may wait.
fn run(shared: &Shared, request: &SearchRequest, form: Form, mark: &Mark, mut outlet: Outlet) {
    let started = Instant::now();
    let mut n_returned = 0;
    let result = shared.parts.searcher.search(request, &mut |hit| {
        n_returned += 1;
        mark.add(1);
        line(&hit, form, &mut outlet);
        outlet.pass_on()
    });
    let counted = if outlet.is_gone() { QueryResult::ClientLeft } else { result_of(result.as_ref()) };
    shared.metrics.query("search", counted, started.elapsed());
    if outlet.is_gone() {
        return;
    }
    match result {
        Ok(summary) => outlet.end(trailers(&summary, n_returned)),
        Err(error) => {
            tracing::error!(%error, "a search failed");
            outlet.fail(problem_of(error));
        }
    }
}

fn line(hit: &Hit<'_>, form: Form, outlet: &mut Outlet) {
    match form {
        Form::Lines => outlet.write(hit.line),
        Form::Records => {
            let about = serde_json::to_vec(&About::of(hit)).expect("strings are always JSON");
            outlet.write(&about[..about.len() - 1]);
            outlet.write(b",\"event\":");
            outlet.write(hit.line);
            outlet.write(b"}");
        }
    }
    outlet.write(b"\n");
}

fn trailers(summary: &SearchSummary, n_returned: u64) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(MATCHED, HeaderValue::from(summary.n_matched));
    trailers.insert(RETURNED, HeaderValue::from(n_returned));
    trailers.insert(COMPLETE, outlet::truth(summary.gaps.is_empty()));
    trailers
}
