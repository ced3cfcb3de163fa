//! `decklog request-info`: what kube-apiserver makes of a request line.

use std::io::BufRead;
use std::path::PathBuf;

use decklog_audit::policy::request_info::resolve;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::TEMPLATE;
use crate::commands::policy::lines_of;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Answer;

/// Shows what kube-apiserver makes of a method and a URL
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog request-info GET '/api/v1/namespaces/shop/pods?watch=1'
  decklog request-info --batch requests.jsonl         {\"method\": …, \"target\": …} a line; - is standard input

The answer is JSON: verb, group, resource and so on, whether the request is long-running, and the event's requestURI.",
    after_help = "Exit codes: 0 done, 1 kube-apiserver refuses it, 2 wrong use, 3 could not be read (decklog help exit-codes)"
)]
pub(crate) struct RequestInfoFlags {
    /// The method and the target as they stand in the request line
    #[arg(value_name = "METHOD TARGET", num_args = 2, required_unless_present = "batch")]
    line: Vec<String>,
    /// A file with many; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "line")]
    batch: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Line {
    method: String,
    target: String,
}

/// Answers.
pub(crate) fn run(flags: &RequestInfoFlags) -> Outcome {
    let mut answer = Answer::new();
    let Some(path) = &flags.batch else {
        let [method, target] = flags.line.as_slice() else {
            return Err(Failure::usage("request", "a method and a target are needed").help("decklog request-info GET /api/v1/pods").into());
        };
        let value = info_json(method, target);
        answer.line(value.to_string().as_bytes())?;
        answer.flush()?;
        return Ok(if value.get("info").is_some() && value.get("error").is_none() { Exit::Done } else { Exit::No });
    };
    for (index, line) in lines_of(path)?.lines().enumerate() {
        let line = line.map_err(|error| Failure::failed("file", format!("cannot read `{}`: {error}", path.display())))?;
        if line.trim().is_empty() {
            continue;
        }
        let asked: Line = serde_json::from_str(&line)
            .map_err(|error| Failure::usage("request", format!("{}:{}: it is no request line: {error}", path.display(), index + 1)))?;
        answer.line(info_json(&asked.method, &asked.target).to_string().as_bytes())?;
    }
    answer.flush()?;
    Ok(Exit::Done)
}

fn info_json(method: &str, target: &str) -> Value {
    let resolved = match resolve(method.as_bytes(), target.as_bytes()) {
        Ok(resolved) => resolved,
        Err(error) => return json!({"parseError": error.to_string()}),
    };
    let info = &resolved.info;
    let mut value = json!({
        "info": {
            "isResourceRequest": info.is_resource_request,
            "path": info.path,
            "verb": info.verb,
            "apiPrefix": info.api_prefix,
            "apiGroup": info.api_group,
            "apiVersion": info.api_version,
            "namespace": info.namespace,
            "resource": info.resource,
            "subresource": info.subresource,
            "name": info.name,
            "parts": info.parts,
            "fieldSelector": info.field_selector,
            "labelSelector": info.label_selector,
        },
        "eventRequestURI": resolved.event_request_uri,
    });
    match &resolved.error {
        Some(error) => value["error"] = error.to_string().into(),
        None => value["longRunning"] = info.is_long_running().into(),
    }
    value
}
