//! From a written value to a test, by the type of the field: what `:`, `=` and `<` mean for each.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::FilterError;
use super::ast::{IntRange, JsonTest, NumberBound, NumberRange, Test};
use super::fields::{Field, FieldId, FieldType};
use super::kinds::ObjectTest;
use super::lex::Lexeme;
use super::names::closest;
use super::pattern::{Case, Extent, Pattern, Piece, has_wildcard};
use super::time::{DurationRange, TimeMistake, TimeRange, parse_duration, parse_time};
use crate::event::Level;
use crate::time::Timestamp;

/// The most wildcards in one value; it bounds the time of a match.
const MAX_WILDCARDS: usize = 64;

/// An order between a field and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Comparison {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// The field a value is for, and how its name was written.
#[derive(Clone, Copy)]
pub(super) struct FieldAsked<'a> {
    pub(super) field: &'a Field,
    pub(super) written: &'a str,
}

/// Reads the values of one clause.
pub(super) struct Reader<'a> {
    pub(super) asked: FieldAsked<'a>,
    pub(super) now: Timestamp,
}

type Result<T> = std::result::Result<T, FilterError>;

pub(super) fn limit_wildcards(lexeme: &Lexeme) -> Result<()> {
    let n_wildcards = lexeme.pieces.iter().filter(|piece| !matches!(piece, Piece::Char(_))).count();
    if n_wildcards <= MAX_WILDCARDS {
        return Ok(());
    }
    let message = format!("more than {MAX_WILDCARDS} wildcards in one value");
    Err(FilterError::new(lexeme.start, lexeme.end, "too-many", message, "write `\\*` and `\\?` for the characters themselves, or quote the value"))
}

impl Reader<'_> {
    /// The test of `field:value`.
    pub(super) fn has(&self, value: &Lexeme) -> Result<Test> {
        if !value.quoted && !value.pieces.is_empty() && value.pieces.iter().all(|piece| *piece == Piece::AnyRun) {
            return Ok(Test::Present);
        }
        let kind = self.asked.field.kind();
        match kind {
            FieldType::Keyword if self.asked.field.info.id == FieldId::Resource => Ok(resource_test(&value.pieces)),
            FieldType::Keyword => Ok(whole(&value.pieces, Case::Exact)),
            FieldType::Verb => Ok(whole(&value.pieces, Case::Any)),
            FieldType::Text => {
                let extent = if has_wildcard(&value.pieces) { Extent::Whole } else { Extent::Within };
                Ok(Test::Text(Pattern::new(value.pieces.iter().copied(), Case::Any, extent)))
            }
            FieldType::Object => self.object(value, &value.pieces),
            FieldType::Json => Ok(Test::Json(json_test(value))),
            FieldType::Level if !value.quoted && value.text().contains("..") => self.levels(value),
            _ => self.typed(value, kind),
        }
    }

    /// The test of `field = value`, in which `*` and `?` are characters.
    pub(super) fn equal(&self, value: &Lexeme) -> Result<Test> {
        let literal: Vec<Piece> = value.text().chars().map(Piece::Char).collect();
        let kind = self.asked.field.kind();
        match kind {
            FieldType::Keyword if self.asked.field.info.id == FieldId::Resource => Ok(resource_test(&literal)),
            FieldType::Keyword | FieldType::Text => Ok(whole(&literal, Case::Exact)),
            FieldType::Verb => Ok(whole(&literal, Case::Any)),
            FieldType::Object => self.object(value, &literal),
            FieldType::Json => {
                // What looks like a range is text here, and is printed in quotes.
                let bare = !value.quoted && !value.text().contains("..");
                Ok(Test::Json(JsonTest::Scalar { pattern: Pattern::new(literal, Case::Exact, Extent::Whole), bare }))
            }
            _ => self.typed(&Lexeme { pieces: literal, ..value.clone() }, kind),
        }
    }

    /// The test of `field < value` and its sisters; the field's type has an order.
    pub(super) fn compare(&self, value: &Lexeme, comparison: Comparison) -> Result<Test> {
        use Comparison::{Above, AtLeast, AtMost, Below};
        let text = value.text();
        match self.asked.field.kind() {
            FieldType::Level => {
                let level = self.level(value, &text)?;
                let next = |step: isize| {
                    Level::ALL.iter().position(|other| *other == level).and_then(|at| at.checked_add_signed(step)).and_then(|at| Level::ALL.get(at)).copied()
                };
                let (lowest, highest) = (Level::None, Level::RequestResponse);
                let bounds = match comparison {
                    AtLeast => Some((level, highest)),
                    AtMost => Some((lowest, level)),
                    Above => next(1).map(|above| (above, highest)),
                    Below => next(-1).map(|below| (lowest, below)),
                };
                let side = if comparison == Above { "above" } else { "below" };
                let (min, max) = bounds.ok_or_else(|| {
                    self.error(value, "empty-range", format!("no level is {side} `{text}`"), "levels: None, Metadata, Request, RequestResponse")
                })?;
                Ok(level_test(min, max))
            }
            FieldType::Time => {
                let (start, end) = self.time(value, &text)?;
                Ok(Test::Time(match comparison {
                    Above => TimeRange { start: Some(end), end: None },
                    AtLeast => TimeRange { start: Some(start), end: None },
                    Below => TimeRange { start: None, end: Some(start) },
                    AtMost => TimeRange { start: None, end: Some(end) },
                }))
            }
            FieldType::Duration => {
                let duration = self.duration(value, &text)?;
                Ok(Test::Duration(match comparison {
                    Above => DurationRange { min: Some(duration + 1), max: None },
                    AtLeast => DurationRange { min: Some(duration), max: None },
                    Below => DurationRange { min: None, max: Some(duration - 1) },
                    AtMost => DurationRange { min: None, max: Some(duration) },
                }))
            }
            FieldType::Json => {
                if !is_json_number(&text) {
                    return Err(self.error(value, "bad-number", format!("`{text}` is not a number"), "inside bodies only numbers can be compared"));
                }
                let bound = Some(NumberBound { text, inclusive: matches!(comparison, AtLeast | AtMost) });
                Ok(Test::Json(JsonTest::Number(match comparison {
                    Above | AtLeast => NumberRange { min: bound, max: None },
                    Below | AtMost => NumberRange { min: None, max: bound },
                })))
            }
            _ => {
                let number = self.int(value, &text)?;
                let beyond = || self.error(value, "empty-range", format!("no number is beyond `{text}`"), "write a smaller number");
                Ok(Test::Int(match comparison {
                    Above => IntRange { min: Some(number.checked_add(1).ok_or_else(beyond)?), max: None },
                    AtLeast => IntRange { min: Some(number), max: None },
                    Below => IntRange { min: None, max: Some(number.checked_sub(1).ok_or_else(beyond)?) },
                    AtMost => IntRange { min: None, max: Some(number) },
                }))
            }
        }
    }

    /// A value of a type for which `:` and `=` are the same.
    fn typed(&self, value: &Lexeme, kind: FieldType) -> Result<Test> {
        let text = value.text();
        match kind {
            FieldType::Enum(words) => self.word(value, words),
            FieldType::Level => self.word(value, kind.values()),
            FieldType::Int => self.ints(value, &text),
            FieldType::Time => self.times(value, &text),
            FieldType::Duration => self.durations(value, &text),
            FieldType::Ip => self.network(value, &text),
            _ => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(Test::Bool(true)),
                "false" => Ok(Test::Bool(false)),
                _ => {
                    let written = self.asked.written;
                    Err(self.error(value, "bad-value", format!("`{written}` is true or false, not `{text}`"), format!("write `{written}:true`")))
                }
            },
        }
    }

    /// One of `words` in any case, or a pattern that some of them have.
    fn word(&self, value: &Lexeme, words: &'static [&'static str]) -> Result<Test> {
        let pattern = Pattern::new(value.pieces.iter().copied(), Case::Any, Extent::Whole);
        let Some(word) = words.iter().find(|word| pattern.matches(word)) else {
            return Err(self.no_such_word(value, words));
        };
        Ok(Test::Text(if pattern.has_wildcard() { pattern } else { Pattern::literal(word, Case::Any, Extent::Whole) }))
    }

    fn no_such_word(&self, value: &Lexeme, words: &[&str]) -> FilterError {
        let text = value.text();
        let lower = text.to_ascii_lowercase();
        let meant = MEANT.iter().find(|(other, word)| *other == lower && words.contains(word)).map(|(_, word)| (*word).to_owned());
        let part = || words.iter().find(|word| !lower.is_empty() && word.to_ascii_lowercase().contains(&lower)).map(|word| (*word).to_owned());
        let near = meant.or_else(part).or_else(|| closest(&lower, words.iter().map(|word| (*word).to_owned())));
        let values = format!("values: {}", words.join(", "));
        let help = near.map_or_else(|| values.clone(), |near| format!("did you mean `{near}`? {values}"));
        self.error(value, "bad-value", format!("`{text}` is not a value of `{}`", self.asked.written), help)
    }

    fn level(&self, value: &Lexeme, text: &str) -> Result<Level> {
        let level = Level::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text));
        level.ok_or_else(|| self.no_such_word(&lexeme_of(value, text), FieldType::Level.values()))
    }

    fn levels(&self, value: &Lexeme) -> Result<Test> {
        let text = value.text();
        let (from, to) = text.split_once("..").unwrap_or((&text, &text));
        let min = if from.is_empty() { Level::None } else { self.level(value, from)? };
        let max = if to.is_empty() { Level::RequestResponse } else { self.level(value, to)? };
        if min > max {
            return Err(self.empty_range(value, &text, from, to));
        }
        Ok(level_test(min, max))
    }

    fn ints(&self, value: &Lexeme, text: &str) -> Result<Test> {
        if let Some(digit) = text.strip_suffix("xx").filter(|digit| digit.len() == 1 && self.asked.field.info.id == FieldId::Code)
            && let Some(digit) = digit.chars().next().and_then(|digit| digit.to_digit(10))
        {
            let hundred = i64::from(digit) * 100;
            return Ok(Test::Int(IntRange { min: Some(hundred), max: Some(hundred + 99) }));
        }
        let Some((from, to)) = split_range(value, text) else {
            let number = self.int(value, text)?;
            return Ok(Test::Int(IntRange { min: Some(number), max: Some(number) }));
        };
        let bound = |text: &str| if text.is_empty() { Ok(None) } else { self.int(value, text).map(Some) };
        let range = IntRange { min: bound(from)?, max: bound(to)? };
        if let (Some(min), Some(max)) = (range.min, range.max)
            && min > max
        {
            return Err(self.empty_range(value, text, from, to));
        }
        Ok(Test::Int(range))
    }

    fn int(&self, value: &Lexeme, text: &str) -> Result<i64> {
        text.parse().map_err(|_| {
            let written = self.asked.written;
            let help = if self.asked.field.info.id == FieldId::Code {
                "write 403, 4xx, 400..499 or `code >= 400`".to_owned()
            } else {
                format!("write 1042, 1000..2000 or `{written} >= 1000`")
            };
            self.error(value, "bad-number", format!("`{}` is not a number, and `{written}` is one", value.text()), help)
        })
    }

    fn times(&self, value: &Lexeme, text: &str) -> Result<Test> {
        let Some((from, to)) = split_range(value, text) else {
            let (start, end) = self.time(value, text)?;
            return Ok(Test::Time(TimeRange { start: Some(start), end: Some(end) }));
        };
        let start = if from.is_empty() { None } else { Some(self.time(value, from)?.0) };
        let end = if to.is_empty() { None } else { Some(self.time(value, to)?.1) };
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            return Err(self.empty_range(value, text, from, to));
        }
        Ok(Test::Time(TimeRange { start, end }))
    }

    fn time(&self, value: &Lexeme, text: &str) -> Result<(i128, i128)> {
        parse_time(text, self.now).map_err(|mistake| match mistake {
            TimeMistake::Form => {
                self.error(value, "bad-time", format!("`{text}` is not a time"), "now-1h, today, 2026-11-22, 2026-11-22T09:53, 2026-11-22T09:53:20Z")
            }
            TimeMistake::Calendar if text.len() == 10 => {
                self.error(value, "bad-time", format!("`{text}` is not a date of the calendar"), "year-month-day: 2026-11-22")
            }
            TimeMistake::Calendar => self.error(
                value,
                "bad-time",
                format!("`{text}` is not a time of the calendar"),
                "year-month-day, then hour:minute:second: 2026-11-22T09:53:20Z",
            ),
        })
    }

    fn durations(&self, value: &Lexeme, text: &str) -> Result<Test> {
        let Some((from, to)) = split_range(value, text) else {
            let duration = self.duration(value, text)?;
            return Ok(Test::Duration(DurationRange { min: Some(duration), max: Some(duration) }));
        };
        let bound = |text: &str| if text.is_empty() { Ok(None) } else { self.duration(value, text).map(Some) };
        let range = DurationRange { min: bound(from)?, max: bound(to)? };
        if let (Some(min), Some(max)) = (range.min, range.max)
            && min > max
        {
            return Err(self.empty_range(value, text, from, to));
        }
        Ok(Test::Duration(range))
    }

    fn duration(&self, value: &Lexeme, text: &str) -> Result<i128> {
        parse_duration(text).ok_or_else(|| {
            let mut help = "a number with a unit: 500ms, 1.5s, 2m, 1h30m".to_owned();
            if is_json_number(text) && parse_duration(&format!("{text}ms")).is_some() {
                help.push_str(&format!(" — did you mean `{text}ms`?"));
            }
            self.error(value, "bad-duration", format!("`{text}` is not a duration"), help)
        })
    }

    fn network(&self, value: &Lexeme, text: &str) -> Result<Test> {
        parse_network(text).map(Test::Ip).ok_or_else(|| {
            let help = if text.contains(['*', '?']) { "write a range as CIDR, such as 10.0.0.0/8" } else { "examples: 10.1.2.3, 10.0.0.0/8, 2001:db8::/32" };
            self.error(value, "bad-ip", format!("`{text}` is not an IP address or CIDR range"), help)
        })
    }

    fn object(&self, value: &Lexeme, pieces: &[Piece]) -> Result<Test> {
        ObjectTest::new(pieces).map(|object| Test::Object(Box::new(object))).ok_or_else(|| {
            let help = "examples: deploy/web, pods/web-1/exec, secrets/*, certificates.cert-manager.io/shop; the namespace goes in `ns:`";
            self.error(value, "bad-object", format!("`{}` is not KIND/NAME", value.text()), help)
        })
    }

    fn empty_range(&self, value: &Lexeme, text: &str, from: &str, to: &str) -> FilterError {
        self.error(value, "empty-range", format!("the range `{text}` is empty: its end is before its start"), format!("write `{to}..{from}`"))
    }

    fn error(&self, value: &Lexeme, code: &'static str, message: impl Into<String>, help: impl Into<String>) -> FilterError {
        FilterError::new(value.start, value.end, code, message, help)
    }
}

/// Words for enum values from elsewhere.
const MEANT: &[(&str, &str)] = &[
    ("forbidden", "denied"),
    ("unauthorized", "denied"),
    ("rejected", "denied"),
    ("refused", "denied"),
    ("ok", "allowed"),
    ("success", "allowed"),
    ("succeeded", "allowed"),
    ("failed", "error"),
    ("failure", "error"),
    ("write", "change"),
    ("modify", "change"),
    ("exec", "connect"),
    ("sa", "serviceaccount"),
    ("human", "user"),
];

fn lexeme_of(value: &Lexeme, text: &str) -> Lexeme {
    Lexeme { pieces: text.chars().map(Piece::Char).collect(), ..value.clone() }
}

fn whole(pieces: &[Piece], case: Case) -> Test {
    Test::Text(Pattern::new(pieces.iter().copied(), case, Extent::Whole))
}

/// One level is a word like any other.
fn level_test(min: Level, max: Level) -> Test {
    if min == max { Test::Text(Pattern::literal(min.as_str(), Case::Any, Extent::Whole)) } else { Test::Levels(min, max) }
}

/// `pods`, or `pods/exec` for both fields: no resource has a slash in its name.
fn resource_test(pieces: &[Piece]) -> Test {
    let pattern = |pieces: &[Piece]| Pattern::new(pieces.iter().copied(), Case::Exact, Extent::Whole);
    match pieces.iter().position(|piece| *piece == Piece::Char('/')) {
        Some(at) => Test::ResourcePair(Box::new((pattern(&pieces[..at]), pattern(&pieces[at + 1..])))),
        None => Test::Text(pattern(pieces)),
    }
}

fn json_test(value: &Lexeme) -> JsonTest {
    let text = value.text();
    if let Some((from, to)) = split_range(value, &text) {
        let bound = |text: &str| Some(NumberBound { text: text.to_owned(), inclusive: true }).filter(|_| is_json_number(text));
        let range = NumberRange { min: bound(from), max: bound(to) };
        let open_or_number = |text: &str, bound: &Option<NumberBound>| text.is_empty() || bound.is_some();
        if (range.min.is_some() || range.max.is_some()) && open_or_number(from, &range.min) && open_or_number(to, &range.max) {
            return JsonTest::Number(range);
        }
    }
    JsonTest::Scalar { pattern: Pattern::new(value.pieces.iter().copied(), Case::Exact, Extent::Whole), bare: !value.quoted }
}

/// The ends of a bare `a..b`, of which one may be empty.
fn split_range<'a>(value: &Lexeme, text: &'a str) -> Option<(&'a str, &'a str)> {
    if value.quoted {
        return None;
    }
    text.split_once("..").filter(|(from, to)| !(from.is_empty() && to.is_empty()))
}

/// Whether `text` is a number as JSON writes it.
pub(super) fn is_json_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) && crate::json::RawJson::parse(text).is_ok_and(|json| json.as_str() == text)
}

/// An address or network; addresses mapped into IPv6 become IPv4.
fn parse_network(text: &str) -> Option<IpNet> {
    let network: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse().ok()?,
    };
    let network = network.trunc();
    if let IpNet::V6(v6) = network
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        return Ipv4Net::new(v4, v6.prefix_len() - 96).ok().map(IpNet::V4);
    }
    Some(network)
}
