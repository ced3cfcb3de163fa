//! The modes of a backend: what a request waits for, and what it suffers when an event is lost.

use std::sync::Arc;

use decklog_audit::backend::{Backend, Emitted, Processed, Processing, Stopping};

use super::batch::{Batch, BatchConfig};
use super::carrier::Carrier;
use super::errors::PluginErrors;

/// `--audit-log-mode`, `--audit-webhook-mode`, in rising strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing is waited for.
    Batch,
    /// The write or the POST is waited for, with all its tries.
    Blocking,
    /// As blocking, and a request whose RequestReceived is lost is refused.
    BlockingStrict,
}

impl Mode {
    /// All of them, as kube-apiserver lists them.
    pub const ALL: [Self; 3] = [Self::Batch, Self::Blocking, Self::BlockingStrict];

    /// As the flag spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Blocking => "blocking",
            Self::BlockingStrict => "blocking-strict",
        }
    }

    /// A backend in this mode.
    ///
    /// # Errors
    /// The system gives no thread for a queue.
    pub fn wrap(self, carrier: Arc<dyn Carrier>, batch: BatchConfig, errors: &PluginErrors) -> std::io::Result<Arc<dyn Backend>> {
        Ok(match self {
            Self::Batch => Arc::new(Batch::start(carrier, batch, errors.clone())?),
            Self::Blocking => Arc::new(IgnoreErrors(Arc::new(Direct(carrier)))),
            Self::BlockingStrict => Arc::new(Direct(carrier)),
        })
    }
}

/// Hands each call to a carrier and says what became of it.
pub struct Direct(pub Arc<dyn Carrier>);

impl std::fmt::Display for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Backend for Direct {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        self.0.carry(events.iter().map(|event| self.0.line(event)).collect())
    }

    fn stop(&self) -> Stopping<'_> {
        self.0.stop()
    }
}

/// Whatever becomes of an event, the request goes on.
pub struct IgnoreErrors(pub Arc<dyn Backend>);

impl std::fmt::Display for IgnoreErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ignoreErrors<{}>", self.0)
    }
}

impl Backend for IgnoreErrors {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        match self.0.process(events) {
            Processing::Done(_) => Processing::Done(Processed::Stored),
            Processing::Later(waiting) => Processing::Later(Box::pin(async move {
                waiting.await;
                Processed::Stored
            })),
        }
    }

    fn stop(&self) -> Stopping<'_> {
        self.0.stop()
    }
}
