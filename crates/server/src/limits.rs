//! How much one identity may ask for, and all together: rates, searches at once, tails.
//!
//! | bound | full means |
//! | --- | --- |
//! | reads a second | refused: 429 with `Retry-After` |
//! | searches at once of one identity, of all | wait [`LimitsConfig::queue`], then 429, 503 |
//! | tails of one identity | refused: 429 |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decklog_audit::access::Identity;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::problem::{Problem, ProblemKind};

/// How much is allowed. The defaults are those of `docs/api.md`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitsConfig {
    /// Requests to `/api` a second, of one identity.
    pub reads_per_second: f64,
    /// How many of them may come at once.
    pub read_burst: f64,
    /// Searches at once of one identity.
    pub queries_per_identity: usize,
    /// Searches at once.
    pub queries: usize,
    /// How long a search waits for its turn.
    pub queue: Duration,
    /// How long a search may take before a page is given up.
    pub query_timeout: Duration,
    /// How long a client may leave a stream unread before its search is stopped.
    pub stalled: Duration,
    /// Tails at once of one identity.
    pub tails_per_identity: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            reads_per_second: 20.0,
            read_burst: 40.0,
            queries_per_identity: 4,
            queries: 8,
            queue: Duration::from_secs(5),
            query_timeout: Duration::from_secs(30),
            stalled: Duration::from_secs(60),
            tails_per_identity: 16,
        }
    }
}

/// Counts what is under way. Identities are names of the tokens file, of certificates, and of Kubernetes' users who may read:
/// their number is bounded by who was given a right.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) config: LimitsConfig,
    queries: Arc<Semaphore>,
    identities: Mutex<HashMap<Arc<str>, PerIdentity>>,
}

#[derive(Debug)]
struct PerIdentity {
    bucket: Bucket,
    queries: Arc<Semaphore>,
    tails: Arc<Semaphore>,
}

/// A search's place among those at once; given back when dropped.
#[derive(Debug)]
pub(crate) struct QueryPermit {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Limits {
    pub(crate) fn new(config: LimitsConfig) -> Self {
        Self { config, queries: Arc::new(Semaphore::new(config.queries)), identities: Mutex::default() }
    }

    /// Counts one read.
    pub(crate) fn read(&self, identity: &Identity, now: Instant) -> Result<(), Problem> {
        let config = self.config;
        self.of(identity, now, |own| own.bucket.take(config.reads_per_second, config.read_burst, now)).map_err(|wait| {
            let detail = format!("`{}` may read {} times a second", identity.name, config.reads_per_second);
            Problem::new(ProblemKind::RateLimited, detail).retry_after(wait.as_secs_f64().ceil().max(1.0) as u32)
        })
    }

    /// Waits for a search's turn.
    pub(crate) async fn query(&self, identity: &Identity) -> Result<QueryPermit, Problem> {
        let own = self.of(identity, Instant::now(), |own| own.queries.clone());
        let deadline = Instant::now() + self.config.queue;
        let waited = |result: Result<_, _>| result.ok().and_then(Result::ok);
        let own = waited(timeout(self.config.queue, own.acquire_owned()).await).ok_or_else(|| {
            let detail = format!("`{}` has {} searches under way, as many as it may", identity.name, self.config.queries_per_identity);
            Problem::new(ProblemKind::RateLimited, detail).retry_after(2)
        })?;
        let all = waited(tokio::time::timeout_at(deadline, self.queries.clone().acquire_owned()).await).ok_or_else(|| {
            Problem::new(ProblemKind::Unavailable, format!("{} searches are under way, as many as this server does at once", self.config.queries))
                .retry_after(2)
        })?;
        Ok(QueryPermit { _own: own, _all: all })
    }

    /// Takes a tail's place.
    pub(crate) fn tail(&self, identity: &Identity) -> Result<OwnedSemaphorePermit, Problem> {
        let tails = self.of(identity, Instant::now(), |own| own.tails.clone());
        tails.try_acquire_owned().map_err(|_| {
            let detail = format!("`{}` has {} tails open, as many as it may", identity.name, self.config.tails_per_identity);
            Problem::new(ProblemKind::RateLimited, detail).retry_after(5)
        })
    }

    fn of<T>(&self, identity: &Identity, now: Instant, look: impl FnOnce(&mut PerIdentity) -> T) -> T {
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let own = identities.entry(identity.name.clone()).or_insert_with(|| PerIdentity {
            bucket: Bucket { tokens: self.config.read_burst, filled_at: now },
            queries: Arc::new(Semaphore::new(self.config.queries_per_identity)),
            tails: Arc::new(Semaphore::new(self.config.tails_per_identity)),
        });
        look(own)
    }
}

/// A token bucket: fills at a rate up to a burst, each read takes one.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// Takes one, or tells how long until there is one.
    fn take(&mut self, rate: f64, burst: f64, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(burst);
        self.filled_at = now;
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity { name: name.into(), scopes: Vec::new(), source: None, cluster: None, peer: "".into() }
    }

    #[test]
    fn a_burst_then_the_rate_each_for_itself() {
        let limits = Limits::new(LimitsConfig::default());
        let (carol, bob) = (identity("carol"), identity("bob"));
        let start = Instant::now();
        let taken = |who: &Identity, seconds| (0..100).filter(|_| limits.read(who, start + Duration::from_secs(seconds)).is_ok()).count();
        assert_eq!((taken(&carol, 0), taken(&carol, 0), taken(&bob, 0)), (40, 0, 40));
        assert_eq!((taken(&carol, 1), taken(&carol, 61)), (20, 40));
        let problem = limits.read(&carol, start + Duration::from_secs(61)).unwrap_err();
        assert_eq!((problem.kind, problem.retry_after), (ProblemKind::RateLimited, Some(1)));
    }

    #[tokio::test]
    async fn searches_wait_for_their_turn_and_are_then_refused() {
        let limits = Limits::new(LimitsConfig { queries_per_identity: 2, queries: 3, queue: Duration::from_millis(5), ..LimitsConfig::default() });
        let (carol, bob) = (identity("carol"), identity("bob"));
        let held = [limits.query(&carol).await.unwrap(), limits.query(&carol).await.unwrap()];
        assert_eq!(limits.query(&carol).await.unwrap_err().kind, ProblemKind::RateLimited);
        let third = limits.query(&bob).await.unwrap();
        assert_eq!(limits.query(&bob).await.unwrap_err().kind, ProblemKind::Unavailable);
        drop(third);
        limits.query(&bob).await.unwrap();
        drop(held);
        limits.query(&carol).await.unwrap();
    }

    #[tokio::test]
    async fn tails_are_counted() {
        let limits = Limits::new(LimitsConfig::default());
        let held: Vec<_> = (0..16).map(|_| limits.tail(&identity("carol")).unwrap()).collect();
        assert_eq!(limits.tail(&identity("carol")).unwrap_err().kind, ProblemKind::RateLimited);
        assert!(limits.tail(&identity("bob")).is_ok());
        drop(held);
        assert!(limits.tail(&identity("carol")).is_ok());
    }
}
