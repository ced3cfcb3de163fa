//! `POST /api/v1/sql`: a question in SQL, answered in rows as they come. What may be asked, and with how much memory, is
//! the searcher's business; this reads the request, keeps the limits, and tells errors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use decklog_audit::access::Identity;
use decklog_audit::search::{SqlError, SqlErrorKind, SqlFormat, SqlRequest, SqlSummary, Stop};
use http::{HeaderMap, HeaderValue, Uri, header};
use serde::Deserialize;
use serde_json::Value;

use super::body::{self, wrong};
use super::outlet::{self, COMPLETE, Outlet, RETURNED};
use super::parameters::Parameters;
use crate::background;
use crate::front::RequestId;
use crate::mark::{Mark, MarkFacts};
use crate::metrics::QueryResult;
use crate::problem::{ParameterError, Problem, ProblemKind};
use crate::router::Shared;

/// The largest body of a question, values included: all of it goes into the mark.
const MAX_BODY_BYTES: usize = 256 << 10;
/// The longest text of a question.
const MAX_QUERY_BYTES: usize = 64 << 10;
/// Values of one question at most.
const MAX_PARAMS: usize = 1_000;

/// Whether there were more rows than the limit.
const CUT: &str = "decklog-cut";

/// How answers are written, by media type; the first is the default.
const FORMATS: [(&str, SqlFormat); 4] = [
    ("application/x-ndjson", SqlFormat::Json),
    ("text/csv", SqlFormat::Csv),
    ("application/vnd.apache.arrow.stream", SqlFormat::Arrow),
    ("application/vnd.apache.parquet", SqlFormat::Parquet),
];

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    query: String,
    #[serde(default)]
    params: Vec<Value>,
    limit: Option<usize>,
}

pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let (media_type, format) = accepted(&headers);
    let request = read(body, format, shared.limits.config.query_timeout).await?;
    let facts = MarkFacts { what: "sql", query: Some(request.query.clone()), params: request.params.clone(), ..MarkFacts::default() };
    let mark = shared.marks.begin(&identity, request_id.as_str(), facts);
    let permit = shared.limits.query(&identity).await?;
    let (outlet, inlet) = outlet::channel(shared.limits.config.stalled, request.stop.clone());
    // Its end is the stream's end, however it comes.
    let _running = background::run(move || {
        let _permit = permit;
        run(&shared, &request, &mark, outlet);
    });
    inlet.answer(media_type, "decklog-returned, decklog-cut, decklog-complete").await
}

/// The first media type that the client accepts and this knows; the default where there is none.
fn accepted(headers: &HeaderMap) -> (&'static str, SqlFormat) {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(',')).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.find_map(|kind| FORMATS.into_iter().find(|(known, _)| kind.eq_ignore_ascii_case(known))).unwrap_or(FORMATS[0])
}

async fn read(sent: Body, format: SqlFormat, timeout: Duration) -> Result<SqlRequest, Problem> {
    let asked: Asked = body::read(sent, MAX_BODY_BYTES, r#"{"query": "SELECT …", "params": ["value of $1"], "limit": 1000}"#).await?;
    if asked.query.len() > MAX_QUERY_BYTES {
        return Err(wrong("query", format!("it has {} bytes, the limit is {MAX_QUERY_BYTES}", asked.query.len()), "put long lists of values into `params`"));
    }
    if asked.params.len() > MAX_PARAMS {
        return Err(wrong("params", format!("there are {} values, the limit is {MAX_PARAMS}", asked.params.len()), "ask in several steps"));
    }
    let params = asked.params.into_iter().enumerate().map(|(index, value)| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            Err(wrong("params", format!("the value of `${}` is a list or an object", index + 1), "write a text, a number, true, false or null"))
        }
    });
    let params = params.collect::<Result<Vec<_>, _>>()?;
    Ok(SqlRequest { query: asked.query, params, limit: asked.limit, timeout: Some(timeout), format, stop: Stop::default() })
}

/// The question itself, on a thread that may wait.
fn run(shared: &Shared, request: &SqlRequest, mark: &Mark, mut outlet: Outlet) {
    let started = Instant::now();
    let result = shared.parts.searcher.sql(request, &mut |piece| {
        outlet.write(piece);
        outlet.pass_on()
    });
    let counted = if outlet.is_gone() { QueryResult::ClientLeft } else { result_of(&result) };
    shared.metrics.query("sql", counted, started.elapsed());
    if let Ok(summary) = &result {
        mark.add(summary.n_rows);
    }
    if outlet.is_gone() {
        return;
    }
    match result {
        Ok(summary) => outlet.end(trailers(&summary)),
        Err(error) => outlet.fail(problem_of(error)),
    }
}

fn trailers(summary: &SqlSummary) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(RETURNED, HeaderValue::from(summary.n_rows));
    trailers.insert(CUT, outlet::truth(summary.cut));
    trailers.insert(COMPLETE, outlet::truth(summary.gaps.is_empty()));
    trailers
}

fn result_of(result: &Result<SqlSummary, SqlError>) -> QueryResult {
    match result {
        Ok(summary) if summary.gaps.is_empty() => QueryResult::Ok,
        Ok(_) => QueryResult::Incomplete,
        Err(error) => match error.kind {
            SqlErrorKind::Bad | SqlErrorKind::Forbidden | SqlErrorKind::Memory => QueryResult::Refused,
            SqlErrorKind::Timeout => QueryResult::Timeout,
            SqlErrorKind::Stopped => QueryResult::ClientLeft,
            SqlErrorKind::Unavailable | SqlErrorKind::Failed => QueryResult::Failed,
        },
    }
}

/// What the client is told of a question that was not answered.
fn problem_of(error: SqlError) -> Problem {
    let kind = match error.kind {
        SqlErrorKind::Bad => ProblemKind::BadQuery,
        SqlErrorKind::Forbidden => ProblemKind::ForbiddenQuery,
        SqlErrorKind::Memory => ProblemKind::TooLarge,
        SqlErrorKind::Timeout | SqlErrorKind::Stopped => ProblemKind::QueryTimeout,
        SqlErrorKind::Unavailable => return Problem::new(ProblemKind::Unavailable, error.message),
        SqlErrorKind::Failed => {
            return Problem::new(ProblemKind::Unavailable, "the store could not be read; the log of decklog says why under this request id")
                .inside(error.message);
        }
    };
    let (line, column) = error.place.unzip();
    let told = ParameterError { line, column, ..ParameterError::new("query", error.message, error.help.unwrap_or_default()) };
    Problem::of_parameters(kind, vec![told])
}
