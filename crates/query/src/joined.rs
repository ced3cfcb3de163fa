//! The searcher of a store with a table: what the table has, and from the journal what came after.
//!
//! A search first takes a version of the table, which says up to which sequence number it has the journal, and then
//! looks at the journal's blocks beyond. Events are in one of both, never in two. Times overlap, so answers by time
//! are merged; memory is bounded by the notes of the matches in files whose times overlap, and a portion of lines.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use decklog_audit::Timestamp;
use decklog_audit::filter::Filter;
use decklog_audit::journal::RecordBlock;
use decklog_audit::search::{
    Extent, FacetCounter, FacetRequest, Facets, Histogram, HistogramCounter, HistogramRequest, Hit, Order, SearchError, SearchRequest, SearchSummary, Searcher,
    SqlError, SqlErrorKind, SqlRequest, SqlSummary, Stop, count_facets, count_histogram,
};
use decklog_store::LocalJournal;
use decklog_store::table::{Lost, Table, TablePlace};

use crate::handout::{Found, hand_out, in_order};
use crate::plan::Plan;
use crate::scan::{self, Place, Tally};
use crate::searcher::{Answer, Beyond, Closing, Interrupted, JournalSearcher, Snapshot, summary};
use crate::sql::{self, JournalTail, SqlEngine, SqlLimits, SqlSnapshot};
use crate::table::{
    DeltaSource, FacetSink, FileReader, FileSet, Finder, HistogramSink, Key, Note, Notes, NumberSink, Outcome, Sink, SnapshotSource, TableSource, TableView,
    parted,
};
use crate::workers::Workers;

/// How often a search begins again because a file it wanted was removed meanwhile.
const ATTEMPTS: usize = 4;
/// Files whose number of requests is remembered.
const KNOWN_FILES: usize = 100_000;

/// Answers searches from the table and the journal.
pub struct StoreSearcher {
    journal: JournalSearcher,
    table: Box<dyn TableSource>,
    reader: FileReader,
    /// Requests in each file, by path: files never change.
    n_requests: Mutex<HashMap<String, u64>>,
    /// Started by the first question in SQL.
    sql: OnceLock<Result<SqlEngine, SqlError>>,
    sql_limits: SqlLimits,
}

impl StoreSearcher {
    /// Searches `table` and what `journal` has beyond it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(journal: JournalSearcher, table: impl TableSource + 'static) -> Result<Self, SearchError> {
        let reader = FileReader::start().map_err(|error| SearchError::Failed(format!("cannot start the thread that reads the table: {error}")))?;
        Ok(Self { journal, table: Box::new(table), reader, n_requests: Mutex::default(), sql: OnceLock::new(), sql_limits: SqlLimits::default() })
    }

    /// Searches a data directory beside the server that may be writing it, with the table at `place`. Takes no lock.
    ///
    /// # Errors
    /// When there is no journal, or it cannot be read.
    pub fn open(data_dir: &Path, place: TablePlace) -> Result<Self, SearchError> {
        Self::new(JournalSearcher::open(data_dir)?, DeltaSource::new(place))
    }

    /// Searches the journal and the table that are open for writing in this process.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of_table(journal: &LocalJournal, table: &Table) -> Result<Self, SearchError> {
        Self::new(JournalSearcher::of_journal(journal)?, SnapshotSource::new(table.newest(), table.store()))
    }

    /// With other limits for questions in SQL.
    #[must_use]
    pub fn with_sql_limits(self, sql_limits: SqlLimits) -> Self {
        Self { sql_limits, ..self }
    }

    /// What a question in SQL reads from: the newest version of the table and the records beyond it.
    fn sql_snapshot(&self, engine: &SqlEngine, view: &TableView) -> Result<SqlSnapshot, SearchError> {
        let next_seq = self.next_seq(view)?;
        let Beyond { view: journal, blocks, mut gaps } = self.journal.tail(next_seq)?;
        gaps.extend(self.lost(&SearchRequest::default(), view)?.into_iter().map(|(_, words)| words));
        engine.tail_cache().forget_below(next_seq);
        let tail = JournalTail::new(journal, &blocks, next_seq, Arc::clone(engine.tail_cache()));
        let files = view.files.iter().map(|file| sql::TableFile {
            path: file.path.clone(),
            size: file.size,
            n_rows: file.n_rows,
            seq: file.seqs.map(|(first, last)| (i64::try_from(first).unwrap_or(0), i64::try_from(last).unwrap_or(i64::MAX))),
            time: file.times.map(|(first, last)| (first.micros(), last.micros())),
        });
        Ok(SqlSnapshot { files: files.collect(), store: Arc::clone(&view.store), tail: Some(tail), gaps })
    }

    /// Calls `attempt` with the newest version of the table, again while files of it vanish and there is a newer one.
    fn with_table<T>(&self, mut attempt: impl FnMut(&TableView, Again) -> Result<T, Interrupted>) -> Result<T, SearchError> {
        let mut view = self.table.view()?;
        for _ in 1..ATTEMPTS {
            match attempt(&view, Again::MayBegin) {
                Err(Interrupted::Vanished) => {}
                other => return Ok(other?),
            }
            let newer = self.table.view()?;
            if Arc::ptr_eq(&newer, &view) {
                break;
            }
            view = newer;
        }
        Ok(attempt(&view, Again::MayNot)?)
    }

    /// The first sequence number that is not in the table. A journal whose id is not known yet was empty when the version of
    /// the table was taken, so nothing of it is in there.
    fn next_seq(&self, view: &TableView) -> Result<u64, SearchError> {
        Ok(view.next_seq(self.journal.journal_id()?.as_deref()))
    }

    /// What is missing between the table and the journal, once the journal was looked at: retention may have removed records
    /// that only a newer version of the table has.
    fn gap_between(&self, view: &TableView, again: Again) -> Result<Option<(u64, String)>, Interrupted> {
        let (next_seq, oldest) = (self.next_seq(view)?, self.journal.oldest_seq());
        if next_seq == 0 || oldest <= next_seq {
            return Ok(None);
        }
        let words = format!("records {next_seq} to {} are missing: in the table not yet, in the journal no more", oldest - 1);
        if again == Again::MayBegin { Err(Interrupted::Vanished) } else { Ok(Some((next_seq, words))) }
    }

    /// What neither table nor journal has, and an answer to `request` may lack.
    fn lost(&self, request: &SearchRequest, view: &TableView) -> Result<Vec<(u64, String)>, SearchError> {
        let Some(journal) = self.journal.journal_id()? else { return Ok(Vec::new()) };
        let mut lost = Lost::of(view.last_seqs.iter().map(|(application, last)| (application.as_str(), *last)), &journal);
        // Once all days of that time went by retention nobody asks for what else there was.
        let is_old = |lost: &Lost| view.files.iter().all(|file| file.times.is_some_and(|(first, _)| lost.before < first)) && !view.files.is_empty();
        lost.retain(|lost| lost.touches(&request.range, &request.seqs) && !is_old(lost));
        Ok(lost.iter().map(|lost| (lost.from_seq, lost.to_string())).collect())
    }

    /// What of `request` the table does not have.
    fn beyond(&self, request: &SearchRequest, view: &TableView) -> Result<SearchRequest, SearchError> {
        let next_seq = self.next_seq(view)?;
        let mut beyond = request.clone();
        beyond.seqs.from = Some(request.seqs.from.unwrap_or(0).max(next_seq));
        Ok(beyond)
    }

    fn finder<'a>(&'a self, view: &'a TableView, request: &'a SearchRequest) -> Finder<'a> {
        Finder::new(&self.reader, view, request, self.journal.n_threads)
    }

    fn search_once(&self, request: &SearchRequest, view: &TableView, again: Again, answer: &mut Answer<'_>) -> Result<SearchSummary, Interrupted> {
        let beyond = self.beyond(request, view)?;
        let plan = Plan::new(&beyond);
        let mut journal = self.journal.snapshot(&plan)?;
        journal.gaps.extend(self.gap_between(view, again)?);
        journal.gaps.extend(self.lost(request, view)?);
        let _closing = Closing(journal.view);
        let finder = self.finder(view, request);
        let files = wanted_files(&finder);
        let workers = Workers { n_threads: self.journal.n_threads, stop: &request.stop };
        let mut search = Search { request, finder, again, tally: Tally::default() };
        if request.order == Order::Arrival && request.limit.is_none() {
            for set in parted(view, files, Key::Seq) {
                if !answer.is_broken_off() {
                    search.hand_out(&set, &[], &mut journal, answer)?;
                }
            }
            if !answer.is_broken_off() {
                search.tally.add(&scan::stream(&plan, &mut journal, workers, answer)?);
            }
        } else {
            let places = scan::collect(&plan, &mut journal, workers)?;
            search.tally.add(&places.tally);
            search.by_time(files, &places, &mut journal, answer)?;
        }
        Ok(summary(&search.tally, answer.n_returned(), journal.gaps))
    }

    /// Counts with the sinks of [`Finder::find`], and gives them with a summary of the table's part.
    fn count<S: Sink>(&self, request: &SearchRequest, view: &TableView, again: Again, sink: impl Fn() -> S + Sync) -> Result<(Vec<S>, Outcome), Interrupted> {
        let finder = self.finder(view, request);
        let (sinks, outcome) = finder.find(&wanted_files(&finder), sink)?;
        again.check(&outcome)?;
        Ok((sinks, outcome))
    }

    fn n_requests(&self, stop: &Stop, view: &TableView, again: Again) -> Result<(u64, Vec<(u64, String)>), Interrupted> {
        let known = |path: &str| self.n_requests.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied();
        let filter = Filter::parse("final:true", Timestamp::default()).map_err(|error| SearchError::Failed(error.message))?;
        let request = SearchRequest { filter, stop: stop.clone(), ..SearchRequest::default() };
        let finder = self.finder(view, &request);
        let (mut sum, mut gaps) = (0, Vec::new());
        for (number, file) in (0..).zip(&view.files) {
            if let Some(n_requests) = known(&file.path) {
                sum += n_requests;
                continue;
            }
            let (_, outcome) = finder.find(&[number], || NumberSink)?;
            again.check(&outcome)?;
            sum += outcome.tally.n_matched;
            if outcome.gaps.is_empty() {
                let mut known = self.n_requests.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= KNOWN_FILES {
                    known.clear();
                }
                known.insert(file.path.clone(), outcome.tally.n_matched);
            }
            gaps.extend(outcome.gaps);
        }
        Ok((sum, gaps))
    }
}

/// Whether a search may begin again when a file has vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    MayBegin,
    MayNot,
}

impl Again {
    fn check(self, outcome: &Outcome) -> Result<(), Interrupted> {
        if outcome.vanished && self == Self::MayBegin { Err(Interrupted::Vanished) } else { Ok(()) }
    }
}

/// The files that may hold something.
fn wanted_files(finder: &Finder<'_>) -> Vec<u32> {
    (0..).zip(&finder.view.files).filter(|(_, file)| finder.wants_file(file)).map(|(number, _)| number).collect()
}

/// A search under way.
struct Search<'a> {
    request: &'a SearchRequest,
    finder: Finder<'a>,
    again: Again,
    tally: Tally,
}

impl Search<'_> {
    /// The notes of matches in some files, by (time, sequence).
    fn notes(&mut self, files: &[u32], journal: &mut Snapshot<'_>, answer: &Answer<'_>) -> Result<Vec<Note>, Interrupted> {
        let (sinks, outcome) = self.finder.find(files, || Notes::new(self.request.limit))?;
        if answer.n_returned() == 0 {
            self.again.check(&outcome)?;
        }
        self.tally.add(&outcome.tally);
        journal.gaps.extend(outcome.gaps);
        let mut notes: Vec<Note> = sinks.into_iter().flat_map(Notes::into_all).collect();
        notes.sort_unstable();
        Ok(notes)
    }

    /// Hands out the matches of some files, and of the journal those given.
    fn hand_out(&mut self, set: &FileSet, places: &[Place], journal: &mut Snapshot<'_>, answer: &mut Answer<'_>) -> Result<(), Interrupted> {
        let notes = self.notes(&set.files, journal, answer)?;
        let found = in_order(places, &notes, self.request.order);
        self.give(&found, &[], journal, answer)
    }

    fn give(&self, found: &[Found], kept: &[(u32, RecordBlock)], journal: &mut Snapshot<'_>, answer: &mut Answer<'_>) -> Result<(), Interrupted> {
        match hand_out(found, kept, Some(&self.finder), &self.request.stop, journal, answer) {
            // Nothing was handed out yet, but it has begun again often enough.
            Err(Interrupted::Vanished) if self.again == Again::MayNot => Err(SearchError::from(Interrupted::Vanished).into()),
            other => other,
        }
    }

    /// Hands out by time, or the newest ones.
    fn by_time(&mut self, files: Vec<u32>, places: &scan::Places, journal: &mut Snapshot<'_>, answer: &mut Answer<'_>) -> Result<(), Interrupted> {
        if let Some(limit) = self.request.limit {
            let notes = self.notes(&files, journal, answer)?;
            let mut newest = in_order(&places.places, &notes, Order::Ascending);
            newest.drain(..newest.len().saturating_sub(limit));
            let (mut of_journal, mut of_table) = (Vec::new(), Vec::new());
            for found in newest {
                match found {
                    Found::Record(place) => of_journal.push(place),
                    Found::Row(note) => of_table.push(note),
                }
            }
            return self.give(&in_order(&of_journal, &of_table, self.request.order), &places.kept, journal, answer);
        }
        let mut sets = parted(self.finder.view, files, Key::Time);
        let mut rest = places.places.as_slice();
        if self.request.order == Order::Descending {
            sets.reverse();
        }
        for set in sets {
            if answer.is_broken_off() {
                return Ok(());
            }
            // Records that come before the set's end belong between its rows.
            let micros = |place: &Place| i128::from(place.time().micros());
            let now;
            (now, rest) = if self.request.order == Order::Descending {
                let at = rest.partition_point(|place| micros(place) < set.first);
                (&rest[at..], &rest[..at])
            } else {
                rest.split_at(rest.partition_point(|place| micros(place) <= set.last))
            };
            self.hand_out(&set, now, journal, answer)?;
        }
        self.give(&in_order(rest, &[], self.request.order), &places.kept, journal, answer)
    }
}

impl Searcher for StoreSearcher {
    fn search(&self, request: &SearchRequest, found: &mut dyn FnMut(Hit<'_>) -> ControlFlow<()>) -> Result<SearchSummary, SearchError> {
        let mut answer = Answer::new(found);
        self.with_table(|view, again| self.search_once(request, view, again, &mut answer))
    }

    fn facets(&self, request: &SearchRequest, asked: &FacetRequest) -> Result<(Vec<Facets>, SearchSummary), SearchError> {
        let request = unordered(request);
        self.with_table(|view, again| {
            let (sinks, mut outcome) = self.count(&request, view, again, || FacetSink::new(&asked.fields))?;
            let mut counters: Vec<FacetCounter> = asked.fields.iter().map(|_| FacetCounter::default()).collect();
            let beyond = count_facets(&self.journal, &self.beyond(&request, view)?, &asked.fields, &mut counters)?;
            outcome.gaps.extend(self.gap_between(view, again)?);
            outcome.gaps.extend(self.lost(&request, view)?);
            for sink in sinks {
                counters.iter_mut().zip(sink.counters).for_each(|(counter, other)| counter.merge(other));
            }
            Ok((counters.into_iter().map(|counter| counter.facets(asked.n_top, &asked.prefix)).collect(), with_table(beyond, &outcome)))
        })
    }

    fn histogram(&self, request: &SearchRequest, asked: &HistogramRequest) -> Result<(Histogram, SearchSummary), SearchError> {
        let request = unordered(request);
        self.with_table(|view, again| {
            let (sinks, mut outcome) = self.count(&request, view, again, || HistogramSink::new(asked.split.as_ref(), asked.n_buckets))?;
            let mut counter = HistogramCounter::new(asked.n_buckets);
            sinks.iter().for_each(|sink| counter.merge(&sink.counter));
            let beyond = count_histogram(&self.journal, &self.beyond(&request, view)?, asked.split.as_ref(), &mut counter)?;
            outcome.gaps.extend(self.gap_between(view, again)?);
            outcome.gaps.extend(self.lost(&request, view)?);
            Ok((counter.histogram(), with_table(beyond, &outcome)))
        })
    }

    fn extent(&self, stop: &Stop) -> Result<(Extent, SearchSummary), SearchError> {
        let everything = SearchRequest { order: Order::Arrival, stop: stop.clone(), ..SearchRequest::default() };
        self.with_table(|view, again| {
            // What statistics tell is told without looking whether somebody waits.
            if stop.is_stopped() {
                return Err(Interrupted::stopped());
            }
            let (_, mut outcome) = self.count(&everything, view, again, || NumberSink)?;
            let (n_requests, gaps) = self.n_requests(stop, view, again)?;
            outcome.gaps.extend(gaps);
            let mut extent = Extent { n_events: outcome.tally.n_matched, n_requests, times: None, next_seq: self.next_seq(view)? };
            let beyond = self.journal.search(&self.beyond(&everything, view)?, &mut |hit| {
                extent.add(&hit);
                ControlFlow::Continue(())
            })?;
            outcome.gaps.extend(self.gap_between(view, again)?);
            outcome.gaps.extend(self.lost(&everything, view)?);
            let summary = with_table(beyond, &outcome);
            extent.times = summary.extent;
            Ok((extent, summary))
        })
    }

    fn sql(&self, request: &SqlRequest, out: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<SqlSummary, SqlError> {
        let engine = self.sql.get_or_init(|| SqlEngine::new(self.sql_limits.clone())).as_ref().map_err(Clone::clone)?;
        let failed = |error: SearchError| SqlError::new(SqlErrorKind::Failed, error.to_string());
        let now = Timestamp::from_system(std::time::SystemTime::now());
        let view = self.table.view().map_err(failed)?;
        let snapshot = self.sql_snapshot(engine, &view).map_err(failed)?;
        let mut is_begun = false;
        let answer = engine.answer(snapshot, request, now, &mut |bytes| {
            is_begun = true;
            out(bytes)
        });
        let Err(error) = answer else { return answer };
        if error.kind != SqlErrorKind::Failed {
            return Err(error);
        }
        let newer = self.table.view().map_err(failed)?;
        if !has_lost_files(&view, &newer) {
            return Err(error);
        }
        if is_begun {
            return Err(replaced(&error));
        }
        let snapshot = self.sql_snapshot(engine, &newer).map_err(failed)?;
        engine.answer(snapshot, request, now, out).map_err(|error| {
            let is_replaced = error.kind == SqlErrorKind::Failed && self.table.view().is_ok_and(|newest| has_lost_files(&newer, &newest));
            if is_replaced { replaced(&error) } else { error }
        })
    }
}

/// Whether `view` has files that are no part of the table any more.
fn has_lost_files(view: &TableView, newer: &TableView) -> bool {
    let left: std::collections::HashSet<&str> = newer.files.iter().map(|file| file.path.as_str()).collect();
    view.files.iter().any(|file| !left.contains(file.path.as_str()))
}

/// A question that failed while files it read were replaced by others.
fn replaced(error: &SqlError) -> SqlError {
    let message = format!("files of the table were merged or retired, and removed, while the query read them: {}", error.message);
    SqlError { help: Some("ask again, or let vacuum keep former files longer than queries take".to_owned()), ..SqlError::new(SqlErrorKind::Failed, message) }
}

/// The request as counts take it: its order, place and limit aside.
fn unordered(request: &SearchRequest) -> SearchRequest {
    SearchRequest { order: Order::Arrival, limit: None, after: None, ..request.clone() }
}

fn join(one: Option<(Timestamp, Timestamp)>, other: Option<(Timestamp, Timestamp)>) -> Option<(Timestamp, Timestamp)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

/// The journal's summary with the table's part added. Counting gives out what it matches.
fn with_table(journal: SearchSummary, table: &Outcome) -> SearchSummary {
    let of_table = summary(&table.tally, table.tally.n_matched, table.gaps.clone());
    let mut gaps = of_table.gaps;
    gaps.extend(journal.gaps);
    SearchSummary {
        n_matched: of_table.n_matched + journal.n_matched,
        n_returned: of_table.n_returned + journal.n_returned,
        n_scanned: of_table.n_scanned + journal.n_scanned,
        extent: join(of_table.extent, journal.extent),
        gaps,
    }
}
