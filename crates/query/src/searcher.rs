//! The searcher: takes a snapshot of the journal, lets the scan find the matches, and hands them out.
//!
//! Two ways. In order of arrival without a limit, the answer streams, window by window ([`scan::Window`]).
//! Else a first pass notes the place of every match (24 bytes each, or the newest N of them), and a second
//! one reads their lines again in order ([`handout`]). Beside these notes memory is bounded whatever matches.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use decklog_audit::journal::ReadError;
use decklog_audit::search::{Hit, Order, SearchError, SearchRequest, SearchSummary, Searcher};
use decklog_store::{BlockRef, JournalView, LocalJournal};

use crate::handout;
use crate::plan::Plan;
use crate::scan::{self, Tally};
use crate::table::ReadFailure;
use crate::workers::Workers;

/// Answers searches from a journal's blocks.
pub struct JournalSearcher {
    /// Knows which blocks there are; looked at for a moment at the start of each search.
    list: Mutex<JournalView>,
    /// Reads blocks, for all searches at once.
    blocks: Arc<JournalView>,
    pub(crate) n_threads: usize,
}

/// What one search reads from: it does not change while the search runs.
pub(crate) struct Snapshot<'a> {
    pub(crate) view: &'a JournalView,
    /// The blocks that may hold something, in order.
    pub(crate) blocks: Vec<BlockRef>,
    /// What is known to be missing, in words, with the first sequence number.
    pub(crate) gaps: Vec<(u64, String)>,
}

/// What the journal has from some sequence number on.
pub(crate) struct Beyond {
    pub(crate) view: Arc<JournalView>,
    pub(crate) blocks: Vec<BlockRef>,
    /// What is known to be missing, in words.
    pub(crate) gaps: Vec<String>,
}

impl JournalSearcher {
    /// Searches the journal in `data_dir`, beside a server that may be writing it. Takes no lock.
    ///
    /// # Errors
    /// When there is no journal, or it cannot be read.
    pub fn open(data_dir: &Path) -> Result<Self, ReadError> {
        Ok(Self::new(JournalView::open(data_dir)?, JournalView::open(data_dir)?))
    }

    /// Searches a journal that is open for writing in this process: sees what is durable.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_journal(journal: &LocalJournal) -> Result<Self, ReadError> {
        Ok(Self::new(journal.view()?, journal.view()?))
    }

    fn new(list: JournalView, blocks: JournalView) -> Self {
        let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { list: Mutex::new(list), blocks: Arc::new(blocks), n_threads }
    }

    /// Uses this many threads for one search instead of one per core.
    #[must_use]
    pub fn with_threads(self, n_threads: usize) -> Self {
        Self { n_threads: n_threads.max(1), ..self }
    }

    /// The journal's id, by which a table notes how far it has it; `None` while nothing was written.
    pub(crate) fn journal_id(&self) -> Result<Option<String>, ReadError> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.id().is_none() {
            list.refresh()?;
        }
        Ok(list.id())
    }

    /// The oldest record there was at the last look.
    pub(crate) fn oldest_seq(&self) -> u64 {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).oldest_seq()
    }

    /// The blocks with records from `seq` on, and how to read them.
    pub(crate) fn tail(&self, seq: u64) -> Result<Beyond, ReadError> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.refresh()?;
        let gaps = list.damage().filter(|damage| seq < damage.to_seq).map(ToString::to_string).collect();
        Ok(Beyond { view: Arc::clone(&self.blocks), blocks: list.blocks_from(seq).cloned().collect(), gaps })
    }

    pub(crate) fn snapshot(&self, plan: &Plan<'_>) -> Result<Snapshot<'_>, ReadError> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.refresh()?;
        let (from, until) = plan.seqs();
        let blocks = list.blocks_from(from).take_while(|block| block.first_seq < until);
        let blocks = blocks.filter(|block| plan.wants_block(block)).cloned().collect();
        let damage = list.damage().filter(|damage| damage.from_seq < until && from < damage.to_seq);
        let gaps = damage.map(|damage| (damage.from_seq, damage.to_string())).collect();
        Ok(Snapshot { view: &self.blocks, blocks, gaps })
    }
}

impl Searcher for JournalSearcher {
    fn search(&self, request: &SearchRequest, found: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>) -> Result<SearchSummary, SearchError> {
        let plan = Plan::new(request);
        let mut snapshot = self.snapshot(&plan)?;
        let workers = Workers { n_threads: self.n_threads, stop: &request.stop };
        let mut answer = Answer::new(found);
        // However it ends: a segment that retention removes meanwhile must not take space until the next search.
        let _closing = Closing(&self.blocks);
        let tally = if request.order == Order::Arrival && request.limit.is_none() {
            scan::stream(&plan, &mut snapshot, workers, &mut answer)?
        } else {
            let places = scan::collect(&plan, &mut snapshot, workers)?;
            let found = handout::in_order(&places.places, &[], request.order);
            handout::hand_out(&found, &places.kept, None, &request.stop, &mut snapshot, &mut answer)?;
            places.tally
        };
        Ok(summary(&tally, answer.n_returned, snapshot.gaps))
    }
}

/// Lets go of the file read last.
pub(crate) struct Closing<'a>(pub(crate) &'a JournalView);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close_file();
    }
}

/// Where hits go.
pub(crate) struct Answer<'a> {
    found: &'a mut dyn FnMut(Hit<'_>) -> ControlFlow<()>,
    n_returned: u64,
    broken_off: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(found: &'a mut dyn FnMut(Hit<'_>) -> ControlFlow<()>) -> Self {
        Self { found, n_returned: 0, broken_off: false }
    }

    pub(crate) fn give(&mut self, hit: Hit<'_>) -> ControlFlow<()> {
        self.n_returned += 1;
        let flow = (self.found)(hit);
        self.broken_off |= flow.is_break();
        flow
    }

    /// Hits given so far.
    pub(crate) fn n_returned(&self) -> u64 {
        self.n_returned
    }

    /// Whether who asked wants no more.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.broken_off
    }
}

/// Why a search did not come to its end.
pub(crate) enum Interrupted {
    /// A file of the table or a part of the journal is gone, and nothing was handed out yet: a newer version of the table
    /// has its events elsewhere.
    Vanished,
    /// It cannot.
    Failed(SearchError),
}

impl Interrupted {
    pub(crate) fn stopped() -> Self {
        Self::Failed(SearchError::Stopped)
    }
}

impl From<SearchError> for Interrupted {
    fn from(error: SearchError) -> Self {
        Self::Failed(error)
    }
}

impl From<ReadError> for Interrupted {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ReadFailure> for Interrupted {
    fn from(failure: ReadFailure) -> Self {
        match failure {
            ReadFailure::Vanished => Self::Vanished,
            ReadFailure::Stopped => Self::stopped(),
            ReadFailure::Unreadable(reason) => Self::Failed(SearchError::Failed(reason)),
        }
    }
}

impl From<Interrupted> for SearchError {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Vanished => Self::Failed("files of the table were removed faster than they could be read; ask again".to_owned()),
            Interrupted::Failed(error) => error,
        }
    }
}

pub(crate) fn summary(tally: &Tally, n_returned: u64, mut gaps: Vec<(u64, String)>) -> SearchSummary {
    gaps.sort();
    gaps.dedup();
    let mut gaps: Vec<String> = gaps.into_iter().map(|(_, words)| words).collect();
    if tally.n_undecodable > 0 {
        gaps.push(format!("{} events could not be decoded, so the filter did not look at them", tally.n_undecodable));
    }
    SearchSummary { n_matched: tally.n_matched, n_returned, n_scanned: tally.n_scanned, extent: tally.extent, gaps }
}
