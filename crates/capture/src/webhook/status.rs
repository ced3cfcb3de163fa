//! How each source that sends by webhook stands, for `decklog sources list`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use decklog_audit::Timestamp;

/// How one source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookStatus {
    /// Deliveries that were answered with 200.
    pub n_taken: u64,
    /// Deliveries that were refused.
    pub n_refused: u64,
    /// When the last delivery came, taken or not.
    pub last_delivery: Option<Timestamp>,
    /// The newest time of an event taken.
    pub last_event: Option<Timestamp>,
    /// Why the last delivery was refused; none if it was taken.
    pub error: Option<String>,
}

/// All sources; bounded, as their names are.
#[derive(Default)]
pub(super) struct Statuses(Mutex<BTreeMap<Arc<str>, WebhookStatus>>);

impl Statuses {
    pub(super) fn taken(&self, source: &Arc<str>, now: Timestamp, newest: Option<Timestamp>) {
        self.change(source, |status| {
            status.n_taken += 1;
            status.last_delivery = Some(now);
            status.last_event = status.last_event.max(newest);
            status.error = None;
        });
    }

    pub(super) fn refused(&self, source: &Arc<str>, now: Timestamp, error: String) {
        self.change(source, |status| {
            status.n_refused += 1;
            status.last_delivery = Some(now);
            status.error = Some(error);
        });
    }

    pub(super) fn all(&self) -> BTreeMap<Arc<str>, WebhookStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, source: &Arc<str>, change: impl FnOnce(&mut WebhookStatus)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(Arc::clone(source)).or_default());
    }
}
