//! Disks that fail or fill up, retention, and damage: on files in memory, the writer stepped by hand.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{
    AppendError, Appended, Appending, Batch, EventId, Journal, Next, Origin, Reader, RecordFlags, RecordHead, RecordKind, SourcePosition,
};

use super::retention::{Candidate, Pressure, Slowest, Why, plan};
use super::segment_writer::{Positions, SegmentWriter};
use super::writer::{Closing, Writer};
use super::{Environment, Health, LocalJournal, StartFrom};
use crate::clock::{Clock, ManualClock};
use crate::config::JournalConfig;
use crate::files::Files;
use crate::files::memory::{Fault, MemoryFiles, Random};
use crate::format::encode::{Content, EncodedBlock};
use crate::metrics::JournalMetrics;
use crate::view::{BlockRead, JournalView};

const DATA: &str = "/data";

struct Stage {
    files: MemoryFiles,
    clock: Arc<ManualClock>,
    config: JournalConfig,
}

impl Stage {
    fn new() -> Self {
        let config = JournalConfig { segment_size: 400, reserve: 2048, ..JournalConfig::default() };
        Self { files: MemoryFiles::new(), clock: Arc::default(), config }
    }

    fn open(&self) -> (LocalJournal, Writer) {
        let environment =
            Environment { files: Arc::new(self.files.clone()), clock: Arc::clone(&self.clock) as Arc<dyn Clock>, metrics: JournalMetrics::default() };
        LocalJournal::without_thread(Path::new(DATA), self.config.clone(), environment).unwrap()
    }

    fn segments(&self) -> Vec<String> {
        let entries = self.files.list(Path::new("/data/journal")).unwrap();
        entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".seg")).collect()
    }
}

fn id(number: u8) -> EventId {
    EventId([number; 16])
}

fn batch(numbers: &[u8]) -> Batch {
    let mut batch = Batch::new(Origin::default(), Timestamp::from_micros(1_767_225_600_000_000));
    for number in numbers {
        let head =
            RecordHead { kind: RecordKind::Event, flags: RecordFlags::default(), end: 0, id: Some(id(*number)), time: batch.ingested_at, former_id: None };
        batch
            .push_with(|out| {
                out.extend_from_slice(&[*number; 8]);
                Ok::<_, ()>(head)
            })
            .unwrap();
    }
    batch
}

fn poll(appending: &mut Appending) -> Option<Result<Appended, AppendError>> {
    match Pin::new(appending).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn append(journal: &LocalJournal, writer: &mut Writer, batch: Batch) -> Result<Appended, AppendError> {
    let mut appending = journal.append(batch);
    writer.step();
    poll(&mut appending).unwrap()
}

fn stored(first_seq: u64, n_stored: u64) -> Appended {
    Appended { first_seq: Some(first_seq), n_stored, n_duplicates: 0 }
}

/// What a reader gets: the numbers of events, and gaps.
fn read(reader: &mut impl Reader) -> Vec<Result<u8, (u64, u64)>> {
    let mut found = Vec::new();
    loop {
        match reader.next().unwrap() {
            Next::Block(block) => found.extend(block.records().filter(|record| record.head.kind == RecordKind::Event).map(|record| Ok(record.bytes[0]))),
            Next::Gap(gap) => found.push(Err((gap.from_seq, gap.to_seq))),
            Next::End => return found,
        }
    }
}

#[test]
fn identical_batches_at_once_are_one() {
    let stage = Stage::new();
    let (journal, mut writer) = stage.open();
    let mut first = journal.append(batch(&[1, 2]));
    let mut second = journal.append(batch(&[1, 2]));
    assert!(poll(&mut second).is_none(), "not a duplicate before the first is durable");
    writer.step();
    assert_eq!(poll(&mut first).unwrap().unwrap(), stored(1, 2));
    assert_eq!(poll(&mut second).unwrap().unwrap(), Appended { first_seq: None, n_stored: 0, n_duplicates: 2 });
}

#[test]
fn an_identical_batch_is_stored_when_the_first_one_fails() {
    let stage = Stage::new();
    let (journal, mut writer) = stage.open();
    let mut body = journal.stage().unwrap();
    body.push(batch(&[1, 2])).unwrap();
    let mut first = body.commit();
    let mut second = journal.append(batch(&[2, 3]));
    // The segment's creation fails twice.
    stage.files.strike(0, Fault::Fail);
    stage.files.strike(2, Fault::Fail);
    writer.step();
    assert!(matches!(poll(&mut first), Some(Err(AppendError::Unwritable { .. }))));
    writer.step();
    assert!(matches!(poll(&mut second), Some(Err(AppendError::Unwritable { .. }))), "refused rather than called a duplicate");
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(
        {
            writer.step();
            append(&journal, &mut writer, batch(&[2, 3])).unwrap()
        },
        stored(1, 2)
    );
}

#[test]
fn one_failed_sync_costs_a_segment_and_nobody_notices() {
    let stage = Stage::new();
    let (journal, mut writer) = stage.open();
    assert_eq!(append(&journal, &mut writer, batch(&[1])).unwrap(), stored(1, 1));
    stage.files.strike(1, Fault::Fail);
    assert_eq!(append(&journal, &mut writer, batch(&[2])).unwrap(), stored(2, 1));
    assert_eq!(append(&journal, &mut writer, batch(&[3])).unwrap(), stored(3, 1));
    assert!(matches!(journal.health(), Health::Writable));
    assert_eq!(stage.segments().len(), 2);
    assert_eq!(read(&mut journal.reader("r", StartFrom::Earliest).unwrap()), [Ok(1), Ok(2), Ok(3)]);
}

#[test]
fn a_failing_disk_is_refused_named_and_tried_again() {
    let stage = Stage::new();
    let (journal, mut writer) = stage.open();
    append(&journal, &mut writer, batch(&[1])).unwrap();
    // Write and truncation, then creation and removal.
    for n in 0..4 {
        stage.files.strike(n, Fault::Fail);
    }
    let refused = append(&journal, &mut writer, batch(&[2]));
    let Err(AppendError::Unwritable { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("/data/journal: input/output error"), "{reason}");
    assert!(matches!(journal.health(), Health::Refusing { error: AppendError::Unwritable { .. }, .. }));
    assert!(matches!(poll(&mut journal.append(batch(&[2]))), Some(Err(AppendError::Unwritable { .. }))), "refused at once");
    assert!(journal.stage().is_err());
    writer.step();
    assert!(matches!(journal.health(), Health::Refusing { .. }), "not before its time");
    stage.clock.advance(Duration::from_secs(1));
    writer.step();
    assert!(matches!(journal.health(), Health::Writable));
    assert_eq!(append(&journal, &mut writer, batch(&[2])).unwrap(), stored(2, 1));
}

#[test]
fn a_full_disk_keeps_room_for_cursors_and_marks() {
    let stage = Stage::new();
    let (journal, mut writer) = stage.open();
    append(&journal, &mut writer, batch(&[1])).unwrap();
    let mut reader = journal.reader("r", StartFrom::Earliest).unwrap();
    read(&mut reader);
    let used: u64 = ["/data/journal", "/data/journal/cursors"].iter().flat_map(|dir| stage.files.list(Path::new(dir)).unwrap()).map(|entry| entry.size).sum();
    stage.files.set_capacity(Some(used + stage.config.reserve + 50));
    assert!(matches!(append(&journal, &mut writer, batch(&[2])), Err(AppendError::Full { .. })));
    assert!(matches!(journal.health(), Health::Refusing { error: AppendError::Full { .. }, .. }));
    let mut mark = Batch::new(Origin::default(), Timestamp::default());
    mark.push_mark(b"{\"mark\":\"full\"}");
    assert_eq!(append(&journal, &mut writer, mark).unwrap(), stored(2, 1));
    read(&mut reader);
    reader.commit(b"state").unwrap();
    stage.clock.advance(Duration::from_secs(1));
    assert!(matches!(append(&journal, &mut writer, batch(&[2])), Err(AppendError::Full { .. })), "the reserve is not for events");
    stage.files.set_capacity(None);
    stage.clock.advance(Duration::from_secs(1));
    writer.step();
    assert_eq!(append(&journal, &mut writer, batch(&[2])).unwrap(), stored(3, 1));
    // A journal opens on a full disk, and says so.
    drop(journal);
    stage.files.set_capacity(Some(100));
    let (journal, _) = stage.open();
    assert!(matches!(journal.health(), Health::Refusing { error: AppendError::Full { .. }, .. }));
    assert_eq!(read(&mut journal.reader("r", StartFrom::Earliest).unwrap()), [Ok(2)]);
}

#[test]
fn the_queue_is_bounded() {
    let mut stage = Stage::new();
    stage.config.queue_bytes = 200;
    let (journal, mut writer) = stage.open();
    let mut first = journal.append(batch(&[1, 2, 3, 4]));
    let refused = poll(&mut journal.append(batch(&[5])));
    assert!(matches!(refused, Some(Err(AppendError::Busy { waiting_bytes: 288, limit_bytes: 200 }))), "{refused:?}");
    writer.step();
    assert_eq!(poll(&mut first).unwrap().unwrap(), stored(1, 4));
    assert_eq!(append(&journal, &mut writer, batch(&[5])).unwrap(), stored(5, 1));
}

#[test]
fn a_body_whose_events_came_another_way_still_moves_its_position() {
    let mut stage = Stage::new();
    stage.config.body_in_memory = 1;
    let (journal, mut writer) = stage.open();
    let mut body = journal.stage().unwrap();
    let mut with_position = batch(&[2]);
    with_position.position = Some(SourcePosition { name: "f".into(), bytes: b"end".to_vec() });
    body.push(batch(&[1])).unwrap();
    body.push(with_position).unwrap();
    append(&journal, &mut writer, batch(&[1, 2])).unwrap();
    let mut committing = body.commit();
    writer.step();
    assert_eq!(poll(&mut committing).unwrap().unwrap(), Appended { first_seq: None, n_stored: 0, n_duplicates: 2 });
    assert_eq!(journal.position("f").as_deref(), Some(&b"end"[..]));
    drop(journal);
    let files = stage.files.process_ends();
    let (journal, _) = Stage { files, ..stage }.open();
    assert_eq!(journal.position("f").as_deref(), Some(&b"end"[..]));
}

#[test]
fn retention_takes_whole_segments_that_readers_passed() {
    let mut stage = Stage::new();
    stage.config.max_age = Some(Duration::from_secs(3600));
    let (journal, mut writer) = stage.open();
    let mut reader = journal.reader("r", StartFrom::Earliest).unwrap();
    for number in 0..6 {
        append(&journal, &mut writer, batch(&[number])).unwrap();
        stage.clock.advance(Duration::from_secs(600));
    }
    let before = stage.segments();
    assert!(before.len() >= 3, "{before:?}");
    stage.clock.advance(Duration::from_secs(7200));
    writer.step();
    assert_eq!(stage.segments(), before, "the reader has not passed them");
    assert_eq!(read(&mut reader).len(), 6);
    reader.commit(b"").unwrap();
    stage.clock.advance(Duration::from_secs(61));
    writer.step();
    assert_eq!(stage.segments().first(), before.last(), "the newest one stays");
    writer.step();
    let Next::Block(mark) = reader.next().unwrap() else { panic!() };
    let text = String::from_utf8(mark.bytes.to_vec()).unwrap();
    assert!(text.contains(r#""mark":"retention","why":"age","from_seq":1"#), "{text}");
    assert_eq!(journal.stats().oldest_seq, 6);
}

#[test]
fn on_a_full_disk_limits_count_more_than_a_reader_that_lags() {
    let mut stage = Stage::new();
    stage.config.max_size = Some(900);
    stage.config.reserve = 0;
    // Else the reader would get from memory what is gone from the disk.
    stage.config.recent_bytes = 0;
    let (journal, mut writer) = stage.open();
    let mut reader = journal.reader("slow", StartFrom::Earliest).unwrap();
    for number in 0..20 {
        append(&journal, &mut writer, batch(&[number])).unwrap();
    }
    let used: u64 = ["/data/journal", "/data/journal/cursors"].iter().flat_map(|dir| stage.files.list(Path::new(dir)).unwrap()).map(|entry| entry.size).sum();
    stage.files.set_capacity(Some(used + 100));
    append(&journal, &mut writer, batch(&[20])).unwrap();
    let found = read(&mut reader);
    let Some(Err((1, to_seq))) = found.first() else { panic!("{found:?}") };
    assert_eq!(found[1..], (*to_seq - 1..21).map(|number| Ok(number as u8)).collect::<Vec<_>>());
    assert_eq!(journal.stats().readers[0].n_missed, to_seq - 1);
}

#[test]
fn on_a_full_disk_a_reader_that_is_never_overtaken_misses_nothing() {
    for is_there in [true, false] {
        let mut stage = Stage::new();
        stage.config.max_size = Some(900);
        stage.config.reserve = 4_000;
        stage.config.recent_bytes = 0;
        stage.config.never_overtaken = vec!["only".to_owned()];
        let (journal, mut writer) = stage.open();
        let reader = is_there.then(|| journal.reader("only", StartFrom::Earliest).unwrap());
        for number in 0..20 {
            append(&journal, &mut writer, batch(&[number])).unwrap();
        }
        let used: u64 =
            ["/data/journal", "/data/journal/cursors"].iter().flat_map(|dir| stage.files.list(Path::new(dir)).unwrap()).map(|entry| entry.size).sum();
        stage.files.set_capacity(Some(used + stage.config.reserve + 50));
        assert!(matches!(append(&journal, &mut writer, batch(&[20])), Err(AppendError::Full { .. })), "refused rather than lost");
        let mut reader = reader.unwrap_or_else(|| journal.reader("only", StartFrom::Earliest).unwrap());
        assert_eq!(read(&mut reader), (0..20).map(Ok).collect::<Vec<_>>());
        // Once it has them, they may go, and the journal goes on.
        reader.commit(&[]).unwrap();
        stage.clock.advance(Duration::from_secs(2));
        writer.step();
        append(&journal, &mut writer, batch(&[21])).unwrap();
        assert_eq!(read(&mut reader).last(), Some(&Ok(21)));
    }
}

#[test]
fn the_plan_goes_oldest_first_and_stops_at_a_reader() {
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let candidates: Vec<Candidate> =
        (0..4).map(|index| Candidate { first_seq: index * 10, end_seq: index * 10 + 10, size: 100, newest: at(index as i64 * 100) }).collect();
    let numbers = |plan: Vec<(Candidate, Why)>| plan.into_iter().map(|(candidate, why)| (candidate.first_seq, why)).collect::<Vec<_>>();
    let by_age = JournalConfig { max_age: Some(Duration::from_secs(300)), ..JournalConfig::default() };
    let (nobody, lagging) = (Slowest::default(), |seq| Slowest { of_all: Some(seq), of_kept: None });
    assert_eq!(numbers(plan(&candidates, 500, nobody, &by_age, at(400), Pressure::None)), [(0, Why::Age), (10, Why::Age)]);
    assert_eq!(numbers(plan(&candidates, 500, lagging(15), &by_age, at(400), Pressure::None)), [(0, Why::Age)]);
    assert_eq!(numbers(plan(&candidates, 500, lagging(0), &by_age, at(400), Pressure::DiskFull)), [(0, Why::Age), (10, Why::Age)]);
    let kept = Slowest { of_all: Some(0), of_kept: Some(15) };
    assert_eq!(numbers(plan(&candidates, 500, kept, &by_age, at(400), Pressure::DiskFull)), [(0, Why::Age)]);
    let by_size = JournalConfig { max_size: Some(250), ..JournalConfig::default() };
    assert_eq!(numbers(plan(&candidates, 500, nobody, &by_size, at(0), Pressure::None)), [(0, Why::Size), (10, Why::Size), (20, Why::Size)]);
    assert_eq!(numbers(plan(&candidates, 500, nobody, &JournalConfig::default(), at(1 << 40), Pressure::DiskFull)), []);
}

#[test]
fn damage_costs_its_block_and_is_reported_with_its_place() {
    for in_header in [true, false] {
        let stage = Stage::new();
        let (journal, mut writer) = stage.open();
        for number in 0..12 {
            append(&journal, &mut writer, batch(&[number])).unwrap();
        }
        let view = JournalView::open_with(Path::new(DATA), Arc::new(stage.files.clone())).unwrap();
        let blocks: Vec<_> = view.blocks().cloned().collect();
        for damaged in [0, 3, 11] {
            let (segment, offset) = blocks[damaged].place();
            let flipped = if in_header { 20 } else { blocks[damaged].stored_size - 1 };
            stage.files.damage(&Path::new("/data/journal").join(segment), offset + flipped, 1);
        }
        let expected: Vec<_> =
            (0..12_u8).map(|number| if [0, 3, 11].contains(&number) { Err((u64::from(number) + 1, u64::from(number) + 2)) } else { Ok(number) }).collect();
        assert_eq!(read(&mut journal.reader("r", StartFrom::Earliest).unwrap()), expected, "in header: {in_header}");
        // The next blocks are read behind damage at the end, too.
        append(&journal, &mut writer, batch(&[12])).unwrap();
        assert_eq!(read(&mut journal.reader("s", StartFrom::Seq(10)).unwrap()), [Ok(9), Ok(10), Err((12, 13)), Ok(12)]);
        drop(journal);
        let files = stage.files.process_ends();
        let reopened = Stage { files, ..stage };
        let (journal, mut writer) = reopened.open();
        assert_eq!(append(&journal, &mut writer, batch(&[20])).unwrap(), stored(14, 1));
        let mut found = read(&mut journal.reader("t", StartFrom::Earliest).unwrap());
        assert_eq!(found.split_off(12), [Ok(12), Ok(20)]);
        assert_eq!(found, expected);
    }
}

#[test]
fn a_damaged_segment_header_costs_nothing() {
    let stage = Stage::new();
    let (journal, mut writer) = stage.open();
    append(&journal, &mut writer, batch(&[1])).unwrap();
    drop(journal);
    stage.files.damage(&Path::new("/data/journal").join(&stage.segments()[0]), 3, 1);
    let (journal, mut writer) = stage.open();
    assert_eq!(read(&mut journal.reader("r", StartFrom::Earliest).unwrap()), [Ok(1)]);
    assert_eq!(append(&journal, &mut writer, batch(&[2])).unwrap(), stored(2, 1));
    let view = JournalView::open_with(Path::new(DATA), Arc::new(stage.files.clone())).unwrap();
    assert_eq!(view.blocks().filter(|block| matches!(view.read(block), Ok(BlockRead::Records(_)))).count(), 2);
}

#[test]
fn numbers_a_reader_has_seen_are_not_given_again() {
    let stage = Stage::new();
    let (journal, mut writer) = stage.open();
    append(&journal, &mut writer, batch(&[1, 2, 3])).unwrap();
    let mut reader = journal.reader("r", StartFrom::Earliest).unwrap();
    read(&mut reader);
    reader.commit(b"").unwrap();
    drop(journal);
    stage.files.remove(&Path::new("/data/journal").join(&stage.segments()[0])).unwrap();
    let (journal, mut writer) = stage.open();
    assert_eq!(journal.damage().len(), 1);
    assert_eq!(append(&journal, &mut writer, batch(&[1])).unwrap(), stored(4, 1));
    assert_eq!(read(&mut journal.reader("r", StartFrom::Earliest).unwrap()), [Ok(1)]);
}

#[test]
fn whoever_waits_for_another_append_is_answered_when_the_thread_ends() {
    let stage = Stage::new();
    let (journal, writer) = stage.open();
    let mut first = journal.append(batch(&[1]));
    let mut parked = journal.append(batch(&[1]));
    drop(Closing(Arc::clone(&journal.shared)));
    assert!(matches!(poll(&mut first), Some(Err(AppendError::Closed))));
    assert!(matches!(poll(&mut parked), Some(Err(AppendError::Closed))));
    drop(writer);
}

#[test]
fn a_body_of_too_many_events_is_refused_whole() {
    let mut stage = Stage::new();
    stage.config = JournalConfig { body_in_memory: 0, max_body_events: 4, ..stage.config };
    let (journal, mut writer) = stage.open();
    let mut body = journal.stage().unwrap();
    body.push(batch(&[1, 2])).unwrap();
    body.push(batch(&[1, 2])).unwrap();
    body.push(batch(&[3, 4])).unwrap();
    assert!(matches!(body.push(batch(&[5])), Err(AppendError::Unwritable { .. })));
    let mut committed = body.commit();
    assert!(matches!(poll(&mut committed), Some(Err(AppendError::Unwritable { .. }))));
    assert_eq!(append(&journal, &mut writer, batch(&[1])).unwrap(), stored(1, 1));
    assert!(stage.files.list(Path::new("/data/journal")).unwrap().iter().all(|entry| !entry.name.ends_with(".part")));
}

#[test]
fn a_view_notices_another_segment_of_the_same_name() {
    let files = MemoryFiles::new();
    let dir = Path::new("/data/journal");
    files.create_dir(dir).unwrap();
    let write = |numbers: &[u8], seconds: i64| {
        let batch = batch(numbers);
        let content =
            Content { origin: &batch.origin, ingested_at: batch.ingested_at, position: None, heads: batch.heads(), bytes: batch.bytes(), is_checkpoint: false };
        let mut block = EncodedBlock::new(&content).unwrap();
        let mut segments = SegmentWriter::new(Arc::new(files.clone()), dir.to_owned(), [3; 16], 4096, 1);
        segments.write(&mut [&mut block], &Positions::new(), Timestamp::new(seconds, 0).unwrap()).unwrap();
    };
    let seen = |view: &JournalView| -> Vec<u8> {
        view.blocks()
            .flat_map(|block| match view.read(block).unwrap() {
                BlockRead::Records(block) => block.records().map(|record| record.bytes[0]).collect(),
                BlockRead::Gap(_) => vec![0],
            })
            .collect()
    };
    write(&[1], 1);
    let mut view = JournalView::open_with(Path::new(DATA), Arc::new(files.clone())).unwrap();
    assert_eq!(seen(&view), [1]);
    // Its sync failed: what comes later is written to a new file, at the same places.
    files.remove(&dir.join("00000000000000000001.seg")).unwrap();
    write(&[2, 3], 2);
    view.refresh().unwrap();
    assert_eq!(seen(&view), [2, 3]);
    assert_eq!(view.next_seq(), 3);
}

#[test]
fn records_go_at_their_age_however_few_come() {
    let mut stage = Stage::new();
    let hour = Duration::from_secs(3600);
    stage.config = JournalConfig { segment_size: 1 << 20, max_age: Some(16 * hour), retention_interval: hour, ..stage.config };
    let (journal, mut writer) = stage.open();
    for number in 0..40 {
        assert_eq!(append(&journal, &mut writer, batch(&[number])).unwrap().n_stored, 1);
        stage.clock.advance(hour);
        writer.step();
    }
    let mut kept = read(&mut journal.reader("one", StartFrom::Earliest).unwrap());
    kept.retain(Result::is_ok);
    assert_eq!(kept.first(), Some(&Ok(24)), "{kept:?}");
}

#[test]
fn a_forgotten_reader_stays_forgotten_through_a_power_cut() {
    for seed in 0..20 {
        let stage = Stage::new();
        let (journal, _writer) = stage.open();
        journal.reader("gone", StartFrom::Earliest).unwrap();
        journal.forget_reader("gone").unwrap();
        let stage = Stage { files: stage.files.power_cut(&mut Random::new(seed)), ..stage };
        assert_eq!(stage.open().0.stats().readers, []);
    }
}
