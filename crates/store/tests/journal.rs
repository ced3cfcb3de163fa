//! The journal on real files, as its users see it.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::Path;
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{AppendError, Appended, Batch, EventId, Journal, Next, Origin, Reader, RecordFlags, RecordHead, RecordKind, SourcePosition};
use decklog_store::testing::wait;
use decklog_store::{BlockRead, JournalConfig, JournalView, LocalJournal, OpenError, StartFrom};

fn at(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 7).unwrap()
}

fn origin(source: &str) -> Origin {
    Origin { cluster: "east".into(), source: source.into(), sender: "10.0.0.1".into() }
}

fn event(number: u64) -> (RecordHead, Vec<u8>) {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    let head = RecordHead { kind: RecordKind::Event, flags: RecordFlags::REDACTED, end: 0, id: Some(EventId(id)), time: at(number as i64), former_id: None };
    (head, format!(r#"{{"kind":"Event","n":{number}}}"#).into_bytes())
}

fn batch(numbers: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = Batch::new(origin("webhook"), at(1000));
    for number in numbers {
        let (head, bytes) = event(number);
        batch
            .push_with(|out| {
                out.extend_from_slice(&bytes);
                Ok::<_, ()>(head)
            })
            .unwrap();
    }
    batch
}

fn open(dir: &Path) -> LocalJournal {
    LocalJournal::open(dir, JournalConfig { reserve: 1 << 16, ..JournalConfig::default() }).unwrap()
}

fn stored(first_seq: u64, n_stored: u64, n_duplicates: u64) -> Appended {
    Appended { first_seq: (n_stored > 0).then_some(first_seq), n_stored, n_duplicates }
}

/// All events a reader gives, by the number in them, and their sequence numbers.
fn read_all(reader: &mut impl Reader) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    loop {
        match reader.next().unwrap() {
            Next::Block(block) => found.extend(
                block
                    .records()
                    .filter(|record| record.head.kind == RecordKind::Event)
                    .map(|record| (record.seq, String::from_utf8(record.bytes.to_vec()).unwrap())),
            ),
            Next::Gap(gap) => panic!("{gap:?}"),
            Next::End => return found,
        }
    }
}

fn line(number: u64) -> String {
    String::from_utf8(event(number).1).unwrap()
}

#[test]
fn what_was_appended_comes_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let journal = open(dir.path());
        assert_eq!(wait(journal.append(batch(0..3))).unwrap(), stored(1, 3, 0));
        assert_eq!(wait(journal.append(batch(2..5))).unwrap(), stored(4, 2, 1));
        assert_eq!(wait(journal.append(batch([7, 7]))).unwrap(), stored(6, 1, 1));
    }
    let journal = open(dir.path());
    assert_eq!(journal.next_seq(), 7);
    assert_eq!(wait(journal.append(batch(0..5))).unwrap(), stored(0, 0, 5));
    let mut former = Batch::new(origin("webhook"), at(1000));
    let (head, bytes) = event(9);
    former
        .push_with(|out| {
            out.extend_from_slice(&bytes);
            Ok::<_, ()>(RecordHead { former_id: event(1).0.id, ..head })
        })
        .unwrap();
    assert_eq!(wait(journal.append(former)).unwrap(), stored(0, 0, 1));
    let expected: Vec<_> = [0, 1, 2, 3, 4, 7].into_iter().enumerate().map(|(index, number)| (index as u64 + 1, line(number))).collect();
    let mut reader = journal.reader("all", StartFrom::Earliest).unwrap();
    assert_eq!(read_all(&mut reader), expected);
    assert_eq!(read_all(&mut journal.reader("some", StartFrom::Seq(5)).unwrap()), expected[4..]);
    assert_eq!(read_all(&mut journal.reader("none", StartFrom::Latest).unwrap()), []);

    let view = JournalView::open(dir.path()).unwrap();
    let block = view.blocks().next().unwrap();
    assert_eq!((block.min_time, block.max_time, block.n_events), (at(0), at(2), 3));
    assert_eq!(*block.origin, origin("webhook"));
    let BlockRead::Records(records) = view.read(block).unwrap() else { panic!() };
    let first = records.records().next().unwrap();
    assert_eq!((first.head.flags, first.head.id, first.head.time, first.ingested_at), (RecordFlags::REDACTED, event(0).0.id, at(0), at(1000)));
}

#[test]
fn a_view_follows_while_the_journal_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let journal = LocalJournal::open(dir.path(), JournalConfig { segment_size: 1000, ..JournalConfig::default() }).unwrap();
    let mut other = JournalView::open(dir.path()).unwrap();
    let mut own = journal.view().unwrap();
    for number in 0..50 {
        wait(journal.append(batch([number]))).unwrap();
        other.refresh().unwrap();
        own.refresh().unwrap();
        for view in [&other, &own] {
            assert_eq!(view.next_seq(), number + 2);
            let BlockRead::Records(records) = view.read(view.blocks_from(number + 1).next().unwrap()).unwrap() else { panic!() };
            assert_eq!(records.records().next().unwrap().bytes, line(number).as_bytes());
            assert_eq!(view.damage().count(), 0);
        }
    }
    assert_eq!(other.blocks().count(), 50);
    assert!(journal.stats().n_segments > 5);
}

#[test]
fn a_second_writer_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let error = LocalJournal::open(dir.path(), JournalConfig::default()).err().unwrap();
    let OpenError::Locked { holder, .. } = error else { panic!("{error}") };
    assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
    journal.close();
    assert!(matches!(wait(journal.append(batch([1]))), Err(AppendError::Closed)));
    open(dir.path());
}

#[test]
fn positions_travel_with_their_lines_and_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let with_position = |numbers: &[u64], position: &[u8]| {
        let mut batch = batch(numbers.iter().copied());
        batch.position = Some(SourcePosition { name: "audit.log".into(), bytes: position.to_vec() });
        batch
    };
    {
        let journal = open(dir.path());
        wait(journal.append(with_position(&[1], b"one"))).unwrap();
        assert_eq!(wait(journal.append(with_position(&[1], b"two"))).unwrap(), stored(0, 0, 1));
        assert_eq!(wait(journal.append(with_position(&[], b"three"))).unwrap(), stored(0, 0, 0));
        assert_eq!(journal.position("audit.log").as_deref(), Some(&b"three"[..]));
    }
    for _ in 0..3 {
        let journal = open(dir.path());
        assert_eq!(journal.position("audit.log").as_deref(), Some(&b"three"[..]));
        assert_eq!(journal.position("other"), None);
        wait(journal.append(batch([journal.next_seq()]))).unwrap();
    }
}

#[test]
fn cursor_and_state_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    {
        let journal = open(dir.path());
        wait(journal.append(batch(0..3))).unwrap();
        let mut reader = journal.reader("table", StartFrom::Earliest).unwrap();
        assert_eq!(read_all(&mut reader).len(), 3);
        reader.commit(b"state").unwrap();
        wait(journal.append(batch(3..5))).unwrap();
        assert_eq!(read_all(&mut reader).len(), 2);
        assert_eq!(journal.stats().readers[0].lag_events, 2);
    }
    let journal = open(dir.path());
    let mut reader = journal.reader("table", StartFrom::Latest).unwrap();
    assert_eq!(reader.state(), b"state");
    assert_eq!(read_all(&mut reader), [(4, line(3)), (5, line(4))]);
    assert!(reader.commit(&vec![0; 65537]).is_err());
}

#[test]
fn a_staged_body_is_there_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let config = JournalConfig { body_in_memory: 100, ..JournalConfig::default() };
    let journal = LocalJournal::open(dir.path(), config.clone()).unwrap();
    wait(journal.append(batch([3]))).unwrap();
    let mut body = journal.stage().unwrap();
    for number in 0..20 {
        body.push(batch([number, number + 1])).unwrap();
    }
    // Meanwhile some of the same come another way.
    wait(journal.append(batch([5, 6]))).unwrap();
    assert_eq!(journal.next_seq(), 4);
    assert_eq!(wait(body.commit()).unwrap(), stored(4, 18, 22));
    let mut broken = journal.stage().unwrap();
    broken.push(batch(100..110)).unwrap();
    broken.push(batch(110..120)).unwrap();
    drop(broken);
    let mut small = journal.stage().unwrap();
    small.push(batch([200])).unwrap();
    assert_eq!(wait(small.commit()).unwrap(), stored(22, 1, 0));
    drop(journal);
    let journal = LocalJournal::open(dir.path(), config).unwrap();
    let mut expected: Vec<u64> = vec![3, 5, 6];
    expected.extend((0..21).filter(|number| ![3, 5, 6].contains(number)));
    expected.push(200);
    let found = read_all(&mut journal.reader("all", StartFrom::Earliest).unwrap());
    assert_eq!(found, expected.into_iter().enumerate().map(|(index, number)| (index as u64 + 1, line(number))).collect::<Vec<_>>());
    assert!(std::fs::read_dir(dir.path().join("journal")).unwrap().all(|entry| !entry.unwrap().file_name().to_string_lossy().ends_with(".part")));
}

#[test]
fn nobody_else_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let journal = open(&data_dir);
    wait(journal.append(batch([1]))).unwrap();
    journal.reader("r", StartFrom::Earliest).unwrap().commit(b"state").unwrap();
    let mut dirs = vec![data_dir];
    let mut n_files = 0;
    while let Some(dir) = dirs.pop() {
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700, "{dir:?}");
        for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
                n_files += 1;
            }
        }
    }
    assert_eq!(n_files, 4, "lock, segment, reserve, cursor");
}

#[test]
fn closing_answers_everybody() {
    let journal = LocalJournal::in_memory().unwrap();
    let waiting = journal.wait_beyond(100, Duration::from_secs(3600));
    let appending = journal.append(batch(0..3));
    journal.close();
    assert_eq!(wait(appending).unwrap(), stored(1, 3, 0));
    assert_eq!(wait(waiting), 4);
    assert_eq!(wait(journal.wait_beyond(100, Duration::from_secs(3600))), 4);
}

#[test]
fn the_contract_holds() {
    decklog_store::testing::check_journal(&LocalJournal::in_memory().unwrap());
    let dir = tempfile::tempdir().unwrap();
    decklog_store::testing::check_journal(&open(dir.path()));
    let dir = tempfile::tempdir().unwrap();
    decklog_store::testing::check_journal(
        &LocalJournal::open(dir.path(), JournalConfig { segment_size: 500, body_in_memory: 1, ..JournalConfig::default() }).unwrap(),
    );
    let dir = tempfile::tempdir().unwrap();
    for journal in [LocalJournal::in_memory().unwrap(), open(dir.path())] {
        let mut reader = journal.reader("r", StartFrom::Earliest).unwrap();
        decklog_store::testing::check_reader(&journal, &mut reader, || journal.reader("r", StartFrom::Earliest).unwrap());
    }
}

#[test]
fn many_threads_get_distinct_places() {
    let dir = tempfile::tempdir().unwrap();
    let journal = LocalJournal::open(dir.path(), JournalConfig { segment_size: 20_000, ..JournalConfig::default() }).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..100 {
                    // Every event is sent by two threads.
                    let event = (thread / 2) * 1000 + number;
                    wait(journal.append(batch([event]))).unwrap();
                }
            });
        }
    });
    let mut found: Vec<String> = read_all(&mut journal.reader("r", StartFrom::Earliest).unwrap()).into_iter().map(|(_, line)| line).collect();
    found.sort();
    let mut expected: Vec<String> = (0..100).flat_map(|number| [line(number), line(1000 + number)]).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn metrics_have_their_names() {
    let journal = LocalJournal::in_memory().unwrap();
    let mut registry = prometheus_client::registry::Registry::default();
    journal.metrics().register(&mut registry);
    wait(journal.append(batch([1, 2, 2]))).unwrap();
    journal.reader("table", StartFrom::Earliest).unwrap();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        r#"decklog_journal_acknowledged_events_total{source="webhook"} 2"#,
        r#"decklog_journal_duplicate_events_total{source="webhook"} 1"#,
        "decklog_journal_fsync_duration_seconds_count 1",
        "decklog_journal_segments 1",
        "decklog_journal_writable 1",
        r#"decklog_reader_lag_events{reader="table"} 2"#,
        r#"decklog_reader_lag_seconds{reader="table"} 0"#,
        "# TYPE decklog_journal_size_bytes gauge",
        "# TYPE decklog_storage_free_bytes gauge",
        r#"decklog_reader_missed_events_total{reader="table"} 0"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
    }
}

#[test]
fn those_who_wait_are_woken() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    assert_eq!(wait(journal.wait_beyond(1, Duration::from_millis(20))), 1);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(journal.wait_beyond(1, Duration::from_secs(60))));
        wait(journal.append(batch([1]))).unwrap();
        assert_eq!(waiting.join().unwrap(), 2);
    });
    assert_eq!(wait(journal.wait_beyond(1, Duration::from_secs(60))), 2);
}
