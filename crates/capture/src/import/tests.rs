//! Import of every shape, broken and whole, into a journal in memory.

use std::io::Write;
use std::path::{Path, PathBuf};

use decklog_audit::journal::AppendError;

use super::*;
use crate::split::{Piece, Splitter};
use crate::testing::{self, MemoryJournal, MemoryQuarantine, Mood, Seeded, item, line, list, odd_lines};

struct Bench {
    folder: tempfile::TempDir,
    delivery: Arc<LocalDelivery>,
    journal: MemoryJournal,
    quarantine: MemoryQuarantine,
}

const MAX_EVENT: usize = 100_000;

fn bench() -> Bench {
    let (recorder, journal, quarantine) = testing::recorder(MAX_EVENT);
    let delivery = Arc::new(LocalDelivery::new(recorder, "lab".into()));
    Bench { folder: tempfile::tempdir().unwrap(), delivery, journal, quarantine }
}

impl Bench {
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn import(&self, paths: &[&Path]) -> Summary {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        let (inputs, errors) = find_inputs(&paths);
        let mut summary = import(inputs, MAX_EVENT, Arc::clone(&self.delivery), |_| {}).await;
        summary.path_errors = errors.iter().map(ToString::to_string).collect();
        summary
    }

    fn places(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        self.quarantine.0.lock().unwrap().iter().map(|item| item.place.replace(&folder, "")).collect()
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

#[track_caller]
fn check(summary: &Summary, stored: u64, duplicates: u64, quarantined: u64, ending: Ending) {
    assert_eq!(summary.total(), Delivered { stored, duplicates, quarantined }, "{summary:?}");
    assert_eq!(summary.ending(), ending, "{summary:?}");
}

#[tokio::test]
async fn every_packing_and_shape() {
    let bench = bench();
    let plain = bench.write("a.log", format!("\u{feff}{}\r\n\r\n{}", line(0), line(1)));
    let zipped = bench.write("b.log.gz", [gzip(lines(2..4).as_bytes()), gzip(lines(4..5).as_bytes())].concat());
    let zstd = bench.write("named-otherwise", zstd::encode_all(lines(5..7).as_bytes(), 1).unwrap());
    let listed = bench.write("list.json", list(&[item(7), item(8)]));
    let pretty = bench.write("pretty.json", line(9).replace(",\"", ",\n  \"").replace("{\"kind", "{\n  \"kind"));
    let empty = bench.write("empty.log", "");
    let summary = bench.import(&[&plain, &zipped, &zstd, &listed, &pretty, &empty]).await;
    check(&summary, 10, 0, 0, Ending::Complete);
    assert_eq!(bench.journal.lines(), (0..10).map(line).collect::<Vec<_>>());
    assert_eq!(summary.files.len(), 6);
    assert_eq!(summary.files[1].n_bytes, lines(2..5).len() as u64);
    check(&bench.import(&[&plain]).await, 0, 2, 0, Ending::Complete);
    let inner = bench.journal.0.lock().unwrap();
    let origin = &inner.origins[0];
    assert_eq!((&*origin.cluster, &*origin.source, &*origin.sender), ("lab", "import", plain.to_str().unwrap()));
}

#[tokio::test]
async fn odd_spellings_come_back_byte_for_byte() {
    let bench = bench();
    let odd = odd_lines();
    let path = bench.write("a.log", odd.join("\n"));
    check(&bench.import(&[&path]).await, odd.len() as u64, 0, 0, Ending::Complete);
    assert_eq!(bench.journal.lines(), odd);
}

#[tokio::test]
async fn folders_are_read_oldest_backup_first() {
    let bench = bench();
    bench.write("log/audit.log", lines(4..5));
    bench.write("log/audit-2026-11-22T09-53-33.059.log", lines(2..4));
    bench.write("log/audit-2026-11-22T09-51-56.085.log.gz", gzip(lines(0..2).as_bytes()));
    bench.write("log/deep/er/z.log", lines(5..6));
    bench.write("log/README.md", "# no JSON\n");
    bench.write("log/old.log", "2026-11-22T09:00:00Z AUDIT: id=\"1\" stage=\"x\" uri=\"/\"\n");
    bench.write("log/empty", "");
    let summary = bench.import(&[&bench.folder.path().join("log")]).await;
    check(&summary, 7, 0, 0, Ending::Complete);
    assert_eq!(summary.tally().converted, [(Format::Legacy, 1)].into());
    let lines: Vec<String> = bench.journal.lines().into_iter().filter(|line| !line.contains("decklog.io/line")).collect();
    assert_eq!(lines, (0..6).map(line).collect::<Vec<_>>());
    assert_eq!(summary.files.iter().filter(|file| file.skipped).count(), 1);
}

#[tokio::test]
async fn bad_lines_are_quarantined_with_their_place() {
    let bench = bench();
    let long = "x".repeat(MAX_EVENT * 3);
    let text = format!("{}\noops\n{}\n{long}\n{{\"no\":\"event\"}}\n{}", line(0), line(1), line(2));
    let path = bench.write("a.log", text);
    let listed = bench.write("l.json", list(&[item(3), "{}".to_owned()]));
    let summary = bench.import(&[&path, &listed]).await;
    check(&summary, 4, 0, 4, Ending::Partial);
    assert_eq!(bench.places(), ["a.log:2", "a.log:4", "a.log:5", "l.json:1 items[1]"]);
    let items = bench.quarantine.0.lock().unwrap();
    assert_eq!((items[1].reason, items[1].size), ("too_large", long.len() as u64));
}

#[tokio::test]
async fn a_broken_file_keeps_what_was_read_and_the_rest_goes_on() {
    let bench = bench();
    let text: String = (0..5000).map(|number| line(number * 7919 % 100_003) + "\n").collect();
    let mut broken = gzip(text.as_bytes());
    let middle = broken.len() / 2;
    broken.truncate(middle);
    let broken = bench.write("a.log.gz", broken);
    let whole = bench.write("b.log", lines(200_000..200_001));
    let missing = bench.folder.path().join("missing.log");
    let summary = bench.import(&[&broken, &missing, &whole]).await;
    assert_eq!(summary.ending(), Ending::Partial);
    assert!(summary.files[0].error.is_some());
    assert!(summary.files[0].delivered.stored > 1000, "{:?}", summary.files[0]);
    assert_eq!(summary.files[1].delivered.stored, 1);
    assert_eq!(summary.path_errors.len(), 1);
    check(&bench.import(&[&missing]).await, 0, 0, 0, Ending::Failed);
}

#[tokio::test]
async fn bombs_end_their_file() {
    let bench = bench();
    let bomb = bench.write("a.log.gz", gzip(&vec![b' '; 300 << 20]));
    let whole = bench.write("b.log", lines(0..1));
    let summary = bench.import(&[&bomb, &whole]).await;
    assert_eq!(summary.total().stored, 1);
    let error = summary.files[0].error.as_deref().unwrap();
    assert!(error.contains("more than 100 times its size"), "{error}");
    assert!(summary.files[0].n_bytes < 80 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_busy_journal_is_asked_again_and_a_full_one_ends_it() {
    let bench = bench();
    let path = bench.write("a.log", lines(0..10));
    bench.journal.set(Mood::Refuses(3, AppendError::Busy { waiting_bytes: 1, limit_bytes: 1 }));
    check(&bench.import(&[&path]).await, 10, 0, 0, Ending::Complete);
    bench.journal.set(Mood::Refuses(1, AppendError::Full { directory: "d".into() }));
    let summary = bench.import(&[&path]).await;
    assert_eq!(summary.ending(), Ending::Failed);
    assert!(summary.failure.unwrap().contains("no space left"));
}

#[tokio::test]
async fn many_chunks_keep_their_order() {
    let bench = bench();
    let n_lines = 30_000;
    let path = bench.write("a.log", lines(0..n_lines));
    let mut calls = 0;
    let (inputs, _) = find_inputs(&[path]);
    let total = inputs[0].size;
    let mut last = Progress::default();
    let summary = import(inputs, MAX_EVENT, Arc::clone(&bench.delivery), |progress| {
        calls += 1;
        assert!(progress.n_events > last.n_events && progress.n_read >= last.n_read);
        last = progress;
    })
    .await;
    check(&summary, n_lines, 0, 0, Ending::Complete);
    assert!(bench.journal.lines() == (0..n_lines).map(line).collect::<Vec<_>>());
    assert_eq!((last.n_events, Some(last.n_read), last.n_total), (n_lines, total, total));
    assert!(calls > 5);
}

/// What a server would get: each post is split again as its receiver does.
#[tokio::test]
async fn to_a_server_the_same_events_arrive() {
    let bench = bench();
    let odd = odd_lines();
    let path = bench.write("a.log", format!("{}\noops\n{}", odd.join("\n"), list(&[item(3), "{\"x\":oops}".to_owned(), item(4)])));
    let posts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&posts);
    let post: Poster = Arc::new(move |post: Post| {
        seen.lock().unwrap().push(post.clone());
        Box::pin(async move { Ok(Delivered { stored: 1, quarantined: u64::from(post.only_bad), duplicates: 0 }) })
    });
    let (inputs, _) = find_inputs(&[path]);
    let summary = import(inputs, MAX_EVENT, Arc::new(RemoteDelivery::new(post)), |_| {}).await;
    assert_eq!(summary.total().quarantined, 2);
    let (recorder, journal, _) = testing::recorder(MAX_EVENT);
    let mut batch = decklog_audit::journal::Batch::default();
    for post in posts.lock().unwrap().iter() {
        let mut splitter = Splitter::new(MAX_EVENT);
        splitter.feed(&post.body);
        splitter.end();
        let mut n_bad = 0;
        while let Some(piece) = splitter.next() {
            match piece {
                Piece::Value { bytes, form, .. } => recorder.intake.push(bytes, form, &mut batch).unwrap(),
                Piece::Bad(_) => n_bad += 1,
            }
        }
        assert_eq!(n_bad, u64::from(post.only_bad));
    }
    decklog_audit::journal::Journal::append(&journal, batch).await.unwrap();
    let mut expected: Vec<String> = odd.into_iter().chain([line(3), line(4)]).collect();
    let mut arrived = journal.lines();
    expected.sort();
    arrived.sort();
    assert_eq!(arrived, expected);
}

/// What a text gives, whatever becomes of it later.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) lines: Vec<String>,
    /// Why pieces were refused.
    pub(super) bad: Vec<String>,
    /// What goes to the quarantine of them.
    pub(super) refused: Vec<String>,
    pub(super) tally: Tally,
}

pub(super) fn taken(text: &str) -> Taken {
    taken_of("a.log", text)
}

/// What a file of that name gives; a value that is no event is one that was refused.
pub(super) fn taken_of(file: &str, text: &str) -> Taken {
    let (recorder, _, _) = testing::recorder(1 << 26);
    let mut splitter = Splitter::new(1 << 26).taking_an_array();
    splitter.feed(text.as_bytes());
    splitter.end();
    let mut all = Taken::default();
    while let Some(piece) = splitter.next() {
        formats::take(piece, file, 1 << 26, &mut |found| {
            all.tally.note(&found);
            match found {
                Found::Value { bytes, form, place, format } => {
                    let mut batch = decklog_audit::journal::Batch::default();
                    match recorder.intake.push(bytes, form, &mut batch) {
                        Ok(()) => all.lines.push(String::from_utf8(batch.record(0).to_vec()).unwrap()),
                        Err(refusal) => {
                            assert_eq!(format, None, "what was converted is an event: {refusal} {}", bytes.escape_ascii());
                            let bad = crate::split::Bad::refused(bytes, &refusal, place);
                            all.bad.push(bad.detail);
                            all.refused.push(String::from_utf8_lossy(&bad.bytes).into_owned());
                        }
                    }
                }
                Found::Bad(bad) => {
                    all.bad.push(bad.detail);
                    all.refused.push(String::from_utf8_lossy(&bad.bytes).into_owned());
                }
                Found::Skipped(_) => {}
            }
        });
    }
    all
}

/// `text` as JSON spells it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Appends `line` without the annotations that conversion put in.
pub(super) fn without_ours(line: &str, out: &mut String) {
    use decklog_audit::json::RawJson;
    let raw = RawJson::parse(line).unwrap();
    let annotations = raw.member("annotations").unwrap();
    let start = annotations.as_str().as_ptr() as usize - line.as_ptr() as usize;
    let kept: Vec<String> =
        annotations.members().filter(|(key, _)| !key.starts_with("decklog.io/")).map(|(key, value)| format!("{}:{}", quoted(&key), value.as_str())).collect();
    if kept.is_empty() {
        out.push_str(line[..start].strip_suffix(",\"annotations\":").unwrap());
    } else {
        // As kube-apiserver spells keys.
        let kept = kept.join(",");
        out.push_str(&line[..start]);
        out.push_str(&format!("{{{kept}}}"));
    }
    out.push_str(&line[start + annotations.as_str().len()..]);
}

/// `text` with some of its bytes changed, doubled or left out, the same way for the same seed.
pub(super) fn mutated(text: &str, seed: u64, n_changes: usize) -> String {
    let mut random = Seeded(seed);
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..n_changes {
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(5) {
            0 => bytes[at] = b"{}[]\",:\\01nt\xc3 \n"[random.below(16) as usize % 15],
            1 => _ = bytes.remove(at),
            2 => bytes.truncate(at + 1),
            3 => bytes.insert(at, b"{}[]\",:"[random.below(7) as usize]),
            _ => {
                let end = (at + random.below(40) as usize).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A record of each format, of one event each, whose audit id is `number`.
fn record(kind: usize, number: u64) -> String {
    let event = line(number);
    let element = format!(r#"{{"logStreamName":"kube-apiserver-audit-1","timestamp":1763805600123,"message":{},"eventId":"1"}}"#, quoted(&event));
    match kind {
        0 => event,
        1 => element,
        2 => format!(r#"{{"events":[{element}],"nextForwardToken":"f"}}"#),
        3 => format!(
            r#"{{"messageType":"DATA_MESSAGE","logGroup":"/aws/eks/a/cluster","logStream":"kube-apiserver-audit-1","logEvents":[{{"id":"1","timestamp":1,"message":{}}}]}}"#,
            quoted(&event)
        ),
        4 => format!(r#"{{"records":[{{"category":"kube-audit","properties":{{"log":{},"pod":"p"}},"resourceId":"/A"}}]}}"#, quoted(&event)),
        5 => format!(
            r#"{{"protoPayload":{{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"k8s.io","methodName":"io.k8s.core.v1.pods.get","resourceName":"core/v1/namespaces/a/pods/b"}},"insertId":"{number:08}","logName":"l"}}"#
        ),
        6 => format!(r#"2026-11-22T09:57:45Z AUDIT: id="{number:08}" stage="ResponseComplete" uri="/healthz""#),
        7 => format!(r#"{{"log":{}}}"#, quoted(&event)),
        _ => format!("2026-11-22T10:00:00.123Z {event}"),
    }
}

proptest::proptest! {
    #[test]
    fn a_broken_record_leaves_its_neighbours(kinds in proptest::collection::vec(0usize..9, 2..8), which: proptest::sample::Index, seed: u64, n_changes in 0usize..4, cut: Option<proptest::sample::Index>) {
        let which = which.index(kinds.len());
        let mut lines: Vec<String> = kinds.iter().enumerate().map(|(number, kind)| record(*kind, number as u64)).collect();
        let mut broken = mutated(&lines[which], seed, n_changes).replace('\n', " ");
        if let Some(cut) = cut {
            let mut at = cut.index(broken.len() + 1);
            while !broken.is_char_boundary(at) {
                at -= 1;
            }
            broken.truncate(at);
        }
        // A file that begins with `[{` is an array: what follows a broken item in it is found by its commas.
        proptest::prop_assume!(which > 0 || !broken.trim_start().starts_with('['));
        lines[which] = broken;
        let taken = taken(&lines.join("\n"));
        for number in (0..kinds.len()).filter(|number| *number != which) {
            let there = taken.lines.iter().any(|line| line.contains(&format!(r#""auditID":"{number:08}""#)));
            proptest::prop_assert!(there, "{} of {:#?}", number, lines);
        }
    }
}

#[tokio::test]
async fn a_recorded_legacy_log() {
    let bench = bench();
    let log = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/legacy/audit.log.zst"));
    let text = String::from_utf8(zstd::decode_all(std::fs::File::open(log).unwrap()).unwrap()).unwrap();
    let summary = bench.import(&[log]).await;
    check(&summary, text.lines().count() as u64, 0, 0, Ending::Complete);
    for (stored, line) in bench.journal.lines().iter().zip(text.lines()) {
        let event = decklog_audit::Event::decode(stored).unwrap();
        assert_eq!(event.annotation("decklog.io/line"), Some(line));
    }
}
