//! The quarantine of a data directory as the server shows it.

use std::ops::ControlFlow;
use std::path::PathBuf;

use decklog_server::{QuarantineItem, QuarantineRequest, QuarantineView};
use decklog_store::{QuarantineView as Files, Quarantined};

/// Reads the files anew for every request: they are small, and seldom looked at.
pub(crate) struct QuarantineFiles(pub(crate) PathBuf);

impl QuarantineView for QuarantineFiles {
    fn read(&self, request: &QuarantineRequest, found: &mut dyn FnMut(&QuarantineItem, &[u8]) -> ControlFlow<()>) -> Result<u64, String> {
        let files = Files::open(&self.0).map_err(|error| error.to_string())?;
        let mut items = Vec::new();
        for item in files.items() {
            let item = item.map_err(|error| error.to_string())?;
            if request.source.as_deref().is_none_or(|source| *item.origin.source == *source) {
                items.push(item);
            }
        }
        let n_matched = items.len() as u64;
        let skipped = request.limit.map_or(0, |limit| items.len().saturating_sub(limit));
        for item in &items[skipped..] {
            let Some(bytes) = files.read(item).map_err(|error| error.to_string())? else { continue };
            if found(&shown(item), &bytes).is_break() {
                break;
            }
        }
        Ok(n_matched)
    }
}

fn shown(item: &Quarantined) -> QuarantineItem {
    QuarantineItem {
        id: item.number.to_string(),
        at: item.at.rfc3339_nano(),
        source: item.origin.source.to_string(),
        cluster: item.origin.cluster.to_string(),
        sender: item.origin.sender.to_string(),
        place: item.place.clone(),
        reason: item.reason.clone(),
        detail: item.detail.clone(),
        size: item.size,
        kept: item.kept,
    }
}
