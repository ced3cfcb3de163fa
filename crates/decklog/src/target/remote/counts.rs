//! Counts as the server's API tells them: facets, histogram, extent (docs/api.md).

use decklog_audit::Timestamp;
use decklog_audit::search::{self, Extent, FacetCount, FacetRequest, Facets, Histogram, HistogramRequest};
use serde::Deserialize;

use super::about;
use crate::client::{Client, encoded};
use crate::failure::Failures;
use crate::target::{Question, Tally};

/// Values of one field that a server gives at most.
const MAX_VALUES: usize = 1_000;

#[derive(Deserialize)]
struct FacetsBody {
    facets: Vec<FacetBody>,
    total: u64,
    #[serde(default)]
    gaps: Vec<String>,
}

#[derive(Deserialize)]
struct FacetBody {
    values: Vec<ValueBody>,
    distinct: usize,
    missing: u64,
    other: u64,
}

#[derive(Deserialize)]
struct ValueBody {
    value: String,
    events: u64,
}

impl From<FacetBody> for Facets {
    fn from(body: FacetBody) -> Self {
        let top = body.values.into_iter().map(|value| FacetCount { value: value.value, n_events: value.events }).collect();
        Self { top, n_values: body.distinct, n_other: body.other, n_uncounted: 0, n_missing: body.missing }
    }
}

pub(in crate::target) fn facets(client: &Client, question: &Question, asked: &FacetRequest) -> Result<(Vec<Facets>, Tally), Failures> {
    let mut path = format!("{}&size={}&prefix={}", about("facets", question), asked.n_top.clamp(1, MAX_VALUES), encoded(&asked.prefix));
    for field in &asked.fields {
        path.push_str(&format!("&field={}", encoded(&field.to_string())));
    }
    let body: FacetsBody = crate::wiring::runtime()?.block_on(client.json(&path))?;
    let tally = Tally { n_matched: body.total, extent: None, gaps: body.gaps };
    Ok((body.facets.into_iter().map(Facets::from).collect(), tally))
}

#[derive(Deserialize)]
struct HistogramBody {
    seconds: u64,
    #[serde(default)]
    values: Vec<String>,
    buckets: Vec<BucketBody>,
    total: u64,
    #[serde(default)]
    gaps: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BucketBody {
    start: String,
    events: u64,
    #[serde(default)]
    by_value: Vec<u64>,
}

pub(in crate::target) fn histogram(client: &Client, question: &Question, asked: &HistogramRequest) -> Result<(Histogram, Tally), Failures> {
    let mut path = format!("{}&buckets={}", about("histogram", question), asked.n_buckets);
    if let Some(field) = &asked.split {
        path.push_str(&format!("&split={}", encoded(&field.to_string())));
    }
    let body: HistogramBody = crate::wiring::runtime()?.block_on(client.json(&path))?;
    let bucket = |bucket: BucketBody| search::Bucket { start: time(&bucket.start), n_events: bucket.events, by_value: bucket.by_value };
    let histogram = Histogram { buckets: body.buckets.into_iter().map(bucket).collect(), seconds: body.seconds, values: body.values };
    Ok((histogram, Tally { n_matched: body.total, extent: None, gaps: body.gaps }))
}

pub(in crate::target) fn extent(client: &Client) -> Result<Extent, Failures> {
    #[derive(Deserialize)]
    struct Body {
        events: u64,
        requests: u64,
        first: Option<String>,
        last: Option<String>,
        asof: u64,
    }
    let body: Body = crate::wiring::runtime()?.block_on(client.json("/api/v1/extent"))?;
    let times = body.first.zip(body.last).map(|(first, last)| (time(&first), time(&last)));
    Ok(Extent { n_events: body.events, n_requests: body.requests, times, next_seq: body.asof })
}

/// A time as decklog's own server writes it.
fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap_or_default()
}
