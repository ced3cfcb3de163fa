//! Where imported events go: into a journal of this process, or by HTTP to a server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::intake::Form;
use decklog_audit::journal::{AppendError, Batch, Origin};
use decklog_audit::quarantine::Refused;

use super::chunk::Chunk;
use crate::metrics::{Rejected, SourceMetrics};
use crate::recorder::{Recorder, now};
use crate::split::Bad;

/// What became of the events of one load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Stored now.
    pub stored: u64,
    /// Stored before.
    pub duplicates: u64,
    /// No events: kept in the quarantine.
    pub quarantined: u64,
}

impl Delivered {
    /// Adds what became of another load.
    pub fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.duplicates += other.duplicates;
        self.quarantined += other.quarantined;
    }
}

/// Why a load was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// Worth another try in a moment.
    #[error("{0}")]
    Busy(String),
    /// The import cannot go on.
    #[error("{0}")]
    Failed(String),
}

/// A delivery under way.
pub type Delivering = Pin<Box<dyn Future<Output = Result<Delivered, DeliverError>> + Send>>;

/// Takes the pieces of files.
pub trait Delivery: Send + Sync + 'static {
    /// A chunk made ready.
    type Load: Send + 'static;

    /// Makes `chunk` ready. Only computes; several threads do it at once.
    fn prepare(&self, chunk: &Chunk) -> Self::Load;

    /// Begins to deliver. Loads are given in the order of their files and lines.
    fn deliver(&self, load: Self::Load) -> Delivering;
}

/// Into the journal and quarantine of this process.
pub struct LocalDelivery {
    recorder: Recorder,
    cluster: Arc<str>,
    metrics: SourceMetrics,
}

/// The source of imported events.
pub const SOURCE: &str = "import";

impl LocalDelivery {
    /// Events belong to `cluster`.
    pub fn new(recorder: Recorder, cluster: Arc<str>) -> Self {
        let metrics = recorder.metrics.source(SOURCE, &cluster);
        Self { recorder, cluster, metrics }
    }
}

/// See [`LocalDelivery`].
pub struct LocalLoad {
    batch: Batch,
    refused: Vec<Refused>,
}

impl Delivery for LocalDelivery {
    type Load = LocalLoad;

    fn prepare(&self, chunk: &Chunk) -> LocalLoad {
        let origin = Origin { cluster: Arc::clone(&self.cluster), source: Arc::from(SOURCE), sender: Arc::clone(&chunk.file) };
        let at = now();
        let mut batch = Batch::new(origin.clone(), at);
        let origin = Arc::new(origin);
        let mut bad: Vec<Bad> = chunk.bad.clone();
        for (bytes, form, place) in chunk.values() {
            if let Err(refusal) = self.recorder.intake.push(bytes, form, &mut batch) {
                bad.push(Bad::refused(bytes, &refusal, place));
            }
        }
        bad.sort_by_key(|bad| (bad.place.line, bad.place.item));
        let refused = bad.into_iter().map(|bad| {
            let place = chunk.place_text(bad.place);
            self.recorder.refused(bad, place, &origin, at)
        });
        LocalLoad { refused: refused.collect(), batch }
    }

    fn deliver(&self, load: LocalLoad) -> Delivering {
        let LocalLoad { batch, refused } = load;
        let metrics = self.metrics.clone();
        let quarantine = Arc::clone(&self.recorder.quarantine);
        let n_events = batch.n_records() as u64;
        let times: Vec<Timestamp> = batch.heads().iter().map(|head| head.time).collect();
        let appending = (n_events > 0).then(|| self.recorder.journal.append(batch));
        Box::pin(async move {
            let mut delivered = Delivered { quarantined: refused.len() as u64, ..Delivered::default() };
            if let Some(appending) = appending {
                let appended = appending.await.map_err(deliver_error)?;
                (delivered.stored, delivered.duplicates) = (appended.n_stored, appended.n_duplicates);
                metrics.acknowledged(appended, &times, now());
            }
            if !refused.is_empty() {
                for refused in &refused {
                    metrics.rejected(1, Rejected::from_refusal(refused.reason));
                }
                let putting = tokio::task::spawn_blocking(move || quarantine.put(refused));
                putting.await.map_err(|error| DeliverError::Failed(error.to_string()))?.map_err(deliver_error)?;
            }
            Ok(delivered)
        })
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn deliver_error(error: AppendError) -> DeliverError {
    match error {
        AppendError::Busy { .. } => DeliverError::Busy(error.to_string()),
        _ => DeliverError::Failed(error.to_string()),
    }
}

/// One request to a server's webhook receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// The body: events one a line, or an EventList.
    pub body: Vec<u8>,
    /// Whether the server may answer 400, since nothing in the body is an event.
    pub only_bad: bool,
}

/// Sends a request and reads the receiver's answer: `stored`, `duplicates` and `quarantined`. A 429 or 503 is
/// [`DeliverError::Busy`]; a 400 to a [`Post::only_bad`] body counts as one quarantined.
pub type Poster = Arc<dyn Fn(Post) -> Delivering + Send + Sync>;

/// To a server's webhook receiver.
pub struct RemoteDelivery {
    post: Poster,
}

impl RemoteDelivery {
    /// Sends by `post`, which knows the server and the credential.
    pub fn new(post: Poster) -> Self {
        Self { post }
    }
}

/// See [`RemoteDelivery`].
pub struct RemoteLoad(Vec<Post>);

impl Delivery for RemoteDelivery {
    type Load = RemoteLoad;

    fn prepare(&self, chunk: &Chunk) -> RemoteLoad {
        let mut posts: Vec<Post> = Vec::new();
        let mut lines = Vec::new();
        let mut list: Option<(String, Vec<u8>)> = None;
        let close = |list: &mut Option<(String, Vec<u8>)>, posts: &mut Vec<Post>| {
            if let Some((_, mut body)) = list.take() {
                body.extend_from_slice(b"]}");
                posts.push(Post { body, only_bad: false });
            }
        };
        for (bytes, form, _) in chunk.values() {
            match form {
                Form::Line => {
                    lines.extend_from_slice(bytes);
                    lines.push(b'\n');
                }
                Form::ListItem(version) => {
                    if list.as_ref().is_some_and(|(of, _)| of != version) {
                        close(&mut list, &mut posts);
                    }
                    let (_, body) = list.get_or_insert_with(|| {
                        let start = serde_json::json!({ "kind": "EventList", "apiVersion": version }).to_string();
                        (version.to_owned(), format!("{},\"items\":[", start.trim_end_matches('}')).into_bytes())
                    });
                    if body.last() != Some(&b'[') {
                        body.push(b',');
                    }
                    body.extend_from_slice(bytes);
                }
            }
        }
        close(&mut list, &mut posts);
        if !lines.is_empty() {
            posts.push(Post { body: lines, only_bad: false });
        }
        // Alone in a body, what is broken cannot take others with it. Of what is too large only the beginning is
        // here, and the server quarantines that.
        posts.extend(chunk.bad.iter().filter(|bad| !bad.bytes.is_empty()).map(|bad| Post { body: bad.bytes.clone(), only_bad: true }));
        RemoteLoad(posts)
    }

    fn deliver(&self, load: RemoteLoad) -> Delivering {
        let post = Arc::clone(&self.post);
        Box::pin(async move {
            let mut all = Delivered::default();
            for one in load.0 {
                all.add(post(one).await?);
            }
            Ok(all)
        })
    }
}
