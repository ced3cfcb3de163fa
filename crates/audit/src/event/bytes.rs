//! Text that is not UTF-8, inside an [`Event`](super::Event), which holds only UTF-8.
//!
//! Go's strings are bytes: kube-apiserver builds events from request lines and headers that need not be
//! UTF-8, and writes such a byte as `\ufffd`, or as it is inside a body. Here each stands as one character in
//! Unicode's last private-use plane, and the encoders write what Go writes. Text that truly holds
//! such a character loses it in [`write_log_line`](super::write_log_line), never in a stored line.

use std::borrow::Cow;

const FIRST: u32 = 0x10_fe00;

/// `bytes` as text; a byte that is not UTF-8 becomes the character that stands for it.
pub fn text_from_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(FIRST + u32::from(*byte))));
    }
    Cow::Owned(text)
}

/// The byte that `character` stands for.
pub(super) fn byte_of(character: char) -> Option<u8> {
    (character as u32).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| !byte.is_ascii())
}

/// The byte that the four bytes of a character at the start of `text` stand for.
pub(super) fn byte_at(text: &[u8]) -> Option<u8> {
    match text {
        [0xf4, 0x8f, high @ (0xba | 0xbb), low, ..] => Some(((high & 1) << 6) | (low & 0x3f) | 0x80),
        _ => None,
    }
}

/// `text` with what stands for a byte made U+FFFD, as Go's decoder reads strings.
pub(super) fn readable(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.chars().any(|character| byte_of(character).is_some()) {
        return text.chars().map(|character| if byte_of(character).is_some() { char::REPLACEMENT_CHARACTER } else { character }).collect::<String>().into();
    }
    text
}

/// The text of a stored line; each byte that is not UTF-8 becomes U+FFFD, as Go's decoder reads it.
pub fn readable_text(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut text = String::with_capacity(line.len());
            for chunk in line.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
            }
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_character() {
        for byte in 0x80..=0xff {
            let text = text_from_bytes(&[b'a', byte]).into_owned();
            let character = text.chars().nth(1).unwrap();
            assert_eq!((byte_of(character), byte_at(&text.as_bytes()[1..])), (Some(byte), Some(byte)));
        }
        assert_eq!((byte_of('\u{10ffff}'), byte_of('\u{10fe7f}')), (None, None));
        assert_eq!(text_from_bytes("é".as_bytes()), "é");
    }
}
