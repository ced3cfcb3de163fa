//! Appending, from the caller's side: what is refused at once, what is compressed on the caller's thread.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use decklog_audit::journal::{AppendError, Appended, Appending, Batch, RecordKind};

use super::oneshot::{Completion, oneshot};
use super::shared::Shared;
use super::submit::Submission;
use super::writer::is_full;

/// What a record takes in the queue beside its bytes.
const HEAD_BYTES: u64 = 64;
/// Numbers the files of staged bodies.
static LAST_PART: AtomicU64 = AtomicU64::new(0);

impl Shared {
    /// See [`decklog_audit::journal::Journal::append`].
    pub(crate) fn append(self: &Arc<Self>, batch: Batch) -> Appending {
        if batch.is_empty() {
            return Box::pin(std::future::ready(Ok(Appended::default())));
        }
        let (completion, outcome) = oneshot();
        self.take_in(batch, completion);
        Box::pin(outcome)
    }

    /// Appends a batch whose answer nobody waits for.
    pub(crate) fn queue_batch(&self, batch: Batch) {
        let (completion, _) = oneshot();
        self.take_in(batch, completion);
    }

    fn take_in(&self, batch: Batch, completion: Completion) {
        let waiting_bytes = batch.bytes().len() as u64 + HEAD_BYTES * batch.n_records() as u64;
        let may_use_reserve = batch.heads().iter().all(|head| head.kind != RecordKind::Event);
        match self.check_health(may_use_reserve).and_then(|()| self.reserve_room(waiting_bytes)) {
            Ok(()) => self.submit(Submission::Batch { batch, waiting_bytes, completion }),
            Err(error) => completion.answer(Err(error)),
        }
    }

    /// What to tell a sender of a failed write or sync.
    pub(crate) fn append_error(&self, error: &io::Error) -> AppendError {
        if is_full(error) {
            AppendError::Full { directory: self.dir.display().to_string() }
        } else {
            AppendError::Unwritable { reason: format!("{}: {error}", self.dir.display()) }
        }
    }

    /// A name for the file of a staged body.
    pub(crate) fn new_part_path(&self) -> PathBuf {
        self.dir.join(format!("body-{}{PART}", LAST_PART.fetch_add(1, Ordering::Relaxed)))
    }
}

/// The end of names of unfinished files.
pub(crate) const PART: &str = ".part";
