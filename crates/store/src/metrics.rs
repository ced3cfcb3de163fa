//! What the journal and the quarantine count. The names are those of the user's documentation.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReaderLabel {
    reader: String,
}

/// The journal's metrics. Clones are the same.
#[derive(Clone, Debug)]
pub struct JournalMetrics {
    acknowledged: Family<SourceLabel, Counter>,
    duplicates: Family<SourceLabel, Counter>,
    fsync: Histogram,
    size: Gauge,
    segments: Gauge,
    writable: Gauge,
    free: Gauge,
    lag_events: Family<ReaderLabel, Gauge>,
    lag_seconds: Family<ReaderLabel, Gauge>,
    missed: Family<ReaderLabel, Counter>,
}

impl Default for JournalMetrics {
    fn default() -> Self {
        let writable = Gauge::default();
        writable.set(1);
        Self {
            acknowledged: Family::default(),
            duplicates: Family::default(),
            fsync: Histogram::new([0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]),
            size: Gauge::default(),
            segments: Gauge::default(),
            writable,
            free: Gauge::default(),
            lag_events: Family::default(),
            lag_seconds: Family::default(),
            missed: Family::default(),
        }
    }
}

impl JournalMetrics {
    /// Adds all of them to `registry`, which is to have no prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("decklog_journal_acknowledged_events", "Events made durable", self.acknowledged.clone());
        registry.register("decklog_journal_duplicate_events", "Events left out since the same event was stored before", self.duplicates.clone());
        registry.register("decklog_journal_fsync_duration_seconds", "Time to write and sync one group of batches", self.fsync.clone());
        registry.register("decklog_journal_size_bytes", "Size of all segments", self.size.clone());
        registry.register("decklog_journal_segments", "Number of segments", self.segments.clone());
        registry.register("decklog_journal_writable", "Whether the journal takes batches: 0 while it refuses them", self.writable.clone());
        registry.register("decklog_storage_free_bytes", "Free space where the journal lies", self.free.clone());
        registry.register("decklog_reader_lag_events", "Records a reader has not done with yet", self.lag_events.clone());
        registry.register("decklog_reader_lag_seconds", "Age of the newest record a lagging reader has read", self.lag_seconds.clone());
        registry.register("decklog_reader_missed_events", "Records removed or damaged before a reader read them", self.missed.clone());
    }

    pub(crate) fn acknowledged(&self, source: &Arc<str>, n_events: u64) {
        if n_events > 0 {
            self.acknowledged.get_or_create(&SourceLabel { source: source.to_string() }).inc_by(n_events);
        }
    }

    pub(crate) fn duplicates(&self, source: &Arc<str>, n_events: u64) {
        if n_events > 0 {
            self.duplicates.get_or_create(&SourceLabel { source: source.to_string() }).inc_by(n_events);
        }
    }

    pub(crate) fn group_committed(&self, took: Duration) {
        self.fsync.observe(took.as_secs_f64());
    }

    pub(crate) fn segments(&self, size: u64, n_segments: usize) {
        self.size.set(gauge(size));
        self.segments.set(gauge(n_segments as u64));
    }

    pub(crate) fn set_writable(&self, is_writable: bool) {
        self.writable.set(i64::from(is_writable));
    }

    pub(crate) fn free_bytes(&self, free: u64) {
        self.free.set(gauge(free));
    }

    pub(crate) fn reader_lag(&self, reader: &str, n_events: u64, age: Duration) {
        let label = ReaderLabel { reader: reader.to_owned() };
        self.lag_events.get_or_create(&label).set(gauge(n_events));
        self.lag_seconds.get_or_create(&label).set(gauge(age.as_secs()));
        // Shown from the start, as 0.
        self.missed.get_or_create(&label).inc_by(0);
    }

    pub(crate) fn missed(&self, reader: &str, n_events: u64) {
        self.missed.get_or_create(&ReaderLabel { reader: reader.to_owned() }).inc_by(n_events);
    }

    pub(crate) fn forget_reader(&self, reader: &str) {
        let label = ReaderLabel { reader: reader.to_owned() };
        self.lag_events.remove(&label);
        self.lag_seconds.remove(&label);
        self.missed.remove(&label);
    }
}

/// The table's metrics. Clones are the same.
#[derive(Clone, Debug)]
pub struct TableMetrics {
    files: Gauge,
    size: Gauge,
    days: Gauge,
    written: Counter,
    flush: Histogram,
    compactions: Counter,
    writable: Gauge,
}

impl Default for TableMetrics {
    fn default() -> Self {
        Self {
            files: Gauge::default(),
            size: Gauge::default(),
            days: Gauge::default(),
            written: Counter::default(),
            flush: Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
            compactions: Counter::default(),
            // Not before it is open.
            writable: Gauge::default(),
        }
    }
}

impl TableMetrics {
    /// Adds all of them to `registry`, which is to have no prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("decklog_table_files", "Files the table consists of", self.files.clone());
        registry.register("decklog_table_size_bytes", "Their size", self.size.clone());
        registry.register("decklog_table_days", "Days that have events in the table", self.days.clone());
        registry.register("decklog_table_written_events", "Events written to the table", self.written.clone());
        registry.register("decklog_table_flush_duration_seconds", "Time to write the events that waited", self.flush.clone());
        registry.register("decklog_table_compactions", "Times that files were merged", self.compactions.clone());
        registry.register("decklog_table_writable", "Whether the table is open and takes events: 0 while they stay in the journal", self.writable.clone());
    }

    pub(crate) fn holds(&self, n_files: usize, size: u64, n_days: usize) {
        self.files.set(gauge(n_files as u64));
        self.size.set(gauge(size));
        self.days.set(gauge(n_days as u64));
    }

    pub(crate) fn flushed(&self, n_events: u64, took: Duration) {
        self.written.inc_by(n_events);
        self.flush.observe(took.as_secs_f64());
    }

    pub(crate) fn set_table_writable(&self, is_writable: bool) {
        self.writable.set(i64::from(is_writable));
    }

    pub(crate) fn compacted(&self) {
        self.compactions.inc();
    }
}

/// The quarantine's metrics. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct QuarantineMetrics {
    items: Gauge,
    size: Gauge,
    dropped: Counter,
}

impl QuarantineMetrics {
    /// Adds all of them to `registry`, which is to have no prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("decklog_quarantine_items", "Refused events and bodies that are kept", self.items.clone());
        registry.register("decklog_quarantine_size_bytes", "Bytes they take on disk", self.size.clone());
        registry.register("decklog_quarantine_dropped_items", "Items removed to make room for newer ones", self.dropped.clone());
    }

    pub(crate) fn holds(&self, n_items: u64, size: u64) {
        self.items.set(gauge(n_items));
        self.size.set(gauge(size));
    }

    pub(crate) fn dropped(&self, n_items: u64) {
        self.dropped.inc_by(n_items);
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
