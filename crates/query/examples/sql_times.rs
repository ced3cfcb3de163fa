//! How long questions in SQL take: `sql_times TABLE [LOG]` writes the events of LOG (plain lines) as files into the
//! directory TABLE, if that has none, and answers each line of standard input as a question, six times.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use decklog_audit::Timestamp;
use decklog_audit::intake::{Form, Intake};
use decklog_audit::journal::{Batch, Origin, RecordBlock};
use decklog_audit::search::{SqlFormat, SqlRequest, Stop};
use decklog_query::sql::{SqlEngine, SqlLimits, SqlSnapshot, TableFile};
use decklog_store::table::file::{Effort, FileWriter, sorted_days};
use decklog_store::table::{Column, RowBuffer};

/// Events of one file at most.
const FILE_ROWS: usize = 250_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let table = arguments.next().unwrap();
    let table = Path::new(&table);
    if let Some(log) = arguments.next().filter(|_| !table.is_dir()) {
        std::fs::create_dir_all(table).unwrap();
        write(Path::new(&log), table);
    }
    let files: Vec<TableFile> = std::fs::read_to_string(table.join("files")).unwrap().lines().map(file).collect();
    let engine = SqlEngine::new(SqlLimits::default()).unwrap();
    let store = Arc::new(object_store::local::LocalFileSystem::new_with_prefix(table).unwrap());
    let snapshot = SqlSnapshot { files, store, tail: None, gaps: Vec::new() };
    for query in std::io::stdin().lock().lines().map(Result::unwrap).filter(|line| !line.is_empty()) {
        let request = SqlRequest { query: query.clone(), params: Vec::new(), limit: None, timeout: None, format: SqlFormat::Json, stop: Stop::default() };
        let mut times = Vec::new();
        let mut bytes = Vec::new();
        for _ in 0..6 {
            bytes.clear();
            let started = std::time::Instant::now();
            let answer = engine.answer(snapshot.clone(), &request, Timestamp::default(), &mut |piece| {
                bytes.extend_from_slice(piece);
                ControlFlow::Continue(())
            });
            times.push(started.elapsed().as_secs_f64() * 1000.0);
            if let Err(error) = answer {
                println!("{error:?}");
                break;
            }
        }
        let first = times[0];
        times.remove(0);
        times.sort_by(f64::total_cmp);
        let text = String::from_utf8_lossy(&bytes);
        println!("cold {first:7.1} ms  warm {:7.1} ms  {} rows  {query}", times.get(times.len() / 2).unwrap_or(&0.0), text.lines().count());
        if std::env::var_os("SHOW").is_some() {
            println!("{}", text.chars().take(3000).collect::<String>().replace("\\n", "\n"));
        }
    }
}

fn file(line: &str) -> TableFile {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |index: usize| words[index].parse::<i64>().unwrap();
    TableFile {
        path: words[0].to_owned(),
        size: number(1) as u64,
        n_rows: Some(number(2) as u64),
        seq: Some((number(3), number(4))),
        time: Some((number(5), number(6))),
    }
}

fn write(log: &Path, table: &Path) {
    let intake = Intake { redactor: None, max_event_bytes: 64 << 20 };
    let origin = Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() };
    let ingested_at = Timestamp::parse_rfc3339("2026-11-25T00:00:00Z").unwrap();
    let (mut buffer, mut list, mut seq) = (RowBuffer::default(), String::new(), 1);
    let mut flush = |buffer: &mut RowBuffer| {
        for (day, rows) in sorted_days(&buffer.take()).unwrap() {
            let mut writer = FileWriter::new(Effort::Compaction).unwrap();
            writer.push(&rows).unwrap();
            let (bytes, _) = writer.finish().unwrap();
            let path = format!("{day}-{}.parquet", list.lines().count());
            std::fs::write(table.join(&path), &bytes).unwrap();
            let bounds = |values: &[i64]| (values.iter().copied().min().unwrap(), values.iter().copied().max().unwrap());
            let seqs = bounds(rows.column(Column::Seq.index()).as_primitive::<Int64Type>().values());
            let times = bounds(rows.column(Column::Time.index()).as_primitive::<TimestampMicrosecondType>().values());
            list += &format!("{path} {} {} {} {} {} {}\n", bytes.len(), rows.num_rows(), seqs.0, seqs.1, times.0, times.1);
        }
    };
    let mut lines = std::io::BufReader::new(std::fs::File::open(log).unwrap()).lines().map(Result::unwrap).peekable();
    while lines.peek().is_some() {
        let mut batch = Batch::new(origin.clone(), ingested_at);
        lines.by_ref().take(1000).for_each(|line| intake.push(line.as_bytes(), Form::Line, &mut batch).unwrap());
        let (heads, bytes) = (batch.heads().to_vec(), batch.bytes().to_vec());
        let block = RecordBlock { origin: Arc::new(batch.origin), ingested_at, first_seq: seq, heads, bytes: bytes.into() };
        seq = block.end_seq();
        block.records().for_each(|record| buffer.push(&record));
        if buffer.n_rows() >= FILE_ROWS {
            flush(&mut buffer);
        }
    }
    if buffer.n_rows() > 0 {
        flush(&mut buffer);
    }
    std::fs::write(table.join("files"), list).unwrap();
}
