//! The way from a thread that searches to the connection: chunks with back-pressure, totals as HTTP trailers behind
//! them, and the end of the search when the client has left.
//!
//! An answer that fails half way breaks the connection: a chunked body without its end is an error to every client, a
//! short one is not. Until the first chunk a failure can have its status, so nothing is answered before.

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use decklog_audit::search::Stop;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::search::StopWhenDropped;
use crate::problem::Problem;

/// Chunks have about this size, or hold whatever there is after [`FLUSH_AFTER`].
const CHUNK_BYTES: usize = 64 << 10;
const FLUSH_AFTER: Duration = Duration::from_millis(200);
/// Chunks between search and connection; full means the search waits.
const MAX_CHUNKS: usize = 8;

/// Whether everything could be read.
pub(super) const COMPLETE: &str = "decklog-complete";
/// Events or rows handed out.
pub(super) const RETURNED: &str = "decklog-returned";

type Chunk = Result<Frame<Bytes>, io::Error>;

/// Both ends: for the thread, and for the connection. `stalled` is how long a client may leave everything unread;
/// `stop` is set when it has left. To be called inside the runtime.
pub(super) fn channel(stalled: Duration, stop: Stop) -> (Outlet, Inlet) {
    let (sender, receiver) = mpsc::channel::<Result<Chunk, Problem>>(MAX_CHUNKS);
    let outlet =
        Outlet { sender, runtime: tokio::runtime::Handle::current(), stalled, chunk: Vec::new(), flushed_at: Instant::now(), gone: false, stop: stop.clone() };
    (outlet, Inlet { receiver, abandoned: StopWhenDropped(stop) })
}

/// The thread's end.
pub(super) struct Outlet {
    sender: mpsc::Sender<Result<Chunk, Problem>>,
    runtime: tokio::runtime::Handle,
    stalled: Duration,
    chunk: Vec<u8>,
    flushed_at: Instant,
    gone: bool,
    stop: Stop,
}

impl Outlet {
    /// Adds to the chunk.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.chunk.extend_from_slice(bytes);
    }

    /// Sends the chunk if it is time. Breaks when nobody is there to read it.
    pub(super) fn pass_on(&mut self) -> ControlFlow<()> {
        if self.chunk.len() >= CHUNK_BYTES || self.flushed_at.elapsed() >= FLUSH_AFTER {
            self.flush();
        } else if self.sender.is_closed() {
            self.gone = true;
        }
        if self.gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether the client has left.
    pub(super) fn is_gone(&self) -> bool {
        self.gone || self.stop.is_stopped()
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

    /// Ends the answer well.
    pub(super) fn end(mut self, trailers: HeaderMap) {
        self.flush();
        self.send(Ok(Ok(Frame::trailers(trailers))));
    }

    /// Ends the answer badly.
    pub(super) fn fail(mut self, problem: Problem) {
        self.flush();
        self.send(Err(problem));
    }
}

/// The connection's end.
pub(super) struct Inlet {
    receiver: mpsc::Receiver<Result<Chunk, Problem>>,
    /// Held by the body: the client leaving drops it, and with it ends a search that finds nothing to send.
    abandoned: StopWhenDropped,
}

impl Inlet {
    /// Waits for the beginning of the answer, and gives the whole as it comes.
    pub(super) async fn answer(self, content_type: &'static str, trailers: &'static str) -> Result<Response, Problem> {
        let Self { mut receiver, abandoned } = self;
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
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::TRAILER, HeaderValue::from_static(trailers));
        Ok(response)
    }
}

/// A trailer's `true` or `false`.
pub(super) fn truth(value: bool) -> HeaderValue {
    HeaderValue::from_static(if value { "true" } else { "false" })
}
