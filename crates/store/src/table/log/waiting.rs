//! Waiting for an object store from code that is not async.

use tokio::runtime::Runtime;

use super::error::TableError;

/// Waits for calls to the store, on a runtime of its own.
///
/// It has one worker thread instead of running on the waiting one: deltalake-core blocks inside its checkpoint,
/// and a connection to S3 that only the blocked thread would serve would never answer. A runtime must not be
/// dropped by waiting in async code, so it is let go in the background.
pub(in crate::table) struct Waiting(Option<Runtime>);

impl Waiting {
    pub(super) fn start() -> Result<Self, TableError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("decklog-table").enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(TableError::Runtime)
    }

    pub(in crate::table) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("the runtime is only taken when this is dropped"),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
