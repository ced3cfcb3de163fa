//! The table and the journal together against the journal alone, whose scan asks the matcher about every event.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use decklog_audit::event::readable_text;
use decklog_audit::filter::Candidate;
use decklog_audit::filter::fields::{self, Field};
use decklog_audit::journal::EventId;
use decklog_audit::json::RawJson;
use decklog_audit::search::{
    FacetRequest, HistogramRequest, Order, SearchError, SearchRequest, Searcher, SeqRange, SqlFormat, SqlRequest, Stop, TimeRange, facets, histogram,
};
use decklog_audit::{Event, Filter, Timestamp};
use decklog_query::table::TableView;
use decklog_query::{JournalSearcher, StoreSearcher};
use decklog_store::table::{Compacted, Table, TableConfig, TablePlace};
use decklog_store::{JournalConfig, LocalJournal, TableMetrics};
use object_store::ObjectStoreExt;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use support::{Three, append, block_on, blocks, count, filter, joined, journal, now, recorded_log, search, table};

#[test]
fn every_filter_case_counts_the_same_from_table_and_journal() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audit/testdata/filter/cases.jsonl");
    let cases = std::fs::read_to_string(path).unwrap();
    let mut stores: BTreeMap<String, Three> = BTreeMap::new();
    let mut n_cases = 0;
    for case in cases.lines() {
        let case = RawJson::parse(case).unwrap();
        let member = |name: &str| case.member(name).unwrap();
        let text = member("filter").as_string().unwrap().into_owned();
        let file = member("file").as_string().unwrap().into_owned();
        let wanted: u64 = member("count").as_str().parse().unwrap();
        let store = stores.entry(file.clone()).or_insert_with(|| {
            let log = recorded_log(&file);
            Three::of(&log.lines().collect::<Vec<_>>())
        });
        for (name, searcher) in store.with_table() {
            assert_eq!(count(searcher, &text), count(&store.alone, &text), "{name}: {text}");
        }
        // The cases count lines as they stand in the file; where the store has each of them once, that is the same.
        let n_events = count(&store.alone, "*");
        if n_events == recorded_log(&file).lines().count() as u64 && !text.contains("cluster") && !text.contains("seq") {
            assert_eq!(count(&store.table, &text), wanted, "{text}");
        }
        n_cases += 1;
    }
    assert!(n_cases > 100);
}

/// Lines that no columns give back, or only just.
const ODD: &[&str] = &[
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"Panic","requestURI":"/","verb":"get","user":{},"requestReceivedTimestamp":null,"stageTimestamp":null}"#,
    r#"{"auditID":"b","stage":"ResponseComplete","new":{"field":1.50}}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"c","stage":"ResponseComplete","requestURI":"/<x>","verb":"","user":{"username":""},"impersonatedUser":{},"requestObject":null,"requestReceivedTimestamp":"2026-11-22T09:52:31.123456789Z","stageTimestamp":"2026-11-22T09:52:31.5Z","annotations":{}}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"d","stage":"ResponseComplete","requestURI":"/","verb":"get","user":{"username":"mallory","extra":{"k":null,"b":["\ud800"]}},"objectRef":{},"responseStatus":{"metadata":{}},"requestObject":{"a":1,"a":1.0e2},"requestReceivedTimestamp":"2026-11-22T09:52:31.123456Z","stageTimestamp":"2026-11-22T09:52:31.500000Z"}"#,
];

/// Some hundred events of several days, with bodies and without, in disorder.
fn sample() -> Vec<String> {
    let attack = recorded_log("attack/audit.log.zst");
    let bodies = recorded_log("a-all-rr/audit.log.zst");
    let crd = recorded_log("f-crd/audit.log.zst");
    let picked = attack.lines().step_by(9).chain(bodies.lines().step_by(41)).chain(crd.lines().step_by(23)).chain(ODD.iter().copied());
    let mut lines: Vec<String> = picked
        .enumerate()
        .map(|(index, line)| match index % 5 {
            0 => line.replace("2026-11-22T", "2026-11-20T"),
            1 | 2 => line.replace("2026-11-22T", "2026-11-21T"),
            _ => line.to_owned(),
        })
        .collect();
    // Neither by time nor by object.
    lines.sort_by_key(|line| line.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))));
    lines
}

fn value_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:.*?/-]{1,8}",
        "\"[a-zA-Z *?:(),.ü]{0,6}\"",
        "[0-9]{1,4}",
        "[0-9]{1,3}\\.\\.[0-9]{0,3}",
        prop::sample::select(vec![
            "now-6h",
            "today",
            "2026-11-22T09:53..",
            "2026-11-21..2026-11-22T04",
            "1h30m",
            "100ms..1s",
            "10.0.0.0/8",
            "127.0.0.1",
            "true",
            "Request",
            "Metadata..Request",
            "response*",
            "denied",
            "deploy/web-*",
            "po/*",
            "*",
            "4xx",
            "\"2026-11-2\"",
            "system*",
            "*s*",
            "secrets",
            "pods/exec",
            "get,list",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Clauses that are true of some event of the sample.
fn true_clauses(lines: &[String]) -> Vec<String> {
    let names = fields::FIELDS.iter().map(|info| info.name.to_owned()).chain(
        [
            "decision",
            "authz",
            "credential",
            "client.pod",
            "latency.total",
            "request.metadata.name",
            "response.**.name",
            "request.**.image",
            "annotations.k8s.io/deprecated",
        ]
        .map(str::to_owned),
    );
    let fields: Vec<(String, Field)> = names.filter_map(|name| Field::parse(&name).ok().map(|field| (name, field))).collect();
    let mut clauses = Vec::new();
    let origin = Arc::new(decklog_audit::journal::Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() });
    for (index, line) in lines.iter().enumerate().step_by(17) {
        let text = readable_text(line.as_bytes());
        let event = Event::decode(&text).unwrap();
        let time = event.stage_timestamp.unwrap_or_default();
        let candidate = Candidate { event: &event, line: &text, seq: index as u64, id: EventId([3; 16]), time, ingested_at: now(), origin: &origin };
        for (name, field) in &fields {
            field.each_value(&candidate, &mut |value| {
                let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
                clauses.push(format!("{name}:\"{quoted}\""));
                clauses.push(format!("{name}:*"));
            });
        }
        clauses.extend(event.object_name().map(|name| format!("object:*/{name}")));
        clauses.extend(event.user.username.as_deref().map(|name| format!("\"{name}\"")));
    }
    clauses.retain(|text| Filter::parse(text, now()).is_ok());
    clauses
}

fn field_text() -> impl Strategy<Value = String> {
    let names: Vec<String> = fields::names()
        .map(|name| match name {
            "annotations" | "user.extra" | "as.extra" | "impersonatedUser.extra" => format!("{name}.example.io/\"k :y\""),
            "raw" | "responseStatus.details" => format!("{name}.**.name"),
            other => other.to_owned(),
        })
        .chain(["latency.etcd", "request.spec.**.\"x\".y", "request.**.name", "response.**.kind"].map(str::to_owned))
        .collect();
    prop::sample::select(names)
}

fn filter_text(lines: &[String]) -> impl Strategy<Value = String> {
    let clause = prop_oneof![
        6 => prop::sample::select(true_clauses(lines)),
        3 => (field_text(), value_text()).prop_map(|(field, value)| format!("{field}:{value}")),
        1 => (field_text(), prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]), value_text()).prop_map(|(field, operator, value)| format!("{field} {operator} {value}")),
        1 => (field_text(), value_text(), value_text()).prop_map(|(field, one, other)| format!("{field}:({one} or not {other})")),
        1 => value_text(),
    ];
    clause.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| parts.join(" and ")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" or ")),
            inner.clone().prop_map(|part| format!("({part})")),
            inner.prop_map(|part| format!("not {part}")),
        ]
    })
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() })
}

#[test]
fn random_searches_answer_as_the_journal_alone() {
    let lines = sample();
    let store = Three::of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let (all, _) = search(&store.alone, &SearchRequest { order: Order::Arrival, ..SearchRequest::default() });
    let time = prop::option::weighted(0.3, prop::sample::select(all.iter().map(|event| event.time).collect::<Vec<_>>()));
    let seq = prop::option::weighted(0.2, 0..all.last().unwrap().seq + 5);
    let after = prop::option::weighted(0.2, prop::sample::select(all.iter().map(|event| (event.time, event.seq)).collect::<Vec<_>>()));
    let order = prop::sample::select(vec![Order::Ascending, Order::Descending, Order::Arrival]);
    let inputs = (filter_text(&lines), time.clone(), time, seq.clone(), seq, order, after, prop::option::of(0usize..400));
    let n_found = AtomicUsize::new(0);
    let tested = runner(1000).run(&inputs, |(text, since, until, from, to, order, after, limit)| {
        let Ok(filter) = Filter::parse(&text, now()) else { return Ok(()) };
        let request =
            SearchRequest { filter, range: TimeRange { since, until }, seqs: SeqRange { from, until: to }, after, limit, order, stop: Stop::default() };
        let (wanted, of_journal) = search(&store.alone, &request);
        n_found.fetch_add(usize::from(of_journal.n_matched > 0), Ordering::Relaxed);
        for (name, searcher) in store.with_table() {
            let (got, summary) = search(searcher, &request);
            prop_assert_eq!(&got, &wanted, "{}: {:?}", name, request);
            prop_assert_eq!(summary.n_matched, of_journal.n_matched, "{}: {:?}", name, request);
            prop_assert_eq!(summary.n_returned, got.len() as u64);
            prop_assert_eq!(summary.gaps, Vec::<String>::new());
        }
        Ok(())
    });
    tested.unwrap();
    assert!(n_found.into_inner() > 200, "most searches find something");
}

#[test]
fn facets_and_histograms_are_those_of_the_definition() {
    let lines = sample();
    let store = Three::of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let names = [
        "user",
        "verb",
        "outcome",
        "groups",
        "sa",
        "peer",
        "ns",
        "code",
        "object",
        "path",
        "tool",
        "decision",
        "credential",
        "final",
        "actor.groups",
        "latency",
        "request.**.name",
        "raw.kind",
        "cluster",
        "seq",
        "time",
        "id",
        "responseStatus.details.kind",
    ];
    let inputs = (
        filter_text(&lines),
        prop::collection::vec(prop::sample::select(names.to_vec()), 1..4),
        prop::sample::select(vec![None, Some("verb"), Some("outcome"), Some("final"), Some("raw.kind")]),
        1usize..80,
        prop::sample::select(vec!["", "s"]),
    );
    let tested = runner(200).run(&inputs, |(text, names, split, n_buckets, prefix)| {
        let Ok(filter) = Filter::parse(&text, now()) else { return Ok(()) };
        let request = SearchRequest { filter, ..SearchRequest::default() };
        let fields: Vec<Field> = names.iter().map(|name| Field::parse(name).unwrap()).collect();
        let asked = FacetRequest { fields, n_top: 1000, prefix: prefix.to_owned() };
        let over_time = HistogramRequest { n_buckets, split: split.map(|name| Field::parse(name).unwrap()) };
        let (wanted_facets, summary) = facets(&store.alone, &request, &asked).unwrap();
        let (wanted_histogram, _) = histogram(&store.alone, &request, &over_time).unwrap();
        for (name, searcher) in store.with_table() {
            let (got, of_facets) = searcher.facets(&request, &asked).unwrap();
            prop_assert_eq!(&got, &wanted_facets, "{}: {} {:?}", name, text, names);
            prop_assert_eq!((of_facets.n_matched, of_facets.n_returned), (summary.n_matched, summary.n_returned));
            let (got, of_histogram) = searcher.histogram(&request, &over_time).unwrap();
            prop_assert_eq!(&got, &wanted_histogram, "{}: {} {:?}", name, text, split);
            prop_assert_eq!(of_histogram.n_matched, summary.n_matched);
        }
        Ok(())
    });
    tested.unwrap();
}

#[test]
fn the_extent_is_that_of_all_events() {
    let lines = sample();
    let store = Three::of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let wanted = store.alone.extent(&Stop::default()).unwrap().0;
    for (name, searcher) in store.with_table() {
        assert_eq!(searcher.extent(&Stop::default()).unwrap().0, wanted, "{name}");
        assert_eq!(searcher.extent(&Stop::default()).unwrap().0, wanted, "{name}, remembered");
    }
    let empty = journal(&[]);
    let searcher = joined(&empty, table(&empty, &[], 1).1);
    assert_eq!(searcher.extent(&Stop::default()).unwrap().0.times, None);
    assert_eq!(count(&searcher, "*"), 0);
}

#[test]
fn a_stopped_search_ends() {
    let log = recorded_log("attack/audit.log.zst");
    let store = Three::of(&log.lines().collect::<Vec<_>>());
    for (name, searcher) in store.with_table() {
        for (text, order) in [("*", Order::Arrival), ("user:nobody-here", Order::Ascending), ("*", Order::Descending)] {
            let request = SearchRequest { filter: filter(text), order, ..SearchRequest::default() };
            // Stopped by the first event that comes, or before.
            let stop = request.stop.clone();
            if text != "*" {
                stop.stop();
            }
            let result = searcher.search(&request, &mut |_| {
                stop.stop();
                ControlFlow::Continue(())
            });
            // What is in memory already may still be given.
            assert!(matches!(result, Err(SearchError::Stopped)) || text == "*", "{name} {text}");
        }
        let request = SearchRequest::default();
        request.stop.stop();
        let asked = FacetRequest { fields: vec![Field::parse("user").unwrap()], n_top: 3, prefix: String::new() };
        assert!(matches!(searcher.facets(&request, &asked), Err(SearchError::Stopped)));
    }
}

#[test]
fn an_extent_ends_when_it_is_stopped() {
    let store = Three::of(&recorded_log("attack/audit.log.zst").lines().collect::<Vec<_>>());
    let stop = Stop::default();
    stop.stop();
    for (name, searcher) in store.with_table() {
        assert!(matches!(searcher.extent(&stop), Err(SearchError::Stopped)), "{name}");
    }
    assert!(matches!(store.alone.extent(&stop), Err(SearchError::Stopped)));
}

#[test]
fn an_answer_that_breaks_off_ends_the_search() {
    let log = recorded_log("attack/audit.log.zst");
    let store = Three::of(&log.lines().collect::<Vec<_>>());
    for (name, searcher) in store.with_table() {
        for order in [Order::Ascending, Order::Descending, Order::Arrival] {
            let mut n_left = 5;
            let request = SearchRequest { order, ..SearchRequest::default() };
            let summary = searcher.search(&request, &mut |_| {
                n_left -= 1;
                if n_left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!((n_left, summary.unwrap().n_returned), (0, 5), "{name} {order:?}");
        }
    }
}

#[test]
fn a_damaged_file_is_named_and_the_rest_is_found() {
    let log = recorded_log("attack/audit.log.zst");
    let lines: Vec<&str> = log.lines().collect();
    let journal = journal(&lines);
    let (store, view) = table(&journal, &blocks(&journal), 7);
    assert!(view.files.len() > 2);
    let (hurt, n_lost) = (view.files[1].clone(), view.files[1].n_rows.unwrap());
    let path = object_store::path::Path::from(hurt.path.as_str());
    let whole = block_on(async { store.get(&path).await.unwrap().bytes().await.unwrap() });
    let no_footer = whole.slice(..whole.len() - 9);
    let mut bad_pages = whole.to_vec();
    let half = bad_pages.len() / 2;
    bad_pages[16..half].fill(0x55);
    for bytes in [no_footer, bad_pages.into()] {
        block_on(store.put(&path, bytes.into())).unwrap();
        let searcher = joined(&journal, view.clone());
        for order in [Order::Ascending, Order::Arrival] {
            let request = SearchRequest { order, filter: filter("verb:* or not verb:*"), ..SearchRequest::default() };
            let (given, summary) = search(&searcher, &request);
            assert_eq!(given.len() as u64, lines.len() as u64 - n_lost);
            assert!(summary.gaps.len() == 1 && summary.gaps[0].contains(&hurt.path), "{:?}", summary.gaps);
        }
    }
}

#[test]
fn a_file_that_vanished_is_looked_for_in_a_newer_version() {
    let log = recorded_log("attack/audit.log.zst");
    let lines: Vec<&str> = log.lines().collect();
    let journal = journal(&lines);
    let blocks = blocks(&journal);
    let (store, old) = table(&journal, &blocks, 7);
    let (_, new) = table(&journal, &blocks, 50);
    block_on(store.delete(&object_store::path::Path::from(old.files[0].path.as_str()))).unwrap();
    let (old, new) = (Arc::new(old), Arc::new(new));
    let asked = AtomicUsize::new(0);
    // The version known first has a file that compaction removed.
    let first_old = move || Ok(Arc::clone(if asked.fetch_add(1, Ordering::Relaxed) == 0 { &old } else { &new }));
    let searcher = StoreSearcher::new(JournalSearcher::of_journal(&journal).unwrap(), first_old).unwrap();
    let (given, summary) = search(&searcher, &SearchRequest::default());
    assert_eq!((given.len(), summary.gaps.len()), (lines.len(), 0));

    let (store, view) = table(&journal, &blocks, 7);
    let gone = view.files[0].clone();
    block_on(store.delete(&object_store::path::Path::from(gone.path.as_str()))).unwrap();
    let (given, summary) = search(&joined(&journal, view), &SearchRequest::default());
    assert_eq!(given.len() as u64, lines.len() as u64 - gone.n_rows.unwrap());
    assert!(summary.gaps.len() == 1 && summary.gaps[0].contains(&gone.path) && summary.gaps[0].contains("gone"), "{:?}", summary.gaps);
}

#[test]
fn a_question_in_sql_begins_again_when_a_file_vanished() {
    let log = recorded_log("attack/audit.log.zst");
    let lines: Vec<&str> = log.lines().collect();
    let journal = journal(&lines);
    let blocks = blocks(&journal);
    let request = SqlRequest {
        query: "SELECT verb FROM events".to_owned(),
        params: Vec::new(),
        limit: None,
        timeout: None,
        format: SqlFormat::Json,
        stop: Stop::default(),
    };
    // Each version has fewer files than the one before; `n_gone` of the versions lack one of theirs.
    let ask = |n_gone: usize| {
        let versions: Vec<Arc<TableView>> = [2, 7, 50]
            .into_iter()
            .enumerate()
            .map(|(version, per_flush)| {
                let (store, view) = table(&journal, &blocks, per_flush);
                if version < n_gone {
                    view.files.iter().for_each(|file| block_on(store.delete(&object_store::path::Path::from(file.path.as_str()))).unwrap());
                }
                Arc::new(view)
            })
            .collect();
        assert!(versions.windows(2).all(|pair| pair[0].files.len() > pair[1].files.len()));
        let asked = AtomicUsize::new(0);
        let newer_each_time = move || Ok(Arc::clone(&versions[asked.fetch_add(1, Ordering::Relaxed).min(2)]));
        let searcher = StoreSearcher::new(JournalSearcher::of_journal(&journal).unwrap(), newer_each_time).unwrap();
        let mut given = Vec::new();
        let answer = searcher.sql(&request, &mut |bytes| {
            given.extend_from_slice(bytes);
            ControlFlow::Continue(())
        });
        answer.map(|_| given.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count())
    };
    assert_eq!(ask(0).unwrap(), lines.len());
    assert_eq!(ask(1).unwrap(), lines.len());
    let error = ask(2).unwrap_err();
    assert!(error.message.contains("were merged or retired") && error.help.is_some(), "{error:?}");
}

#[test]
fn records_that_went_from_the_journal_are_looked_for_in_a_newer_version() {
    let directory = tempfile::tempdir().unwrap();
    let log = recorded_log("attack/audit.log.zst");
    let lines: Vec<&str> = log.lines().take(900).collect();
    let written = LocalJournal::open(directory.path(), JournalConfig { segment_size: 1, reserve: 0, ..JournalConfig::default() }).unwrap();
    append(&written, &lines);
    let blocks = blocks(&written);
    let (old, new) = (Arc::new(table(&written, &blocks[..2], 1).1), Arc::new(table(&written, &blocks[..5], 5).1));
    written.close();
    for entry in std::fs::read_dir(directory.path().join("journal")).unwrap() {
        let path = entry.unwrap().path();
        let first_seq = path.file_stem().and_then(|name| name.to_str()?.parse::<u64>().ok());
        if first_seq.is_some_and(|first_seq| first_seq < blocks[4].first_seq) {
            std::fs::remove_file(path).unwrap();
        }
    }
    let (asked, only_old) = (AtomicUsize::new(0), Arc::clone(&old));
    let first_old = move || Ok(Arc::clone(if asked.fetch_add(1, Ordering::Relaxed) == 0 { &old } else { &new }));
    let searcher = StoreSearcher::new(JournalSearcher::open(directory.path()).unwrap(), first_old).unwrap();
    let (given, summary) = search(&searcher, &SearchRequest { order: Order::Arrival, ..SearchRequest::default() });
    assert_eq!((given.len(), summary.gaps), (lines.len(), Vec::new()));

    let searcher = StoreSearcher::new(JournalSearcher::open(directory.path()).unwrap(), move || Ok(Arc::clone(&only_old))).unwrap();
    let (given, summary) = search(&searcher, &SearchRequest::default());
    assert_eq!(given.len(), lines.len() - 300, "two blocks of 150 are nowhere");
    assert!(summary.gaps.iter().any(|gap| gap.contains("in the journal no more")), "{:?}", summary.gaps);
}

#[test]
fn times_between_the_table_and_the_journal_are_merged() {
    let lines = sample();
    let store = Three::of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for order in [Order::Ascending, Order::Descending] {
        let (given, _) = search(&store.half, &SearchRequest { order, ..SearchRequest::default() });
        let mut keys: Vec<(Timestamp, u64)> = given.iter().map(|event| (event.time, event.seq)).collect();
        if order == Order::Descending {
            keys.reverse();
        }
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]) && keys.len() == lines.len());
    }
}

#[test]
fn a_table_that_is_being_written_and_merged_answers_as_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Arc::new(LocalJournal::open(directory.path(), JournalConfig::default()).unwrap());
    let place = TablePlace::local(directory.path().join("table"));
    let config = TableConfig { compact_files: 3, ..TableConfig::default() };
    let table = Table::open(&place, &journal, config, TableMetrics::default()).unwrap();
    let here = StoreSearcher::of_table(&journal, &table).unwrap();
    let beside = StoreSearcher::open(directory.path(), place).unwrap();
    let alone = JournalSearcher::of_journal(&journal).unwrap();
    let lines = sample();
    let n_parts = 8;
    for (part, lines) in lines.chunks(lines.len().div_ceil(n_parts)).enumerate() {
        append(&journal, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        if part + 1 < n_parts {
            table.flush(&Stop::default()).unwrap();
        }
        if part == 5 {
            assert!(table.compact().unwrap() != Compacted::default(), "there is something to merge");
            table.vacuum(std::time::Duration::ZERO).unwrap();
        }
        for text in ["*", "user:mallory", "verb:delete or outcome:denied", "secrets"] {
            for order in [Order::Descending, Order::Arrival] {
                let request = SearchRequest { filter: filter(text), order, ..SearchRequest::default() };
                let (wanted, _) = search(&alone, &request);
                for searcher in [&here, &beside] {
                    let (got, summary) = search(searcher, &request);
                    assert_eq!(got, wanted, "{text}, part {part}");
                    assert_eq!(summary.gaps, Vec::<String>::new());
                }
            }
        }
    }
    assert_eq!(beside.extent(&Stop::default()).unwrap().0, alone.extent(&Stop::default()).unwrap().0);
}
