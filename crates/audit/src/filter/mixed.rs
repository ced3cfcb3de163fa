//! Finding a stretch of characters some of which may be any: all its prefixes at once, 64 to a word.
//!
//! Used by patterns with `?`. Time is text × (length ÷ 64 + 1) whatever is in either (Shift-And, Baeza-Yates and
//! Gonnet 1992); comparing at each place would take text × length where both repeat one character.

/// A stretch; `None` is any one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mixed {
    characters: Vec<Option<char>>,
    /// The different characters in it, in order.
    alphabet: Vec<char>,
    /// Row 0 is that of a character not in the alphabet, row 1 that of its first one: a bit for each place in the
    /// stretch where the character may stand.
    rows: Vec<u64>,
    /// The rows of ASCII characters.
    ascii: Vec<u16>,
}

impl Mixed {
    pub(super) fn new(characters: Vec<Option<char>>) -> Self {
        let mut alphabet: Vec<char> = characters.iter().flatten().copied().collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        let n_words = characters.len().div_ceil(64);
        let mut rows = vec![0; n_words * (alphabet.len() + 1)];
        for (place, wanted) in characters.iter().enumerate() {
            let (word, bit) = (place / 64, 1 << (place % 64));
            match wanted {
                Some(character) => rows[row_of(&alphabet, *character) * n_words + word] |= bit,
                None => rows.iter_mut().skip(word).step_by(n_words).for_each(|row| *row |= bit),
            }
        }
        let ascii = (0..128_u8).map(|byte| row_of(&alphabet, char::from(byte)) as u16).collect();
        Self { characters, alphabet, rows, ascii }
    }

    pub(super) fn characters(&self) -> &[Option<char>] {
        &self.characters
    }

    /// Where the first one in `text` ends.
    pub(super) fn end_of_first(&self, text: &str) -> Option<usize> {
        let n_words = self.characters.len().div_ceil(64);
        let last = 1_u64 << ((self.characters.len() - 1) % 64);
        // Bit n: the n + 1 characters read last are the stretch's first ones.
        let mut prefixes = vec![0_u64; n_words];
        for (at, character) in text.char_indices() {
            let row = match self.ascii.get(character as usize) {
                Some(row) => usize::from(*row),
                None => row_of(&self.alphabet, character),
            };
            let mut carry = 1;
            for (word, may_stand) in prefixes.iter_mut().zip(&self.rows[row * n_words..]) {
                let next = *word >> 63;
                *word = ((*word << 1) | carry) & may_stand;
                carry = next;
            }
            if prefixes[n_words - 1] & last != 0 {
                return Some(at + character.len_utf8());
            }
        }
        None
    }
}

fn row_of(alphabet: &[char], character: char) -> usize {
    alphabet.binary_search(&character).map_or(0, |index| index + 1)
}
