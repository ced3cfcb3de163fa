//! The duplicate window: which event ids are durable, and which are on their way.
//!
//! An append *claims* the ids of its events. If one is durable, the event is a duplicate. If another append
//! has claimed it and is not yet answered, nobody knows: the batch waits for that answer. When the writer
//! has answered, claims become durable ids or are given back.
//!
//! Memory is bounded by two generations: ids go into the younger one; when that is old and large enough it
//! becomes the older one, and what was the older one is forgotten.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{EventId, RecordHead};
use hashbrown::{HashMap, HashSet};

use crate::config::DuplicateWindow;

/// Ids are hashes already; a secret of this process keeps senders from choosing ids that collide in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHashing {
    secret: u64,
}

impl BuildHasher for IdHashing {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.secret)
    }
}

pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Who has claimed an id.
pub(crate) type Ticket = u64;

/// What an event is known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Option<EventId>,
    pub(crate) former_id: Option<EventId>,
}

impl Identity {
    pub(crate) fn of(head: &RecordHead) -> Self {
        Self { id: head.id, former_id: head.former_id }
    }
}

/// What a claim found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The records that are new, by index; `n_duplicates` are not. The new ids are claimed.
    Granted { kept: Kept, n_duplicates: u64 },
    /// Another append that is not yet answered has one of the ids.
    Undecided,
}

/// Which records of a batch to store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    All,
    Some(Vec<usize>),
}

pub(crate) struct Duplicates {
    config: DuplicateWindow,
    young: HashSet<[u8; 16], IdHashing>,
    young_since: Option<Timestamp>,
    old: HashSet<[u8; 16], IdHashing>,
    claimed: HashMap<[u8; 16], Ticket, IdHashing>,
    last_ticket: Ticket,
}

impl Duplicates {
    pub(crate) fn new(config: DuplicateWindow, secret: u64) -> Self {
        let hashing = IdHashing { secret };
        Self {
            config,
            young: HashSet::with_hasher(hashing),
            young_since: None,
            old: HashSet::with_hasher(hashing),
            claimed: HashMap::with_hasher(hashing),
            last_ticket: 0,
        }
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Whether the event is stored for sure.
    pub(crate) fn is_durable(&self, id: EventId) -> bool {
        self.young.contains(&id.0) || self.old.contains(&id.0)
    }

    /// Claims the new ids among `identities`, or nothing.
    pub(crate) fn claim(&mut self, identities: impl ExactSizeIterator<Item = Identity> + Clone, ticket: Ticket) -> Claim {
        let n_records = identities.len();
        let mut duplicates = Vec::new();
        for (index, identity) in identities.clone().enumerate() {
            let Some(id) = identity.id else { continue };
            let known = [Some(id), identity.former_id].into_iter().flatten();
            match known.map(|id| self.look_up(id, ticket)).max().unwrap_or(Known::New) {
                Known::New => {
                    self.claimed.insert(id.0, ticket);
                }
                Known::Duplicate => duplicates.push(index),
                Known::Undecided => {
                    let claimed = identities.take(index).filter_map(|identity| identity.id);
                    self.give_back(claimed, ticket);
                    return Claim::Undecided;
                }
            }
        }
        if duplicates.is_empty() {
            return Claim::Granted { kept: Kept::All, n_duplicates: 0 };
        }
        let n_duplicates = duplicates.len() as u64;
        let mut duplicates = VecDeque::from(duplicates);
        let kept = (0..n_records)
            .filter(|index| {
                let is_duplicate = duplicates.front() == Some(index);
                if is_duplicate {
                    duplicates.pop_front();
                }
                !is_duplicate
            })
            .collect();
        Claim::Granted { kept: Kept::Some(kept), n_duplicates }
    }

    fn look_up(&self, id: EventId, ticket: Ticket) -> Known {
        match self.claimed.get(&id.0) {
            Some(holder) if *holder == ticket => Known::Duplicate,
            _ if self.is_durable(id) => Known::Duplicate,
            Some(_) => Known::Undecided,
            None => Known::New,
        }
    }

    /// Gives claims back: what they were for was not stored.
    pub(crate) fn give_back(&mut self, ids: impl Iterator<Item = EventId>, ticket: Ticket) {
        for id in ids {
            if self.claimed.get(&id.0) == Some(&ticket) {
                self.claimed.remove(&id.0);
            }
        }
    }

    /// Turns claims into durable ids.
    pub(crate) fn confirm(&mut self, ids: impl Iterator<Item = EventId>, now: Timestamp) {
        for id in ids {
            self.claimed.remove(&id.0);
            self.young.insert(id.0);
        }
        self.turn(now);
    }

    /// Takes ids found at start; the newest ones last.
    pub(crate) fn restore(&mut self, ids: impl Iterator<Item = EventId>, ingested_at: Timestamp) {
        self.young.extend(ids.map(|id| id.0));
        self.turn(ingested_at);
    }

    fn turn(&mut self, now: Timestamp) {
        let since = *self.young_since.get_or_insert(now);
        let is_old = is_older(since, now, self.config.min_age) && self.young.len() >= self.config.min_events;
        if is_old || self.young.len() >= self.config.max_events / 2 {
            self.old = std::mem::replace(&mut self.young, HashSet::with_hasher(*self.old.hasher()));
            self.young_since = Some(now);
        }
    }
}

/// What is known of one id, from least to most that stands against storing it now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    New,
    Undecided,
    Duplicate,
}

/// Whether `age` has passed from `then` to `now`.
pub(crate) fn is_older(then: Timestamp, now: Timestamp, age: Duration) -> bool {
    let micros = now.micros().saturating_sub(then.micros());
    u128::try_from(micros).is_ok_and(|micros| micros >= age.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u8, former_id: Option<u8>) -> Identity {
        let id_of = |number| EventId([number; 16]);
        Identity { id: Some(id_of(id)), former_id: former_id.map(id_of) }
    }

    fn window() -> Duplicates {
        Duplicates::new(DuplicateWindow { min_age: Duration::from_secs(600), min_events: 3, max_events: 100 }, 7)
    }

    #[test]
    fn a_claim_is_undecided_until_it_is_answered() {
        let mut window = window();
        let (first, second) = (window.ticket(), window.ticket());
        assert_eq!(window.claim([event(1, None)].into_iter(), first), Claim::Granted { kept: Kept::All, n_duplicates: 0 });
        assert_eq!(window.claim([event(2, None), event(1, None)].into_iter(), second), Claim::Undecided);
        window.give_back([EventId([1; 16])].into_iter(), first);
        assert_eq!(window.claim([event(2, None), event(1, None)].into_iter(), second), Claim::Granted { kept: Kept::All, n_duplicates: 0 });
        window.confirm([EventId([1; 16]), EventId([2; 16])].into_iter(), Timestamp::default());
        let third = window.ticket();
        assert_eq!(
            window.claim([event(2, None), event(3, None), event(3, None), event(4, Some(1))].into_iter(), third),
            Claim::Granted { kept: Kept::Some(vec![1]), n_duplicates: 3 }
        );
    }

    #[test]
    fn forgets_only_what_is_old_and_beyond_the_count() {
        let mut window = window();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let id = |number| EventId([number; 16]);
        for number in 0..3 {
            window.confirm([id(number)].into_iter(), at(0));
        }
        // Three more within ten minutes: nothing is forgotten.
        for number in 3..6 {
            window.confirm([id(number)].into_iter(), at(599));
        }
        assert!(window.is_durable(id(0)));
        window.confirm([id(6)].into_iter(), at(600));
        assert!(window.is_durable(id(0)), "the older generation is kept");
        for number in 7..9 {
            window.confirm([id(number)].into_iter(), at(1200));
        }
        window.confirm([id(9)].into_iter(), at(1200));
        assert!(!window.is_durable(id(0)));
        assert!(window.is_durable(id(9)));
    }

    #[test]
    fn memory_is_bounded_whatever_the_rate() {
        let mut window = window();
        for number in 0..10_000_u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_le_bytes());
            window.confirm([EventId(id)].into_iter(), Timestamp::default());
        }
        assert!(window.young.len() + window.old.len() <= 100);
    }
}
