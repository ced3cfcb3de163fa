//! The table as its Delta log tells of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use decklog_audit::search::SearchError;
use decklog_store::table::{DataFile, TableError, TableLog, TablePlace, TableSnapshot};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::{TableFile, TableSource, TableView};

impl TableView {
    /// A table without files.
    pub fn empty() -> Self {
        Self { store: Arc::new(InMemory::new()), files: Vec::new(), last_seqs: BTreeMap::new() }
    }

    /// The files of `snapshot`, which lie in `store`.
    pub fn of(snapshot: &TableSnapshot, store: Arc<dyn ObjectStore>) -> Self {
        let last_seqs = snapshot.transactions.iter().filter_map(|(journal, last)| Some((journal.clone(), u64::try_from(*last).ok()?)));
        Self { store, files: snapshot.files.iter().map(|file| TableFile::from(&**file)).collect(), last_seqs: last_seqs.collect() }
    }
}

impl From<&DataFile> for TableFile {
    fn from(file: &DataFile) -> Self {
        let seqs = file.stats.seq.and_then(|(min, max)| Some((u64::try_from(min).ok()?, u64::try_from(max).ok()?)));
        Self { path: file.path.clone(), size: file.size, n_rows: file.n_rows, seqs, times: file.stats.time }
    }
}

/// The table of the process that writes it: whoever has it gives its newest snapshot.
pub struct SnapshotSource {
    newest: Box<dyn Fn() -> Arc<TableSnapshot> + Send + Sync>,
    store: Arc<dyn ObjectStore>,
    /// Of the snapshot seen last.
    known: Mutex<Option<(u64, Arc<TableView>)>>,
}

impl SnapshotSource {
    /// `newest` gives the newest snapshot; its files lie in `store`.
    pub fn new(newest: impl Fn() -> Arc<TableSnapshot> + Send + Sync + 'static, store: Arc<dyn ObjectStore>) -> Self {
        Self { newest: Box::new(newest), store, known: Mutex::default() }
    }
}

impl TableSource for SnapshotSource {
    fn view(&self) -> Result<Arc<TableView>, SearchError> {
        let snapshot = (self.newest)();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(view_of(&snapshot, &self.store, &mut known))
    }
}

/// The table at a place, read beside the process that writes it. The log is looked at anew for every search.
pub struct DeltaSource {
    place: TablePlace,
    opened: Mutex<Option<Opened>>,
}

struct Opened {
    log: TableLog,
    known: Option<(u64, Arc<TableView>)>,
}

impl DeltaSource {
    /// The table at `place`. Where there is none yet, it is empty.
    pub fn new(place: TablePlace) -> Self {
        Self { place, opened: Mutex::default() }
    }
}

impl TableSource for DeltaSource {
    fn view(&self) -> Result<Arc<TableView>, SearchError> {
        let failed = |error: TableError| SearchError::Failed(error.to_string());
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_none() {
            *opened = TableLog::open_existing(&self.place).map_err(failed)?.map(|log| Opened { log, known: None });
        }
        let Some(Opened { log, known }) = opened.as_mut() else { return Ok(Arc::new(TableView::empty())) };
        let snapshot = log.refresh().map_err(failed)?;
        Ok(view_of(&snapshot, log.store(), known))
    }
}

/// The view of a snapshot, made anew if it is not the one known.
fn view_of(snapshot: &TableSnapshot, store: &Arc<dyn ObjectStore>, known: &mut Option<(u64, Arc<TableView>)>) -> Arc<TableView> {
    if let Some((version, view)) = known
        && *version == snapshot.version
    {
        return Arc::clone(view);
    }
    let view = Arc::new(TableView::of(snapshot, Arc::clone(store)));
    *known = Some((snapshot.version, Arc::clone(&view)));
    view
}
