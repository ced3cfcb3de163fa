//! What a sink counts. The names are those of the user's documentation.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabel {
    sink: String,
}

/// The metrics of all sinks. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct SinkMetrics {
    sent: Family<SinkLabel, Counter>,
    refused: Family<SinkLabel, Counter>,
    retries: Family<SinkLabel, Counter>,
}

/// The counters of one sink.
#[derive(Clone, Debug)]
pub(crate) struct SinkCounters {
    /// Events that the sink has.
    pub(crate) sent: Counter,
    /// Events that it will never take: in the quarantine.
    pub(crate) refused: Counter,
    /// Deliveries that failed and came again.
    pub(crate) retries: Counter,
}

impl SinkMetrics {
    /// Adds all of them to `registry`, which is to have no prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("decklog_sink_sent_events", "Events that the sink has taken", self.sent.clone());
        registry.register("decklog_sink_refused_events", "Events that the sink refused for good, kept in the quarantine", self.refused.clone());
        registry.register("decklog_sink_retries", "Deliveries that failed and were made again", self.retries.clone());
    }

    /// The counters of one sink, which are 0 from now on if they were not there.
    pub(crate) fn of(&self, sink: &str) -> SinkCounters {
        let label = SinkLabel { sink: sink.to_owned() };
        SinkCounters {
            sent: self.sent.get_or_create_owned(&label),
            refused: self.refused.get_or_create_owned(&label),
            retries: self.retries.get_or_create_owned(&label),
        }
    }
}
