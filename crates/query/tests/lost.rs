//! Records that were damaged in the journal before the table had them: answers over their time say so for ever.
#![allow(clippy::unwrap_used, missing_docs)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use decklog_audit::intake::{Form, Intake};
use decklog_audit::journal::{Batch, Journal, Origin};
use decklog_audit::search::{SearchRequest, Searcher, Stop, TimeRange};
use decklog_query::StoreSearcher;
use decklog_store::files::memory::MemoryFiles;
use decklog_store::table::{Table, TableConfig, TablePlace};
use decklog_store::testing::wait;
use decklog_store::{Environment, JournalConfig, LocalJournal, TableMetrics};
use object_store::memory::InMemory;

fn open(files: &MemoryFiles) -> Arc<LocalJournal> {
    let environment = Environment { files: Arc::new(files.clone()), ..Environment::default() };
    Arc::new(LocalJournal::open_with(Path::new("/data"), JournalConfig { reserve: 0, ..JournalConfig::default() }, environment).unwrap())
}

fn append(journal: &LocalJournal, number: u32) {
    let mut batch = Batch::new(Origin::default(), journal.clock().now());
    let line = format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{number}","stage":"ResponseComplete","requestURI":"/","verb":"get","user":{{}},"requestReceivedTimestamp":"2025-11-20T10:00:00.000000Z","stageTimestamp":"2025-11-20T10:00:00.000000Z"}}"#
    );
    Intake { redactor: None, max_event_bytes: 1 << 20 }.push(line.as_bytes(), Form::Line, &mut batch).unwrap();
    wait(journal.append(batch)).unwrap();
}

#[test]
fn an_answer_over_their_time_names_them_and_a_later_one_does_not() {
    let files = MemoryFiles::new();
    let journal = open(&files);
    (0..3).for_each(|number| append(&journal, number));
    let block = journal.view().unwrap().blocks().nth(1).unwrap().clone();
    journal.close();
    files.damage(&Path::new("/data/journal").join(block.place().0), block.place().1 + block.stored_size - 9, 1);

    let journal = open(&files);
    let place = TablePlace::in_store("memory:///table/".parse().unwrap(), Arc::new(InMemory::new()));
    let table = Table::open(&place, &journal, TableConfig::default(), TableMetrics::default()).unwrap();
    let searcher = StoreSearcher::of_table(&journal, &table).unwrap();
    let gaps = |range: TimeRange| {
        let request = SearchRequest { range, ..SearchRequest::default() };
        let summary = searcher.search(&request, &mut |_| ControlFlow::Continue(())).unwrap();
        let (_, counted) = searcher.histogram(&request, &decklog_audit::search::HistogramRequest { split: None, n_buckets: 10 }).unwrap();
        assert_eq!(summary.gaps, counted.gaps);
        if range == TimeRange::default() {
            let (extent, of_all) = searcher.extent(&Stop::default()).unwrap();
            assert_eq!((extent.n_events, of_all.gaps), (2, counted.gaps));
        }
        summary.gaps
    };
    let before = gaps(TimeRange::default());
    table.flush(&Stop::default()).unwrap();
    let tabled = gaps(TimeRange::default());
    for (gaps, when) in [(&before, "in the journal"), (&tabled, "in the table")] {
        assert!(gaps.len() == 1 && gaps[0].contains("records 2 to 2 "), "{when}: {gaps:?}");
    }
    let later = TimeRange { since: Some(journal.clock().now()), until: None };
    assert_eq!(gaps(later), Vec::<String>::new());
}
