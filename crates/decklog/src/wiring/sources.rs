//! What `/api/v1/sources` tells: the configured sources, and those that only sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_capture::tail::TailStatusHandle;
use decklog_server::SourceStatus;
use prometheus_client::registry::Registry;

use crate::config::{Config, SourceKind};

/// The tails that run, by source name.
pub(crate) type Tails = Vec<(String, TailStatusHandle)>;

/// All sources with their counts since the start. The counts are those of `/metrics`, read from the same place, so that the two never
/// disagree.
pub(crate) fn source_statuses(config: &Config, tails: &Tails, registry: &Registry) -> Vec<SourceStatus> {
    let mut counts = counts_by_source(registry);
    let mut all: Vec<SourceStatus> = Vec::new();
    for source in &config.sources {
        let mut status = counts.remove(&source.name).unwrap_or_default();
        status.name.clone_from(&source.name);
        status.cluster = source.cluster.clone().unwrap_or_else(|| config.cluster.clone());
        match &source.kind {
            SourceKind::Webhook { .. } => {
                status.kind = "webhook".to_owned();
                status.place = Some(format!("/ingest/webhook/{}", source.name));
                status.state = if status.received > 0 { "active" } else { "waiting" }.to_owned();
            }
            SourceKind::Tail { path } => {
                status.kind = "tail".to_owned();
                status.place = Some(path.display().to_string());
                if let Some((_, handle)) = tails.iter().find(|(name, _)| *name == source.name) {
                    let tail = handle.get();
                    status.lag_bytes = Some(tail.lag_bytes());
                    status.state = match (&tail.error, &tail.file) {
                        (Some(_), _) => "failed",
                        (None, None) => "waiting",
                        (None, Some(_)) => "active",
                    }
                    .to_owned();
                    status.reason = tail.error;
                    status.last_event = tail.last_event.map(Timestamp::rfc3339_nano).or(status.last_event);
                }
            }
        }
        all.push(status);
    }
    for (name, status) in counts {
        let kind = if name == decklog_capture::import::SOURCE { "import" } else { "webhook" };
        let place = Some(format!("/ingest/webhook/{name}"));
        all.push(SourceStatus { name, kind: kind.to_owned(), cluster: config.cluster.clone(), state: "active".to_owned(), place, ..status });
    }
    all
}

/// The function the server asks.
pub(crate) fn source_lister(config: Arc<Config>, tails: Tails, registry: Arc<Registry>) -> Arc<dyn Fn() -> Vec<SourceStatus> + Send + Sync> {
    Arc::new(move || source_statuses(&config, &tails, &registry))
}

fn counts_by_source(registry: &Registry) -> BTreeMap<String, SourceStatus> {
    let mut text = String::new();
    let mut counts: BTreeMap<String, SourceStatus> = BTreeMap::new();
    if prometheus_client::encoding::text::encode(&mut text, registry).is_err() {
        return counts;
    }
    for line in text.lines() {
        let Some((name, labels, value)) = sample(line) else { continue };
        let Some(source) = labels.split(',').find_map(|label| label.strip_prefix("source=\"")?.strip_suffix('"')) else { continue };
        let Ok(number) = value.parse::<f64>() else { continue };
        let status = counts.entry(source.to_owned()).or_default();
        match name {
            "decklog_source_received_events_total" => status.received = number as u64,
            "decklog_source_rejected_events_total" => status.rejected += number as u64,
            "decklog_journal_acknowledged_events_total" => status.acknowledged = number as u64,
            "decklog_journal_duplicate_events_total" => status.duplicates = number as u64,
            "decklog_source_last_event_timestamp_seconds" if number > 0.0 => {
                status.last_event = Some(Timestamp::from_micros((number * 1e6) as i64).rfc3339_nano());
            }
            _ => {}
        }
    }
    // decklog's own marks go through the journal too, and are no source.
    counts.retain(|_, status| status.received > 0 || status.rejected > 0);
    counts
}

/// `name{labels} value`. Source names hold no character that the format escapes.
fn sample(line: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.split_once("} ")?;
    Some((name, labels, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_taken_apart() {
        assert_eq!(sample("a_total{source=\"x\",reason=\"y\"} 7"), Some(("a_total", "source=\"x\",reason=\"y\"", "7")));
        assert_eq!(sample("# HELP a b"), None);
        assert_eq!(sample("a 1"), None);
    }
}
