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
        // What is wrong may quote what came, such as a `kind` that is none.
        let detail = String::from_utf8_lossy(&self.hidden(bad.detail.into_bytes())).into_owned();
        let bytes = self.hidden(bad.bytes);
        Refused { at, origin: Arc::clone(origin), place, reason: bad.reason, detail, bytes, size: bad.size }
    }

    fn hidden(&self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(redactor) = &self.intake.redactor else { return bytes };
        let mut hidden = Vec::with_capacity(bytes.len());
        redactor.redact_bytes(&bytes, &mut hidden);
        hidden
    }
}

/// The time of day.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}
