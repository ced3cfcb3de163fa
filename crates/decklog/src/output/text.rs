//! Small decisions about text: what is dangerous to a terminal, how long names are cut, how numbers read.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal might act on the character, or show the text around it in another order: control
/// characters, and the bidirectional and invisible formatting marks of Unicode.
pub(crate) fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with every hostile character as `\u{…}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hostile(character) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// `text` in at most `width` characters: both ends stay, the middle becomes `…`.
pub(crate) fn cut_middle(text: &str, width: usize) -> Cow<'_, str> {
    let n_characters = text.chars().count();
    if n_characters <= width {
        return Cow::Borrowed(text);
    }
    if width == 0 {
        return Cow::Borrowed("");
    }
    let tail = (width - 1) / 2;
    let head = width - 1 - tail;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(n_characters - tail).collect();
    Cow::Owned(format!("{start}…{end}"))
}

/// `1234567` as `1,234,567`.
pub(crate) fn with_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 event`, `3,431 events`.
pub(crate) fn plural(number: u64, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {thing}{s}", with_thousands(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_terminal_would_act_on() {
        assert_eq!(escape("plain ümläut 名"), "plain ümläut 名");
        assert_eq!(escape("a\u{1b}[31mb\n\u{202e}c"), "a\\u{1b}[31mb\\u{a}\\u{202e}c");
        assert_eq!(escape("\u{9b}x\u{200b}"), "\\u{9b}x\\u{200b}");
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(cut_middle("abcdefghij", 10), "abcdefghij");
        assert_eq!(cut_middle("abcdefghij", 5), "ab…ij");
        assert_eq!(cut_middle("abcdefghij", 4), "ab…j");
        assert_eq!(cut_middle("abcdefghij", 1), "…");
        assert_eq!(cut_middle("abcdefghij", 0), "");
    }

    #[test]
    fn numbers_are_read_in_threes() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (3431, "3,431"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(with_thousands(number), text);
        }
    }
}
