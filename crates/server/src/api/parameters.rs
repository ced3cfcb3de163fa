//! A request's query string: each parameter known, named once, and everything wrong with them told at once.

use axum::extract::Query;
use decklog_audit::Timestamp;
use decklog_audit::filter::fields::Field;
use decklog_audit::filter::{Filter, FilterError};
use decklog_audit::search::{Order, TimeRange};
use decklog_audit::timespec::{RangeError, parse_range};
use http::Uri;

use crate::problem::{ParameterError, Problem, ProblemKind};

/// The parameters of one request, with the errors found so far.
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    errors: Vec<(ProblemKind, ParameterError)>,
}

/// What is asked: the same for every page of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The whole filter, stages and unit included.
    pub(crate) filter: Filter,
    /// Its text, as the mark tells it.
    pub(crate) filter_text: String,
    pub(crate) range: TimeRange,
    /// The parameters as they came, for the cursor to be bound to.
    pub(crate) spelled: String,
}

impl Parameters {
    /// Reads the query string; only `allowed` names may be in it, each once.
    pub(crate) fn read(uri: &Uri, allowed: &[&str]) -> Self {
        Self::read_lists(uri, allowed, &[])
    }

    /// Reads the query string; of the names allowed, those of `lists` may stand several times.
    pub(crate) fn read_lists(uri: &Uri, allowed: &[&str], lists: &[&str]) -> Self {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|query| query.0).unwrap_or_default();
        let mut parameters = Self { pairs: Vec::new(), errors: Vec::new() };
        for (name, value) in pairs {
            if parameters.errors.len() == MAX_ERRORS {
                break;
            }
            if !allowed.contains(&name.as_str()) {
                let name = name.chars().take(40).collect::<String>();
                parameters.wrong(ParameterError::new(&name, format!("`{name}` is no parameter here"), format!("the parameters are {}", allowed.join(", "))));
            } else if !lists.contains(&name.as_str()) && parameters.pairs.iter().any(|(known, _)| *known == name) {
                parameters.wrong(ParameterError::new(&name, format!("`{name}` stands twice"), "name it once"));
            } else {
                parameters.pairs.push((name, value));
            }
        }
        parameters
    }

    /// A parameter's text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The texts of a parameter that may stand several times.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// A field by the name it has in filters.
    pub(crate) fn field(&mut self, name: &str, text: &str) -> Option<Field> {
        match Field::parse(text) {
            Ok(field) => Some(field),
            Err(error) => {
                let error = ParameterError { column: Some(error.column), length: Some(error.length), ..ParameterError::new(name, error.message, error.help) };
                self.wrong(error);
                None
            }
        }
    }

    /// The place in the journal below which the answer's events lie; `end` if none is asked for.
    pub(crate) fn asof(&mut self, end: u64) -> u64 {
        let Some(text) = self.text("asof") else { return end };
        let asof = text.parse::<u64>().ok();
        match asof.filter(|asof| *asof <= end) {
            Some(asof) => asof,
            None => {
                let message = match asof {
                    Some(asof) => format!("`{asof}` is behind the end of this journal, {end}"),
                    None => format!("`{}` is no sequence number", short(text)),
                };
                self.wrong(ParameterError::new("asof", message, format!("write a whole number up to {end}, or leave it out")));
                end
            }
        }
    }

    /// A whole number between `least` and `most`.
    pub(crate) fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                let message = format!("`{}` is no whole number from {least} to {most}", short(text));
                self.wrong(ParameterError::new(name, message, "write such a number, or leave it out"));
                None
            }
        }
    }

    /// One word of a list; the first is the default.
    pub(crate) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> T {
        let Some(text) = self.text(name) else { return words[0].1 };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let list = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        let message = format!("`{}` is not known", short(text));
        self.wrong(ParameterError::new(name, message, format!("write {list}")));
        words[0].1
    }

    /// The order of the answer.
    pub(crate) fn order(&mut self, default: Order) -> Order {
        let words = [("asc", Order::Ascending), ("desc", Order::Descending)];
        if self.text("order").is_none() { default } else { self.word("order", &words) }
    }

    /// Filter, stages, unit and time range; words such as `today` are read as of `now`.
    pub(crate) fn question(&mut self, now: Timestamp) -> Question {
        let given = |name: &str| self.text(name).unwrap_or_default().to_owned();
        let (filter, stages, since, until) = (given("filter"), given("stages"), self.text("since"), self.text("until"));
        let (unit, asof) = (given("unit"), given("asof"));
        let spelled = format!("{filter}\0{stages}\0{since:?}\0{until:?}\0{unit}\0{asof}");
        let range = parse_range(since, until, now);
        let mut question = Question { filter: Filter::default(), filter_text: filter, range: TimeRange::default(), spelled };
        match range {
            Ok(range) => question.range = range,
            Err(errors) => self.errors.extend(errors.into_iter().map(|error| (ProblemKind::BadTime, range_error(error)))),
        }
        self.filter(&mut question, &stages, now);
        question
    }

    fn filter(&mut self, question: &mut Question, stages: &str, now: Timestamp) {
        // First on its own, so that columns in errors are those of the text that was sent.
        match Filter::parse(&question.filter_text, now) {
            Ok(filter) => question.filter = filter,
            Err(error) => {
                return self.errors.push((ProblemKind::BadFilter, filter_error("filter", error)));
            }
        }
        let unit = self.word("unit", &[("event", Unit::Event), ("request", Unit::Request)]);
        let clause = match (stages, unit) {
            ("" | "all", Unit::Event) => return,
            ("" | "all" | "final", Unit::Request) | ("final", Unit::Event) => FINAL.to_owned(),
            (list, unit) => match stage_names(list) {
                Some(names) if unit == Unit::Request => format!("stage:({}) and {FINAL}", names.join(" or ")),
                Some(names) => format!("stage:({})", names.join(" or ")),
                None => return self.wrong(ParameterError::new("stages", format!("`{}` is no list of stages", short(list)), STAGES_HELP)),
            },
        };
        let text = if question.filter_text.trim().is_empty() { clause } else { format!("({}) and {clause}", question.filter_text) };
        match Filter::parse(&text, now) {
            Ok(filter) => (question.filter, question.filter_text) = (filter, text),
            // The filter alone was right, so that it has become too long or too deep.
            Err(error) => self.wrong(ParameterError::new("stages", format!("the filter cannot take stages as well: {}", error.message), "shorten the filter")),
        }
    }

    /// Notes another error.
    pub(crate) fn wrong(&mut self, error: ParameterError) {
        self.errors.push((ProblemKind::BadParameter, error));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// One problem with everything that is wrong; its type is that of the first error.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let Some((kind, _)) = self.errors.first() else { return Ok(()) };
        let kind = *kind;
        Err(Problem::of_parameters(kind, self.errors.into_iter().map(|(_, error)| error).collect()))
    }
}

/// What is wrong with a filter that came as `parameter`.
pub(crate) fn filter_error(parameter: &str, error: FilterError) -> ParameterError {
    ParameterError { column: Some(error.column), length: Some(error.length), ..ParameterError::new(parameter, error.message, error.help) }
}

/// What is wrong with one end of a range.
pub(crate) fn range_error(error: RangeError) -> ParameterError {
    ParameterError::new(error.bound.as_str(), error.error.message, error.error.help)
}

/// What an answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Events.
    Event,
    /// Requests, each by its last event.
    Request,
}

/// The filter for the last event of each request.
const FINAL: &str = "final:true";

/// So many wrong parameters are told at once; a query string has room for thousands.
const MAX_ERRORS: usize = 20;

const STAGES_HELP: &str = "write `all`, `final`, or some of RequestReceived, ResponseStarted, ResponseComplete, Panic with commas between";

fn stage_names(list: &str) -> Option<Vec<&'static str>> {
    const STAGES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
    list.split(',').map(|name| STAGES.into_iter().find(|stage| stage.eq_ignore_ascii_case(name.trim()))).collect()
}

/// The beginning of a client's text, for a message.
fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, allowed: &[&str]) -> Parameters {
        Parameters::read(&format!("/api/v1/events?{query}").parse().unwrap(), allowed)
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let mut parameters = read("limit=x&lmit=1&since=zz&until=1.5h&order=up&order=asc&stages=Done", &["limit", "since", "until", "order", "stages"]);
        parameters.number("limit", 1, 10);
        parameters.order(Order::Ascending);
        parameters.question(Timestamp::default());
        let problem = parameters.finish().unwrap_err();
        let names: Vec<_> = problem.errors.iter().map(|error| error.parameter.as_str()).collect();
        assert_eq!(names, ["lmit", "order", "limit", "order", "since", "until", "stages"]);
        assert_eq!(problem.kind, ProblemKind::BadParameter);
    }

    #[test]
    fn stages_become_part_of_the_filter() {
        let text = |query: &str| read(query, &["filter", "stages", "unit"]).question(Timestamp::default()).filter_text;
        assert_eq!(text("filter=verb:get"), "verb:get");
        assert_eq!(text("filter=verb:get&stages=all"), "verb:get");
        assert_eq!(text("filter=verb:get+or+verb:list&stages=final"), "(verb:get or verb:list) and final:true");
        assert_eq!(text("unit=event"), "");
        assert_eq!(text("unit=request"), "final:true");
        assert_eq!(text("filter=verb:get&unit=request&stages=final"), "(verb:get) and final:true");
        assert_eq!(text("unit=request&stages=panic"), "stage:(Panic) and final:true");
        assert_eq!(text("stages=panic,ResponseComplete"), "stage:(Panic or ResponseComplete)");
    }
}
