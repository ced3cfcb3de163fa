//! The stream of `GET /api/v1/events` with `Accept: application/x-ndjson`: a stored line each, or with
//! `form=records` an object each that holds the line and what decklog knows of it.
//!
//! Totals come at the end, as HTTP trailers, for clients that send `TE: trailers`. A search that fails half
//! way breaks the connection: a chunked body without its end is an error to every client, a short one is not.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use decklog_audit::access::Identity;
use decklog_audit::search::{Hit, Order, SearchRequest, SearchSummary, SeqRange, Stop};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::events::About;
use super::parameters::Parameters;
use super::search::{StopWhenDropped, problem_of, result_of};
use crate::front::RequestId;
use crate::mark::{Mark, MarkFacts};
use crate::metrics::QueryResult;
use crate::problem::{ParameterError, Problem};
use crate::router::Shared;

/// Lines are sent in chunks of about this size, or whatever there is after [`FLUSH_AFTER`].
const CHUNK_BYTES: usize = 64 << 10;
const FLUSH_AFTER: Duration = Duration::from_millis(200);
/// Chunks between search and connection; full means the search waits.
const MAX_CHUNKS: usize = 8;

const MATCHED: &str = "decklog-matched";
const RETURNED: &str = "decklog-returned";
const COMPLETE: &str = "decklog-complete";

/// What a line of the stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Records,
}

type Chunk = Result<Frame<Bytes>, io::Error>;

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
    // Held by the body: the client leaving drops it, and with it ends a search that finds nothing to send.
    let abandoned = StopWhenDropped(request.stop.clone());
    let (sender, mut receiver) = mpsc::channel::<Result<Chunk, Problem>>(MAX_CHUNKS);
    let outlet = Outlet {
        sender,
        runtime: tokio::runtime::Handle::current(),
        stalled: shared.limits.config.stalled,
        chunk: Vec::new(),
        flushed_at: Instant::now(),
        gone: false,
    };
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        run(&shared, &request, form, &mark, outlet);
    });
    // Nothing is answered before the search has shown something: until then a failure can have its status.
    let first = match receiver.recv().await {
        Some(Ok(chunk)) => chunk,
        Some(Err(problem)) => return Err(problem),
        None => return Err(Problem::internal("a search broke before its first line")),
    };
    let rest = stream::unfold((Some(first), receiver, false, abandoned), |(first, mut receiver, ended, abandoned)| async move {
        let chunk = match first {
            Some(chunk) => chunk,
            None => match receiver.recv().await {
                Some(Ok(chunk)) => chunk,
                Some(Err(problem)) => Err(io::Error::other(problem.detail)),
                // The last frame is always the trailers: without them the search broke.
                None if ended => return None,
                None => Err(io::Error::other("the search broke")),
            },
        };
        let ended = ended || chunk.as_ref().map_or(true, Frame::is_trailers);
        Some((chunk, (None, receiver, ended, abandoned)))
    });
    let mut response = Body::new(StreamBody::new(rest)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::TRAILER, HeaderValue::from_static("decklog-matched, decklog-returned, decklog-complete"));
    Ok(response)
}

/// The search itself, on a thread that may wait.
fn run(shared: &Shared, request: &SearchRequest, form: Form, mark: &Mark, mut outlet: Outlet) {
    let started = Instant::now();
    let mut n_returned = 0;
    let result = shared.parts.searcher.search(request, &mut |hit| {
        n_returned += 1;
        mark.add(1);
        outlet.line(&hit, form)
    });
    let gone = outlet.gone || request.stop.is_stopped();
    let counted = if gone { QueryResult::ClientLeft } else { result_of(result.as_ref()) };
    shared.metrics.query("search", counted, started.elapsed());
    if gone {
        return;
    }
    match result {
        Ok(summary) => outlet.end(&summary, n_returned),
        Err(error) => {
            tracing::error!(%error, "a search failed");
            outlet.flush();
            outlet.send(Err(problem_of(error)));
        }
    }
}

/// The way from the search to the connection.
struct Outlet {
    sender: mpsc::Sender<Result<Chunk, Problem>>,
    runtime: tokio::runtime::Handle,
    stalled: Duration,
    chunk: Vec<u8>,
    flushed_at: Instant,
    gone: bool,
}

impl Outlet {
    fn line(&mut self, hit: &Hit<'_>, form: Form) -> ControlFlow<()> {
        match form {
            Form::Lines => self.chunk.extend_from_slice(hit.line),
            Form::Records => {
                let about = serde_json::to_vec(&About::of(hit)).expect("strings are always JSON");
                self.chunk.extend_from_slice(&about[..about.len() - 1]);
                self.chunk.extend_from_slice(b",\"event\":");
                self.chunk.extend_from_slice(hit.line);
                self.chunk.push(b'}');
            }
        }
        self.chunk.push(b'\n');
        if self.chunk.len() >= CHUNK_BYTES || self.flushed_at.elapsed() >= FLUSH_AFTER {
            self.flush();
        } else if self.sender.is_closed() {
            self.gone = true;
        }
        if self.gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn flush(&mut self) {
        if !self.chunk.is_empty() {
            let chunk = std::mem::take(&mut self.chunk);
            self.send(Ok(Ok(Frame::data(chunk.into()))));
        }
        self.flushed_at = Instant::now();
    }

    /// Waits for room; a client that has left, or reads nothing for too long, is given up.
    fn send(&mut self, chunk: Result<Chunk, Problem>) {
        let sent = self.runtime.block_on(self.sender.send_timeout(chunk, self.stalled));
        self.gone |= sent.is_err();
    }

    fn end(mut self, summary: &SearchSummary, n_returned: u64) {
        self.flush();
        let mut trailers = HeaderMap::new();
        trailers.insert(MATCHED, HeaderValue::from(summary.n_matched));
        trailers.insert(RETURNED, HeaderValue::from(n_returned));
        trailers.insert(COMPLETE, HeaderValue::from_static(if summary.gaps.is_empty() { "true" } else { "false" }));
        self.send(Ok(Ok(Frame::trailers(trailers))));
    }
}
