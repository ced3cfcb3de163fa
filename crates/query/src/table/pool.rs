//! Work on many things on several threads: each takes the next one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use decklog_audit::search::Stop;

use super::files::ReadFailure;

/// What failed, by the thing's index.
pub(crate) type Failures = Vec<(usize, ReadFailure)>;

/// Calls `work` with each index below `n`, and gives every thread's state with what failed.
///
/// # Errors
/// [`ReadFailure::Stopped`] if the search was stopped.
pub(crate) fn each<S: Send>(
    n_threads: usize,
    stop: &Stop,
    n: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<(), ReadFailure> + Sync,
) -> Result<(Vec<S>, Failures), ReadFailure> {
    if n == 0 {
        return if stop.is_stopped() { Err(ReadFailure::Stopped) } else { Ok((vec![state()], Vec::new())) };
    }
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let one = || {
        let (mut state, mut failures) = (state(), Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= n {
                break;
            }
            if stop.is_stopped() {
                stopped.store(true, Ordering::Relaxed);
                break;
            }
            match work(&mut state, index) {
                Ok(()) => {}
                Err(ReadFailure::Stopped) => stopped.store(true, Ordering::Relaxed),
                Err(failure) => failures.push((index, failure)),
            }
        }
        (state, failures)
    };
    // Never on the calling thread: it may belong to a runtime, which would not let it wait for another one.
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..n_threads.clamp(1, n)).map(|_| scope.spawn(one)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    if stopped.into_inner() || stop.is_stopped() {
        return Err(ReadFailure::Stopped);
    }
    let (mut states, mut failures) = (Vec::with_capacity(results.len()), Vec::new());
    for (state, failed) in results {
        states.push(state);
        failures.extend(failed);
    }
    Ok((states, failures))
}
