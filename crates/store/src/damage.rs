//! What cannot be read any more, and where it is. Reported, never removed.

use std::fmt;

use decklog_audit::journal::Gap;

/// A part of the journal that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file name.
    pub segment: String,
    /// The first byte that is damaged.
    pub from_offset: u64,
    /// The first byte after it.
    pub to_offset: u64,
    /// The first sequence number lost.
    pub from_seq: u64,
    /// The first one after it.
    pub to_seq: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, from_offset, to_offset, from_seq, to_seq } = self;
        write!(f, "records {from_seq} to {} are damaged ({segment}, bytes {from_offset} to {to_offset})", to_seq.saturating_sub(1))
    }
}

impl From<&Damage> for Gap {
    fn from(damage: &Damage) -> Self {
        Self { from_seq: damage.from_seq, to_seq: damage.to_seq, reason: damage.to_string() }
    }
}
