//! What every [`Journal`] and [`Reader`] promises, as checks that panic: for an implementation's own tests.

use std::convert::Infallible;
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{Appended, Batch, EventId, Journal, Next, Origin, Reader, RecordFlags, RecordHead, RecordKind, SourcePosition};

use super::wait;

fn batch(numbers: std::ops::Range<u8>) -> Batch {
    let origin = Origin { cluster: "contract".into(), source: "contract".into(), sender: "".into() };
    let mut batch = Batch::new(origin, Timestamp::default());
    for number in numbers {
        let id = Some(EventId([number; 16]));
        let head = RecordHead { kind: RecordKind::Event, flags: RecordFlags::default(), end: 0, id, time: Timestamp::default(), former_id: None };
        let pushed: Result<(), Infallible> = batch.push_with(|out| {
            out.push(number);
            Ok(head)
        });
        let Ok(()) = pushed;
    }
    batch
}

/// Appends `batch`, which must be taken.
fn append(journal: &dyn Journal, batch: Batch) -> Appended {
    match wait(journal.append(batch)) {
        Ok(appended) => appended,
        Err(error) => panic!("the batch was refused: {error}"),
    }
}

/// Checks the promises of a new, empty journal.
///
/// # Panics
/// When one is broken.
pub fn check_journal(journal: &dyn Journal) {
    let first = journal.next_seq();
    let stored = |first_seq, n_stored, n_duplicates| Appended { first_seq, n_stored, n_duplicates };
    assert_eq!(append(journal, Batch::default()), Appended::default(), "an empty batch stores nothing");
    assert_eq!(append(journal, batch(0..3)), stored(Some(first), 3, 0));
    assert_eq!(journal.next_seq(), first + 3, "what is acknowledged lies below next_seq");
    assert_eq!(append(journal, batch(1..5)), stored(Some(first + 3), 2, 2), "an event is stored once");
    assert_eq!(append(journal, batch(0..5)), stored(None, 0, 5));

    let mut with_position = batch(5..6);
    with_position.position = Some(SourcePosition { name: "file".into(), bytes: b"one".to_vec() });
    append(journal, with_position);
    assert_eq!(journal.position("file").as_deref(), Some(&b"one"[..]));
    let mut position_alone = batch(0..0);
    position_alone.position = Some(SourcePosition { name: "file".into(), bytes: b"two".to_vec() });
    assert_eq!(append(journal, position_alone).n_stored, 0);
    assert_eq!(journal.position("file").as_deref(), Some(&b"two"[..]), "a position needs no records");
    assert_eq!(journal.position("other"), None);

    check_staged(journal);

    let next_seq = journal.next_seq();
    assert_eq!(wait(journal.wait_beyond(next_seq - 1, Duration::from_secs(60))), next_seq);
    assert_eq!(wait(journal.wait_beyond(next_seq, Duration::ZERO)), next_seq, "patience has an end");
}

fn check_staged(journal: &dyn Journal) {
    let before = journal.next_seq();
    let stage = || match journal.stage() {
        Ok(staged) => staged,
        Err(error) => panic!("a body was refused: {error}"),
    };
    let mut body = stage();
    for numbers in [10..20, 20..25, 24..26] {
        assert!(body.push(batch(numbers)).is_ok());
    }
    assert_eq!(journal.next_seq(), before, "nothing is there before the commit");
    let appended = wait(body.commit());
    assert!(matches!(appended, Ok(Appended { first_seq: Some(first_seq), n_stored: 16, n_duplicates: 1 }) if first_seq == before), "{appended:?}");
    assert_eq!(journal.next_seq(), before + 16);
    let mut broken = stage();
    assert!(broken.push(batch(30..40)).is_ok());
    drop(broken);
    assert_eq!(journal.next_seq(), before + 16, "a body that is dropped leaves nothing");
    assert!(matches!(wait(stage().commit()), Ok(Appended { n_stored: 0, .. })), "an empty body is no error");
}

/// Checks the promises of a reader that begins at a journal's next record; `again` opens it anew.
///
/// # Panics
/// When one is broken.
pub fn check_reader<R: Reader>(journal: &dyn Journal, reader: &mut R, again: impl Fn() -> R) {
    let first = reader.position();
    assert_eq!(reader.state(), b"");
    assert!(matches!(reader.next(), Ok(Next::End)));
    append(journal, batch(100..103));
    append(journal, batch(103..105));
    let block = next_block(reader);
    assert_eq!((block.first_seq, block.bytes.as_ref()), (first, &[100, 101, 102][..]));
    assert_eq!(block.records().map(|record| (record.seq, record.bytes[0])).collect::<Vec<_>>(), [(first, 100), (first + 1, 101), (first + 2, 102)]);
    assert_eq!(reader.position(), first + 3);
    assert!(reader.commit(b"after the first").is_ok());
    assert_eq!(next_block(reader).first_seq, first + 3);
    assert!(matches!(reader.next(), Ok(Next::End)));
    assert!(reader.commit(&[0; (64 << 10) + 1]).is_err(), "state has a bound");

    let mut reopened = again();
    assert_eq!(reopened.state(), b"after the first", "what was not committed is not kept");
    assert_eq!(next_block(&mut reopened).bytes.as_ref(), &[103, 104], "and is read again");
    assert!(reopened.commit(b"").is_ok());
    assert_eq!((again().position(), again().state()), (first + 5, &b""[..]));
}

fn next_block(reader: &mut impl Reader) -> decklog_audit::journal::RecordBlock {
    match reader.next() {
        Ok(Next::Block(block)) => block,
        other => panic!("a block was expected, not {other:?}"),
    }
}
