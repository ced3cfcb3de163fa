//! Events that are too large lose their bodies; if that is not enough, they are dropped and counted.
//!
//! Source of the behaviour: `k8s.io/apiserver/plugin/pkg/audit/truncate` (v0.36.3). There the mark of a truncated event leaks into the
//! annotations that other backends see of it; here it does not.

use std::sync::Arc;

use decklog_audit::backend::{Backend, Emitted, Processing, Stopping};

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

/// What is said of an event that is dropped.
pub(super) const TOO_LARGE: &str = "event is too large even after truncating";

/// The size of an event's line; nothing if it cannot be written.
fn size(event: &Emitted<'_>) -> Option<i64> {
    event.line().ok().map(|line| i64::try_from(line.len()).unwrap_or(i64::MAX))
}

impl TruncateConfig {
    fn fits(&self, event: &Emitted<'_>) -> bool {
        size(event).is_some_and(|size| size <= self.max_event_size)
    }

    /// The event as it is, or without its bodies where it is too large with them; counted and none where it still is.
    pub(super) fn fitting<'e>(&self, event: &Emitted<'e>, errors: &PluginErrors) -> Option<Emitted<'e>> {
        let is_large = size(event).is_some_and(|size| size > self.max_event_size);
        let event = if is_large && event.may_hold_bodies() { event.truncated() } else { event.same() };
        if self.fits(&event) {
            return Some(event);
        }
        errors.count(Plugin::Truncate, &TOO_LARGE, &[Line::json(&event)]);
        None
    }
}

impl Backend for Truncate {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        // Nearly every call is one event that is not too large.
        if let [event] = events
            && self.config.fits(event)
        {
            return self.inner.process(events);
        }
        let (mut batch, mut batch_size) = (Vec::new(), 0_i64);
        let mut calls = Vec::new();
        // As in kube-apiserver, what is dropped here refuses no request.
        for event in events.iter().filter_map(|event| self.config.fitting(event, &self.errors)) {
            let size = size(&event).unwrap_or(0);
            if !batch.is_empty() && batch_size.saturating_add(size) > self.config.max_batch_size {
                calls.push(self.inner.process(&batch));
                batch.clear();
                batch_size = 0;
            }
            batch_size = batch_size.saturating_add(size);
            batch.push(event);
        }
        if !batch.is_empty() {
            calls.push(self.inner.process(&batch));
        }
        Processing::all(calls)
    }

    fn stop(&self) -> Stopping<'_> {
        self.inner.stop()
    }
}
