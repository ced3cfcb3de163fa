//! Searches off the async threads: each on a thread of its own, counted, marked, and stopped when nobody
//! waits for it any more.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decklog_audit::search::{Hit, SearchError, SearchRequest, SearchSummary, Searcher, Stop};
use tokio::time::timeout;

use crate::background;
use crate::limits::QueryPermit;
use crate::metrics::{QueryResult, ServerMetrics};
use crate::problem::{Problem, ProblemKind};

/// A search about to run.
pub(crate) struct Search {
    pub(crate) searcher: Arc<dyn Searcher>,
    pub(crate) metrics: ServerMetrics,
    pub(crate) kind: &'static str,
    pub(crate) request: SearchRequest,
    /// Held until the search has ended, which may be after its client left.
    pub(crate) permit: QueryPermit,
}

/// What was collected of a search.
pub(crate) enum Collected<T> {
    /// It ended by itself.
    Whole(T, SearchSummary),
    /// The time was over: what had been found by then.
    Part(T),
}

impl Search {
    /// Asks something that is answered as a whole or not at all. When the caller stops waiting (the client left, or
    /// `patience` is over), the search is stopped.
    pub(crate) async fn answer<T, A>(self, patience: Duration, ask: A) -> Result<(T, SearchSummary), Problem>
    where
        T: Send + 'static,
        A: FnOnce(&dyn Searcher, &SearchRequest) -> Result<(T, SearchSummary), SearchError> + Send + 'static,
    {
        let stop = self.request.stop.clone();
        let _abandoned = StopWhenDropped(stop.clone());
        let time_is_over = Arc::new(AtomicBool::new(false));
        let over = time_is_over.clone();
        let task = background::run(move || {
            let started = std::time::Instant::now();
            let result = ask(&*self.searcher, &self.request);
            let counted = match (over.load(Ordering::Relaxed), self.request.stop.is_stopped()) {
                (true, _) => QueryResult::Timeout,
                (false, true) => QueryResult::ClientLeft,
                (false, false) => result_of(result.as_ref().map(|(_, summary)| summary)),
            };
            self.metrics.query(self.kind, counted, started.elapsed());
            drop(self.permit);
            result
        });
        match timeout(patience, task).await {
            Ok(Ok(result)) => result.map_err(problem_of),
            Ok(Err(broken)) => Err(Problem::internal(broken.to_string())),
            Err(_) => {
                time_is_over.store(true, Ordering::Relaxed);
                stop.stop();
                let detail = format!("the search was given up after {} s; narrow the time range or the filter", patience.as_secs_f64());
                Err(Problem::new(ProblemKind::QueryTimeout, detail))
            }
        }
    }

    /// Runs the search and gives what `found` has made of its hits, also when the time was over before the end.
    pub(crate) async fn collect<T, F>(self, patience: Duration, state: T, mut found: F) -> Result<Collected<T>, Problem>
    where
        T: Send + 'static,
        F: FnMut(&mut T, Hit<'_>) -> ControlFlow<()> + Send + 'static,
    {
        let shared = Arc::new(Mutex::new(Some(state)));
        let filled = shared.clone();
        let answer = self.answer(patience, move |searcher, request| {
            let summary = searcher.search(request, &mut |hit| {
                if request.stop.is_stopped() {
                    return ControlFlow::Break(());
                }
                // Taken away when the time is over.
                match lock(&filled).as_mut() {
                    Some(state) => found(state, hit),
                    None => ControlFlow::Break(()),
                }
            })?;
            Ok(((), summary))
        });
        let answer = answer.await;
        let state = lock(&shared).take().ok_or_else(|| Problem::internal("what a search found was taken twice"))?;
        match answer {
            Ok(((), summary)) => Ok(Collected::Whole(state, summary)),
            Err(problem) if problem.kind == ProblemKind::QueryTimeout => Ok(Collected::Part(state)),
            Err(problem) => Err(problem),
        }
    }
}

/// What a search that panicked half way has found is as good as it was.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops a search when nobody waits for its answer any more.
pub(crate) struct StopWhenDropped(pub(crate) Stop);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// How a search that ended by itself is counted.
pub(crate) fn result_of(result: Result<&SearchSummary, &SearchError>) -> QueryResult {
    match result {
        Ok(summary) if summary.gaps.is_empty() => QueryResult::Ok,
        Ok(_) => QueryResult::Incomplete,
        Err(SearchError::Stopped) => QueryResult::Timeout,
        Err(_) => QueryResult::Failed,
    }
}

/// The problem of a search whose time was over before it found anything.
pub(crate) fn timed_out() -> Problem {
    problem_of(SearchError::Stopped)
}

/// What the client is told of a search that failed.
pub(crate) fn problem_of(error: SearchError) -> Problem {
    match error {
        SearchError::Stopped => Problem::new(ProblemKind::QueryTimeout, "the search was stopped; narrow the time range or the filter"),
        error => {
            Problem::new(ProblemKind::Unavailable, "the store could not be read; the log of decklog says why under this request id").inside(error.to_string())
        }
    }
}
