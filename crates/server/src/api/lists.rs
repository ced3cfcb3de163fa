//! The small routes: filter fields, sources, quarantine and its export, version, the list of paths, metrics.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use decklog_audit::access::Identity;
use decklog_audit::filter::fields::{Below, FIELDS, Field, FieldInfo, KEY_ALIASES, KeyAlias};
use futures_util::stream;
use http::{HeaderValue, Uri, header};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::parameters::Parameters;
use crate::front::RequestId;
use crate::mark::MarkFacts;
use crate::parts::{QuarantineItem, QuarantineRequest, SourceStatus};
use crate::problem::{Problem, ProblemKind};
use crate::router::Shared;

/// Items in a list of the quarantine, if nothing else is asked for, and at most.
const DEFAULT_ITEMS: u64 = 100;
const MAX_ITEMS: u64 = 10_000;
/// Items between the quarantine and the connection; full means the reading waits.
const MAX_WAITING: usize = 4;

#[derive(Serialize)]
pub(crate) struct Items<T> {
    items: Vec<T>,
}

pub(crate) async fn sources(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Items<SourceStatus>>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let mut items = (shared.parts.sources)();
    // Who may send and has not yet is a source too: one that is missing is what somebody looks for here.
    for (source, cluster) in shared.access.senders(Instant::now()) {
        let is_of = |item: &SourceStatus| item.name == *source && cluster.as_ref().is_none_or(|cluster| item.cluster == **cluster);
        if !items.iter().any(is_of) {
            let place = Some(format!("/ingest/webhook/{source}"));
            let cluster = cluster.map_or_else(String::new, |cluster| cluster.to_string());
            items.push(SourceStatus {
                name: source.to_string(),
                kind: "webhook".to_owned(),
                cluster,
                state: "waiting".to_owned(),
                place,
                ..SourceStatus::default()
            });
        }
    }
    items.sort_by(|left, right| (&left.name, &left.cluster).cmp(&(&right.name, &right.cluster)));
    Ok(Json(Items { items }))
}

/// One field of the filter language.
#[derive(Serialize)]
pub(crate) struct FieldItem {
    name: &'static str,
    aliases: &'static [&'static str],
    #[serde(rename = "type")]
    kind: &'static str,
    list: bool,
    ordered: bool,
    /// What follows the name: nothing, key, path, path-or-nothing, part-or-nothing.
    below: &'static str,
    values: &'static [&'static str],
    note: &'static str,
}

impl FieldItem {
    fn of(field: &FieldInfo) -> Self {
        let below = match field.below {
            Below::Nothing => "nothing",
            Below::Key => "key",
            Below::Path => "path",
            Below::PathOrNothing => "path-or-nothing",
            Below::LatencyPartOrNothing => "part-or-nothing",
        };
        Self {
            name: field.name,
            aliases: field.aliases,
            kind: field.kind.name(),
            list: field.list,
            ordered: field.kind.is_ordered(),
            below,
            values: field.kind.values(),
            note: field.note,
        }
    }

    /// A short name of an entry of a map, such as `decision`.
    fn of_alias(alias: &KeyAlias) -> Self {
        let field = Field::keyed(alias.field, alias.key);
        let kind = field.kind();
        Self { name: alias.name, aliases: &[], kind: kind.name(), ordered: kind.is_ordered(), below: "nothing", note: alias.note, ..Self::of(field.info) }
    }
}

pub(crate) async fn fields(uri: Uri) -> Result<Json<Items<FieldItem>>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(Items { items: FIELDS.iter().map(FieldItem::of).chain(KEY_ALIASES.iter().map(FieldItem::of_alias)).collect() }))
}

#[derive(Serialize)]
pub(crate) struct QuarantineList {
    items: Vec<QuarantineItem>,
    total: u64,
}

pub(crate) async fn quarantine(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
) -> Result<Json<QuarantineList>, Problem> {
    let mut parameters = Parameters::read(&uri, &["source", "limit"]);
    let limit = parameters.number("limit", 1, MAX_ITEMS).unwrap_or(DEFAULT_ITEMS);
    let request = QuarantineRequest { source: parameters.text("source").map(str::to_owned), limit: Some(limit as usize) };
    parameters.finish()?;
    let mark = shared.marks.begin(&identity, request_id.as_str(), quarantine_facts("quarantine-list", &request));
    let view = shared.parts.quarantine.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut items = Vec::new();
        let total = view.read(&request, &mut |item, _| {
            items.push(item.clone());
            ControlFlow::Continue(())
        });
        total.map(|total| QuarantineList { items, total })
    });
    let list = reading.await.map_err(|panicked| Problem::internal(panicked.to_string()))?.map_err(unreadable)?;
    mark.add(list.items.len() as u64);
    Ok(Json(list))
}

pub(crate) async fn quarantine_export(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(&uri, &["source"]);
    let request = QuarantineRequest { source: parameters.text("source").map(str::to_owned), limit: None };
    parameters.finish()?;
    let mark = shared.marks.begin(&identity, request_id.as_str(), quarantine_facts("quarantine-export", &request));
    let permit = shared.limits.query(&identity).await?;
    let stalled = shared.limits.config.stalled;
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(MAX_WAITING);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let result = shared.parts.quarantine.read(&request, &mut |item, bytes| {
            let line = export_line(item, bytes);
            mark.add(1);
            match runtime.block_on(sender.send_timeout(Ok(line), stalled)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        if let Err(reason) = result {
            tracing::error!(reason, "the quarantine could not be read");
            let _ = runtime.block_on(sender.send_timeout(Err(std::io::Error::other(reason)), stalled));
        }
    });
    let lines = stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|line| (line, receiver)) });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// One item with its bytes: they need not be text, so they go out in base64.
fn export_line(item: &QuarantineItem, bytes: &[u8]) -> Bytes {
    #[derive(Serialize)]
    struct Export<'a> {
        #[serde(flatten)]
        item: &'a QuarantineItem,
        bytes: String,
    }
    let mut line = serde_json::to_vec(&Export { item, bytes: STANDARD.encode(bytes) }).expect("strings and numbers are always JSON");
    line.push(b'\n');
    line.into()
}

fn quarantine_facts(what: &'static str, request: &QuarantineRequest) -> MarkFacts {
    MarkFacts { what, filter: request.source.as_ref().map(|source| format!("source:{source}")), ..MarkFacts::default() }
}

fn unreadable(reason: String) -> Problem {
    Problem::new(ProblemKind::Unavailable, "the quarantine could not be read; the log of decklog says why under this request id").inside(reason)
}

pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    crate::metrics::page(&shared.parts.registry).map_err(|error| Problem::internal(error.to_string()))
}

/// What there is, for those who look at the root before there is a page for them.
pub(crate) async fn paths() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "paths": crate::router::PATHS }))
}
