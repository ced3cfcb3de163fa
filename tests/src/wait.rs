//! Waiting for a condition of another process: the one place of the suites where time passes.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(20);

/// Looks at `condition` until it gives a value, at most for `patience`; panics with `what` if it never does.
pub fn until<T>(what: &str, patience: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < patience, "waited {patience:?} in vain for: {what}");
        std::thread::sleep(EVERY);
    }
}

/// Lets `duration` pass: for outages, whose length is the thing tested.
pub fn outage(duration: Duration) {
    std::thread::sleep(duration);
}
