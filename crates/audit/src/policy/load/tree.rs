//! A policy text as a tree in which every key and value knows where it stands. The loader makes it; lints read it, and write
//! their edits in its places.

/// Where something stands in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Byte offsets, the end exclusive.
    pub start: usize,
    /// See `start`.
    pub end: usize,
    /// Of the start, from 1.
    pub line: usize,
    /// Of the start, in characters, from 1.
    pub column: usize,
}

/// What a value is, after the scalars of YAML 1.1.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// Also `yes`, `on`, `n` and the like where they are not quoted.
    Bool(bool),
    /// As written.
    Number(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values as written: in order, a key may be there twice.
    Map(Vec<(Key, Node)>),
}

/// A key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// From its first character to its last, quotes included.
    pub span: Span,
}

impl Node {
    /// The value of the last of the members named `key`, which is the one that counts.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(members) => members.iter().rev().find(|(member, _)| member.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The items of a list; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}
