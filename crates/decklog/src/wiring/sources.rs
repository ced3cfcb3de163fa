//! What `/api/v1/sources` tells: the configured sources, and those that only sent; one for each cluster they sent for.

use std::sync::Arc;
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_capture::CaptureMetrics;
use decklog_capture::tail::TailStatusHandle;
use decklog_capture::vitals::Vitals;
use decklog_server::SourceStatus;

use crate::config::{Config, SourceConfig, SourceKind};

/// The tails that run, by source name.
pub(crate) type Tails = Vec<(String, TailStatusHandle)>;

/// A source of which nothing came for so long is silent: an API server has something to say every few seconds. The shipped
/// alert `DecklogSourceSilent` waits as long.
const SILENT_AFTER: Duration = Duration::from_secs(600);

/// All sources with what came since the start.
fn source_statuses(config: &Config, tails: &Tails, metrics: &CaptureMetrics, now: Timestamp) -> Vec<SourceStatus> {
    let mut all: Vec<SourceStatus> = metrics.vitals().iter().map(|((source, cluster), vitals)| arrived(source, cluster, vitals, now)).collect();
    for source in &config.sources {
        let cluster = source.cluster.as_ref().unwrap_or(&config.cluster);
        if !all.iter().any(|status| status.name == source.name && status.cluster == *cluster) {
            all.push(SourceStatus { name: source.name.clone(), cluster: cluster.clone(), state: "waiting".to_owned(), ..SourceStatus::default() });
        }
        for status in all.iter_mut().filter(|status| status.name == source.name) {
            configured(status, source, tails);
        }
    }
    all
}

/// What is known of a source by what it sent.
fn arrived(source: &str, cluster: &str, vitals: &Vitals, now: Timestamp) -> SourceStatus {
    let is_import = source == decklog_capture::import::SOURCE;
    let silence = vitals.silence(now);
    // An import ends; that nothing comes any more is as it should be.
    let state = match silence {
        Some(silence) if silence >= SILENT_AFTER && !is_import => "silent",
        Some(_) => "active",
        None => "waiting",
    };
    SourceStatus {
        name: source.to_owned(),
        kind: if is_import { "import" } else { "webhook" }.to_owned(),
        cluster: cluster.to_owned(),
        state: state.to_owned(),
        place: Some(format!("/ingest/webhook/{source}")),
        received: vitals.received(),
        acknowledged: vitals.stored,
        duplicates: vitals.duplicates,
        rejected: vitals.rejected,
        last_event: vitals.last_event.map(Timestamp::rfc3339_nano),
        last_arrival: vitals.last_arrival.map(Timestamp::rfc3339_nano),
        events_per_second: (vitals.rate(now) * 1e3).round() / 1e3,
        delay_seconds: vitals.delay.map(|delay| delay.as_secs_f64()),
        silent_seconds: silence.map(|silence| silence.as_secs_f64()),
        ..SourceStatus::default()
    }
}

/// What the configuration and a running tail know beside.
fn configured(status: &mut SourceStatus, source: &SourceConfig, tails: &Tails) {
    match &source.kind {
        SourceKind::Webhook { .. } => {
            "webhook".clone_into(&mut status.kind);
            status.place = Some(format!("/ingest/webhook/{}", source.name));
        }
        SourceKind::Tail { path } => {
            "tail".clone_into(&mut status.kind);
            status.place = Some(path.display().to_string());
            let Some((_, handle)) = tails.iter().find(|(name, _)| *name == source.name) else { return };
            let tail = handle.get();
            status.lag_bytes = Some(tail.lag_bytes());
            if tail.error.is_some() {
                "failed".clone_into(&mut status.state);
            }
            status.reason = tail.error;
        }
    }
}

/// The function the server asks.
pub(crate) fn source_lister(config: Arc<Config>, tails: Tails, metrics: CaptureMetrics) -> Arc<dyn Fn() -> Vec<SourceStatus> + Send + Sync> {
    Arc::new(move || source_statuses(&config, &tails, &metrics, Timestamp::from_system(std::time::SystemTime::now())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use decklog_audit::journal::Appended;

    #[test]
    fn a_source_is_told_apart_by_cluster_and_is_silent_after_ten_minutes() {
        let mut config = Config::before_defaults();
        "default".clone_into(&mut config.cluster);
        let kind = SourceKind::Webhook { token_file: None };
        config.sources.push(SourceConfig { name: "prod".to_owned(), cluster: Some("eu".to_owned()), kind: kind.clone() });
        config.sources.push(SourceConfig { name: "quiet".to_owned(), cluster: None, kind });
        let metrics = CaptureMetrics::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let taken = Appended { first_seq: Some(1), n_stored: 3, n_duplicates: 1 };
        metrics.source("prod", &"eu".into()).acknowledged(taken, &[at(90), at(95)], at(100));
        metrics.source("prod", &"us".into()).acknowledged(taken, &[at(695)], at(700));
        let all = source_statuses(&config, &Tails::new(), &metrics, at(701));
        let told: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.cluster.as_str(), one.state.as_str(), one.received, one.delay_seconds)).collect();
        assert_eq!(told, [("prod", "eu", "silent", 4, Some(5.0)), ("prod", "us", "active", 4, Some(5.0)), ("quiet", "default", "waiting", 0, None)]);
        assert_eq!(all[0].silent_seconds, Some(601.0));
    }
}
