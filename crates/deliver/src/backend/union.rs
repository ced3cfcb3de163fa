//! Several backends: all are called, in their order, and all must store an event for it to be stored.

use std::sync::Arc;

use decklog_audit::backend::{Backend, Emitted, Processing, Stopping};

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
        Processing::all(self.0.iter().map(|backend| backend.process(events)))
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            for backend in &self.0 {
                backend.stop().await;
            }
        })
    }
}
