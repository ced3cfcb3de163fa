//! From flags to a question: the filter with scope and stages in it, and the time range.

use decklog_audit::filter::complete::value_text;
use decklog_audit::filter::{Filter, FilterError};
use decklog_audit::search::TimeRange;
use decklog_audit::timespec::parse_range;
use decklog_audit::{Stage, Timestamp};

use crate::cli::{RangeFlags, ScopeFlags};
use crate::failure::{Failure, Failures, Place};
use crate::suggest::closest;

/// Which stages of a request are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stages {
    /// One event a request: its last.
    Final,
    /// Every event.
    All,
    /// These.
    Some(Vec<Stage>),
}

impl Stages {
    /// Reads `--stages`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "final" => Ok(Self::Final),
            "all" => Ok(Self::All),
            list => list.split(',').map(stage).collect::<Result<_, _>>().map(Self::Some),
        }
    }

    fn clause(&self) -> Option<String> {
        match self {
            Self::Final => Some("final:true".to_owned()),
            Self::All => None,
            Self::Some(stages) => Some(format!("stage:({})", stages.iter().map(|stage| stage.as_str()).collect::<Vec<_>>().join(" or "))),
        }
    }
}

fn stage(name: &str) -> Result<Stage, Failure> {
    Stage::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(name.trim())).ok_or_else(|| {
        let names = Stage::ALL.map(Stage::as_str);
        let meant = closest(name, names).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        Failure::usage("stages", format!("`{name}` is not a stage")).help(format!("{meant}--stages takes final, all, or some of {}", names.join(",")))
    })
}

/// The words of the command line as one filter with the scope in it, checked.
///
/// # Errors
/// Where the filter is wrong, pointing at the text as it was typed.
pub(crate) fn filter_text(words: &[String], scope: &ScopeFlags, now: Timestamp) -> Result<String, Failure> {
    let typed = words.join(" ");
    Filter::parse(&typed, now).map_err(|error| bad_filter(error, &typed))?;
    let mut parts = Vec::new();
    if !typed.trim().is_empty() {
        parts.push(format!("({typed})"));
    }
    parts.extend(scope.namespace.as_deref().map(|namespace| format!("ns:{}", quoted(namespace))));
    parts.extend(scope.cluster.as_deref().map(|cluster| format!("cluster:{}", quoted(cluster))));
    Ok(if parts.len() == 1 && parts[0].starts_with('(') { typed } else { parts.join(" and ") })
}

/// `filter` for these stages only.
pub(crate) fn with_stages(filter: &str, stages: &Stages) -> String {
    match stages.clause() {
        None => filter.to_owned(),
        Some(clause) if filter.trim().is_empty() => clause,
        Some(clause) => format!("({filter}) and {clause}"),
    }
}

/// `filter` for events of that value only.
pub(crate) fn with_value(filter: &str, field: &str, value: &str) -> String {
    let clause = format!("{field}:{}", value_text(value));
    if filter.trim().is_empty() { clause } else { format!("({filter}) and {clause}") }
}

/// `--since` and `--until`.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn range(flags: &RangeFlags, now: Timestamp) -> Result<TimeRange, Failures> {
    parse_range(flags.since.as_deref(), flags.until.as_deref(), now).map_err(|errors| {
        let failures =
            errors.into_iter().map(|error| Failure::usage("bad-time", format!("--{}: {}", error.bound.as_str(), error.error.message)).help(error.error.help));
        Failures::check(failures.collect()).err().unwrap_or_else(|| Failure::usage("bad-time", "the range is wrong").into())
    })
}

fn bad_filter(error: FilterError, typed: &str) -> Failure {
    let place = Place { column: error.column, length: error.length, text: Some(typed.to_owned()), ..Place::default() };
    let failure = Failure::usage(error.code, error.message).at(place);
    if error.help.is_empty() { failure } else { failure.help(error.help) }
}

/// `text` in quotes, as a filter's value.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_scope_and_stages_become_one_filter() {
        let now = Timestamp::default();
        let scope = |namespace: Option<&str>| ScopeFlags { namespace: namespace.map(str::to_owned), ..ScopeFlags::default() };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(filter_text(&words("verb:get or verb:list"), &scope(None), now).unwrap(), "verb:get or verb:list");
        assert_eq!(filter_text(&words("verb:get or verb:list"), &scope(Some("a")), now).unwrap(), "(verb:get or verb:list) and ns:\"a\"");
        assert_eq!(filter_text(&[], &scope(Some("a")), now).unwrap(), "ns:\"a\"");
        assert_eq!(filter_text(&[], &scope(None), now).unwrap(), "");
        assert_eq!(with_stages("a or b", &Stages::Final), "(a or b) and final:true");
        assert_eq!(with_stages("", &Stages::parse("panic,ResponseComplete").unwrap()), "stage:(Panic or ResponseComplete)");
        assert_eq!(with_stages("x", &Stages::All), "x");
        for text in ["(a or b) and final:true", "stage:(Panic or ResponseComplete)", "(verb:get) and ns:\"a\\\"b\\\\\""] {
            assert!(Filter::parse(text, now).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_wrong_filter_is_pointed_at_as_it_was_typed() {
        let failure = filter_text(&["verb:delete".into(), "and".into(), "usr:bob".into()], &ScopeFlags::default(), Timestamp::default()).unwrap_err();
        let place = failure.place.unwrap();
        assert_eq!((place.column, place.length, place.text.as_deref()), (17, 3, Some("verb:delete and usr:bob")));
    }
}
