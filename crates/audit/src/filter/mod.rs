//! The filter language: one text for search box, command line, API and live tail (docs/filter.md).

use std::sync::Arc;

use crate::event::Event;
use crate::journal::{EventId, Origin};
use crate::time::Timestamp;

/// A parsed filter; the default matches every event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    text: String,
}

/// What is wrong with a filter's text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// The first wrong character, counted in characters from 1.
    pub column: usize,
    /// How many characters are wrong.
    pub length: usize,
    /// A stable word for the kind of error.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// One event with what decklog knows of it beside its bytes: what a filter looks at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The event, decoded from `line`.
    pub event: &'a Event<'a>,
    /// The stored line.
    pub line: &'a str,
    /// Its place in the journal.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// Its time (see `RecordFlags::TIME_INFERRED`).
    pub time: Timestamp,
    /// When it came in.
    pub ingested_at: Timestamp,
    /// Where it came from.
    pub origin: &'a Arc<Origin>,
}

impl Filter {
    /// Reads a filter; `now` gives words such as `today` and `now-6h` their meaning.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, FilterError> {
        let _ = now;
        Ok(Self { text: text.to_owned() })
    }

    /// Whether the event belongs to the answer.
    pub fn matches(&self, candidate: &Candidate<'_>) -> bool {
        let _ = candidate;
        true
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
