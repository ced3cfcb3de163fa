//! The table of an open store: opened at the start, or later, when it could not be then.
//!
//! Events are taken without it, so a store whose table is away (S3 does not answer, a permission is missing) opens all the
//! same, and a thread tries the table again with growing pauses. Searches meanwhile answer from the journal and say so.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use decklog_audit::search::{
    Extent, FacetRequest, Facets, Histogram, HistogramRequest, Hit, SearchError, SearchRequest, SearchSummary, Searcher, SqlError, SqlRequest, SqlSummary, Stop,
};
use decklog_query::table::TableView;
use decklog_query::{JournalSearcher, SqlLimits, StoreSearcher};
use decklog_store::table::WriteError;
use decklog_store::{LocalJournal, Table};

use super::store::whole_reason;

/// Opens the table.
type Open = Box<dyn Fn() -> Result<Table, WriteError> + Send + Sync>;

/// How long to wait before the table is opened again: at first, doubled each time, and at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    first: Duration,
    longest: Duration,
}

/// Somebody mends it within minutes; asking once a minute costs nothing.
pub(super) const PAUSES: Pauses = Pauses { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

impl Pauses {
    /// After so many attempts.
    fn after(self, n_attempts: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(n_attempts.saturating_sub(1))).min(self.longest)
    }
}

/// A table that is open, or will be. Clones are the same.
#[derive(Clone)]
pub(crate) struct LateTable(Arc<Shared>);

struct Shared {
    opened: OnceLock<Arc<Table>>,
    open: Open,
    pauses: Pauses,
    state: Mutex<State>,
    closing: Condvar,
}

#[derive(Default)]
struct State {
    /// Why it is not open, as found last.
    reason: String,
    n_attempts: u32,
    is_closed: bool,
}

impl LateTable {
    /// Opens it, or says why not and will try again once [`LateTable::keep_trying`] is called.
    pub(super) fn open(open: impl Fn() -> Result<Table, WriteError> + Send + Sync + 'static, pauses: Pauses) -> Self {
        let shared = Shared { opened: OnceLock::new(), open: Box::new(open), pauses, state: Mutex::default(), closing: Condvar::new() };
        shared.attempt();
        Self(Arc::new(shared))
    }

    /// The table.
    ///
    /// # Errors
    /// Why it is not open yet.
    pub(crate) fn get(&self) -> Result<&Arc<Table>, String> {
        self.0.opened.get().ok_or_else(|| self.0.why())
    }

    /// Opens it on a thread of its own, if it is not open: blocks nobody, ends when it is open or closed.
    pub(super) fn keep_trying(&self) {
        if self.0.opened.get().is_some() {
            return;
        }
        let shared = Arc::clone(&self.0);
        // It is not waited for: an attempt under way may last as long as a store that does not answer is waited for, and
        // holds nothing that has to be given back.
        let started = std::thread::Builder::new().name("table-open".to_owned()).spawn(move || shared.keep_trying());
        if let Err(error) = started {
            tracing::error!(%error, "the table is not opened before the next start");
        }
    }

    /// Closes it if it is open, else gives up. Blocks on the disk.
    pub(super) fn close(&self) {
        self.0.state().is_closed = true;
        self.0.closing.notify_all();
        if let Some(table) = self.0.opened.get() {
            table.close();
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self) {
        match (self.open)() {
            Ok(table) => {
                let state = self.state();
                if state.is_closed {
                    table.close();
                } else {
                    // Under the lock, so that whoever closes sees it.
                    let _ = self.opened.set(Arc::new(table));
                }
            }
            Err(error) => {
                let mut state = self.state();
                state.reason = whole_reason(&error);
                state.n_attempts = state.n_attempts.saturating_add(1);
                tracing::error!(error = state.reason, "the table cannot be opened: events are kept in the journal");
            }
        }
    }

    fn keep_trying(&self) {
        loop {
            let state = self.state();
            let pause = self.pauses.after(state.n_attempts);
            let (state, _) = self.closing.wait_timeout_while(state, pause, |state| !state.is_closed).unwrap_or_else(PoisonError::into_inner);
            if state.is_closed {
                return;
            }
            drop(state);
            self.attempt();
            if self.opened.get().is_some() {
                tracing::info!("the table is open: what waits in the journal goes into it");
                return;
            }
        }
    }

    fn why(&self) -> String {
        let state = self.state();
        let pause = self.pauses.after(state.n_attempts);
        format!("{} (attempt {}, the next one after {} s)", state.reason, state.n_attempts, pause.as_secs_f64())
    }
}

/// What questions in SQL may cost in a server: their threads are behind those that take events in.
fn sql_limits() -> SqlLimits {
    SqlLimits { thread_start: decklog_server::lower_priority, ..SqlLimits::default() }
}

/// Answers from table and journal.
///
/// # Errors
/// When the journal cannot be read, or no thread be started.
pub(super) fn searcher_of(journal: &LocalJournal, table: &Table) -> Result<StoreSearcher, SearchError> {
    Ok(StoreSearcher::of_table(journal, table)?.with_sql_limits(sql_limits()))
}

/// Answers from table and journal once the table is open; before that from the journal alone, naming the gap.
pub(super) struct LateSearcher {
    table: LateTable,
    journal: Arc<LocalJournal>,
    alone: StoreSearcher,
    joined: OnceLock<StoreSearcher>,
}

impl LateSearcher {
    /// Of a table that may be open or not.
    ///
    /// # Errors
    /// When the journal cannot be read, or no thread be started.
    pub(super) fn new(table: LateTable, journal: Arc<LocalJournal>) -> Result<Self, SearchError> {
        let alone = StoreSearcher::new(JournalSearcher::of_journal(&journal)?, || Ok(Arc::new(TableView::empty())))?.with_sql_limits(sql_limits());
        Ok(Self { table, journal, alone, joined: OnceLock::new() })
    }

    /// Who answers now, and what such an answer lacks.
    fn now(&self) -> Result<(&StoreSearcher, Option<String>), SearchError> {
        if let Some(joined) = self.joined.get() {
            return Ok((joined, None));
        }
        match self.table.get() {
            Ok(table) => {
                let joined = searcher_of(&self.journal, table)?;
                Ok((self.joined.get_or_init(|| joined), None))
            }
            Err(reason) => {
                let oldest = self.journal.stats().oldest_seq;
                Ok((&self.alone, Some(format!("the table cannot be opened: {reason}; only the journal was looked at, which begins with record {oldest}"))))
            }
        }
    }

    fn ask<T>(&self, ask: impl FnOnce(&StoreSearcher) -> Result<(T, SearchSummary), SearchError>) -> Result<(T, SearchSummary), SearchError> {
        let (searcher, gap) = self.now()?;
        let (answer, mut summary) = ask(searcher)?;
        summary.gaps.extend(gap);
        Ok((answer, summary))
    }
}

impl Searcher for LateSearcher {
    fn search(&self, request: &SearchRequest, found: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>) -> Result<SearchSummary, SearchError> {
        self.ask(|searcher| searcher.search(request, found).map(|summary| ((), summary))).map(|((), summary)| summary)
    }

    fn facets(&self, request: &SearchRequest, asked: &FacetRequest) -> Result<(Vec<Facets>, SearchSummary), SearchError> {
        self.ask(|searcher| searcher.facets(request, asked))
    }

    fn histogram(&self, request: &SearchRequest, asked: &HistogramRequest) -> Result<(Histogram, SearchSummary), SearchError> {
        self.ask(|searcher| searcher.histogram(request, asked))
    }

    fn extent(&self, stop: &Stop) -> Result<(Extent, SearchSummary), SearchError> {
        self.ask(|searcher| searcher.extent(stop))
    }

    fn sql(&self, request: &SqlRequest, out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<SqlSummary, SqlError> {
        let (searcher, gap) = self.now().map_err(|error| SqlError::new(decklog_audit::search::SqlErrorKind::Failed, error.to_string()))?;
        let mut summary = searcher.sql(request, out)?;
        summary.gaps.extend(gap);
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use decklog_audit::Timestamp;
    use decklog_audit::journal::{Batch, Journal, Origin};
    use decklog_store::testing::wait;
    use decklog_store::{TableMetrics, TablePlace};

    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 6, 7, 8, u32::MAX].into_iter().map(|n_attempts| PAUSES.after(n_attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 32, 60, 60, 60]);
    }

    #[test]
    fn a_table_that_comes_later_answers_later_and_the_gap_is_named_before() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(LocalJournal::in_memory().unwrap());
        let mut batch = Batch::new(Origin::default(), Timestamp::default());
        batch.push_mark(b"{}");
        wait(journal.append(batch)).unwrap();
        // A file stands where the folder of the table is to be.
        let blocked = folder.path().join("place");
        std::fs::write(&blocked, b"").unwrap();
        let attempts = Arc::new(AtomicUsize::new(0));
        let open = {
            let (journal, attempts, place) = (Arc::clone(&journal), Arc::clone(&attempts), TablePlace::local(blocked.join("table")));
            move || {
                attempts.fetch_add(1, Ordering::SeqCst);
                Table::open(&place, &journal, decklog_store::table::TableConfig::default(), TableMetrics::default())
            }
        };
        let brief = Pauses { first: Duration::from_millis(1), longest: Duration::from_millis(4) };
        let table = LateTable::open(open, brief);
        let searcher = LateSearcher::new(table.clone(), Arc::clone(&journal)).unwrap();
        let gaps = || searcher.search(&SearchRequest::default(), &mut |_| ControlFlow::Continue(())).unwrap().gaps;
        let reason = table.get().err().unwrap();
        assert!(reason.contains("attempt 1"), "{reason}");
        assert!(gaps().len() == 1 && gaps()[0].contains("the table cannot be opened: "), "{:?}", gaps());
        assert_eq!(searcher.extent(&Stop::default()).unwrap().1.gaps.len(), 1);

        table.keep_trying();
        while attempts.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        std::fs::remove_file(&blocked).unwrap();
        while table.get().is_err() {
            std::thread::yield_now();
        }
        assert_eq!(gaps(), Vec::<String>::new());
        table.get().unwrap().flush(&Stop::default()).unwrap();
        table.close();
    }

    #[test]
    fn closing_ends_the_attempts() {
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let open = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Err(WriteError::Closed)
        };
        let table = LateTable::open(open, Pauses { first: Duration::from_secs(3600), longest: Duration::from_secs(3600) });
        table.close();
        // Would never end otherwise.
        table.0.keep_trying();
        assert_eq!(attempts.load(Ordering::SeqCst), 1);
    }
}
