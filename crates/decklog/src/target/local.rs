//! Asking a store on this machine: the files of a data directory, or log files in memory.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use decklog_audit::Filter;
use decklog_audit::journal::ReadError;
use decklog_audit::search::{
    Extent, FacetRequest, Facets, Histogram, HistogramRequest, Order, SearchError, SearchRequest, SearchSummary, Searcher, SeqRange, SqlError, SqlErrorKind,
    SqlRequest, SqlSummary, Stop,
};
use decklog_query::StoreSearcher;
use decklog_store::{JournalView, TablePlace};

use super::{Found, Pieces, Question, Tally};
use crate::failure::{Exit, Failure, Failures, Place};

/// How often a tail of files looks for more.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A store on this machine, open for reading.
#[derive(Clone)]
pub(super) struct Local {
    searcher: Arc<dyn Searcher>,
    /// What errors name.
    place: PathBuf,
    /// Where the table lies, if that is not in the data directory.
    elsewhere: Option<String>,
}

impl Local {
    /// The files of a data directory and its table, without a lock: also while a server writes them.
    pub(super) fn open(data_dir: &Path, table: &TablePlace) -> Result<Self, Failure> {
        let searcher = StoreSearcher::open(data_dir, table.clone()).map_err(|error| match error {
            SearchError::Read(error) => unreadable(data_dir, &error),
            other => Failure::failed("search", other.to_string()),
        })?;
        let is_inside = *table == TablePlace::local(data_dir.join("table"));
        Ok(Self { elsewhere: (!is_inside).then(|| table.to_string()), ..Self::of(Arc::new(searcher), data_dir) })
    }

    /// With a searcher that is open.
    pub(super) fn of(searcher: Arc<dyn Searcher>, place: &Path) -> Self {
        Self { searcher, place: place.to_owned(), elsewhere: None }
    }

    pub(super) fn search(&self, question: &Question, found: &mut Found<'_>) -> Result<Tally, Failures> {
        self.run(&request(question, SeqRange::default())?, found)
    }

    pub(super) fn facets(&self, question: &Question, asked: &FacetRequest) -> Result<(Vec<Facets>, Tally), Failures> {
        let (facets, summary) = self.searcher.facets(&request(question, SeqRange::default())?, asked).map_err(|error| self.failure(error))?;
        let mut tally = tally(summary);
        tally.gaps.extend(asked.fields.iter().zip(&facets).filter_map(|(field, facets)| facets.gap(field)));
        Ok((facets, tally))
    }

    pub(super) fn histogram(&self, question: &Question, asked: &HistogramRequest) -> Result<(Histogram, Tally), Failures> {
        let (histogram, summary) = self.searcher.histogram(&request(question, SeqRange::default())?, asked).map_err(|error| self.failure(error))?;
        Ok((histogram, tally(summary)))
    }

    pub(super) fn extent(&self) -> Result<Extent, Failures> {
        let extent = self.searcher.extent(&Stop::default());
        extent.map(|(extent, _)| extent).map_err(|error| self.failure(error).into())
    }

    /// Hands out what comes, for ever.
    pub(super) fn tail(&self, question: &Question, last: usize, found: &mut Found<'_>) -> Result<(), Failures> {
        let mut view = JournalView::open(&self.place).map_err(|error| unreadable(&self.place, &error))?;
        let mut position = view.next_seq();
        if last > 0 {
            let newest = SearchRequest { limit: Some(last), ..request(question, SeqRange { from: None, until: Some(position) })? };
            self.run(&newest, found)?;
        }
        loop {
            view.refresh().map_err(|error| unreadable(&self.place, &error))?;
            let end = view.next_seq();
            if end > position {
                let arrived = SearchRequest { order: Order::Arrival, limit: None, ..request(question, SeqRange { from: Some(position), until: Some(end) })? };
                self.run(&arrived, found)?;
                position = end;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The answer to a question in SQL, in pieces.
    pub(super) fn sql(&self, request: &SqlRequest, out: &mut Pieces<'_>) -> Result<SqlSummary, Failures> {
        let mut failure = None;
        let result = self.searcher.sql(request, &mut |piece| match out(piece) {
            Ok(()) => ControlFlow::Continue(()),
            Err(stopped) => {
                failure = Some(stopped);
                ControlFlow::Break(())
            }
        });
        match failure {
            Some(failure) => Err(failure.into()),
            None => result.map_err(|error| self.with_place(sql_failure(error, &request.query)).into()),
        }
    }

    fn run(&self, request: &SearchRequest, found: &mut Found<'_>) -> Result<Tally, Failures> {
        let mut failure = None;
        let result = self.searcher.search(request, &mut |hit| match found(hit.line, Some(hit.time)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(stopped) => {
                failure = Some(stopped);
                ControlFlow::Break(())
            }
        });
        match failure {
            Some(failure) => Err(failure.into()),
            None => result.map(tally).map_err(|error| self.failure(error).into()),
        }
    }

    fn failure(&self, error: SearchError) -> Failure {
        match error {
            SearchError::Read(error) => unreadable(&self.place, &error),
            error => self.with_place(Failure::failed("search", error.to_string())),
        }
    }

    /// With the place of a table that lies elsewhere, where the failure may come from there.
    fn with_place(&self, failure: Failure) -> Failure {
        match &self.elsewhere {
            Some(place) if failure.exit == Exit::Failed => failure.help(format!(
                "the table of {} lies at {place}: is it reachable from here, with the same AWS_* variables as the server's?",
                self.place.display()
            )),
            _ => failure,
        }
    }
}

fn request(question: &Question, seqs: SeqRange) -> Result<SearchRequest, Failure> {
    // It was read before; only its text is handed around, since a server takes text.
    let filter = Filter::parse(&question.filter, question.now).map_err(|error| Failure::usage("bad-filter", error.to_string()).help(error.help))?;
    Ok(SearchRequest { filter, range: question.range, seqs, after: None, limit: question.limit, order: question.order, stop: Stop::default() })
}

fn tally(summary: SearchSummary) -> Tally {
    Tally { n_matched: summary.n_matched, extent: summary.extent, gaps: summary.gaps }
}

/// Why a question in SQL has no answer, with the place in its text.
fn sql_failure(error: SqlError, query: &str) -> Failure {
    let failure = match error.kind {
        SqlErrorKind::Bad => Failure::usage("bad-query", error.message),
        SqlErrorKind::Forbidden => Failure::new(Exit::Denied, "forbidden-query", error.message),
        SqlErrorKind::Memory => Failure::failed("too-large", error.message),
        SqlErrorKind::Timeout => Failure::new(Exit::TimeLimit, "query-timeout", error.message),
        SqlErrorKind::Stopped => Failure::new(Exit::Interrupted, "stopped", error.message),
        SqlErrorKind::Unavailable => Failure::failed("unavailable", error.message),
        SqlErrorKind::Failed => Failure::failed("query", error.message),
    };
    let failure = match error.place {
        Some((line, column)) => failure.at(Place { line, column, ..Place::default() }),
        None => failure,
    };
    let failure = if matches!(error.kind, SqlErrorKind::Bad | SqlErrorKind::Forbidden) { failure.pointing_into(query) } else { failure };
    match error.help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// Why a data directory cannot be read.
pub(crate) fn unreadable(data_dir: &Path, error: &ReadError) -> Failure {
    match error {
        ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Failure::failed("no-data", format!("there is no decklog data in `{}`", data_dir.display()))
                .help(format!("decklog import FILE --data-dir {0}, or decklog serve --data-dir {0}", data_dir.display()))
        }
        _ => Failure::failed("data-directory", error.to_string()),
    }
}
