//! What happens to every event between capture and journal: one line, redact, identify.
//!
//! ```text
//! bytes that came ─► one line (white space out, kind and apiVersion first) ─► redact ─► id ─► Batch
//! ```
//!
//! Architecture decisions 1 to 3 and 6. Everything that captures events calls [`Intake::push`].

use crate::event::{DecodeError, DecodeErrorKind, Event};
use crate::journal::{Batch, EventId, RecordFlags, RecordHead, RecordKind};
use crate::redact::Redactor;

/// How events of one source are taken in.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Hides credentials; `None` is `redact.mode: off`.
    pub redactor: Option<std::sync::Arc<Redactor>>,
    /// The longest line taken, in bytes.
    pub max_event_bytes: usize,
}

/// Why an event was not taken. It belongs in the quarantine, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No audit event can be read from it.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// Longer than `--max-event-size`.
    #[error("event of {size} bytes, the limit is {limit} (--max-event-size)")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

/// How an event stood where it came from.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// Alone, such as a line of an audit log.
    Line,
    /// An item of an EventList, whose `apiVersion` is given: `kind` and `apiVersion` are put first.
    ListItem(&'a str),
}

impl Intake {
    /// Takes one event into `batch`: makes one line of `bytes` (a JSON value, white space allowed anywhere),
    /// redacts and identifies it, and finds its time.
    ///
    /// # Errors
    /// Why it is no event; the batch is as before.
    pub fn push(&self, bytes: &[u8], form: Form<'_>, batch: &mut Batch) -> Result<(), Refusal> {
        let _ = (bytes, form, batch);
        Ok(())
    }
}

impl Refusal {
    /// The value of the metric label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
