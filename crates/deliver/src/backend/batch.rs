//! Mode batch: a bounded queue in front of a carrier, and one thread that makes batches of it.
//!
//! Events are written when they are queued, so that a queued one is a reference to its line. What finds the queue full is dropped and
//! counted; the request never waits.
//!
//! Source of the behaviour: `k8s.io/apiserver/plugin/pkg/audit/buffered` (v0.36.3).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use decklog_audit::backend::{Backend, Emitted, Processed, Processing, Stopping};
use tokio::sync::watch;

use super::carrier::{Carrier, Line};
use super::errors::{Plugin, PluginErrors};
use super::throttle::Throttle;

/// How events are collected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchConfig {
    /// So many events may wait.
    pub buffer_size: usize,
    /// A batch has at most so many.
    pub max_batch_size: usize,
    /// A batch that is not full is handed over after this; none where a batch is one event.
    pub max_batch_wait: Duration,
    /// Batches a second on average, and at once.
    pub throttle: Option<(f64, u32)>,
}

/// The queue.
pub struct Batch {
    shared: Arc<Shared>,
    finished: watch::Receiver<bool>,
    errors: PluginErrors,
}

struct Shared {
    carrier: Arc<dyn Carrier>,
    config: BatchConfig,
    queue: Mutex<Queue>,
    /// Something was queued that may complete a batch, or the end has come.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    is_closed: bool,
    /// So many make the thread worth waking; 0 while it works.
    wake_at: usize,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// A queue in front of `carrier`, with its thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(carrier: Arc<dyn Carrier>, config: BatchConfig, errors: PluginErrors) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { carrier, config, queue: Mutex::default(), changed: Condvar::new() });
        let (finish, finished) = watch::channel(false);
        let collector = shared.clone();
        std::thread::Builder::new().name("audit-batch".to_owned()).spawn(move || {
            collector.collect();
            finish.send_replace(true);
        })?;
        Ok(Self { shared, finished, errors })
    }

    /// Events that wait.
    pub fn n_waiting(&self) -> usize {
        self.shared.queue().lines.len()
    }
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "buffered<{}>", self.shared.carrier)
    }
}

impl Backend for Batch {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        let mut lines: Vec<Line> = events.iter().map(|event| self.shared.carrier.line(event)).collect();
        let mut queue = self.shared.queue();
        let room = if queue.is_closed { 0 } else { self.shared.config.buffer_size.saturating_sub(queue.lines.len()) };
        let rest = lines.split_off(room.min(lines.len()));
        queue.lines.extend(lines);
        let is_closed = queue.is_closed;
        let wakes = queue.wake_at > 0 && queue.lines.len() >= queue.wake_at;
        if wakes {
            queue.wake_at = 0;
        }
        drop(queue);
        if wakes {
            self.shared.changed.notify_one();
        }
        let why = if is_closed { "audit backend shut down" } else { "audit buffer queue blocked" };
        self.errors.count(Plugin::Buffered, &why, &rest);
        Processing::Done(Processed::Stored)
    }

    fn stop(&self) -> Stopping<'_> {
        let mut finished = self.finished.clone();
        Box::pin(async move {
            self.shared.queue().is_closed = true;
            self.shared.changed.notify_one();
            // The sender goes only with its thread, which says so at its end.
            let _ = finished.wait_for(|finished| *finished).await;
            self.shared.carrier.stop().await;
        })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn collect(&self) {
        let started = Instant::now();
        let mut throttle = self.config.throttle.map(|(per_second, burst)| Throttle::new(per_second, burst));
        while let Some(batch) = self.next_batch() {
            if batch.is_empty() {
                continue;
            }
            if let Some(throttle) = &mut throttle {
                std::thread::sleep(throttle.take(started.elapsed()));
            }
            self.carrier.wait_for_room();
            // A batch whose delivery panics is lost, the next is not.
            if catch_unwind(AssertUnwindSafe(|| drop(self.carrier.carry(batch)))).is_err() {
                tracing::error!("the delivery of a batch of audit events panicked");
            }
        }
    }

    /// A full batch, or what is there when the wait is over; nothing after the last.
    fn next_batch(&self) -> Option<Vec<Line>> {
        let wait = if self.config.max_batch_size == 1 { Duration::MAX } else { self.config.max_batch_wait };
        let mut queue = self.queue();
        // With no wait at all there is nothing to do before there is an event.
        while wait.is_zero() && queue.lines.is_empty() && !queue.is_closed {
            queue.wake_at = 1;
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now().checked_add(wait);
        while queue.lines.len() < self.config.max_batch_size && !queue.is_closed {
            queue.wake_at = self.config.max_batch_size;
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
            }
        }
        queue.wake_at = 0;
        if queue.lines.is_empty() && queue.is_closed {
            return None;
        }
        // Without a throttle, who gets the events cannot see the batches: what waits goes at once.
        let n_lines = if self.config.throttle.is_none() && self.config.max_batch_size == 1 { queue.lines.len() } else { self.config.max_batch_size };
        let n_lines = n_lines.min(queue.lines.len());
        Some(queue.lines.drain(..n_lines).collect())
    }
}

#[cfg(test)]
mod tests;
