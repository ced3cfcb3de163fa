//! What must stand in the bytes of a line for a filter to match it: a cheap look before decoding.
//!
//! From the tree follow *demands*, each a set of literals one of which must occur. A literal is a stretch of
//! a value as JSON writes it; quotes are added where the value begins or ends with it. Literals hold no
//! character that JSON must escape, nor those that Go's encoder escapes for HTML. JSON may also write any
//! other character as `\uXXXX`, and `/` as `\/`: lines with such an escape are never turned away.

use std::borrow::Cow;

use aho_corasick::AhoCorasick;
use memchr::memmem;

use super::ast::{Clause, Expression, JsonTest, Test, Values};
use super::body::Segment;
use super::fields::{Field, FieldId, Tail};
use super::pattern::{Case, Pattern};

/// Literals of which at least one must occur in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The literals; never empty, none of them empty.
    pub literals: Vec<Literal>,
}

/// Bytes that occur in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The bytes.
    pub text: String,
    /// Whether ASCII capitals and small letters are told apart.
    pub case: Case,
}

impl Demand {
    /// The fewest bytes that would satisfy it: the more, the rarer.
    fn weight(&self) -> usize {
        self.literals.iter().map(|literal| literal.text.len()).min().unwrap_or(0)
    }
}

/// The most literals in one demand; beyond that looking is no cheaper than decoding.
const MAX_LITERALS: usize = 64;
/// The most demands that are looked at.
const MAX_DEMANDS: usize = 4;

/// The demands of a filter, ready to search with. It never turns away a line the filter matches.
#[derive(Debug)]
pub struct Prefilter {
    demands: Vec<Finder>,
    unicode_escape: memmem::Finder<'static>,
    slash_escape: memmem::Finder<'static>,
}

#[derive(Debug)]
enum Finder {
    One(Box<memmem::Finder<'static>>),
    Any(AhoCorasick),
}

impl Prefilter {
    pub(super) fn new(expression: &Expression) -> Self {
        let mut demands = demands(expression);
        demands.sort_by_key(|demand| std::cmp::Reverse(demand.weight()));
        demands.dedup();
        demands.truncate(MAX_DEMANDS);
        Self {
            demands: demands.iter().filter_map(Finder::new).collect(),
            unicode_escape: memmem::Finder::new(b"\\u"),
            slash_escape: memmem::Finder::new(b"\\/"),
        }
    }

    /// Whether it can turn away anything at all.
    pub fn is_useful(&self) -> bool {
        !self.demands.is_empty()
    }

    /// Whether the filter may match the line; if not, it surely does not.
    pub fn may_match(&self, line: &[u8]) -> bool {
        self.demands.iter().all(|demand| demand.occurs(line)) || self.hides(line)
    }

    /// Whether some character of the line may be written as an escape that no literal foresees.
    fn hides(&self, line: &[u8]) -> bool {
        let hiding = |at: usize| line.get(at + 2..at + 6).is_none_or(|digits| !is_never_in_literals(digits));
        self.unicode_escape.find_iter(line).any(hiding) || self.slash_escape.find(line).is_some() || std::str::from_utf8(line).is_err()
    }
}

/// Whether these four digits are those of a character no literal holds: see [`is_plain`].
fn is_never_in_literals(digits: &[u8]) -> bool {
    let digits: [u8; 4] = std::array::from_fn(|index| digits[index].to_ascii_lowercase());
    matches!(&digits, b"003c" | b"003e" | b"0026" | b"2028" | b"2029" | [b'0', b'0', b'0' | b'1', _])
}

/// Whether JSON, as Go writes it, writes the character as it is.
fn is_plain(character: char) -> bool {
    !character.is_control() && !matches!(character, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | char::REPLACEMENT_CHARACTER)
}

impl Finder {
    fn new(demand: &Demand) -> Option<Self> {
        if let [Literal { text, case: Case::Exact }] = demand.literals.as_slice() {
            return Some(Self::One(Box::new(memmem::Finder::new(text.as_bytes()).into_owned())));
        }
        let any_case = demand.literals.iter().any(|literal| literal.case == Case::Any);
        let texts = demand.literals.iter().map(|literal| literal.text.as_bytes());
        AhoCorasick::builder().ascii_case_insensitive(any_case).build(texts).ok().map(Self::Any)
    }

    fn occurs(&self, line: &[u8]) -> bool {
        match self {
            Self::One(finder) => finder.find(line).is_some(),
            Self::Any(automaton) => automaton.is_match(line),
        }
    }
}

/// The demands of an expression, all of which must be met.
pub(super) fn demands(expression: &Expression) -> Vec<Demand> {
    match expression {
        Expression::All | Expression::Not(_) => Vec::new(),
        Expression::And(all) => all.iter().flat_map(demands).collect(),
        Expression::Or(any) => one_of(any.iter().map(demands)),
        Expression::Clause(Clause { field, values }) => {
            let mut found = key_demands(field);
            found.extend(value_demands(field, values));
            found
        }
        Expression::Text(pattern) => pattern_demands(pattern, Bounds::Inside),
    }
}

/// The rarest demand of each branch, joined; none if a branch has none.
fn one_of(branches: impl Iterator<Item = Vec<Demand>>) -> Vec<Demand> {
    let mut literals = Vec::new();
    for branch in branches {
        let Some(rarest) = branch.into_iter().max_by_key(Demand::weight) else { return Vec::new() };
        literals.extend(rarest.literals);
        if literals.len() > MAX_LITERALS {
            return Vec::new();
        }
    }
    if literals.is_empty() { Vec::new() } else { vec![Demand { literals }] }
}

fn value_demands(field: &Field, values: &Values) -> Vec<Demand> {
    match values {
        Values::One(test) => test_demands(field, test),
        Values::And(all) => all.iter().flat_map(|one| value_demands(field, one)).collect(),
        Values::Or(any) => one_of(any.iter().map(|one| value_demands(field, one))),
        Values::Not(_) => Vec::new(),
    }
}

/// How a field's value stands in the line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bounds {
    /// It is a whole JSON string.
    String,
    /// It begins a JSON string.
    Start,
    /// It ends one.
    End,
    /// It is somewhere in a JSON scalar.
    Inside,
    /// It does not stand in the line.
    Absent,
}

fn bounds(id: FieldId) -> Bounds {
    match id {
        FieldId::Path | FieldId::Tool => Bounds::Start,
        // v1alpha1 writes group and version as one string.
        FieldId::ApiGroup => Bounds::Start,
        FieldId::ApiVersion => Bounds::End,
        FieldId::Outcome
        | FieldId::VerbClass
        | FieldId::UserType
        | FieldId::ServiceAccount
        | FieldId::Cluster
        | FieldId::Source
        | FieldId::Sender
        | FieldId::Id
        | FieldId::Seq
        | FieldId::Ingested
        | FieldId::SourceIps
        | FieldId::Peer => Bounds::Absent,
        _ => Bounds::String,
    }
}

fn test_demands(field: &Field, test: &Test) -> Vec<Demand> {
    match test {
        Test::Text(pattern) if field.info.id == FieldId::Outcome && pattern.matches("denied") && !pattern.matches("allowed") && !pattern.matches("error") => {
            let literals = ["401", "403"].map(|code| Literal { text: code.to_owned(), case: Case::Exact });
            vec![Demand { literals: literals.into() }]
        }
        Test::Text(pattern) => pattern_demands(pattern, bounds(field.info.id)),
        Test::ResourcePair(pair) => {
            let (resource, subresource) = &**pair;
            let mut found = pattern_demands(resource, Bounds::String);
            found.extend(pattern_demands(subresource, Bounds::String));
            found
        }
        Test::Int(range) if field.info.id == FieldId::Code && range.min.is_some() && range.min == range.max => {
            let code = range.min.unwrap_or_default();
            vec![Demand { literals: vec![Literal { text: code.to_string(), case: Case::Exact }] }].into_iter().filter(|_| code != 0).collect()
        }
        Test::Object(object) => {
            let mut found = match &object.plural {
                Some(plural) => one_of(
                    [
                        pattern_demands(&object.resource, Bounds::String),
                        pattern_demands(&Pattern::literal(plural, Case::Any, super::pattern::Extent::Whole), Bounds::String),
                    ]
                    .into_iter(),
                ),
                None => pattern_demands(&object.resource, Bounds::String),
            };
            for part in [&object.name, &object.subresource].into_iter().flatten() {
                found.extend(pattern_demands(part, Bounds::String));
            }
            found
        }
        Test::Json(JsonTest::Scalar { pattern, bare }) => {
            let may_be_number = *bare && pattern.as_literal().is_some_and(|text| super::values::is_json_number(&text));
            if may_be_number { Vec::new() } else { pattern_demands(pattern, if *bare { Bounds::Inside } else { Bounds::String }) }
        }
        _ => Vec::new(),
    }
}

/// The rarest literal of a pattern.
fn pattern_demands(pattern: &Pattern, bounds: Bounds) -> Vec<Demand> {
    if bounds == Bounds::Absent {
        return Vec::new();
    }
    let stretches = pattern.literals().flat_map(|stretch| {
        let starts = stretch.at_start && matches!(bounds, Bounds::String | Bounds::Start);
        let ends = stretch.at_end && matches!(bounds, Bounds::String | Bounds::End);
        plain_runs(stretch.text, starts, ends, pattern.case())
    });
    let longest = stretches.filter(|text| text.len() > 1).max_by_key(|text| text.len());
    longest.map(|text| Demand { literals: vec![Literal { text: text.into_owned(), case: pattern.case() }] }).into_iter().collect()
}

/// The stretches of `text` that JSON writes as they are, with the quotes around the whole value where it
/// begins or ends there.
fn plain_runs(text: &str, starts: bool, ends: bool, case: Case) -> impl Iterator<Item = Cow<'_, str>> {
    let is_plain = move |character: char| is_plain(character) && (case == Case::Exact || character.is_ascii());
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        match runs.last_mut() {
            _ if !is_plain(character) => {}
            Some(run) if run.1 == at => run.1 = end,
            _ => runs.push((at, end)),
        }
    }
    runs.into_iter().map(move |(from, to)| {
        let before = if starts && from == 0 { "\"" } else { "" };
        let after = if ends && to == text.len() { "\"" } else { "" };
        if before.is_empty() && after.is_empty() { Cow::Borrowed(&text[from..to]) } else { Cow::Owned(format!("{before}{}{after}", &text[from..to])) }
    })
}

/// What must be in the line for the field to be there at all: the name of its member, its key, its path.
fn key_demands(field: &Field) -> Vec<Demand> {
    let key = |text: &str| pattern_demands(&Pattern::literal(text, Case::Exact, super::pattern::Extent::Whole), Bounds::String);
    match (&field.tail, field.info.id) {
        (Tail::Key(part), FieldId::LatencyPart) => key(&format!("{}{part}", crate::event::LATENCY_ANNOTATION)),
        (Tail::Key(name), _) => key(name),
        (Tail::Path(path), id) => {
            let root = match id {
                FieldId::Request => key("requestObject"),
                FieldId::Response => key("responseObject"),
                FieldId::Details => key("details"),
                _ => Vec::new(),
            };
            let steps = path.segments().iter().filter_map(|segment| if let Segment::Key(name) = segment { Some(name.as_str()) } else { None });
            root.into_iter().chain(steps.flat_map(key)).collect()
        }
        (Tail::None, FieldId::AsName | FieldId::AsUid | FieldId::AsGroups) => key("impersonatedUser"),
        (Tail::None, FieldId::Constraint) => key("impersonationConstraint"),
        (Tail::None, FieldId::Subresource) => key("subresource"),
        (Tail::None, _) => Vec::new(),
    }
}
