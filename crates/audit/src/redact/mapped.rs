//! A text with its escapes taken out, that still knows where each part stood: what is found in the plain
//! text can be replaced in the escaped one, and all else keeps its bytes.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::one_escape;

/// Plain text and the way back to the escaped text it came from.
pub(super) struct Mapped<'a> {
    pub(super) text: Cow<'a, str>,
    /// (offset in `text`, offset in the escaped text) behind each escape, rising.
    turns: Vec<(usize, usize)>,
}

impl<'a> Mapped<'a> {
    /// The content of a JSON string.
    pub(super) fn json(content: &'a str) -> Self {
        if !content.contains('\\') {
            return Self { text: Cow::Borrowed(content), turns: Vec::new() };
        }
        let mut text = String::with_capacity(content.len());
        let mut turns = Vec::new();
        let mut at = 0;
        while let Some(plain) = memchr::memchr(b'\\', &content.as_bytes()[at..]) {
            text.push_str(&content[at..at + plain]);
            at += plain;
            let (character, length) = one_escape(&content.as_bytes()[at..]);
            // The first byte of the character stands where the escape does.
            turns.push((text.len(), at));
            text.push(character);
            at += length;
            turns.push((text.len(), at));
        }
        text.push_str(&content[at..]);
        Self { text: Cow::Owned(text), turns }
    }

    /// A part of a URI: `%XX`, and in a query `+` for a space.
    pub(super) fn percent(encoded: &'a str, plus: Plus) -> Self {
        let special = |byte: &u8| *byte == b'%' || (*byte == b'+' && plus == Plus::IsSpace);
        if !encoded.as_bytes().iter().any(special) {
            return Self { text: Cow::Borrowed(encoded), turns: Vec::new() };
        }
        let bytes = encoded.as_bytes();
        let mut plain = Vec::with_capacity(bytes.len());
        let mut turns = Vec::new();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'%' => {
                    if let Some(decoded) = bytes.get(at + 1..at + 3).and_then(hex_pair) {
                        turns.push((plain.len(), at));
                        plain.push(decoded);
                        at += 3;
                        turns.push((plain.len(), at));
                        continue;
                    }
                    plain.push(byte);
                }
                b'+' if plus == Plus::IsSpace => plain.push(b' '),
                _ => plain.push(byte),
            }
            at += 1;
        }
        // Only ASCII matters for what is searched here; what is no UTF-8 keeps its length.
        let text = String::from_utf8(plain).unwrap_or_else(|error| ascii_only(error.as_bytes()));
        Self { text: Cow::Owned(text), turns }
    }

    /// Where a part of `text` stands in the escaped text.
    pub(super) fn origin(&self, part: Range<usize>) -> Range<usize> {
        self.origin_of(part.start)..self.origin_of(part.end)
    }

    /// Where all of it stands, if the escaped text begins at `start`.
    pub(super) fn whole(&self, start: usize) -> Range<usize> {
        start..start + self.origin_of(self.text.len())
    }

    fn origin_of(&self, at: usize) -> usize {
        match self.turns.partition_point(|(plain, _)| *plain <= at) {
            0 => at,
            behind => {
                let (plain, escaped) = self.turns[behind - 1];
                escaped + (at - plain)
            }
        }
    }
}

/// What `+` means in a part of a URI.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    IsItself,
    IsSpace,
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
}

/// Each byte that is not ASCII becomes `?`.
pub(super) fn ascii_only(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect()
}
