//! What the audit layer counts, under kube-apiserver's own names (`k8s.io/apiserver/pkg/audit/metrics.go`, v0.36.3).

use decklog_audit::Level;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabel {
    level: &'static str,
}

/// The metrics of an audit layer. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct LayerMetrics {
    /// Stages that were handed to the backend, before it is known whether it took them.
    pub(crate) events: Counter,
    /// Requests that were refused since their first event could not be stored.
    pub(crate) rejected: Counter,
    levels: Family<LevelLabel, Counter>,
}

impl LayerMetrics {
    /// Adds all of them to `registry`, which is to have no prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("apiserver_audit_event", "[ALPHA] Counter of audit events generated and sent to the audit backend", self.events.clone());
        registry.register("apiserver_audit_level", "[ALPHA] Counter of policy levels for audit events (1 per request)", self.levels.clone());
        let help = "[ALPHA] Counter of apiserver requests rejected due to an error in audit logging backend";
        registry.register("apiserver_audit_requests_rejected", help, self.rejected.clone());
    }

    /// The counter of requests of each level, in the order of [`Level::ALL`].
    pub(crate) fn by_level(&self) -> LevelCounters {
        LevelCounters { levels: self.levels.clone(), known: Default::default() }
    }
}

/// Like kube-apiserver's, the counter of a level is there from its first request on.
#[derive(Debug)]
pub(crate) struct LevelCounters {
    levels: Family<LevelLabel, Counter>,
    known: [std::sync::OnceLock<Counter>; 4],
}

impl LevelCounters {
    pub(crate) fn count(&self, level: Level) {
        self.known[level as usize].get_or_init(|| self.levels.get_or_create_owned(&LevelLabel { level: level.as_str() })).inc();
    }
}
