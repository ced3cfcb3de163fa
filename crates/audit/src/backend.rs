//! The seam between what makes audit events (the audit layer) and kube-apiserver's own backends: log, webhook, and what stands
//! around them.
//!
//! A [`Sink`](crate::sink::Sink) follows the journal at its own pace; a [`Backend`] is called while a request waits, at each of its
//! stages, and what it answers may refuse the request. Events are borrowed: who keeps one takes its [`Emitted::line`].
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/audit/types.go` (v0.36.3).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Display;
use std::pin::Pin;

use bytes::Bytes;

use crate::event::{Event, JsonParts, Level, write_legacy_line, write_line_of_parts};
use crate::json::RawJson;

/// What the backends make of bodies that are not JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// One event never takes others with it, and is itself not lost.
    #[default]
    Mended,
    /// As kube-apiserver 1.36 does: an event whose patch is not JSON cannot be written, and a webhook's whole batch goes with it.
    V1_36,
}

/// An event that kube-apiserver 1.36 could not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("json: error calling MarshalJSON for type *runtime.Unknown: the request's body is not JSON")]
pub struct Unencodable;

/// The bodies of an event, beside it: they are kept as the bytes that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bodies<'e> {
    /// `requestObject`.
    pub request: Option<RawJson<'e>>,
    /// `responseObject`.
    pub response: Option<RawJson<'e>>,
}

/// One event on its way into a backend. Its line is written when first asked for, and then once, however many look at it.
#[derive(Debug)]
pub struct Emitted<'e> {
    event: Held<'e>,
    bodies: Bodies<'e>,
    unencodable: bool,
    line: OnceCell<Bytes>,
}

/// The maker's event, or one that was changed on its way: boxed, so that handing one on moves little.
#[derive(Clone, Debug)]
enum Held<'e> {
    Lent(&'e Event<'e>),
    Own(Box<Event<'e>>),
}

impl<'e> Held<'e> {
    fn get(&self) -> &Event<'e> {
        match self {
            Self::Lent(event) => event,
            Self::Own(event) => event,
        }
    }
}

impl<'e> Emitted<'e> {
    /// An event with its bodies; those of `event` itself count where `bodies` has none.
    pub fn new(event: &'e Event<'e>, bodies: Bodies<'e>) -> Self {
        Self { event: Held::Lent(event), bodies, unencodable: false, line: OnceCell::new() }
    }

    /// An event that kube-apiserver 1.36 cannot write, since its patch is not JSON.
    #[must_use]
    pub fn unencodable(event: &'e Event<'e>) -> Self {
        Self { unencodable: true, ..Self::new(event, Bodies::default()) }
    }

    /// The event; its bodies may stand in [`Emitted::bodies`] alone.
    pub fn event(&self) -> &Event<'e> {
        self.event.get()
    }

    /// Its bodies.
    pub fn bodies(&self) -> Bodies<'e> {
        Bodies { request: self.bodies.request.or(self.event.get().request_object), response: self.bodies.response.or(self.event.get().response_object) }
    }

    /// The line that kube-apiserver's log backend writes, newline included.
    ///
    /// # Errors
    /// An event that cannot be written.
    pub fn line(&self) -> Result<&Bytes, Unencodable> {
        if self.unencodable {
            return Err(Unencodable);
        }
        Ok(self.line.get_or_init(|| {
            let parts = JsonParts { request_object: self.bodies.request, response_object: self.bodies.response, ..JsonParts::default() };
            let mut line = Vec::new();
            write_line_of_parts(self.event.get(), &parts, &mut line);
            line.push(b'\n');
            line.into()
        }))
    }

    /// The line of the legacy text format, newline included, which holds no bodies and so can always be written.
    pub fn legacy_line(&self) -> Bytes {
        let mut line = Vec::new();
        write_legacy_line(self.event.get(), &mut line);
        line.into()
    }

    /// Whether the level may hold bodies.
    pub fn may_hold_bodies(&self) -> bool {
        self.event.get().level.as_deref().and_then(Level::parse).is_some_and(|level| level >= Level::Request)
    }

    /// The same event; its line, if it was written, is shared.
    #[must_use]
    pub fn same(&self) -> Self {
        Self { event: self.event.clone(), bodies: self.bodies, unencodable: self.unencodable, line: self.line.clone() }
    }

    /// The event without its bodies, and marked so.
    #[must_use]
    pub fn truncated(&self) -> Self {
        let mut event = self.event.get().clone();
        (event.request_object, event.response_object) = (None, None);
        event.annotations.get_or_insert_default().push((Cow::Borrowed(TRUNCATED_ANNOTATION), Cow::Borrowed("true")));
        Self { event: Held::Own(Box::new(event)), bodies: Bodies::default(), unencodable: false, line: OnceCell::new() }
    }
}

/// Set on an event whose bodies were too large to be kept (`k8s.io/apiserver/plugin/pkg/audit/truncate`).
pub const TRUNCATED_ANNOTATION: &str = "audit.k8s.io/truncated";

/// What became of the events of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processed {
    /// They are where the backend's mode promises to have them.
    Stored,
    /// Some are not, and the mode is one that says so.
    Failed,
}

impl Processed {
    /// Both must be stored.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == Self::Stored { other } else { self }
    }
}

/// What the end of a call waits for.
pub type Waiting = Pin<Box<dyn Future<Output = Processed> + Send>>;

/// The answer of a backend, at once or after something the request has to wait for. Who drops the wait does not undo the call.
pub enum Processing {
    /// It is known.
    Done(Processed),
    /// It will be.
    Later(Waiting),
}

impl Processing {
    /// The answer to several calls, each made before the next: all must be stored.
    pub fn all(calls: impl IntoIterator<Item = Self>) -> Self {
        let mut processed = Processed::Stored;
        let mut waits = Vec::new();
        for call in calls {
            match call {
                Self::Done(done) => processed = processed.and(done),
                Self::Later(waiting) => waits.push(waiting),
            }
        }
        if waits.is_empty() {
            return Self::Done(processed);
        }
        Self::Later(Box::pin(async move {
            for waiting in waits {
                processed = processed.and(waiting.await);
            }
            processed
        }))
    }

    /// What is to be waited for, whatever the answer is.
    pub fn waiting(self) -> Option<Waiting> {
        match self {
            Self::Done(_) => None,
            Self::Later(waiting) => Some(waiting),
        }
    }

    /// Waits for it.
    pub async fn wait(self) -> Processed {
        match self {
            Self::Done(processed) => processed,
            Self::Later(waiting) => waiting.await,
        }
    }
}

/// Ends when all that was taken is delivered or given up.
pub type Stopping<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Takes events at the stages of requests. `Display` prints what it is made of, such as `truncate<buffered<webhook>>`.
pub trait Backend: Display + Send + Sync {
    /// Takes the events of one call. Whatever cannot be kept is counted by the backend itself.
    fn process(&self, events: &[Emitted<'_>]) -> Processing;

    /// Delivers what was taken; what comes later is refused and counted.
    fn stop(&self) -> Stopping<'_> {
        Box::pin(std::future::ready(()))
    }
}
