//! A question in SQL, asked of a server (`POST /api/v1/sql`).

use std::time::Duration;

use bytes::Bytes;
use decklog_audit::search::{SqlFormat, SqlRequest, SqlSummary};
use http::header;
use http_body_util::BodyExt;

use super::{gaps_of, trailer};
use crate::client::Client;
use crate::failure::{Exit, Failure, Failures};
use crate::target::Pieces;

/// How often it is looked whether the answer is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(in crate::target) fn sql(client: &Client, request: &SqlRequest, out: &mut Pieces<'_>) -> Result<SqlSummary, Failures> {
    let answered = async {
        let Some(timeout) = request.timeout else { return ask(client, request, out).await };
        // The server stops as soon as the connection ends.
        tokio::time::timeout(timeout, ask(client, request, out)).await.unwrap_or_else(|_| {
            let message = format!("the query took longer than {} s", timeout.as_secs_f64());
            Err(Failure::new(Exit::TimeLimit, "query-timeout", message).help("a shorter time range, or a longer --timeout"))
        })
    };
    let stopped = async {
        while !request.stop.is_stopped() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let answer = async {
        tokio::select! {
            answer = answered => answer,
            () = stopped => Err(Failure::new(Exit::Interrupted, "stopped", "the query was stopped")),
        }
    };
    crate::wiring::runtime()?.block_on(answer).map_err(Failures::from)
}

async fn ask(client: &Client, request: &SqlRequest, out: &mut Pieces<'_>) -> Result<SqlSummary, Failure> {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::ACCEPT, media_type(request.format)), (header::TE, "trailers")];
    let question = serde_json::json!({ "query": request.query, "params": request.params, "limit": request.limit });
    let answer = client.post("/api/v1/sql", &headers, Bytes::from(question.to_string())).await;
    let mut body = answer.map_err(|failure| if is_about_the_query(&failure) { failure.pointing_into(&request.query) } else { failure })?.into_body();
    let mut summary = SqlSummary::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| client.broken(&error))?;
        if let Some(trailers) = frame.trailers_ref() {
            summary.n_rows = trailer(trailers, "decklog-returned").and_then(|text| text.parse().ok()).unwrap_or_default();
            summary.cut = trailer(trailers, "decklog-cut") == Some("true");
            summary.gaps = gaps_of(trailers);
            continue;
        }
        if let Ok(bytes) = frame.into_data() {
            out(&bytes)?;
        }
    }
    Ok(summary)
}

fn is_about_the_query(failure: &Failure) -> bool {
    matches!(failure.code, "bad-query" | "forbidden-query")
}

/// What to ask for to be answered in that format.
fn media_type(format: SqlFormat) -> &'static str {
    match format {
        SqlFormat::Json => "application/x-ndjson",
        SqlFormat::Csv => "text/csv",
        SqlFormat::Arrow => "application/vnd.apache.arrow.stream",
        SqlFormat::Parquet => "application/vnd.apache.parquet",
    }
}
