//! How each source stands: what arrived of it, how freshly and how fast. Sources are told apart by cluster too, since one
//! name may come from several (a credential says which).
//!
//! Kept beside the metrics, which have the source's name alone; counted at the same place, so that the two agree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decklog_audit::Timestamp;

/// The rate is that of about this time.
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// One source of one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Events stored since the start.
    pub stored: u64,
    /// Events left out, since they were there.
    pub duplicates: u64,
    /// Events not taken.
    pub rejected: u64,
    /// When something was taken last.
    pub last_arrival: Option<Timestamp>,
    /// The newest time of an event taken.
    pub last_event: Option<Timestamp>,
    /// From the newest event's time to its acknowledgement, of the last delivery.
    pub delay: Option<Duration>,
    /// Events within [`RATE_WINDOW`], older ones counting less: the average of a process with that time constant.
    weight: f64,
}

impl Vitals {
    /// Everything that arrived.
    pub fn received(&self) -> u64 {
        self.stored + self.duplicates + self.rejected
    }

    /// Events a second, lately: falls by half every 42 s in which nothing comes.
    pub fn rate(&self, now: Timestamp) -> f64 {
        let Some(last) = self.last_arrival else { return 0.0 };
        self.weight * decay(elapsed(last, now)) / RATE_WINDOW.as_secs_f64()
    }

    /// How long nothing has come.
    pub fn silence(&self, now: Timestamp) -> Option<Duration> {
        self.last_arrival.map(|last| elapsed(last, now))
    }

    fn taken(&mut self, n_stored: u64, n_duplicates: u64, newest: Option<Timestamp>, now: Timestamp) {
        let past = self.last_arrival.map_or(0.0, |last| self.weight * decay(elapsed(last, now)));
        self.weight = past + (n_stored + n_duplicates) as f64;
        self.stored += n_stored;
        self.duplicates += n_duplicates;
        self.last_arrival = self.last_arrival.max(Some(now));
        self.last_event = self.last_event.max(newest);
        self.delay = newest.map(|newest| elapsed(newest, now)).or(self.delay);
    }
}

/// From `then` to `now`, or nothing for clocks that disagree.
fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now.micros().saturating_sub(then.micros())).unwrap_or(0))
}

fn decay(elapsed: Duration) -> f64 {
    (-elapsed.as_secs_f64() / RATE_WINDOW.as_secs_f64()).exp()
}

/// The vitals by source and cluster.
pub type BySource = BTreeMap<(Arc<str>, Arc<str>), Vitals>;

/// The vitals of all sources. Copies share them. Bounded, as the names of sources are.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllVitals(Arc<Mutex<BySource>>);

impl AllVitals {
    pub(crate) fn taken(&self, of: (&Arc<str>, &Arc<str>), n_stored: u64, n_duplicates: u64, newest: Option<Timestamp>, now: Timestamp) {
        self.change(of, |vitals| vitals.taken(n_stored, n_duplicates, newest, now));
    }

    pub(crate) fn rejected(&self, of: (&Arc<str>, &Arc<str>), n_events: u64) {
        self.change(of, |vitals| vitals.rejected += n_events);
    }

    pub(crate) fn all(&self) -> BySource {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, (source, cluster): (&Arc<str>, &Arc<str>), change: impl FnOnce(&mut Vitals)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((Arc::clone(source), Arc::clone(cluster))).or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_micros((seconds * 1e6) as i64)
    }

    #[test]
    fn a_steady_source_has_its_rate_and_a_silent_one_loses_it() {
        let mut vitals = Vitals::default();
        assert_eq!((vitals.rate(at(1.0)), vitals.silence(at(1.0))), (0.0, None));
        for tick in 0..6_000 {
            vitals.taken(5, 0, Some(at(f64::from(tick) / 10.0 - 2.0)), at(f64::from(tick) / 10.0));
        }
        let now = at(600.0);
        assert!((vitals.rate(now) - 50.0).abs() < 0.5, "{}", vitals.rate(now));
        assert_eq!(vitals.delay, Some(Duration::from_secs(2)));
        assert_eq!(vitals.received(), 30_000);
        let later = at(600.0 + 600.0);
        assert!(vitals.rate(later) < 0.01);
        assert_eq!(vitals.silence(later).unwrap().as_secs(), 600);
    }

    proptest! {
        #[test]
        fn clocks_that_jump_do_no_harm(times in proptest::collection::vec(any::<i64>(), 1..20), now: i64) {
            let mut vitals = Vitals::default();
            for time in times {
                vitals.taken(1, 1, Some(Timestamp::from_micros(time)), Timestamp::from_micros(time.wrapping_mul(3)));
            }
            let rate = vitals.rate(Timestamp::from_micros(now));
            prop_assert!(rate.is_finite() && rate >= 0.0);
        }
    }
}
