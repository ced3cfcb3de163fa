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

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    scope: u32,
    /// Where the text begins, and its length.
    start: u32,
    length: u32,
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
        let n_slots = (entries.len() * 2).next_power_of_two().max(2);
        let mask = n_slots - 1;
        let mut slots = vec![Slot::default(); n_slots].into_boxed_slice();
        let mut texts: Vec<u8> = Vec::new();
        for (scope, text, value) in entries {
            let hash = hash(scope, text.as_bytes());
            let mut at = hash as usize & mask;
            while slots[at].value != ABSENT {
                at = (at + 1) & mask;
            }
            slots[at] = Slot { hash, scope: scope.0, start: texts.len() as u32, length: text.len() as u32, value };
            texts.extend_from_slice(text.as_bytes());
        }
        Self { slots, texts, mask }
    }

    /// The value of `text`, or [`ABSENT`].
    #[inline]
    pub(super) fn get(&self, scope: Scope, text: &[u8]) -> u32 {
        let hash = hash(scope, text);
        let mut at = hash as usize & self.mask;
        loop {
            let slot = self.slots[at];
            if slot.value == ABSENT {
                return ABSENT;
            }
            if slot.hash == hash && slot.scope == scope.0 && slot.length as usize == text.len() {
                let start = slot.start as usize;
                if self.texts[start..start + text.len()] == *text {
                    return slot.value;
                }
            }
            at = (at + 1) & self.mask;
        }
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

#[inline]
fn hash(scope: Scope, text: &[u8]) -> u32 {
    let mut state = SEED ^ (u64::from(scope.0) << 32) ^ text.len() as u64;
    let mut rest = text;
    while rest.len() > 16 {
        let (head, tail) = rest.split_at(8);
        state = mix(state ^ word(head));
        rest = tail;
    }
    let (low, high) = match rest.len() {
        8.. => (word(&rest[..8]), word(&rest[rest.len() - 8..])),
        4.. => (half(&rest[..4]), half(&rest[rest.len() - 4..])),
        1.. => (u64::from(rest[0]) | (u64::from(rest[rest.len() / 2]) << 8), u64::from(rest[rest.len() - 1])),
        0 => (0, 0),
    };
    let state = mix(mix(state ^ low) ^ high.rotate_left(23));
    (state ^ (state >> 32)) as u32
}

#[inline]
fn mix(value: u64) -> u64 {
    let product = u128::from(value).wrapping_mul(u128::from(FACTOR));
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline]
fn half(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
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
