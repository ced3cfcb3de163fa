//! Events that a backend could not keep: counted under kube-apiserver's name, and told in the log.
//!
//! Source of the behaviour: `HandlePluginError` in `k8s.io/apiserver/pkg/audit/metrics.go` (v0.36.3).

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::carrier::Line;

/// The part that lost an event: the label `plugin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Plugin {
    Log,
    Webhook,
    Buffered,
    Truncate,
    /// Ours: the private journal in front of a backend.
    Journal,
}

impl Plugin {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Webhook => "webhook",
            Self::Buffered => "buffered",
            Self::Truncate => "truncate",
            Self::Journal => "journal",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabel {
    plugin: &'static str,
}

/// Of one error, so many events are shown in the log; all are counted.
const SHOWN: usize = 10;

/// The counter of lost events. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct PluginErrors {
    lost: Family<PluginLabel, Counter>,
    are_retried: bool,
}

impl PluginErrors {
    /// Adds it to `registry`, which is to have no prefix.
    pub fn register(&self, registry: &mut Registry) {
        let help = "[ALPHA] Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error";
        registry.register("apiserver_audit_error", help, self.lost.clone());
    }

    /// For a backend behind a journal: what it does not take comes again, and is no loss.
    #[must_use]
    pub fn retried(&self) -> Self {
        Self { are_retried: true, ..self.clone() }
    }

    /// These events are lost.
    pub fn count(&self, plugin: Plugin, error: &dyn std::fmt::Display, impacted: &[Line]) {
        if impacted.is_empty() {
            return;
        }
        if self.are_retried {
            tracing::warn!(plugin = plugin.as_str(), events = impacted.len(), %error, "not taken; they come again");
            return;
        }
        self.lost.get_or_create_owned(&PluginLabel { plugin: plugin.as_str() }).inc_by(impacted.len() as u64);
        let shown: String = impacted.iter().take(SHOWN).map(Line::legacy).collect();
        let more = impacted.len().saturating_sub(SHOWN);
        let more = if more == 0 { String::new() } else { format!("and {more} more\n") };
        tracing::error!("Error in audit plugin '{}' affecting {} audit events: {error}\nImpacted events:\n{shown}{more}", plugin.as_str(), impacted.len());
    }

    /// How many a plugin has lost.
    pub fn lost(&self, plugin: Plugin) -> u64 {
        self.lost.get(&PluginLabel { plugin: plugin.as_str() }).map_or(0, |counter| counter.get())
    }
}
