//! Lists and exports what is in quarantine, while a server runs or not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::{Origin, ReadError};

use super::Description;
use crate::files::{Disk, Files};
use crate::view::{BlockRead, BlockRef, JournalView};

/// The items in quarantine at the time it was opened.
pub struct QuarantineView {
    /// None if there never was a quarantine.
    blocks: Option<JournalView>,
}

/// One item, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its number; the oldest ones go out first.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// Where in its file or body it stood.
    pub place: String,
    /// malformed, too_large.
    pub reason: String,
    /// What is wrong, for people.
    pub detail: String,
    /// How many bytes it had.
    pub size: u64,
    /// How many of them are kept, from the beginning.
    pub kept: u64,
    block: BlockRef,
}

impl QuarantineView {
    /// The quarantine in `data_dir`; an empty one if there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(data_dir: &Path) -> Result<Self, ReadError> {
        Self::open_with(data_dir, Arc::new(Disk))
    }

    /// The same on other files.
    ///
    /// # Errors
    /// As [`QuarantineView::open`].
    pub fn open_with(data_dir: &Path, files: Arc<dyn Files>) -> Result<Self, ReadError> {
        match JournalView::new(files, data_dir.join("quarantine"), None) {
            Ok(blocks) => Ok(Self { blocks: Some(blocks) }),
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Self { blocks: None }),
            Err(error) => Err(error),
        }
    }

    /// How many items there were that went out to make room.
    pub fn n_dropped(&self) -> u64 {
        self.blocks.as_ref().map_or(0, |blocks| blocks.oldest_seq().saturating_sub(1))
    }

    /// The items, oldest first. One that went out meanwhile is left out.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = Result<Quarantined, ReadError>> + '_ {
        let blocks = self.blocks.iter().flat_map(|view| view.blocks().map(move |block| (view, block)));
        blocks.filter_map(|(view, block)| item(view, block).transpose())
    }

    /// An item's bytes, as far as they were kept; `None` if it went out meanwhile or is damaged.
    ///
    /// # Errors
    /// When the system cannot read the file.
    pub fn read(&self, item: &Quarantined) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(blocks) = &self.blocks else { return Ok(None) };
        match blocks.read(&item.block)? {
            BlockRead::Records(records) => Ok(Some(records.bytes.into())),
            BlockRead::Gap(_) => Ok(None),
        }
    }
}

fn item(view: &JournalView, block: &BlockRef) -> Result<Option<Quarantined>, ReadError> {
    let Some(note) = view.note(block)? else { return Ok(None) };
    let Ok(Description { place, reason, detail, size, kept }) = serde_json::from_slice(&note) else { return Ok(None) };
    let origin = Arc::clone(&block.origin);
    Ok(Some(Quarantined { number: block.first_seq, at: block.ingested_at, origin, place, reason, detail, size, kept, block: block.clone() }))
}
