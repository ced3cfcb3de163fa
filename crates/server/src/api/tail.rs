//! `GET /api/v1/tail`: matching events as they arrive, as server-sent events.
//!
//! A tail is a position in the journal and nothing else. The connection pulls: when it has room, the next
//! slice behind the position is searched and sent, in order of arrival. So a slow client costs no
//! memory, and `Last-Event-ID` resumes exactly. A client that has not taken anything for
//! [`TailConfig::patience`] while events were waiting is slow: what matches between its position and the
//! journal's end is counted, it is told `event: lag`, and goes on at the end.
//!
//! ```text
//! id: 3072                 the event's sequence: what a browser sends back as Last-Event-ID
//! event: audit
//! data: {"kind":"Event",…} the stored line
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use decklog_audit::access::Identity;
use decklog_audit::filter::Filter;
use decklog_audit::search::{Order, SearchRequest, SeqRange, TimeRange};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Uri, header};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::parameters::Parameters;
use super::search::problem_of;
use crate::background;
use crate::front::RequestId;
use crate::mark::{Mark, MarkFacts};
use crate::problem::{ParameterError, Problem};
use crate::router::Shared;

/// How tails behave. The defaults are those of `docs/api.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailConfig {
    /// After how long without events a comment line is sent.
    pub keep_alive: Duration,
    /// How long a client may leave the connection full before events are skipped.
    pub patience: Duration,
    /// A slice ends with this many bytes of events.
    pub slice_bytes: usize,
}

impl Default for TailConfig {
    fn default() -> Self {
        Self { keep_alive: Duration::from_secs(15), patience: Duration::from_secs(10), slice_bytes: 256 << 10 }
    }
}

/// The most sequence numbers one slice looks at, so that a filter that matches nothing ends too.
const SLICE_SEQS: u64 = 65_536;
/// The most events that `last` asks for.
const MAX_LAST: u64 = 10_000;

const ALLOWED: [&str; 4] = ["filter", "stages", "unit", "last"];

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::read(&uri, &ALLOWED);
    let question = parameters.question((shared.parts.clock)());
    let last = parameters.number("last", 1, MAX_LAST);
    let end = shared.parts.journal.next_seq();
    let resumed = headers.get("last-event-id").map(|value| value.to_str().ok().and_then(|text| text.parse::<u64>().ok()));
    if resumed == Some(None) {
        parameters.wrong(ParameterError::new("Last-Event-ID", "it is no sequence number", "send back the `id` of the last event"));
    }
    parameters.finish()?;
    let place = shared.limits.tail(&identity)?;
    // Behind the end there is nothing to resume from: such an id is of another journal.
    let position = resumed.flatten().map_or(end, |seq| seq.saturating_add(1).min(end));
    let begin = |what| shared.marks.begin(&identity, request_id.as_str(), MarkFacts::new(what, &question.filter_text, TimeRange::default()));
    drop(begin("tail-start"));
    let tail = Tail {
        first: last.filter(|_| resumed.is_none()).map(|last| last as usize),
        mark: Arc::new(begin("tail")),
        stopping: shared.stopping.clone(),
        filter: question.filter,
        position,
        given_at: None,
        greeted: false,
        ended: false,
        _place: place,
        shared: shared.clone(),
    };
    let frames = stream::unfold(tail, |mut tail| async move {
        let frame = tail.next().await?;
        tail.given_at = Some(Instant::now());
        Some((Ok::<_, std::convert::Infallible>(frame), tail))
    });
    let mut response = Body::from_stream(frames).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// One client's tail.
struct Tail {
    shared: Arc<Shared>,
    filter: Filter,
    /// The next sequence number to look at.
    position: u64,
    /// How many of the newest events come first.
    first: Option<usize>,
    /// When the last frame was given to the connection.
    given_at: Option<Instant>,
    greeted: bool,
    ended: bool,
    mark: Arc<Mark>,
    stopping: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// What a slice gave.
struct Slice {
    frames: Vec<u8>,
    /// The next sequence number to look at.
    position: u64,
}

impl Tail {
    /// The next bytes to send; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if !self.greeted {
            // Sent at once, so that the client sees the connection stand.
            self.greeted = true;
            return Some(Bytes::from_static(b"retry: 2000\n: decklog tail\n\n"));
        }
        let waiting_since = self.given_at.take();
        match self.advance(waiting_since).await {
            Ok(bytes) => Some(bytes),
            Err(last) => {
                self.ended = true;
                last
            }
        }
    }

    /// The next bytes, or as an error the very last ones.
    async fn advance(&mut self, given_at: Option<Instant>) -> Result<Bytes, Option<Bytes>> {
        let config = self.shared.tail;
        if let Some(last) = self.first.take() {
            let slice = self.search(SeqRange { from: None, until: Some(self.position) }, Some(last)).await?;
            if !slice.frames.is_empty() {
                return Ok(slice.frames.into());
            }
        }
        let end = self.shared.parts.journal.next_seq();
        if self.position < end && given_at.is_some_and(|at| at.elapsed() >= config.patience) {
            return self.skip(end).await;
        }
        let keep_alive_at = Instant::now() + config.keep_alive;
        loop {
            if *self.stopping.borrow() {
                return Err(Some(Bytes::from_static(b": the server stops\n\n")));
            }
            let end = self.shared.parts.journal.next_seq();
            if self.position < end {
                let until = end.min(self.position.saturating_add(SLICE_SEQS));
                let slice = self.search(SeqRange { from: Some(self.position), until: Some(until) }, None).await?;
                self.position = slice.position;
                if !slice.frames.is_empty() {
                    return Ok(slice.frames.into());
                }
            }
            let patience = keep_alive_at.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Ok(Bytes::from_static(b":\n\n"));
            }
            if self.position < end {
                continue;
            }
            let grown = self.shared.parts.journal.wait_beyond(self.position, patience);
            tokio::select! {
                _ = grown => {}
                () = tokio::time::sleep_until(keep_alive_at) => {}
                _ = self.stopping.wait_for(|stopping| *stopping) => {}
            }
        }
    }

    /// Passes over what a slow client has not taken: counts it and says so.
    async fn skip(&mut self, end: u64) -> Result<Bytes, Option<Bytes>> {
        let request = self.request(SeqRange { from: Some(self.position), until: Some(end) }, None);
        let searcher = self.shared.parts.searcher.clone();
        let counting = background::run(move || {
            let mut skipped = 0u64;
            let result = searcher.search(&request, &mut |_| {
                skipped += 1;
                ControlFlow::Continue(())
            });
            result.map(|_| skipped)
        });
        let skipped = match counting.await {
            Ok(Ok(skipped)) => skipped,
            Ok(Err(error)) => return Err(Some(self.failed(&problem_of(error)))),
            Err(panicked) => return Err(Some(self.failed(&Problem::internal(panicked.to_string())))),
        };
        self.position = end;
        if skipped == 0 {
            return Ok(Bytes::from_static(b":\n\n"));
        }
        Ok(format!("id: {}\nevent: lag\ndata: {{\"skipped\":{skipped}}}\n\n", end - 1).into())
    }

    async fn search(&self, seqs: SeqRange, limit: Option<usize>) -> Result<Slice, Option<Bytes>> {
        let request = self.request(seqs, limit);
        let searcher = self.shared.parts.searcher.clone();
        let mark = self.mark.clone();
        let until = seqs.until.unwrap_or(self.position);
        // The newest events come whole, since a slice in the middle could not be resumed by position.
        let slice_bytes = if limit.is_some() { usize::MAX } else { self.shared.tail.slice_bytes };
        let searching = background::run(move || {
            let mut slice = Slice { frames: Vec::new(), position: until };
            let result = searcher.search(&request, &mut |hit| {
                let head = format!("id: {}\nevent: audit\ndata: ", hit.seq);
                slice.frames.extend_from_slice(head.as_bytes());
                slice.frames.extend_from_slice(hit.line);
                slice.frames.extend_from_slice(b"\n\n");
                mark.add(1);
                if slice.frames.len() >= slice_bytes {
                    slice.position = hit.seq + 1;
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            result.map(|_| slice)
        });
        match searching.await {
            Ok(Ok(slice)) => Ok(slice),
            Ok(Err(error)) => Err(Some(self.failed(&problem_of(error)))),
            Err(panicked) => Err(Some(self.failed(&Problem::internal(panicked.to_string())))),
        }
    }

    fn request(&self, seqs: SeqRange, limit: Option<usize>) -> SearchRequest {
        SearchRequest { filter: self.filter.clone(), seqs, limit, order: Order::Arrival, ..SearchRequest::default() }
    }

    /// The last event of a tail whose search failed: the client may come again.
    fn failed(&self, problem: &Problem) -> Bytes {
        tracing::error!(inside = problem.inside.as_deref(), "a tail ends: its search failed");
        let detail = serde_json::to_string(&problem.detail).expect("strings are always JSON");
        format!("event: error\ndata: {{\"detail\":{detail}}}\n\n").into()
    }
}
