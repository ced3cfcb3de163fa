//! `GET /api/v1/events/{SEQ-ID}`: one event by its name. The sequence finds it, the id confirms it.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use decklog_audit::access::Identity;
use decklog_audit::search::{SearchRequest, SeqRange};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use super::parameters::Parameters;
use super::search::{Collected, Search, timed_out};
use crate::front::RequestId;
use crate::mark::MarkFacts;
use crate::problem::{Problem, ProblemKind};
use crate::router::Shared;

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let Some((seq, id)) = parse_name(&name) else {
        return Err(Problem::new(ProblemKind::NotFound, "an event is named `SEQ-ID`: its sequence, a dash, and 32 hex digits"));
    };
    let facts = MarkFacts { what: "event", filter: Some(format!("id:{name}")), ..MarkFacts::default() };
    let mark = shared.marks.begin(&identity, request_id.as_str(), facts);
    let permit = shared.limits.query(&identity).await?;
    let request = SearchRequest { seqs: SeqRange { from: Some(seq), until: seq.checked_add(1) }, limit: Some(1), ..SearchRequest::default() };
    let search = Search { searcher: shared.parts.searcher.clone(), metrics: shared.metrics.clone(), kind: "event", request, permit };
    let wanted = id.clone();
    let collected = search
        .collect(shared.limits.config.query_timeout, None, move |found: &mut Option<Found>, hit| {
            if hit.seq == seq && hit.id.to_string() == wanted {
                let facts = [hit.ingested_at.rfc3339_nano(), hit.origin.cluster.to_string(), hit.origin.source.to_string(), hit.origin.sender.to_string()];
                *found = Some(Found { line: hit.line.to_vec(), facts });
            }
            ControlFlow::Break(())
        })
        .await?;
    let found = match collected {
        Collected::Whole(found, _) => found,
        Collected::Part(_) => return Err(timed_out()),
    };
    let Some(found) = found else {
        return Err(Problem::new(ProblemKind::NotFound, format!("no event has the name `{seq}-{id}`")));
    };
    mark.add(1);
    Ok(found.answer(&format!("\"{seq}-{id}\""), &headers))
}

struct Found {
    line: Vec<u8>,
    facts: [String; 4],
}

impl Found {
    fn answer(self, etag: &str, headers: &HeaderMap) -> Response {
        let known = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .any(|value| value.to_str().is_ok_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)));
        let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(self.line).into_response() };
        let answer = response.headers_mut();
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, immutable, max-age=31536000"));
        if let Ok(etag) = HeaderValue::from_str(etag) {
            answer.insert(header::ETAG, etag);
        }
        for (name, fact) in ["decklog-ingested-at", "decklog-cluster", "decklog-source", "decklog-sender"].into_iter().zip(self.facts) {
            // A file's path may hold what no header can; it is then left out.
            if let Ok(value) = HeaderValue::from_str(&fact) {
                answer.insert(name, value);
            }
        }
        response
    }
}

/// The sequence and the id (lower case) of `SEQ-ID`.
fn parse_name(name: &str) -> Option<(u64, String)> {
    let (seq, id) = name.split_once('-')?;
    let digits = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
    let hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits && hex).then(|| seq.parse().ok())?.map(|seq| (seq, id.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_sequence_and_32_hex_digits() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(parse_name(&format!("17-{id}")), Some((17, id.to_owned())));
        assert_eq!(parse_name(&format!("17-{}", id.to_uppercase())), Some((17, id.to_owned())));
        for name in [
            "",
            "17",
            "17-",
            "-17",
            "+17-0123456789abcdef0123456789abcdef",
            "99999999999999999999-0123456789abcdef0123456789abcdef",
            "1-0123456789abcdef0123456789abcdeg",
            "1-é",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
