//! A value as a flat stream: for looking at everything inside it in one pass, however deep.

use std::borrow::Cow;

use super::{Brackets, RawJson, Scanner, unescape};

/// One token of a JSON value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Token<'a> {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Key(Cow<'a, str>),
    String(Cow<'a, str>),
    /// As it is spelled.
    Number(&'a str),
    Bool(bool),
    Null,
}

/// The tokens of `raw` in order, in one linear pass.
pub fn tokens(raw: RawJson<'_>) -> Tokens<'_> {
    Tokens { text: raw.as_str(), scanner: Scanner::new(raw.as_str().as_bytes()), open: Brackets::default(), expect: Expect::Value }
}

/// See [`tokens`].
pub struct Tokens<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    open: Brackets,
    expect: Expect,
}

enum Expect {
    Value,
    /// Directly behind an opening bracket.
    FirstPart,
    /// Behind a value inside a bracket.
    NextPart,
    End,
}

impl<'a> Tokens<'a> {
    /// How many brackets are open.
    pub fn depth(&self) -> usize {
        self.open.depth()
    }

    fn part(&mut self, first: bool) -> Option<Token<'a>> {
        let object = self.open.innermost_is_object();
        if self.scanner.more(first, if object { b'}' } else { b']' }).ok()? {
            if !object {
                return self.value();
            }
            let span = self.scanner.key().ok()?;
            self.expect = Expect::Value;
            return Some(Token::Key(unescape(&self.text[span.start..span.end], span.escaped)));
        }
        self.expect = if self.open.pop() { Expect::End } else { Expect::NextPart };
        Some(if object { Token::ObjectEnd } else { Token::ArrayEnd })
    }

    fn value(&mut self) -> Option<Token<'a>> {
        let byte = self.scanner.peek().ok()?;
        if let b'{' | b'[' = byte {
            self.scanner.at += 1;
            self.open.push(byte == b'{').ok()?;
            self.expect = Expect::FirstPart;
            return Some(if byte == b'{' { Token::ObjectStart } else { Token::ArrayStart });
        }
        self.expect = if self.open.depth() == 0 { Expect::End } else { Expect::NextPart };
        if byte == b'"' {
            let span = self.scanner.string().ok()?;
            return Some(Token::String(unescape(&self.text[span.start..span.end], span.escaped)));
        }
        let start = self.scanner.skip_value().ok()?;
        Some(match &self.text[start..self.scanner.at] {
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            "null" => Token::Null,
            number => Token::Number(number),
        })
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.expect {
            Expect::Value => self.value(),
            Expect::FirstPart => self.part(true),
            Expect::NextPart => self.part(false),
            Expect::End => None,
        }
    }
}
