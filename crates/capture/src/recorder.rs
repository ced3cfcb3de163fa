//! What every source needs to hand events on: intake, journal, quarantine and counters.

use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::intake::Intake;
use decklog_audit::journal::{Journal, Origin};
use decklog_audit::quarantine::{Quarantine, Refused};

use crate::metrics::CaptureMetrics;
use crate::split::Bad;

/// Where captured events go, and how they are taken in. Copies share everything.
#[derive(Clone)]
pub struct Recorder {
    /// Makes events of bytes.
    pub intake: Arc<Intake>,
    /// Keeps events.
    pub journal: Arc<dyn Journal>,
    /// Keeps what is no event.
    pub quarantine: Arc<dyn Quarantine>,
    /// Counts both.
    pub metrics: CaptureMetrics,
}

impl Recorder {
    /// `bad` as the quarantine takes it, credentials hidden; `place` names its file or body too.
    pub(crate) fn refused(&self, bad: Bad, place: String, origin: &Arc<Origin>, at: Timestamp) -> Refused {
        let bytes = match &self.intake.redactor {
            Some(redactor) => {
                let mut hidden = Vec::with_capacity(bad.bytes.len());
                redactor.redact_bytes(&bad.bytes, &mut hidden);
                hidden
            }
            None => bad.bytes,
        };
        Refused { at, origin: Arc::clone(origin), place, reason: bad.reason, detail: bad.detail, bytes, size: bad.size }
    }
}

/// The time of day.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}
