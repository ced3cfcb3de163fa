//! Questions in SQL over recorded events: from the table, from the journal, and from both, the answer is the same.

#![allow(clippy::unwrap_used, missing_docs)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use decklog_audit::intake::{Form, Intake};
use decklog_audit::journal::{Batch, Journal, Origin, RecordKind};
use decklog_audit::search::{SqlError, SqlErrorKind, SqlFormat, SqlRequest, SqlSummary, Stop};
use decklog_audit::{Event, Timestamp};
use decklog_query::sql::{JournalTail, SqlEngine, SqlLimits, SqlSnapshot, TableFile, VIEWS};
use decklog_store::table::file::{Effort, FileWriter, day_text, sorted_days};
use decklog_store::table::{Column, RowBuffer};
use decklog_store::testing::wait;
use decklog_store::{BlockRead, BlockRef, JournalConfig, JournalView, LocalJournal};
use serde_json::Value;

fn recorded_log(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name).join("audit.log.zst");
    String::from_utf8(zstd::decode_all(std::fs::read(path).unwrap().as_slice()).unwrap()).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

/// A journal with events, the first of them in files of the table.
struct World {
    directory: tempfile::TempDir,
    engine: SqlEngine,
    snapshot: SqlSnapshot,
    n_events: usize,
}

impl World {
    /// The lines in a journal, and the first `tabled` of 1000 in files of the table.
    fn new(lines: &[&str], tabled: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = LocalJournal::open(directory.path(), JournalConfig::default()).unwrap();
        let origin = Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() };
        let intake = Intake { redactor: None, max_event_bytes: 64 << 20 };
        for lines in lines.chunks(97) {
            let mut batch = Batch::new(origin.clone(), now());
            batch.push_mark(b"{\"mark\":true}");
            lines.iter().for_each(|line| intake.push(line.as_bytes(), Form::Line, &mut batch).unwrap());
            wait(journal.append(batch)).unwrap();
        }
        let engine = SqlEngine::new(SqlLimits::default()).unwrap();
        let view = journal.view().unwrap();
        let blocks: Vec<BlockRef> = view.blocks().cloned().collect();
        let next_seq = view.next_seq();
        let from_seq = next_seq * tabled as u64 / 1000;
        let table = directory.path().join("table");
        let files = write_table(&view, &blocks, from_seq, &table);
        let store = Arc::new(object_store::local::LocalFileSystem::new_with_prefix(&table).unwrap());
        let tail = JournalTail::new(Arc::new(view), &blocks, from_seq, Arc::clone(engine.tail_cache()));
        let snapshot = SqlSnapshot { files, store, tail: Some(tail), gaps: Vec::new() };
        Self { directory, engine, snapshot, n_events: lines.len() }
    }

    fn request(query: &str) -> SqlRequest {
        SqlRequest { query: query.to_owned(), params: Vec::new(), limit: None, timeout: None, format: SqlFormat::Json, stop: Stop::default() }
    }

    fn answer(&self, request: &SqlRequest) -> Result<(Vec<u8>, SqlSummary), SqlError> {
        let mut bytes = Vec::new();
        let summary = self.engine.answer(self.snapshot.clone(), request, now(), &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        Ok((bytes, summary))
    }

    /// The rows as JSON texts.
    #[track_caller]
    fn rows(&self, query: &str) -> Vec<String> {
        let (bytes, summary) = self.answer(&Self::request(query)).unwrap_or_else(|error| panic!("{query}\n{error:?}"));
        assert!(summary.gaps.is_empty());
        let text = String::from_utf8(bytes).unwrap();
        let rows: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(rows.len() as u64, summary.n_rows);
        rows
    }

    #[track_caller]
    fn fails(&self, query: &str) -> SqlError {
        match self.answer(&Self::request(query)) {
            Ok((bytes, _)) => panic!("{query} gave {}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)])),
            Err(error) => error,
        }
    }
}

/// Writes the events below `until` into files of 1000 rows.
fn write_table(view: &JournalView, blocks: &[BlockRef], until: u64, table: &Path) -> Vec<TableFile> {
    let mut files = Vec::new();
    let mut buffer = RowBuffer::default();
    let mut flush = |buffer: &mut RowBuffer| {
        for (day, rows) in sorted_days(&buffer.take()).unwrap() {
            let mut writer = FileWriter::new(Effort::Flush).unwrap();
            writer.push(&rows).unwrap();
            let (bytes, _) = writer.finish().unwrap();
            let path = format!("day={}/{}.parquet", day_text(day), files.len());
            std::fs::create_dir_all(table.join(&path).parent().unwrap()).unwrap();
            std::fs::write(table.join(&path), &bytes).unwrap();
            let bounds = |values: &[i64]| values.iter().copied().min().zip(values.iter().copied().max());
            let seq = bounds(rows.column(Column::Seq.index()).as_primitive::<Int64Type>().values());
            let time = bounds(rows.column(Column::Time.index()).as_primitive::<TimestampMicrosecondType>().values());
            files.push(TableFile { path, size: bytes.len() as u64, n_rows: Some(rows.num_rows() as u64), seq, time });
        }
    };
    std::fs::create_dir_all(table).unwrap();
    for block in blocks {
        let BlockRead::Records(records) = view.read(block).unwrap() else { panic!("a gap") };
        for record in records.records().filter(|record| record.head.kind == RecordKind::Event && record.seq < until) {
            buffer.push(&record);
            if buffer.n_rows() == 1000 {
                flush(&mut buffer);
            }
        }
    }
    if buffer.n_rows() > 0 {
        flush(&mut buffer);
    }
    files
}

static ATTACK_LOG: LazyLock<String> = LazyLock::new(|| recorded_log("attack"));
static BENIGN_LOG: LazyLock<String> = LazyLock::new(|| recorded_log("benign"));

fn lines(log: &'static str) -> Vec<&'static str> {
    log.lines().collect()
}

static ATTACK: LazyLock<World> = LazyLock::new(|| World::new(&lines(&ATTACK_LOG), 500));
static BENIGN: LazyLock<World> = LazyLock::new(|| World::new(&lines(&BENIGN_LOG), 1000));

#[test]
fn examples_on_the_recorded_attack() {
    let check = |query: &str, rows: &[&str]| assert_eq!(ATTACK.rows(query), rows, "{query}");
    check(
        "SELECT username, count(*) FROM requests WHERE outcome='denied' GROUP BY 1 ORDER BY 2 DESC, 1;",
        &[
            r#"{"username":"system:anonymous","count(*)":30}"#,
            r#"{"username":null,"count(*)":30}"#,
            r#"{"username":"mallory","count(*)":25}"#,
            r#"{"username":"alice","count(*)":8}"#,
        ],
    );
    check(
        "SELECT count(DISTINCT (namespace,name)) AS n FROM events WHERE username='trent' AND resource='secrets' AND verb='get' AND final;",
        &[r#"{"n":12}"#],
    );
    check(
        "SELECT date_trunc('minute',time) m, count(*) FROM requests GROUP BY 1 ORDER BY 1;",
        &[r#"{"m":"2026-11-22T09:52:00.000000Z","count(*)":935}"#, r#"{"m":"2026-11-22T09:53:00.000000Z","count(*)":735}"#],
    );
    check(
        "SELECT count(*), array_length(array_agg(DISTINCT tool)) AS tools FROM requests WHERE credential LIKE 'JTI=%' GROUP BY credential HAVING count(DISTINCT tool)>1;",
        &[r#"{"count(*)":251,"tools":3}"#],
    );
    check(
        "SELECT username, sum(event_bytes) FROM events GROUP BY 1 ORDER BY 2 DESC LIMIT 3;",
        &[
            r#"{"username":"system:apiserver","sum(event_bytes)":1247622}"#,
            r#"{"username":"system:kube-controller-manager","sum(event_bytes)":752000}"#,
            r#"{"username":"bot","sum(event_bytes)":587812}"#,
        ],
    );
    check("SELECT count(*) AS n FROM events WHERE event_matches(event,'request.**.privileged:true');", &[r#"{"n":6}"#]);
}
