//! The table's log: which files make up the table, changed by commits that are all or nothing.
//!
//! Used by the writer, compaction and retention (one [`TableLog::open`] per table and process, under the
//! journal's lock) and by searchers ([`TableLog::open_existing`]). Which rows go into which file is not known here.
//!
//! A commit is one new file, `_delta_log/<version>.json`, that must not exist yet: of two writers one is
//! refused, reads what the other did, and tries the next version. Whatever the store answers but "done" is a
//! *maybe* (S3's 409 arrives as "already exists", a time-out may have been a success), so the file is read again
//! and compared byte for byte; each commit carries an id of its own, so equal bytes are this very commit. The same
//! version is tried with the same bytes until it is known whose it is: nothing is doubled. A commit that carries
//! a transaction is answered as done if the table has that version of it.
//!
//! deltalake-core gives the columns' Delta types, checkpoints and the log's clean-up. Its `CommitBuilder` is
//! not used: it answers any failure but "already exists" as a failure although the commit may stand, its
//! creation of a table turns into a second commit when another creator was first, and it does not look for an
//! application's transaction. Every call blocks and must not be made from async code.

mod actions;
mod change;
mod state;
mod schema;
mod load;
mod create;
mod checkpoint;
mod waiting;
mod error;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use decklog_audit::Timestamp;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::place::TablePlace;
use super::snapshot::TableSnapshot;
pub use change::{NewFile, Operation, TableChange, day_directory};
use create::create;
use error::storage;
pub use error::{CommitError, TableError};
use load::{LOG, commit_path};
pub use schema::DAY;
use state::State;
pub use state::day_text;
pub(super) use waiting::Waiting;

/// Commits from one checkpoint to the next.
pub const CHECKPOINT_INTERVAL: u64 = 50;

/// How long files of the log are kept that a checkpoint stands for, and how long removed files are remembered.
pub const LOG_RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// How often a commit gives way to other writers.
const MAX_LOST_RACES: usize = 100;

/// How often a store that fails is asked again within one commit, with growing waits: 10 ms, 20 ms, …
const MAX_FAILURES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// A table's log, open.
pub struct TableLog {
    place: TablePlace,
    store: Arc<dyn ObjectStore>,
    runtime: Waiting,
    state: State,
    snapshot: Arc<TableSnapshot>,
    /// The columns that are written, as Delta's JSON; `None` if the log is only read.
    columns: Option<String>,
    /// The version at which a checkpoint is tried next.
    next_checkpoint: u64,
    upkeep_error: Option<TableError>,
}

impl TableLog {
    /// Opens the table at `place` for writing rows of `columns` (without `day`, which is added), and makes it
    /// under the given name where there is none. `now` is written into a new table.
    ///
    /// # Errors
    ///
    /// If the place cannot be used, holds other files, or holds a table that is damaged or that such rows cannot
    /// be added to.
    pub fn open(place: &TablePlace, columns: &Schema, name: &str, now: Timestamp) -> Result<Self, TableError> {
        let columns = schema::delta_schema(columns)?;
        let store = place.store()?;
        let runtime = Waiting::start()?;
        let state = runtime.wait(async {
            match load::load(store.as_ref()).await? {
                Some(state) => Ok(state),
                None => create(store.as_ref(), &columns, name, now).await,
            }
        })?;
        // What an earlier process wrote last may show without being durable; from here on it is relied on.
        place.confirm(LOG).map_err(|source| storage("sync", LOG)(Error::Generic { store: "directory", source: source.into() }))?;
        let log = Self::new(place, store, runtime, state, Some(columns));
        log.check_writable()?;
        Ok(log)
    }

    /// Opens the table at `place` for reading; `None` if there is none. Makes and changes nothing.
    ///
    /// # Errors
    ///
    /// If the place cannot be read, or holds a table that is damaged or cannot be read.
    pub fn open_existing(place: &TablePlace) -> Result<Option<Self>, TableError> {
        let Some(store) = place.existing_store()? else { return Ok(None) };
        let runtime = Waiting::start()?;
        let state = runtime.wait(load::load(store.as_ref()))?;
        Ok(state.map(|state| Self::new(place, store, runtime, state, None)))
    }

    fn new(place: &TablePlace, store: Arc<dyn ObjectStore>, runtime: Waiting, state: State, columns: Option<String>) -> Self {
        let next_checkpoint = state.checkpoint.unwrap_or(0) + CHECKPOINT_INTERVAL;
        let snapshot = Arc::new(state.snapshot());
        Self { place: place.clone(), store, runtime, state, snapshot, columns, next_checkpoint, upkeep_error: None }
    }

    /// Where the table lies.
    pub fn place(&self) -> &TablePlace {
        &self.place
    }

    /// The store the table lies in, rooted at the table.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The newest version known.
    pub fn snapshot(&self) -> Arc<TableSnapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Reads what others committed since, and gives the newest version.
    ///
    /// # Errors
    ///
    /// If the log cannot be read; the version known so far stays.
    pub fn refresh(&mut self) -> Result<Arc<TableSnapshot>, TableError> {
        let advanced = self.runtime.wait(load::advance(self.store.as_ref(), &mut self.state));
        // Commits read before a failing one count.
        if self.state.version != Some(self.snapshot.version) {
            self.snapshot = Arc::new(self.state.snapshot());
        }
        advanced.map(|_| self.snapshot())
    }

    /// Changes the table, and gives the version that has the change: its own, or a later one if the table has the
    /// change's transaction already. Every [`CHECKPOINT_INTERVAL`] commits a checkpoint is written; if that
    /// fails the commit stands, and [`upkeep_error`](Self::upkeep_error) tells.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. After [`CommitError::Unknown`] the change may stand: commit it again. The files it adds
    /// may then be part of the table, so whatever the error, only vacuum may delete them.
    pub fn commit(&mut self, change: &TableChange) -> Result<Arc<TableSnapshot>, CommitError> {
        let id = commit_id(change.at);
        let bytes = actions::write_lines(&change.lines(&id)).map_err(TableError::from)?;
        for _ in 0..MAX_LOST_RACES {
            self.refresh()?;
            self.check_writable()?;
            if change.is_done(&self.state) {
                self.confirm()?;
                return Ok(self.snapshot());
            }
            change.check(&self.state)?;
            let version = self.snapshot.version + 1;
            if self.write(version, &bytes)? {
                load::apply_commit(&mut self.state, version, &bytes)?;
                self.snapshot = Arc::new(self.state.snapshot());
                self.keep_up(change.at);
                return Ok(self.snapshot());
            }
        }
        Err(CommitError::Busy { attempts: MAX_LOST_RACES })
    }

    /// Writes `bytes` as `version`; false if another commit has that version.
    fn write(&self, version: u64, bytes: &[u8]) -> Result<bool, CommitError> {
        let path = commit_path(version);
        let mut failures = 0;
        loop {
            let source = match self.runtime.wait(put_new(self.store.as_ref(), &path, bytes)) {
                Ok(()) => return Ok(true),
                Err(source) => source,
            };
            match self.runtime.wait(read_commit(self.store.as_ref(), &path)) {
                Ok(Some(written)) if written == bytes => {
                    self.confirm()?;
                    return Ok(true);
                }
                Ok(Some(_)) => return Ok(false),
                // Not there now; it may yet arrive. The same bytes at the same version can do no harm.
                Ok(None) | Err(_) if failures < MAX_FAILURES => {
                    self.runtime.wait(async { tokio::time::sleep(FIRST_WAIT * 2_u32.pow(failures)).await });
                    failures += 1;
                }
                Ok(None) | Err(_) => return Err(CommitError::Unknown { version, source }),
            }
        }
    }

    /// Makes durable what was found in the log after a write whose end is not known.
    fn confirm(&self) -> Result<(), TableError> {
        self.place.confirm(LOG).map_err(|source| storage("sync", LOG)(Error::Generic { store: "directory", source: source.into() }))
    }

    fn check_writable(&self) -> Result<(), TableError> {
        match (&self.columns, &self.state.protocol, &self.state.metadata) {
            (Some(columns), Some(protocol), Some(metadata)) => schema::check_writable(protocol, metadata, columns),
            _ => Err(TableError::Protocol { what: "a writer, but it was opened for reading".to_owned() }),
        }
    }

    /// Writes a checkpoint if it is time.
    fn keep_up(&mut self, now: Timestamp) {
        let version = self.snapshot.version;
        // Another writer may have made one.
        let next = self.next_checkpoint.max(self.state.checkpoint.unwrap_or(0) + CHECKPOINT_INTERVAL);
        if version < next {
            return;
        }
        // If it fails it is tried after as many commits again, not with each one.
        self.next_checkpoint = version + CHECKPOINT_INTERVAL;
        let kept_from = Timestamp::from_micros(now.micros().saturating_sub(LOG_RETENTION.as_micros() as i64));
        let cutoff = kept_from.micros().div_euclid(1_000);
        match self.runtime.wait(checkpoint::create(Arc::clone(&self.store), version, cutoff)) {
            Ok(()) => {
                self.state.checkpoint = Some(version);
                self.state.forget_tombstones(kept_from);
                self.upkeep_error = None;
            }
            Err(error) => self.upkeep_error = Some(error),
        }
    }

    /// Why the last checkpoint or clean-up of the log failed, if it did. The table is whole, only slower to open.
    pub fn upkeep_error(&self) -> Option<&TableError> {
        self.upkeep_error.as_ref()
    }

    /// The version of the newest checkpoint known.
    pub fn checkpoint(&self) -> Option<u64> {
        self.state.checkpoint
    }

    /// What vacuum needs: the newest state, and a way to wait for the store.
    pub(super) fn parts(&self) -> (&State, &Arc<dyn ObjectStore>, &Waiting) {
        (&self.state, &self.store, &self.runtime)
    }
}

impl std::fmt::Debug for TableLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableLog").field("place", &self.place).field("version", &self.snapshot.version).finish_non_exhaustive()
    }
}

async fn put_new(store: &dyn ObjectStore, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(path, bytes.to_vec().into(), options).await.map(drop)
}

async fn read_commit(store: &dyn ObjectStore, path: &Path) -> Result<Option<bytes::Bytes>, Error> {
    match store.get(path).await {
        Ok(found) => found.bytes().await.map(Some),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(source),
    }
}

/// An id unlike any other, in the form of a UUID: chance from the standard library's hash seeds, the time, the
/// process and a count.
fn commit_id(now: Timestamp) -> String {
    use std::hash::{BuildHasher, RandomState};
    let hash = |part: u8| RandomState::new().hash_one((part, now.micros(), std::process::id()));
    let hex = format!("{:016x}{:016x}", hash(0), hash(1));
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
