//! Follows kube-apiserver's audit log file.
//!
//! The log file is the buffer: as long as it and its backups are there, decklog may be down, full or slow, and
//! nothing is lost. How far it was read is kept in the journal with the lines themselves, so that after any
//! stop reading goes on behind the last durable line: in the same file, in a backup it was renamed to
//! (`audit-<time>.log`, compressed or not), and in everything that came after.
//!
//! Rotation by renaming, as kube-apiserver does it, loses nothing. Rotation by copying and cutting
//! (logrotate's `copytruncate`) loses what was written between the last look and the cut: each cut that is seen is
//! counted in `decklog_source_suspected_losses_total` and told in the log.
//!
//! At first start the log is read from its beginning; its older backups are left to `decklog import`.
//!
//! Lines are JSON, or of kube-apiserver's legacy text format, which are told apart line by line.

mod family;
mod follow;
mod lines;
mod position;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::intake::Form;
use decklog_audit::journal::{AppendError, Batch, Origin, SourcePosition};
use decklog_audit::quarantine::Refused;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::import::legacy;
use crate::metrics::{Rejected, SourceMetrics};
use crate::recorder::{Recorder, now};
use crate::split::{Bad, Place};
use follow::{Follower, Lines, Step};
use lines::Found;
use position::Position;

/// Lines are handed on when so many bytes are together, or when no more are there.
const BATCH_BYTES: usize = 1 << 20;
/// Between two looks at a log that grows, and at one that rests.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Between two attempts when the journal refuses or the log cannot be read.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// What to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailConfig {
    /// The log file; it need not be there yet.
    pub path: PathBuf,
    /// The source's name.
    pub source: Arc<str>,
    /// The cluster its events belong to.
    pub cluster: Arc<str>,
}

/// How a tail stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailStatus {
    /// The file being read: the log, or a backup of it; none while the log is not there.
    pub file: Option<String>,
    /// Bytes of it that are read and durable.
    pub offset: u64,
    /// Bytes it has.
    pub size: u64,
    /// The newest time of an event taken.
    pub last_event: Option<Timestamp>,
    /// Why it stands still, if it does.
    pub error: Option<String>,
    /// Occasions on which lines may have been lost.
    pub n_suspected_losses: u64,
}

impl TailStatus {
    /// Bytes of the file that are not durable yet.
    pub fn lag_bytes(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }
}

/// Looks at the status of a running [`Tail`].
#[derive(Clone, Debug, Default)]
pub struct TailStatusHandle(Arc<Mutex<TailStatus>>);

impl TailStatusHandle {
    /// The present status.
    pub fn get(&self) -> TailStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut TailStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One log file that is followed. See the module.
pub struct Tail {
    recorder: Recorder,
    config: TailConfig,
    status: TailStatusHandle,
    metrics: SourceMetrics,
    position_name: Arc<str>,
}

/// Whether the end of following was asked for.
enum Until<F> {
    Stopped,
    Stop(F),
}

impl Tail {
    /// Prepares to follow a log.
    pub fn new(recorder: Recorder, config: TailConfig) -> Self {
        let metrics = recorder.metrics.source(&config.source, &config.cluster);
        let position_name = Arc::from(format!("tail:{}:{}", config.source, config.path.display()));
        Self { recorder, config, status: TailStatusHandle::default(), metrics, position_name }
    }

    /// Its status, also while it runs.
    pub fn status(&self) -> TailStatusHandle {
        self.status.clone()
    }

    /// Follows the log until `stop` is over; what is there by then is still taken, unless the journal refuses it:
    /// then it stays in the log for the next start.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut until = Until::Stop(pin!(stop));
        let Some(position) = self.first_position(&mut until).await else { return };
        let path = self.config.path.clone();
        let mut follower = Follower::new(path, position, self.recorder.intake.max_event_bytes, BATCH_BYTES);
        let mut pause = SHORTEST_PAUSE;
        let mut retry = FIRST_RETRY;
        loop {
            let Some((returned, outcome)) = step(follower).await else { return };
            follower = returned;
            self.tell_losses(&mut follower);
            match outcome {
                Ok(Step::Read(lines)) => {
                    if !self.take(lines, &mut until).await {
                        return;
                    }
                    (pause, retry) = (SHORTEST_PAUSE, FIRST_RETRY);
                    self.tell_progress(&follower);
                }
                Ok(Step::Idle) => {
                    self.tell_progress(&follower);
                    if matches!(until, Until::Stopped) {
                        return;
                    }
                    until.wait(pause).await;
                    pause = (pause * 3 / 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    self.tell_error(format!("cannot read {}: {error}", self.config.path.display()));
                    if matches!(until, Until::Stopped) {
                        return;
                    }
                    until.wait(retry).await;
                    retry = (retry * 2).min(LONGEST_RETRY);
                }
            }
        }
    }

    /// The durable position; at first start, one that says from when on the log is followed. It is made durable
    /// before anything is read: else a log that is rotated between the first look and the first lines becoming
    /// durable would be forgotten.
    async fn first_position<F: Future<Output = ()> + Unpin>(&self, until: &mut Until<F>) -> Option<Position> {
        if let Some(bytes) = self.recorder.journal.position(&self.position_name) {
            if let Some(position) = Position::from_bytes(&bytes) {
                return Some(position);
            }
            self.tell_loss(&format!("the position of {} cannot be read: the log is read from its beginning", self.config.path.display()));
        }
        let position = Position::begin(now());
        let batch = self.batch(&position);
        self.append(batch, Vec::new(), until).await.then_some(position)
    }

    fn origin(&self, file: &str) -> Origin {
        Origin { cluster: Arc::clone(&self.config.cluster), source: Arc::clone(&self.config.source), sender: Arc::from(file) }
    }

    fn batch(&self, position: &Position) -> Batch {
        let mut batch = Batch::new(self.origin(&self.config.path.display().to_string()), now());
        batch.position = Some(SourcePosition { name: Arc::clone(&self.position_name), bytes: position.to_bytes() });
        batch
    }

    /// Makes events of lines and stores them; false if the end was asked for before they were taken.
    async fn take<F: Future<Output = ()> + Unpin>(&self, lines: Lines, until: &mut Until<F>) -> bool {
        let batch = self.batch(&lines.position);
        let (recorder, origin) = (self.recorder.clone(), Arc::new(batch.origin.clone()));
        let parsing = spawn_blocking(move || parse(&recorder, &origin, lines, batch));
        match parsing.await {
            Ok((batch, refused, n_bytes)) => {
                self.metrics.received_bytes(n_bytes);
                self.append(batch, refused, until).await
            }
            Err(error) => {
                self.tell_error(error.to_string());
                false
            }
        }
    }

    /// Stores a batch, as often as it takes.
    ///
    /// What was refused goes first: once the position is durable, nobody comes back for it.
    async fn append<F: Future<Output = ()> + Unpin>(&self, batch: Batch, refused: Vec<Refused>, until: &mut Until<F>) -> bool {
        let times: Vec<Timestamp> = batch.heads().iter().map(|head| head.time).collect();
        let mut to_quarantine = (!refused.is_empty()).then(|| refused.clone());
        let mut retry = FIRST_RETRY;
        loop {
            let outcome = async {
                if let Some(refused) = to_quarantine.clone() {
                    let quarantine = Arc::clone(&self.recorder.quarantine);
                    let putting = spawn_blocking(move || quarantine.put(refused));
                    putting.await.map_err(|error| AppendError::Unwritable { reason: error.to_string() })??;
                    to_quarantine = None;
                }
                self.recorder.journal.append(batch.clone()).await
            };
            match outcome.await {
                Ok(appended) => {
                    self.metrics.acknowledged(appended, &times, now());
                    break;
                }
                Err(error) => self.tell_error(error.to_string()),
            }
            if matches!(until, Until::Stopped) {
                return false;
            }
            until.wait(retry).await;
            retry = (retry * 2).min(LONGEST_RETRY);
        }
        for refused in &refused {
            self.metrics.rejected(1, Rejected::from_refusal(refused.reason));
        }
        self.status.change(|status| {
            status.error = None;
            status.last_event = status.last_event.max(times.into_iter().max());
        });
        true
    }

    fn tell_progress(&self, follower: &Follower) {
        let progress = follower.progress();
        self.status.change(|status| {
            status.error = None;
            match progress {
                Some((file, offset, size)) => (status.file, status.offset, status.size) = (Some(file), offset, size),
                None => (status.file, status.offset, status.size) = (None, 0, 0),
            }
        });
    }

    /// Logs an error once, not for every attempt.
    fn tell_error(&self, error: String) {
        self.status.change(|status| {
            if status.error.as_ref() != Some(&error) {
                tracing::warn!(source = &*self.config.source, error, "tail stands still; the log file keeps the events");
            }
            status.error = Some(error);
        });
    }

    fn tell_losses(&self, follower: &mut Follower) {
        while let Some(loss) = follower.losses.pop_front() {
            self.tell_loss(&loss);
        }
    }

    fn tell_loss(&self, loss: &str) {
        tracing::warn!(source = &*self.config.source, loss, "events may be lost");
        self.metrics.suspected_loss();
        self.status.change(|status| status.n_suspected_losses += 1);
    }
}

impl<F: Future<Output = ()> + Unpin> Until<F> {
    /// Waits for so long, or until the end is asked for.
    async fn wait(&mut self, pause: Duration) {
        if let Self::Stop(stop) = self {
            tokio::select! {
                () = stop => *self = Self::Stopped,
                () = sleep(pause) => {}
            }
        }
    }
}

/// One look at the files, on a thread that may block; `None` when the runtime goes down.
async fn step(mut follower: Follower) -> Option<(Follower, std::io::Result<Step>)> {
    let stepping = spawn_blocking(move || {
        let outcome = follower.step(now());
        (follower, outcome)
    });
    stepping.await.ok()
}

/// The line to store of a line of the legacy text format.
fn legacy_line(line: &[u8]) -> Option<Vec<u8>> {
    // Nearly every line is JSON.
    line.first().filter(|first| first.is_ascii_digit())?;
    legacy::line_of(std::str::from_utf8(line).ok()?.trim_end())
}

/// Events and refusals of some lines, and how many bytes they had.
fn parse(recorder: &Recorder, origin: &Arc<Origin>, lines: Lines, mut batch: Batch) -> (Batch, Vec<Refused>, u64) {
    let Lines { file, first_line, found, .. } = lines;
    let at = batch.ingested_at;
    let mut refused = Vec::new();
    let mut refuse = |bad: Bad| {
        let place = format!("{file}:{}", bad.place.line);
        refused.push(recorder.refused(bad, place, origin, at));
    };
    let n_bytes = match found {
        Found::Lines(bytes) => {
            let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            for (line, number) in text.split(|byte| *byte == b'\n').zip(first_line..) {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let legacy = legacy_line(line);
                let event = legacy.as_deref().unwrap_or(line);
                if let Err(refusal) = recorder.intake.push(event, Form::Line, &mut batch) {
                    refuse(Bad::refused(line, &refusal, Place { line: number, item: None }));
                }
            }
            bytes.len() as u64
        }
        Found::OverLong(beginning, size) => {
            refuse(lines::over_long(beginning, size, recorder.intake.max_event_bytes, first_line));
            size
        }
    };
    (batch, refused, n_bytes)
}
