//! From text to tree, by recursive descent: `or` of `and` of `not` of clauses, groups and texts.
//!
//! The grammar is in docs/filter.md. Nesting, length and the number of conditions are bounded, so that a
//! filter from anywhere can be parsed and matched safely. Errors stand at the character.

use super::FilterError;
use super::ast::{Clause, Expression, Values};
use super::fields::Field;
use super::lex::{Comma, Cursor, Keyword, Lexeme};
use super::names::{self, NameSegment};
use super::pattern::{Case, Extent, Pattern, Piece};
use super::values::{Comparison, FieldAsked, Reader, limit_wildcards};
use crate::time::Timestamp;

/// The longest filter, in bytes.
pub const MAX_BYTES: usize = 16_384;
/// The deepest nesting of brackets.
pub const MAX_DEPTH: usize = 64;
/// The most conditions.
pub const MAX_CLAUSES: usize = 1_024;

pub(super) fn parse(text: &str, now: Timestamp) -> Result<Expression> {
    if text.len() > MAX_BYTES {
        let message = format!("the filter has {} bytes, the limit is {MAX_BYTES}", text.len());
        return Err(FilterError::new(0, text.chars().count(), "too-long", message, "ask in several steps, or use `decklog sql`"));
    }
    let mut parser = Parser { now, ..Parser::new(text) };
    parser.cursor.skip_space();
    if parser.cursor.peek().is_none() {
        return Ok(Expression::All);
    }
    let expression = parser.any_of()?;
    match parser.cursor.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.stray_bracket()),
    }
}

/// The field of that name, as it is written in filters.
pub(super) fn parse_field(text: &str) -> Result<Field> {
    let mut parser = Parser::new(text);
    let end = parser.cursor.length();
    let no_field = |written: &str| names::Unknown::NoSuchField.error(0, end, written, None);
    match parser.field_segments() {
        Some(segments) if parser.cursor.at == end => names::resolve(&segments).map_err(|unknown| unknown.error(0, end, text, None)),
        _ => Err(no_field(text)),
    }
}

/// The parser; [`super::complete`] borrows its reading of names and operators.
pub(super) struct Parser {
    pub(super) cursor: Cursor,
    now: Timestamp,
    n_clauses: usize,
    /// Where the open brackets stand.
    opened: Vec<usize>,
    /// No name with an operator begins before this character: a long name without one is not read again from each of
    /// its segments.
    nameless_before: usize,
}

/// The name and operator a clause begins with.
pub(super) struct ClauseHead {
    /// The name's segments.
    pub(super) segments: Vec<NameSegment>,
    /// Where the name ends.
    pub(super) name_end: usize,
    /// Where the operator starts and ends, also one of another language.
    pub(super) operator_start: usize,
    pub(super) operator_end: usize,
}

type Result<T> = std::result::Result<T, FilterError>;

impl Parser {
    pub(super) fn new(text: &str) -> Self {
        Self { cursor: Cursor::new(text), now: Timestamp::default(), n_clauses: 0, opened: Vec::new(), nameless_before: 0 }
    }

    /// The beginning of the clause that starts here; `None` where it is none, with the cursor somewhere behind.
    pub(super) fn clause_head(&mut self) -> Option<ClauseHead> {
        let segments = self.name()?;
        let name_end = self.cursor.at;
        self.cursor.skip_space();
        let operator_start = self.cursor.at;
        let operator_end = match self.operator("") {
            Ok(Some(_)) => self.cursor.at,
            Ok(None) => {
                self.nameless_before = operator_start;
                return None;
            }
            Err(foreign) => operator_start + foreign.length,
        };
        Some(ClauseHead { segments, name_end, operator_start, operator_end })
    }

    fn any_of(&mut self) -> Result<Expression> {
        let mut alternatives = vec![self.all_of()?];
        while self.take_keyword(Keyword::Or) {
            self.require_operand("or")?;
            alternatives.push(self.all_of()?);
        }
        Ok(Expression::any(alternatives))
    }

    fn all_of(&mut self) -> Result<Expression> {
        let mut conditions = vec![self.unary()?];
        loop {
            self.cursor.skip_space();
            if self.take_keyword(Keyword::And) {
                self.require_operand("and")?;
            } else if matches!(self.cursor.peek(), None | Some(')')) || matches!(self.cursor.keyword(), Some((Keyword::Or, _))) {
                return Ok(Expression::all(conditions));
            }
            conditions.push(self.unary()?);
        }
    }

    fn unary(&mut self) -> Result<Expression> {
        let mut negated = false;
        self.cursor.skip_space();
        while self.take_keyword(Keyword::Not) {
            self.require_operand("not")?;
            negated = !negated;
        }
        let condition = self.condition()?;
        Ok(if negated { Expression::negation(condition) } else { condition })
    }

    fn condition(&mut self) -> Result<Expression> {
        match self.cursor.peek() {
            None => Err(self.unclosed()),
            Some('(') => self.group(),
            Some(')') => Err(self.stray_bracket()),
            Some('!' | '&' | '|') => self.foreign_operator_or_text(),
            _ => {
                if let Some((Keyword::And | Keyword::Or, length)) = self.cursor.keyword() {
                    return Err(self.missing_operand(length));
                }
                self.clause_or_text()
            }
        }
    }

    fn group(&mut self) -> Result<Expression> {
        let start = self.cursor.at;
        self.enter()?;
        self.cursor.skip_space();
        if self.cursor.peek() == Some(')') {
            return Err(FilterError::new(start, self.cursor.at + 1, "empty-group", "nothing between `(` and `)`", "put a condition there, or remove them"));
        }
        let expression = self.any_of()?;
        self.leave()?;
        Ok(expression)
    }

    fn enter(&mut self) -> Result<()> {
        let start = self.cursor.at;
        if self.opened.len() == MAX_DEPTH {
            return Err(FilterError::new(
                start,
                start + 1,
                "too-deep",
                format!("brackets are nested deeper than {MAX_DEPTH} levels"),
                "write it with fewer brackets",
            ));
        }
        self.opened.push(start);
        self.cursor.at += 1;
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.cursor.skip_space();
        if self.cursor.peek() != Some(')') {
            return Err(self.unclosed());
        }
        self.cursor.at += 1;
        self.opened.pop();
        Ok(())
    }

    /// The filter ends, and this bracket is still open.
    fn unclosed(&self) -> FilterError {
        let start = self.opened.last().copied().unwrap_or_default();
        FilterError::new(start, start + 1, "unbalanced", "`(` is never closed", "add `)` at the end")
    }

    fn stray_bracket(&self) -> FilterError {
        let at = self.cursor.at;
        FilterError::new(at, at + 1, "unbalanced", "`)` without `(`", "remove it, or write `\\)` or \"…)\" to search for the character")
    }

    fn take_keyword(&mut self, wanted: Keyword) -> bool {
        self.cursor.skip_space();
        match self.cursor.keyword() {
            Some((keyword, length)) if keyword == wanted => {
                self.cursor.at += length;
                true
            }
            _ => false,
        }
    }

    /// Behind `and`, `or`, `not`: something must follow.
    fn require_operand(&mut self, word: &str) -> Result<()> {
        self.cursor.skip_space();
        let at = self.cursor.at;
        let help = format!("add one after `{word}`, or remove it");
        match self.cursor.peek() {
            None => Err(FilterError::new(self.cursor.length(), self.cursor.length(), "unexpected-end", "the filter ends where a condition was expected", help)),
            Some(')') if !self.opened.is_empty() => Err(FilterError::new(at, at + 1, "unexpected-end", "the group ends where a condition was expected", help)),
            Some(_) => Ok(()),
        }
    }

    fn missing_operand(&self, length: usize) -> FilterError {
        let start = self.cursor.at;
        let word = self.cursor.slice(start, start + length);
        FilterError::new(
            start,
            start + length,
            "missing-operand",
            format!("`{word}` needs a condition before it"),
            format!("to search for the word, write \"{word}\""),
        )
    }

    /// `!x`, `a && b`, `a || b`: habits of other languages.
    fn foreign_operator_or_text(&mut self) -> Result<Expression> {
        let start = self.cursor.at;
        let (first, second) = (self.cursor.peek(), self.cursor.peek_at(1));
        let error = |length: usize, message: String, help: String| Err(FilterError::new(start, start + length, "not-operator", message, help));
        match (first, second) {
            (Some('!'), _) => {
                let rest = self.cursor.slice(start + 1, self.cursor.word_end(start + 1));
                let rest = if rest.is_empty() { "(…)".to_owned() } else { rest };
                error(1, "`!` is not how decklog negates".to_owned(), format!("write `not {rest}`"))
            }
            (Some('&'), Some('&')) => error(2, "`&&` is not an operator here".to_owned(), "write `and`".to_owned()),
            (Some('|'), Some('|')) => error(2, "`||` is not an operator here".to_owned(), "write `or`".to_owned()),
            (Some('|'), _) => error(1, "`|` is not an operator here".to_owned(), "write `or`; to search for the character, quote it: \"|\"".to_owned()),
            _ => self.text(),
        }
    }

    /// A clause if an operator follows what may be a field's name, else a text.
    fn clause_or_text(&mut self) -> Result<Expression> {
        let start = self.cursor.at;
        if let Some(segments) = self.name() {
            let end = self.cursor.at;
            self.cursor.skip_space();
            if let Some(operator) = self.operator(&self.cursor.slice(start, end))? {
                return self.clause(start, end, &segments, operator);
            }
            self.nameless_before = self.cursor.at;
        }
        self.cursor.at = start;
        self.text()
    }

    fn text(&mut self) -> Result<Expression> {
        self.count_clause()?;
        let lexeme = if self.cursor.peek() == Some('"') { self.cursor.quoted()? } else { self.cursor.bare(Comma::Belongs)? };
        limit_wildcards(&lexeme)?;
        let everything = !lexeme.pieces.is_empty() && lexeme.pieces.iter().all(|piece| *piece == Piece::AnyRun);
        Ok(if everything { Expression::All } else { Expression::Text(Pattern::new(lexeme.pieces, Case::Any, Extent::Within)) })
    }

    fn count_clause(&mut self) -> Result<()> {
        self.n_clauses += 1;
        if self.n_clauses > MAX_CLAUSES {
            let at = self.cursor.at;
            return Err(FilterError::new(
                at,
                at + 1,
                "too-many",
                format!("more than {MAX_CLAUSES} conditions"),
                "ask in several steps, or list values: `name:(a or b)`",
            ));
        }
        Ok(())
    }

    /// The segments of what may be a field's name; `None` if it cannot be one or was seen to have no operator.
    fn name(&mut self) -> Option<Vec<NameSegment>> {
        if self.cursor.at < self.nameless_before {
            return None;
        }
        let segments = self.field_segments();
        if segments.is_none() {
            self.nameless_before = self.cursor.at;
        }
        segments
    }

    /// The segments of what may be a field's name; `None` if it cannot be one.
    fn field_segments(&mut self) -> Option<Vec<NameSegment>> {
        let mut segments = Vec::new();
        loop {
            segments.push(match self.cursor.peek()? {
                '"' => NameSegment::Quoted(self.cursor.quoted().ok()?.text()),
                '*' if self.cursor.peek_at(1) == Some('*') => {
                    self.cursor.at += 2;
                    NameSegment::AnyDepth
                }
                _ => NameSegment::Plain(Some(self.cursor.identifier()).filter(|identifier| !identifier.is_empty())?),
            });
            if self.cursor.peek() != Some('.') {
                return Some(segments);
            }
            self.cursor.at += 1;
        }
    }

    /// The operator that starts here, if any; taken.
    fn operator(&mut self, field: &str) -> Result<Option<Operator>> {
        let start = self.cursor.at;
        let (operator, length) = match (self.cursor.peek(), self.cursor.peek_at(1)) {
            (Some(':'), _) => (Operator::Has, 1),
            (Some('='), Some('=')) => {
                let help = format!("write `{field}:VALUE`, or `{field} = VALUE` to take `*` and `?` literally");
                return Err(FilterError::new(start, start + 2, "not-operator", "`==` is not an operator", help));
            }
            (Some('='), Some('~')) | (Some('!'), Some('~')) => {
                let help = "use `*` and `?`, or `decklog sql` with regexp_like()";
                return Err(FilterError::new(start, start + 2, "no-regex", "regular expressions are not part of filters", help));
            }
            (Some('='), _) => (Operator::Is, 1),
            (Some('!'), Some('=')) => (Operator::IsNot, 2),
            (Some('<'), Some('=')) => (Operator::Order(Comparison::AtMost), 2),
            (Some('<'), _) => (Operator::Order(Comparison::Below), 1),
            (Some('>'), Some('=')) => (Operator::Order(Comparison::AtLeast), 2),
            (Some('>'), _) => (Operator::Order(Comparison::Above), 1),
            _ => return Ok(None),
        };
        self.cursor.at += length;
        Ok(Some(operator))
    }

    fn clause(&mut self, start: usize, end: usize, segments: &[NameSegment], operator: Operator) -> Result<Expression> {
        self.count_clause()?;
        let written = self.cursor.slice(start, end);
        let field = names::resolve(segments).map_err(|unknown| {
            let directly = operator == Operator::Has && self.cursor.at == end + 1;
            let word = directly.then(|| self.cursor.slice(start, self.cursor.word_end(start)));
            unknown.error(start, end, &written, word.as_deref())
        })?;
        let asked = FieldAsked { field: &field, written: &written };
        let operator_at = self.cursor.at - operator.length();
        if let Operator::Order(_) = operator
            && !field.kind().is_ordered()
        {
            let message = format!("`{written}` has no order, so `{}` cannot be used", operator.as_str());
            let help = format!("numbers, times, durations and levels have one; use `{written}:VALUE` or `{written}:a*`");
            return Err(FilterError::new(operator_at, self.cursor.at, "not-ordered", message, help));
        }
        self.cursor.skip_space();
        self.require_value(&written, operator)?;
        let reader = Reader { asked, now: self.now };
        let values = match operator {
            Operator::Has if self.cursor.peek() == Some('(') => self.value_group(&reader)?,
            Operator::Has => self.value_list(&reader)?,
            _ => {
                if self.cursor.peek() == Some('(') {
                    let at = self.cursor.at;
                    return Err(FilterError::new(at, at + 1, "list-with-operator", "a list of values goes with `:`", format!("write `{written}:(…)`")));
                }
                let lexeme = self.single_value()?;
                Values::One(match operator {
                    Operator::Order(comparison) => reader.compare(&lexeme, comparison)?,
                    _ => reader.equal(&lexeme)?,
                })
            }
        };
        let clause = Expression::Clause(Clause { field, values });
        Ok(if operator == Operator::IsNot { Expression::negation(clause) } else { clause })
    }

    /// Behind an operator: a value or, behind `:`, a bracket must follow.
    fn require_value(&self, written: &str, operator: Operator) -> Result<()> {
        let at = self.cursor.at;
        let asked = if operator == Operator::Has { format!("{written}:") } else { format!("{written} {}", operator.as_str()) };
        let presence = format!("for \"has any value\" write `{written}:*`");
        match self.cursor.peek() {
            None | Some(')') => Err(FilterError::new(at, at, "no-value", format!("`{asked}` needs a value"), presence)),
            Some(',') => {
                Err(FilterError::new(at, at + 1, "no-value", format!("`{asked}` needs a value before `,`"), "to search for the character, write \",\""))
            }
            Some(_) => match self.cursor.keyword() {
                Some((_, length)) => {
                    let word = self.cursor.slice(at, at + length);
                    let message = format!("`{asked}` needs a value before `{word}`");
                    Err(FilterError::new(at, at + length, "no-value", message, format!("to compare with the word, write \"{word}\"")))
                }
                None => Ok(()),
            },
        }
    }

    fn single_value(&mut self) -> Result<Lexeme> {
        let lexeme = if self.cursor.peek() == Some('"') { self.cursor.quoted()? } else { self.cursor.bare(Comma::Ends)? };
        limit_wildcards(&lexeme)?;
        Ok(lexeme)
    }

    /// `a,b,c` without spaces.
    fn value_list(&mut self, reader: &Reader<'_>) -> Result<Values> {
        let mut values = vec![Values::One(reader.has(&self.single_value()?)?)];
        while self.cursor.peek() == Some(',') {
            let comma = self.cursor.at;
            self.cursor.at += 1;
            if matches!(self.cursor.peek(), None | Some('(' | ')' | ',')) || self.cursor.peek().is_some_and(char::is_whitespace) {
                return Err(FilterError::new(comma, comma + 1, "no-value", "a value was expected after `,`", "`a,b` without spaces, or `(a, b)`"));
            }
            values.push(Values::One(reader.has(&self.single_value()?)?));
        }
        Ok(Values::any(values))
    }

    fn value_group(&mut self, reader: &Reader<'_>) -> Result<Values> {
        let start = self.cursor.at;
        self.enter()?;
        self.cursor.skip_space();
        if self.cursor.peek() == Some(')') {
            return Err(FilterError::new(start, self.cursor.at + 1, "empty-group", "nothing between `(` and `)`", "put a value there, or remove them"));
        }
        let values = self.any_value(reader)?;
        self.cursor.skip_space();
        if !matches!(self.cursor.peek(), None | Some(')')) {
            let at = self.cursor.at;
            let end = match self.cursor.peek() {
                Some('"') => self.cursor.quoted()?.end,
                _ => self.cursor.word_end(at).max(at + 1),
            };
            let last = self.cursor.slice(at, end);
            let help = format!("write `{}:(… or {last})`, or quote a value with spaces", reader.asked.written);
            return Err(FilterError::new(at, end, "list-separator", "expected `or`, `and`, `,` or `)` in the list of values", help));
        }
        self.leave()?;
        Ok(values)
    }

    fn any_value(&mut self, reader: &Reader<'_>) -> Result<Values> {
        let mut alternatives = vec![self.all_values(reader)?];
        loop {
            self.cursor.skip_space();
            if self.cursor.peek() == Some(',') {
                let comma = self.cursor.at;
                self.cursor.at += 1;
                self.cursor.skip_space();
                if matches!(self.cursor.peek(), None | Some(',' | ')')) {
                    return Err(FilterError::new(comma, comma + 1, "no-value", "a value was expected after `,`", "`a,b` without spaces, or `(a, b)`"));
                }
            } else if self.take_keyword(Keyword::Or) {
                self.require_operand("or")?;
            } else {
                return Ok(Values::any(alternatives));
            }
            alternatives.push(self.all_values(reader)?);
        }
    }

    fn all_values(&mut self, reader: &Reader<'_>) -> Result<Values> {
        let mut values = vec![self.unary_value(reader)?];
        while self.take_keyword(Keyword::And) {
            self.require_operand("and")?;
            values.push(self.unary_value(reader)?);
        }
        Ok(Values::all(values))
    }

    fn unary_value(&mut self, reader: &Reader<'_>) -> Result<Values> {
        let mut n_negations = 0usize;
        while self.take_keyword(Keyword::Not) {
            self.require_operand("not")?;
            n_negations += 1;
        }
        self.cursor.skip_space();
        if let Some((_, length)) = self.cursor.keyword() {
            return Err(self.missing_operand(length));
        }
        let value = match self.cursor.peek() {
            None => return Err(self.unclosed()),
            Some('(') => self.value_group(reader)?,
            Some(',') => {
                let at = self.cursor.at;
                return Err(FilterError::new(at, at + 1, "no-value", "a value was expected before `,`", "`a,b` without spaces, or `(a, b)`"));
            }
            _ => Values::One(reader.has(&self.single_value()?)?),
        };
        Ok((0..n_negations).fold(value, |value, _| value.negation()))
    }
}

/// What stands between field and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Has,
    Is,
    IsNot,
    Order(Comparison),
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Self::Has => ":",
            Self::Is => "=",
            Self::IsNot => "!=",
            Self::Order(comparison) => comparison.as_str(),
        }
    }

    fn length(self) -> usize {
        self.as_str().len()
    }
}

impl Expression {
    /// All of `conditions`, in the form the tree promises.
    pub(super) fn all(conditions: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(conditions.len());
        for condition in conditions {
            match condition {
                Self::All => {}
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::All,
            1 => flat.swap_remove(0),
            _ => Self::And(flat),
        }
    }

    fn any(alternatives: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(alternatives.len());
        for alternative in alternatives {
            match alternative {
                Self::All => return Self::All,
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Self::Or(flat) }
    }

    fn negation(condition: Self) -> Self {
        match condition {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}

impl Values {
    /// Negation inside a clause keeps the demand that the field is there, so two do not cancel out; of three, two do.
    fn negation(self) -> Self {
        match self {
            Self::Not(inner) if matches!(*inner, Self::Not(_)) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    fn all(values: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Self::And(flat) }
    }

    fn any(values: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Self::Or(flat) }
    }
}
