//! JSON text, looked at in place: one scanner for the event decoder, the body paths of filters and the
//! splitting of event lists.
//!
//! The scanner checks the grammar of RFC 8259 and copies nothing. It never recurses, takes at most
//! [`MAX_DEPTH`] levels, and keeps number spellings, duplicate keys and lone surrogates as they are: an
//! event is its bytes.

use std::borrow::Cow;

mod raw;
mod tokens;

pub use raw::{Elements, JsonKind, JsonText, Members, RawJson};
pub use tokens::{Token, Tokens, tokens};

/// Levels of nesting taken; kube-apiserver's own limit is 10,000, real objects stay below 50.
pub const MAX_DEPTH: usize = 1024;

/// Where and why text is not the JSON it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {at}")]
pub struct JsonError {
    /// The byte offset.
    pub at: usize,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

/// What is wrong with a text as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// The text ends before the value does: more may come.
    #[error("the JSON ends too early")]
    Incomplete,
    /// A byte that cannot stand here.
    #[error("unexpected byte 0x{0:02x}")]
    Unexpected(u8),
    /// A control character inside a string.
    #[error("unescaped control character 0x{0:02x} in a string")]
    ControlCharacter(u8),
    /// A backslash followed by something JSON does not know.
    #[error("unknown escape in a string")]
    BadEscape,
    /// A number not spelled as JSON wants it.
    #[error("not a JSON number")]
    BadNumber,
    /// More than [`MAX_DEPTH`] levels.
    #[error("nested deeper than 1024 levels")]
    TooDeep,
    /// The text is not UTF-8.
    #[error("not UTF-8")]
    BadUtf8,
    /// Something follows the value.
    #[error("text after the end of the JSON value")]
    Trailing,
}

type Result<T> = std::result::Result<T, JsonError>;

/// The length of the one complete JSON value at the start of `bytes`, white space before it included.
///
/// # Errors
/// [`JsonErrorKind::Incomplete`] if the value may go on behind the end of `bytes` (a number at the very end
/// counts as incomplete), else what is malformed and where. UTF-8 is not checked.
pub fn scan_value(bytes: &[u8]) -> Result<usize> {
    let mut scanner = Scanner::new(bytes);
    scanner.skip_value()?;
    match bytes.get(scanner.at.wrapping_sub(1)) {
        Some(last) if scanner.at == bytes.len() && (last.is_ascii_digit() || *last == b'.') => Err(scanner.error(JsonErrorKind::Incomplete)),
        _ => Ok(scanner.at),
    }
}

/// A place in a text, and what was seen on the way.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    /// The offset of the next byte.
    pub(crate) at: usize,
    /// Whether white space outside strings was passed.
    pub(crate) spaced: bool,
    /// Whether an escape was passed that Go's encoder does not write, nor one inside JSON inside a string: it
    /// spells something that could have been written plainly.
    pub(crate) oddly_escaped: bool,
}

/// A string's content between its quotes.
#[derive(Clone, Copy)]
pub(crate) struct StringSpan {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) escaped: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, spaced: false, oddly_escaped: false }
    }

    pub(crate) fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { at: self.at, kind }
    }

    /// The next byte that is not white space, left in place.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            _ => self.peek_slowly(),
        }
    }

    #[cold]
    fn peek_slowly(&mut self) -> Result<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(*byte);
            }
            self.spaced = true;
            self.at += 1;
        }
        Err(self.error(JsonErrorKind::Incomplete))
    }

    /// Takes `byte` as the next one that is not white space.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<()> {
        let found = self.peek()?;
        if found != byte {
            return Err(self.error(JsonErrorKind::Unexpected(found)));
        }
        self.at += 1;
        Ok(())
    }

    /// Whether only white space is left.
    pub(crate) fn expect_end(&mut self) -> Result<()> {
        match self.peek() {
            Ok(_) => Err(self.error(JsonErrorKind::Trailing)),
            Err(_) => Ok(()),
        }
    }

    /// Behind `{` or `,`: whether another member or element comes, with the separator taken.
    /// `first` is true directly behind the opening bracket.
    #[inline]
    pub(crate) fn more(&mut self, first: bool, close: u8) -> Result<bool> {
        let byte = self.peek()?;
        if byte == close {
            self.at += 1;
            return Ok(false);
        }
        if first {
            return Ok(true);
        }
        if byte != b',' {
            return Err(self.error(JsonErrorKind::Unexpected(byte)));
        }
        self.at += 1;
        // A closing bracket behind a comma is refused by whatever reads the member or element next.
        Ok(true)
    }

    /// Takes a string; the scanner stands on its opening quote.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<StringSpan> {
        self.expect(b'"')?;
        let start = self.at;
        let end = start + plain_length(self.bytes.get(start..).unwrap_or_default());
        self.at = end;
        if self.bytes.get(end) == Some(&b'"') {
            self.at += 1;
            return Ok(StringSpan { start, end, escaped: false });
        }
        self.escaped_string(start)
    }

    /// The rest of a string from its first escape on, which is rare: kept out of the way of the others.
    #[inline(never)]
    fn escaped_string(&mut self, start: usize) -> Result<StringSpan> {
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(StringSpan { start, end, escaped: true });
                }
                Some(b'\\') => self.escape()?,
                Some(&byte) => return Err(self.error(JsonErrorKind::ControlCharacter(byte))),
                None => return Err(self.error(JsonErrorKind::Incomplete)),
            }
            self.at += plain_length(self.bytes.get(self.at..).unwrap_or_default());
        }
    }

    #[inline]
    fn escape(&mut self) -> Result<()> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'\\') => {
                self.oddly_escaped |= is_odd_escape(&self.bytes[self.at + 2..]);
                self.at += 2;
            }
            Some(b'/') => {
                self.oddly_escaped = true;
                self.at += 2;
            }
            Some(b'u') => {
                self.oddly_escaped |= is_odd_escape(&self.bytes[self.at + 1..]);
                let Some(digits) = self.bytes.get(self.at + 2..self.at + 6) else {
                    return Err(self.error(JsonErrorKind::Incomplete));
                };
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.error(JsonErrorKind::BadEscape));
                }
                self.at += 6;
            }
            Some(_) => return Err(self.error(JsonErrorKind::BadEscape)),
            None => return Err(self.error(JsonErrorKind::Incomplete)),
        }
        Ok(())
    }

    pub(crate) fn number(&mut self) -> Result<()> {
        let digits = |scanner: &mut Self| {
            let start = scanner.at;
            while scanner.bytes.get(scanner.at).is_some_and(u8::is_ascii_digit) {
                scanner.at += 1;
            }
            scanner.at - start
        };
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let leading_zero = self.bytes.get(self.at) == Some(&b'0');
        let n_digits = digits(self);
        if n_digits == 0 || (leading_zero && n_digits > 1) {
            return Err(self.number_error());
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if digits(self) == 0 {
                return Err(self.number_error());
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if digits(self) == 0 {
                return Err(self.number_error());
            }
        }
        Ok(())
    }

    fn number_error(&self) -> JsonError {
        self.error(if self.at >= self.bytes.len() { JsonErrorKind::Incomplete } else { JsonErrorKind::BadNumber })
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<()> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        if word.starts_with(rest) {
            return Err(self.error(JsonErrorKind::Incomplete));
        }
        Err(self.error(JsonErrorKind::Unexpected(rest[0])))
    }

    /// Takes `null` if it comes next.
    #[inline]
    pub(crate) fn null(&mut self) -> Result<bool> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.literal(b"null")?;
        Ok(true)
    }

    /// Takes a whole value of any kind; gives where it starts.
    pub(crate) fn skip_value(&mut self) -> Result<usize> {
        let byte = self.peek()?;
        let start = self.at;
        match byte {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => self.skip_nested()?,
            _ => self.scalar(byte)?,
        }
        Ok(start)
    }

    #[inline]
    fn scalar(&mut self, byte: u8) -> Result<()> {
        match byte {
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.error(JsonErrorKind::Unexpected(byte))),
        }
    }

    /// Takes an object or array with all that is in it, keeping the kinds of the open brackets as bits.
    fn skip_nested(&mut self) -> Result<()> {
        let mut open = Brackets::default();
        loop {
            // A value comes next.
            let byte = self.peek()?;
            match byte {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    open.push(true).map_err(|kind| self.error(kind))?;
                    self.at += 1;
                    if self.peek()? != b'}' {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    open.push(false).map_err(|kind| self.error(kind))?;
                    self.at += 1;
                    if self.peek()? != b']' {
                        continue;
                    }
                }
                _ => self.scalar(byte)?,
            }
            // Behind a value, or on the closing bracket of an empty one.
            loop {
                let byte = self.peek()?;
                let in_object = open.innermost_is_object();
                if byte == b',' {
                    self.at += 1;
                    if in_object {
                        self.key()?;
                    }
                    break;
                }
                if byte != if in_object { b'}' } else { b']' } {
                    return Err(self.error(JsonErrorKind::Unexpected(byte)));
                }
                self.at += 1;
                if open.pop() {
                    return Ok(());
                }
            }
        }
    }

    #[inline]
    pub(crate) fn key(&mut self) -> Result<StringSpan> {
        let byte = self.peek()?;
        if byte != b'"' {
            return Err(self.error(JsonErrorKind::Unexpected(byte)));
        }
        let span = self.string()?;
        self.expect(b':')?;
        Ok(span)
    }
}

/// Whether what follows a backslash spells a character that Go writes plainly: `/`, or one of ASCII but
/// control characters, `&`, `<` and `>`.
pub(crate) fn is_odd_escape(rest: &[u8]) -> bool {
    match rest {
        [b'u', b'0', b'0', digits @ ..] => !matches!(digits, [b'0' | b'1', ..] | [b'2', b'6', ..] | [b'3', b'c' | b'C' | b'e' | b'E', ..]),
        [b'/', ..] => true,
        _ => false,
    }
}

/// The open brackets, innermost last: one bit each, set for an object.
#[derive(Default)]
pub(crate) struct Brackets {
    bits: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Brackets {
    #[inline]
    pub(crate) fn push(&mut self, object: bool) -> std::result::Result<(), JsonErrorKind> {
        if self.depth == MAX_DEPTH {
            return Err(JsonErrorKind::TooDeep);
        }
        let bit = 1u64 << (self.depth % 64);
        let word = &mut self.bits[self.depth / 64];
        *word = if object { *word | bit } else { *word & !bit };
        self.depth += 1;
        Ok(())
    }

    /// Closes the innermost; true when none is left.
    #[inline]
    pub(crate) fn pop(&mut self) -> bool {
        self.depth -= 1;
        self.depth == 0
    }

    #[inline]
    pub(crate) fn innermost_is_object(&self) -> bool {
        let index = self.depth - 1;
        self.bits[index / 64] >> (index % 64) & 1 == 1
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// How many bytes from the start are neither a quote nor a backslash nor a control character: eight at a
/// time (the usual zero-byte trick), then one by one.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (control | zero_bytes(word ^ (ONES * b'"' as u64)) | zero_bytes(word ^ (ONES * b'\\' as u64))) & HIGHS;
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
        rest = tail;
    }
    length + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

/// A string's content with its escapes taken out; a surrogate without its other half becomes U+FFFD, as in
/// Go's `encoding/json`.
pub(crate) fn unescape(content: &str, escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return Cow::Borrowed(content);
    }
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (character, length) = one_escape(&rest.as_bytes()[at..]);
        text.push(character);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

pub(crate) fn one_escape(bytes: &[u8]) -> (char, usize) {
    let unit = |at: usize| -> Option<u32> {
        if bytes.get(at..at + 2)? != b"\\u" {
            return None;
        }
        let digits = std::str::from_utf8(bytes.get(at + 2..at + 6)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    match bytes.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => match (unit(0), unit(6)) {
            (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
            }
            (Some(code), _) => (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            (None, _) => (char::REPLACEMENT_CHARACTER, 2),
        },
        Some(&byte) => (char::from(byte), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// Appends `text` (valid JSON) without the white space between its tokens; what has none is copied at once.
pub fn compact_into(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let (mut start, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                loop {
                    at += plain_length(bytes.get(at..).unwrap_or_default());
                    match bytes.get(at) {
                        Some(b'\\') => at += 2,
                        Some(b'"') | None => break,
                        Some(_) => at += 1,
                    }
                }
                at += 1;
            }
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.extend_from_slice(&bytes[start..at]);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    out.extend_from_slice(&bytes[start..]);
}

#[cfg(test)]
mod tests;
