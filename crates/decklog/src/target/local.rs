//! Searching the files of a data directory.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use decklog_audit::Filter;
use decklog_audit::journal::ReadError;
use decklog_audit::search::{Order, SearchError, SearchRequest, Searcher, SeqRange, Stop};
use decklog_query::JournalSearcher;
use decklog_store::JournalView;

use super::{Found, Question, Tally};
use crate::failure::{Failure, Failures};

/// How often a tail of files looks for more.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) fn search(data_dir: &Path, question: &Question, found: &mut Found<'_>) -> Result<Tally, Failures> {
    let searcher = JournalSearcher::open(data_dir).map_err(|error| unreadable(data_dir, &error))?;
    search_in(&searcher, data_dir, question, found)
}

/// The same with a searcher that is open.
pub(super) fn search_in(searcher: &JournalSearcher, data_dir: &Path, question: &Question, found: &mut Found<'_>) -> Result<Tally, Failures> {
    run(searcher, data_dir, &request(question, SeqRange::default())?, found)
}

pub(super) fn tail(data_dir: &Path, question: &Question, last: usize, found: &mut Found<'_>) -> Result<(), Failures> {
    let searcher = JournalSearcher::open(data_dir).map_err(|error| unreadable(data_dir, &error))?;
    let mut view = JournalView::open(data_dir).map_err(|error| unreadable(data_dir, &error))?;
    let mut position = view.next_seq();
    if last > 0 {
        let newest = SearchRequest { limit: Some(last), ..request(question, SeqRange { from: None, until: Some(position) })? };
        run(&searcher, data_dir, &newest, found)?;
    }
    loop {
        view.refresh().map_err(|error| unreadable(data_dir, &error))?;
        let end = view.next_seq();
        if end > position {
            let arrived = SearchRequest { order: Order::Arrival, limit: None, ..request(question, SeqRange { from: Some(position), until: Some(end) })? };
            run(&searcher, data_dir, &arrived, found)?;
            position = end;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn request(question: &Question, seqs: SeqRange) -> Result<SearchRequest, Failure> {
    // It was read before; only its text is handed around, since a server takes text.
    let filter = Filter::parse(&question.filter, question.now).map_err(|error| Failure::usage("bad-filter", error.to_string()).help(error.help))?;
    Ok(SearchRequest { filter, range: question.range, seqs, after: None, limit: question.limit, order: question.order, stop: Stop::default() })
}

fn run(searcher: &JournalSearcher, data_dir: &Path, request: &SearchRequest, found: &mut Found<'_>) -> Result<Tally, Failures> {
    let mut failure = None;
    let result = searcher.search(request, &mut |hit| match found(hit.line, Some(hit.time)) {
        Ok(()) => ControlFlow::Continue(()),
        Err(stopped) => {
            failure = Some(stopped);
            ControlFlow::Break(())
        }
    });
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    match result {
        Ok(summary) => Ok(Tally { n_matched: summary.n_matched, extent: summary.extent, gaps: summary.gaps }),
        Err(SearchError::Read(error)) => Err(unreadable(data_dir, &error).into()),
        Err(error) => Err(Failure::failed("search", error.to_string()).into()),
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
