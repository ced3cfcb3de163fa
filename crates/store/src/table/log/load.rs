//! Reading a log from the store: the newest checkpoint and the commits after it, then what comes later.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

use super::actions::read_lines;
use super::checkpoint::{self, Hint};
use super::error::{TableError, storage};
use super::state::State;

/// The directory of the log.
pub(crate) const LOG: &str = "_delta_log";

const LAST_CHECKPOINT: &str = "_delta_log/_last_checkpoint";

/// Commits read at once.
const READ_AHEAD: usize = 16;

/// How often a load is begun anew when files vanish while it reads: another process cleaned up.
const MAX_LOADS: usize = 3;

/// Where a commit lies.
pub(crate) fn commit_path(version: u64) -> Path {
    Path::from(format!("{LOG}/{version:020}.json"))
}

/// Reads the whole log; `None` if there is none.
///
/// # Errors
///
/// What cannot be read, is damaged, missing, or asks for more than decklog can do.
pub(crate) async fn load(store: &dyn ObjectStore) -> Result<Option<State>, TableError> {
    let mut result = load_once(store).await;
    for _ in 1..MAX_LOADS {
        match result {
            Err(TableError::Storage { source: Error::NotFound { .. }, .. }) => result = load_once(store).await,
            result => return result,
        }
    }
    result
}

async fn load_once(store: &dyn ObjectStore) -> Result<Option<State>, TableError> {
    let hint = read_hint(store).await?;
    let listing = Listing::read(store, hint).await?;
    let mut state = State::default();
    match listing.newest_checkpoint() {
        Some((version, parts)) => {
            for part in parts {
                let bytes = read(store, "read the checkpoint", part).await?;
                state.apply(part.as_ref(), checkpoint::read(part.as_ref(), bytes)?)?;
            }
            (state.version, state.checkpoint) = (Some(version), Some(version));
        }
        None => {
            if let Some(hint) = hint {
                return Err(TableError::Missing { path: format!("{LOG}/{:020}.checkpoint.parquet", hint.version) });
            }
        }
    }
    let versions = listing.commits_after(state.version)?;
    let commits = stream::iter(versions).map(|version| async move {
        let path = commit_path(version);
        read(store, "read", &path).await.map(|bytes| (version, bytes))
    });
    let mut commits = std::pin::pin!(commits.buffered(READ_AHEAD));
    while let Some((version, bytes)) = commits.try_next().await? {
        apply_commit(&mut state, version, &bytes)?;
    }
    match state.version {
        None => Ok(None),
        Some(version) if state.protocol.is_none() || state.metadata.is_none() => {
            let path = listing.newest_checkpoint().and_then(|(_, parts)| parts.first().map(|part| (*part).clone())).unwrap_or_else(|| commit_path(0));
            Err(TableError::Damaged { path: path.to_string(), problem: format!("up to version {version} nothing says what columns the table has") })
        }
        Some(_) => Ok(Some(state)),
    }
}

/// Reads what was committed since; tells whether anything was. One missed call to the store if nothing was.
pub(crate) async fn advance(store: &dyn ObjectStore, state: &mut State) -> Result<bool, TableError> {
    let before = state.version;
    loop {
        let next = state.version.map_or(0, |version| version + 1);
        let path = commit_path(next);
        match store.get(&path).await {
            Ok(found) => {
                let bytes = found.bytes().await.map_err(storage("read", &path))?;
                apply_commit(state, next, &bytes)?;
            }
            Err(Error::NotFound { .. }) => break,
            Err(source) => return Err(storage("read", &path)(source)),
        }
    }
    // A reader that slept while the log was cleaned up finds its next commit gone, and a checkpoint beyond it.
    if let Some(hint) = read_hint(store).await? {
        if state.version.is_none_or(|version| hint.version > version) {
            if let Some(fresh) = load(store).await? {
                *state = fresh;
            }
        } else {
            state.checkpoint = state.checkpoint.max(Some(hint.version));
        }
    }
    Ok(state.version != before)
}

/// Applies the bytes of a commit.
pub(crate) fn apply_commit(state: &mut State, version: u64, bytes: &[u8]) -> Result<(), TableError> {
    let path = commit_path(version);
    let lines = read_lines(bytes).map_err(|(line, source)| TableError::Damaged { path: path.to_string(), problem: format!("line {line}: {source}") })?;
    if lines.is_empty() {
        return Err(TableError::Damaged { path: path.to_string(), problem: "it is empty".to_owned() });
    }
    state.apply(path.as_ref(), lines)?;
    state.version = Some(version);
    Ok(())
}

async fn read(store: &dyn ObjectStore, step: &'static str, path: &Path) -> Result<Bytes, TableError> {
    let found = store.get(path).await.map_err(storage(step, path))?;
    found.bytes().await.map_err(storage(step, path))
}

/// Where to begin to look. A hint that cannot be read is none: then everything is listed.
async fn read_hint(store: &dyn ObjectStore) -> Result<Option<Hint>, TableError> {
    match read(store, "read", &Path::from(LAST_CHECKPOINT)).await {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(TableError::Storage { source: Error::NotFound { .. }, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in a log's directory.
#[derive(Debug, Default)]
struct Listing {
    commits: BTreeSet<u64>,
    checkpoints: BTreeMap<u64, Checkpoint>,
}

/// The parts of a checkpoint; one of a single file has one part of one.
#[derive(Debug, Default)]
struct Checkpoint {
    parts: BTreeMap<u32, Path>,
    n_parts: u32,
}

impl Listing {
    async fn read(store: &dyn ObjectStore, hint: Option<Hint>) -> Result<Self, TableError> {
        let log = Path::from(LOG);
        let entries = match hint {
            Some(hint) => store.list_with_offset(Some(&log), &Path::from(format!("{LOG}/{:020}", hint.version))),
            None => store.list(Some(&log)),
        };
        let mut listing = Self::default();
        let mut entries = entries;
        while let Some(entry) = entries.try_next().await.map_err(storage("list", LOG))? {
            listing.take(&entry.location);
        }
        Ok(listing)
    }

    fn take(&mut self, path: &Path) {
        let Some((version, kind)) = path.filename().and_then(|name| name.split_once('.')) else { return };
        let Some(version) = (version.len() == 20).then(|| version.parse::<u64>().ok()).flatten() else { return };
        match kind.split('.').collect::<Vec<_>>().as_slice() {
            ["json"] => drop(self.commits.insert(version)),
            ["checkpoint", "parquet"] => {
                self.checkpoints.insert(version, Checkpoint { parts: [(1, path.clone())].into(), n_parts: 1 });
            }
            ["checkpoint", part, n_parts, "parquet"] => {
                let (Ok(part), Ok(n_parts)) = (part.parse(), n_parts.parse()) else { return };
                let checkpoint = self.checkpoints.entry(version).or_default();
                // A whole one of a single file is preferred to parts.
                if checkpoint.n_parts != 1 {
                    checkpoint.n_parts = n_parts;
                    checkpoint.parts.insert(part, path.clone());
                }
            }
            _ => {}
        }
    }

    fn newest_checkpoint(&self) -> Option<(u64, Vec<&Path>)> {
        let whole = |checkpoint: &Checkpoint| checkpoint.parts.keys().copied().eq(1..=checkpoint.n_parts);
        let (version, checkpoint) = self.checkpoints.iter().rev().find(|(_, checkpoint)| whole(checkpoint))?;
        Some((*version, checkpoint.parts.values().collect()))
    }

    /// The commits after a version, all of them.
    fn commits_after(&self, version: Option<u64>) -> Result<Vec<u64>, TableError> {
        let first = version.map_or(0, |version| version.saturating_add(1));
        let found = self.commits.range(first..).copied().collect::<Vec<_>>();
        match found.iter().zip(first..).find(|(found, expected)| **found != *expected) {
            Some((_, expected)) => Err(TableError::Missing { path: commit_path(expected).to_string() }),
            None => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        let mut listing = Listing::default();
        names.iter().for_each(|name| listing.take(&Path::from(format!("{LOG}/{name}"))));
        listing
    }

    #[test]
    fn the_newest_whole_checkpoint_counts() {
        let listing = listing(&[
            "00000000000000000010.checkpoint.parquet",
            "00000000000000000020.checkpoint.0000000001.0000000002.parquet",
            "00000000000000000020.checkpoint.0000000002.0000000002.parquet",
            "00000000000000000030.checkpoint.0000000002.0000000002.parquet",
            "_last_checkpoint",
            "30.json",
        ]);
        let (version, parts) = listing.newest_checkpoint().unwrap();
        assert_eq!((version, parts.len()), (20, 2));
    }

    #[test]
    fn a_gap_in_the_commits_is_named() {
        let listing = listing(&["00000000000000000003.json", "00000000000000000005.json"]);
        assert_eq!(listing.commits_after(Some(4)).unwrap(), [5]);
        assert!(matches!(listing.commits_after(Some(2)), Err(TableError::Missing { path }) if path == commit_path(4).as_ref()));
        assert!(matches!(listing.commits_after(None), Err(TableError::Missing { path }) if path == commit_path(0).as_ref()));
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_listed_or_ignored(name in "[0-9]{18,22}[.a-z0-9]{0,40}") {
            let listing = listing(&[&name]);
            let _ = (listing.newest_checkpoint(), listing.commits_after(None));
        }
    }
}
