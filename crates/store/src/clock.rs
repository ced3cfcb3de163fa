//! Time, as an argument: when records came in and were removed, and how long to wait before trying again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use decklog_audit::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back.
    fn uptime(&self) -> Duration;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_system(std::time::SystemTime::now())
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock for tests that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    elapsed: Mutex<Duration>,
}

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    /// 2026-01-01T00:00:00Z and what passed since.
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.uptime().as_micros()).unwrap_or(i64::MAX / 2);
        Timestamp::from_micros(1_767_225_600_000_000_i64.saturating_add(micros))
    }

    fn uptime(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
