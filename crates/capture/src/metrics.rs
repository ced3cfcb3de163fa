//! What is counted of every source, so that "is anything lost, where, why" has an answer: whatever arrives is
//! acknowledged, a duplicate, or rejected with a reason.

use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::Appended;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::vitals::{AllVitals, BySource};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabel {
    source: String,
    reason: &'static str,
}

type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Why events were not taken: the values of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejected {
    /// No event can be read; it lies in the quarantine.
    Malformed,
    /// Above `--max-event-size`; its beginning lies in the quarantine.
    TooLarge,
    /// The journal could not write; the sender was told to come again.
    DiskFull,
    /// More was under way than memory is set aside for; the sender was told to come again.
    Overload,
    /// The sender stopped in the middle.
    Slow,
}

impl Rejected {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::DiskFull => "disk_full",
            Self::Overload => "overload",
            Self::Slow => "slow",
        }
    }

    /// The reason of that name in a `Refusal` or `Refused`.
    pub fn from_refusal(reason: &str) -> Self {
        if reason == "too_large" { Self::TooLarge } else { Self::Malformed }
    }
}

/// The metrics of all sources. Copies share the same counters.
#[derive(Clone, Debug)]
pub struct CaptureMetrics {
    received_events: Family<SourceLabel, Counter>,
    received_bytes: Family<SourceLabel, Counter>,
    rejected_events: Family<RejectedLabel, Counter>,
    last_event: Family<SourceLabel, Seconds>,
    delay: Family<SourceLabel, Histogram, fn() -> Histogram>,
    suspected_losses: Family<SourceLabel, Counter>,
    vitals: AllVitals,
}

impl Default for CaptureMetrics {
    fn default() -> Self {
        Self {
            received_events: Family::default(),
            received_bytes: Family::default(),
            rejected_events: Family::default(),
            last_event: Family::default(),
            // 10 ms to about 5 h: from a webhook with a short batch wait to a log imported after an outage.
            delay: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 22))),
            suspected_losses: Family::default(),
            vitals: AllVitals::default(),
        }
    }
}

impl CaptureMetrics {
    /// Adds all of them to `registry`, which is to have no prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("decklog_source_received_events", "Events that arrived: acknowledged, duplicate or rejected", self.received_events.clone());
        registry.register("decklog_source_received_bytes", "Bytes that arrived, decompressed", self.received_bytes.clone());
        registry.register(
            "decklog_source_rejected_events",
            "Events not taken: the sender was told, or they lie in the quarantine",
            self.rejected_events.clone(),
        );
        registry.register("decklog_source_last_event_timestamp_seconds", "The newest time of an event taken", self.last_event.clone());
        registry.register(
            "decklog_source_suspected_losses",
            "Times a log file was cut short while it was followed, so that lines may be lost",
            self.suspected_losses.clone(),
        );
        registry.register("decklog_ingest_delay_seconds", "From an event's time to its acknowledgement", self.delay.clone());
    }

    /// How every source stands that anything came from, by source and cluster.
    pub fn vitals(&self) -> BySource {
        self.vitals.all()
    }

    /// The metrics of one source, whose events belong to `cluster`.
    pub fn source(&self, source: &str, cluster: &Arc<str>) -> SourceMetrics {
        let label = SourceLabel { source: source.to_owned() };
        SourceMetrics {
            source: source.into(),
            cluster: Arc::clone(cluster),
            vitals: self.vitals.clone(),
            received_events: self.received_events.get_or_create_owned(&label),
            received_bytes: self.received_bytes.get_or_create_owned(&label),
            last_event: self.last_event.get_or_create_owned(&label),
            delay: self.delay.get_or_create_owned(&label),
            suspected_losses: self.suspected_losses.get_or_create_owned(&label),
            rejected_events: self.rejected_events.clone(),
        }
    }
}

/// The metrics of one source.
#[derive(Clone, Debug)]
pub struct SourceMetrics {
    source: Arc<str>,
    cluster: Arc<str>,
    vitals: AllVitals,
    received_events: Counter,
    received_bytes: Counter,
    last_event: Seconds,
    delay: Histogram,
    suspected_losses: Counter,
    rejected_events: Family<RejectedLabel, Counter>,
}

impl SourceMetrics {
    /// Counts bytes that arrived.
    pub fn received_bytes(&self, n_bytes: u64) {
        self.received_bytes.inc_by(n_bytes);
    }

    /// Counts events that were stored or found to be duplicates: `times` are theirs.
    pub fn acknowledged(&self, appended: Appended, times: &[Timestamp], now: Timestamp) {
        let Appended { n_stored, n_duplicates, .. } = appended;
        self.received_events.inc_by(n_stored + n_duplicates);
        if n_stored + n_duplicates > 0 {
            self.vitals.taken((&self.source, &self.cluster), n_stored, n_duplicates, times.iter().max().copied(), now);
        }
        for time in times {
            self.delay.observe((now.micros() - time.micros()).max(0) as f64 / 1e6);
        }
        if let Some(newest) = times.iter().max() {
            let newest = newest.micros() as f64 / 1e6;
            if newest > self.last_event.get() {
                self.last_event.set(newest);
            }
        }
    }

    /// Counts events that arrived and were not taken.
    pub fn rejected(&self, n_events: u64, reason: Rejected) {
        if n_events > 0 {
            self.received_events.inc_by(n_events);
            self.vitals.rejected((&self.source, &self.cluster), n_events);
            let label = RejectedLabel { source: self.source.to_string(), reason: reason.as_str() };
            self.rejected_events.get_or_create(&label).inc_by(n_events);
        }
    }

    /// Counts an occasion on which lines may have been lost.
    pub fn suspected_loss(&self) {
        self.suspected_losses.inc();
    }
}
