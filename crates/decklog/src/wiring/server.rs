//! `decklog serve`: the start and stop order.
//!
//! ```text
//! start:  configuration ─► access ─► listener (health only) ─► store recovered ─► parts handed over ─► tails
//! stop:   tails take what is there ─► listener closed, requests finish ─► marks in the journal ─► what waits into the table ─► journal closed
//! ```
//!
//! The listener is first, so that kube-apiserver meets a 503 with `Retry-After` and not a refused connection
//! while the journal is recovered. The journal closes last: everything before may still write to it.

use std::sync::Arc;
use std::time::Instant;

use decklog_audit::Timestamp;
use decklog_audit::search::{SearchError, Searcher};
use decklog_capture::tail::{Tail, TailConfig};
use decklog_capture::webhook::{Receiver, ReceiverConfig, routes};
use decklog_server::{AccessConfig, Check, Parts, Sender, Server, ServerConfig, ServerMetrics, SessionToken, Tls, TlsConfig, hash_token};
use decklog_store::Health;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use super::keys::{cursor_key, keep_cursor_key, random_bytes};
use super::quarantine::QuarantineFiles;
use super::reviews::reviewer;
use super::signals::Signals;
use super::sources::{Tails, source_lister};
use super::store::Store;
use super::table::{LateSearcher, searcher_of};
use crate::config::{Config, LogFormat, RedactMode, SourceKind};
use crate::failure::{Exit, Failure, Failures, Outcome};

/// Serves until a signal.
pub(crate) async fn serve(config: Config, say: &dyn Fn(&str)) -> Outcome {
    let mut signals = Signals::new()?;
    let tls = tls(&config)?;
    let senders = senders(&config)?;
    // Where credentials are set up, the printed link would be one more, in whatever collects our stderr.
    let reviewer = reviewer(&config)?;
    let has_credentials = config.server.tokens_file.is_some() || !senders.is_empty() || reviewer.is_some() || config.server.tls.client_ca_file.is_some();
    let session = if has_credentials { None } else { Some(SessionToken::new(random_bytes()?)) };
    let address = config.server.listen;
    let listener = TcpListener::bind(address).await.map_err(|error| listen_failure(&error, address))?;
    let address = listener.local_addr().map_err(|error| listen_failure(&error, address))?;
    let link = session.as_ref().map(|session| if tls.is_some() { session.tls_link(address) } else { session.link(address) });
    let access = AccessConfig { tokens_file: config.server.tokens_file.clone(), senders, session, reviewer }
        .build()
        .map_err(|error| Failure::usage("tokens-file", error.to_string()))?;

    let mut registry = Registry::default();
    let metrics = ServerMetrics::register(&mut registry, super::build());
    let cursor_key = cursor_key(&config.data_dir)?;
    let serving = ServerConfig { tls, ..ServerConfig::new(cursor_key) };
    let server = Server::start(listener, serving, access, metrics).map_err(|error| Failure::usage("listen", error.to_string()))?;
    announce(&config, address, link.as_deref(), say);

    let config = Arc::new(config);
    let opening = {
        let config = Arc::clone(&config);
        spawn_blocking(move || Store::open(&config))
    };
    let store = tokio::select! {
        opened = opening => opened.map_err(|error| Failure::failed("store", format!("recovery broke: {error}")))??,
        exit = signals.next() => {
            server.stop(config.server.stop_timeout).await;
            return Ok(exit);
        }
    };
    keep_cursor_key(&config.data_dir, &cursor_key);
    let (stop_tails, tails_stopped) = watch::channel(false);
    let (mut tails, statuses) = start_tails(&config, &store, &tails_stopped);
    server.hand_over(parts(&config, &store, registry, statuses)?);
    store.table.keep_trying();
    tracing::info!(%address, data_dir = %config.data_dir.display(), next_seq = store.journal.stats().next_seq, "ready");

    signals.next().await;
    let deadline = config.server.stop_timeout;
    tracing::info!(seconds = deadline.as_secs_f64(), "stopping: a second signal ends at once");
    let began = Instant::now();
    let stopping = async {
        stop_tails.send_replace(true);
        server.announce_stop();
        if tokio::time::timeout(deadline, async { while tails.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("a tail did not stop in time; it goes on behind the last durable line at the next start");
            tails.shutdown().await;
        }
        let stopped = server.stop(deadline.saturating_sub(began.elapsed())).await;
        if stopped.n_cut > 0 {
            tracing::warn!(connections = stopped.n_cut, "requests were cut at the deadline");
        }
        drop(spawn_blocking(move || store.close()).await);
    };
    tokio::select! {
        () = stopping => {
            tracing::info!(seconds = began.elapsed().as_secs_f64(), "stopped");
            // A server that was asked to stop and did so has done its work, whichever the signal.
            Ok(Exit::Done)
        }
        _ = signals.next() => Err(Failures::from(Failure::new(Exit::Interrupted, "interrupted", "ended at once by a second signal"))),
    }
}

/// TLS, if the configuration names its files. That they belong together was checked with it.
fn tls(config: &Config) -> Result<Option<Tls>, Failure> {
    let files = &config.server.tls;
    let (Some(cert_file), Some(key_file)) = (&files.cert_file, &files.key_file) else { return Ok(None) };
    let tls = TlsConfig { client_ca_file: files.client_ca_file.clone(), ..TlsConfig::new(cert_file.clone(), key_file.clone()) };
    tls.open().map(Some).map_err(|error| Failure::usage("tls", error.to_string()))
}

/// The credentials of single webhook sources: the files hold tokens, of which only hashes are kept.
fn senders(config: &Config) -> Result<Vec<Sender>, Failures> {
    let mut senders = Vec::new();
    let mut failures = Vec::new();
    for source in &config.sources {
        let SourceKind::Webhook { token_file: Some(path) } = &source.kind else { continue };
        let wrong = |why: String| Failure::usage("token-file", format!("the token file `{}` of source `{}` {why}", path.display(), source.name));
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => failures.push(wrong("is empty".to_owned())),
            Ok(text) => senders.push(Sender {
                source: Arc::from(source.name.as_str()),
                cluster: source.cluster.as_deref().map(Arc::from),
                hash: hash_token(text.trim()),
            }),
            Err(error) => failures.push(wrong(format!("cannot be read: {error}"))),
        }
    }
    Failures::check(failures)?;
    Ok(senders)
}

fn listen_failure(error: &std::io::Error, address: std::net::SocketAddr) -> Failure {
    let failure = Failure::failed("listen", format!("cannot listen on {address}: {}", error.to_string().to_lowercase()));
    if error.kind() == std::io::ErrorKind::AddrInUse { failure.help("another server is there: choose another port with --listen") } else { failure }
}

/// Where to look, for the person who started it. In JSON logs it is one entry.
fn announce(config: &Config, address: std::net::SocketAddr, link: Option<&str>, say: &dyn Fn(&str)) {
    if config.redact.mode == RedactMode::Off {
        tracing::warn!("redaction is off: secrets and tokens are stored as they come");
    }
    if config.log.format == LogFormat::Json {
        tracing::info!(%address, data_dir = %config.data_dir.display(), cluster = config.cluster, "listening");
        return;
    }
    let scheme = if config.server.tls.cert_file.is_some() { "https" } else { "http" };
    let mut text = format!("decklog {} listens on {scheme}://{address}\n", env!("CARGO_PKG_VERSION"));
    // 0.0.0.0 is every address of this machine, and none to ask at.
    let base = if address.ip().is_unspecified() { format!("{scheme}://HOST:{}", address.port()) } else { format!("{scheme}://{address}") };
    text.push_str(&format!("  data      {} (cluster {})\n", config.data_dir.display(), config.cluster));
    if let Some(link) = link {
        text.push_str(&format!("  browser   {link}\n"));
    }
    text.push_str(&format!("  webhook   {base}/ingest/webhook/NAME\n"));
    for source in &config.sources {
        if let SourceKind::Tail { path } = &source.kind {
            text.push_str(&format!("  tail      {} (source {})\n", path.display(), source.name));
        }
    }
    let server = if base == crate::target::DEFAULT_SERVER { String::new() } else { format!(" --server {base}") };
    text.push_str(&format!("  try       decklog tail verbclass:delete{server}"));
    say(&text);
}

/// Starts to follow every log file of the configuration.
fn start_tails(config: &Config, store: &Store, stopped: &watch::Receiver<bool>) -> (JoinSet<()>, Tails) {
    let mut running = JoinSet::new();
    let mut statuses = Tails::new();
    for source in &config.sources {
        let SourceKind::Tail { path } = &source.kind else { continue };
        let tail = Tail::new(
            store.recorder.clone(),
            TailConfig {
                // Its position in the journal is kept under this path, whichever folder the next start is in.
                path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
                source: Arc::from(source.name.as_str()),
                cluster: Arc::from(source.cluster.as_deref().unwrap_or(&config.cluster)),
            },
        );
        statuses.push((source.name.clone(), tail.status()));
        let mut stopped = stopped.clone();
        running.spawn(tail.run(async move {
            // A sender that is gone means the same.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
    }
    (running, statuses)
}

/// What answers searches: table and journal, or the journal alone as long as the table cannot be opened.
fn searcher(store: &Store) -> Result<Arc<dyn Searcher>, Failure> {
    let failure = |error: SearchError| Failure::failed("table", error.to_string());
    Ok(match store.table.get() {
        Ok(table) => Arc::new(searcher_of(&store.journal, table).map_err(failure)?),
        Err(_) => Arc::new(LateSearcher::new(store.table.clone(), Arc::clone(&store.journal)).map_err(failure)?),
    })
}

fn parts(config: &Arc<Config>, store: &Store, mut registry: Registry, tails: Tails) -> Result<Parts, Failure> {
    store.journal.metrics().register(&mut registry);
    store.quarantine.metrics().register(&mut registry);
    store.recorder.metrics.register(&mut registry);
    store.table_metrics.register(&mut registry);
    let registry = Arc::new(registry);
    let receiver = Receiver::new(store.recorder.clone(), ReceiverConfig { cluster: Arc::from(config.cluster.as_str()), ..ReceiverConfig::default() });
    let searcher = searcher(store)?;
    let journal = Arc::clone(&store.journal);
    let writable = Check::new("journal", move || match journal.health() {
        Health::Writable => Ok(()),
        Health::Refusing { error, .. } => Err(error.to_string()),
    });
    let table = store.table.clone();
    let tabled = Check::new("table", move || table.get()?.stats().failure.map_or(Ok(()), Err));
    let mut checks = vec![writable, tabled];
    if config.redact.mode == RedactMode::Off {
        // Nothing that fails, but everybody who looks is to see it.
        checks.push(Check::new("redaction-is-off", || Ok(())));
    }
    Ok(Parts {
        journal: Arc::clone(&store.journal) as _,
        searcher,
        routers: vec![routes(receiver)],
        sources: source_lister(Arc::clone(config), tails, store.recorder.metrics.clone()),
        quarantine: Arc::new(QuarantineFiles(config.data_dir.clone())),
        checks,
        registry,
        redactor: store.recorder.intake.redactor.clone(),
        clock: Arc::new(|| Timestamp::from_system(std::time::SystemTime::now())),
    })
}
