//! `decklog forward`: tail, journal and webhook sink in one process.
//!
//! ```text
//! start:  data directory ─► tails ─► sender
//! stop:   tails take what is there ─► sender sends what is there, if the server takes it ─► journal closed
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::intake::Intake;
use decklog_audit::redact::Redactor;
use decklog_audit::sink::{Delivering, Sink, SinkError, SinkEvent};
use decklog_capture::tail::{Tail, TailConfig};
use decklog_capture::{CaptureMetrics, Recorder};
use decklog_deliver::webhook::{Answer, Body};
use decklog_deliver::{Runner, RunnerConfig, SinkMetrics, SinkState, SinkStatusHandle};
use decklog_server::{Check, Status};
use decklog_store::{Health, LocalJournal, LocalQuarantine, QuarantineConfig, StartFrom};
use http::header;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use super::keys::{random_bytes, redaction_key};
use super::signals::Signals;
use super::store::{journal_config, open_failure};
use crate::client::Client;
use crate::config::Config;
use crate::failure::{Exit, Failure, Failures, Outcome};

/// The sink's name, which the reader of the journal has too.
const SINK: &str = "forward";
/// An answer has to come within this time: the server answers every body within 20 s of its last byte.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// What is forwarded, and how.
pub(crate) struct ForwardConfig {
    /// The logs.
    pub(crate) tails: Vec<PathBuf>,
    /// The source's name at the server.
    pub(crate) source: Arc<str>,
    /// Whether credentials are hidden here.
    pub(crate) has_redaction_key: bool,
    /// Where health and metrics are told.
    pub(crate) status_listen: Option<SocketAddr>,
    /// Data directory, journal, redaction, time to stop.
    pub(crate) settings: Config,
}

/// Makes a connection anew, with what the files say now.
pub(crate) type Connect = Box<dyn Fn() -> Result<Client, Failure> + Send + Sync>;

/// Forwards until a signal.
pub(crate) async fn forward(config: ForwardConfig, client: Client, connect: Connect, say: &dyn Fn(&str)) -> Outcome {
    let mut signals = Signals::new()?;
    let settings = Arc::new(config.settings.clone());
    let listener = match config.status_listen {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
            Failure::failed("listen", format!("cannot listen on {address}: {}", error.to_string().to_lowercase())).help("choose another --status-listen")
        })?),
        None => None,
    };
    let (journal, recorder) = {
        let (settings, has_key) = (Arc::clone(&settings), config.has_redaction_key);
        spawn_blocking(move || open(&settings, has_key)).await.map_err(|error| Failure::failed("store", format!("recovery broke: {error}")))??
    };
    let reader = journal.reader(SINK, StartFrom::Earliest).map_err(|error| Failure::failed("journal", error.to_string()))?;
    let to = client.base().to_owned();
    announce(&config, &to, say);

    let metrics = SinkMetrics::default();
    let (stop_tails, tails_stopped) = watch::channel(false);
    let (stop_sender, mut sender_stopped) = watch::channel(false);
    let status = SinkStatusHandle::default();
    if let Some(listener) = listener {
        tokio::spawn(status_page(&journal, &recorder, &metrics, status.clone()).serve(listener));
    }
    let mut tails = start_tails(&config, &recorder, &tails_stopped);
    let runner = Runner {
        config: RunnerConfig::new(SINK),
        journal: Arc::clone(&journal) as _,
        quarantine: Arc::clone(&recorder.quarantine),
        sink: Arc::new(Post { path: format!("/ingest/webhook/{}", config.source), client: Mutex::new(client), connect }),
        metrics,
        now: || Timestamp::from_system(std::time::SystemTime::now()),
        chance: || random_bytes().map_or(0, |bytes| u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default())),
    };
    let mut sender = tokio::spawn(runner.run(Box::new(reader), status.clone(), async move {
        let _ = sender_stopped.wait_for(|stopped| *stopped).await;
    }));

    signals.next().await;
    let deadline = tokio::time::Instant::now() + settings.server.stop_timeout;
    let stopping = async {
        stop_tails.send_replace(true);
        let all_ended = async { while tails.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, all_ended).await.is_err() {
            tracing::warn!("a tail did not stop in time; it goes on behind the last durable line at the next start");
            tails.shutdown().await;
        }
        stop_sender.send_replace(true);
        if tokio::time::timeout_at(deadline, &mut sender).await.is_err() {
            sender.abort();
        }
        let waiting = journal.stats().next_seq.saturating_sub(status.get().position);
        if waiting > 0 {
            tracing::warn!(records = waiting, to, "stopped before the server had everything: the rest is sent after the next start");
        }
        drop(spawn_blocking(move || journal.close()).await);
    };
    tokio::select! {
        () = stopping => Ok(Exit::Done),
        _ = signals.next() => Err(Failures::from(Failure::new(Exit::Interrupted, "interrupted", "ended at once by a second signal"))),
    }
}

/// Opens the data directory and recovers what a crash left; blocks on the disk.
fn open(settings: &Config, has_key: bool) -> Result<(Arc<LocalJournal>, Recorder), Failures> {
    let data_dir = &settings.data_dir;
    let config = decklog_store::JournalConfig { max_size: Some(0), ..journal_config(settings, SINK) };
    let journal = Arc::new(LocalJournal::open(data_dir, config).map_err(|error| open_failure(&error, data_dir))?);
    let quarantine = LocalQuarantine::open(data_dir, QuarantineConfig::default()).map_err(|error| open_failure(&error, data_dir))?;
    let redactor = match has_key {
        true => Some(Arc::new(Redactor::new(existing_key(settings)?))),
        false => None,
    };
    let max_event_bytes = usize::try_from(settings.journal.max_event_size.0).unwrap_or(usize::MAX);
    let recorder = Recorder {
        intake: Arc::new(Intake { redactor, max_event_bytes }),
        journal: Arc::clone(&journal) as _,
        quarantine: Arc::new(quarantine),
        metrics: CaptureMetrics::default(),
    };
    Ok((journal, recorder))
}

/// The server's key. One that is not there is not made: hidden with another key, equal values would not be equal.
fn existing_key(settings: &Config) -> Result<decklog_audit::redact::RedactionKey, Failure> {
    let path = settings.redaction_key_file();
    if matches!(path.try_exists(), Ok(false)) {
        let failure = Failure::usage("redaction-key", format!("there is no redaction key `{}`", path.display()));
        return Err(failure.help("copy the server's (redaction.key in its data directory), or leave --redaction-key-file out: then the server redacts"));
    }
    redaction_key(&path)
}

fn announce(config: &ForwardConfig, to: &str, say: &dyn Fn(&str)) {
    let settings = &config.settings;
    if !config.has_redaction_key {
        tracing::warn!(data_dir = %settings.data_dir.display(), "no --redaction-key-file: credentials wait in the data directory as they come, and the server hides them");
    }
    if settings.log.format == crate::config::LogFormat::Json {
        tracing::info!(to, source = %config.source, data_dir = %settings.data_dir.display(), "forwarding");
        return;
    }
    let mut text = format!("decklog {} forwards to {to} (source {})\n  data      {}\n", env!("CARGO_PKG_VERSION"), config.source, settings.data_dir.display());
    if let Some(address) = config.status_listen {
        text.push_str(&format!("  status    http://{address}/readyz?verbose\n"));
    }
    for path in &config.tails {
        text.push_str(&format!("  tail      {}\n", path.display()));
    }
    say(text.trim_end());
}

fn start_tails(config: &ForwardConfig, recorder: &Recorder, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for path in &config.tails {
        let tail = Tail::new(
            recorder.clone(),
            TailConfig {
                path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
                source: Arc::clone(&config.source),
                cluster: Arc::from(config.settings.cluster.as_str()),
            },
        );
        let mut stopped = stopped.clone();
        running.spawn(tail.run(async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
    }
    running
}

/// Health and metrics.
fn status_page(journal: &Arc<LocalJournal>, recorder: &Recorder, metrics: &SinkMetrics, status: SinkStatusHandle) -> Status {
    let mut registry = Registry::default();
    journal.metrics().register(&mut registry);
    recorder.metrics.register(&mut registry);
    metrics.register(&mut registry);
    let journal = Arc::clone(journal);
    let writable = Check::new("journal", move || match journal.health() {
        Health::Writable => Ok(()),
        Health::Refusing { error, .. } => Err(error.to_string()),
    });
    // A server that is away is no reason to restart or to unroute this process: it does what it is there for.
    let server = Check::new("server", move || match status.get().state {
        SinkState::Ready => Ok(()),
        SinkState::Backoff { reason, n_failures } => Err(format!("{reason} ({n_failures} tries)")),
    });
    Status { build: super::build(), checks: vec![writable, server], registry }
}

/// The server's webhook receiver as a sink.
struct Post {
    path: String,
    client: Mutex<Client>,
    connect: Connect,
}

impl Sink for Post {
    fn deliver<'a>(&'a self, events: &'a [SinkEvent]) -> Delivering<'a> {
        Box::pin(async move {
            let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Body { bytes, encoding } = Body::of(events);
            let mut headers = vec![(header::CONTENT_TYPE, "application/x-ndjson")];
            headers.extend(encoding.map(|encoding| (header::CONTENT_ENCODING, encoding)));
            let posting = client.exchange(&self.path, &headers, bytes.into());
            let later = |reason: String| SinkError::Later { reason, after: None };
            let answered = tokio::time::timeout(ANSWER_WITHIN, posting).await;
            let answered = answered.unwrap_or_else(|_| Err(Failure::failed("slow", format!("no answer within {} s", ANSWER_WITHIN.as_secs()))));
            let (parts, body) = match answered {
                Ok(answer) => answer,
                Err(failure) => {
                    self.reconnect();
                    return Err(later(failure.message));
                }
            };
            if matches!(parts.status.as_u16(), 401 | 403) {
                self.reconnect();
            }
            let text = |name| parts.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
            let retry_after = text(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
            Answer { status: parts.status.as_u16(), retry_after, content_type: text(header::CONTENT_TYPE).unwrap_or_default(), body: &body }
                .outcome(events.len())
        })
    }
}

impl Post {
    /// Reads token, certificates and authorities again: they may have been renewed.
    fn reconnect(&self) {
        match (self.connect)() {
            Ok(client) => *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client,
            Err(failure) => tracing::warn!(reason = failure.message, "the credentials cannot be read again; the former ones are used"),
        }
    }
}
