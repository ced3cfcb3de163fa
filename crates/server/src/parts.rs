//! What the binary hands to the server once the journal is open: the seams, and plain data for lists.

use std::ops::ControlFlow;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::Journal;
use decklog_audit::redact::Redactor;
use decklog_audit::search::Searcher;
use prometheus_client::registry::Registry;
use serde::Serialize;

/// Everything behind the routes.
pub struct Parts {
    /// Where marks go, and what tails wait on.
    pub journal: Arc<dyn Journal>,
    /// Answers searches.
    pub searcher: Arc<dyn Searcher>,
    /// Routes of other rooms. They sit behind the access layer: paths below `/ingest` need the scope `send`,
    /// others `read`. They must have no fallback of their own.
    pub routers: Vec<axum::Router>,
    /// Tells what sources there are; quick, does not block.
    pub sources: Arc<dyn Fn() -> Vec<SourceStatus> + Send + Sync>,
    /// Looks into the quarantine.
    pub quarantine: Arc<dyn QuarantineView>,
    /// What readiness depends on.
    pub checks: Vec<Check>,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// The time of day.
    pub clock: Clock,
    /// Takes credentials out of what marks say of a filter; `None` where redaction is off.
    pub redactor: Option<Arc<Redactor>>,
}

/// Gives the time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One thing that must hold for the server to be ready.
pub struct Check {
    name: &'static str,
    run: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Check {
    /// A check of that name (lower case, dashes). `run` is quick, does not block, and gives the reason for
    /// those who operate decklog when it fails.
    pub fn new(name: &'static str, run: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it holds now.
    ///
    /// # Errors
    /// The reason why it does not.
    pub fn run(&self) -> Result<(), String> {
        (self.run)()
    }
}

/// One source, as `/api/v1/sources` lists it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// `webhook`, `tail`, `import` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The cluster its events belong to.
    pub cluster: String,
    /// One word: `active`, `silent` (nothing came for ten minutes), `waiting` (nothing yet), `failed`.
    pub state: String,
    /// Why it is in that state, if there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The file it follows or the path it is sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Events that arrived since the start.
    pub received: u64,
    /// Events that are durable.
    pub acknowledged: u64,
    /// Events left out, since they were there.
    pub duplicates: u64,
    /// Events not taken.
    pub rejected: u64,
    /// The newest event's time, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event: Option<String>,
    /// When something of it was taken last, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_arrival: Option<String>,
    /// Events a second, lately.
    pub events_per_second: f64,
    /// From the newest event's time to its being safe, of the last delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<f64>,
    /// How long nothing has come of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<f64>,
    /// Bytes of its file that are still to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
}

/// One item in the quarantine, without its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineItem {
    /// Names it in the quarantine.
    pub id: String,
    /// When it came, RFC 3339.
    pub at: String,
    /// The source it came from.
    pub source: String,
    /// The source's cluster.
    pub cluster: String,
    /// Who sent it.
    pub sender: String,
    /// Where in its file or body it stood.
    pub place: String,
    /// One word: `malformed`, `too_large`.
    pub reason: String,
    /// What is wrong, for people.
    pub detail: String,
    /// How many bytes it had.
    pub size: u64,
    /// How many of them are kept.
    pub kept: u64,
}

/// What to show of the quarantine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuarantineRequest {
    /// Only items of this source.
    pub source: Option<String>,
    /// The newest this many; `None` is all.
    pub limit: Option<usize>,
}

/// The quarantine from the side of those who look into it. Blocking: it is called on a thread that may wait.
pub trait QuarantineView: Send + Sync {
    /// Hands out items with their bytes, oldest first, until `found` breaks; gives how many match, handed
    /// out or not.
    ///
    /// # Errors
    /// What could not be read, for the log.
    fn read(&self, request: &QuarantineRequest, found: &mut dyn FnMut(&QuarantineItem, &[u8]) -> ControlFlow<()>) -> Result<u64, String>;
}
