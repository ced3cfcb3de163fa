//! Answers that are wrong, late or lost, and processes that end, at every write there is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use decklog_store::table::log::{CommitError, TableChange, TableError, TableLog};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

use crate::support::{assert_holds, columns, compact, memory, now, place_of, retire, write};

/// What the store answers instead of "done".
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// 409 or 412 of a conditional put.
    Exists,
    /// 412 of any other.
    Precondition,
    /// 500, or no answer in time.
    Failure,
}

/// Whether the write was done all the same.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Before,
    After,
}

/// A store of which some puts are answered wrongly, or which ends at one.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
    n_puts: AtomicUsize,
    first: usize,
    /// How many puts in a row; `usize::MAX` is the end of the process: every call after it fails.
    length: usize,
    when: When,
    answer: Answer,
}

impl Faulty {
    fn new(inner: &Arc<dyn ObjectStore>, first: usize, length: usize, when: When, answer: Answer) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), n_puts: AtomicUsize::new(0), first, length, when, answer })
    }

    fn error(&self, path: &Path) -> Error {
        let (path, source) = (path.to_string(), "a fault of the test".into());
        match self.answer {
            Answer::Exists => Error::AlreadyExists { path, source },
            Answer::Precondition => Error::Precondition { path, source },
            Answer::Failure => Error::Generic { store: "faulty", source },
        }
    }

    fn is_over(&self) -> bool {
        self.length == usize::MAX && self.n_puts.load(Ordering::SeqCst) > self.first
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_over = self.is_over();
        let number = self.n_puts.fetch_add(1, Ordering::SeqCst);
        let is_faulty = number >= self.first && number - self.first < self.length;
        if is_over || is_faulty && self.when == When::Before {
            return Err(self.error(path));
        }
        let done = self.inner.put_opts(path, payload, options).await?;
        if is_faulty { Err(self.error(path)) } else { Ok(done) }
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if self.is_over() { Err(self.error(path)) } else { self.inner.get_opts(path, options).await }
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.is_over() {
            let error = self.error(&Path::from("list"));
            return futures_util::stream::once(async { Err(error) }).boxed();
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// What a writer, compaction and retention do one after another, each planned from the newest version as they
/// would: doing it again from the start changes nothing that is done already.
fn script(log: &mut TableLog) -> std::result::Result<(), CommitError> {
    for (name, seq) in [("a", 10), ("b", 20), ("c", 30)] {
        settle(log, &write(name, Some(("journal", seq))))?;
    }
    let has = |log: &TableLog, name: &str| crate::support::names(&log.snapshot()).iter().any(|other| other == name);
    if has(log, "a") {
        settle(log, &compact(&log.snapshot(), &["a", "b"], "ab"))?;
    }
    if has(log, "c") {
        settle(log, &retire(&log.snapshot(), &["c"]))?;
    }
    settle(log, &write("d", Some(("journal", 40))))
}

/// Commits, once more if the answer was "unknown". A conflict is then the first attempt's success.
fn settle(log: &mut TableLog, change: &TableChange) -> std::result::Result<(), CommitError> {
    match log.commit(change) {
        Err(CommitError::Unknown { .. }) => match log.commit(change) {
            Err(CommitError::Conflict { .. }) => Ok(()),
            result => result.map(drop),
        },
        result => result.map(drop),
    }
}

/// The create, four writes, a compaction, a retention.
const N_PUTS: usize = 7;

#[test]
fn any_wrong_answer_to_any_write_loses_and_doubles_nothing() {
    for first in 0..N_PUTS {
        for when in [When::Before, When::After] {
            for answer in [Answer::Exists, Answer::Precondition, Answer::Failure] {
                let store = memory();
                let faulty: Arc<dyn ObjectStore> = Faulty::new(&store, first, 1, when, answer);
                let case = format!("put {first}, {when:?}, {answer:?}");
                let mut log = match TableLog::open(&place_of(&faulty), &columns(), "events", now()) {
                    Ok(log) => log,
                    // The creation's failure is told, and the next attempt finds a table or nothing.
                    Err(TableError::Storage { .. }) if first == 0 => TableLog::open(&place_of(&faulty), &columns(), "events", now()).unwrap(),
                    Err(error) => panic!("{case}: {error}"),
                };
                script(&mut log).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(log.snapshot().transaction("journal"), Some(40), "{case}");
                assert_eq!(log.snapshot().version, 6, "{case}: one commit a change");
                assert_holds(&store, &["ab", "d"]);
            }
        }
    }
}

#[test]
fn a_store_that_stays_silent_is_told_as_unknown_and_the_same_commit_is_safe_to_repeat() {
    for when in [When::Before, When::After] {
        let store = memory();
        drop(crate::support::open(&place_of(&store)));
        let faulty: Arc<dyn ObjectStore> = Faulty::new(&store, 0, usize::MAX, when, Answer::Failure);
        let mut log = TableLog::open(&place_of(&faulty), &columns(), "events", now()).unwrap();
        let change = write("a", Some(("journal", 10)));
        assert!(matches!(log.commit(&change), Err(CommitError::Unknown { version: 1, .. })), "{when:?}");
        let mut fresh = crate::support::open(&place_of(&store));
        assert_eq!(fresh.commit(&change).unwrap().version, 1);
        assert_holds(&store, &["a"]);
    }
}

#[test]
fn a_process_that_ends_at_any_write_leaves_a_table_that_goes_on() {
    for first in 0..N_PUTS {
        for when in [When::Before, When::After] {
            let store = memory();
            let dying: Arc<dyn ObjectStore> = Faulty::new(&store, first, usize::MAX, when, Answer::Failure);
            if let Ok(mut log) = TableLog::open(&place_of(&dying), &columns(), "events", now()) {
                assert!(script(&mut log).is_err(), "put {first}, {when:?}");
            }
            let mut log = crate::support::open(&place_of(&store));
            script(&mut log).unwrap();
            assert_eq!(log.snapshot().version, 6, "put {first}, {when:?}: one commit a change");
            assert_holds(&store, &["ab", "d"]);
        }
    }
}

#[test]
fn a_process_that_ends_at_any_write_of_a_checkpoint_leaves_a_table_that_goes_on() {
    // The 50th commit: its own put, the checkpoint's, and the hint's.
    for first in 0..3 {
        for when in [When::Before, When::After] {
            let store = memory();
            let mut log = crate::support::open(&place_of(&store));
            for seq in 1..50 {
                log.commit(&write(&format!("{seq:02}"), Some(("journal", seq)))).unwrap();
            }
            let dying: Arc<dyn ObjectStore> = Faulty::new(&store, first, usize::MAX, when, Answer::Failure);
            let mut log = TableLog::open(&place_of(&dying), &columns(), "events", now()).unwrap();
            let last = write("50", Some(("journal", 50)));
            match log.commit(&last) {
                // deltalake-core does without the hint, put 2, if it must.
                Ok(snapshot) => assert!(snapshot.version == 50 && (first == 2 || log.upkeep_error().is_some()), "put {first}, {when:?}"),
                Err(CommitError::Unknown { .. } | CommitError::Table(_)) => assert_eq!(first, 0),
                Err(error) => panic!("{error}"),
            }
            let mut log = crate::support::open(&place_of(&store));
            assert_eq!(log.commit(&last).unwrap().files.len(), 50);
            let expected = (1..=50).map(|seq| format!("{seq:02}")).collect::<Vec<_>>();
            assert_holds(&store, &expected.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
