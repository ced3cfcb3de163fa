//! One valid JSON value inside a text, and its parts.

use std::borrow::Cow;

use super::{JsonError, JsonErrorKind, Scanner, compact_into, unescape};

/// The text of one complete, valid JSON value. Copying it copies a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawJson<'a>(&'a str);

/// One complete, valid JSON value that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// The value.
    pub fn as_raw(&self) -> RawJson<'_> {
        RawJson(&self.0)
    }
}

impl From<RawJson<'_>> for JsonText {
    fn from(raw: RawJson<'_>) -> Self {
        Self(raw.0.into())
    }
}

/// The six kinds of JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum JsonKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl<'a> RawJson<'a> {
    /// `null`.
    pub const NULL: RawJson<'static> = RawJson("null");

    /// Checks that `text` is one JSON value with nothing but white space around it.
    ///
    /// # Errors
    /// What is malformed, and at which byte.
    pub fn parse(text: &'a str) -> Result<Self, JsonError> {
        let mut scanner = Scanner::new(text.as_bytes());
        let start = scanner.skip_value()?;
        let end = scanner.at;
        scanner.expect_end()?;
        Ok(Self(&text[start..end]))
    }

    /// Checks bytes that may not even be UTF-8.
    ///
    /// # Errors
    /// What is malformed, and at which byte.
    pub fn parse_bytes(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|error| JsonError { at: error.valid_up_to(), kind: JsonErrorKind::BadUtf8 })?;
        Self::parse(text)
    }

    /// The caller has scanned `text` as one value.
    pub(crate) fn scanned(text: &'a str) -> Self {
        Self(text)
    }

    /// The text as it came, with any white space inside.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Which kind it is.
    pub fn kind(self) -> JsonKind {
        match self.0.as_bytes().first() {
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b'"') => JsonKind::String,
            Some(b't' | b'f') => JsonKind::Bool,
            Some(b'n') | None => JsonKind::Null,
            Some(_) => JsonKind::Number,
        }
    }

    /// A string's characters; lone surrogates become U+FFFD.
    pub fn as_string(self) -> Option<Cow<'a, str>> {
        let content = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(content, content.contains('\\')))
    }

    /// A number as the nearest double; infinite where it is beyond.
    pub fn as_number(self) -> Option<f64> {
        (self.kind() == JsonKind::Number).then(|| self.0.parse().ok()).flatten()
    }

    /// `true` or `false`.
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The elements of an array; nothing for other kinds.
    pub fn elements(self) -> Elements<'a> {
        Elements(Parts::of(self, b'['))
    }

    /// The members of an object in order, repeated keys included; nothing for other kinds.
    pub fn members(self) -> Members<'a> {
        Members(Parts::of(self, b'{'))
    }

    /// The last member of that name, as Go and JavaScript read repeated keys.
    pub fn member(self, name: &str) -> Option<RawJson<'a>> {
        self.members().filter(|(key, _)| key == name).map(|(_, value)| value).last()
    }

    /// Without white space between the tokens.
    pub fn compact(self) -> String {
        let mut out = Vec::with_capacity(self.0.len());
        compact_into(self.0, &mut out);
        String::from_utf8(out).expect("removing ASCII white space keeps UTF-8 valid")
    }
}

struct Parts<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    first: bool,
    done: bool,
}

impl<'a> Parts<'a> {
    fn of(raw: RawJson<'a>, open: u8) -> Self {
        let mut scanner = Scanner::new(raw.0.as_bytes());
        let done = scanner.expect(open).is_err();
        Self { text: raw.0, scanner, first: true, done }
    }

    /// Whether another part comes. The text was checked before, so an error can only mean the end.
    fn advance(&mut self, close: u8) -> bool {
        if self.done {
            return false;
        }
        let more = self.scanner.more(self.first, close).unwrap_or(false);
        self.first = false;
        self.done = !more;
        more
    }

    fn value(&mut self) -> Option<RawJson<'a>> {
        let start = self.scanner.skip_value().ok()?;
        Some(RawJson(&self.text[start..self.scanner.at]))
    }
}

/// See [`RawJson::elements`].
pub struct Elements<'a>(Parts<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = RawJson<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.advance(b']') { self.0.value() } else { None }
    }
}

/// See [`RawJson::members`].
pub struct Members<'a>(Parts<'a>);

impl Members<'_> {
    /// The offset in the object's text behind the member given last.
    pub(crate) fn offset(&self) -> usize {
        self.0.scanner.at
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, RawJson<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if !self.0.advance(b'}') {
            return None;
        }
        let span = self.0.scanner.key().ok()?;
        let key = unescape(&self.0.text[span.start..span.end], span.escaped);
        Some((key, self.0.value()?))
    }
}
