//! What an import did, file by file.

use std::time::Duration;

use super::delivery::Delivered;
use super::formats::Tally;

/// One file's part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileSummary {
    /// Its name as given.
    pub name: String,
    /// Bytes read, unpacked.
    pub n_bytes: u64,
    /// What became of its events.
    pub delivered: Delivered,
    /// Why it was not read to its end; what came before is stored.
    pub error: Option<String>,
    /// It was found in a folder and is no log that is known: left alone.
    pub skipped: bool,
    /// What was converted from other formats, and what was of other logs.
    pub tally: Tally,
}

/// What an import did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Each file, in the order they were read.
    pub files: Vec<FileSummary>,
    /// Paths that could not be opened or listed.
    pub path_errors: Vec<String>,
    /// Why the import ended before its end: nothing after it was stored.
    pub failure: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything is stored.
    Complete,
    /// Something went to the quarantine, or a file could not be read whole (exit code 5).
    Partial,
    /// Nothing could be done, or it could not go on (exit code 3).
    Failed,
}

impl Summary {
    /// All files' events together.
    pub fn total(&self) -> Delivered {
        let mut total = Delivered::default();
        self.files.iter().for_each(|file| total.add(file.delivered));
        total
    }

    /// All files' bytes, unpacked.
    pub fn n_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.n_bytes).sum()
    }

    /// What was converted and what was of other logs, in all files.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.files.iter().for_each(|file| tally.add(&file.tally));
        tally
    }

    /// How it ended.
    pub fn ending(&self) -> Ending {
        let total = self.total();
        let n_errors = self.path_errors.len() + self.files.iter().filter(|file| file.error.is_some()).count();
        if self.failure.is_some() || (n_errors > 0 && total == Delivered::default()) {
            Ending::Failed
        } else if n_errors > 0 || total.quarantined > 0 {
            Ending::Partial
        } else {
            Ending::Complete
        }
    }
}
