//! Log files searched as they are: read into a journal in memory, which goes with the command.
//!
//! The same code as an import reads them, so that a file gives here what it would give stored, but for redaction:
//! who can read the file has seen it already.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use decklog_audit::intake::Intake;
use decklog_audit::journal::AppendError;
use decklog_audit::quarantine::{Quarantine, Refused};
use decklog_capture::import::{LocalDelivery, find_inputs, import};
use decklog_capture::{CaptureMetrics, Recorder};
use decklog_query::table::TableView;
use decklog_query::{JournalSearcher, StoreSearcher};
use decklog_store::LocalJournal;

use super::local::Local;
use crate::commands::Context;
use crate::failure::{Failure, Failures};
use crate::output::escape;
use crate::progress::Bar;

/// As in `journal.maxEventSize`.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// The events of files.
#[derive(Clone)]
pub(crate) struct Loaded {
    /// Answers questions about them.
    pub(super) local: Local,
    /// What the searcher reads.
    _journal: Arc<LocalJournal>,
}

/// Counts what is no event: there is nowhere to keep it.
#[derive(Default)]
struct Counted(AtomicU64);

impl Quarantine for Counted {
    fn put(&self, items: Vec<Refused>) -> Result<(), AppendError> {
        self.0.fetch_add(items.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Loaded {
    /// Reads all files; what cannot be read of them is told, and is a failure only if nothing can.
    pub(super) fn read(paths: &[PathBuf], context: &Context) -> Result<Self, Failures> {
        let (inputs, errors) = find_inputs(paths);
        let journal = Arc::new(LocalJournal::in_memory().map_err(|error| Failure::failed("memory", error.to_string()))?);
        let refused = Arc::new(Counted::default());
        let recorder = Recorder {
            intake: Arc::new(Intake { redactor: None, max_event_bytes: MAX_EVENT_BYTES }),
            journal: Arc::clone(&journal) as _,
            quarantine: Arc::clone(&refused) as _,
            metrics: CaptureMetrics::default(),
        };
        let bar = Bar::new(context);
        let delivery = Arc::new(LocalDelivery::new(recorder, Arc::from("default")));
        let progress = |progress: decklog_capture::import::Progress| bar.show(progress.n_read, progress.n_total, progress.n_events);
        let summary = crate::wiring::runtime()?.block_on(import(inputs, MAX_EVENT_BYTES, delivery, progress));
        bar.finish();
        let mut problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        problems.extend(summary.files.iter().filter_map(|file| Some(format!("cannot read `{}` whole: {}", file.name, file.error.as_ref()?))));
        problems.extend(summary.failure.clone());
        if !problems.is_empty() && summary.total().stored == 0 {
            Failures::check(problems.iter().map(|problem| Failure::failed("file", problem)).collect())?;
        }
        for problem in problems {
            context.note(&format!("warning: {}", escape(&problem)));
        }
        match refused.0.load(Ordering::Relaxed) {
            0 => {}
            n_refused => context.note(&format!("warning: {n_refused} items are no audit events")),
        }
        let of_journal = JournalSearcher::of_journal(&journal).map_err(|error| Failure::failed("memory", error.to_string()))?;
        let searcher = StoreSearcher::new(of_journal, || Ok(Arc::new(TableView::empty()))).map_err(|error| Failure::failed("memory", error.to_string()))?;
        Ok(Self { local: Local::of(Arc::new(searcher), Path::new("memory")), _journal: journal })
    }
}
