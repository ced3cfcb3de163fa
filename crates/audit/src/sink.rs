//! The seam to what takes events: a sink is handed events in the order of the journal and says what became of them.
//!
//! `decklog-deliver` follows the journal for a sink, waits where it has to wait and comes again; the sink itself only
//! carries one batch over. It is handed every event at least once: after a stop in between, some come again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::journal::Origin;
use crate::time::Timestamp;

/// An event on its way out.
#[derive(Clone, Debug)]
pub struct SinkEvent {
    /// Its place in the journal.
    pub seq: u64,
    /// Its time.
    pub time: Timestamp,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// Its stored line, without a newline.
    pub line: Bytes,
}

/// Why a sink has not taken a batch. Nothing of the batch counts as delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It may take it later: it is away, busy or refuses the sender. The same events are to come again, however long
    /// that takes.
    #[error("{reason}")]
    Later {
        /// Why, for people.
        reason: String,
        /// Not before this time is over, if it said so.
        after: Option<Duration>,
    },
    /// It will never take these events, whoever sends them and whenever. Of several, others may be fine.
    #[error("{reason}")]
    Refused {
        /// Its answer, for people.
        reason: String,
    },
}

/// A delivery under way.
pub type Delivering<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// Takes batches of events.
pub trait Sink: Send + Sync {
    /// Carries `events` over. `Ok` means that they are safe on the other side.
    fn deliver<'a>(&'a self, events: &'a [SinkEvent]) -> Delivering<'a>;
}
