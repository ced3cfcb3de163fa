//! Those who wait for new records (`Journal::wait_beyond`): woken by the writer, or when their patience is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[derive(Default)]
struct Slot {
    value: Option<u64>,
    waker: Option<Waker>,
    is_dropped: bool,
}

struct Waiter {
    beyond: u64,
    until: Duration,
    slot: Arc<Mutex<Slot>>,
}

/// All who wait.
#[derive(Default)]
pub(crate) struct Waiting {
    waiters: Vec<Waiter>,
}

impl Waiting {
    /// Adds one who waits until `next_seq` is above `beyond`, at longest until the uptime `until`.
    pub(crate) fn add(&mut self, beyond: u64, until: Duration) -> Wait {
        let slot = Arc::<Mutex<Slot>>::default();
        self.waiters.push(Waiter { beyond, until, slot: Arc::clone(&slot) });
        Wait(slot)
    }

    /// Wakes those who waited long enough or have something to read.
    pub(crate) fn wake(&mut self, next_seq: u64, now: Duration) {
        self.waiters.retain(|waiter| {
            let mut slot = waiter.slot.lock().unwrap_or_else(PoisonError::into_inner);
            if next_seq > waiter.beyond || now >= waiter.until {
                slot.value = Some(next_seq);
                if let Some(waker) = slot.waker.take() {
                    drop(slot);
                    waker.wake();
                }
                return false;
            }
            !slot.is_dropped
        });
    }

    /// When the next patience is over.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.waiters.iter().map(|waiter| waiter.until).min()
    }
}

/// One who waits.
pub(crate) struct Wait(Arc<Mutex<Slot>>);

impl Future for Wait {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.value {
            Some(value) => Poll::Ready(value),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_dropped = true;
    }
}
