//! What stands in a filter's text, for highlighting, and what could stand at the cursor, for completion: also while
//! the text is wrong, as it is most of the time while somebody writes.
//!
//! The server answers `/api/v1/filter` with it, the command line completes with it. It takes the same steps as the parser,
//! with the parser's own functions for names and operators and the lexer's for words and values; it leaves to the
//! parser whether the text is right, and to the caller which values a field has among the events.

mod known;
mod scan;

#[cfg(test)]
mod tests;

use self::known::{field_items, has_countable_values, keywords, known_values, operators, value_prefix, without_operator};
use self::scan::{Place, Scanned};
use super::fields::Field;
use super::lex::Keyword;
use super::parse::MAX_BYTES;
use super::print::Value;

/// Items offered at most.
const MAX_ITEMS: usize = 100;

/// What a piece of a filter's text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The name of a field.
    Field,
    /// What joins field and value, and the comma between values.
    Operator,
    /// A value.
    Value,
    /// `and`, `or`, `not`.
    Word,
    /// A bracket.
    Paren,
    /// A text to search for.
    Text,
}

impl TokenKind {
    /// The word for it in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Operator => "operator",
            Self::Value => "value",
            Self::Word => "word",
            Self::Paren => "paren",
            Self::Text => "text",
        }
    }
}

/// A piece of a filter's text; what lies between two is white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its first character, counted from 0.
    pub start: usize,
    /// How many characters it has.
    pub length: usize,
    /// What it is.
    pub kind: TokenKind,
}

/// Something that could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What to write in place of [`Completion::start`] to [`Completion::end`].
    pub text: String,
    /// What to show.
    pub label: String,
    /// What it is.
    pub kind: TokenKind,
    /// One line about it; may be empty.
    pub detail: String,
}

/// A field whose values among the events would help.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedValues {
    /// The field.
    pub field: Field,
    /// How they begin, in any case.
    pub prefix: String,
}

/// What stands in a text, and what could stand at the cursor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The pieces of the text, in order; none of a text longer than a filter may be.
    pub tokens: Vec<Token>,
    /// The first character that an item replaces, counted from 0.
    pub start: usize,
    /// The one behind the last; the cursor stands between the two.
    pub end: usize,
    /// What is known to fit.
    pub items: Vec<Item>,
    /// Whose values would fit as well, or instead.
    pub wanted: Option<WantedValues>,
}

/// Reads `text` with the cursor in front of its character `cursor`, counted from 0; at the end if it is not that long.
pub fn complete(text: &str, cursor: usize) -> Completion {
    let cursor = cursor.min(text.chars().count());
    let mut completion = Completion { start: cursor, end: cursor, ..Completion::default() };
    if text.len() > MAX_BYTES {
        return completion;
    }
    let scanned = Scanned::new(text);
    completion.tokens = scanned.steps.iter().map(|step| step.token).collect();
    scanned.offer(&mut completion, cursor);
    completion
}

/// A value as it is written behind an operator: in quotes where it must be.
pub fn value_text(value: &str) -> String {
    Value(value).to_string()
}

impl Scanned {
    /// Fills in what could stand at the cursor.
    fn offer(&self, completion: &mut Completion, cursor: usize) {
        let before = self.steps.iter().rev().find(|step| step.end() <= cursor);
        let Some(step) = self.steps.iter().find(|step| step.token.start < cursor && cursor <= step.end()) else {
            // Behind a word that is a field's name, an operator may follow.
            let name = before.filter(|step| step.token.kind == TokenKind::Text).and_then(|step| Field::parse(&self.slice(step.token.start, step.end())).ok());
            if let Some(field) = name {
                completion.items.extend(operators(&field));
            }
            return self.offer_at(before.map_or(Place::Condition, |step| step.after), "", completion);
        };
        let written = self.slice(step.token.start, cursor);
        let whole_string = written.starts_with('"') && cursor == step.end() && written.len() > 1 && written.ends_with('"');
        match step.token.kind {
            TokenKind::Paren => return self.offer_at(step.after, "", completion),
            TokenKind::Operator if cursor == step.end() => return self.offer_at(step.after, "", completion),
            TokenKind::Value | TokenKind::Text if whole_string => return self.offer_at(step.after, "", completion),
            TokenKind::Operator => return,
            // Inside a string to search for, anything goes.
            TokenKind::Text if written.starts_with('"') => return,
            TokenKind::Field | TokenKind::Value | TokenKind::Text | TokenKind::Word => {}
        }
        (completion.start, completion.end) = (step.token.start, step.end());
        match (step.token.kind, step.before) {
            (TokenKind::Field, _) => completion.items.extend(field_items(&written).into_iter().map(without_operator)),
            // A value behind another one is a mistake, and still a value.
            (_, Place::Value(field)) | (TokenKind::Value, Place::ValueJoint(field)) => self.offer_values(field, &written, completion),
            (_, place) => self.offer_at(place, &written, completion),
        }
        completion.items.truncate(MAX_ITEMS);
    }

    /// What may stand in a place and begins with `prefix`.
    fn offer_at(&self, place: Place, prefix: &str, completion: &mut Completion) {
        match place {
            Place::Condition => {
                completion.items.extend(keywords(&[Keyword::Not], prefix));
                completion.items.extend(field_items(prefix));
            }
            Place::Joint => {
                completion.items.extend(keywords(&[Keyword::And, Keyword::Or, Keyword::Not], prefix));
                completion.items.extend(field_items(prefix));
            }
            Place::Operator(field) => completion.items.extend(self.fields[field].iter().flat_map(operators)),
            Place::Value(field) => self.offer_values(field, prefix, completion),
            Place::ValueJoint(_) => completion.items.extend(keywords(&[Keyword::Or, Keyword::And], prefix)),
        }
        completion.items.truncate(MAX_ITEMS);
    }

    fn offer_values(&self, field: usize, written: &str, completion: &mut Completion) {
        let Some(field) = &self.fields[field] else { return };
        let prefix = value_prefix(written);
        completion.items.extend(known_values(field, &prefix));
        if has_countable_values(field) {
            completion.wanted = Some(WantedValues { field: field.clone(), prefix });
        }
    }
}
