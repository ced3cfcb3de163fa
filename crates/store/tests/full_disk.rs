//! A disk that is really full: a small file system in memory, mounted where the tests may mount one. Where they
//! may not, `journal/tests.rs` shows the same on files in memory.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use decklog_audit::Timestamp;
use decklog_audit::journal::{AppendError, Batch, EventId, Journal, Origin, Reader, RecordFlags, RecordHead, RecordKind};
use decklog_store::testing::wait;
use decklog_store::{Health, JournalConfig, LocalJournal, StartFrom};

const MIB: usize = 1 << 20;

/// A mounted file system of 24 MiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "decklog-test"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// One event that does not compress.
fn batch(number: u64) -> Batch {
    let mut batch = Batch::new(Origin::default(), Timestamp::new(1_767_225_600, 0).unwrap());
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    let head = RecordHead { kind: RecordKind::Event, flags: RecordFlags::default(), end: 0, id: Some(EventId(id)), time: batch.ingested_at, former_id: None };
    let mut word = number;
    batch
        .push_with(|out| {
            while out.len() < MIB {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                out.extend_from_slice(&(word >> 32).to_le_bytes()[..4]);
            }
            Ok::<_, ()>(head)
        })
        .unwrap();
    batch
}

fn mark() -> Batch {
    let mut batch = Batch::new(Origin::default(), Timestamp::new(1_767_225_600, 0).unwrap());
    batch.push_mark(b"{}");
    batch
}

/// Sends until the disk is full; the number that was refused.
fn fill(journal: &LocalJournal, first: u64) -> u64 {
    (first..first + 100)
        .find(|number| match wait(journal.append(batch(*number))) {
            Ok(appended) => {
                assert_eq!(appended.n_stored, 1);
                false
            }
            Err(AppendError::Full { .. }) => true,
            Err(error) => panic!("{error}"),
        })
        .unwrap()
}

/// Sends this event until it is taken.
fn insist(journal: &LocalJournal, number: u64) {
    let begun = Instant::now();
    while let Err(error) = wait(journal.append(batch(number))) {
        assert!(matches!(error, AppendError::Full { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "still full");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_refuses_events_only_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        return println!("no file system can be mounted here: shown on files in memory only");
    };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 8 * MIB]).unwrap();
    let config = JournalConfig { reserve: 2 << 20, segment_size: 4 << 20, retry_after: Duration::from_millis(50), ..JournalConfig::default() };
    let journal = LocalJournal::open(disk.path(), config.clone()).unwrap();
    let mut reader = journal.reader("one", StartFrom::Latest).unwrap();

    let refused = fill(&journal, 1);
    assert!(refused > 8, "{refused}");
    assert!(matches!(journal.health(), Health::Refusing { error: AppendError::Full { .. }, .. }));
    for _ in 0..50 {
        assert_eq!(wait(journal.append(mark())).unwrap().n_stored, 1, "a mark");
        reader.commit(&[7; 1000]).unwrap();
    }

    std::fs::remove_file(&ballast).unwrap();
    insist(&journal, refused);
    let next_seq = journal.next_seq();
    drop((reader, journal));

    // Again, and a restart on the full disk.
    let journal = LocalJournal::open(disk.path(), config.clone()).unwrap();
    assert_eq!(journal.next_seq(), next_seq);
    let refused = fill(&journal, refused + 1);
    drop(journal);
    let limited = JournalConfig { max_size: Some(8 << 20), ..config };
    let journal = LocalJournal::open(disk.path(), limited).unwrap();
    // Retention makes room although a reader lags.
    insist(&journal, refused);
    assert!(journal.stats().oldest_seq > 1);
    assert!(journal.stats().size < 13 << 20);
}
