//! What is asked: one statement that only reads, small enough to be planned.
//!
//! The planner would refuse most of this too; it is refused here so that nothing depends on what the planner can do.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use decklog_audit::search::{SqlError, SqlErrorKind};

use super::failure;
use super::limits::{MAX_QUERY_BYTES, MAX_QUERY_OPERATORS, MAX_QUERY_RELATIONS};
use super::views::VIEWS;

/// Levels of brackets, subqueries and the like that the parser follows.
const MAX_DEPTH: usize = 64;
/// Sets of columns that CUBE and its like may make.
const MAX_GROUPING_SETS: usize = 256;
/// Characters of a column's name that is the text of its expression.
const MAX_NAME: usize = 120;

/// What a text asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// Rows; the names of the columns where the query gives none.
    Rows { statement: Box<Statement>, names: Option<Vec<Option<String>>>, words: Option<Words> },
    /// How rows would be found.
    Plan { statement: Box<Statement>, words: Option<Words> },
    /// The columns of a view.
    Columns(String),
}

/// Every word of a question as it stands there and in lower case. No column but these can be meant.
pub(super) type Words = HashSet<String>;

/// The words, unless something in the question means columns without naming them: `*`, NATURAL, columns renamed by their places.
fn words_of(tokens: &[TokenWithSpan], statement: &Statement) -> Option<Words> {
    let mut words = Words::new();
    let mut before = &Token::EOF;
    for token in tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_))) {
        match token {
            Token::Word(word) => {
                words.insert(word.value.to_lowercase());
                words.insert(word.value.clone());
            }
            Token::Mul if *before == Token::Period => return None,
            _ => {}
        }
        before = token;
    }
    let means_all = words.contains("natural") || words.contains("table") || Visit::visit(statement, &mut Unnamed).is_break();
    (!means_all).then_some(words)
}

/// Breaks at what means columns without naming them.
struct Unnamed;

impl Visitor for Unnamed {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let is_wildcard = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        if select.projection.is_empty() || select.projection.iter().any(is_wildcard) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { alias: Some(alias), .. } if !alias.columns.is_empty() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Reads a question.
///
/// # Errors
/// When it is no single statement, too large, or would do anything but read the views.
pub(super) fn parse(text: &str) -> Result<Asked, SqlError> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(bad(format!("the query has {} bytes, the limit is {MAX_QUERY_BYTES}", text.len())));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().map_err(|error| failure::of_tokens(&error))?;
    let n_operators = tokens.iter().filter(|token| may_nest(&token.token)).count();
    if n_operators > MAX_QUERY_OPERATORS {
        return Err(bad(format!("the query has {n_operators} operators, brackets and words of the language, the limit is {MAX_QUERY_OPERATORS}")));
    }
    let end = tokens.last().map(|token| (token.span.end.line as usize, token.span.end.column as usize)).filter(|(line, _)| *line > 0);
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens.clone());
    let statements = parser.parse_statements().map_err(|error| {
        let error = failure::of_parser(&error);
        SqlError { place: error.place.or(end), ..error }
    })?;
    let n_statements = statements.len();
    let Ok([mut statement]) = <[Statement; 1]>::try_from(statements) else {
        return Err(if n_statements == 0 {
            SqlError { help: Some("SELECT username, count(*) FROM requests GROUP BY 1".to_owned()), ..bad("the query is empty".to_owned()) }
        } else {
            forbidden(format!("one statement at a time; these are {n_statements}"))
        });
    };
    let _ = VisitMut::visit(&mut statement, &mut NameSubqueries { n_named: 0 });
    match statement {
        Statement::Query(ref query) => {
            check(&statement)?;
            let names = names_of(query);
            let words = words_of(&tokens, &statement);
            Ok(Asked::Rows { statement: Box::new(statement), names, words })
        }
        Statement::Explain { statement: ref explained, .. } if matches!(**explained, Statement::Query(_)) => {
            check(&statement)?;
            let words = words_of(&tokens, &statement);
            Ok(Asked::Plan { statement: Box::new(statement), words })
        }
        Statement::ExplainTable { ref table_name, .. } => view_named(table_name).map(Asked::Columns),
        Statement::ShowColumns { ref show_options, .. } => {
            let name = show_options.show_in.as_ref().and_then(|show_in| show_in.parent_name.as_ref());
            name.map_or_else(|| Err(bad("SHOW COLUMNS wants a view: SHOW COLUMNS FROM events".to_owned())), view_named).map(Asked::Columns)
        }
        other => {
            let text = other.to_string();
            let word = text.split_whitespace().next().unwrap_or_default().to_uppercase();
            Err(forbidden(format!("{word} is not allowed: a query only reads")))
        }
    }
}

/// Whether a token may put one expression into another, or one table beside another.
fn may_nest(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_none() && word.keyword != Keyword::NoKeyword,
        Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::SemiColon
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Placeholder(_)
        | Token::EOF => false,
        _ => true,
    }
}

fn bad(message: String) -> SqlError {
    SqlError::new(SqlErrorKind::Bad, message)
}

fn forbidden(message: String) -> SqlError {
    SqlError { help: Some("write SELECT, WITH, EXPLAIN, SHOW COLUMNS or DESCRIBE".to_owned()), ..SqlError::new(SqlErrorKind::Forbidden, message) }
}

fn view_named(name: &ObjectName) -> Result<String, SqlError> {
    let text = name.to_string().to_lowercase();
    let text = text.strip_prefix("public.").unwrap_or(&text);
    if VIEWS.iter().any(|view| view.name == text) { Ok(text.to_owned()) } else { Err(failure::no_view(text)) }
}

fn check(statement: &Statement) -> Result<(), SqlError> {
    let mut checker = Checker { n_relations: 0, n_grouping_sets: 1 };
    match Visit::visit(statement, &mut checker) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Checker {
    n_relations: usize,
    /// By how many sets of columns is grouped at once: those of several CUBE, ROLLUP and GROUPING SETS are combined.
    n_grouping_sets: usize,
}

impl Checker {
    fn refuse(error: SqlError) -> ControlFlow<Box<SqlError>> {
        ControlFlow::Break(Box::new(error))
    }

    fn count(&mut self) -> ControlFlow<Box<SqlError>> {
        self.n_relations += 1;
        if self.n_relations > MAX_QUERY_RELATIONS {
            return Self::refuse(bad(format!("the query joins more than {MAX_QUERY_RELATIONS} tables and subqueries")));
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Checker {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        self.count()?;
        if query.with.as_ref().is_some_and(|with| with.recursive) {
            return Self::refuse(forbidden("WITH RECURSIVE is not allowed".to_owned()));
        }
        if !query.locks.is_empty() {
            return Self::refuse(forbidden("FOR UPDATE is not allowed: a query only reads".to_owned()));
        }
        if is_change(&query.body) {
            return Self::refuse(forbidden("a query only reads".to_owned()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        if select.into.is_some() {
            return Self::refuse(forbidden("SELECT INTO is not allowed: a query only reads".to_owned()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Self::Break> {
        let parts: Vec<String> = relation.0.iter().map(|part| part.to_string().to_lowercase()).collect();
        match parts.as_slice() {
            [_] => ControlFlow::Continue(()),
            [schema, _] if schema == "public" => ControlFlow::Continue(()),
            _ => Self::refuse(forbidden(format!("`{relation}` cannot be read: there are only the views {}", failure::view_names()))),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        self.count()?;
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                let name = name.to_string().to_lowercase();
                if matches!(name.as_str(), "generate_series" | "range" | "unnest") {
                    return ControlFlow::Continue(());
                }
                Self::refuse(forbidden(format!("the table function `{name}` is not allowed")))
            }
            TableFactor::Table { .. } | TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => ControlFlow::Continue(()),
            _ => Self::refuse(forbidden(format!("`{factor}` is not allowed in FROM"))),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        let n_sets = match expr {
            Expr::Cube(columns) => 1usize.checked_shl(u32::try_from(columns.len()).unwrap_or(u32::MAX)).unwrap_or(usize::MAX),
            Expr::Rollup(columns) => columns.len() + 1,
            Expr::GroupingSets(sets) => sets.len(),
            _ => return ControlFlow::Continue(()),
        };
        self.n_grouping_sets = self.n_grouping_sets.saturating_mul(n_sets);
        if self.n_grouping_sets > MAX_GROUPING_SETS {
            return Self::refuse(bad(format!("CUBE, ROLLUP and GROUPING SETS make more than {MAX_GROUPING_SETS} sets of columns")));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Self::Break> {
        match statement {
            Statement::Query(_) | Statement::Explain { .. } => ControlFlow::Continue(()),
            _ => Self::refuse(forbidden("a query only reads".to_owned())),
        }
    }
}

/// Gives every subquery in FROM a name. The planner takes `c + c` of a query for the `c + c` of a subquery without one, and
/// would compute it once instead of twice.
struct NameSubqueries {
    n_named: usize,
}

impl VisitorMut for NameSubqueries {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Derived { alias: alias @ None, .. } = factor {
            self.n_named += 1;
            let name = Ident::new(format!("_subquery_{}", self.n_named));
            *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
        }
        ControlFlow::Continue(())
    }
}

fn is_change(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => false,
        SetExpr::SetOperation { left, right, .. } => is_change(left) || is_change(right),
        _ => true,
    }
}

/// What to call the columns of a query's answer: an expression without a name is called by its text. `None` where
/// that cannot be told from the text.
fn names_of(query: &Query) -> Option<Vec<Option<String>>> {
    let mut body = &query.body;
    let select = loop {
        match &**body {
            SetExpr::Select(select) => break select,
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(query) => body = &query.body,
            _ => return None,
        }
    };
    select
        .projection
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) | SelectItem::ExprWithAlias { .. } => Some(None),
            SelectItem::UnnamedExpr(expr) => Some(Some(expr.to_string().chars().take(MAX_NAME).collect())),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod words {
    use super::{Asked, parse};

    fn words(text: &str) -> Option<Vec<String>> {
        let (Asked::Rows { words, .. } | Asked::Plan { words, .. }) = parse(text).unwrap() else { panic!("{text}") };
        let mut words: Vec<String> = words?.into_iter().collect();
        words.sort();
        Some(words)
    }

    #[test]
    fn columns_are_among_the_words() {
        assert_eq!(words("SELECT Verb, count(*) FROM events").unwrap(), ["FROM", "SELECT", "Verb", "count", "events", "from", "select", "verb"]);
        let using = words("SELECT a.code FROM events a JOIN requests b USING (audit_id) WHERE b.\"seq\" = 2 * a.seq").unwrap();
        assert!(["audit_id", "seq", "code"].iter().all(|word| using.contains(&(*word).to_owned())), "{using:?}");
    }

    #[test]
    fn what_means_columns_without_naming_them_is_seen() {
        for text in [
            "SELECT * FROM events",
            "SELECT e.* FROM events e",
            "SELECT count(e.*) FROM events e",
            "SELECT a FROM (SELECT *, 1 AS a FROM events) t",
            "SELECT verb FROM events NATURAL JOIN requests",
            "SELECT a FROM events AS e(a, b)",
            "SELECT 1 WHERE EXISTS (SELECT * FROM events)",
            "EXPLAIN SELECT * FROM events",
        ] {
            assert_eq!(words(text), None, "{text}");
        }
    }
}
