//! The quarantine on real files.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::Path;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::Origin;
use decklog_audit::quarantine::{Quarantine, Refused};
use decklog_store::clock::SystemClock;
use decklog_store::files::memory::{Fault, MemoryFiles, Random};
use decklog_store::{LocalQuarantine, QuarantineConfig, QuarantineMetrics, QuarantineView};

fn refused(place: &str, bytes: &[u8]) -> Refused {
    Refused {
        at: Timestamp::from_micros(1_700_000_000_000_000),
        origin: Arc::new(Origin { cluster: "east".into(), source: "import".into(), sender: "audit.log".into() }),
        place: place.to_owned(),
        reason: "malformed",
        detail: "no `auditID`".to_owned(),
        bytes: bytes.to_vec(),
        size: bytes.len() as u64,
    }
}

#[test]
fn items_are_listed_and_exported_while_it_is_open_and_later() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(QuarantineView::open(dir.path()).unwrap().items().count(), 0);
    let check = || {
        let view = QuarantineView::open(dir.path()).unwrap();
        let items: Vec<_> = view.items().map(Result::unwrap).collect();
        assert_eq!(items.len(), 3);
        assert_eq!((items[1].place.as_str(), items[1].reason.as_str(), &*items[1].origin.source, items[1].number), ("items[1]", "malformed", "import", 2));
        assert_eq!(view.read(&items[1]).unwrap().unwrap(), b"{\"a\":\xff}");
        assert_eq!((items[2].size, items[2].kept, view.read(&items[2]).unwrap().unwrap().len()), (2000, 1000, 1000));
    };
    {
        let config = QuarantineConfig { max_item_bytes: 1000, ..QuarantineConfig::default() };
        let quarantine = LocalQuarantine::open(dir.path(), config).unwrap();
        quarantine.put(vec![refused("items[0]", b""), refused("items[1]", b"{\"a\":\xff}")]).unwrap();
        quarantine.put(vec![refused("body", &[b'x'; 2000])]).unwrap();
        quarantine.put(Vec::new()).unwrap();
        check();
    }
    check();
    let quarantine = LocalQuarantine::open(dir.path(), QuarantineConfig::default()).unwrap();
    quarantine.put(vec![refused("later", b"1")]).unwrap();
    assert_eq!(QuarantineView::open(dir.path()).unwrap().items().count(), 4);
}

#[test]
fn the_oldest_go_out_and_are_counted() {
    for config in [
        QuarantineConfig { max_items: 20, segment_size: 1000, ..QuarantineConfig::default() },
        QuarantineConfig { max_size: 10_000, segment_size: 1000, ..QuarantineConfig::default() },
    ] {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = LocalQuarantine::open(dir.path(), config.clone()).unwrap();
        for number in 0..200 {
            quarantine.put(vec![refused(&number.to_string(), b"x")]).unwrap();
        }
        let view = QuarantineView::open(dir.path()).unwrap();
        let places: Vec<_> = view.items().map(|item| item.unwrap().place).collect();
        assert_eq!(view.n_dropped() + places.len() as u64, 200);
        assert!(places.len() as u64 <= config.max_items && !places.is_empty());
        assert_eq!(places.last().unwrap(), "199");
        let size: u64 = std::fs::read_dir(dir.path().join("quarantine")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= 11_000, "{size}");
    }
}

#[test]
fn what_was_kept_outlives_power_cuts() {
    let open = |files: &MemoryFiles| {
        let config = QuarantineConfig { segment_size: 500, ..QuarantineConfig::default() };
        LocalQuarantine::open_with(Path::new("/data"), config, Arc::new(files.clone()), Arc::new(SystemClock::default()), QuarantineMetrics::default())
    };
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut files = MemoryFiles::new();
        let mut kept = Vec::new();
        for life in 0..4 {
            files.strike(random.below(30), Fault::Stop);
            files.strike(random.below(60), Fault::Fail);
            if let Ok(quarantine) = open(&files) {
                for number in 0..10 {
                    let place = format!("{life}/{number}");
                    if quarantine.put(vec![refused(&place, place.as_bytes())]).is_ok() {
                        kept.push(place);
                    }
                }
            }
            files = if random.one_in(4) { files.process_ends() } else { files.power_cut(&mut random) };
        }
        let _quarantine = open(&files).unwrap();
        let view = QuarantineView::open_with(Path::new("/data"), Arc::new(files.clone())).unwrap();
        let found: Vec<_> = view.items().map(Result::unwrap).filter(|item| view.read(item).unwrap().is_some()).map(|item| item.place).collect();
        for place in &kept {
            assert_eq!(found.iter().filter(|found| *found == place).count(), 1, "seed {seed}: {place}");
        }
    }
}

#[test]
fn a_removal_that_failed_halfway_does_not_end_all_removals() {
    for n in 0..40 {
        let files = MemoryFiles::new();
        let config = QuarantineConfig { max_items: 20, segment_size: 1000, ..QuarantineConfig::default() };
        let quarantine =
            LocalQuarantine::open_with(Path::new("/data"), config, Arc::new(files.clone()), Arc::new(SystemClock::default()), QuarantineMetrics::default())
                .unwrap();
        for number in 0..100 {
            if number == 50 {
                files.strike(n, Fault::Fail);
            }
            let _ = quarantine.put(vec![refused(&number.to_string(), b"x")]);
        }
        let view = QuarantineView::open_with(Path::new("/data"), Arc::new(files)).unwrap();
        assert!(view.items().count() <= 20, "call {n}: {}", view.items().count());
    }
}
