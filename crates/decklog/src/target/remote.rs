//! Asking a server through its API.

mod counts;
mod sql;

use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::search::Order;
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use super::{Found, Question, Tally};
use crate::client::{Client, Message, Messages, encoded};
use crate::commands::Context;
use crate::failure::{Exit, Failure, Failures};

pub(super) use counts::{extent, facets, histogram};
pub(super) use sql::sql;

/// Between two attempts to come back to a server that has gone.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) fn search(client: &Client, question: &Question, found: &mut Found<'_>) -> Result<Tally, Failures> {
    crate::wiring::runtime()?.block_on(stream(client, question, found)).map_err(Failures::from)
}

pub(super) fn count(client: &Client, question: &Question) -> Result<Tally, Failures> {
    #[derive(serde::Deserialize)]
    struct Page {
        #[serde(default)]
        matched: u64,
        #[serde(default)]
        gaps: Vec<String>,
    }
    let newest = Question { order: Order::Descending, limit: Some(1), ..question.clone() };
    let page: Page = crate::wiring::runtime()?.block_on(client.json(&path(&newest)))?;
    Ok(Tally { n_matched: page.matched, extent: None, gaps: page.gaps })
}

pub(super) fn tail(client: &Client, question: &Question, last: usize, context: &Context, found: &mut Found<'_>) -> Result<(), Failures> {
    crate::wiring::runtime()?.block_on(follow(client, question, last, context, found)).map_err(Failures::from)
}

/// The path of a resource that answers about the events of `question`.
fn about(resource: &str, question: &Question) -> String {
    let mut path = format!("/api/v1/{resource}?filter={}", encoded(&question.filter));
    for (name, time) in [("since", question.range.since), ("until", question.range.until)] {
        if let Some(time) = time {
            path.push_str(&format!("&{name}={}", encoded(&time.rfc3339_nano())));
        }
    }
    path
}

fn path(question: &Question) -> String {
    let order = if question.order == Order::Descending { "desc" } else { "asc" };
    format!("{}&limit={}&order={order}", about("events", question), question.limit.unwrap_or(0))
}

async fn stream(client: &Client, question: &Question, found: &mut Found<'_>) -> Result<Tally, Failure> {
    let headers = [(header::ACCEPT, "application/x-ndjson"), (header::TE, "trailers")];
    let mut body = client.get(&path(question), &headers).await?.into_body();
    let mut tally = Tally::default();
    let mut n_found = 0;
    let mut line = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| client.broken(&error))?;
        if let Some(trailers) = frame.trailers_ref() {
            tally.n_matched = trailer(trailers, "decklog-matched").and_then(|text| text.parse().ok()).unwrap_or(n_found);
            tally.gaps = gaps_of(trailers);
            continue;
        }
        let Ok(bytes) = frame.into_data() else { continue };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.pop_if(|byte| *byte == b'\n').is_some() {
                n_found += 1;
                found(&line, None)?;
                line.clear();
            }
        }
    }
    tally.n_matched = tally.n_matched.max(n_found);
    Ok(tally)
}

fn trailer<'a>(trailers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    trailers.get(name).and_then(|value| value.to_str().ok())
}

/// What the trailers of a streamed answer say about what is missing in it.
fn gaps_of(trailers: &HeaderMap) -> Vec<String> {
    let incomplete = trailer(trailers, "decklog-complete") == Some("false");
    incomplete.then(|| "the server could not read all events; its log says which".to_owned()).into_iter().collect()
}

/// Follows, and comes back where it was when the connection ends: the server is restarted, or the network broke.
async fn follow(client: &Client, question: &Question, last: usize, context: &Context, found: &mut Found<'_>) -> Result<(), Failure> {
    let mut resume: Option<String> = None;
    let mut pause = FIRST_PAUSE;
    let mut connected_before = false;
    loop {
        let mut path = format!("/api/v1/tail?filter={}", encoded(&question.filter));
        if last > 0 && resume.is_none() {
            path.push_str(&format!("&last={last}"));
        }
        let mut headers = vec![(header::ACCEPT, "text/event-stream")];
        let last_event_id = header::HeaderName::from_static("last-event-id");
        if let Some(id) = &resume {
            headers.push((last_event_id, id));
        }
        let ended = match client.get(&path, &headers).await {
            Ok(answer) => {
                connected_before = true;
                pause = FIRST_PAUSE;
                let mut body = answer.into_body();
                let mut messages = Messages::default();
                loop {
                    match body.frame().await {
                        Some(Ok(frame)) => {
                            if let Ok(bytes) = frame.into_data() {
                                let mut take = |message: Message| take(message, &mut resume, context, found);
                                messages.feed(&bytes, &mut take)?;
                            }
                        }
                        Some(Err(error)) => break client.broken(&error).message,
                        None => break format!("{} ended the tail", client.base()),
                    }
                }
            }
            // Only what may be otherwise next time is worth coming again, and only to a server that was there.
            Err(failure) if connected_before && failure.exit == Exit::Failed => failure.message,
            Err(failure) => return Err(failure),
        };
        context.detail(&format!("{ended}; coming again"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn take(message: Message, resume: &mut Option<String>, context: &Context, found: &mut Found<'_>) -> Result<(), Failure> {
    if let Some(id) = message.id {
        *resume = Some(id);
    }
    match message.event.as_str() {
        "audit" => found(&message.data, None::<Timestamp>),
        "lag" => {
            let skipped = serde_json::from_slice::<serde_json::Value>(&message.data).ok().and_then(|lag| lag.get("skipped")?.as_u64());
            context.note(&format!("warning: {} events were skipped, since this end reads too slowly", skipped.unwrap_or_default()));
            Ok(())
        }
        "error" => {
            context.note(&format!("warning: the server says: {}", crate::output::escape(&String::from_utf8_lossy(&message.data))));
            Ok(())
        }
        _ => Ok(()),
    }
}
