//! What was lost in the journal before the table had it: noted in the table's own log, so that answers say so for as
//! long as the table has anything of that time.
//!
//! The note is one more application transaction (`txn`) of the commit whose records come after: Delta keeps these through
//! every checkpoint, other engines pass over them, and the commit writes it together with the rows or not at all.
//!
//! ```text
//! appId    <journal id>/lost/<first sequence number>/<microseconds since the epoch: what was lost came in before>
//! version  <last sequence number>
//! ```

use std::fmt;

use decklog_audit::Timestamp;
use decklog_audit::search::{SeqRange, TimeRange};

/// So many are noted by one commit at most; the last of them then reaches over all that follow. A commit is made once a
/// flush, so a disk that damages everything cannot let the log grow faster than this.
const MAX_A_COMMIT: usize = 16;

/// A range of records that are neither in the table nor in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first sequence number.
    pub from_seq: u64,
    /// The one after the last.
    pub to_seq: u64,
    /// They came in before this, and so their times lie before it: the times themselves are lost too.
    pub before: Timestamp,
}

impl Lost {
    /// Adds a range that is not below those known.
    pub(super) fn push(known: &mut Vec<Self>, lost: Self) {
        let is_full = known.len() >= MAX_A_COMMIT;
        match known.last_mut() {
            Some(last) if last.to_seq >= lost.from_seq || is_full => {
                last.to_seq = last.to_seq.max(lost.to_seq);
                last.before = last.before.max(lost.before);
            }
            _ => known.push(lost),
        }
    }

    /// The transaction that notes it for a journal.
    pub(super) fn transaction(&self, journal: &str) -> (String, i64) {
        let last = i64::try_from(self.to_seq.saturating_sub(1)).unwrap_or(i64::MAX);
        (format!("{journal}/lost/{:020}/{}", self.from_seq, self.before.micros()), last)
    }

    fn parse(application: &str, last: u64, journal: &str) -> Option<Self> {
        let (from_seq, micros) = application.strip_prefix(journal)?.strip_prefix("/lost/")?.split_once('/')?;
        let from_seq: u64 = from_seq.parse().ok()?;
        let to_seq = last.checked_add(1).filter(|to_seq| from_seq < *to_seq)?;
        Some(Self { from_seq, to_seq, before: Timestamp::from_micros(micros.parse().ok()?) })
    }

    /// What a table's transactions (application and version) say was lost of `journal`.
    pub fn of<'a>(transactions: impl IntoIterator<Item = (&'a str, u64)>, journal: &str) -> Vec<Self> {
        transactions.into_iter().filter_map(|(application, last)| Self::parse(application, last, journal)).collect()
    }

    /// Whether an answer over these times and places may lack something of it.
    pub fn touches(&self, range: &TimeRange, seqs: &SeqRange) -> bool {
        range.since.is_none_or(|since| since < self.before)
            && seqs.from.is_none_or(|from| from < self.to_seq)
            && seqs.until.is_none_or(|until| self.from_seq < until)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_seq, to_seq, before } = self;
        write!(
            f,
            "records {from_seq} to {} were damaged in the journal before the table had them; they came in before {}",
            to_seq.saturating_sub(1),
            before.rfc3339_nano()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lost(from_seq: u64, to_seq: u64) -> Lost {
        Lost { from_seq, to_seq, before: Timestamp::from_micros(7_000_000) }
    }

    #[test]
    fn neighbours_are_one_and_a_commit_has_few() {
        let mut known = Vec::new();
        Lost::push(&mut known, lost(1, 3));
        Lost::push(&mut known, lost(3, 5));
        assert_eq!(known, [lost(1, 5)]);
        for number in 1..100 {
            Lost::push(&mut known, lost(number * 10, number * 10 + 1));
        }
        assert_eq!((known.len(), known.last().unwrap().to_seq), (MAX_A_COMMIT, 991), "nothing lost is left out");
    }

    #[test]
    fn answers_over_later_times_or_other_places_do_not_lack_it() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let touches = |since, from, until| lost(10, 20).touches(&TimeRange { since, until: None }, &SeqRange { from, until });
        assert!(touches(None, None, None) && touches(at(6), Some(19), Some(11)));
        assert!(!touches(at(7), None, None) && !touches(None, Some(20), None) && !touches(None, None, Some(10)));
    }

    proptest! {
        #[test]
        fn a_note_comes_back(from_seq in 0..u64::MAX / 4, length in 1..1000_u64, micros in any::<i32>()) {
            let lost = Lost { from_seq, to_seq: from_seq + length, before: Timestamp::from_micros(i64::from(micros)) };
            let (application, last) = lost.transaction("journal");
            let last = u64::try_from(last).unwrap();
            prop_assert_eq!(Lost::of([(application.as_str(), last)], "journal"), [lost]);
            prop_assert_eq!(Lost::of([(application.as_str(), last)], "other"), []);
        }

        #[test]
        fn any_application_may_stand_there(application in "(journal)?(/lost/)?.{0,30}", last: u64) {
            Lost::of([(application.as_str(), last)], "journal");
        }
    }
}
