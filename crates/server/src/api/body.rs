//! The body of a request that asks something in JSON.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use serde::de::DeserializeOwned;

use crate::problem::{ParameterError, Problem, ProblemKind};

/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a body of at most `max_bytes`; `example` is one that is right.
pub(super) async fn read<T: DeserializeOwned>(body: Body, max_bytes: usize, example: &str) -> Result<T, Problem> {
    let bytes = match tokio::time::timeout(PATIENCE, to_bytes(body, max_bytes)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let detail = format!("the body of the request is longer than {max_bytes} bytes, or broke off");
            return Err(Problem::new(ProblemKind::TooLarge, detail));
        }
        Err(_) => return Err(wrong("body", format!("the body did not come within {} s", PATIENCE.as_secs()), "send it with the head")),
    };
    serde_json::from_slice(&bytes).map_err(|error| wrong("body", format!("it cannot be read: {error}"), format!("write {example}")))
}

/// One thing that is wrong with a body.
pub(super) fn wrong(parameter: &str, message: String, help: impl Into<String>) -> Problem {
    Problem::of_parameters(ProblemKind::BadParameter, vec![ParameterError::new(parameter, message, help)])
}
