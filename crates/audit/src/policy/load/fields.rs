//! Values by name out of a tree, as Kubernetes' strict JSON reader takes them: names in their exact case, the last of repeated ones,
//! and a note of each that it does not know (`sigs.k8s.io/json`).

use super::{Node, Problem, Span, Value};
use crate::event::go_quoted;

/// Where the tree comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Names are in the order of the alphabet when Kubernetes reads them, as YAML is made into JSON first.
    Yaml,
    /// Names are in the order they stand in.
    Json,
}

/// Reads values, and keeps what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) syntax: Syntax,
    /// `unknown field "rules[0].foo"`, each once, in order.
    pub(super) strict: Vec<String>,
    /// Values of a wrong type.
    pub(super) problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(syntax: Syntax) -> Self {
        Self { syntax, strict: Vec::new(), problems: Vec::new() }
    }

    /// Hands out the members of a map by name; `take` says whether it knows one. Null is an empty map.
    pub(super) fn members(&mut self, node: &Node, path: &str, take: &mut dyn FnMut(&mut Self, &str, &Node) -> bool) {
        let members = match &node.value {
            Value::Map(members) => members,
            Value::Null => return,
            _ => return self.mistyped(node, path, "a map"),
        };
        let mut order: Vec<usize> = (0..members.len()).collect();
        if self.syntax == Syntax::Yaml {
            order.sort_by(|a, b| members[*a].0.text.cmp(&members[*b].0.text));
        }
        let mut seen = std::collections::HashSet::new();
        for (position, index) in order.iter().enumerate() {
            let (key, value) = &members[*index];
            let name = key.text.as_str();
            // Of those that stand twice in YAML only the last has become JSON.
            if self.syntax == Syntax::Yaml && order.get(position + 1).is_some_and(|next| members[*next].0.text == name) {
                continue;
            }
            let is_known = take(self, name, value);
            if !is_known {
                self.note("unknown field", path, name);
            } else if !seen.insert(name) {
                self.note("duplicate field", path, name);
            }
        }
    }

    fn note(&mut self, what: &str, path: &str, name: &str) {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let note = format!("{what} {}", go_quoted(&path));
        if !self.strict.contains(&note) {
            self.strict.push(note);
        }
    }

    pub(super) fn mistyped(&mut self, node: &Node, path: &str, wanted: &str) {
        let found = match &node.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false, as YAML 1.1 reads this word",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        let fix = match &node.value {
            Value::Bool(_) | Value::Number(_) if wanted == "a text" => "write it in quotes".to_owned(),
            Value::Text(text) if wanted == "a list" => format!("write `[{text:?}]`"),
            Value::Map(_) if wanted == "a list" => "begin each entry with `- `".to_owned(),
            Value::List(_) if wanted == "a map" => "leave out the `- `".to_owned(),
            _ => format!("write {wanted}"),
        };
        self.problems.push(Problem::new("type", one_line(node.span, node), format!("`{path}` is {found}, and {wanted} is wanted"), fix));
    }

    pub(super) fn text(&mut self, node: &Node, path: &str) -> String {
        match &node.value {
            Value::Text(text) => text.clone(),
            Value::Null => String::new(),
            _ => {
                self.mistyped(node, path, "a text");
                String::new()
            }
        }
    }

    pub(super) fn truth(&mut self, node: &Node, path: &str) -> Option<bool> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Null => None,
            _ => {
                self.mistyped(node, path, "true or false");
                None
            }
        }
    }

    /// Hands out the items of a list with their paths; null is an empty list.
    pub(super) fn items<T>(&mut self, node: &Node, path: &str, mut take: impl FnMut(&mut Self, &Node, &str) -> T) -> Vec<T> {
        match &node.value {
            Value::List(items) => items.iter().enumerate().map(|(index, item)| take(self, item, &format!("{path}[{index}]"))).collect(),
            Value::Null => Vec::new(),
            _ => {
                self.mistyped(node, path, "a list");
                Vec::new()
            }
        }
    }

    pub(super) fn texts(&mut self, node: &Node, path: &str) -> Vec<String> {
        self.items(node, path, Self::text)
    }
}

/// A list or a map is pointed at by its beginning.
fn one_line(span: Span, node: &Node) -> Span {
    match node.value {
        Value::List(_) | Value::Map(_) => Span { end: span.start + 1, ..span },
        _ => span,
    }
}
