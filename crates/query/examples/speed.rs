//! How long searches of a table take. Not a test: what it prints goes into docs/measured.
//!
//! `speed make LOG DIR COPIES` writes the events of an audit log into files in a folder, each copy a file;
//! `speed ask DIR [FILTER…]` asks questions of them, each in a few rounds.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use decklog_audit::filter::fields::Field;
use decklog_audit::intake::{Form, Intake};
use decklog_audit::journal::{Batch, Origin, RecordBlock};
use decklog_audit::search::{FacetRequest, HistogramRequest, Order, SearchRequest, Searcher};
use decklog_audit::{Filter, Timestamp};
use decklog_query::table::{TableFile, TableView};
use decklog_query::{JournalSearcher, StoreSearcher};
use decklog_store::LocalJournal;
use decklog_store::table::RowBuffer;
use decklog_store::table::file::{Effort, FileWriter, sorted_days};
use object_store::local::LocalFileSystem;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["make", log, folder, copies] => make(Path::new(log), Path::new(folder), copies.parse().unwrap()),
        ["ask", folder, filters @ ..] => ask(Path::new(folder), filters),
        _ => println!("speed make LOG DIR COPIES | speed ask DIR [FILTER…]"),
    }
}

fn make(log: &Path, folder: &Path, copies: u64) {
    std::fs::create_dir_all(folder).unwrap();
    let (mut seq, intake) = (1, Intake { redactor: None, max_event_bytes: 64 << 20 });
    for copy in 0..copies {
        let mut buffer = RowBuffer::default();
        let mut lines = BufReader::new(std::fs::File::open(log).unwrap()).lines();
        loop {
            let mut batch = Batch::new(
                Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() },
                Timestamp::from_system(std::time::SystemTime::now()),
            );
            for line in lines.by_ref().take(1000) {
                intake.push(line.unwrap().as_bytes(), Form::Line, &mut batch).unwrap();
            }
            if batch.n_records() == 0 {
                break;
            }
            let (origin, ingested_at) = (Arc::new(batch.origin.clone()), batch.ingested_at);
            let (_, heads, bytes) = batch.into_parts();
            let block = RecordBlock { origin, ingested_at, first_seq: seq, heads, bytes: bytes.into() };
            block.records().for_each(|record| buffer.push(&record));
            seq = block.end_seq();
        }
        for (day, rows) in sorted_days(&buffer.take()).unwrap() {
            let mut writer = FileWriter::new(Effort::Compaction).unwrap();
            writer.push(&rows).unwrap();
            let (bytes, _) = writer.finish().unwrap();
            println!("{copy} {day}: {} rows, {} bytes", rows.num_rows(), bytes.len());
            std::fs::write(folder.join(format!("{copy}-{day}.parquet")), bytes).unwrap();
        }
    }
}

fn ask(folder: &Path, filters: &[&str]) {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        TableFile { path: entry.file_name().into_string().unwrap(), size: entry.metadata().unwrap().len(), n_rows: None, seqs: None, times: None }
    });
    let view = Arc::new(TableView { store: Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap()), files: files.collect(), last_seqs: BTreeMap::new() });
    let journal = LocalJournal::in_memory().unwrap();
    let searcher = StoreSearcher::new(JournalSearcher::of_journal(&journal).unwrap(), move || Ok(Arc::clone(&view))).unwrap();
    for text in filters {
        let request = SearchRequest { filter: Filter::parse(text, Timestamp::default()).unwrap(), ..SearchRequest::default() };
        let newest = SearchRequest { limit: Some(100), order: Order::Descending, ..request.clone() };
        let none = SearchRequest { limit: Some(0), ..request.clone() };
        let field = |name: &str| Field::parse(name).unwrap();
        let asked = FacetRequest { fields: ["user", "verb", "resource", "ns", "outcome"].map(field).to_vec(), n_top: 10, prefix: String::new() };
        let over_time = HistogramRequest { n_buckets: 60, split: Some(field("outcome")) };
        timed(text, "count", || searcher.search(&none, &mut |_| ControlFlow::Continue(())).unwrap().n_matched);
        timed(text, "newest 100", || searcher.search(&newest, &mut |_| ControlFlow::Continue(())).unwrap().n_returned);
        timed(text, "facets", || searcher.facets(&request, &asked).unwrap().1.n_matched);
        timed(text, "histogram", || searcher.histogram(&request, &over_time).unwrap().1.n_matched);
    }
}

fn timed(text: &str, what: &str, ask: impl Fn() -> u64) {
    let rounds: Vec<(f64, u64)> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            let answer = ask();
            (begun.elapsed().as_secs_f64() * 1e3, answer)
        })
        .collect();
    let best = rounds.iter().map(|(time, _)| *time).fold(f64::INFINITY, f64::min);
    println!("{text:<40} {what:<12} {:>9} first {:>8.1} ms, best {best:>8.1} ms", rounds[0].1, rounds[0].0);
}
