//! `--audit-journal`, which kube-apiserver has not: a private journal in front of the backends.
//!
//! ```text
//! audit layer ─► Journaled ─► journal ─► a runner each ─► log, webhook
//!                waits for the sync                 tries for as long as it takes
//! ```
//!
//! Nothing is dropped while a backend is away or slow: its runner follows the journal with a cursor of its own. The blocking modes
//! return once the journal has the event; in blocking-strict a request is refused when the journal does not take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use decklog_audit::backend::{Backend, Bodies, Emitted, Processed, Processing, Stopping};
use decklog_audit::journal::{Batch, EventId, Journal, Origin, Reader, RecordFlags, RecordHead, RecordKind};
use decklog_audit::quarantine::Quarantine;
use decklog_audit::sink::{Delivering, Sink, SinkError, SinkEvent};
use decklog_audit::{Event, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::carrier::{Carrier, Line};
use super::errors::{Plugin, PluginErrors};
use super::mode::Mode;
use super::truncate::{TOO_LARGE, TruncateConfig};
use crate::random::{random_id, random_number};
use crate::{Runner, RunnerConfig, SinkMetrics, SinkStatusHandle};

/// What the journal is and what follows it.
pub struct JournaledConfig {
    /// Where events go first.
    pub journal: Arc<dyn Journal>,
    /// Keeps what a backend refuses for good; none of them does.
    pub quarantine: Arc<dyn Quarantine>,
    /// The backends that follow it.
    pub followers: Vec<Follower>,
    /// What requests wait for: the strictest of the backends' modes.
    pub mode: Mode,
    /// What the journal does not take is lost.
    pub errors: PluginErrors,
    /// The time of day.
    pub now: fn() -> Timestamp,
}

/// A backend behind the journal.
pub struct Follower {
    /// The backend. Its own errors are no losses: it is made with [`PluginErrors::retried`].
    pub carrier: Arc<dyn Carrier>,
    /// Its place in the journal.
    pub reader: Box<dyn Reader>,
    /// What it is not given.
    pub truncate: Option<TruncateConfig>,
}

/// The journal as a backend.
pub struct Journaled {
    journal: Arc<dyn Journal>,
    mode: Mode,
    errors: PluginErrors,
    now: fn() -> Timestamp,
    runtime: Handle,
    behind: String,
    is_closed: AtomicBool,
    stop: watch::Sender<bool>,
    runners: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl JournaledConfig {
    /// Starts the runners on `runtime`.
    #[must_use]
    pub fn start(self, runtime: &Handle) -> Journaled {
        let stop = watch::Sender::new(false);
        let names: Vec<String> = self.followers.iter().map(|follower| follower.carrier.to_string()).collect();
        let start = |Follower { carrier, reader, truncate }| {
            let mut stopped = stop.subscribe();
            let runner = Runner {
                // One event at a time: what a failed write or POST left behind is known for each.
                config: RunnerConfig { max_batch_events: if carrier.is_repeatable() { 400 } else { 1 }, ..RunnerConfig::new(&carrier.to_string()) },
                journal: self.journal.clone(),
                quarantine: self.quarantine.clone(),
                sink: Arc::new(CarrierSink { carrier, truncate, errors: self.errors.clone() }),
                metrics: SinkMetrics::default(),
                now: self.now,
                chance: random_number,
            };
            runtime.spawn(runner.run(reader, SinkStatusHandle::default(), async move {
                // The sender lives as long as the backend.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            }))
        };
        let runners = self.followers.into_iter().map(start).collect();
        Journaled {
            journal: self.journal,
            mode: self.mode,
            errors: self.errors,
            now: self.now,
            runtime: runtime.clone(),
            behind: names.join(","),
            is_closed: AtomicBool::new(false),
            stop,
            runners: tokio::sync::Mutex::new(runners),
        }
    }
}

impl std::fmt::Display for Journaled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.mode {
            Mode::Blocking => write!(f, "ignoreErrors<journaled<{}>>", self.behind),
            _ => write!(f, "journaled<{}>", self.behind),
        }
    }
}

impl Backend for Journaled {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        let mut lines: Vec<Line> = events.iter().map(Line::json).collect();
        let mut batch = Batch::new(Origin { cluster: "".into(), source: "audit".into(), sender: "".into() }, (self.now)());
        for (line, event) in lines.iter().zip(events) {
            let Line::Written(text) = line else { continue };
            let time = event.event().stage_timestamp.unwrap_or(batch.ingested_at);
            // The journal keeps one of events with the same id; here two that are the same are two.
            let head = RecordHead { kind: RecordKind::Event, flags: RecordFlags::default(), end: 0, id: Some(EventId(random_id())), time, former_id: None };
            let pushed: Result<(), std::convert::Infallible> = batch.push_with(|bytes| {
                bytes.extend_from_slice(text.strip_suffix(b"\n").unwrap_or(text));
                Ok(head)
            });
            match pushed {
                Ok(()) => {}
                Err(never) => match never {},
            }
        }
        let unencodable: Vec<Line> = lines.extract_if(.., |line| matches!(line, Line::Unencodable(_))).collect();
        self.errors.count(Plugin::Journal, &decklog_audit::backend::Unencodable, &unencodable);
        if self.is_closed.load(Ordering::Acquire) {
            self.errors.count(Plugin::Journal, &"audit backend shut down", &lines);
            return Processing::Done(self.told(Processed::Failed));
        }
        if batch.is_empty() {
            return Processing::Done(self.told(Processed::Failed));
        }
        let (appending, errors) = (self.journal.append(batch), self.errors.clone());
        let (told, waiting) = oneshot::channel();
        // Whoever stops waiting, what is lost is counted.
        self.runtime.spawn(async move {
            let processed = match appending.await {
                Ok(_) => Processed::Stored,
                Err(error) => {
                    errors.count(Plugin::Journal, &error, &lines);
                    Processed::Failed
                }
            };
            let _ = told.send(processed);
        });
        match self.mode {
            Mode::Batch => Processing::Done(Processed::Stored),
            mode => Processing::Later(Box::pin(async move { told_in(mode, waiting.await.unwrap_or(Processed::Failed)) })),
        }
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            self.is_closed.store(true, Ordering::Release);
            // Runners still deliver what the journal has, until a backend does not take it: the rest is for the next start.
            self.stop.send_replace(true);
            for runner in self.runners.lock().await.drain(..) {
                let _ = runner.await;
            }
        })
    }
}

impl Journaled {
    fn told(&self, processed: Processed) -> Processed {
        told_in(self.mode, processed)
    }
}

/// Only in blocking-strict a request suffers.
fn told_in(mode: Mode, processed: Processed) -> Processed {
    if mode == Mode::BlockingStrict { processed } else { Processed::Stored }
}

/// A carrier that follows the journal.
struct CarrierSink {
    carrier: Arc<dyn Carrier>,
    truncate: Option<TruncateConfig>,
    errors: PluginErrors,
}

impl CarrierSink {
    /// The line it is given: without bodies where that is too large, and none where it still is, which is counted.
    fn line(&self, line: &[u8]) -> Option<Line> {
        let is_fine = |truncate: &TruncateConfig| i64::try_from(line.len()).is_ok_and(|length| length < truncate.max_event_size);
        let Some(truncate) = self.truncate.filter(|truncate| !is_fine(truncate)) else {
            return Some(self.carrier.stored_line(line));
        };
        let text = String::from_utf8_lossy(line);
        let Ok(event) = Event::decode(&text) else {
            self.errors.count(Plugin::Truncate, &TOO_LARGE, &[Line::stored(line)]);
            return None;
        };
        let fitting = truncate.fitting(&Emitted::new(&event, Bodies::default()), &self.errors)?;
        Some(self.carrier.line(&fitting))
    }
}

impl Sink for CarrierSink {
    fn deliver<'a>(&'a self, events: &'a [SinkEvent]) -> Delivering<'a> {
        Box::pin(async move {
            let lines: Vec<Line> = events.iter().filter_map(|event| self.line(&event.line)).collect();
            if lines.is_empty() {
                return Ok(());
            }
            match self.carrier.carry(lines).wait().await {
                Processed::Stored => Ok(()),
                Processed::Failed => Err(SinkError::Later { reason: format!("{} does not take them", self.carrier), after: None }),
            }
        })
    }
}

#[cfg(test)]
mod tests;
