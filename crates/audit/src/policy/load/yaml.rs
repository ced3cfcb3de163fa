//! The first document of a YAML text as a tree, as go-yaml v2 takes it apart: YAML 1.1 scalars, aliases with its bound, merge keys, and
//! its list of keys that stand twice (`go.yaml.in/yaml/v2/decode.go`).

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::scalars::{Style, resolve};
use super::text::{check_characters, place};
use super::{Key, Node, Problem, Span, Value};
use crate::event::go_quoted;

/// Lists and maps inside each other; go-yaml has 10,000, which no policy needs and no stack should.
pub(super) const MAX_DEPTH: usize = 200;
/// More values than this are more than go-yaml would build of aliases.
const MAX_VALUES: usize = 4_000_000;

/// A document, and what go-yaml's strict reader says of keys that stand twice, a line each.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) tree: Option<Node>,
    pub(super) twice: Vec<String>,
}

/// Reads the first document; there is none in an empty text.
pub(super) fn parse(text: &str) -> Result<Document, Problem> {
    check_characters(text)?;
    let mut options = Options::default();
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { text, ..Builder::default() };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let start = marker.byte_offset().unwrap_or(text.len());
            let span = Span { start, end: start, line: marker.line(), column: marker.col() + 1 };
            Problem::new("syntax", span, format!("this is not YAML: {}", error.info()), syntax_fix(text, span.line))
        })?;
        let span = builder.span(span);
        if builder.take(event, span)? == Progress::Done {
            break;
        }
    }
    let twice = builder.root.iter().flat_map(|root| root.twice.iter().cloned()).collect();
    Ok(Document { tree: builder.root.map(|root| Rc::unwrap_or_clone(root.node)), twice })
}

fn syntax_fix(text: &str, line: usize) -> &'static str {
    let around = text.lines().skip(line.saturating_sub(2)).take(2);
    if around.into_iter().any(|line| line.trim_start_matches(' ').starts_with('\t')) {
        "indent with spaces: YAML has no tabs there"
    } else {
        "make the indentation the same for all keys of a rule, and close every quote and bracket"
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    More,
    Done,
}

/// A finished value: shared, as aliases may repeat it.
#[derive(Clone, Debug)]
struct Built {
    node: Rc<Node>,
    /// Of the maps in it.
    twice: Vec<String>,
    /// Values that go-yaml decodes for it.
    n_values: usize,
}

struct OpenList {
    items: Vec<Node>,
    start: Span,
    anchor: usize,
    twice: Vec<String>,
    n_values: usize,
}

struct OpenMap {
    members: Vec<(Key, Node)>,
    key: Option<PendingKey>,
    start: Span,
    anchor: usize,
    twice: Vec<String>,
    n_values: usize,
    seen: HashSet<String>,
}

enum PendingKey {
    Named(Key, String),
    Merge,
}

enum Open {
    List(OpenList),
    Map(OpenMap),
}

#[derive(Default)]
struct Builder<'t> {
    text: &'t str,
    open: Vec<Open>,
    anchors: HashMap<usize, Built>,
    root: Option<Built>,
    n_values: usize,
    n_alias_values: usize,
}

impl Builder<'_> {
    fn span(&self, span: granit_parser::Span) -> Span {
        let start = span.start.byte_offset().unwrap_or_default().min(self.text.len());
        let end = span.end.byte_offset().unwrap_or(start).clamp(start, self.text.len());
        Span { start, end, line: span.start.line(), column: span.start.col() + 1 }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<Progress, Problem> {
        match event {
            Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                return Err(Problem::new(
                    "syntax",
                    span,
                    format!("the document says that it is YAML {}.{}, and kube-apiserver reads 1.1", version.major, version.minor),
                    "leave `%YAML` out",
                ));
            }
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), span)?,
            Event::SequenceStart(_, anchor, _) => {
                self.count(1, span)?;
                self.open.push(Open::List(OpenList { items: Vec::new(), start: span, anchor, twice: Vec::new(), n_values: 1 }));
            }
            Event::MappingStart(_, anchor, _) => {
                self.count(1, span)?;
                let (members, seen, twice) = (Vec::new(), HashSet::new(), Vec::new());
                self.open.push(Open::Map(OpenMap { members, key: None, start: span, anchor, twice, n_values: 1, seen }));
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
            Event::Alias(id) => self.alias(id, span)?,
            Event::DocumentEnd | Event::StreamEnd => return Ok(Progress::Done),
            _ => {}
        }
        if self.open.len() > MAX_DEPTH {
            let message = format!("lists and maps stand in each other more than {MAX_DEPTH} deep");
            return Err(Problem::new("syntax", span, message, "a policy is five deep"));
        }
        Ok(Progress::More)
    }

    fn count(&mut self, n_values: usize, span: Span) -> Result<(), Problem> {
        self.n_values += n_values;
        let share = self.n_alias_values as f64 / self.n_values as f64;
        let is_excessive = self.n_alias_values > 100 && self.n_values > 1_000 && share > allowed_alias_share(self.n_values);
        if is_excessive || self.n_values > MAX_VALUES {
            let message = "aliases repeat so much that kube-apiserver gives up (excessive aliasing)";
            return Err(Problem::new("syntax", span, message, "write out what the aliases stand for, or fewer of them"));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, span: Span) -> Result<(), Problem> {
        self.count(1, span)?;
        let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
        let tag = tag.map(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:").map_or_else(|| tag.original(), Into::into));
        // A lone `!` says that a text is to be read as if it stood there plainly.
        let (style, tag) = if tag.as_deref() == Some("!") { (Style::Plain, None) } else { (style, tag) };
        let is_merge = text == "<<" && (tag.as_deref() == Some("merge") || (tag.is_none() && style == Style::Plain));
        if let Some(Open::Map(map)) = self.open.last_mut()
            && map.key.is_none()
            && is_merge
        {
            map.key = Some(PendingKey::Merge);
            return Ok(());
        }
        let value = resolve(text, style, tag.as_deref())
            .map_err(|message| Problem::new("type", span, message, format!("for the text write it in quotes: `{text:?}`")))?;
        self.finish(Built { node: Rc::new(Node { value, span }), twice: Vec::new(), n_values: 1 }, anchor)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Problem> {
        let Some(target) = self.anchors.get(&id).cloned() else {
            return Err(Problem::new("syntax", span, "the alias is inside the value that it stands for", "write out what it stands for"));
        };
        self.n_alias_values += target.n_values;
        self.count(1 + target.n_values, span)?;
        self.finish(Built { n_values: 1 + target.n_values, ..target }, 0)
    }

    fn close(&mut self, span: Span) -> Result<(), Problem> {
        let (value, start, anchor, twice, n_values) = match self.open.pop() {
            Some(Open::List(list)) => (Value::List(list.items), list.start, list.anchor, list.twice, list.n_values),
            Some(Open::Map(map)) => (Value::Map(map.members), map.start, map.anchor, map.twice, map.n_values),
            None => return Ok(()),
        };
        // A block ends where what follows it begins: at its last word that is not white space.
        let whole = &self.text[start.start..span.end.max(start.start)];
        let end = start.start + whole.trim_end().len();
        self.finish(Built { node: Rc::new(Node { value, span: Span { end, ..start } }), twice, n_values }, anchor)
    }

    /// Puts a value where it belongs.
    fn finish(&mut self, built: Built, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(built),
            Some(Open::List(list)) => {
                list.n_values += built.n_values;
                list.twice.extend(built.twice);
                list.items.push(Rc::unwrap_or_clone(built.node));
            }
            Some(Open::Map(map)) => {
                map.n_values += built.n_values;
                match map.key.take() {
                    None => map.key = Some(key_of(&built.node)?),
                    Some(PendingKey::Merge) => merge(map, &built.node)?,
                    Some(PendingKey::Named(key, printed)) => {
                        map.twice.extend(built.twice);
                        map.add(key, &printed, Rc::unwrap_or_clone(built.node));
                    }
                }
            }
        }
        Ok(())
    }
}

impl OpenMap {
    fn add(&mut self, key: Key, printed: &str, node: Node) {
        if !self.seen.insert(key.text.clone()) {
            self.twice.push(format!("line {}: key {printed} already set in map", node.span.line));
        }
        self.members.push((key, node));
    }
}

/// How much of a document may come from aliases (`decode.go`).
fn allowed_alias_share(n_values: usize) -> f64 {
    match n_values {
        ..=400_000 => 0.99,
        4_000_000.. => 0.10,
        _ => 0.99 - 0.89 * ((n_values - 400_000) as f64 / 3_600_000.0),
    }
}

/// A key as JSON has it, and as Go prints it in its warning.
fn key_of(node: &Node) -> Result<PendingKey, Problem> {
    let wrong = |what: &str| Problem::new("type", node.span, format!("a key is {what}"), "a key is a word, such as `level`");
    let (text, printed) = match &node.value {
        Value::Text(text) => (text.clone(), go_quoted(text)),
        Value::Bool(value) => (value.to_string(), value.to_string()),
        Value::Number(number) => (number.clone(), number.clone()),
        Value::Null => return Err(wrong("empty")),
        Value::List(_) => return Err(wrong("a list")),
        Value::Map(_) => return Err(wrong("a map")),
    };
    Ok(PendingKey::Named(Key { text, span: node.span }, printed))
}

/// `<<`: the members of a map, or of several, of which earlier ones count more.
fn merge(map: &mut OpenMap, value: &Node) -> Result<(), Problem> {
    let wrong = |node: &Node| Problem::new("type", node.span, "`<<` takes a map, or a list of maps", "write `<<: *name` where `name` is the anchor of a map");
    match &value.value {
        Value::Map(members) => {
            for (key, node) in members {
                map.add(key.clone(), &go_quoted(&key.text), node.clone());
            }
            Ok(())
        }
        Value::List(items) => items.iter().rev().try_for_each(|item| match &item.value {
            Value::Map(_) => merge(map, item),
            _ => Err(wrong(item)),
        }),
        _ => Err(wrong(value)),
    }
}

/// The place of a text's end, for what is missing there.
pub(super) fn end_of(text: &str) -> Span {
    place(text, text.trim_end().len(), 0)
}
