//! The walk over a filter's text: the parser's steps without its errors.

use super::super::fields::Field;
use super::super::lex::{Comma, Cursor};
use super::super::names;
use super::super::parse::Parser;
use super::{Token, TokenKind};

/// What the parser would take next. Numbers are indexes into [`Scanned::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A condition.
    Condition,
    /// `and`, `or`, or another condition.
    Joint,
    /// An operator, behind the name of a field.
    Operator(usize),
    /// A value.
    Value(usize),
    /// `and`, `or`, a comma, in a list of values.
    ValueJoint(usize),
}

/// A token with what was expected in its place and is expected behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) token: Token,
    pub(super) before: Place,
    pub(super) after: Place,
}

impl Step {
    /// The character behind it.
    pub(super) fn end(&self) -> usize {
        self.token.start + self.token.length
    }
}

/// A text, taken apart.
pub(super) struct Scanned {
    pub(super) steps: Vec<Step>,
    /// The fields that were named; `None` where there is no such field.
    pub(super) fields: Vec<Option<Field>>,
    cursor: Cursor,
}

impl Scanned {
    pub(super) fn new(text: &str) -> Self {
        Scanner::new(text).scan()
    }

    /// The characters from `start` to `end`, as written.
    pub(super) fn slice(&self, start: usize, end: usize) -> String {
        self.cursor.slice(start, end)
    }
}

/// Walks over a text as the parser does, but goes on behind mistakes.
struct Scanner {
    parser: Parser,
    place: Place,
    /// The open brackets: of a list of values of that field, or of conditions.
    groups: Vec<Option<usize>>,
    steps: Vec<Step>,
    fields: Vec<Option<Field>>,
}

impl Scanner {
    fn new(text: &str) -> Self {
        Self { parser: Parser::new(text), place: Place::Condition, groups: Vec::new(), steps: Vec::new(), fields: Vec::new() }
    }

    fn scan(mut self) -> Scanned {
        loop {
            self.parser.cursor.skip_space();
            let start = self.parser.cursor.at;
            match (self.parser.cursor.peek(), self.place) {
                (None, _) => return Scanned { steps: self.steps, fields: self.fields, cursor: self.parser.cursor },
                (Some('('), place) => {
                    let list = if let Place::Value(field) | Place::ValueJoint(field) = place { Some(field) } else { None };
                    self.groups.push(list);
                    self.take(start, start + 1, TokenKind::Paren, list.map_or(Place::Condition, Place::Value));
                }
                (Some(')'), _) => {
                    self.groups.pop();
                    self.take(start, start + 1, TokenKind::Paren, self.behind());
                }
                (Some(_), place) => match (self.parser.cursor.keyword(), place) {
                    (Some((_, length)), _) => {
                        let list = self.groups.last().copied().flatten();
                        self.take(start, start + length, TokenKind::Word, list.map_or(Place::Condition, Place::Value));
                    }
                    (None, Place::Value(field) | Place::ValueJoint(field)) => self.value(start, field),
                    (None, _) => self.clause_or_text(start),
                },
            }
        }
    }

    /// What may come behind a whole value or group.
    fn behind(&self) -> Place {
        self.groups.last().copied().flatten().map_or(Place::Joint, Place::ValueJoint)
    }

    fn take(&mut self, start: usize, end: usize, kind: TokenKind, after: Place) {
        // Every step takes something, so that the walk ends.
        let end = end.max(start + 1);
        self.steps.push(Step { token: Token { start, length: end - start, kind }, before: self.place, after });
        self.place = after;
        self.parser.cursor.at = end;
    }

    fn value(&mut self, start: usize, field: usize) {
        if self.parser.cursor.peek() == Some(',') {
            return self.take(start, start + 1, TokenKind::Operator, Place::Value(field));
        }
        let end = self.lexeme_end(start, Comma::Ends);
        self.take(start, end, TokenKind::Value, self.behind());
        if self.parser.cursor.peek() == Some(',') {
            self.take(end, end + 1, TokenKind::Operator, Place::Value(field));
        }
    }

    fn clause_or_text(&mut self, start: usize) {
        if let Some(head) = self.parser.clause_head() {
            let field = self.fields.len();
            self.fields.push(names::resolve(&head.segments).ok());
            self.take(start, head.name_end, TokenKind::Field, Place::Operator(field));
            return self.take(head.operator_start, head.operator_end, TokenKind::Operator, Place::Value(field));
        }
        self.parser.cursor.at = start;
        let end = self.lexeme_end(start, Comma::Belongs);
        self.take(start, end, TokenKind::Text, self.behind());
    }

    /// Where the word or string ends that starts here, as far as it can be read.
    fn lexeme_end(&mut self, start: usize, comma: Comma) -> usize {
        let cursor = &mut self.parser.cursor;
        let quoted = cursor.peek() == Some('"');
        let lexeme = if quoted { cursor.quoted() } else { cursor.bare(comma) };
        match lexeme {
            Ok(lexeme) => lexeme.end,
            Err(_) if quoted => cursor.string_end(start),
            Err(_) => cursor.word_end(start),
        }
    }
}
