//! A token bucket: so many at once, so many a second on average. Pure.
//!
//! Source of the behaviour: `k8s.io/client-go/util/flowcontrol` and `golang.org/x/time/rate`.

use std::time::Duration;

/// The bucket; it begins full.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    per_second: f64,
    burst: f64,
    tokens: f64,
    /// When `tokens` was right, since some beginning.
    at: Duration,
}

impl Throttle {
    /// `burst` at once, `per_second` on average; both are positive.
    #[must_use]
    pub fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst: f64::from(burst), tokens: f64::from(burst), at: Duration::ZERO }
    }

    /// Takes a token, at `now` since the beginning, and says how long to wait for it.
    pub fn take(&mut self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst) - 1.0;
        self.at = self.at.max(now);
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::try_from_secs_f64(-self.tokens / self.per_second).unwrap_or(Duration::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_then_the_average_holds() {
        let mut throttle = Throttle::new(10.0, 15);
        let start = Duration::from_secs(5);
        let waits: Vec<u128> = (0..18).map(|_| throttle.take(start).as_millis()).collect();
        assert_eq!(waits[..15], [0; 15]);
        assert_eq!(waits[15..], [100, 200, 300]);
        assert_eq!(throttle.take(start + Duration::from_secs(60)), Duration::ZERO);
    }
}
