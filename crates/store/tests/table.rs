//! The table filled from a journal: whatever stops it at whichever step, every event is in it once.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use decklog_audit::Timestamp;
use decklog_audit::intake::{Form, Intake};
use decklog_audit::journal::{Batch, Journal, Origin};
use decklog_audit::search::Stop;
use decklog_store::clock::ManualClock;
use decklog_store::files::memory::MemoryFiles;
use decklog_store::table::schema::memory_schema;
use decklog_store::table::{Compacted, Rows, Table, TableConfig, TablePlace};
use decklog_store::testing::wait;
use decklog_store::{Environment, JournalConfig, LocalJournal, TableMetrics};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

/// A store whose power goes at a certain write: before it is done, or after it is done and before it is answered.
#[derive(Debug)]
struct Cut {
    inner: Arc<InMemory>,
    /// Writes that are still let through; below zero nothing works any more.
    left: AtomicI64,
    after: bool,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut")
    }
}

impl Cut {
    fn gone() -> object_store::Error {
        object_store::Error::Generic { store: "cut", source: "the power is gone".into() }
    }

    fn alive(&self) -> Result<()> {
        if self.left.load(Ordering::SeqCst) < 0 { Err(Self::gone()) } else { Ok(()) }
    }
}

#[async_trait]
impl ObjectStore for Cut {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.alive()?;
        let is_last = self.left.fetch_sub(1, Ordering::SeqCst) == 0;
        if is_last && !self.after {
            return Err(Self::gone());
        }
        let done = self.inner.put_opts(location, payload, opts).await;
        if is_last { Err(Self::gone()) } else { done }
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.alive()?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.alive()?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if self.left.load(Ordering::SeqCst) < 0 || self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            return futures_util::stream::once(async { Err(Self::gone()) }).boxed();
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.left.load(Ordering::SeqCst) < 0 {
            return futures_util::stream::once(async { Err(Self::gone()) }).boxed();
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.alive()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.alive()?;
        self.inner.copy_opts(from, to, options).await
    }
}

fn place(store: Arc<dyn ObjectStore>) -> TablePlace {
    TablePlace::in_store("memory:///table/".parse().unwrap(), store)
}

fn config() -> TableConfig {
    TableConfig { flush_every: Duration::from_secs(3600), ..TableConfig::default() }
}

/// `n_events` events on `n_days` days, from the number `first` on.
fn append(journal: &LocalJournal, first: usize, n_events: usize, n_days: usize) {
    let intake = Intake { redactor: None, max_event_bytes: 1 << 20 };
    let mut batch = Batch::new(Origin { cluster: "lab".into(), source: "test".into(), sender: "".into() }, Timestamp::from_micros(1_795_500_000_000_000));
    for number in first..first + n_events {
        let day = 20 + number % n_days;
        let line = format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{number}","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{{"username":"u{}"}},"requestReceivedTimestamp":"2026-11-{day}T10:00:00.000000Z","stageTimestamp":"2026-11-{day}T10:00:00.{number:06}Z"}}"#,
            number % 7
        );
        intake.push(line.as_bytes(), Form::Line, &mut batch).unwrap();
    }
    wait(journal.append(batch)).unwrap();
}

/// The audit ids in the files of the table's newest version, with how often each is there.
fn stored(store: &Arc<InMemory>) -> BTreeMap<String, usize> {
    let log = decklog_store::table::TableLog::open_existing(&place(Arc::clone(store) as _)).unwrap().unwrap();
    let mut ids = BTreeMap::new();
    for file in &log.snapshot().files {
        let bytes = wait(async { store.get(&Path::from(file.path.as_str())).await.unwrap().bytes().await.unwrap() });
        let options = ArrowReaderOptions::new().with_schema(memory_schema());
        for batch in ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let rows = Rows::new(&batch);
            for row in 0..rows.n_rows() {
                *ids.entry(rows.text(decklog_store::table::Column::AuditId, row).unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    ids
}

/// The table has the first `n_events` events, each once.
fn check_stored(store: &Arc<InMemory>, n_events: usize, when: &str) {
    let stored = stored(store);
    let missing: Vec<usize> = (0..n_events).filter(|number| !stored.contains_key(&number.to_string())).collect();
    let doubled: Vec<&String> = stored.iter().filter(|(_, n_times)| **n_times > 1).map(|(id, _)| id).collect();
    assert!(missing.is_empty() && doubled.is_empty() && stored.len() == n_events, "{when}: missing {missing:?}, doubled {doubled:?}");
}

fn open(store: Arc<dyn ObjectStore>, journal: &Arc<LocalJournal>, config: TableConfig) -> std::result::Result<Table, decklog_store::table::WriteError> {
    Table::open(&place(store), journal, config, TableMetrics::default())
}

#[test]
fn events_are_in_the_table_once_flushed_and_its_next_start_goes_on_behind_them() {
    let (store, journal) = (Arc::new(InMemory::new()), Arc::new(LocalJournal::in_memory().unwrap()));
    let table = open(store.clone(), &journal, config()).unwrap();
    append(&journal, 0, 500, 3);
    table.flush(&Stop::default()).unwrap();
    let stats = table.stats();
    assert_eq!((stats.n_rows, stats.n_files, stats.next_seq, stats.failure), (500, 3, 501, None));
    check_stored(&store, 500, "flushed");
    append(&journal, 500, 100, 3);
    table.close();
    check_stored(&store, 600, "closing writes what waits");
    let table = open(store.clone(), &journal, config()).unwrap();
    append(&journal, 600, 10, 1);
    table.flush(&Stop::default()).unwrap();
    table.close();
    check_stored(&store, 610, "flushed");
}

#[test]
fn wherever_the_power_goes_no_event_is_lost_or_doubled() {
    let mut n_cut = 0;
    for after in [false, true] {
        for left in 0..40 {
            let (store, journal) = (Arc::new(InMemory::new()), Arc::new(LocalJournal::in_memory().unwrap()));
            let cut = Arc::new(Cut { inner: store.clone(), left: AtomicI64::new(left), after });
            // Every step: making the table, two flushes of files on two days, a compaction, retention, vacuum.
            let stop = Stop::default();
            let steps = || -> std::result::Result<(), decklog_store::table::WriteError> {
                let table = open(cut.clone(), &journal, config())?;
                for round in 0..2 {
                    append(&journal, round * 20, 20, 2);
                    let flushed = std::thread::scope(|scope| {
                        let flushing = scope.spawn(|| table.flush(&stop));
                        while !flushing.is_finished() {
                            if cut.left.load(Ordering::SeqCst) < 0 {
                                stop.stop();
                            }
                            std::thread::yield_now();
                        }
                        flushing.join().unwrap()
                    });
                    flushed?;
                }
                table.compact()?;
                table.vacuum(Duration::ZERO)?;
                Ok(())
            };
            let result = steps();
            n_cut += usize::from(result.is_err());
            let known = journal.next_seq() as usize - 1;
            let table = open(store.clone(), &journal, config()).unwrap();
            table.flush(&Stop::default()).unwrap();
            table.vacuum(Duration::ZERO).unwrap();
            check_stored(&store, known, &format!("after {left} writes, answered: {}", !after));
            // Nothing that no commit names is left behind.
            let named = table.snapshot().files.len();
            let there = wait(
                store
                    .list(None)
                    .try_filter(|meta| std::future::ready(meta.location.extension() == Some("parquet") && !meta.location.as_ref().contains("_delta_log")))
                    .count(),
            );
            assert_eq!(named, there, "after {left} writes");
            if result.is_ok() {
                break;
            }
        }
    }
    assert!(n_cut > 12, "{n_cut}: the cuts did not reach every step");
}

#[test]
fn merging_ends_though_not_all_fits_into_one_file() {
    let (store, journal) = (Arc::new(InMemory::new()), Arc::new(LocalJournal::in_memory().unwrap()));
    let table = open(store.clone(), &journal, config()).unwrap();
    for round in 0..5 {
        append(&journal, round * 40, 40, 1);
        table.flush(&Stop::default()).unwrap();
    }
    let size = table.snapshot().files[0].size;
    table.close();
    let table = open(store.clone(), &journal, TableConfig { compact_to: size * 2 + size / 2, ..config() }).unwrap();
    let compacted = table.compact().unwrap();
    assert!(compacted.n_after < compacted.n_before, "{compacted:?}");
    assert_eq!(table.compact().unwrap(), Compacted::default(), "nothing is left to merge");
    check_stored(&store, 200, "merged");
}

#[test]
fn small_files_become_one_and_old_days_go_with_a_mark() {
    let (store, journal) = (Arc::new(InMemory::new()), Arc::new(LocalJournal::in_memory().unwrap()));
    let table = open(store.clone(), &journal, TableConfig { max_size: Some(1), ..config() }).unwrap();
    for round in 0..4 {
        append(&journal, round * 50, 50, 2);
        table.flush(&Stop::default()).unwrap();
    }
    let before = table.snapshot();
    let compacted = table.compact().unwrap();
    assert_eq!((compacted.n_before, compacted.n_after), (before.files.len(), 2));
    check_stored(&store, 200, "flushed");
    assert!(compacted.bytes_after < compacted.bytes_before);

    let retired = table.retire().unwrap();
    assert_eq!(retired.iter().map(|day| (day.n_files, day.n_rows)).collect::<Vec<_>>(), [(1, 100)], "the newest day stays, whatever its size");
    assert_eq!(stored(&store).len(), 100);
    let vacuumed = table.vacuum(Duration::ZERO).unwrap();
    assert_eq!(vacuumed.n_files as usize, before.files.len() + 1);
    table.close();
    let mut view = journal.view().unwrap();
    view.refresh().unwrap();
    let blocks: Vec<_> = view.blocks().cloned().collect();
    let marks = blocks.iter().filter_map(|block| match view.read(block).unwrap() {
        decklog_store::BlockRead::Records(records) => Some(String::from_utf8_lossy(&records.bytes).into_owned()),
        decklog_store::BlockRead::Gap(_) => None,
    });
    assert!(marks.into_iter().any(|text| text.contains(r#""mark":"table-retention","why":"size","day":"2026-11-20""#)));
}

/// A journal on `files`. Its clock stands still by itself: nobody's patience is ever over.
fn journal_on(files: &MemoryFiles, clock: &Arc<ManualClock>) -> Arc<LocalJournal> {
    let environment = Environment { files: Arc::new(files.clone()), clock: Arc::clone(clock) as _, ..Environment::default() };
    let config = JournalConfig { reserve: 0, ..JournalConfig::default() };
    Arc::new(LocalJournal::open_with(std::path::Path::new("/data"), config, environment).unwrap())
}

/// Runs `work` beside this thread, which gives up after a while.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waiting) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || done.send(work()));
    waiting.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("{what} does not come to its end"))
}

#[test]
fn a_flush_and_the_close_reach_a_thread_that_waits_for_records() {
    let (store, journal) = (Arc::new(InMemory::new()), journal_on(&MemoryFiles::new(), &Arc::default()));
    let table = Arc::new(open(store.clone(), &journal, config()).unwrap());
    for round in 0..20 {
        append(&journal, round * 10, 10, 1);
        let flushing = Arc::clone(&table);
        in_time("a flush", move || flushing.flush(&Stop::default())).unwrap();
    }
    check_stored(&store, 200, "flushed");
    in_time("the close", move || table.close());
}

/// A journal of three blocks whose block `number` is damaged since it was closed; the last one is a mark.
fn damaged_journal(number: usize, clock: &Arc<ManualClock>) -> Arc<LocalJournal> {
    let files = MemoryFiles::new();
    let journal = journal_on(&files, clock);
    for round in 0..2 {
        append(&journal, round * 10, 10, 1);
    }
    let mut mark = Batch::new(Origin::default(), Timestamp::default());
    mark.push_mark(b"{}");
    wait(journal.append(mark)).unwrap();
    let block = journal.view().unwrap().blocks().nth(number).unwrap().clone();
    let (segment, offset) = block.place();
    journal.close();
    files.damage(&std::path::Path::new("/data/journal").join(segment), offset + block.stored_size - 9, 1);
    journal_on(&files, clock)
}

#[test]
fn what_was_damaged_in_the_journal_is_known_once_the_rest_is_in_the_table() {
    for (number, from_seq) in [(0, 1), (1, 11)] {
        let (store, clock) = (Arc::new(InMemory::new()), Arc::<ManualClock>::default());
        let journal = damaged_journal(number, &clock);
        let lost = decklog_store::table::Lost { from_seq, to_seq: from_seq + 10, before: journal.clock().now() };
        for start in 0..3 {
            let table = open(store.clone(), &journal, config()).unwrap();
            table.flush(&Stop::default()).unwrap();
            assert_eq!(table.snapshot().lost(&journal.id()), [lost], "start {start}");
            append(&journal, 100 + start, 1, 1);
            table.close();
            // Files are named by when a table was opened.
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(stored(&store).len(), 13);
    }
}

#[test]
fn a_loss_with_no_event_behind_it_is_known_too() {
    let (store, clock) = (Arc::new(InMemory::new()), Arc::<ManualClock>::default());
    let journal = damaged_journal(1, &clock);
    let table = open(store.clone(), &journal, TableConfig { flush_bytes: 1, ..config() }).unwrap();
    table.flush(&Stop::default()).unwrap();
    table.close();
    assert_eq!(table.snapshot().lost(&journal.id()).len(), 1);
}
