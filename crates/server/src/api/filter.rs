//! `GET /api/v1/filter`: what a filter's text means, where it is wrong, and what could stand at the cursor. There is one
//! parser, this one: pages and command lines ask it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use decklog_audit::Timestamp;
use decklog_audit::access::Identity;
use decklog_audit::filter::complete::{Completion, Item, Token, TokenKind, WantedValues, complete, value_text};
use decklog_audit::filter::{Filter, FilterError};
use decklog_audit::search::{FacetCount, FacetRequest, Order, SearchRequest, SeqRange, Stop};
use http::Uri;
use serde::Serialize;

use super::counts::{Asking, read_question};
use super::parameters::{Parameters, Question};
use super::search::Search;
use crate::front::RequestId;
use crate::mark::MarkFacts;
use crate::problem::Problem;
use crate::router::Shared;

/// Values are worth waiting for so long: who writes goes on meanwhile.
const VALUES_PATIENCE: Duration = Duration::from_millis(300);
/// Values of a field at most.
const MAX_VALUES: usize = 50;
/// Longer values are no help in a list, and make it long.
const MAX_VALUE_BYTES: usize = 256;

const ALLOWED: [&str; 7] = ["text", "cursor", "since", "until", "stages", "unit", "asof"];

#[derive(Serialize)]
pub(crate) struct FilterBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
    hints: Vec<String>,
    tokens: Vec<TokenBody>,
    completion: CompletionBody,
}

#[derive(Serialize)]
struct ErrorBody {
    column: usize,
    length: usize,
    code: &'static str,
    message: String,
    help: String,
}

#[derive(Serialize)]
struct TokenBody {
    start: usize,
    length: usize,
    kind: &'static str,
}

#[derive(Serialize)]
struct CompletionBody {
    start: usize,
    end: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    items: Vec<ItemBody>,
}

#[derive(Serialize)]
struct ItemBody {
    text: String,
    label: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
}

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
) -> Result<Json<FilterBody>, Problem> {
    let mut parameters = Parameters::read(&uri, &ALLOWED);
    let (question, asof) = read_question(&shared, &mut parameters);
    let cursor = parameters.number("cursor", 0, u64::from(u32::MAX)).map_or(usize::MAX, |cursor| cursor as usize);
    let text = parameters.text("text").unwrap_or_default().to_owned();
    parameters.finish()?;
    let completion = complete(&text, cursor);
    let counted = match completion.wanted.clone() {
        Some(wanted) => values(&shared, (&identity, &request_id), wanted, question, asof).await,
        None => Vec::new(),
    };
    Ok(Json(FilterBody::of(&text, (shared.parts.clock)(), completion, counted)))
}

/// The values of a field with their counts; none if they are not there in time or may not be asked for now: completion
/// is a help, and goes on without them.
async fn values(shared: &Shared, asking: Asking<'_>, wanted: WantedValues, question: Question, asof: u64) -> Vec<FacetCount> {
    let (identity, request_id) = asking;
    let asked_for = format!("{}:{}*", wanted.field, wanted.prefix);
    let mark = shared.marks.begin_completion(identity, request_id.as_str(), MarkFacts::new("completion", &asked_for, question.range));
    let Ok(Ok(permit)) = tokio::time::timeout(VALUES_PATIENCE, shared.limits.query(identity)).await else { return Vec::new() };
    let request = SearchRequest {
        filter: question.filter,
        range: question.range,
        seqs: SeqRange { from: None, until: Some(asof) },
        after: None,
        limit: None,
        order: Order::Arrival,
        stop: Stop::default(),
    };
    let asked = FacetRequest { fields: vec![wanted.field], n_top: MAX_VALUES, prefix: wanted.prefix };
    let search = Search { searcher: shared.parts.searcher.clone(), metrics: shared.metrics.clone(), kind: "completion", request, permit };
    let Ok((mut facets, _)) = search.answer(VALUES_PATIENCE, move |searcher, request| searcher.facets(request, &asked)).await else { return Vec::new() };
    let mut counts = facets.pop().unwrap_or_default().top;
    counts.retain(|count| !count.value.is_empty() && count.value.len() <= MAX_VALUE_BYTES);
    if let Some(mark) = mark {
        mark.add(counts.len() as u64);
    }
    counts
}

impl FilterBody {
    fn of(text: &str, now: Timestamp, completion: Completion, counted: Vec<FacetCount>) -> Self {
        let (canonical, hints, error) = match Filter::parse(text, now) {
            Ok(filter) => (Some(filter.to_string()), filter.hints(), None),
            Err(error) => (None, Vec::new(), Some(ErrorBody::of(error))),
        };
        Self { canonical, error, hints, tokens: completion.tokens.iter().map(TokenBody::of).collect(), completion: CompletionBody::of(completion, counted) }
    }
}

impl ErrorBody {
    fn of(error: FilterError) -> Self {
        Self { column: error.column, length: error.length, code: error.code, message: error.message, help: error.help }
    }
}

impl TokenBody {
    fn of(token: &Token) -> Self {
        Self { start: token.start, length: token.length, kind: token.kind.as_str() }
    }
}

impl CompletionBody {
    /// What was counted comes first, most frequent first; then what is known and did not occur.
    fn of(completion: Completion, counted: Vec<FacetCount>) -> Self {
        let same = |item: &Item, count: &FacetCount| item.kind == TokenKind::Value && item.label.eq_ignore_ascii_case(&count.value);
        let (mut items, mut known) = (Vec::new(), completion.items);
        for count in counted {
            let at = known.iter().position(|item| same(item, &count));
            let known = at.map(|at| known.remove(at));
            let text = known.as_ref().map_or_else(|| value_text(&count.value), |item| item.text.clone());
            let detail = known.map(|item| item.detail).unwrap_or_default();
            items.push(ItemBody { text, label: count.value, kind: TokenKind::Value.as_str(), detail, events: Some(count.n_events) });
        }
        items.extend(known.into_iter().map(|item| ItemBody {
            text: item.text,
            label: item.label,
            kind: item.kind.as_str(),
            detail: item.detail,
            events: None,
        }));
        let field = completion.wanted.map(|wanted| wanted.field.to_string());
        Self { start: completion.start, end: completion.end, field, items }
    }
}
