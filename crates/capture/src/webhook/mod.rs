//! The webhook receiver: `POST /ingest/webhook/{source}` takes what kube-apiserver's webhook backend sends.
//!
//! `decklog-server` joins [`routes`] behind its access layer, which says who sends by an `Identity`; the
//! credential decides source and cluster, the URL only where the credential leaves it open.
//!
//! The answers follow from what kube-apiserver does with them (architecture decision 5). It tries a batch five
//! times over 81 to 97 s and then loses it; only a 429 or 503 with `Retry-After` is waited out longer. So:
//!
//! | answer | when |
//! | --- | --- |
//! | 200 | every event is durable (or a duplicate of a durable one), everything else is in the quarantine |
//! | 400 | there is no EventList nor event in it at all, or it cannot be unpacked; the body is in the quarantine |
//! | 403 | the credential may not send, or not for this source |
//! | 408 | the sender stopped in the middle; nothing was stored |
//! | 413 | above 1 GiB, or a decompression bomb |
//! | 415 | a `Content-Encoding` other than gzip and zstd |
//! | 429 | too much is under way; `Retry-After: 2` |
//! | 503 | journal or quarantine cannot write; `Retry-After: 2` |
//!
//! A body is read as a stream, item by item. A small one becomes one batch; a large one is staged in parts and
//! becomes durable as a whole at its end. Of a body that breaks off, nothing stays.

mod collect;
mod inflate;
mod problem;
mod receive;
mod sources;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use tokio::sync::Semaphore;

use crate::recorder::Recorder;
use sources::SourceNames;
pub use sources::is_source_name;
use status::Statuses;
pub use status::WebhookStatus;

/// Bounds of the receiver. The defaults are for production; tests make them small.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// The cluster of events whose credential names none.
    pub cluster: Arc<str>,
    /// The longest body taken. kube-apiserver's can reach 400 events of several MB; there must be no limit
    /// that one of its batches meets.
    pub max_body_bytes: u64,
    /// Bodies whose events take more than this are staged in parts of this size.
    pub batch_bytes: usize,
    /// Memory for bodies under way, all requests together.
    pub memory_bytes: usize,
    /// How long a request waits for its part of that memory.
    pub memory_patience: Duration,
    /// How long a sender may send nothing.
    pub idle: Duration,
    /// What a sender must reach on average once [`ReceiverConfig::idle`] has passed, in bytes a second.
    pub min_bytes_per_second: u64,
    /// How long the answer may wait for the disk; kube-apiserver gives up after 30 s and sends again.
    pub disk_patience: Duration,
    /// How many different source names URLs may bring up.
    pub max_url_sources: usize,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            cluster: Arc::from("default"),
            max_body_bytes: 1 << 30,
            batch_bytes: 4 << 20,
            memory_bytes: 512 << 20,
            memory_patience: Duration::from_secs(5),
            idle: Duration::from_secs(10),
            min_bytes_per_second: 1024,
            disk_patience: Duration::from_secs(18),
            max_url_sources: 256,
        }
    }
}

/// The receiver's state, shared by all requests.
#[derive(Clone)]
pub struct Receiver(Arc<Shared>);

struct Shared {
    recorder: Recorder,
    config: ReceiverConfig,
    /// One permit is a KiB.
    memory: Arc<Semaphore>,
    sources: SourceNames,
    statuses: Statuses,
}

impl Receiver {
    /// A receiver that hands events to `recorder`.
    pub fn new(recorder: Recorder, config: ReceiverConfig) -> Self {
        let memory = Arc::new(Semaphore::new(config.memory_bytes / 1024));
        let sources = SourceNames::new(config.max_url_sources);
        Self(Arc::new(Shared { recorder, config, memory, sources, statuses: Statuses::default() }))
    }

    /// How each source that has sent something stands.
    pub fn statuses(&self) -> BTreeMap<Arc<str>, WebhookStatus> {
        self.0.statuses.all()
    }
}

/// The route `POST /ingest/webhook/{source}`. Requests need an `Extension<Identity>`.
pub fn routes(receiver: Receiver) -> Router {
    Router::new().route("/ingest/webhook/{source}", post(receive::receive)).with_state(receiver)
}
