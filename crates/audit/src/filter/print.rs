//! From tree to text: full field names, lists as `f:(a or b)`, quotes only where needed. What this writes
//! reads back as the same tree.

use std::fmt::{self, Formatter, Write};

use super::ast::{Clause, Expression, IntRange, JsonTest, NumberRange, Test, Values};
use super::body::{BodyPath, Segment};
use super::fields::{Field, FieldId, FieldType, Tail};
use super::pattern::{Case, Piece};
use super::time::{DurationRange, DurationText, TimeRange, time_text};

pub(super) fn expression(expression: &Expression, f: &mut Formatter<'_>) -> fmt::Result {
    match expression {
        Expression::All => f.write_char('*'),
        Expression::And(all) => joined(all, " and ", f, |one, f| match one {
            Expression::Or(_) => bracketed(one, f),
            _ => self::expression(one, f),
        }),
        Expression::Or(any) => joined(any, " or ", f, self::expression),
        Expression::Not(inner) => {
            f.write_str("not ")?;
            match &**inner {
                Expression::And(_) | Expression::Or(_) => bracketed(inner, f),
                _ => self::expression(inner, f),
            }
        }
        Expression::Clause(clause) => self::clause(clause, f),
        Expression::Text(pattern) => text(pattern.pieces(), is_plain_in_text, f),
    }
}

/// A plain value, as it stands behind an operator.
pub(super) struct Value<'a>(pub(super) &'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        text(&characters(self.0), is_plain_in_value, f)
    }
}

fn bracketed(inner: &Expression, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('(')?;
    expression(inner, f)?;
    f.write_char(')')
}

fn joined<T>(items: &[T], separator: &str, f: &mut Formatter<'_>, mut one: impl FnMut(&T, &mut Formatter<'_>) -> fmt::Result) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        one(item, f)?;
    }
    Ok(())
}

fn clause(clause: &Clause, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{}", clause.field)?;
    match &clause.values {
        Values::One(test) => single(&clause.field, test, f),
        several => {
            f.write_str(":(")?;
            values(several, f)?;
            f.write_char(')')
        }
    }
}

fn values(values: &Values, f: &mut Formatter<'_>) -> fmt::Result {
    match values {
        Values::One(test) => value(test, f),
        Values::And(all) => joined(all, " and ", f, |one, f| match one {
            Values::Or(_) => bracketed_values(one, f),
            _ => self::values(one, f),
        }),
        Values::Or(any) => joined(any, " or ", f, self::values),
        Values::Not(inner) => {
            f.write_str("not ")?;
            match &**inner {
                Values::And(_) | Values::Or(_) => bracketed_values(inner, f),
                _ => self::values(inner, f),
            }
        }
    }
}

fn bracketed_values(inner: &Values, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('(')?;
    values(inner, f)?;
    f.write_char(')')
}

/// The operator and the value of a clause with one test.
fn single(field: &Field, test: &Test, f: &mut Formatter<'_>) -> fmt::Result {
    match test {
        Test::Text(pattern) if field.kind() == FieldType::Text && pattern.case() == Case::Exact => {
            f.write_str(" = ")?;
            text(pattern.pieces(), is_plain_in_value, f)
        }
        Test::Time(range) => time(*range, f),
        Test::Json(JsonTest::Number(range)) => number_range(range, f),
        _ => {
            f.write_char(':')?;
            value(test, f)
        }
    }
}

/// A value as it stands behind a colon.
fn value(test: &Test, f: &mut Formatter<'_>) -> fmt::Result {
    match test {
        Test::Present => f.write_char('*'),
        Test::Text(pattern) => text(pattern.pieces(), is_plain_in_value, f),
        Test::ResourcePair(pair) => {
            let (resource, subresource) = &**pair;
            let pieces: Vec<Piece> = resource.pieces().iter().copied().chain([Piece::Char('/')]).chain(subresource.pieces().iter().copied()).collect();
            text(&pieces, is_plain_in_value, f)
        }
        Test::Levels(min, max) => write!(f, "{}..{}", min.as_str(), max.as_str()),
        Test::Int(IntRange { min: Some(min), max: Some(max) }) if min == max => write!(f, "{min}"),
        Test::Int(IntRange { min, max }) => range(min.map(|bound| bound.to_string()), max.map(|bound| bound.to_string()), f),
        Test::Time(range) => time_value(*range, f),
        Test::Duration(DurationRange { min: Some(min), max: Some(max) }) if min == max => write!(f, "{}", DurationText(*min)),
        Test::Duration(DurationRange { min, max }) => {
            range(min.map(|bound| DurationText(bound).to_string()), max.map(|bound| DurationText(bound).to_string()), f)
        }
        Test::Ip(network) if network.prefix_len() == network.max_prefix_len() => write!(f, "{}", network.addr()),
        Test::Ip(network) => write!(f, "{network}"),
        Test::Bool(truth) => write!(f, "{truth}"),
        Test::Object(object) => {
            let mut pieces = object.resource.pieces().to_vec();
            if let Some(group) = &object.group {
                pieces.push(Piece::Char('.'));
                pieces.extend(group.chars().map(Piece::Char));
            }
            for part in [&object.name, &object.subresource].into_iter().flatten() {
                pieces.push(Piece::Char('/'));
                pieces.extend(part.pieces());
            }
            text(&pieces, is_plain_in_value, f)
        }
        Test::Json(JsonTest::Scalar { pattern, bare: true }) => bare(pattern.pieces(), is_plain_in_value, f),
        Test::Json(JsonTest::Scalar { pattern, bare: false }) => quoted(pattern.pieces(), f),
        Test::Json(JsonTest::Number(NumberRange { min, max })) => {
            range(min.as_ref().map(|bound| bound.text.clone()), max.as_ref().map(|bound| bound.text.clone()), f)
        }
    }
}

fn range(min: Option<String>, max: Option<String>, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{}..{}", min.unwrap_or_default(), max.unwrap_or_default())
}

/// A range of times with its operator: `:` for an interval, else by its bound.
fn time(range: TimeRange, f: &mut Formatter<'_>) -> fmt::Result {
    match range {
        TimeRange { start: Some(start), end: None } => match time_at(start) {
            Some(text) => write!(f, " >= {text}"),
            None => write!(f, " > {}", time_before(start)),
        },
        TimeRange { start: None, end: Some(end) } => match time_at(end) {
            Some(text) => write!(f, " < {text}"),
            None => write!(f, " <= {}", time_before(end)),
        },
        both => {
            f.write_char(':')?;
            time_value(both, f)
        }
    }
}

fn time_value(range: TimeRange, f: &mut Formatter<'_>) -> fmt::Result {
    if let TimeRange { start: Some(start), end: Some(end) } = range
        && let Some(text) = time_text(start, end)
    {
        return f.write_str(&text);
    }
    self::range(range.start.map(|start| time_at(start).unwrap_or_default()), range.end.map(time_before), f)
}

/// Units of times, longest first.
const UNITS: [i128; 7] = [86_400_000_000_000, 3_600_000_000_000, 60_000_000_000, 1_000_000_000, 1_000_000, 1_000, 1];

/// The shortest time that begins at `at`; `None` behind the last year.
fn time_at(at: i128) -> Option<String> {
    let unit = UNITS.into_iter().find(|unit| at % unit == 0)?;
    time_text(at, at + unit).filter(|_| at <= super::time::LAST)
}

/// The shortest time that ends before `end`.
fn time_before(end: i128) -> String {
    UNITS.into_iter().find(|unit| end % unit == 0).and_then(|unit| time_text(end - unit, end)).unwrap_or_default()
}

fn number_range(range: &NumberRange, f: &mut Formatter<'_>) -> fmt::Result {
    match range {
        NumberRange { min: Some(bound), max: None } => write!(f, " {} {}", if bound.inclusive { ">=" } else { ">" }, bound.text),
        NumberRange { min: None, max: Some(bound) } => write!(f, " {} {}", if bound.inclusive { "<=" } else { "<" }, bound.text),
        NumberRange { min, max } => {
            f.write_char(':')?;
            let text = |bound: &Option<super::ast::NumberBound>| bound.as_ref().map(|bound| bound.text.clone());
            self::range(text(min), text(max), f)
        }
    }
}

/// A value or word: bare where that reads back as the same, quoted where it holds no wildcard, else bare with
/// backslashes.
fn text(pieces: &[Piece], is_plain: fn(char) -> bool, f: &mut Formatter<'_>) -> fmt::Result {
    let literal: Option<String> = pieces.iter().map(|piece| if let Piece::Char(character) = piece { Some(*character) } else { None }).collect();
    match literal {
        Some(literal) if literal.is_empty() || is_keyword(&literal) || !literal.chars().all(is_plain) => quoted(pieces, f),
        _ => bare(pieces, is_plain, f),
    }
}

fn bare(pieces: &[Piece], is_plain: fn(char) -> bool, f: &mut Formatter<'_>) -> fmt::Result {
    let literal: Option<String> = pieces.iter().map(|piece| if let Piece::Char(character) = piece { Some(*character) } else { None }).collect();
    if literal.is_some_and(|literal| is_keyword(&literal)) {
        f.write_char('\\')?;
    }
    for piece in pieces {
        match piece {
            Piece::AnyRun => f.write_char('*')?,
            Piece::AnyOne => f.write_char('?')?,
            Piece::Char(character) => {
                if !is_plain(*character) {
                    f.write_char('\\')?;
                }
                f.write_char(*character)?;
            }
        }
    }
    Ok(())
}

fn quoted(pieces: &[Piece], f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for piece in pieces {
        match piece {
            Piece::Char('"') => f.write_str("\\\"")?,
            Piece::Char('\\') => f.write_str("\\\\")?,
            Piece::Char('\n') => f.write_str("\\n")?,
            Piece::Char('\t') => f.write_str("\\t")?,
            Piece::Char(character) if character.is_control() && (*character as u32) < 0x1_0000 => write!(f, "\\u{:04x}", *character as u32)?,
            Piece::Char(character) => f.write_char(*character)?,
            Piece::AnyRun => f.write_char('*')?,
            Piece::AnyOne => f.write_char('?')?,
        }
    }
    f.write_char('"')
}

fn is_keyword(text: &str) -> bool {
    ["and", "or", "not"].iter().any(|keyword| text.eq_ignore_ascii_case(keyword))
}

/// Characters that mean only themselves inside a bare value.
fn is_plain_in_value(character: char) -> bool {
    !(character.is_whitespace() || character.is_control() || matches!(character, '(' | ')' | '"' | ',' | '\\' | '*' | '?'))
}

/// Characters that cannot make a word look like a field and its operator.
fn is_plain_in_text(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '/' | '@' | '%' | '+')
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.tail {
            Tail::None => f.write_str(self.info.name),
            Tail::Key(key) if self.info.id == FieldId::LatencyPart => write!(f, "latency.{key}"),
            Tail::Key(key) => {
                write!(f, "{}.", self.info.name)?;
                if key.split('.').all(is_identifier) { f.write_str(key) } else { quoted(&characters(key), f) }
            }
            Tail::Path(path) => {
                f.write_str(self.info.name)?;
                self::path(path, f)
            }
        }
    }
}

fn path(path: &BodyPath, f: &mut Formatter<'_>) -> fmt::Result {
    for segment in path.segments() {
        f.write_char('.')?;
        match segment {
            Segment::AnyDepth => f.write_str("**")?,
            Segment::Key(key) if is_identifier(key) => f.write_str(key)?,
            Segment::Key(key) => quoted(&characters(key), f)?,
        }
    }
    Ok(())
}

fn characters(text: &str) -> Vec<Piece> {
    text.chars().map(Piece::Char).collect()
}

/// Whether the lexer takes `text` as one segment of a name.
fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && text.chars().all(|character| character.is_alphanumeric() || matches!(character, '_' | '-' | '/'))
}
