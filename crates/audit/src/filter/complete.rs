//! What stands in a filter's text, for highlighting, and what could stand at the cursor, for completion: also while
//! the text is wrong, as it is most of the time while somebody writes.
//!
//! The server answers `/api/v1/filter` with it, the command line completes with it. It takes the same steps as the parser,
//! with the parser's own functions for names and operators and the lexer's for words and values; it leaves to the
//! parser whether the text is right, and to the caller which values a field has among the events.

use super::fields::{self, Below, FIELDS, Field, FieldId, FieldInfo, FieldType, KEY_ALIASES, LATENCY_PARTS};
use super::kinds::KINDS;
use super::lex::{Comma, Keyword};
use super::names;
use super::parse::{MAX_BYTES, Parser};
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
    let scanned = Scanner::new(text).scan();
    completion.tokens = scanned.steps.iter().map(|step| step.token).collect();
    scanned.offer(&mut completion, cursor);
    completion
}

/// A value as it is written behind an operator: in quotes where it must be.
pub fn value_text(value: &str) -> String {
    Value(value).to_string()
}

/// What the parser would take next. Numbers are indexes into [`Scanner::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
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
struct Step {
    token: Token,
    before: Place,
    after: Place,
}

impl Step {
    fn end(&self) -> usize {
        self.token.start + self.token.length
    }
}

/// Walks over a text as the parser does, but goes on behind mistakes.
struct Scanner {
    parser: Parser,
    place: Place,
    /// The open brackets: of a list of values of that field, or of conditions.
    groups: Vec<Option<usize>>,
    steps: Vec<Step>,
    /// The fields that were named; `None` where there is no such field.
    fields: Vec<Option<Field>>,
    /// No name with an operator begins before this character: saves looking again from each segment of a long name.
    nameless_before: usize,
}

impl Scanner {
    fn new(text: &str) -> Self {
        Self { parser: Parser::new(text), place: Place::Condition, groups: Vec::new(), steps: Vec::new(), fields: Vec::new(), nameless_before: 0 }
    }

    fn scan(mut self) -> Self {
        loop {
            self.parser.cursor.skip_space();
            let start = self.parser.cursor.at;
            match (self.parser.cursor.peek(), self.place) {
                (None, _) => return self,
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
        if start >= self.nameless_before {
            if let Some(head) = self.parser.clause_head() {
                let field = self.fields.len();
                self.fields.push(names::resolve(&head.segments).ok());
                self.take(start, head.name_end, TokenKind::Field, Place::Operator(field));
                return self.take(head.operator_start, head.operator_end, TokenKind::Operator, Place::Value(field));
            }
            self.nameless_before = self.parser.cursor.at;
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

    fn slice(&self, start: usize, end: usize) -> String {
        self.parser.cursor.slice(start, end)
    }

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

/// The characters a value begins with: quotes and escapes aside, up to a wildcard.
fn value_prefix(written: &str) -> String {
    let quoted = written.starts_with('"');
    let mut prefix = String::new();
    let mut characters = written.chars().skip(usize::from(quoted));
    while let Some(character) = characters.next() {
        match character {
            '\\' => prefix.extend(characters.next()),
            '"' if quoted => break,
            '*' | '?' if !quoted => break,
            other => prefix.push(other),
        }
    }
    prefix
}

/// Whether its values repeat, so that a list of them helps: not those that every event has for itself.
fn has_countable_values(field: &Field) -> bool {
    let one_each = matches!(field.info.id, FieldId::AuditId | FieldId::Id | FieldId::Seq | FieldId::ResourceVersion | FieldId::ObjectUid);
    !one_each && !matches!(field.kind(), FieldType::Time | FieldType::Duration)
}

/// Verbs of Kubernetes, for a field that takes any word.
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// Moments in words, as the language reads them.
const MOMENTS: [&str; 5] = ["today", "yesterday", "now-1h", "now-24h", "now-7d"];

fn known_values(field: &Field, prefix: &str) -> Vec<Item> {
    let item = |text: &str, detail: String| Item { text: value_text(text), label: text.to_owned(), kind: TokenKind::Value, detail };
    let of = |values: &[&str]| values.iter().filter(|value| begins(value, prefix)).map(|value| item(value, String::new())).collect();
    match field.kind() {
        FieldType::Verb => of(&VERBS),
        FieldType::Time => of(&MOMENTS),
        FieldType::Object => {
            let kinds = KINDS.iter().filter(|kind| begins(kind.plural, prefix) || kind.short.iter().any(|short| short.eq_ignore_ascii_case(prefix)));
            kinds.map(|kind| item(kind.plural, kind.short.join(", "))).collect()
        }
        kind => of(kind.values()),
    }
}

fn begins(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn keywords(words: &[Keyword], prefix: &str) -> Vec<Item> {
    let word = |keyword: &Keyword| match keyword {
        Keyword::And => ("and", "both must hold"),
        Keyword::Or => ("or", "one must hold"),
        Keyword::Not => ("not", "it must not hold"),
    };
    let fitting = words.iter().map(word).filter(|(word, _)| begins(word, prefix));
    fitting.map(|(word, detail)| Item { text: format!("{word} "), label: word.to_owned(), kind: TokenKind::Word, detail: detail.to_owned() }).collect()
}

fn operators(field: &Field) -> Vec<Item> {
    const ANY: [(&str, &str); 3] = [(":", "has the value, or one of (a or b)"), ("=", "is exactly, wildcards taken literally"), ("!=", "is not")];
    const ORDERED: [(&str, &str); 4] = [("<", "is below"), ("<=", "is at most"), (">", "is above"), (">=", "is at least")];
    let ordered = if field.kind().is_ordered() { &ORDERED[..] } else { &[] };
    let item =
        |(text, detail): &(&str, &str)| Item { text: (*text).to_owned(), label: (*text).to_owned(), kind: TokenKind::Operator, detail: (*detail).to_owned() };
    ANY.iter().chain(ordered).map(item).collect()
}

/// The fields a name that begins so may become; then those that have it inside, such as `username`.
fn field_items(prefix: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut inside = Vec::new();
    for info in FIELDS.iter().filter(|info| info.id != FieldId::LatencyPart) {
        let names = || info.aliases.iter().copied().chain([info.name]);
        if let Some(name) = names().find(|name| begins(name, prefix)) {
            items.push(field_item(name, ending(info), info.note));
        } else if prefix.len() > 1
            && let Some(name) = names().find(|name| name.to_ascii_lowercase().contains(&prefix.to_ascii_lowercase()))
        {
            inside.push(field_item(name, ending(info), info.note));
        }
    }
    items.extend(KEY_ALIASES.iter().filter(|alias| begins(alias.name, prefix)).map(|alias| field_item(alias.name, ":", alias.note)));
    if prefix.to_ascii_lowercase().starts_with("latency.") {
        let note = fields::info(FieldId::LatencyPart).note;
        items.extend(LATENCY_PARTS.iter().map(|part| format!("latency.{part}")).filter(|name| begins(name, prefix)).map(|name| field_item(&name, ":", note)));
    }
    items.extend(inside);
    items
}

/// What follows the name: a key or path, or the operator most people want.
fn ending(info: &FieldInfo) -> &'static str {
    match info.below {
        Below::Key | Below::Path | Below::PathOrNothing => ".",
        Below::Nothing | Below::LatencyPartOrNothing => ":",
    }
}

fn field_item(name: &str, ending: &str, detail: &str) -> Item {
    Item { text: format!("{name}{ending}"), label: name.to_owned(), kind: TokenKind::Field, detail: detail.to_owned() }
}

/// For a name that has its operator.
fn without_operator(item: Item) -> Item {
    Item { text: item.text.trim_end_matches(':').to_owned(), ..item }
}

#[cfg(test)]
mod tests;
