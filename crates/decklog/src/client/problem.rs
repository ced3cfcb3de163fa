//! A server's refusal (RFC 9457) as a failure of ours.

use http::StatusCode;
use serde::Deserialize;

use super::exit_of;
use crate::failure::{Failure, Place};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    title: String,
    errors: Vec<Wrong>,
    #[serde(rename = "requestId")]
    request_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wrong {
    parameter: String,
    line: Option<usize>,
    column: Option<usize>,
    length: Option<usize>,
    message: String,
    help: String,
}

impl Wrong {
    /// Where it is, in a text that the caller knows.
    fn place(&self) -> Option<Place> {
        let column = self.column?;
        Some(Place { line: self.line.unwrap_or(1), column, length: self.length.unwrap_or_default(), ..Place::default() })
    }
}

/// The problems that scripts know apart by more than their status; the words are the last part of the problem's type.
const KINDS: [&str; 3] = ["bad-query", "forbidden-query", "too-large"];

/// The failure that an answer without success means.
pub(crate) fn failure_of(status: StatusCode, body: &[u8], base: &str) -> Failure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let said = [&problem.detail, &problem.title].into_iter().find(|text| !text.is_empty());
    let wrong = problem.errors.first();
    let message = match (wrong, said) {
        // Who asks in SQL sees the query; its name says nothing.
        (Some(wrong), _) if wrong.parameter == "query" => wrong.message.clone(),
        (Some(wrong), _) => format!("{}: {}", wrong.parameter, wrong.message),
        (None, Some(said)) => format!("{base} says: {said}"),
        (None, None) => format!("{base} answers {status}"),
    };
    let known = KINDS.into_iter().find(|kind| problem.kind.rsplit('/').next() == Some(kind));
    let code = known.unwrap_or(match status {
        StatusCode::UNAUTHORIZED => "unauthenticated",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::GATEWAY_TIMEOUT => "query-timeout",
        _ => "server",
    });
    let mut failure = Failure::new(exit_of(status), code, message);
    failure.place = wrong.filter(|wrong| wrong.parameter == "query").and_then(Wrong::place).map(Box::new);
    failure.help = wrong.map(|wrong| wrong.help.clone()).filter(|help| !help.is_empty());
    if status == StatusCode::UNAUTHORIZED {
        failure.help = Some("name a file with your token with --token-file, or a client certificate with --client-cert".to_owned());
    }
    if status.is_server_error() && !problem.request_id.is_empty() {
        failure = failure.note(format!("request {}", problem.request_id));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn problems_become_failures_with_their_exit_code() {
        let body = br#"{"title":"Not allowed","detail":"`carol` may not do this: it needs the scope `admin`"}"#;
        let failure = failure_of(StatusCode::FORBIDDEN, body, "http://x");
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Denied, "http://x says: `carol` may not do this: it needs the scope `admin`"));
        let body = br#"{"type":"https://decklog.io/problems/bad-query","errors":[{"parameter":"query","line":2,"column":3,"message":"no column `usr`"}]}"#;
        let failure = failure_of(StatusCode::BAD_REQUEST, body, "http://x").pointing_into("SELECT\n  usr FROM events");
        assert_eq!((failure.exit, failure.code, failure.message.as_str()), (Exit::Usage, "bad-query", "no column `usr`"));
        let place = failure.place.unwrap();
        assert_eq!((place.line, place.column, place.length, place.text.as_deref()), (2, 3, 3, Some("  usr FROM events")));
        let failure = failure_of(StatusCode::BAD_GATEWAY, b"<html>", "http://x");
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Failed, "http://x answers 502 Bad Gateway"));
    }
}
