//! What went wrong, in words of who asked: the planner's errors name Rust types and its own parts.

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::TokenizerError;
use decklog_audit::search::{SqlError, SqlErrorKind};

use super::views::VIEWS;

/// The error of a step, for who asked.
pub(super) fn of(error: &DataFusionError) -> SqlError {
    match error {
        DataFusionError::Context(_, inner) => of(inner),
        DataFusionError::Shared(inner) => of(inner),
        DataFusionError::Collection(errors) => errors.first().map_or_else(|| failed("no reason was given"), of),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let error = of(inner);
            let place = diagnostic.span.map(|span| (span.start.line as usize, span.start.column as usize));
            SqlError { place: error.place.or(place.filter(|(line, _)| *line > 0)), ..error }
        }
        DataFusionError::SQL(error, _) => of_parser(error),
        DataFusionError::SchemaError(error, _) => of_schema(error),
        DataFusionError::ResourcesExhausted(text) => SqlError {
            help: Some("narrow the time, group by fewer columns, select fewer of them, or add a LIMIT".to_owned()),
            ..SqlError::new(SqlErrorKind::Memory, memory_words(text))
        },
        DataFusionError::Plan(text) | DataFusionError::Configuration(text) | DataFusionError::Execution(text) => of_text(text),
        DataFusionError::NotImplemented(text) => SqlError::new(SqlErrorKind::Bad, format!("not supported: {}", friendly(text))),
        DataFusionError::ArrowError(error, _) => of_arrow(error),
        DataFusionError::External(error) => match error.downcast_ref::<SqlError>() {
            Some(error) => error.clone(),
            None => error.downcast_ref::<DataFusionError>().map_or_else(|| failed(&error.to_string()), of),
        },
        other => failed(&other.to_string()),
    }
}

fn failed(text: &str) -> SqlError {
    SqlError::new(SqlErrorKind::Failed, friendly(text))
}

fn of_arrow(error: &arrow::error::ArrowError) -> SqlError {
    use arrow::error::ArrowError as E;
    match error {
        E::ExternalError(inner) => inner.downcast_ref::<DataFusionError>().map_or_else(|| failed(&inner.to_string()), of),
        E::DivideByZero => SqlError::new(SqlErrorKind::Bad, "division by zero"),
        E::CastError(text) | E::ComputeError(text) | E::ParseError(text) | E::InvalidArgumentError(text) | E::ArithmeticOverflow(text) => {
            SqlError::new(SqlErrorKind::Bad, friendly(text))
        }
        other => failed(&other.to_string()),
    }
}

fn memory_words(text: &str) -> String {
    if text.starts_with("the query needs") { text.to_owned() } else { "the queries that run now need more memory than they may have together".to_owned() }
}

/// A parser's error, which names its place at the end.
pub(super) fn of_parser(error: &ParserError) -> SqlError {
    let (ParserError::TokenizerError(text) | ParserError::ParserError(text)) = error else {
        return SqlError::new(SqlErrorKind::Bad, "the query is nested too deeply");
    };
    let (text, place) = split_place(text);
    let text = text.replace("Expected: ", "expected ").replace(", found: ", " instead of ").replace("EOF", "the end");
    SqlError { place, ..SqlError::new(SqlErrorKind::Bad, format!("the query cannot be read: {}", lower(&text))) }
}

/// A tokenizer's error.
pub(super) fn of_tokens(error: &TokenizerError) -> SqlError {
    let place = (error.location.line as usize, error.location.column as usize);
    SqlError { place: Some(place), ..SqlError::new(SqlErrorKind::Bad, format!("the query cannot be read: {}", lower(&error.message))) }
}

fn split_place(text: &str) -> (&str, Option<(usize, usize)>) {
    let Some((before, place)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let place = place.split_once(", Column: ").and_then(|(line, column)| Some((line.trim().parse().ok()?, column.trim().parse().ok()?)));
    (before, place)
}

fn of_schema(error: &SchemaError) -> SqlError {
    let bad = |message| SqlError::new(SqlErrorKind::Bad, message);
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(Column::name).collect();
            let help = nearest(&field.name, &names).map(|name| format!("did you mean `{name}`?"));
            SqlError { help: help.or_else(|| Some("SHOW COLUMNS FROM events lists them".to_owned())), ..bad(format!("there is no column `{}`", field.name)) }
        }
        SchemaError::AmbiguousReference { field } => {
            SqlError { help: Some("name the table too, as in `e.name`".to_owned()), ..bad(format!("`{}` is a column of more than one table", field.name)) }
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            SqlError { help: Some("name one of them with AS".to_owned()), ..bad(format!("two columns are called `{name}`")) }
        }
    }
}

fn of_text(text: &str) -> SqlError {
    let bad = |message: String| SqlError::new(SqlErrorKind::Bad, message);
    if let Some((_, rest)) = text.split_once("table '")
        && let Some((name, "not found")) = rest.split_once("' ")
    {
        return no_view(name.rsplit('.').next().unwrap_or(name));
    }
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let (name, rest) = rest.split_once('\'').unwrap_or((rest, ""));
        let help = rest.split_once("Did you mean '").and_then(|(_, guess)| guess.split_once('\'')).map(|(guess, _)| format!("did you mean `{guess}`?"));
        return SqlError { help, ..bad(format!("there is no function `{name}`")) };
    }
    if text.starts_with("Projections require unique expression names") {
        return SqlError { help: Some("name one of them with AS".to_owned()), ..bad("two columns are called the same".to_owned()) };
    }
    let (text, place) = split_place(text);
    if let Some((_, rest)) = text.split_once("No function matches the given name and argument types '")
        && !text.contains("user-defined coercion failed with: ")
        && let Some((call, _)) = rest.split_once("'.")
    {
        return SqlError { place, ..bad(format!("there is no {}", friendly(call))) };
    }
    let own_words = text.split_once("user-defined coercion failed with: ").map(|(_, words)| words.split(". No function matches").next().unwrap_or(words));
    SqlError { place, ..bad(friendly(own_words.unwrap_or(text))) }
}

/// There is no view of that name.
pub(super) fn no_view(name: &str) -> SqlError {
    let names: Vec<&str> = VIEWS.iter().map(|view| view.name).collect();
    let help = nearest(name, &names).map_or_else(|| format!("the views are {}", view_names()), |name| format!("did you mean `{name}`?"));
    SqlError { help: Some(help), ..SqlError::new(SqlErrorKind::Bad, format!("there is no view `{name}`")) }
}

/// The views' names, for a sentence.
pub(super) fn view_names() -> String {
    VIEWS.iter().map(|view| format!("`{}`", view.name)).collect::<Vec<_>>().join(" and ")
}

/// The name that is close enough to be meant.
fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    let word = word.to_lowercase();
    let squeeze = |text: &str| text.replace('_', "");
    let distance = |name: &&&str| if squeeze(name) == squeeze(&word) { 0 } else { datafusion::common::utils::datafusion_strsim::levenshtein(name, &word) };
    names.iter().min_by_key(distance).filter(|name| distance(name) <= 1 + name.len() / 4).copied()
}

/// Without what only a developer of the planner understands.
fn friendly(text: &str) -> String {
    let mut text = text.split("\n\nbacktrace").next().unwrap_or(text).split("\nThis issue was likely").next().unwrap_or(text).trim();
    for noise in [
        "Error during planning: ",
        "Arrow error: ",
        "Cast error: ",
        "Compute error: ",
        "Parser error: ",
        "Execution error: ",
        "External error: ",
        "SQL error: ",
    ] {
        text = text.strip_prefix(noise).unwrap_or(text);
    }
    let mut text = text.to_owned();
    for (rust, sql) in [
        ("Timestamp(µs, \"UTC\")", "timestamptz"),
        ("Timestamp(Microsecond, Some(\"UTC\"))", "timestamptz"),
        ("LargeUtf8", "text"),
        ("Utf8View", "text"),
        ("Utf8", "text"),
        ("Int64", "bigint"),
        ("Int32", "int"),
        ("UInt64", "bigint"),
        ("Float64", "double"),
        ("Boolean", "boolean"),
        ("DataFusion error: ", ""),
        ("DataFusion", "decklog"),
    ] {
        text = text.replace(rust, sql);
    }
    lower(&text)
}

/// With a small first letter, unless the first word is all capitals.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}
