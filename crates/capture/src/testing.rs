//! A journal and a quarantine in memory, for the tests of this room.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::intake::Intake;
use decklog_audit::journal::{AppendError, Appended, Appending, Batch, EventId, Journal, Origin, Staged};
use decklog_audit::quarantine::{Quarantine, Refused};

use crate::metrics::CaptureMetrics;
use crate::recorder::Recorder;

/// What a [`MemoryJournal`] does with appends.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    /// Takes them and keeps the lines.
    #[default]
    Keeps,
    /// Takes them and only counts.
    Counts,
    /// Refuses the next so many with this error, then keeps.
    Refuses(usize, AppendError),
    /// Never answers.
    Hangs,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) mood: Mood,
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) n_events: u64,
    pub(crate) n_appends: u64,
    pub(crate) largest_batch: usize,
    ids: HashSet<EventId>,
    positions: HashMap<Arc<str>, Vec<u8>>,
}

#[derive(Clone, Default)]
pub(crate) struct MemoryJournal(pub(crate) Arc<Mutex<Inner>>);

impl Inner {
    fn append(&mut self, batches: Vec<Batch>) -> Result<Appended, AppendError> {
        if let Mood::Refuses(left, error) = &mut self.mood
            && *left > 0
        {
            *left -= 1;
            return Err(error.clone());
        }
        let mut appended = Appended { first_seq: Some(self.n_events), ..Appended::default() };
        self.n_appends += 1;
        for batch in batches {
            self.largest_batch = self.largest_batch.max(batch.bytes().len());
            for (index, head) in batch.heads().iter().enumerate() {
                if matches!(self.mood, Mood::Counts) {
                    appended.n_stored += 1;
                } else if self.ids.insert(head.id.unwrap()) {
                    self.lines.push(batch.record(index).to_vec());
                    appended.n_stored += 1;
                } else {
                    appended.n_duplicates += 1;
                }
            }
            self.origins.push(batch.origin);
            if let Some(position) = batch.position {
                self.positions.insert(position.name, position.bytes);
            }
        }
        self.n_events += appended.n_stored;
        Ok(appended)
    }
}

impl MemoryJournal {
    pub(crate) fn set(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().lines.iter().map(|line| String::from_utf8(line.clone()).unwrap()).collect()
    }
}

impl Journal for MemoryJournal {
    fn append(&self, batch: Batch) -> Appending {
        if matches!(self.0.lock().unwrap().mood, Mood::Hangs) {
            return Box::pin(std::future::pending());
        }
        let outcome = self.0.lock().unwrap().append(vec![batch]);
        Box::pin(std::future::ready(outcome))
    }

    fn stage(&self) -> Result<Box<dyn Staged>, AppendError> {
        Ok(Box::new(MemoryStaged(self.clone(), Vec::new(), 0)))
    }

    fn position(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().positions.get(name).cloned()
    }

    fn next_seq(&self) -> u64 {
        self.0.lock().unwrap().n_events
    }

    fn wait_beyond(&self, _: u64, _: Duration) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(std::future::ready(self.next_seq()))
    }
}

struct MemoryStaged(MemoryJournal, Vec<Batch>, u64);

impl Staged for MemoryStaged {
    fn push(&mut self, batch: Batch) -> Result<(), AppendError> {
        let mut inner = self.0.0.lock().unwrap();
        inner.largest_batch = inner.largest_batch.max(batch.bytes().len());
        if matches!(inner.mood, Mood::Counts) {
            self.2 += batch.n_records() as u64;
        } else {
            self.1.push(batch);
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Appending {
        let Self(journal, batches, n_counted) = *self;
        let outcome = journal.0.lock().unwrap().append(batches).map(|mut appended| {
            appended.n_stored += n_counted;
            appended
        });
        Box::pin(std::future::ready(outcome))
    }
}

#[derive(Clone, Default)]
pub(crate) struct MemoryQuarantine(pub(crate) Arc<Mutex<Vec<Refused>>>, pub(crate) Arc<std::sync::atomic::AtomicBool>);

impl Quarantine for MemoryQuarantine {
    fn put(&self, items: Vec<Refused>) -> Result<(), AppendError> {
        if self.1.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(AppendError::Full { directory: "quarantine".into() });
        }
        self.0.lock().unwrap().extend(items);
        Ok(())
    }
}

/// A recorder in memory, without redaction, events up to `max_event_bytes`.
pub(crate) fn recorder(max_event_bytes: usize) -> (Recorder, MemoryJournal, MemoryQuarantine) {
    let (journal, quarantine) = (MemoryJournal::default(), MemoryQuarantine::default());
    let recorder = Recorder {
        intake: Arc::new(Intake { redactor: None, max_event_bytes }),
        journal: Arc::new(journal.clone()),
        quarantine: Arc::new(quarantine.clone()),
        metrics: CaptureMetrics::default(),
    };
    (recorder, journal, quarantine)
}

/// An event's line as kube-apiserver's log has it.
pub(crate) fn line(number: u64) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{number:08}","stage":"ResponseComplete","requestURI":"/api/v1/pods?n={number}","verb":"list","user":{{"username":"bob","groups":["system:authenticated"]}},"stageTimestamp":"2026-11-22T09:54:{:02}.{:06}Z"}}"#,
        number / 1_000_000 % 60,
        number % 1_000_000
    )
}

/// The same event as kube-apiserver's webhook has it in a list.
pub(crate) fn item(number: u64) -> String {
    line(number).replace(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "")
}

/// A list as kube-apiserver's webhook sends it.
pub(crate) fn list(items: &[String]) -> String {
    format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{}]}}"#, items.join(",")) + "\n"
}

/// Every spelling that must come back byte for byte (architecture decision 2), as log lines.
pub(crate) fn odd_lines() -> Vec<String> {
    let with = |member: &str| line(7).replacen(r#""verb":"list""#, &format!(r#""verb":"list",{member}"#), 1);
    vec![
        with(r#""requestObject":{"a":1.0,"b":1e400,"c":-0,"d":1E+2,"e":123456789012345678901234567890,"f":0.10}"#),
        with(r#""requestObject":{"a":1,"a":2,"A":3}"#),
        with(r#""unknownField":{"x":[1,2,{}]},"another":null"#),
        with(r#""userAgent":"lone \ud800 and \udc00, pair \ud83d\ude00, slash \/, unit \u001f""#),
        with(r#""userAgent":"ünïcödé   \u2028   end""#),
        with(r#""verb":"watch""#),
        with(r#""annotations":{"b":"1","a":"2","b":"3"}"#),
        line(8).replace(r#""user":{"username":"bob","groups":["system:authenticated"]}"#, r#""user":{}"#),
        line(9).replace("audit.k8s.io/v1\"", "audit.k8s.io/v1beta1\""),
    ]
}

/// Numbers that look random and are the same on every run (splitmix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound.max(1)
    }
}

/// A moment, so that tests need not ask for the time of day.
pub(crate) const NOON: fn() -> Timestamp = || Timestamp::from_micros(1_795_348_800_000_000);

/// Some thousand events of a real cluster at level RequestResponse, as kube-apiserver's log has them.
pub(crate) fn recorded_lines() -> &'static [String] {
    static LINES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/a-all-rr/audit.log.zst");
        let text = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
        String::from_utf8(text).unwrap().lines().take(3000).map(str::to_owned).collect()
    });
    &LINES
}
