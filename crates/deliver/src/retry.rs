//! How long to wait before the same batch is sent again: twice as long each time, up to a bound, and a little different
//! for each sender, so that those who lost a server together do not come back together.

use std::time::Duration;

/// The bounds of pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// After the first failure.
    pub first: Duration,
    /// However many there were.
    pub longest: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { first: Duration::from_millis(200), longest: Duration::from_secs(30) }
    }
}

impl RetryConfig {
    /// The pause after `n_failures` in a row (at least 1). `asked` is what the other side wants, which counts where it is
    /// longer, up to ten times the longest pause. `chance` is any random number: the pause lies between 75 % and 100 % of
    /// what it would be, or between 100 % and 125 % of what was asked for.
    pub fn pause(&self, n_failures: u32, asked: Option<Duration>, chance: u64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(n_failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let own = doubled.min(self.longest);
        // In 1/1024 of a quarter, so that the division is exact.
        let part = |whole: Duration| whole / 4096 * (chance % 1024) as u32;
        let own = own - part(own);
        let asked = asked.map_or(Duration::ZERO, |asked| asked.min(self.longest.saturating_mul(10)));
        own.max(asked + part(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let config = RetryConfig { first: Duration::from_secs(1), longest: Duration::from_secs(5) };
        let pauses: Vec<u64> = (1..6).map(|n_failures| config.pause(n_failures, None, 0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        assert_eq!(config.pause(1, Some(Duration::from_secs(3)), 0), Duration::from_secs(3));
        assert_eq!(config.pause(9, Some(Duration::from_secs(3)), 0), Duration::from_secs(5));
        assert_eq!(config.pause(1, Some(Duration::from_secs(86_400)), 0), Duration::from_secs(50), "nobody may send us to sleep for a day");
    }

    proptest! {
        #[test]
        fn a_pause_is_never_outside_its_bounds(n_failures in any::<u32>(), asked in proptest::option::of(0_u64..1_000_000), chance: u64) {
            let config = RetryConfig::default();
            let asked = asked.map(Duration::from_millis);
            let pause = config.pause(n_failures, asked, chance);
            prop_assert!(pause >= config.first * 3 / 4);
            prop_assert!(pause >= asked.unwrap_or_default().min(config.longest * 10));
            prop_assert!(pause <= (config.longest * 10).mul_f64(1.25));
        }
    }
}
