//! Journals of every version that was ever written are still read. `testdata/journal-v1` was made by
//! `write_present_version` below; when the format changes, the new version gets a directory of its own.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::{Path, PathBuf};

use decklog_audit::Timestamp;
use decklog_audit::journal::{Batch, EventId, Journal, Next, Origin, Reader, RecordFlags, RecordHead, RecordKind, SourcePosition};
use decklog_store::testing::wait;
use decklog_store::{BlockRead, JournalConfig, JournalView, LocalJournal, StartFrom};

fn testdata(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(version)
}

fn line(number: u8) -> Vec<u8> {
    format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"{number}"}}"#).into_bytes()
}

fn batch(numbers: std::ops::Range<u8>) -> Batch {
    let origin = Origin { cluster: "east".into(), source: "node-1".into(), sender: "/var/log/audit.log".into() };
    let mut batch = Batch::new(origin, Timestamp::new(1_767_225_600, 123_456_789).unwrap());
    for number in numbers {
        let head = RecordHead {
            kind: RecordKind::Event,
            flags: if number == 1 { RecordFlags::TIME_INFERRED } else { RecordFlags::default() },
            end: 0,
            id: Some(EventId([number; 16])),
            time: Timestamp::new(1_767_225_500 + i64::from(number), u32::from(number)).unwrap(),
            former_id: None,
        };
        batch
            .push_with(|out| {
                out.extend_from_slice(&line(number));
                Ok::<_, ()>(head)
            })
            .unwrap();
    }
    batch
}

/// Writes what lies in testdata: three events with a position, a mark, a staged body of two batches, an event, a
/// cursor with state.
fn write_present_version(dir: &Path) {
    let journal = LocalJournal::open(dir, JournalConfig { body_in_memory: 1, reserve: 0, ..JournalConfig::default() }).unwrap();
    let mut first = batch(0..3);
    first.position = Some(SourcePosition { name: "node-1".into(), bytes: b"position".to_vec() });
    wait(journal.append(first)).unwrap();
    let mut mark = Batch::new(Origin::default(), Timestamp::new(1_767_225_601, 0).unwrap());
    mark.push_mark(b"{\"mark\":\"search\"}");
    wait(journal.append(mark)).unwrap();
    let mut body = journal.stage().unwrap();
    body.push(batch(3..5)).unwrap();
    body.push(batch(5..6)).unwrap();
    wait(body.commit()).unwrap();
    wait(journal.append(batch(6..7))).unwrap();
    let mut reader = journal.reader("table", StartFrom::Earliest).unwrap();
    reader.next().unwrap();
    reader.commit(b"state").unwrap();
}

fn check(dir: &Path) {
    let view = JournalView::open(dir).unwrap();
    let mut events = Vec::new();
    for block in view.blocks() {
        let BlockRead::Records(records) = view.read(block).unwrap() else { panic!("{block:?}") };
        for record in records.records().filter(|record| record.head.kind == RecordKind::Event) {
            assert_eq!(*record.origin.source, *"node-1");
            assert_eq!(record.ingested_at, Timestamp::new(1_767_225_600, 123_456_789).unwrap());
            events.push((record.seq, record.head.id, record.head.time, record.head.flags, record.bytes.to_vec()));
        }
    }
    let expected = (0..7_u8).map(|number| {
        let seq = u64::from(number) + if number < 3 { 1 } else { 2 };
        let batch = batch(number..number + 1);
        (seq, batch.heads()[0].id, batch.heads()[0].time, batch.heads()[0].flags, line(number))
    });
    assert_eq!(events, expected.collect::<Vec<_>>());

    let journal = LocalJournal::open(dir, JournalConfig { reserve: 0, ..JournalConfig::default() }).unwrap();
    assert_eq!(journal.position("node-1").as_deref(), Some(&b"position"[..]));
    assert_eq!(wait(journal.append(batch(0..7))).unwrap().n_duplicates, 7);
    let mut reader = journal.reader("table", StartFrom::Latest).unwrap();
    assert_eq!(reader.state(), b"state");
    assert!(matches!(reader.next().unwrap(), Next::Block(block) if block.first_seq == 4));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() { copy(&entry.path(), &target) } else { std::fs::copy(entry.path(), target).map(|_| ()).unwrap() }
    }
}

#[test]
fn version_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    copy(&testdata("journal-v1"), dir.path());
    check(dir.path());
}

#[test]
fn the_present_version_is_what_testdata_has() {
    let dir = tempfile::tempdir().unwrap();
    write_present_version(dir.path());
    if std::env::var_os("DECKLOG_WRITE_TESTDATA").is_some() {
        copy(&dir.path().join("journal"), &testdata("journal-v1").join("journal"));
    }
    check(dir.path());
}

#[test]
fn a_later_version_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    copy(&testdata("journal-v1"), dir.path());
    let path = dir.path().join("journal/00000000000000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = LocalJournal::open(dir.path(), JournalConfig::default()).err().unwrap();
    assert!(error.to_string().contains("its format is version 2, this decklog reads version 1"), "{error}");
}
