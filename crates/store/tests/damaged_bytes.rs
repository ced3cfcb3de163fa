//! Whatever happens to a journal's bytes: nothing panics, time is bounded, and blocks that were not hit are read.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::Path;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::{Batch, Journal, Next, Origin, Reader};
use decklog_store::files::Files;
use decklog_store::files::memory::MemoryFiles;
use decklog_store::testing::wait;
use decklog_store::{BlockRead, Environment, JournalConfig, JournalView, LocalJournal, StartFrom};
use proptest::prelude::*;

const DATA: &str = "/data";

fn open(files: &MemoryFiles) -> Result<LocalJournal, decklog_store::OpenError> {
    let config = JournalConfig { segment_size: 700, reserve: 0, ..JournalConfig::default() };
    LocalJournal::open_with(Path::new(DATA), config, Environment { files: Arc::new(files.clone()), ..Environment::default() })
}

/// A journal of twelve marks in some segments; where each block lies.
fn written() -> (MemoryFiles, Vec<(String, u64, u64)>) {
    let files = MemoryFiles::new();
    let journal = open(&files).unwrap();
    for number in 0..12_u8 {
        let mut batch = Batch::new(Origin::default(), Timestamp::default());
        batch.push_mark(&[number; 30]);
        wait(journal.append(batch)).unwrap();
    }
    let view = JournalView::open_with(Path::new(DATA), Arc::new(files.clone())).unwrap();
    let places = view.blocks().map(|block| (block.place().0, block.place().1, block.stored_size)).collect();
    (files, places)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_that_were_not_hit_are_read(hits in prop::collection::vec((0_usize..12, any::<u64>(), 1..=255_u8), 1..6)) {
        let (files, places) = written();
        for (block, at, flip) in &hits {
            let (segment, offset, size) = &places[*block];
            files.damage(&Path::new("/data/journal").join(segment), offset + at % size, *flip);
        }
        let is_hit = |number: usize| hits.iter().any(|(block, _, _)| *block == number);
        let view = JournalView::open_with(Path::new(DATA), Arc::new(files.clone())).unwrap();
        let mut found = Vec::new();
        for block in view.blocks() {
            if let BlockRead::Records(records) = view.read(block).unwrap() {
                found.extend(records.records().map(|record| usize::from(record.bytes[0])));
            }
        }
        for number in 0..12 {
            // Two equal flips at one place undo each other; one that is hit may still be whole then.
            prop_assert!(is_hit(number) || found.contains(&number), "{number} of {found:?}, hit {hits:?}");
        }
        let journal = open(&files).unwrap();
        let mut reader = journal.reader("r", StartFrom::Earliest).unwrap();
        let mut expected_seq = 1;
        loop {
            match reader.next().unwrap() {
                Next::Block(block) => { prop_assert_eq!(block.first_seq, expected_seq); expected_seq = block.end_seq(); }
                Next::Gap(gap) => { prop_assert_eq!(gap.from_seq, expected_seq); expected_seq = gap.to_seq; }
                Next::End => break,
            }
        }
        prop_assert_eq!(expected_seq, journal.next_seq());
    }

    #[test]
    fn any_bytes_are_a_segment_that_can_be_opened(bytes in prop::collection::vec(any::<u8>(), 0..2000), keep_header: bool, name in 0..100_u64) {
        let (files, _) = written();
        let path = Path::new("/data/journal").join(format!("{name:020}.seg"));
        let mut bytes = bytes;
        if keep_header {
            let header = files.content(&Path::new("/data/journal").join("00000000000000000001.seg")).unwrap();
            bytes.splice(0..0, header[..64 + bytes.len() % 200].iter().copied());
        }
        let file = files.create(&path).unwrap();
        file.write_at(&bytes, 0).unwrap();
        let view = JournalView::open_with(Path::new(DATA), Arc::new(files.clone()));
        if let Ok(view) = &view {
            for block in view.blocks() {
                view.read(block).unwrap();
            }
        }
        if let Ok(journal) = open(&files) {
            let mut reader = journal.reader("r", StartFrom::Earliest).unwrap();
            let mut n_steps = 0;
            while !matches!(reader.next().unwrap(), Next::End) {
                n_steps += 1;
                prop_assert!(n_steps < 200);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_cursor_that_can_be_opened(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (files, _) = written();
        files.create(Path::new("/data/journal/cursors/r.cursor")).unwrap().write_at(&bytes, 0).unwrap();
        let journal = open(&files).unwrap();
        let mut reader = journal.reader("r", StartFrom::Latest).unwrap();
        prop_assert!(matches!(reader.next().unwrap(), Next::Block(block) if block.first_seq == 1), "a lost cursor reads again rather than miss");
    }
}
