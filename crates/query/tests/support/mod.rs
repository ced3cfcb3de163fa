//! A store for tests: events in a journal, and files of the table made of its first ones.

#![allow(clippy::unwrap_used, missing_docs, dead_code, unreachable_pub)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use decklog_audit::intake::{Form, Intake};
use decklog_audit::journal::{Batch, Journal, Next, Origin, Reader, RecordBlock, RecordKind};
use decklog_audit::search::{SearchRequest, SearchSummary, Searcher};
use decklog_audit::{Filter, Timestamp};
use decklog_query::table::{TableFile, TableView};
use decklog_query::{JournalSearcher, StoreSearcher};
use decklog_store::table::file::{Effort, FileWriter, sorted_days};
use decklog_store::table::log::day_text;
use decklog_store::table::{Column, RowBuffer, Rows};
use decklog_store::testing::wait;
use decklog_store::{LocalJournal, StartFrom};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

pub fn recorded_log(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name);
    String::from_utf8(zstd::decode_all(std::fs::read(path).unwrap().as_slice()).unwrap()).unwrap()
}

pub fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

pub fn filter(text: &str) -> Filter {
    Filter::parse(text, now()).unwrap()
}

/// A journal with `lines`, from two clusters, in blocks of changing size.
pub fn journal(lines: &[&str]) -> LocalJournal {
    let journal = LocalJournal::in_memory().unwrap();
    append(&journal, lines);
    journal
}

pub fn append(journal: &LocalJournal, lines: &[&str]) {
    let intake = Intake { redactor: None, max_event_bytes: 64 << 20 };
    for (round, chunk) in lines.chunks(150).enumerate() {
        let cluster = if round % 3 == 0 { "other" } else { "lab" };
        let origin = Origin { cluster: cluster.into(), source: "import".into(), sender: "audit.log".into() };
        let mut batch = Batch::new(origin, Timestamp::from_micros(now().micros() + round as i64));
        if round % 4 == 1 {
            batch.push_mark(b"{\"mark\":true}");
        }
        for line in chunk {
            intake.push(line.as_bytes(), Form::Line, &mut batch).unwrap();
        }
        wait(journal.append(batch)).unwrap();
    }
}

pub fn blocks(journal: &LocalJournal) -> Vec<RecordBlock> {
    let mut reader = journal.reader("test", StartFrom::Earliest).unwrap();
    let mut blocks = Vec::new();
    loop {
        match reader.next().unwrap() {
            Next::Block(block) => blocks.push(block),
            Next::End => return blocks,
            Next::Gap(gap) => panic!("{gap:?}"),
        }
    }
}

/// The table with the events of `blocks`, so many blocks to a flush, each day a file.
pub fn table(journal: &LocalJournal, blocks: &[RecordBlock], per_flush: usize) -> (Arc<InMemory>, TableView) {
    let store = Arc::new(InMemory::new());
    let mut files = Vec::new();
    for flush in blocks.chunks(per_flush) {
        let mut buffer = RowBuffer::default();
        for record in flush.iter().flat_map(RecordBlock::records).filter(|record| record.head.kind == RecordKind::Event) {
            buffer.push(&record);
        }
        for (day, rows) in sorted_days(&buffer.take()).unwrap() {
            let mut writer = FileWriter::new(Effort::Flush).unwrap();
            writer.push(&rows).unwrap();
            let (bytes, _) = writer.finish().unwrap();
            let view = Rows::new(&rows);
            let ends = |column| {
                let numbers = || (0..view.n_rows()).filter_map(|row| view.number(column, row));
                (numbers().min().unwrap(), numbers().max().unwrap())
            };
            let (seqs, times) = (ends(Column::Seq), ends(Column::Time));
            let path = format!("day={}/{}.parquet", day_text(day), files.len());
            let size = bytes.len() as u64;
            block_on(store.put(&path.as_str().into(), bytes.into())).unwrap();
            files.push(TableFile {
                path,
                size,
                n_rows: Some(rows.num_rows() as u64),
                seqs: Some((seqs.0 as u64, seqs.1 as u64)),
                times: Some((Timestamp::from_micros(times.0), Timestamp::from_micros(times.1))),
            });
        }
    }
    let last_seqs = blocks.last().map(|block| (journal.id(), block.end_seq() - 1)).into_iter().collect();
    (Arc::clone(&store), TableView { store, files, last_seqs })
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// A searcher of `view` and what the journal has beyond.
pub fn joined(journal: &LocalJournal, view: TableView) -> StoreSearcher {
    let view = Arc::new(view);
    StoreSearcher::new(JournalSearcher::of_journal(journal).unwrap().with_threads(2), move || Ok(Arc::clone(&view))).unwrap()
}

/// The same events in three ways: in the journal alone, in the table alone, and half and half.
pub struct Three {
    pub journal: LocalJournal,
    pub alone: JournalSearcher,
    pub table: StoreSearcher,
    pub half: StoreSearcher,
}

impl Three {
    pub fn of(lines: &[&str]) -> Self {
        let journal = journal(lines);
        let blocks = blocks(&journal);
        let alone = JournalSearcher::of_journal(&journal).unwrap().with_threads(2);
        let table = joined(&journal, self::table(&journal, &blocks, 7).1);
        let half = joined(&journal, self::table(&journal, &blocks[..blocks.len() / 2], 3).1);
        Self { journal, alone, table, half }
    }

    pub fn with_table(&self) -> [(&'static str, &StoreSearcher); 2] {
        [("table", &self.table), ("half", &self.half)]
    }
}

/// A hit, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    pub seq: u64,
    pub id: String,
    pub time: Timestamp,
    pub ingested_at: Timestamp,
    pub origin: Origin,
    pub line: String,
}

pub fn search(searcher: &dyn Searcher, request: &SearchRequest) -> (Vec<Given>, SearchSummary) {
    let mut given = Vec::new();
    let summary = searcher
        .search(request, &mut |hit| {
            given.push(Given {
                seq: hit.seq,
                id: hit.id.to_string(),
                time: hit.time,
                ingested_at: hit.ingested_at,
                origin: (**hit.origin).clone(),
                line: String::from_utf8_lossy(hit.line).into_owned(),
            });
            ControlFlow::Continue(())
        })
        .unwrap();
    (given, summary)
}

pub fn count(searcher: &dyn Searcher, text: &str) -> u64 {
    let request = SearchRequest { filter: filter(text), limit: Some(0), ..SearchRequest::default() };
    let summary = searcher.search(&request, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(summary.gaps.is_empty(), "{text}: {:?}", summary.gaps);
    summary.n_matched
}
