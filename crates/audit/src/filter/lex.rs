//! The characters of a filter: where the parser stands, and the small pieces it takes from there: words in
//! quotes, bare values, segments of field names, operators. What a piece means is the parser's business.

use super::FilterError;
use super::pattern::Piece;

/// A place in the text of a filter.
pub(super) struct Cursor {
    characters: Vec<char>,
    /// The index of the next character.
    pub(super) at: usize,
}

/// A value as written.
#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    /// Its characters without quotes and escapes; wildcards only if it is bare.
    pub(super) pieces: Vec<Piece>,
    /// Whether it was in quotes.
    pub(super) quoted: bool,
    /// Where it starts.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

impl Lexeme {
    /// Its characters, wildcards taken literally.
    pub(super) fn text(&self) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Char(character) => *character,
                Piece::AnyRun => '*',
                Piece::AnyOne => '?',
            })
            .collect()
    }
}

/// The words that join conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
}

impl Cursor {
    pub(super) fn new(text: &str) -> Self {
        Self { characters: text.chars().collect(), at: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    pub(super) fn length(&self) -> usize {
        self.characters.len()
    }

    /// The characters from `start` to `end`, as written.
    pub(super) fn slice(&self, start: usize, end: usize) -> String {
        self.characters[start..end.min(self.characters.len())].iter().collect()
    }

    pub(super) fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// The end of the run of characters from `start` on up to white space or a bracket.
    pub(super) fn word_end(&self, start: usize) -> usize {
        let ends = |character: &char| character.is_whitespace() || matches!(character, '(' | ')');
        self.characters[start..].iter().position(ends).map_or(self.characters.len(), |length| start + length)
    }

    /// The end of the string in quotes from `start` on, whatever its escapes are worth.
    pub(super) fn string_end(&self, start: usize) -> usize {
        let mut at = start + 1;
        while let Some(character) = self.characters.get(at) {
            at += if *character == '\\' { 2 } else { 1 };
            if *character == '"' {
                break;
            }
        }
        at.min(self.characters.len())
    }

    /// The keyword that starts here, left in place: the whole word, followed by white space, a bracket, a
    /// quote or the end.
    pub(super) fn keyword(&self) -> Option<(Keyword, usize)> {
        let word: String = self.characters[self.at..].iter().take(4).take_while(|character| character.is_ascii_alphabetic()).collect();
        let keyword = match word.to_ascii_lowercase().as_str() {
            "and" => Keyword::And,
            "or" => Keyword::Or,
            "not" => Keyword::Not,
            _ => return None,
        };
        match self.peek_at(word.len()) {
            None | Some('(' | ')' | '"') => Some((keyword, word.len())),
            Some(character) if character.is_whitespace() => Some((keyword, word.len())),
            Some(_) => None,
        }
    }

    /// A segment of a field's name without quotes; empty if none starts here.
    pub(super) fn identifier(&mut self) -> String {
        let start = self.at;
        if self.peek().is_some_and(|character| character.is_alphabetic() || character == '_') {
            while self.peek().is_some_and(|character| character.is_alphanumeric() || matches!(character, '_' | '-' | '/')) {
                self.at += 1;
            }
        }
        self.slice(start, self.at)
    }

    /// A string in quotes; the cursor stands on the first one.
    pub(super) fn quoted(&mut self) -> Result<Lexeme, FilterError> {
        let start = self.at;
        self.at += 1;
        let mut pieces = Vec::new();
        loop {
            let Some(character) = self.peek() else {
                return Err(FilterError::new(
                    start,
                    self.at,
                    "unterminated",
                    "this string has no closing `\"`",
                    "add `\"`, or write `\\\"` to search for the character",
                ));
            };
            self.at += 1;
            match character {
                '"' => return Ok(Lexeme { pieces, quoted: true, start, end: self.at }),
                '\\' if self.peek().is_some() => pieces.push(Piece::Char(self.escape()?)),
                // A lone backslash at the end is found as a missing quote.
                '\\' => {}
                other => pieces.push(Piece::Char(other)),
            }
        }
    }

    /// What stands behind a backslash inside quotes.
    fn escape(&mut self) -> Result<char, FilterError> {
        let start = self.at - 1;
        let character = self.peek().unwrap_or_default();
        self.at += 1;
        let value = match character {
            '"' | '\\' | '*' | '?' | ':' | '(' | ')' | ',' => Some(character),
            'n' => Some('\n'),
            't' => Some('\t'),
            'u' => self.unicode_escape(),
            _ => None,
        };
        value.ok_or_else(|| {
            let written = self.slice(start, self.at);
            FilterError::new(start, self.at, "bad-escape", format!("unknown escape `{written}`"), r#"in quotes: \" \\ \n \t \uXXXX"#)
        })
    }

    /// Four hex digits, and four more for the second half of a pair.
    fn unicode_escape(&mut self) -> Option<char> {
        let first = self.hex_unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if self.peek() != Some('\\') || self.peek_at(1) != Some('u') {
            return None;
        }
        self.at += 2;
        let second = self.hex_unit().filter(|unit| (0xdc00..0xe000).contains(unit))?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn hex_unit(&mut self) -> Option<u32> {
        let digits = self.characters.get(self.at..self.at + 4)?;
        let value = digits.iter().try_fold(0, |value, digit| Some(value * 16 + digit.to_digit(16)?))?;
        self.at += 4;
        Some(value)
    }

    /// A bare value or word: up to white space, a bracket or a quote, and up to a comma if that ends it.
    /// Empty if none starts here.
    pub(super) fn bare(&mut self, comma: Comma) -> Result<Lexeme, FilterError> {
        let start = self.at;
        let mut pieces = Vec::new();
        while let Some(character) = self.peek() {
            let ends = character.is_whitespace() || matches!(character, '(' | ')' | '"') || (character == ',' && comma == Comma::Ends);
            if ends {
                break;
            }
            self.at += 1;
            pieces.push(match character {
                '*' => Piece::AnyRun,
                '?' => Piece::AnyOne,
                '\\' => {
                    let Some(escaped) = self.peek() else {
                        return Err(FilterError::new(self.at - 1, self.at, "bad-escape", "`\\` at the end escapes nothing", "write `\\\\` for one backslash"));
                    };
                    self.at += 1;
                    Piece::Char(escaped)
                }
                other => Piece::Char(other),
            });
        }
        Ok(Lexeme { pieces, quoted: false, start, end: self.at })
    }
}

/// What a comma does to a bare word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comma {
    Ends,
    Belongs,
}

impl FilterError {
    /// An error about the characters from index `start` to `end`; at least one long, so that it can be shown.
    pub(super) fn new(start: usize, end: usize, code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { column: start + 1, length: end.saturating_sub(start).max(1), code, message: message.into(), help: help.into() }
    }
}
