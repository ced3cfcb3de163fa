//! Searches off the async threads: each on tokio's blocking pool, counted, marked, and stopped when nobody
//! waits for it any more.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use decklog_audit::search::{Hit, SearchError, SearchRequest, SearchSummary, Searcher, Stop};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

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

impl Search {
    /// Runs the search and gives what `found` has made of its hits. When the caller stops waiting (the
    /// client left, or `patience` is over), the search is stopped.
    pub(crate) async fn collect<T, F>(self, patience: Duration, mut state: T, mut found: F) -> Result<(T, SearchSummary), Problem>
    where
        T: Send + 'static,
        F: FnMut(&mut T, Hit<'_>) -> ControlFlow<()> + Send + 'static,
    {
        let stop = self.request.stop.clone();
        let _abandoned = StopWhenDropped(stop.clone());
        let metrics = self.metrics.clone();
        let kind = self.kind;
        let task = spawn_blocking(move || {
            let started = std::time::Instant::now();
            let result = self.searcher.search(&self.request, &mut |hit| if stop.is_stopped() { ControlFlow::Break(()) } else { found(&mut state, hit) });
            let left = stop.is_stopped();
            self.metrics.query(self.kind, if left { QueryResult::ClientLeft } else { result_of(&result) }, started.elapsed());
            drop(self.permit);
            result.map(|summary| (state, summary))
        });
        match timeout(patience, task).await {
            Ok(Ok(result)) => result.map_err(problem_of),
            Ok(Err(panicked)) => Err(Problem::internal(format!("a search broke: {panicked}"))),
            Err(_) => {
                metrics.query(kind, QueryResult::Timeout, patience);
                let detail = format!("the search was given up after {} s; narrow the time range or the filter", patience.as_secs());
                Err(Problem::new(ProblemKind::QueryTimeout, detail))
            }
        }
    }
}

/// Stops a search when nobody waits for its answer any more.
pub(crate) struct StopWhenDropped(pub(crate) Stop);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// How a search that ended by itself is counted.
pub(crate) fn result_of(result: &Result<SearchSummary, SearchError>) -> QueryResult {
    match result {
        Ok(summary) if summary.gaps.is_empty() => QueryResult::Ok,
        Ok(_) => QueryResult::Incomplete,
        Err(SearchError::Stopped) => QueryResult::Timeout,
        Err(_) => QueryResult::Failed,
    }
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
