//! A table from texts to rows, fixed once built: what [`Compiled`](super::Compiled) asks several times a request.
//!
//! Open addressing with the texts side by side, and a hash of few instructions: most names are shorter than 16 bytes. Only the
//! policy's own texts are in the table, so texts chosen to collide cost whoever sends them a comparison and no more.

/// What kind of text a key is: the same text may be a verb and a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope(pub(super) u32);

impl Scope {
    pub(super) const VERB: Self = Self(0);
    pub(super) const USER: Self = Self(1);
    pub(super) const USER_GROUP: Self = Self(2);
    pub(super) const NAMESPACE: Self = Self(3);
    pub(super) const API_GROUP: Self = Self(4);
    pub(super) const PATH: Self = Self(5);
    pub(super) const PATH_PREFIX: Self = Self(6);
    /// Further scopes, three for each API group.
    pub(super) const FIRST_OF_GROUPS: u32 = 8;
}

/// The value of a text that is not in the table.
pub(super) const ABSENT: u32 = 0;

/// A text of up to 16 bytes is in `low` and `high` whole, so that comparing it is comparing two words.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    low: u64,
    high: u64,
    scope: u32,
    length: u32,
    /// Where the text begins.
    start: u32,
    /// [`ABSENT`] is an empty slot.
    value: u32,
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Names {
    slots: Box<[Slot]>,
    texts: Vec<u8>,
    mask: usize,
}

impl Names {
    /// Of texts that are there once in their scope each, with values other than [`ABSENT`]; together under 4 GiB.
    pub(super) fn new(entries: Vec<(Scope, String, u32)>) -> Self {
        let n_slots = (entries.len() * 4).next_power_of_two().max(2);
        let mask = n_slots - 1;
        let mut slots = vec![Slot::default(); n_slots].into_boxed_slice();
        let mut texts: Vec<u8> = Vec::new();
        for (scope, text, value) in entries {
            let (low, high) = words(text.as_bytes());
            let mut at = place(scope, text.as_bytes(), low, high) & mask;
            while slots[at].value != ABSENT {
                at = (at + 1) & mask;
            }
            slots[at] = Slot { low, high, scope: scope.0, start: texts.len() as u32, length: text.len() as u32, value };
            texts.extend_from_slice(text.as_bytes());
        }
        Self { slots, texts, mask }
    }

    /// The value of `text`, or [`ABSENT`].
    #[inline]
    pub(super) fn get(&self, scope: Scope, text: &[u8]) -> u32 {
        let (low, high) = words(text);
        let mut at = place(scope, text, low, high) & self.mask;
        loop {
            let slot = &self.slots[at];
            let same = slot.low == low && slot.high == high && slot.scope == scope.0 && slot.length as usize == text.len();
            if slot.value == ABSENT || (same && (text.len() <= 16 || self.is_text(slot, text))) {
                return slot.value;
            }
            at = (at + 1) & self.mask;
        }
    }

    fn is_text(&self, slot: &Slot, text: &[u8]) -> bool {
        let start = slot.start as usize;
        self.texts[start..start + text.len()] == *text
    }
}

/// The first and the last eight bytes; of shorter texts all of it, so that texts of one length differ in them.
#[inline]
fn words(text: &[u8]) -> (u64, u64) {
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last))),
            _ => text.iter().fold((0, 0), |(low, high), byte| ((low << 8) | u64::from(*byte), high)),
        },
    }
}

/// Where a text belongs: one multiplication, and one more for each eight bytes in the middle of a long text.
#[inline]
fn place(scope: Scope, text: &[u8], low: u64, high: u64) -> usize {
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xd6e8_feb8_6659_fd93;
    let mut state = mix(low ^ FIRST ^ u64::from(scope.0).rotate_left(40), high ^ SECOND ^ text.len() as u64);
    if text.len() > 16 {
        for chunk in text[8..text.len() - 8].chunks_exact(8) {
            state = mix(state ^ chunk.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)), FIRST);
        }
    }
    state as usize
}

#[inline]
fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left).wrapping_mul(u128::from(right));
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_its_value_in_its_scope() {
        let texts: Vec<String> = (0..2000).map(|n| "x".repeat(n % 40) + &n.to_string()).collect();
        let entries = texts.iter().enumerate().map(|(index, text)| (Scope::VERB, text.clone(), index as u32 + 1)).collect();
        let names = Names::new(entries);
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(names.get(Scope::VERB, text.as_bytes()), index as u32 + 1);
            assert_eq!(names.get(Scope::USER, text.as_bytes()), ABSENT);
        }
        assert_eq!(names.get(Scope::VERB, b""), ABSENT);
        assert_eq!(Names::new(Vec::new()).get(Scope::VERB, b"get"), ABSENT);
    }
}
