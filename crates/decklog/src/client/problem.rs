//! A server's refusal (RFC 9457) as a failure of ours.

use http::StatusCode;
use serde::Deserialize;

use super::exit_of;
use crate::failure::Failure;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
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
    message: String,
    help: String,
}

/// The failure that an answer without success means.
pub(crate) fn failure_of(status: StatusCode, body: &[u8], base: &str) -> Failure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let said = [&problem.detail, &problem.title].into_iter().find(|text| !text.is_empty());
    let wrong = problem.errors.first();
    let message = match (wrong, said) {
        (Some(wrong), _) => format!("{}: {}", wrong.parameter, wrong.message),
        (None, Some(said)) => format!("{base} says: {said}"),
        (None, None) => format!("{base} answers {status}"),
    };
    let code = match status {
        StatusCode::UNAUTHORIZED => "unauthenticated",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::GATEWAY_TIMEOUT => "query-timeout",
        _ => "server",
    };
    let mut failure = Failure::new(exit_of(status), code, message);
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
        let failure = failure_of(StatusCode::BAD_GATEWAY, b"<html>", "http://x");
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Failed, "http://x answers 502 Bad Gateway"));
    }
}
