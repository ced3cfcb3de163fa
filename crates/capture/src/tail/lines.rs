//! Whole lines out of a file's bytes, over-long ones with bounded memory.

use crate::split::{Bad, KEPT_BYTES, Place};
use decklog_audit::intake::Refusal;

/// Bytes of one file that wait for the end of their line.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    pending: Vec<u8>,
    /// How much of `pending` holds no line end for sure.
    searched: usize,
    /// The size of an over-long line so far; `pending` is its beginning.
    over_long: Option<u64>,
}

/// What [`LineBuffer::take_lines`] gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Whole lines, each with its line end.
    Lines(Vec<u8>),
    /// An over-long line: its beginning, and its size without the line end.
    OverLong(Vec<u8>, u64),
}

impl LineBuffer {
    /// Adds bytes; lines above `limit` are kept only in part. See [`LineBuffer::is_over_long`].
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) {
        if self.over_long.is_none() {
            self.pending.extend_from_slice(bytes);
            if self.pending.len() > limit && memchr::memchr(b'\n', &self.pending[self.searched..]).is_none() {
                self.over_long = Some(self.pending.len() as u64);
                self.pending.truncate(KEPT_BYTES);
                self.pending.shrink_to_fit();
            } else {
                return;
            }
        } else if let Some(end) = memchr::memchr(b'\n', bytes) {
            // The rest of the chunk begins behind the over-long line.
            self.keep(&bytes[..end]);
            self.pending.push(b'\n');
            self.searched = self.pending.len() - 1;
            let rest = bytes[end + 1..].to_vec();
            self.pending.extend_from_slice(&rest);
            return;
        } else {
            self.keep(bytes);
        }
        self.searched = self.pending.len();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES.saturating_sub(self.pending.len()).min(bytes.len());
        self.pending.extend_from_slice(&bytes[..room]);
        if let Some(size) = &mut self.over_long {
            *size += bytes.len() as u64;
        }
    }

    /// Whether an over-long line is under way: then its end is to be taken before more is added.
    pub(super) fn is_over_long(&self) -> bool {
        self.over_long.is_some()
    }

    /// What is complete by now.
    pub(super) fn take_lines(&mut self) -> Option<Found> {
        if let Some(size) = self.over_long {
            let end = self.searched + memchr::memchr(b'\n', &self.pending[self.searched..])?;
            let rest = self.pending.split_off(end + 1);
            let mut beginning = std::mem::replace(&mut self.pending, rest);
            beginning.pop();
            (self.over_long, self.searched) = (None, 0);
            return Some(Found::OverLong(beginning, size));
        }
        match memchr::memrchr(b'\n', &self.pending[self.searched..]) {
            Some(last) => {
                let rest = self.pending.split_off(self.searched + last + 1);
                let lines = std::mem::replace(&mut self.pending, rest);
                self.searched = self.pending.len();
                Some(Found::Lines(lines))
            }
            None => {
                self.searched = self.pending.len();
                None
            }
        }
    }

    /// What is left when nothing more comes.
    pub(super) fn take_rest(&mut self) -> Option<Found> {
        self.searched = 0;
        let rest = std::mem::take(&mut self.pending);
        match self.over_long.take() {
            Some(size) => Some(Found::OverLong(rest, size)),
            None if rest.is_empty() => None,
            None => Some(Found::Lines(rest)),
        }
    }
}

/// An over-long line for the quarantine.
pub(super) fn over_long(beginning: Vec<u8>, size: u64, limit: usize, line: u64) -> Bad {
    let refusal = Refusal::TooLarge { size: usize::try_from(size).unwrap_or(usize::MAX), limit };
    Bad { bytes: beginning, size, reason: refusal.reason(), detail: refusal.to_string(), place: Place { line, item: None } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines, over-long ones as `<SIZE>`.
    fn lines_in(text: &[u8], chunk: usize, limit: usize) -> Vec<String> {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        let mut take = |found| match found {
            Found::Lines(bytes) => lines.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned)),
            Found::OverLong(beginning, size) => {
                assert_eq!(beginning.len() as u64, size.min(KEPT_BYTES as u64));
                lines.push(format!("<{size}>"));
            }
        };
        for chunk in text.chunks(chunk) {
            buffer.push(chunk, limit);
            while let Some(found) = buffer.take_lines() {
                take(found);
            }
        }
        if let Some(found) = buffer.take_rest() {
            take(found);
        }
        lines
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(lengths in prop::collection::vec(0usize..60, 0..20), chunk in 1usize..40) {
            let text: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            // A line that comes in one chunk may be longer than the limit: the intake refuses it.
            let expected: Vec<String> = text.iter().map(|line| if line.len() > 100 { format!("<{}>", line.len()) } else { line.clone() }).collect();
            prop_assert_eq!(lines_in((text.join("\n") + "\n").as_bytes(), chunk, 100), if text.is_empty() { vec![String::new()] } else { expected });
        }
    }

    #[test]
    fn over_long_lines_are_passed() {
        let long = "y".repeat(500);
        for chunk in [1, 7, 60] {
            assert_eq!(lines_in(format!("a\n{long}\nb\n{long}").as_bytes(), chunk, 100), ["a", "<500>", "b", "<500>"], "in chunks of {chunk}");
        }
        let mut buffer = LineBuffer::default();
        for _ in 0..3000 {
            buffer.push(&[b'z'; 10_000], 100_000);
            assert!(buffer.take_lines().is_none() && buffer.pending.len() <= KEPT_BYTES);
        }
    }
}
