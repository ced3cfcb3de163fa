//! Threads for searches: each its own, and behind everything that takes events in.
//!
//! A search may keep every core busy for half a minute. Its threads, and those it starts, get less of a core than
//! the threads that acknowledge events as soon as both want it: kube-apiserver gives up a batch that waits too long, a reader
//! waits a little longer. The number of these threads is bounded by the permits that their callers hold.

use tokio::sync::oneshot;

/// The thread's nice value: about a tenth of the share of one that has the default.
const NICE: i32 = 10;

/// The work did not end by itself: it panicked, or its thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(String);

/// Does `work` on a thread of its own, whether or not anybody waits for what it gives.
pub(crate) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = Result<T, Broken>> + Send {
    let (sender, receiver) = oneshot::channel();
    let started = std::thread::Builder::new().name("search".to_owned()).spawn(move || {
        lower_priority();
        // Whoever waited may be gone.
        let _ = sender.send(work());
    });
    async move {
        started.map_err(|error| Broken(format!("no thread for a search: {error}")))?;
        receiver.await.map_err(|_| Broken("a search panicked; the log says where".to_owned()))
    }
}

/// Puts the calling thread behind those of the intake. Threads that it starts are as low.
pub fn lower_priority() {
    let present = rustix::process::getpriority_process(None).unwrap_or(0);
    if present < NICE {
        // On Linux this is the calling thread alone. Where it is refused, searches are as before.
        let _ = rustix::process::setpriority_process(None, NICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_at_a_lower_priority_and_a_panic_is_told() {
        let here = rustix::process::getpriority_process(None).unwrap();
        let there = run(|| rustix::process::getpriority_process(None).unwrap()).await.unwrap();
        assert_eq!(there, here.max(NICE));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), here, "only the thread of the search");
        let broken = run(|| -> u8 { panic!("as told") }).await.unwrap_err();
        assert!(broken.to_string().contains("panicked"), "{broken}");
    }
}
