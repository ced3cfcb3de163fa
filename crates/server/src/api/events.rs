//! `GET /api/v1/events`: a page of JSON, or with `Accept: application/x-ndjson` a stream of stored lines.
//!
//! Events go out as the bytes that are stored, never encoded again. In a page their names and decklog's own
//! facts stand beside them: `about[i]` is about `items[i]`.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use decklog_audit::Timestamp;
use decklog_audit::access::Identity;
use decklog_audit::search::{Hit, Order, SearchRequest, SeqRange, Stop};
use http::{HeaderMap, HeaderValue, Uri, header};
use serde::Serialize;

use super::cursor::{Cursor, question_hash};
use super::parameters::{Parameters, Question};
use super::search::{Collected, Search, timed_out};
use super::stream;
use crate::front::RequestId;
use crate::mark::MarkFacts;
use crate::problem::{ParameterError, Problem, ProblemKind};
use crate::router::Shared;

/// Events in a page, if nothing else is asked for.
const DEFAULT_LIMIT: usize = 100;
/// The most events in a page.
const MAX_LIMIT: u64 = 10_000;
/// A page ends early when its events have this many bytes: one event can have 64 MiB.
const MAX_PAGE_BYTES: usize = 16 << 20;

const ALLOWED: [&str; 10] = ["filter", "since", "until", "stages", "unit", "asof", "order", "limit", "cursor", "form"];

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::read(&uri, &ALLOWED);
    if wants_lines(&headers) {
        return stream::events(shared, identity, request_id, parameters).await;
    }
    let cursor = match parameters.text("cursor") {
        Some(text) => Some(shared.cursor_key.open(text).ok_or_else(bad_cursor)?),
        None => None,
    };
    let now = cursor.map_or_else(|| (shared.parts.clock)(), |cursor| cursor.now);
    // A cursor keeps microseconds, so the first page must not use more.
    let now = Timestamp::from_micros(now.micros());
    let question = parameters.question(now);
    let order = parameters.order(Order::Descending);
    let end = parameters.asof(shared.parts.journal.next_seq());
    let limit = parameters.number("limit", 1, MAX_LIMIT).map_or(DEFAULT_LIMIT, |limit| limit as usize);
    if parameters.text("form").is_some() {
        parameters.wrong(ParameterError::new("form", "pages of JSON have one form", "leave it out, or send `Accept: application/x-ndjson`"));
    }
    parameters.finish()?;
    let hash = question_hash(&format!("{}\0{order:?}", question.spelled));
    if cursor.is_some_and(|cursor| cursor.question != hash) {
        return Err(Problem::new(
            ProblemKind::CursorMismatch,
            "the cursor belongs to another filter, range, stages, unit, asof or order: leave it out to begin again",
        ));
    }
    let asof = cursor.map_or(end, |cursor| cursor.asof);
    let page = Page { order, limit, asof, now, hash, after: cursor.map(|cursor| cursor.after) };
    page.answer(&shared, &identity, &request_id, question).await
}

fn bad_cursor() -> Problem {
    Problem::new(ProblemKind::BadCursor, "the cursor is not one of this server's, or was made before its key changed: leave it out to begin again")
}

/// Whether the client asks for a stream of lines.
fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/x-ndjson") || kind.eq_ignore_ascii_case("application/jsonl")
    })
}

/// One page of an answer.
struct Page {
    order: Order,
    limit: usize,
    asof: u64,
    now: Timestamp,
    hash: [u8; 16],
    after: Option<(Timestamp, u64)>,
}

/// The events of a page, as they are found.
#[derive(Default)]
struct Found {
    items: Vec<u8>,
    about: Vec<About>,
    last: Option<(Timestamp, u64)>,
    more: bool,
}

/// What decklog knows of an event beside its bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    /// `SEQ-ID`, by which `/api/v1/events/{id}` finds it.
    pub(crate) id: String,
    ingested_at: String,
    cluster: String,
    source: String,
    sender: String,
}

impl About {
    pub(crate) fn of(hit: &Hit<'_>) -> Self {
        Self {
            id: format!("{}-{}", hit.seq, hit.id),
            ingested_at: hit.ingested_at.rfc3339_nano(),
            cluster: hit.origin.cluster.to_string(),
            source: hit.origin.source.to_string(),
            sender: hit.origin.sender.to_string(),
        }
    }
}

impl Page {
    async fn answer(self, shared: &Shared, identity: &Identity, request_id: &RequestId, question: Question) -> Result<Response, Problem> {
        let mark = shared.marks.begin(identity, request_id.as_str(), MarkFacts::new("search", &question.filter_text, question.range));
        let permit = shared.limits.query(identity).await?;
        let limit = self.limit;
        // One event more than the page holds tells whether there is a next one. Oldest first there is no
        // bound to give: `SearchRequest::limit` means the newest.
        let request = SearchRequest {
            filter: question.filter,
            range: question.range,
            seqs: SeqRange { from: None, until: Some(self.asof) },
            after: self.after,
            limit: (self.order == Order::Descending).then_some(limit + 1),
            order: self.order,
            stop: Stop::default(),
        };
        let search = Search { searcher: shared.parts.searcher.clone(), metrics: shared.metrics.clone(), kind: "search", request, permit };
        let collected = search
            .collect(shared.limits.config.query_timeout, Found::default(), move |found: &mut Found, hit| {
                if found.about.len() == limit || (found.items.len() + hit.line.len() > MAX_PAGE_BYTES && !found.about.is_empty()) {
                    found.more = true;
                    return ControlFlow::Break(());
                }
                if !found.about.is_empty() {
                    found.items.push(b',');
                }
                found.items.extend_from_slice(hit.line);
                found.about.push(About::of(&hit));
                found.last = Some((hit.time, hit.seq));
                ControlFlow::Continue(())
            })
            .await?;
        let (found, summary) = match collected {
            Collected::Whole(found, summary) => (found, Some(summary)),
            // In order, so that the page is right as far as it goes, and the next one goes on from there.
            Collected::Part(found) if !found.about.is_empty() => (Found { more: true, ..found }, None),
            Collected::Part(_) => return Err(timed_out()),
        };
        mark.add(found.about.len() as u64);
        // After a break the searcher need not have counted to the end; on later pages it has counted less.
        let counted = self.after.is_none() && (!found.more || self.order == Order::Descending);
        let matched = summary.as_ref().map(|summary| summary.n_matched).filter(|matched| counted && *matched >= found.about.len() as u64);
        let next =
            found.last.filter(|_| found.more).map(|after| shared.cursor_key.sign(&Cursor { asof: self.asof, now: self.now, after, question: self.hash }));
        Ok(page_body(&found, self.asof, next, matched, summary.map(|summary| summary.gaps)))
    }
}

/// The page; without `gaps` its time was over.
fn page_body(found: &Found, asof: u64, next: Option<String>, matched: Option<u64>, gaps: Option<Vec<String>>) -> Response {
    #[derive(Serialize)]
    struct Tail<'a> {
        about: &'a [About],
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        matched: Option<u64>,
        asof: u64,
        complete: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        gaps: Vec<String>,
    }
    let reason = match &gaps {
        None => Some("time-limit"),
        Some(gaps) if !gaps.is_empty() => Some("gaps"),
        Some(_) => None,
    };
    let tail = Tail { about: &found.about, next, matched, asof, complete: reason.is_none(), reason, gaps: gaps.unwrap_or_default() };
    let tail = serde_json::to_vec(&tail).expect("strings and numbers are always JSON");
    // The items are put in as bytes: what was stored is what is sent.
    let body = [b"{\"items\":[", found.items.as_slice(), b"],", &tail[1..]].concat();
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
