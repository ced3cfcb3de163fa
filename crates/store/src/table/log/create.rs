//! A new table: its commit 0, which is there whole or not at all.

use decklog_audit::Timestamp;
use futures_util::TryStreamExt;
use object_store::ObjectStore;

use super::actions::{Line, write_lines};
use super::error::{TableError, storage};
use super::load::{self, commit_path};
use super::schema;
use super::state::State;
use super::{commit_id, put_new};

/// Makes the table by its commit 0; if another creator was first, reads theirs.
pub(super) async fn create(store: &dyn ObjectStore, columns: &str, name: &str, now: Timestamp) -> Result<State, TableError> {
    if let Some(path) = any_data(store).await? {
        // Another creator may have made the table and written to it since we looked.
        return load::load(store).await?.ok_or(TableError::NotEmpty { path });
    }
    let at = now.micros().div_euclid(1_000);
    let metadata = schema::metadata(commit_id(now), name, columns.to_owned(), at);
    let info = serde_json::json!({
        "timestamp": at,
        "operation": "CREATE TABLE",
        "operationParameters": {"mode": "ErrorIfExists", "partitionBy": "[\"day\"]"},
        "engineInfo": concat!("decklog/", env!("CARGO_PKG_VERSION")),
    });
    let lines = [
        Line { commit_info: Some(info), ..Default::default() },
        Line { protocol: Some(schema::PROTOCOL), ..Default::default() },
        Line { meta_data: Some(metadata), ..Default::default() },
    ];
    let path = commit_path(0);
    let written = put_new(store, &path, &write_lines(&lines)?).await;
    // Whoever made it, it is what the log says now.
    match (load::load(store).await?, written) {
        (Some(state), _) => Ok(state),
        (None, Err(source)) => Err(storage("create", path)(source)),
        (None, Ok(())) => Err(TableError::Missing { path: path.to_string() }),
    }
}

/// A file of the place that is neither hidden nor the log's, if there is one.
async fn any_data(store: &dyn ObjectStore) -> Result<Option<String>, TableError> {
    let mut entries = store.list(None);
    while let Some(entry) = entries.try_next().await.map_err(storage("list", "/"))? {
        if !entry.location.as_ref().starts_with(['_', '.']) {
            return Ok(Some(entry.location.to_string()));
        }
    }
    Ok(None)
}
