//! Events that are too large lose their bodies; if that is not enough, they are dropped and counted.
//!
//! Source of the behaviour: `k8s.io/apiserver/plugin/pkg/audit/truncate` (v0.36.3). There the mark of a truncated event leaks into the
//! annotations that other backends see of it; here it does not.

use std::sync::Arc;

use decklog_audit::backend::{Backend, Emitted, Processed, Processing, Stopping};

use super::carrier::Line;
use super::errors::{Plugin, PluginErrors};

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncateConfig {
    /// An event's line may have so many bytes.
    pub max_event_size: i64,
    /// The lines of one call may together have so many.
    pub max_batch_size: i64,
}

/// Truncates what goes to another backend.
pub struct Truncate {
    inner: Arc<dyn Backend>,
    config: TruncateConfig,
    errors: PluginErrors,
}

impl Truncate {
    /// In front of `inner`.
    pub fn new(inner: Arc<dyn Backend>, config: TruncateConfig, errors: PluginErrors) -> Self {
        Self { inner, config, errors }
    }
}

impl std::fmt::Display for Truncate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "truncate<{}>", self.inner)
    }
}

/// The size of an event's line; nothing if it cannot be written.
fn size(event: &Emitted<'_>) -> Option<i64> {
    event.line().ok().map(|line| i64::try_from(line.len()).unwrap_or(i64::MAX))
}

impl Backend for Truncate {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        let is_fine = |event: &Emitted<'_>| size(event).is_some_and(|size| size <= self.config.max_event_size);
        // Nearly every call is one event that is not too large.
        if let [event] = events
            && is_fine(event)
        {
            return self.inner.process(events);
        }
        let mut waits = Vec::new();
        let mut processed = Processed::Stored;
        let (mut batch, mut batch_size) = (Vec::new(), 0_i64);
        let mut impacted = Vec::new();
        let mut flush = |batch: &mut Vec<Emitted<'_>>| match self.inner.process(batch) {
            Processing::Done(done) => processed = processed.and(done),
            Processing::Later(waiting) => waits.push(waiting),
        };
        for event in events {
            let event = if size(event).is_some_and(|size| size > self.config.max_event_size) && event.may_hold_bodies() {
                event.without_bodies("audit.k8s.io/truncated", "true")
            } else {
                event.same()
            };
            let Some(size) = size(&event).filter(|size| *size <= self.config.max_event_size) else {
                impacted.push(Line::json(&event));
                continue;
            };
            if !batch.is_empty() && batch_size.saturating_add(size) > self.config.max_batch_size {
                flush(&mut batch);
                batch.clear();
                batch_size = 0;
            }
            batch_size = batch_size.saturating_add(size);
            batch.push(event);
        }
        if !batch.is_empty() {
            flush(&mut batch);
        }
        // As in kube-apiserver, what is dropped here refuses no request.
        self.errors.count(Plugin::Truncate, &"event is too large even after truncating", &impacted);
        if waits.is_empty() {
            return Processing::Done(processed);
        }
        Processing::Later(Box::pin(async move {
            for waiting in waits {
                processed = processed.and(waiting.await);
            }
            processed
        }))
    }

    fn stop(&self) -> Stopping<'_> {
        self.inner.stop()
    }
}
