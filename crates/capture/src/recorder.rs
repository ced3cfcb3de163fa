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
        let extent = if bad.size > bad.bytes.len() as u64 { Extent::Beginning } else { Extent::Whole };
        self.refused_of(extent, bad, place, origin, at)
    }

    /// [`Recorder::refused`] where it is known otherwise what `bad.bytes` are.
    pub(crate) fn refused_of(&self, extent: Extent, bad: Bad, place: String, origin: &Arc<Origin>, at: Timestamp) -> Refused {
        // What is wrong may quote what came, such as a `kind` that is none.
        let detail_extent = if bad.detail.ends_with('…') { Extent::Beginning } else { Extent::Whole };
        let detail = String::from_utf8_lossy(&self.hidden(bad.detail.into_bytes(), detail_extent)).into_owned();
        let bytes = self.hidden(bad.bytes, extent);
        Refused { at, origin: Arc::clone(origin), place, reason: bad.reason, detail, bytes, size: bad.size }
    }

    fn hidden(&self, bytes: Vec<u8>, extent: Extent) -> Vec<u8> {
        let Some(redactor) = &self.intake.redactor else { return bytes };
        let mut hidden = Vec::with_capacity(bytes.len());
        match extent {
            Extent::Whole => _ = redactor.redact_bytes(&bytes, &mut hidden),
            Extent::Beginning => _ = redactor.redact_beginning(&bytes, &mut hidden),
            Extent::Packed => redactor.redact_all(&bytes, &mut hidden),
        }
        hidden
    }
}

/// What the bytes of something bad are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// It went on.
    Beginning,
    /// Compressed, so that credentials in it cannot be found.
    Packed,
}

/// The time of day.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}
