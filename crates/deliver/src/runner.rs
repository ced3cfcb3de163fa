//! Follows the journal for one sink: takes what is there, delivers it, moves the cursor, and waits for more.
//!
//! The cursor moves only when everything before it is delivered or, refused for good, in the quarantine: after a stop or a
//! crash in between the same events come again. There is no bound on how often or how long a delivery is tried. Order is the
//! journal's; one delivery is under way at a time.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{Journal, Next, ReadError, Reader, RecordBlock, RecordKind};
use decklog_audit::quarantine::{Quarantine, Refused};
use decklog_audit::sink::{Sink, SinkError, SinkEvent};
use tokio::task::spawn_blocking;

use crate::metrics::{SinkCounters, SinkMetrics};
use crate::retry::RetryConfig;

/// How a sink is served.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// The sink's name; the reader of the journal has it too.
    pub name: Arc<str>,
    /// The most events of one delivery.
    pub max_batch_events: usize,
    /// The most bytes of one delivery; a larger event goes alone.
    pub max_batch_bytes: usize,
    /// Pauses after failures.
    pub retry: RetryConfig,
}

impl RunnerConfig {
    /// The defaults: 1,000 events or 4 MiB.
    pub fn new(name: &str) -> Self {
        Self { name: Arc::from(name), max_batch_events: 1_000, max_batch_bytes: 4 << 20, retry: RetryConfig::default() }
    }
}

/// What a sink is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SinkState {
    /// It takes events, or would.
    #[default]
    Ready,
    /// It does not at the moment, and is tried again.
    Backoff {
        /// Why.
        reason: String,
        /// Failures in a row.
        n_failures: u32,
    },
}

/// How a sink stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStatus {
    /// What it is doing.
    pub state: SinkState,
    /// The sequence number of the first record it has not.
    pub position: u64,
    /// Events it has taken since the start.
    pub n_sent: u64,
    /// Events it refused for good.
    pub n_refused: u64,
    /// Records that were gone from the journal before they could be delivered.
    pub n_missed: u64,
}

/// Looks at the status of a running [`Runner`].
#[derive(Clone, Debug, Default)]
pub struct SinkStatusHandle(Arc<Mutex<SinkStatus>>);

impl SinkStatusHandle {
    /// The present status.
    pub fn get(&self) -> SinkStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut SinkStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Everything one sink needs.
pub struct Runner {
    /// How.
    pub config: RunnerConfig,
    /// What tells of new records.
    pub journal: Arc<dyn Journal>,
    /// Keeps what the sink refuses for good.
    pub quarantine: Arc<dyn Quarantine>,
    /// Where to.
    pub sink: Arc<dyn Sink>,
    /// What is counted.
    pub metrics: SinkMetrics,
    /// The time of day, for the quarantine.
    pub now: fn() -> Timestamp,
    /// A random number for each pause.
    pub chance: fn() -> u64,
}

/// The longest wait for news between two looks at the journal.
const LOOK: Duration = Duration::from_secs(5);

/// Whether the runner is to end.
enum Until<F> {
    Running(F),
    Stopped,
}

impl<F: Future<Output = ()> + Unpin> Until<F> {
    fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }

    /// Waits for `event`, or for the stop.
    async fn or<T>(&mut self, event: impl Future<Output = T>) -> Option<T> {
        let Self::Running(stop) = self else { return None };
        let mut event = pin!(event);
        let came = tokio::select! {
            came = &mut event => Some(came),
            () = stop => None,
        };
        if came.is_none() {
            *self = Self::Stopped;
        }
        came
    }
}

/// What was taken from the journal for one round.
struct Taken {
    events: Vec<SinkEvent>,
    /// Whether the reader moved, be it over marks alone.
    has_moved: bool,
    n_missed: u64,
}

impl Runner {
    /// Delivers until `stop` is over. Then what is in the journal is still delivered, until the sink fails once: what is left
    /// is for the next start. `status` shows how it goes.
    pub async fn run(self, reader: Box<dyn Reader>, status: SinkStatusHandle, stop: impl Future<Output = ()> + Send) {
        let mut until = Until::Running(pin!(stop));
        let counters = self.metrics.of(&self.config.name);
        let mut reader = reader;
        let mut n_failures = 0;
        status.change(|status| status.position = reader.position());
        loop {
            let Some((returned, taken)) = self.take(reader).await else { return };
            reader = returned;
            let taken = match taken {
                Ok(taken) => taken,
                Err(error) => {
                    n_failures += 1;
                    if !self.pause(&mut until, &status, error.to_string(), n_failures, None).await {
                        return;
                    }
                    continue;
                }
            };
            if taken.n_missed > 0 {
                tracing::error!(sink = %self.config.name, records = taken.n_missed, "records were gone from the journal before they were delivered");
                status.change(|status| status.n_missed += taken.n_missed);
            }
            for batch in batches(&taken.events, self.config.max_batch_events, self.config.max_batch_bytes) {
                if !self.deliver(batch, &mut until, &status, &counters).await {
                    return;
                }
            }
            if taken.has_moved {
                let Some((returned, committed)) = commit(reader).await else { return };
                reader = returned;
                let position = reader.position();
                if let Err(error) = committed {
                    // The events are over there; not to know it after a restart only sends them twice.
                    tracing::warn!(sink = %self.config.name, %error, "the cursor could not be kept");
                }
                status.change(|status| status.position = position);
                n_failures = 0;
                continue;
            }
            let news = self.journal.wait_beyond(reader.position(), LOOK);
            if until.or(news).await.is_none() {
                return;
            }
        }
    }

    /// The next events, up to the size of one delivery; whole blocks, so a little more.
    async fn take(&self, mut reader: Box<dyn Reader>) -> Option<(Box<dyn Reader>, Result<Taken, ReadError>)> {
        let (max_events, max_bytes) = (self.config.max_batch_events, self.config.max_batch_bytes);
        let taking = spawn_blocking(move || {
            let mut taken = Taken { events: Vec::new(), has_moved: false, n_missed: 0 };
            let mut n_bytes = 0;
            while taken.events.len() < max_events && n_bytes < max_bytes {
                match reader.next() {
                    Ok(Next::Block(block)) => {
                        n_bytes += block.bytes.len();
                        taken.events.extend(events_of(&block));
                    }
                    Ok(Next::Gap(gap)) => taken.n_missed += gap.to_seq - gap.from_seq,
                    Ok(Next::End) => break,
                    // What came before it is delivered first; the error comes again.
                    Err(_) if taken.has_moved => break,
                    Err(error) => return (reader, Err(error)),
                }
                taken.has_moved = true;
            }
            (reader, Ok(taken))
        });
        taking.await.inspect_err(|error| tracing::error!(sink = %self.config.name, %error, "reading the journal broke")).ok()
    }

    /// Delivers a batch, however long it takes; false if the end was asked for before it was taken. A refused batch is
    /// halved until it is known which events are meant.
    async fn deliver<F: Future<Output = ()> + Unpin>(
        &self,
        batch: &[SinkEvent],
        until: &mut Until<F>,
        status: &SinkStatusHandle,
        counters: &SinkCounters,
    ) -> bool {
        let mut waiting = vec![batch];
        let mut n_failures = 0;
        while let Some(events) = waiting.pop() {
            let delivered = self.sink.deliver(events).await;
            let (reason, after) = match delivered {
                Ok(()) => {
                    counters.sent.inc_by(events.len() as u64);
                    if n_failures > 0 {
                        tracing::info!(sink = %self.config.name, "events are taken again");
                    }
                    n_failures = 0;
                    status.change(|status| {
                        status.n_sent += events.len() as u64;
                        status.state = SinkState::Ready;
                    });
                    continue;
                }
                Err(SinkError::Refused { .. }) if events.len() > 1 => {
                    let (first, second) = events.split_at(events.len() / 2);
                    waiting.extend([second, first]);
                    continue;
                }
                Err(SinkError::Refused { reason }) => match self.keep(events, reason).await {
                    Ok(()) => {
                        counters.refused.inc_by(events.len() as u64);
                        status.change(|status| status.n_refused += events.len() as u64);
                        continue;
                    }
                    Err(reason) => (reason, None),
                },
                Err(SinkError::Later { reason, after }) => (reason, after),
            };
            n_failures += 1;
            counters.retries.inc();
            waiting.push(events);
            if !self.pause(until, status, reason, n_failures, after).await {
                return false;
            }
        }
        true
    }

    /// Waits before the next try; false if the end was asked for.
    async fn pause<F: Future<Output = ()> + Unpin>(
        &self,
        until: &mut Until<F>,
        status: &SinkStatusHandle,
        reason: String,
        n_failures: u32,
        after: Option<Duration>,
    ) -> bool {
        let pause = self.config.retry.pause(n_failures, after, (self.chance)());
        // The first one, and then with every doubling: an hour of outage is not a page of the log.
        if n_failures.is_power_of_two() {
            tracing::warn!(sink = %self.config.name, reason, failures = n_failures, pause_ms = pause.as_millis() as u64, "not delivered; the events stay in the journal");
        }
        status.change(|status| status.state = SinkState::Backoff { reason, n_failures });
        if until.is_stopped() {
            return false;
        }
        until.or(tokio::time::sleep(pause)).await.is_some()
    }

    /// Keeps what the sink will never take, with its answer.
    async fn keep(&self, events: &[SinkEvent], reason: String) -> Result<(), String> {
        let at = (self.now)();
        let refused = |event: &SinkEvent| Refused {
            at,
            origin: Arc::clone(&event.origin),
            place: format!("seq {}", event.seq),
            reason: "refused",
            detail: format!("sink {}: {reason}", self.config.name),
            bytes: event.line.to_vec(),
            size: event.line.len() as u64,
        };
        let items: Vec<Refused> = events.iter().map(refused).collect();
        tracing::warn!(sink = %self.config.name, events = items.len(), reason, "refused for good: kept in the quarantine");
        let quarantine = Arc::clone(&self.quarantine);
        let putting = spawn_blocking(move || quarantine.put(items));
        putting.await.map_err(|error| error.to_string())?.map_err(|error| format!("the quarantine does not take what was refused: {error}"))
    }
}

/// Makes the cursor durable.
async fn commit(mut reader: Box<dyn Reader>) -> Option<(Box<dyn Reader>, Result<(), ReadError>)> {
    let committing = spawn_blocking(move || {
        let committed = reader.commit(&[]);
        (reader, committed)
    });
    committing.await.ok()
}

/// The events of a block.
fn events_of(block: &RecordBlock) -> Vec<SinkEvent> {
    let mut start = 0;
    let mut events = Vec::with_capacity(block.heads.len());
    for (index, head) in block.heads.iter().enumerate() {
        let line = block.bytes.slice(start..head.end);
        start = head.end;
        if head.kind == RecordKind::Event {
            events.push(SinkEvent { seq: block.first_seq + index as u64, time: head.time, origin: Arc::clone(&block.origin), line });
        }
    }
    events
}

/// `events` in pieces of at most so many events and bytes; an event larger than that is a piece of its own.
fn batches(events: &[SinkEvent], max_events: usize, max_bytes: usize) -> Vec<&[SinkEvent]> {
    let mut pieces = Vec::new();
    let (mut start, mut n_bytes) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        if index > start && (index - start >= max_events || n_bytes + event.line.len() > max_bytes) {
            pieces.push(&events[start..index]);
            (start, n_bytes) = (index, 0);
        }
        n_bytes += event.line.len();
    }
    if start < events.len() {
        pieces.push(&events[start..]);
    }
    pieces
}

#[cfg(test)]
mod tests;
