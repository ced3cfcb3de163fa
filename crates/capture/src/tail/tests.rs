//! A log written and rotated as kube-apiserver does it, read by a tail that is stopped and killed at any point.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use decklog_audit::journal::AppendError;
use tokio::sync::oneshot;

use super::position::backup_time;
use super::*;
use crate::testing::{self, MemoryJournal, MemoryQuarantine, Mood, Seeded, line, odd_lines};

/// kube-apiserver's log backend, with lumberjack's names.
struct Writer {
    folder: PathBuf,
    file: Option<File>,
    last_backup: i64,
}

impl Writer {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: None, last_backup: 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    fn write(&mut self, text: &str) {
        let path = self.path();
        let file = self.file.get_or_insert_with(|| OpenOptions::new().append(true).create(true).open(path).unwrap());
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Close, rename, open: two backups never have the same time.
    fn rotate(&mut self) -> PathBuf {
        self.file = None;
        self.last_backup = (self.last_backup + 1).max(now().micros() / 1000);
        let time = backup_time(Timestamp::from_micros(self.last_backup * 1000));
        let backup = self.folder.join(format!("audit-{time}.log"));
        fs::rename(self.path(), &backup).unwrap();
        backup
    }

    fn backups(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| *path != self.path()).collect();
        paths.sort();
        paths
    }
}

fn compress(backup: &Path) {
    let mut name = backup.as_os_str().to_owned();
    name.push(".gz");
    let mut encoder = flate2::write::GzEncoder::new(File::create(name).unwrap(), flate2::Compression::fast());
    encoder.write_all(&fs::read(backup).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::remove_file(backup).unwrap();
}

/// A follower whose durable part is kept apart, so that it can be killed.
struct Run {
    path: PathBuf,
    follower: Follower,
    durable: Position,
    text: Vec<u8>,
    n_losses: usize,
}

const SMALL_BATCH: usize = 700;

impl Run {
    fn new(path: PathBuf) -> Self {
        let durable = Position::begin(now());
        let follower = Follower::new(path.clone(), durable.clone(), 10_000, SMALL_BATCH);
        Self { path, follower, durable, text: Vec::new(), n_losses: 0 }
    }

    /// One step; its lines become durable unless the process is killed before. False when nothing was there.
    fn step(&mut self, durable: bool) -> bool {
        let step = self.follower.step(now()).unwrap();
        self.n_losses += self.follower.losses.drain(..).count();
        let Step::Read(lines) = step else { return false };
        if durable {
            let Found::Lines(bytes) = lines.found else { panic!("over-long") };
            self.text.extend_from_slice(&bytes);
            self.durable = Position::from_bytes(&lines.position.to_bytes()).unwrap();
        } else {
            self.kill();
        }
        true
    }

    fn kill(&mut self) {
        self.follower = Follower::new(self.path.clone(), self.durable.clone(), 10_000, SMALL_BATCH);
    }

    /// Until nothing comes any more: a renamed log is left only when it did not grow between two looks.
    fn drain(&mut self) {
        let mut n_idle = 0;
        while n_idle < 3 {
            n_idle = if self.step(true) { 0 } else { n_idle + 1 };
        }
    }

    #[track_caller]
    fn check(&self, expected: &str) {
        let text = String::from_utf8(self.text.clone()).unwrap();
        if text != expected {
            let missing = expected.lines().filter(|line| !text.contains(line)).count();
            panic!("{missing} lines are missing; {} came, {} were written", text.lines().count(), expected.lines().count());
        }
    }
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

#[test]
fn rotations_stops_and_kills_lose_and_double_nothing() {
    for seed in 0..300 {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(folder.path());
        let mut random = Seeded(seed);
        let mut run = Run::new(writer.path());
        let mut written = String::new();
        let mut n_lines = 0;
        let mut half: Option<String> = None;
        for _ in 0..60 {
            match random.below(12) {
                0..=3 => {
                    let n_new = random.below(6) + 1;
                    let new = lines(n_lines..n_lines + n_new);
                    n_lines += n_new;
                    let rest = half.take().unwrap_or_default();
                    writer.write(&rest);
                    writer.write(&new);
                    written.push_str(&new);
                }
                // Half a line, the rest later.
                4 if half.is_none() => {
                    let new = lines(n_lines..n_lines + 1);
                    n_lines += 1;
                    let cut = random.below(new.len() as u64) as usize;
                    writer.write(&new[..cut]);
                    half = Some(new[cut..].to_owned());
                    written.push_str(&new);
                }
                5 | 6 if half.is_none() && writer.file.is_some() => {
                    writer.rotate();
                }
                7 => {
                    let plain: Vec<_> = writer.backups().into_iter().filter(|path| path.extension().unwrap() == "log").collect();
                    if let Some(backup) = plain.get(random.below(plain.len() as u64) as usize) {
                        compress(backup);
                    }
                }
                8 => run.kill(),
                9 => {
                    run.step(false);
                }
                _ => {
                    for _ in 0..random.below(8) {
                        run.step(true);
                    }
                }
            }
        }
        writer.write(&half.take().unwrap_or_default());
        if writer.file.is_none() {
            writer.write("");
        }
        let last = lines(n_lines..n_lines + 1);
        writer.write(&last);
        written.push_str(&last);
        run.drain();
        assert_eq!(run.n_losses, 0, "seed {seed}");
        let text = String::from_utf8(run.text.clone()).unwrap();
        assert!(text == written, "seed {seed}: {} lines of {}", text.lines().count(), written.lines().count());
    }
}

#[test]
fn several_rotations_while_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path());
    writer.write(&lines(0..5));
    let mut run = Run::new(writer.path());
    run.drain();
    writer.write(&lines(5..8));
    let first = writer.rotate();
    writer.write(&lines(8..12));
    let second = writer.rotate();
    writer.write(&lines(12..14));
    compress(&first);
    compress(&second);
    run.kill();
    run.drain();
    run.check(&lines(0..14));
    assert_eq!(run.n_losses, 0);
}

#[test]
fn a_pruned_backup_is_a_loss_and_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path());
    writer.write(&lines(0..5));
    let mut run = Run::new(writer.path());
    run.drain();
    writer.write(&lines(5..8));
    fs::remove_file(writer.rotate()).unwrap();
    writer.write(&lines(8..12));
    writer.rotate();
    writer.write(&lines(12..14));
    run.kill();
    run.drain();
    run.check(&(lines(0..5) + &lines(8..14)));
    assert_eq!(run.n_losses, 1);
}

#[test]
fn a_running_tail_keeps_a_removed_file_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path());
    writer.write(&lines(0..5));
    let mut run = Run::new(writer.path());
    run.drain();
    // Who renamed it to a name of another kind may still write to it.
    fs::rename(writer.path(), folder.path().join("audit.log.1")).unwrap();
    writer.write(&lines(5..8));
    run.drain();
    fs::remove_file(folder.path().join("audit.log.1")).unwrap();
    writer.write(&lines(8..9));
    File::create(writer.path()).unwrap();
    run.drain();
    writer.write(&lines(9..10));
    run.drain();
    writer.file = None;
    writer.write(&lines(10..12));
    run.drain();
    run.check(&lines(0..12));
    assert_eq!(run.n_losses, 0);
}

#[test]
fn copying_and_cutting_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path());
    writer.write(&lines(0..5));
    let mut run = Run::new(writer.path());
    run.drain();
    let cut = |writer: &Writer| OpenOptions::new().write(true).open(writer.path()).unwrap().set_len(0).unwrap();
    cut(&writer);
    writer.write(&lines(5..6));
    run.drain();
    assert_eq!(run.n_losses, 1);
    // It grew beyond where it was before the next look.
    cut(&writer);
    writer.write(&lines(6..16));
    run.drain();
    assert_eq!(run.n_losses, 2);
    // While stopped.
    cut(&writer);
    writer.write(&lines(16..18));
    run.kill();
    run.drain();
    assert_eq!(run.n_losses, 3);
    run.check(&lines(0..18));
}

#[test]
fn at_first_start_the_log_is_read_from_its_beginning_and_old_backups_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path());
    fs::write(folder.path().join("audit-2020-01-01T00-00-00.000.log"), lines(100..102)).unwrap();
    writer.write(&lines(0..3));
    let mut run = Run::new(writer.path());
    // Rotated and the process killed before anything was durable.
    writer.rotate();
    writer.write(&lines(3..4));
    run.step(false);
    run.drain();
    run.check(&lines(0..4));
}

#[test]
fn a_broken_compressed_backup_gives_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path());
    writer.write(&lines(0..3));
    let mut run = Run::new(writer.path());
    run.step(true);
    writer.write(&lines(3..2000));
    let backup = writer.rotate();
    compress(&backup);
    let packed = PathBuf::from(format!("{}.gz", backup.display()));
    let bytes = fs::read(&packed).unwrap();
    fs::write(&packed, &bytes[..bytes.len() - 200]).unwrap();
    writer.write(&lines(2000..2001));
    run.kill();
    run.drain();
    let text = String::from_utf8(run.text.clone()).unwrap();
    assert!(text.starts_with(&lines(0..1000)) && text.ends_with(&lines(2000..2001)));
    assert_eq!(run.n_losses, 1);
}

struct Running {
    folder: tempfile::TempDir,
    writer: Writer,
    recorder: Recorder,
    journal: MemoryJournal,
    quarantine: MemoryQuarantine,
    tail: Option<(tokio::task::JoinHandle<()>, oneshot::Sender<()>, TailStatusHandle)>,
}

impl Running {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (recorder, journal, quarantine) = testing::recorder(10_000);
        Self { writer: Writer::new(folder.path()), folder, recorder, journal, quarantine, tail: None }
    }

    fn start(&mut self) {
        let config = TailConfig { path: self.writer.path(), source: "node-1".into(), cluster: "eu".into() };
        let tail = Tail::new(self.recorder.clone(), config);
        let status = tail.status();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(tail.run(async {
            let _ = stopped.await;
        }));
        self.tail = Some((running, stop, status));
    }

    async fn stop(&mut self) -> TailStatus {
        let (running, stop, status) = self.tail.take().unwrap();
        stop.send(()).unwrap();
        running.await.unwrap();
        status.get()
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !condition(self) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
    }

    fn status(&self) -> TailStatus {
        self.tail.as_ref().unwrap().2.get()
    }
}

#[tokio::test(start_paused = true)]
async fn a_tail_waits_for_its_log_follows_it_and_drains_at_the_end() {
    let mut running = Running::new();
    running.start();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(running.status(), TailStatus::default());
    running.writer.write(&lines(0..3));
    running.until(|running| running.journal.lines().len() == 3).await;
    running.writer.rotate();
    running.writer.write(&lines(3..5));
    running.until(|running| running.journal.lines().len() == 5).await;
    running.writer.write(&lines(5..900));
    let status = running.stop().await;
    assert_eq!(running.journal.lines(), (0..900).map(line).collect::<Vec<_>>());
    assert_eq!((status.lag_bytes(), status.error, status.n_suspected_losses), (0, None, 0));
    assert!(status.last_event.is_some());
    let inner = running.journal.0.lock().unwrap();
    let origin = inner.origins.last().unwrap();
    assert_eq!((&*origin.cluster, &*origin.source, &*origin.sender), ("eu", "node-1", running.writer.path().to_str().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn the_log_is_the_buffer_while_the_journal_refuses() {
    let mut running = Running::new();
    running.writer.write(&lines(0..3));
    running.journal.set(Mood::Refuses(8, AppendError::Full { directory: "d".into() }));
    running.start();
    running.until(|running| running.status().error.is_some_and(|error| error.contains("no space left"))).await;
    running.writer.rotate();
    running.writer.write(&lines(3..6));
    running.until(|running| running.journal.lines().len() == 6).await;
    running.journal.set(Mood::Refuses(usize::MAX, AppendError::Closed));
    running.writer.write(&lines(6..7));
    running.until(|running| running.status().error.is_some()).await;
    running.stop().await;
    running.journal.set(Mood::Keeps);
    running.start();
    running.until(|running| running.journal.lines().len() == 7).await;
    running.stop().await;
    assert_eq!(running.journal.lines(), (0..7).map(line).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn bad_lines_are_quarantined_and_odd_ones_come_back_byte_for_byte() {
    let mut running = Running::new();
    let odd = odd_lines();
    let long = "z".repeat(30_000);
    running.writer.write(&format!("{}\noops\n\n{long}\n{}\r\n{{}}\n", odd.join("\n"), line(1)));
    running.start();
    let n_lines = odd.len() + 1;
    running.until(|running| running.journal.lines().len() == n_lines && running.quarantine.0.lock().unwrap().len() == 3).await;
    running.stop().await;
    assert_eq!(running.journal.lines(), [odd.clone(), vec![line(1)]].concat());
    let items = running.quarantine.0.lock().unwrap();
    let folder = running.folder.path().display();
    let places: Vec<_> = items.iter().map(|item| (item.place.replace(&format!("{folder}/"), ""), item.reason, item.size)).collect();
    let first = odd.len() + 1;
    assert_eq!(
        places,
        [
            (format!("audit.log:{first}"), "malformed", 4),
            (format!("audit.log:{}", first + 2), "too_large", 30_000),
            (format!("audit.log:{}", first + 4), "malformed", 2),
        ]
    );
}

#[test]
fn lines_of_the_legacy_format_are_events_among_json() {
    let (recorder, _, _) = testing::recorder(10_000);
    let text = r#"2026-11-22T09:57:45.096855428Z AUDIT: id="36" stage="RequestReceived" ip="127.0.0.1" method="get" user="ana" groups="<none>" as="<self>" asgroups="<lookup>" user-agent="curl" namespace="<none>" uri="/readyz" response="<deferred>""#;
    let bytes = format!("{}\n{text}\r\n2026 no event\n", line(1)).into_bytes();
    let lines = Lines { file: "audit.log".to_owned(), first_line: 1, found: Found::Lines(bytes), position: Position::begin(now()) };
    let origin = Origin { cluster: "c".into(), source: "tail".into(), sender: "s".into() };
    let batch = Batch::new(origin.clone(), now());
    let (batch, refused, _) = parse(&recorder, &Arc::new(origin), lines, batch);
    let stored: Vec<String> = (0..batch.n_records()).map(|index| String::from_utf8(batch.record(index).to_vec()).unwrap()).collect();
    assert_eq!((stored.len(), stored[0].as_str(), refused.len(), refused[0].place.as_str()), (2, line(1).as_str(), 1, "audit.log:3"));
    let event = decklog_audit::Event::decode(&stored[1]).unwrap();
    assert_eq!((event.user.username.as_deref(), event.annotation("decklog.io/line")), (Some("ana"), Some(text)));
    assert_eq!(batch.heads()[1].time.to_string(), "2026-11-22T09:57:45.096855Z");
}
