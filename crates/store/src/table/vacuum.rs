//! Vacuum: deletes files that no version of the table within the grace needs.
//!
//! Those are files removed by a commit longer ago than the grace, and files no commit ever named (a crash between
//! writing and committing) that changed last longer ago. The log itself is never touched, nor any hidden directory
//! but the one of unfinished files; whatever the newest version names stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use decklog_audit::Timestamp;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::log::{TableError, TableLog, Waiting};
use super::place::durable::STAGING;

/// What vacuum did.
#[derive(Debug, Default)]
pub struct Vacuumed {
    /// Files deleted.
    pub n_files: u64,
    /// Their bytes.
    pub n_bytes: u64,
    /// Files that could not be deleted, and why: at most [`MAX_FAILED`], then vacuum stops.
    pub failed: Vec<(String, Error)>,
}

/// Files that may fail to be deleted before vacuum gives up.
pub const MAX_FAILED: usize = 100;

impl TableLog {
    /// Deletes files that no version younger than `grace` needs, as seen at `now`. Readers of older versions lose
    /// their files, and so does a writer that takes longer than the grace from writing a file to committing it. A grace beyond [`LOG_RETENTION`](super::log::LOG_RETENTION) is exact only up to that: what was
    /// removed before is told from its file's age.
    ///
    /// # Errors
    ///
    /// If the log cannot be read or the files not be listed; single files that stay are named in the answer.
    pub fn vacuum(&mut self, grace: Duration, now: Timestamp) -> Result<Vacuumed, TableError> {
        // What others committed meanwhile must not be taken for orphans.
        self.refresh()?;
        let (state, store, runtime) = self.parts();
        let oldest = Timestamp::from_micros(now.micros().saturating_sub(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX)));
        let listed = list(store.as_ref(), runtime)?;
        let mut vacuumed = Vacuumed::default();
        for file in listed.iter().filter(|file| !state.files.contains_key(file.location.as_ref()) && is_expired(file, &state.tombstones, oldest)) {
            match runtime.wait(store.delete(&file.location)) {
                Ok(()) => {
                    vacuumed.n_files += 1;
                    vacuumed.n_bytes += file.size;
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => vacuumed.failed.push((file.location.to_string(), error)),
            }
            if vacuumed.failed.len() >= MAX_FAILED {
                break;
            }
        }
        Ok(vacuumed)
    }

    /// Files of the newest version that are not in their place, by path. Searches of their days will fail until
    /// they are restored.
    ///
    /// # Errors
    ///
    /// If the log cannot be read or the files not be listed.
    pub fn missing_files(&mut self) -> Result<Vec<String>, TableError> {
        self.refresh()?;
        let (state, store, runtime) = self.parts();
        let listed = list(store.as_ref(), runtime)?;
        let present = listed.iter().map(|file| file.location.as_ref()).collect::<BTreeSet<_>>();
        Ok(state.files.keys().filter(|path| !present.contains(path.as_str())).cloned().collect())
    }
}

fn list(store: &dyn ObjectStore, runtime: &Waiting) -> Result<Vec<ObjectMeta>, TableError> {
    runtime.wait(store.list(None).try_collect()).map_err(|source| TableError::Storage { step: "list", path: "/".to_owned(), source })
}

/// Whether a file the newest version does not name went out of use before `oldest`.
fn is_expired(file: &ObjectMeta, tombstones: &BTreeMap<String, Timestamp>, oldest: Timestamp) -> bool {
    let modified = Timestamp::from_micros(file.last_modified.timestamp_micros());
    // A file older than its removal counts from that; one that is younger (a copy put back) from itself.
    let out_of_use = tombstones.get(file.location.as_ref()).map_or(modified, |removed| modified.max(*removed));
    is_ours(&file.location) && out_of_use < oldest
}

/// Whether a path can be a data file or an unfinished one: by Delta's convention what begins with `_` or `.` is
/// hidden, other than a partition's directory.
fn is_ours(path: &Path) -> bool {
    let mut parts = path.parts();
    let first = parts.next();
    if first.as_ref().is_some_and(|part| part.as_ref() == STAGING) {
        return true;
    }
    path.parts().all(|part| !part.as_ref().starts_with(['_', '.']))
}
