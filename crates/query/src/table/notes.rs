//! Notes of the rows that match: where each lies and its place in the answer, without the line.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use decklog_audit::filter::Candidate;
use decklog_store::table::Column;

use super::sink::{Matches, Sink, Spot};

/// A row that matches. The order of notes is that of (time, sequence).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Microseconds.
    pub(crate) time: i64,
    pub(crate) seq: u64,
    pub(crate) spot: Spot,
    /// The line's length.
    pub(crate) length: u32,
}

impl Note {
    fn key(&self) -> (i64, u64) {
        (self.time, self.seq)
    }
}

impl PartialOrd for Note {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Note {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// All notes, or those of the newest rows.
pub(crate) struct Notes {
    limit: Option<usize>,
    all: Vec<Note>,
    /// With a limit: the newest so far, the oldest of them on top.
    newest: BinaryHeap<Reverse<Note>>,
}

impl Notes {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit, all: Vec::new(), newest: BinaryHeap::new() }
    }

    /// The notes, in no order.
    pub(crate) fn into_all(self) -> impl Iterator<Item = Note> {
        self.all.into_iter().chain(self.newest.into_iter().map(|Reverse(note)| note))
    }

    fn note(&mut self, note: Note) {
        let Some(limit) = self.limit else {
            self.all.push(note);
            return;
        };
        if self.newest.len() < limit {
            self.newest.push(Reverse(note));
        } else if let Some(mut oldest) = self.newest.peek_mut()
            && oldest.0 < note
        {
            *oldest = Reverse(note);
        }
    }
}

impl Sink for Notes {
    fn columns(&self) -> Vec<Column> {
        if self.limit == Some(0) { Vec::new() } else { vec![Column::Time, Column::Seq, Column::EventBytes] }
    }

    fn take(&mut self, matches: &Matches<'_>) {
        if self.limit == Some(0) {
            return;
        }
        for row in matches.at {
            let time = matches.rows.number(Column::Time, *row).unwrap_or_default();
            if self.floor().is_some_and(|floor| time < floor) {
                continue;
            }
            let length = matches.rows.number(Column::EventBytes, *row).and_then(|length| u32::try_from(length).ok()).unwrap_or_default();
            self.note(Note { time, seq: matches.rows.seq(*row), spot: matches.spot(*row), length });
        }
    }

    fn take_line(&mut self, spot: Spot, candidate: &Candidate<'_>) {
        self.note(Note { time: candidate.time.micros(), seq: candidate.seq, spot, length: u32::try_from(candidate.line.len()).unwrap_or(u32::MAX) });
    }

    fn floor(&self) -> Option<i64> {
        let limit = self.limit?;
        if limit == 0 {
            return Some(i64::MAX);
        }
        self.newest.peek().filter(|_| self.newest.len() >= limit).map(|oldest| oldest.0.time)
    }
}
