//! YAML as a tree in which every value knows its line and column.
//!
//! Reading into a tree first, instead of into typed structs, is what lets all wrong settings be reported at
//! once: serde stops at the first one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::failure::{Failure, Place};

/// A larger configuration is not one.
const MAX_FILE_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, written plainly.
    Number(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in order.
    Map(Vec<(Key, Node)>),
}

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// In characters.
    pub(crate) length: usize,
}

/// A key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    /// Its text.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) spot: Spot,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub(crate) value: Value,
    /// Where it stands.
    pub(crate) spot: Spot,
}

impl Value {
    /// What it is, for errors.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// A YAML or JSON text as a tree; an empty one is [`Value::Null`].
///
/// # Errors
/// Where it stops being YAML.
pub(crate) fn parse(text: &str, file: &str) -> Result<Node, Failure> {
    if text.len() > MAX_FILE_BYTES {
        return Err(Failure::usage("config", format!("{file}: a configuration of {} bytes, the limit is {MAX_FILE_BYTES}", text.len())));
    }
    let budget = serde_saphyr::budget! { max_depth: MAX_DEPTH };
    let options = serde_saphyr::options! { budget: budget, with_snippet: false };
    match serde_saphyr::from_str_with_options::<Option<Tree>>(text, options) {
        Ok(Some(tree)) => Ok(tree.0),
        Ok(None) => Ok(Node { value: Value::Null, spot: Spot { line: 1, column: 1, length: 1 } }),
        Err(error) => Err(syntax_error(&error, text, file)),
    }
}

fn syntax_error(error: &serde_saphyr::Error, text: &str, file: &str) -> Failure {
    let whole = error.without_snippet().to_string();
    // The place is shown our way; the library puts its own behind the message.
    let message = whole.split(" at line ").next().unwrap_or(&whole).trim().trim_start_matches("error: ");
    let location = error.location().map(|location| spot(&location));
    let place = location.map_or(Place { file: Some(file.to_owned()), ..Place::default() }, |spot| place_in(file, text, spot));
    Failure::usage("config", format!("this is not YAML: {}", message.lines().next().unwrap_or_default())).at(place)
}

/// The place of `spot` in `text`, with its line.
pub(crate) fn place_in(file: &str, text: &str, spot: Spot) -> Place {
    Place {
        file: Some(file.to_owned()),
        line: spot.line,
        column: spot.column,
        length: spot.length,
        text: text.lines().nth(spot.line.saturating_sub(1)).map(str::to_owned),
    }
}

fn spot(location: &serde_saphyr::Location) -> Spot {
    let number = |value: u64| usize::try_from(value).unwrap_or(1);
    Spot { line: number(location.line()), column: number(location.column()), length: number(location.span().len()).max(1) }
}

/// [`Node`] for serde.
struct Tree(Node);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Raw>::deserialize(deserializer)?;
        let mut spot = spot(&spanned.referenced);
        if matches!(spanned.value.0, Value::List(_) | Value::Map(_)) {
            spot.length = 1;
        }
        Ok(Self(Node { value: spanned.value.0, spot }))
    }
}

struct Raw(Value);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor).map(Self)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Tree>()? {
            items.push(item.0);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let spot = spot(&key.referenced);
            members.push((Key { text: key.value, spot }, map.next_value::<Tree>()?.0));
        }
        Ok(Value::Map(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_place() {
        let tree = parse("a: 1\nb:\n  - x: \"y\"\n  - 64MiB\n", "f").unwrap();
        let Value::Map(members) = tree.value else { panic!("a map") };
        assert_eq!(members[0].0.text, "a");
        assert_eq!(members[0].1, Node { value: Value::Number("1".into()), spot: Spot { line: 1, column: 4, length: 1 } });
        assert_eq!(members[1].0.spot, Spot { line: 2, column: 1, length: 1 });
        let Value::List(items) = &members[1].1.value else { panic!("a list") };
        assert_eq!(items[1], Node { value: Value::Text("64MiB".into()), spot: Spot { line: 4, column: 5, length: 5 } });
    }

    #[test]
    fn nothing_is_null() {
        for text in ["", "# only a comment\n", "---\n", "null\n"] {
            assert_eq!(parse(text, "f").unwrap().value, Value::Null, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        let failure = parse("a: [1,\nb: }\n", "decklog.yaml").unwrap_err();
        assert_eq!(failure.place.unwrap().file.as_deref(), Some("decklog.yaml"));
        assert!(failure.message.starts_with("this is not YAML: "), "{}", failure.message);
        let twice = parse("a: 1\na: 2\n", "decklog.yaml").unwrap_err();
        assert_eq!(twice.place.unwrap().line, 2);
    }
}
