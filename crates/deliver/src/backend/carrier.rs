//! The end of a backend: what takes written lines, at once or after a while.

use bytes::Bytes;
use decklog_audit::Event;
use decklog_audit::backend::{Emitted, Processing, Stopping};
use decklog_audit::event::write_legacy_line;

/// One event, written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Its line, newline included.
    Written(Bytes),
    /// It cannot be written (`--compat 1.36` only); its line in the legacy format, for messages.
    Unencodable(Bytes),
}

impl Line {
    /// The JSON line of an event.
    pub fn json(event: &Emitted<'_>) -> Self {
        match event.line() {
            Ok(line) => Self::Written(line.clone()),
            Err(_) => Self::Unencodable(event.legacy_line()),
        }
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Written(line) | Self::Unencodable(line) => line.len(),
        }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its line in the legacy format, which is how kube-apiserver's messages show an event.
    pub(crate) fn legacy(&self) -> String {
        let (Self::Written(line) | Self::Unencodable(line)) = self;
        String::from_utf8_lossy(&legacy_of(line).unwrap_or_else(|| line.to_vec())).into_owned()
    }

    /// The line for a stored line, which has no newline.
    pub(crate) fn stored(line: &[u8]) -> Self {
        Self::Written([line, b"\n"].concat().into())
    }
}

/// The line in the legacy format of the event that a JSON line holds.
pub(crate) fn legacy_of(line: &[u8]) -> Option<Vec<u8>> {
    let mut legacy = Vec::new();
    write_legacy_line(&Event::decode(&String::from_utf8_lossy(line)).ok()?, &mut legacy);
    Some(legacy)
}

/// Takes lines to where they stay. `Display` prints its name.
pub trait Carrier: std::fmt::Display + Send + Sync + 'static {
    /// Writes an event in the carrier's format.
    fn line(&self, event: &Emitted<'_>) -> Line;

    /// Takes the lines of one batch, in their order. Those it cannot keep it counts itself; the answer is whether it kept all. Who drops
    /// the wait does not undo the call.
    fn carry(&self, lines: Vec<Line>) -> Processing;

    /// The line for an event that the journal has, given as its stored line without a newline.
    fn stored_line(&self, line: &[u8]) -> Line {
        Line::stored(line)
    }

    /// Whether a batch that failed may come again whole: what got through of it is then there twice.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// Keeps the thread of a queue until the carrier takes another batch.
    fn wait_for_room(&self) {}

    /// Ends when nothing is under way any more.
    fn stop(&self) -> Stopping<'_> {
        Box::pin(std::future::ready(()))
    }
}
