//! Several backends: all are called, in their order, and all must store an event for it to be stored.

use std::sync::Arc;

use decklog_audit::backend::{Backend, Emitted, Processed, Processing, Stopping};

/// One after the other.
pub struct Union(pub Vec<Arc<dyn Backend>>);

impl std::fmt::Display for Union {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "union[{}]", names.join(","))
    }
}

impl Backend for Union {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        let mut processed = Processed::Stored;
        let mut waits = Vec::new();
        for backend in &self.0 {
            match backend.process(events) {
                Processing::Done(done) => processed = processed.and(done),
                Processing::Later(waiting) => waits.push(waiting),
            }
        }
        if waits.is_empty() {
            return Processing::Done(processed);
        }
        Processing::Later(Box::pin(async move {
            for waiting in waits {
                processed = processed.and(waiting.await);
            }
            processed
        }))
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            for backend in &self.0 {
                backend.stop().await;
            }
        })
    }
}
