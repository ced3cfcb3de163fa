//! The scan against the definition: every event of the journal asked one by one.

#![allow(clippy::unwrap_used, missing_docs)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use decklog_audit::filter::{Candidate, fields::Field};
use decklog_audit::journal::{Batch, EventId, Journal, Origin, RecordFlags, RecordHead, RecordKind};
use decklog_audit::search::{FacetRequest, HistogramRequest, Order, SearchError, SearchRequest, SearchSummary, Searcher, SeqRange, Stop, TimeRange};
use decklog_audit::{Event, Filter, Timestamp};
use decklog_query::JournalSearcher;
use decklog_store::testing::wait;
use decklog_store::{JournalConfig, LocalJournal};
use proptest::prelude::*;

fn recorded_log(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(file);
    String::from_utf8(zstd::decode_all(std::fs::read(path).unwrap().as_slice()).unwrap()).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

/// An event as the test knows it.
#[derive(Clone)]
struct Known {
    seq: u64,
    time: Timestamp,
    id: EventId,
    line: String,
}

fn id_of(number: usize) -> EventId {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    EventId(id)
}

/// Stores the lines in batches of changing size, with a mark in between, and gives what is then known.
fn store(journal: &LocalJournal, lines: &[&str], batch_size: usize) -> Vec<Known> {
    let mut known = Vec::new();
    let origin = Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() };
    let mut number = 0;
    for (round, chunk) in lines.chunks(batch_size).enumerate() {
        let mut batch = Batch::new(origin.clone(), now());
        let with_mark = round % 3 == 1;
        if with_mark {
            batch.push_mark(b"{\"mark\":true}");
        }
        let mut of_batch = Vec::new();
        for line in chunk {
            let time = Event::decode(line).unwrap().stage_timestamp.unwrap();
            let id = id_of(number);
            number += 1;
            let head = RecordHead { kind: RecordKind::Event, flags: RecordFlags::default(), end: 0, id: Some(id), time, former_id: None };
            let pushed: Result<(), std::convert::Infallible> = batch.push_with(|out| {
                out.extend_from_slice(line.as_bytes());
                Ok(head)
            });
            pushed.unwrap();
            of_batch.push((time, id, (*line).to_owned()));
        }
        let first = wait(journal.append(batch)).unwrap().first_seq.unwrap() + u64::from(with_mark);
        known.extend(of_batch.into_iter().zip(first..).map(|((time, id, line), seq)| Known { seq, time, id, line }));
    }
    known
}

/// The definition of a search.
fn naive(known: &[Known], request: &SearchRequest) -> (Vec<u64>, u64, u64) {
    let origin = Arc::new(Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() });
    let in_range = known.iter().filter(|event| {
        let place = (event.time, event.seq);
        let after = request.after.is_none_or(|after| match request.order {
            Order::Ascending => after < place,
            Order::Descending => place < after,
            Order::Arrival => after.1 < event.seq,
        });
        after
            && request.range.contains(event.time)
            && request.seqs.from.is_none_or(|from| from <= event.seq)
            && request.seqs.until.is_none_or(|until| event.seq < until)
    });
    let in_range: Vec<&Known> = in_range.collect();
    let mut matches: Vec<&Known> = in_range
        .iter()
        .copied()
        .filter(|known| {
            let event = Event::decode(&known.line).unwrap();
            request.filter.matches(&Candidate {
                event: &event,
                line: &known.line,
                seq: known.seq,
                id: known.id,
                time: known.time,
                ingested_at: now(),
                origin: &origin,
            })
        })
        .collect();
    let n_matched = matches.len() as u64;
    matches.sort_by_key(|known| (known.time, known.seq));
    let surplus = request.limit.map_or(0, |limit| matches.len().saturating_sub(limit));
    matches.drain(..surplus);
    match request.order {
        Order::Ascending => {}
        Order::Descending => matches.reverse(),
        Order::Arrival => matches.sort_by_key(|known| known.seq),
    }
    (matches.iter().map(|known| known.seq).collect(), n_matched, in_range.len() as u64)
}

fn search(searcher: &dyn Searcher, request: &SearchRequest, known: &[Known]) -> (Vec<u64>, SearchSummary) {
    let mut seqs = Vec::new();
    let summary = searcher
        .search(request, &mut |hit| {
            let event = known.iter().find(|event| event.seq == hit.seq).expect("only stored events are found");
            assert!(
                hit.line == event.line.as_bytes() && hit.id == event.id && hit.time == event.time && hit.ingested_at == now() && &*hit.origin.cluster == "lab"
            );
            seqs.push(hit.seq);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(summary.n_returned, seqs.len() as u64);
    (seqs, summary)
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, now()).unwrap()
}

const FILTERS: &[&str] = &[
    "*",
    "user:mallory",
    "verb:delete or trent-secrets",
    "resource:secrets verbclass:read",
    "not user:system:*",
    "code:403",
    "time:2026-11-22T09:53",
    "seq >= 300 seq < 900",
    "request.**.privileged:true",
    "outcome:denied final:true",
    "cluster:lab",
    "cluster:other",
    "user:nobody",
    "object:po/*",
];

/// Four hundred events in disorder: times jump back and forth between batches.
fn sample() -> (LocalJournal, Vec<Known>) {
    let log = recorded_log("attack/audit.log.zst");
    let lines: Vec<&str> = log.lines().collect();
    let (early, late) = lines.split_at(lines.len() / 2);
    let disordered: Vec<&str> = late.iter().step_by(7).chain(early.iter().step_by(7)).copied().collect();
    let journal = LocalJournal::in_memory().unwrap();
    let known = store(&journal, &disordered, 13);
    (journal, known)
}

#[test]
fn random_searches_answer_as_defined() {
    let (journal, known) = sample();
    let searcher = JournalSearcher::of_journal(&journal).unwrap().with_threads(3);
    let times: Vec<Timestamp> = known.iter().map(|event| event.time).collect();
    let time = prop::option::of(prop::sample::select(times));
    let last = known.last().unwrap().seq;
    let seq = prop::option::weighted(0.3, 0..last + 5);
    let order = prop::sample::select(vec![Order::Ascending, Order::Descending, Order::Arrival]);
    let after = prop::option::weighted(0.3, prop::sample::select(known.iter().map(|event| (event.time, event.seq)).collect::<Vec<_>>()));
    let limit = prop::option::of(0usize..600);
    let inputs = (prop::sample::select(FILTERS.to_vec()), time.clone(), time, seq.clone(), seq, order, after, limit);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 400, ..ProptestConfig::default() });
    runner
        .run(&inputs, |(text, since, until, from, to, order, after, limit)| {
            let request = SearchRequest {
                filter: filter(text),
                range: TimeRange { since, until },
                seqs: SeqRange { from, until: to },
                after,
                limit,
                order,
                stop: Stop::default(),
            };
            let (seqs, summary) = search(&searcher, &request, &known);
            let (wanted, n_matched, n_in_range) = naive(&known, &request);
            prop_assert_eq!(seqs, wanted, "{:?}", request);
            prop_assert_eq!(summary.n_matched, n_matched);
            prop_assert!(summary.n_scanned <= n_in_range);
            if !text.contains("time:") {
                prop_assert_eq!(summary.n_scanned, n_in_range);
            }
            prop_assert!(summary.gaps.is_empty());
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_line_of_a_recorded_log_comes_back() {
    let log = recorded_log("attack/audit.log.zst");
    let lines: Vec<&str> = log.lines().collect();
    let journal = LocalJournal::in_memory().unwrap();
    let known = store(&journal, &lines, 400);
    let searcher = JournalSearcher::of_journal(&journal).unwrap();
    let (seqs, summary) = search(&searcher, &SearchRequest { order: Order::Arrival, ..SearchRequest::default() }, &known);
    assert!(seqs.iter().copied().eq(known.iter().map(|event| event.seq)));
    assert_eq!((summary.n_matched, summary.n_scanned), (3431, 3431));
    let extent = (known.iter().map(|event| event.time).min().unwrap(), known.iter().map(|event| event.time).max().unwrap());
    assert_eq!(summary.extent, Some(extent));
    for (text, count) in [
        ("user:mallory", 182),
        ("object:deploy/web", naive(&known, &SearchRequest { filter: filter("object:deploy/web"), ..SearchRequest::default() }).1),
        ("code:4xx", 359),
    ] {
        let (seqs, summary) = search(&searcher, &SearchRequest { filter: filter(text), ..SearchRequest::default() }, &known);
        assert_eq!((seqs.len() as u64, summary.n_matched), (count, count), "{text}");
    }
}

#[test]
fn an_answer_that_breaks_off_ends_the_search() {
    let (journal, _) = sample();
    let searcher = JournalSearcher::of_journal(&journal).unwrap();
    for order in [Order::Ascending, Order::Descending, Order::Arrival] {
        let mut n_left = 5;
        let summary = searcher
            .search(&SearchRequest { order, ..SearchRequest::default() }, &mut |_| {
                n_left -= 1;
                if n_left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        assert_eq!((n_left, summary.n_returned), (0, 5), "{order:?}");
    }
}

#[test]
fn what_is_appended_later_is_found_by_the_next_search() {
    let (journal, mut known) = sample();
    let searcher = JournalSearcher::of_journal(&journal).unwrap();
    assert_eq!(search(&searcher, &SearchRequest::default(), &known).1.n_matched, known.len() as u64);
    let mut batch = Batch::new(Origin { cluster: "lab".into(), ..Origin::default() }, now());
    let event = Known { seq: 0, time: now(), id: EventId([9; 16]), line: known[0].line.clone() };
    let head = RecordHead { kind: RecordKind::Event, flags: RecordFlags::default(), end: 0, id: Some(event.id), time: event.time, former_id: None };
    let pushed: Result<(), std::convert::Infallible> = batch.push_with(|out| {
        out.extend_from_slice(event.line.as_bytes());
        Ok(head)
    });
    pushed.unwrap();
    let seq = wait(journal.append(batch)).unwrap().first_seq.unwrap();
    known.push(Known { seq, ..event });
    assert_eq!(search(&searcher, &SearchRequest { limit: Some(1), ..SearchRequest::default() }, &known).0, [seq]);
}

#[test]
fn damage_is_told_and_the_rest_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let log = recorded_log("attack/audit.log.zst");
    let lines: Vec<&str> = log.lines().take(1000).collect();
    let journal = LocalJournal::open(dir.path(), JournalConfig::default()).unwrap();
    let known = store(&journal, &lines, 50);
    journal.close();
    drop(journal);
    let searcher = JournalSearcher::open(dir.path()).unwrap();
    assert_eq!(search(&searcher, &SearchRequest::default(), &known).1.n_matched, 1000);
    // Turn over a byte in the middle of the first segment: one block's content or header is bad then.
    let mut segments: Vec<_> = std::fs::read_dir(dir.path().join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.is_file() && std::fs::metadata(path).unwrap().len() > 10_000);
    segments.sort();
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used / 2] ^= 0xff;
    std::fs::write(&segments[0], bytes).unwrap();
    for searcher in [searcher, JournalSearcher::open(dir.path()).unwrap()] {
        for order in [Order::Ascending, Order::Arrival] {
            let (seqs, summary) = search(&searcher, &SearchRequest { order, ..SearchRequest::default() }, &known);
            assert_eq!(seqs.len(), 950, "one block of 50 is lost");
            assert!(summary.gaps.len() == 1 && summary.gaps[0].contains("damaged"), "{:?}", summary.gaps);
        }
    }
}

#[test]
fn an_event_that_cannot_be_decoded_is_counted() {
    let journal = LocalJournal::in_memory().unwrap();
    let mut batch = Batch::new(Origin::default(), now());
    let head = RecordHead { kind: RecordKind::Event, flags: RecordFlags::default(), end: 0, id: Some(EventId([1; 16])), time: now(), former_id: None };
    let pushed: Result<(), std::convert::Infallible> = batch.push_with(|out| {
        out.extend_from_slice(b"{\"verb\":7,\"x\":\"\xff\"}");
        Ok(head)
    });
    pushed.unwrap();
    wait(journal.append(batch)).unwrap();
    let searcher = JournalSearcher::of_journal(&journal).unwrap();
    let count = |text: &str| {
        let request = SearchRequest { filter: filter(text), ..SearchRequest::default() };
        searcher.search(&request, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    assert_eq!((count("*").n_matched, count("*").gaps.len()), (1, 0));
    let summary = count("not verb:get");
    assert_eq!((summary.n_matched, summary.n_scanned), (0, 1));
    assert!(summary.gaps[0].contains("could not be decoded"));
}

#[test]
fn facets_count_values_and_histograms_time() {
    let log = recorded_log("attack/audit.log.zst");
    let lines: Vec<&str> = log.lines().collect();
    let journal = LocalJournal::in_memory().unwrap();
    store(&journal, &lines, 100);
    let searcher = JournalSearcher::of_journal(&journal).unwrap();
    let request = SearchRequest { filter: filter("outcome:denied"), ..SearchRequest::default() };
    let asked = FacetRequest { fields: vec![Field::parse("user").unwrap(), Field::parse("code").unwrap()], n_top: 3, prefix: String::new() };
    let (facets, summary) = searcher.facets(&request, &asked).unwrap();
    let (users, codes) = (&facets[0], &facets[1]);
    assert_eq!(codes.top.iter().map(|facet| (facet.value.as_str(), facet.n_events)).collect::<Vec<_>>(), [("403", 71), ("401", 30)]);
    assert!(users.top.len() == 3 && users.top.windows(2).all(|pair| pair[0].n_events >= pair[1].n_events));
    for facet in &users.top {
        let request = SearchRequest { filter: filter(&format!("outcome:denied user:\"{}\"", facet.value)), limit: Some(0), ..SearchRequest::default() };
        assert_eq!(searcher.search(&request, &mut |_| ControlFlow::Continue(())).unwrap().n_matched, facet.n_events, "{}", facet.value);
    }
    assert_eq!((users.n_missing, summary.n_matched), (30, 101), "the 401s have no user");
    for n_buckets in [1, 5, 40, 1000] {
        let asked = HistogramRequest { n_buckets, split: Some(Field::parse("code").unwrap()) };
        let (histogram, _) = searcher.histogram(&request, &asked).unwrap();
        assert_eq!(histogram.values, ["401", "403"]);
        assert!(histogram.buckets.iter().all(|bucket| bucket.by_value.iter().sum::<u64>() == bucket.n_events));
        assert!(histogram.buckets.len() <= n_buckets);
        assert_eq!(histogram.buckets.iter().map(|bucket| bucket.n_events).sum::<u64>(), 101);
        let step = histogram.seconds as i64;
        assert!(histogram.buckets.windows(2).all(|pair| pair[1].start.seconds() - pair[0].start.seconds() == step));
    }
}

#[test]
fn a_stopped_search_ends_whether_it_finds_something_or_not() {
    let (journal, _) = sample();
    let searcher = JournalSearcher::of_journal(&journal).unwrap();
    for order in [Order::Ascending, Order::Arrival] {
        for text in ["*", "user:nobody-here"] {
            let request = SearchRequest { filter: filter(text), order, ..SearchRequest::default() };
            request.stop.stop();
            let result = searcher.search(&request, &mut |_| ControlFlow::Continue(()));
            assert!(matches!(result, Err(SearchError::Stopped)), "{text}");
        }
    }
}

#[test]
fn no_file_stays_open_after_a_search() {
    let dir = tempfile::tempdir().unwrap();
    {
        let journal = LocalJournal::open(dir.path(), JournalConfig { segment_size: 1, reserve: 0, ..JournalConfig::default() }).unwrap();
        let log = recorded_log("attack/audit.log.zst");
        let lines: Vec<&str> = log.lines().take(3).collect();
        store(&journal, &lines, 1);
    }
    let searcher = JournalSearcher::open(dir.path()).unwrap();
    let request = SearchRequest { seqs: SeqRange { from: None, until: Some(2) }, ..SearchRequest::default() };
    assert_eq!(searcher.search(&request, &mut |_| ControlFlow::Continue(())).unwrap().n_returned, 1);
    let first = dir.path().join("journal/00000000000000000001.seg");
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    assert_eq!(open.filter(|path| *path == first).count(), 0);
}
