//! `GET /api/v1/histogram`, `/facets` and `/extent`: counts of the events that match, of the same question as a page
//! of events, so that their totals agree.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use decklog_audit::Timestamp;
use decklog_audit::access::Identity;
use decklog_audit::filter::fields::Field;
use decklog_audit::search::{self, Extent, FacetRequest, HistogramRequest, Order, SearchError, SearchRequest, SearchSummary, Searcher, SeqRange, Stop};
use http::Uri;
use serde::Serialize;

use super::parameters::{Parameters, Question};
use super::search::Search;
use crate::front::RequestId;
use crate::mark::{Mark, MarkFacts};
use crate::problem::{ParameterError, Problem};
use crate::router::Shared;

/// Buckets of a histogram, if nothing else is asked for.
const DEFAULT_BUCKETS: u64 = 60;
/// Fields of one request at most: each costs a table of its values.
const MAX_FIELDS: usize = 20;
/// Values of a field, if nothing else is asked for, and at most.
const DEFAULT_VALUES: u64 = 10;
const MAX_VALUES: u64 = 1_000;

/// The parameters of every question.
pub(super) const QUESTION: [&str; 6] = ["filter", "since", "until", "stages", "unit", "asof"];

/// Who asks, and under which id.
pub(super) type Asking<'a> = (&'a Identity, &'a RequestId);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistogramBody {
    seconds: u64,
    values: Vec<String>,
    buckets: Vec<BucketBody>,
    total: u64,
    asof: u64,
    complete: bool,
    gaps: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BucketBody {
    start: String,
    events: u64,
    by_value: Vec<u64>,
}

pub(crate) async fn histogram(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
) -> Result<Json<HistogramBody>, Problem> {
    let mut parameters = Parameters::read(&uri, &with_question(&["buckets", "split"]));
    let (question, asof) = read_question(&shared, &mut parameters);
    let n_buckets = parameters.number("buckets", 1, search::MAX_BUCKETS as u64).unwrap_or(DEFAULT_BUCKETS) as usize;
    let split = parameters.text("split").map(str::to_owned).and_then(|name| parameters.field("split", &name));
    parameters.finish()?;
    let facts = MarkFacts { fields: split.iter().map(Field::to_string).collect(), ..MarkFacts::new("histogram", &question.filter_text, question.range) };
    let asked = HistogramRequest { n_buckets, split };
    let (histogram, summary) =
        count(&shared, (&identity, &request_id), facts, question, asof, move |searcher, request| searcher.histogram(request, &asked)).await?;
    let bucket = |bucket: search::Bucket| BucketBody { start: bucket.start.rfc3339_nano(), events: bucket.n_events, by_value: bucket.by_value };
    Ok(Json(HistogramBody {
        seconds: histogram.seconds,
        values: histogram.values,
        buckets: histogram.buckets.into_iter().map(bucket).collect(),
        total: summary.n_matched,
        asof,
        complete: summary.gaps.is_empty(),
        gaps: summary.gaps,
    }))
}

#[derive(Serialize)]
pub(crate) struct FacetsBody {
    facets: Vec<FacetBody>,
    total: u64,
    asof: u64,
    complete: bool,
    gaps: Vec<String>,
}

#[derive(Serialize)]
struct FacetBody {
    field: String,
    values: Vec<ValueBody>,
    distinct: usize,
    missing: u64,
    other: u64,
}

#[derive(Serialize)]
struct ValueBody {
    value: String,
    events: u64,
}

pub(crate) async fn facets(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
) -> Result<Json<FacetsBody>, Problem> {
    let mut parameters = Parameters::read_lists(&uri, &with_question(&["field", "size", "prefix"]), &["field"]);
    let (question, asof) = read_question(&shared, &mut parameters);
    let fields = read_fields(&mut parameters);
    let n_top = parameters.number("size", 1, MAX_VALUES).unwrap_or(DEFAULT_VALUES) as usize;
    let prefix = parameters.text("prefix").unwrap_or_default().to_owned();
    parameters.finish()?;
    let names: Vec<String> = fields.iter().map(Field::to_string).collect();
    let facts = MarkFacts { fields: names.clone(), ..MarkFacts::new("facets", &question.filter_text, question.range) };
    let asked = FacetRequest { fields: fields.clone(), n_top, prefix };
    let (facets, mut summary) =
        count(&shared, (&identity, &request_id), facts, question, asof, move |searcher, request| searcher.facets(request, &asked)).await?;
    summary.gaps.extend(fields.iter().zip(&facets).filter_map(|(field, facets)| facets.gap(field)));
    let facet = |(field, facet): (String, search::Facets)| FacetBody {
        field,
        values: facet.top.into_iter().map(|count| ValueBody { value: count.value, events: count.n_events }).collect(),
        distinct: facet.n_values,
        missing: facet.n_missing,
        other: facet.n_other + facet.n_uncounted,
    };
    Ok(Json(FacetsBody {
        facets: names.into_iter().zip(facets).map(facet).collect(),
        total: summary.n_matched,
        asof,
        complete: summary.gaps.is_empty(),
        gaps: summary.gaps,
    }))
}

fn read_fields(parameters: &mut Parameters) -> Vec<Field> {
    let names = parameters.texts("field");
    if names.is_empty() || names.len() > MAX_FIELDS {
        let message = format!("{} fields were named, 1 to {MAX_FIELDS} can be", names.len());
        parameters.wrong(ParameterError::new("field", message, "write `field=user&field=verb`; /api/v1/fields lists them"));
        return Vec::new();
    }
    names.iter().filter_map(|name| parameters.field("field", name)).collect()
}

#[derive(Serialize)]
pub(crate) struct ExtentBody {
    events: u64,
    requests: u64,
    first: Option<String>,
    last: Option<String>,
    asof: u64,
    complete: bool,
    gaps: Vec<String>,
}

pub(crate) async fn extent(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
) -> Result<Json<ExtentBody>, Problem> {
    let mut parameters = Parameters::read(&uri, &QUESTION);
    let (question, asof) = read_question(&shared, &mut parameters);
    let of_everything = question.filter.is_everything() && question.range == search::TimeRange::default() && parameters.text("asof").is_none();
    parameters.finish()?;
    let facts = MarkFacts::new("extent", &question.filter_text, question.range);
    let (extent, summary) = count(&shared, (&identity, &request_id), facts, question, asof, move |searcher, request| {
        if of_everything { searcher.extent(&request.stop) } else { extent_of(searcher, request) }
    })
    .await?;
    let text = |time: Timestamp| time.rfc3339_nano();
    Ok(Json(ExtentBody {
        events: extent.n_events,
        requests: extent.n_requests,
        first: extent.times.map(|(first, _)| text(first)),
        last: extent.times.map(|(_, last)| text(last)),
        // The store may not have seen the newest marks, which are no events.
        asof: if of_everything { extent.next_seq.max(asof) } else { asof },
        complete: summary.gaps.is_empty(),
        gaps: summary.gaps,
    }))
}

/// The extent of the events that match.
fn extent_of(searcher: &dyn Searcher, request: &SearchRequest) -> Result<(Extent, SearchSummary), SearchError> {
    let mut extent = Extent::default();
    let summary = searcher.search(request, &mut |hit| {
        extent.add(&hit);
        let (first, last) = extent.times.unwrap_or((hit.time, hit.time));
        extent.times = Some((first.min(hit.time), last.max(hit.time)));
        ControlFlow::Continue(())
    })?;
    Ok((extent, summary))
}

fn with_question(own: &[&'static str]) -> Vec<&'static str> {
    QUESTION.iter().chain(own).copied().collect()
}

/// What is asked, and as of which place in the journal.
pub(super) fn read_question(shared: &Shared, parameters: &mut Parameters) -> (Question, u64) {
    let question = parameters.question((shared.parts.clock)());
    (question, parameters.asof(shared.parts.journal.next_seq()))
}

/// Counts within the limits, leaving a mark with the number of events counted.
async fn count<T, A>(shared: &Shared, asking: Asking<'_>, facts: MarkFacts, question: Question, asof: u64, ask: A) -> Result<(T, SearchSummary), Problem>
where
    T: Send + 'static,
    A: FnOnce(&dyn Searcher, &SearchRequest) -> Result<(T, SearchSummary), SearchError> + Send + 'static,
{
    let (identity, request_id) = asking;
    let kind = facts.what;
    let mark: Mark = shared.marks.begin(identity, request_id.as_str(), facts);
    let permit = shared.limits.query(identity).await?;
    let request = SearchRequest {
        filter: question.filter,
        range: question.range,
        seqs: SeqRange { from: None, until: Some(asof) },
        after: None,
        limit: None,
        order: Order::Arrival,
        stop: Stop::default(),
    };
    let search = Search { searcher: shared.parts.searcher.clone(), metrics: shared.metrics.clone(), kind, request, permit };
    let (answer, summary) = search.answer(shared.limits.config.query_timeout, ask).await?;
    mark.add(summary.n_matched);
    Ok((answer, summary))
}
