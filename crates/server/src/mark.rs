//! Who looked at what: every search, tail and export becomes a mark in the journal.
//!
//! A mark is written at the end, with the count, and also when the client left early: [`Mark`] writes itself
//! when dropped. A tail may last for weeks, so it writes one at its start as well. A journal that
//! cannot take the mark does not stop the reading (people must be able to look while the disk is full):
//! it is logged and counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::access::Identity;
use decklog_audit::journal::{Batch, Journal, Origin};
use decklog_audit::redact::Redactor;
use decklog_audit::search::TimeRange;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::metrics::ServerMetrics;
use crate::parts::Clock;

/// Marks on their way to the journal at once; full means: this one is counted as failed.
const MAX_UNDER_WAY: usize = 1_024;

/// Looking up values while a filter is typed leaves one mark in this time for each who does (docs/decisions/153).
const COMPLETIONS: Duration = Duration::from_secs(60);

/// Writes marks.
#[derive(Clone)]
pub(crate) struct Marks {
    journal: Arc<dyn Journal>,
    metrics: ServerMetrics,
    clock: Clock,
    under_way: Arc<Semaphore>,
    redactor: Option<Arc<Redactor>>,
    /// When each identity's last completion was marked; those longer ago than [`COMPLETIONS`] are forgotten.
    completions: Arc<Mutex<HashMap<Arc<str>, Timestamp>>>,
}

/// What a mark says of the question.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MarkFacts {
    /// `search`, `event`, `facets`, `sql`, `tail`, `tail-start` or `quarantine-export` and so on.
    pub(crate) what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    /// The question in SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<String>,
    /// The values of its `$1`, `$2` and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) params: Vec<Option<String>>,
    /// The fields whose values were counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
}

impl MarkFacts {
    pub(crate) fn new(what: &'static str, filter: &str, range: TimeRange) -> Self {
        let text = |time: Option<Timestamp>| time.map(Timestamp::rfc3339_nano);
        Self { what, filter: Some(filter.to_owned()), since: text(range.since), until: text(range.until), ..Self::default() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MarkBody<'a> {
    at: String,
    who: &'a str,
    peer: &'a str,
    #[serde(flatten)]
    facts: &'a MarkFacts,
    count: u64,
    request_id: &'a str,
}

impl Marks {
    pub(crate) fn new(journal: Arc<dyn Journal>, metrics: ServerMetrics, clock: Clock, redactor: Option<Arc<Redactor>>) -> Self {
        Self { journal, metrics, clock, under_way: Arc::new(Semaphore::new(MAX_UNDER_WAY)), redactor, completions: Arc::default() }
    }

    /// Begins what will be one mark. Must be called, and the mark dropped, inside the runtime.
    pub(crate) fn begin(&self, identity: &Identity, request_id: &str, facts: MarkFacts) -> Mark {
        Mark {
            marks: self.clone(),
            runtime: tokio::runtime::Handle::current(),
            who: identity.name.clone(),
            peer: identity.peer.clone(),
            request_id: request_id.to_owned(),
            facts,
            count: AtomicU64::new(0),
        }
    }

    /// Begins the mark of a completion; none if the same identity has one of the last minute.
    pub(crate) fn begin_completion(&self, identity: &Identity, request_id: &str, facts: MarkFacts) -> Option<Mark> {
        let now = (self.clock)();
        let is_due = {
            let mut known = self.completions.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, at| is_recent(*at, now));
            !known.contains_key(&identity.name) && known.insert(identity.name.clone(), now).is_none()
        };
        is_due.then(|| self.begin(identity, request_id, facts))
    }

    /// Waits until every mark begun is in the journal or has failed.
    pub(crate) async fn drained(&self) {
        let _ = self.under_way.acquire_many(MAX_UNDER_WAY as u32).await;
    }
}

/// Whether a completion marked at `at` stands for one at `now`. A clock that was set back makes none recent for long.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    let micros = i64::try_from(COMPLETIONS.as_micros()).unwrap_or(i64::MAX);
    (0..micros).contains(&now.micros().saturating_sub(at.micros()))
}

/// A mark to be; written when dropped.
pub(crate) struct Mark {
    marks: Marks,
    runtime: tokio::runtime::Handle,
    who: Arc<str>,
    peer: Arc<str>,
    request_id: String,
    facts: MarkFacts,
    count: AtomicU64,
}

impl Mark {
    /// Counts events that were handed out.
    pub(crate) fn add(&self, n_events: u64) {
        self.count.fetch_add(n_events, Ordering::Relaxed);
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let at = (self.marks.clock)();
        let body = MarkBody {
            at: at.rfc3339_nano(),
            who: &self.who,
            peer: &self.peer,
            facts: &self.facts,
            count: self.count.load(Ordering::Relaxed),
            request_id: &self.request_id,
        };
        let text = serde_json::to_string(&body).expect("strings and numbers are always JSON");
        // Who looks for a leaked token writes it into the filter; the journal is to hold its hash, as in events.
        let mut bytes = Vec::with_capacity(text.len());
        match &self.marks.redactor {
            Some(redactor) => redactor.write(&text, &redactor.find(&text), &mut bytes),
            None => bytes.extend_from_slice(text.as_bytes()),
        }
        let mut batch = Batch::new(Origin { cluster: "".into(), source: "decklog".into(), sender: self.peer.clone() }, at);
        batch.push_mark(&bytes);
        let metrics = self.marks.metrics.clone();
        let request_id = std::mem::take(&mut self.request_id);
        let failed = move |reason: &str| {
            metrics.mark_failed();
            tracing::error!(request_id, reason, "a read could not be marked in the journal");
        };
        let Ok(permit) = self.marks.under_way.clone().try_acquire_owned() else {
            return failed("too many marks are under way");
        };
        let appending = self.marks.journal.append(batch);
        self.runtime.spawn(async move {
            if let Err(error) = appending.await {
                failed(&error.to_string());
            }
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_stands_for_those_of_a_minute() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert!(is_recent(at(100), at(100)) && is_recent(at(100), at(159)));
        assert!(!is_recent(at(100), at(160)) && !is_recent(at(100), at(99)), "nor one of the future");
    }
}
