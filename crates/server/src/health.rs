//! `/livez`, `/readyz` and `/healthz`, as Kubernetes answers them: plain text, a line for each check with
//! `?verbose`, and a path for each single check.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// The outcome of one check.
pub(crate) type Outcome = (&'static str, State);

/// How a check stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It holds.
    Good,
    /// It holds, and there is something to be known.
    Noted(String),
    /// It does not, for that reason.
    Failed(String),
}

impl From<Result<(), String>> for State {
    fn from(outcome: Result<(), String>) -> Self {
        outcome.map_or_else(Self::Failed, |()| Self::Good)
    }
}

/// How much of the reasons is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasons {
    Shown,
    /// Health needs no credential, and reasons name files.
    Withheld,
}

/// Answers for `outcomes`: 200 if all hold, else 503 and every check's line.
pub(crate) fn answer(endpoint: &str, outcomes: &[Outcome], verbose: bool, reasons: Reasons) -> Response {
    let failed = outcomes.iter().any(|(_, state)| matches!(state, State::Failed(_)));
    if !failed && !verbose {
        return "ok".into_response();
    }
    let mut text = String::new();
    for (name, state) in outcomes {
        let line = match (state, reasons) {
            (State::Noted(note), Reasons::Shown) => format!("[+]{name} ok: {note}\n"),
            (State::Good | State::Noted(_), _) => format!("[+]{name} ok\n"),
            (State::Failed(reason), Reasons::Shown) => format!("[-]{name} failed: {reason}\n"),
            (State::Failed(_), Reasons::Withheld) => format!("[-]{name} failed: reason withheld\n"),
        };
        text.push_str(&line);
    }
    text.push_str(&format!("{endpoint} check {}\n", if failed { "failed" } else { "passed" }));
    let status = if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn text(outcomes: &[Outcome], verbose: bool, reasons: Reasons) -> (u16, String) {
        let response = answer("readyz", outcomes, verbose, reasons);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn as_kubernetes_writes_it() {
        let good = [("journal", State::Good), ("shutdown", State::Good)];
        assert_eq!(text(&good, false, Reasons::Shown).await, (200, "ok".to_owned()));
        assert_eq!(text(&good, true, Reasons::Shown).await, (200, "[+]journal ok\n[+]shutdown ok\nreadyz check passed\n".to_owned()));
        let noted = [("tls", State::Noted("expires soon".to_owned()))];
        assert_eq!(text(&noted, true, Reasons::Shown).await, (200, "[+]tls ok: expires soon\nreadyz check passed\n".to_owned()));
        assert_eq!(text(&noted, true, Reasons::Withheld).await, (200, "[+]tls ok\nreadyz check passed\n".to_owned()));
        let bad = [("journal", State::Failed("no space left".to_owned())), ("shutdown", State::Good)];
        assert_eq!(text(&bad, false, Reasons::Shown).await, (503, "[-]journal failed: no space left\n[+]shutdown ok\nreadyz check failed\n".to_owned()));
        assert_eq!(text(&bad, true, Reasons::Withheld).await.1, "[-]journal failed: reason withheld\n[+]shutdown ok\nreadyz check failed\n");
    }
}
