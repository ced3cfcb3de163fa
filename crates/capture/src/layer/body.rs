//! Bodies on their way through: passed on as they come, looked at where an event needs them, and telling the request's end.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use decklog_audit::Level;
use decklog_audit::backend::Waiting;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::life::Happening;
use super::record::Audited;

/// What kube-apiserver's event says of an answer that broke off: Go's servers end such a handler with this panic.
pub(crate) const BROKEN_OFF: &str = "net/http: abort Handler";

/// Sees a request to its end, even when nobody waits for it any more.
pub(crate) struct Guard {
    audited: Arc<Audited>,
    is_over: bool,
}

impl Guard {
    pub(crate) fn new(audited: Arc<Audited>) -> Self {
        Self { audited, is_over: false }
    }

    pub(crate) fn audited(&self) -> &Arc<Audited> {
        &self.audited
    }

    /// The answer is complete: what is to be waited for before its last byte goes out.
    pub(crate) fn end(&mut self) -> Option<Waiting> {
        self.is_over = true;
        self.audited.happen(Happening::End)
    }

    fn panicked(&self, text: &str) {
        drop(self.audited.happen(Happening::Panic(text)));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_over {
            self.audited.end_unwaited();
        }
    }
}

/// Keeps what passes, up to a bound.
pub(crate) struct Tap {
    audited: Arc<Audited>,
    of: Tapped,
    kept: Vec<u8>,
    max_bytes: usize,
    is_over: bool,
}

/// Which body.
pub(crate) enum Tapped {
    /// That of the request, with its media type.
    Request(String),
    /// That of the answer.
    Response,
}

impl Tap {
    pub(crate) fn new(audited: Arc<Audited>, of: Tapped, max_bytes: usize) -> Self {
        Self { audited, of, kept: Vec::new(), max_bytes, is_over: false }
    }

    pub(crate) fn saw(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref().filter(|_| !self.is_over) else { return };
        if self.kept.len() + data.len() > self.max_bytes {
            (self.is_over, self.kept) = (true, Vec::new());
        } else {
            self.kept.extend_from_slice(data);
        }
    }

    pub(crate) fn finish(self) {
        match (self.of, self.is_over) {
            (Tapped::Request(_), true) => self.audited.saw_long_body(Level::Request),
            (Tapped::Response, true) => self.audited.saw_long_body(Level::RequestResponse),
            (Tapped::Request(media_type), false) => self.audited.saw_request_body(&self.kept, &media_type),
            (Tapped::Response, false) => self.audited.saw_response_body(&self.kept),
        }
    }
}

pin_project! {
    /// A request's body as the service gets it.
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        tap: Option<Box<Tap>>,
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn new(inner: B, tap: Option<Tap>) -> Self {
        Self { inner, tap: tap.map(Box::new) }
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(tap) = this.tap {
            let is_end = match &frame {
                Some(Ok(frame)) => {
                    tap.saw(frame);
                    this.inner.is_end_stream()
                }
                // A request that breaks off was not read by the service either.
                Some(Err(_)) => false,
                None => true,
            };
            if is_end && let Some(tap) = this.tap.take() {
                tap.finish();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// An answer's body as the client gets it: the service's own, byte for byte.
    pub struct ResponseBody<B: Body> {
        // Nothing where `ahead` is all there is.
        #[pin]
        inner: Option<B>,
        // What was read ahead, or stands in place of the service's answer.
        ahead: Ahead<B::Error>,
        audit: Option<Audit>,
    }
}

/// Frames, and perhaps the error that they end with.
pub(crate) type Ahead<E> = VecDeque<Result<Frame<Bytes>, E>>;

/// What is still to be seen of an answer.
struct Audit {
    guard: Guard,
    tap: Option<Box<Tap>>,
    /// The last event is on its way; then the frame that was held back for it. Boxed as the tap is: few answers have either, and all are
    /// moved.
    ending: Option<Box<(Waiting, Option<Frame<Bytes>>)>>,
}

impl<B: Body> ResponseBody<B> {
    /// One that nobody looks at.
    pub(crate) fn plain(inner: B) -> Self {
        Self { inner: Some(inner), ahead: VecDeque::new(), audit: None }
    }

    /// One that is the layer's own.
    pub(crate) fn own(text: String) -> Self {
        Self { inner: None, ahead: VecDeque::from([Ok(Frame::data(text.into()))]), audit: None }
    }

    pub(crate) fn audited(inner: B, guard: Guard, tap: Option<Tap>) -> Self {
        Self { inner: Some(inner), ahead: VecDeque::new(), audit: Some(Audit { guard, tap: tap.map(Box::new), ending: None }) }
    }

    /// One that was read already.
    pub(crate) fn ahead(ahead: Ahead<B::Error>, guard: Guard) -> Self {
        Self { inner: None, ahead, audit: Some(Audit { guard, tap: None, ending: None }) }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if let Some(ending) = this.audit.as_mut().and_then(|audit| audit.ending.as_mut()) {
            ready!(ending.0.as_mut().poll(cx));
            let held = this.audit.take().and_then(|audit| audit.ending).and_then(|ending| ending.1);
            return Poll::Ready(held.map(Ok));
        }
        let mut frame = match this.ahead.pop_front() {
            Some(frame) => Some(frame),
            None => match (this.inner.as_mut().as_pin_mut(), this.audit.as_mut()) {
                (None, _) => None,
                (Some(inner), None) => return inner.poll_frame(cx),
                // A service may panic while it answers: its last event says so, then the panic goes on.
                (Some(inner), Some(audit)) => match catch_unwind(AssertUnwindSafe(|| inner.poll_frame(cx))) {
                    Ok(polled) => ready!(polled),
                    Err(panic) => {
                        audit.guard.panicked(&panic_text(panic.as_ref()));
                        resume_unwind(panic)
                    }
                },
            },
        };
        let Some(audit) = this.audit.as_mut() else { return Poll::Ready(frame) };
        let is_end = match &frame {
            Some(Ok(frame)) => {
                if let Some(tap) = &mut audit.tap {
                    tap.saw(frame);
                }
                this.ahead.is_empty() && this.inner.as_ref().as_pin_ref().is_none_or(|inner| inner.is_end_stream())
            }
            Some(Err(_)) => {
                audit.guard.panicked(BROKEN_OFF);
                false
            }
            None => true,
        };
        if !is_end {
            return Poll::Ready(frame);
        }
        if let Some(tap) = audit.tap.take() {
            tap.finish();
        }
        match audit.guard.end() {
            None => {
                *this.audit = None;
                Poll::Ready(frame)
            }
            // The client is not to have all before the event is where the backend's mode promises to have it.
            Some(mut waiting) => match waiting.as_mut().poll(cx) {
                Poll::Ready(_) => {
                    *this.audit = None;
                    Poll::Ready(frame)
                }
                Poll::Pending => {
                    audit.ending = Some(Box::new((waiting, frame.take().and_then(Result::ok))));
                    Poll::Pending
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.audit.is_none() && self.ahead.is_empty() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let own = self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let held = self.audit.as_ref().and_then(|audit| audit.ending.as_ref()).and_then(|ending| ending.1.as_ref());
        let waiting: u64 =
            self.ahead.iter().filter_map(|frame| frame.as_ref().ok()).chain(held).filter_map(Frame::data_ref).map(|data| data.remaining() as u64).sum();
        let mut hint = SizeHint::new();
        // In this order: a lower bound above the upper one is a panic.
        if let Some(upper) = own.upper() {
            hint.set_upper(upper.saturating_add(waiting));
        }
        hint.set_lower(own.lower().saturating_add(waiting));
        hint
    }
}

/// The text of a panic, as Go prints its value.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a value that is no text".to_owned(),
    }
}
