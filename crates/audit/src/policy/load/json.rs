//! A JSON text as a tree, as `encoding/json` reads it: the order of keys stays, and what stands twice stands twice.

use super::yaml::MAX_DEPTH;
use super::{Key, Node, Places, Problem, Span, Value};
use crate::json::{JsonKind, RawJson};

/// Reads a text that is one JSON value.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let places = Places::of(text);
    let wrong = |at: usize, message: String| {
        let fix = "what begins with `{` is read as JSON: names in double quotes, no comma behind the last one, nothing behind the end";
        Problem::new("syntax", places.span(at, 0), message, fix)
    };
    let raw = RawJson::parse(text).map_err(|error| wrong(error.at, format!("this is not JSON: {}", error.kind)))?;
    node(raw, &places, 0).ok_or_else(|| wrong(0, format!("objects and arrays stand in each other more than {MAX_DEPTH} deep")))
}

/// Nothing where it is too deep.
fn node(raw: RawJson<'_>, places: &Places<'_>, depth: usize) -> Option<Node> {
    if depth > MAX_DEPTH {
        return None;
    }
    let span = places.of_part(raw.as_str());
    let value = match raw.kind() {
        JsonKind::Null => Value::Null,
        JsonKind::Bool => Value::Bool(raw.as_bool().unwrap_or_default()),
        JsonKind::Number => Value::Number(raw.as_str().to_owned()),
        JsonKind::String => Value::Text(raw.as_string().unwrap_or_default().into_owned()),
        JsonKind::Array => Value::List(raw.elements().map(|element| node(element, places, depth + 1)).collect::<Option<_>>()?),
        JsonKind::Object => {
            let members = raw.members().map(|(name, value)| {
                let value = node(value, places, depth + 1)?;
                Some((Key { span: places.of_key(&name, value.span), text: name.into_owned() }, value))
            });
            Value::Map(members.collect::<Option<_>>()?)
        }
    };
    Some(Node { value, span })
}

impl Places<'_> {
    /// Of a piece of the text.
    fn of_part(&self, part: &str) -> Span {
        self.span((part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize), part.len())
    }

    /// Of the key in front of a value; of the value itself where the key is spelled with escapes.
    fn of_key(&self, name: &str, value: Span) -> Span {
        let before = self.text[..value.start].trim_end().strip_suffix(':').map(str::trim_end);
        let start = before.and_then(|before| before.strip_suffix('"')?.strip_suffix(name)?.strip_suffix('"')).map(str::len);
        start.map_or(value, |start| self.span(start, name.len() + 2))
    }
}
