//! From bytes to text, as go-yaml reads them: UTF-8, or UTF-16 with a byte-order mark; nothing that is no character of YAML.

use std::borrow::Cow;

use super::{Problem, Span};

/// The largest text that is read: ten thousand times what policies are.
pub const MAX_BYTES: usize = 16 << 20;

/// The text of a file, which the places of a [`Verdict`](super::Verdict) are places in: without its byte-order mark.
///
/// # Errors
/// What it is instead of text.
pub fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
    if bytes.len() > MAX_BYTES {
        let message = format!("the text has {} bytes, and decklog reads {MAX_BYTES} at most", bytes.len());
        return Err(Problem::new("syntax", first(), message, "this is no policy, or repeats itself: name users and resources once"));
    }
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
    }
}

fn first() -> Span {
    Span { start: 0, end: 0, line: 1, column: 1 }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        let span = place(&before, before.len(), 0);
        Problem::new("syntax", span, format!("the byte `0x{byte:02x}` is not UTF-8"), "save the file as UTF-8")
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'static, str>, Problem> {
    let units = bytes.chunks(2).map(|pair| if let [a, b] = *pair { Ok(unit([a, b])) } else { Err(()) });
    let text: Result<Option<String>, ()> = units.collect::<Result<Vec<u16>, ()>>().map(|units| String::from_utf16(&units).ok());
    match text {
        Ok(Some(text)) => Ok(Cow::Owned(text)),
        _ => Err(Problem::new("syntax", first(), "the text begins as UTF-16, but is not", "save the file as UTF-8")),
    }
}

/// The first character that YAML does not have (`goyaml.v2/readerc.go`).
pub(super) fn check_characters(text: &str) -> Result<(), Problem> {
    let is_allowed = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..);
    match text.char_indices().find(|(_, character)| !is_allowed(*character)) {
        None => Ok(()),
        Some((at, character)) => Err(Problem::new(
            "syntax",
            place(text, at, character.len_utf8()),
            format!("the character `U+{:04X}` is not allowed in YAML", u32::from(character)),
            "delete it; inside double quotes write it as an escape such as `\\x01`",
        )),
    }
}

/// The place of `length` bytes at `start`.
pub(super) fn place(text: &str, start: usize, length: usize) -> Span {
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Span { start, end: start + length, line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// Lines of a text, to find a byte's place.
pub(in crate::policy) struct Places<'t> {
    pub(super) text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Places<'t> {
    pub(in crate::policy) fn of(text: &'t str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, line_starts: std::iter::once(0).chain(starts).collect() }
    }

    /// The place of `length` bytes at `start`.
    pub(in crate::policy) fn span(&self, start: usize, length: usize) -> Span {
        let start = start.min(self.text.len());
        let line = self.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = self.line_starts[line.saturating_sub(1)];
        let column = self.text.get(line_start..start).map_or(1, |before| before.chars().count() + 1);
        Span { start, end: (start + length).min(self.text.len()), line, column }
    }
}
