//! The quarantine on local files: what was refused, kept whole with the reason, up to a bound.
//!
//! ```text
//! <data dir>/quarantine/
//!   lock
//!   00000000000000000001.seg    segments as the journal's (see `format`), 4 MiB each
//! ```
//!
//! Every item is one block: its origin in the meta, its description (JSON) where a journal's block has a
//! source's position, and one record of kind 16 with the bytes. Items are numbered from 1 without gaps, so
//! the oldest number that is there tells how many went out. The oldest segment goes out whole.
//!
//! [`LocalQuarantine`] writes; [`QuarantineView`] lists and exports, without a lock, in any process.

mod view;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use decklog_audit::journal::{AppendError, RecordFlags, RecordHead, RecordKind, SourcePosition};
use decklog_audit::quarantine::{Quarantine, Refused};
use serde::{Deserialize, Serialize};

pub use view::{QuarantineView, Quarantined};

use crate::clock::{Clock, SystemClock};
use crate::error::OpenError;
use crate::files::{Disk, Files, SyncPoint};
use crate::format::encode::{Content, EncodedBlock};
use crate::format::segment::segment_name;
use crate::journal::recovery::{make_directories, recover_segments};
use crate::journal::segment_writer::{Placed, Positions, SegmentWriter};
use crate::journal::shared::SegmentInfo;
use crate::journal::{is_full, take_lock};
use crate::metrics::QuarantineMetrics;

/// The kind of a quarantined item's record.
pub(crate) const KIND: RecordKind = RecordKind::Unknown(16);
/// Longer places and reasons are cut: they are for people.
const MAX_TEXT: usize = 4 << 10;

/// Settings of a [`LocalQuarantine`]. Any value is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineConfig {
    /// Bytes it takes on disk at most. Default 1 GiB.
    pub max_size: u64,
    /// Items it keeps at most. Default 100,000.
    pub max_items: u64,
    /// Bytes kept of one item, from its beginning. Default 64 MiB.
    pub max_item_bytes: usize,
    /// Size of one segment, which goes out whole. Default 4 MiB.
    pub segment_size: u64,
}

impl Default for QuarantineConfig {
    fn default() -> Self {
        Self { max_size: 1 << 30, max_items: 100_000, max_item_bytes: 64 << 20, segment_size: 4 << 20 }
    }
}

/// The quarantine of a data directory, open for writing. Only one process can have it.
pub struct LocalQuarantine {
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    config: QuarantineConfig,
    metrics: QuarantineMetrics,
    state: Mutex<State>,
    _lock: Box<dyn Send + Sync>,
}

struct State {
    writer: SegmentWriter,
    /// By first number.
    segments: BTreeMap<u64, SegmentInfo>,
}

/// What is known of an item, as JSON in its block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    place: String,
    reason: String,
    detail: String,
    size: u64,
    kept: u64,
}

impl LocalQuarantine {
    /// Opens the quarantine in `data_dir`, which is made if it is missing.
    ///
    /// # Errors
    /// As [`crate::LocalJournal::open`].
    pub fn open(data_dir: &Path, config: QuarantineConfig) -> Result<Self, OpenError> {
        Self::open_with(data_dir, config, Arc::new(Disk), Arc::new(SystemClock::default()), QuarantineMetrics::default())
    }

    /// The same with files, clock and metrics of the caller's.
    ///
    /// # Errors
    /// As [`crate::LocalJournal::open`].
    pub fn open_with(
        data_dir: &Path,
        config: QuarantineConfig,
        files: Arc<dyn Files>,
        clock: Arc<dyn Clock>,
        metrics: QuarantineMetrics,
    ) -> Result<Self, OpenError> {
        let dir = data_dir.join("quarantine");
        make_directories(&*files, &dir, None, data_dir)?;
        let lock = take_lock(&*files, &*clock, &dir.join("lock"), data_dir)?;
        let found = recover_segments(&*files, &dir, clock.now())?;
        for damage in &found.damage {
            tracing::error!(%damage, "a part of the quarantine cannot be read");
        }
        let writer = SegmentWriter::new(Arc::clone(&files), dir.clone(), found.journal_id, config.segment_size, found.next_seq);
        let state = Mutex::new(State { writer, segments: found.infos() });
        let quarantine = Self { files, clock, dir, config, metrics, state, _lock: lock };
        quarantine.make_room(&mut quarantine.state.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(quarantine)
    }

    /// Its metrics.
    pub fn metrics(&self) -> &QuarantineMetrics {
        &self.metrics
    }

    fn encode(&self, mut item: Refused) -> Result<EncodedBlock, AppendError> {
        item.bytes.truncate(self.config.max_item_bytes);
        let description = Description {
            place: beginning(&item.place),
            reason: item.reason.to_owned(),
            detail: beginning(&item.detail),
            size: item.size,
            kept: item.bytes.len() as u64,
        };
        let unwritable = |reason: String| AppendError::Unwritable { reason };
        let description = serde_json::to_vec(&description).map_err(|error| unwritable(error.to_string()))?;
        let note = SourcePosition { name: "item".into(), bytes: description };
        let head = RecordHead { kind: KIND, flags: RecordFlags::default(), end: item.bytes.len(), id: None, time: item.at, former_id: None };
        let content = Content { origin: &item.origin, ingested_at: item.at, position: Some(&note), heads: &[head], bytes: &item.bytes, is_checkpoint: false };
        EncodedBlock::new(&content).map_err(|error| unwritable(error.to_string()))
    }

    fn error(&self, error: &io::Error) -> AppendError {
        if is_full(error) {
            AppendError::Full { directory: self.dir.display().to_string() }
        } else {
            AppendError::Unwritable { reason: format!("{}: {error}", self.dir.display()) }
        }
    }

    /// Removes the oldest segments while there is too much. The newest stays.
    fn make_room(&self, state: &mut State) {
        loop {
            let size: u64 = state.segments.values().map(|segment| segment.size).sum();
            let mut firsts = state.segments.keys().copied();
            let (oldest, second) = (firsts.next(), firsts.next());
            let n_items = oldest.map_or(0, |oldest| state.writer.next_seq() - oldest);
            self.metrics.holds(n_items, size);
            let (Some(oldest), Some(second)) = (oldest, second) else { return };
            if size <= self.config.max_size && n_items <= self.config.max_items {
                return;
            }
            let path = self.dir.join(segment_name(oldest));
            let removed = match self.files.remove(&path) {
                // Removed before, when the sync behind it failed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            };
            if let Err(error) = removed.and_then(|()| self.files.sync_dir(&self.dir, SyncPoint::Removal)) {
                tracing::warn!(segment = %path.display(), %error, "a segment of the quarantine could not be removed");
                return;
            }
            state.segments.remove(&oldest);
            self.metrics.dropped(second - oldest);
            tracing::warn!(n_items = second - oldest, "the quarantine is full: the oldest items went out");
        }
    }
}

impl Quarantine for LocalQuarantine {
    fn put(&self, items: Vec<Refused>) -> Result<(), AppendError> {
        if items.is_empty() {
            return Ok(());
        }
        let mut blocks = items.into_iter().map(|item| self.encode(item)).collect::<Result<Vec<_>, _>>()?;
        let mut blocks: Vec<_> = blocks.iter_mut().collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let now = self.clock.now();
        // A first failure may be the segment's; a second one is the disk's.
        let placed = state.writer.write(&mut blocks, &Positions::new(), now).or_else(|_| state.writer.write(&mut blocks, &Positions::new(), now));
        let Placed { segment, size, .. } = placed.map_err(|error| self.error(&error))?;
        state.segments.insert(segment, SegmentInfo { size, created_at: now });
        self.make_room(state);
        Ok(())
    }
}

/// At most [`MAX_TEXT`] bytes of a text.
fn beginning(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
