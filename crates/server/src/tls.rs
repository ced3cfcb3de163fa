//! TLS: the server's certificate and the authority of its clients, read from files and read again on change.
//!
//! The binary opens a [`Tls`] before it listens, so that a wrong file is told at once. While the server runs,
//! the files are looked at every few seconds; what is new holds for new connections, and what is wrong is logged,
//! counted and shown in `/readyz?verbose` while the pair read before stays in force. Connections under way are
//! never touched.
//!
//! `files.rs` makes a configuration of the files, `handshake.rs` does a connection's handshake, `certificate.rs`
//! says who a client certificate is. Who may do what is decided in `access.rs`.

mod certificate;
mod files;
mod handshake;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub(crate) use certificate::{ClientCertificate, Refusal};
pub(crate) use handshake::{HANDSHAKE_REASONS, Handshakes};

use crate::metrics::ServerMetrics;
use files::{Loaded, Stamps};

/// Which files TLS is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The server's certificate and what stands between it and the authority, in PEM, its own first.
    pub cert_file: PathBuf,
    /// The certificate's private key in PEM: PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub key_file: PathBuf,
    /// The authorities, in PEM, whose client certificates are taken; `None` asks for none.
    pub client_ca_file: Option<PathBuf>,
    /// How often the files are looked at.
    pub look_every: Duration,
    /// How long a client may take for its handshake.
    pub handshake_timeout: Duration,
    /// Handshakes at once; one more takes the place of the oldest.
    pub max_handshakes: usize,
}

impl TlsConfig {
    /// These files, without client certificates, with the defaults of `docs/tls.md`.
    pub fn new(cert_file: PathBuf, key_file: PathBuf) -> Self {
        Self { cert_file, key_file, client_ca_file: None, look_every: Duration::from_secs(3), handshake_timeout: Duration::from_secs(10), max_handshakes: 256 }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn open(self) -> Result<Tls, TlsError> {
        let stamps = Stamps::of(&self);
        let loaded = files::load(&self)?;
        Ok(Tls { inner: Arc::new(Inner { config: self, state: Mutex::new(State { loaded: Arc::new(loaded), stamps, wrong: None }) }) })
    }
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} `{path}`: {source}")]
    Unreadable {
        /// Which of the files.
        what: &'static str,
        /// Its path.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is larger than what is read.
    #[error("the {what} `{path}` has more than 1048576 bytes: it should hold a few PEM blocks")]
    TooLarge {
        /// Which of the files.
        what: &'static str,
        /// Its path.
        path: String,
    },
    /// A file is no PEM.
    #[error("the {what} `{path}` is not readable as PEM: {source}")]
    Pem {
        /// Which of the files.
        what: &'static str,
        /// Its path.
        path: String,
        /// Where it goes wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// The right kind of block is not there.
    #[error("the {what} `{path}` holds no {block}")]
    Nothing {
        /// Which of the files.
        what: &'static str,
        /// Its path.
        path: String,
        /// What it should hold.
        block: &'static str,
    },
    /// The server's certificate is no certificate.
    #[error("the certificate in `{path}` is malformed: {reason}")]
    Malformed {
        /// Its path.
        path: String,
        /// What the parser says.
        reason: String,
    },
    /// The key is another certificate's.
    #[error("the key `{key}` does not belong to the certificate `{cert}`: replace both together")]
    Mismatch {
        /// The certificate's path.
        cert: String,
        /// The key's path.
        key: String,
    },
    /// Certificate or key are of a kind that cannot be used.
    #[error("the certificate `{path}` and its key cannot be used: {source}")]
    Unusable {
        /// The certificate's path.
        path: String,
        /// Why.
        source: rustls::Error,
    },
    /// A certificate of the client authorities cannot be one.
    #[error("the client CA file `{path}` holds a certificate that cannot be an authority: {reason}")]
    Authority {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
}

/// TLS as it holds now; clones share it.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    config: TlsConfig,
    state: Mutex<State>,
}

struct State {
    loaded: Arc<Loaded>,
    stamps: Stamps,
    wrong: Option<String>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({})", self.inner.config.cert_file.display())
    }
}

/// What a look at the files found.
#[derive(Debug)]
pub(crate) enum Looked {
    Unchanged,
    Reloaded,
    /// What is there now cannot be used; the pair before stays.
    Kept(TlsError),
}

impl Tls {
    /// Whether clients can come in with a certificate.
    pub fn takes_client_certificates(&self) -> bool {
        self.inner.config.client_ca_file.is_some()
    }

    pub(crate) fn config(&self) -> &TlsConfig {
        &self.inner.config
    }

    /// What new connections get.
    pub(crate) fn current(&self) -> Arc<rustls::ServerConfig> {
        self.state().loaded.server.clone()
    }

    /// Seconds since 1970 at which the certificate ends.
    pub(crate) fn expires_at(&self) -> i64 {
        self.state().loaded.not_after
    }

    /// What somebody who looks after decklog should know at `now` (seconds since 1970), if anything.
    pub(crate) fn note(&self, now: i64) -> Option<String> {
        let state = self.state();
        let dates = state.loaded.dates_at(now).map(|text| format!("the certificate {text}"));
        let wrong = state.wrong.as_ref().map(|error| format!("the files read before stay in force: {error}"));
        let notes: Vec<String> = [dates, wrong].into_iter().flatten().collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// Looks at the files and takes what is new. Each change is tried once, so that a wrong file is named once.
    pub(crate) fn look(&self) -> Looked {
        // Taken before reading: what changes while we read is seen by the next look.
        let stamps = Stamps::of(&self.inner.config);
        if self.state().stamps == stamps {
            return Looked::Unchanged;
        }
        let loaded = files::load(&self.inner.config);
        let mut state = self.state();
        state.stamps = stamps;
        match loaded {
            Ok(loaded) => {
                (state.loaded, state.wrong) = (Arc::new(loaded), None);
                Looked::Reloaded
            }
            Err(error) => {
                state.wrong = Some(error.to_string());
                Looked::Kept(error)
            }
        }
    }

    /// Looks at the files again and again until the server stops.
    pub(crate) async fn keep_fresh(self, metrics: ServerMetrics, mut stopping: watch::Receiver<bool>) {
        self.report(&metrics);
        let mut ticks = tokio::time::interval(self.inner.config.look_every);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            let tls = self.clone();
            // Files may lie on a network.
            match tokio::task::spawn_blocking(move || tls.look()).await {
                Ok(Looked::Unchanged) => {}
                Ok(Looked::Reloaded) => {
                    tracing::info!(certificate = %self.inner.config.cert_file.display(), "TLS files read again; new connections get what is new");
                    metrics.reloaded("tls", "ok");
                    self.report(&metrics);
                }
                Ok(Looked::Kept(error)) => {
                    tracing::error!(%error, "the TLS files read before stay in force");
                    metrics.reloaded("tls", "error");
                }
                Err(error) => tracing::error!(%error, "the look at the TLS files broke"),
            }
        }
    }

    fn report(&self, metrics: &ServerMetrics) {
        metrics.certificate_expires(self.expires_at());
        if let Some(text) = self.state().loaded.dates_at(now_seconds()) {
            tracing::warn!(certificate = %self.inner.config.cert_file.display(), "the TLS certificate {text}");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of day as certificates count it: seconds since 1970.
pub(crate) fn now_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
