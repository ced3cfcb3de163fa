//! The configuration of `decklog serve`: one YAML file, and the same settings as flags and variables.
//!
//! ```text
//! flag ─┐
//! DECKLOG_… variable ─┤ the first that says something, per setting ─► Config, or every problem at once
//! file ─┤
//! default ─┘
//! ```
//!
//! [`SETTINGS`] is the closed list: each setting's path, flag, default, documentation and check stand in one
//! place, and docs/config.md, `config defaults`, the flags of `serve` and the variables all come from it.

mod defaults;
mod environment;
mod file;
mod flags;
mod layers;
#[cfg(test)]
mod reference;
mod settings;
mod sources;
mod together;
mod units;
pub(crate) mod yaml;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use decklog_store::TablePlace;

pub(crate) use defaults::commented_file;
pub(crate) use environment::{CLIENT_VARIABLES, variable_of};
pub(crate) use flags::SettingFlags;
pub(crate) use layers::load_layers;
pub(crate) use settings::SETTINGS;
pub(crate) use sources::{SourceConfig, SourceKind};
pub(crate) use units::{ByteSize, parse_duration};

#[cfg(test)]
pub(crate) use reference::reference_page;

/// The checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Journal, quarantine, keys.
    pub(crate) data_dir: PathBuf,
    /// The cluster of events that bring none.
    pub(crate) cluster: String,
    /// `server`.
    pub(crate) server: ServerConfig,
    /// What comes in.
    pub(crate) sources: Vec<SourceConfig>,
    /// `journal`.
    pub(crate) journal: JournalConfig,
    /// `table`.
    pub(crate) table: TableConfig,
    /// `retention`.
    pub(crate) retention: RetentionConfig,
    /// `redact`.
    pub(crate) redact: RedactConfig,
    /// `log`.
    pub(crate) log: LogConfig,
}

/// `server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerConfig {
    /// Where it listens; other addresses than loopback need TLS and credentials.
    pub(crate) listen: SocketAddr,
    /// `server.tls`.
    pub(crate) tls: TlsFiles,
    /// The file of bearer tokens.
    pub(crate) tokens_file: Option<PathBuf>,
    /// The cluster whose tokens are taken too.
    pub(crate) kubernetes: KubernetesAuth,
    /// How long a graceful stop may take.
    pub(crate) stop_timeout: Duration,
}

/// `server.auth.kubernetes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum KubernetesAuth {
    /// Nobody is asked.
    #[default]
    Off,
    /// The cluster this runs in, as its pod's service account.
    InCluster,
    /// The cluster of a kubeconfig's current context.
    Kubeconfig(PathBuf),
}

/// `server.tls`: checked to be whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate, and what stands between it and its authority.
    pub(crate) cert_file: Option<PathBuf>,
    /// Its key.
    pub(crate) key_file: Option<PathBuf>,
    /// The authorities of client certificates.
    pub(crate) client_ca_file: Option<PathBuf>,
}

/// `journal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalConfig {
    /// A segment is closed above this.
    pub(crate) segment_size: ByteSize,
    /// The longest event taken.
    pub(crate) max_event_size: ByteSize,
    /// So much of what the table has already stays in the journal too.
    pub(crate) keep: ByteSize,
}

/// `table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableConfig {
    /// Where it lies; `None` is `table` in the data directory.
    pub(crate) place: Option<TablePlace>,
    /// Events wait at most this long for the table.
    pub(crate) flush_every: Duration,
    /// Or until they have this many bytes.
    pub(crate) flush_bytes: ByteSize,
    /// Files are merged up to this size.
    pub(crate) compact_to: ByteSize,
}

/// `retention`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetentionConfig {
    /// Older days go; `None` keeps them.
    pub(crate) max_age: Option<Duration>,
    /// Above this the oldest days go; `None` keeps them.
    pub(crate) max_size: Option<ByteSize>,
}

/// Whether credentials are taken out of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedactMode {
    /// Keyed hashes in their place.
    Default,
    /// Events are stored as they come.
    Off,
}

/// `redact`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedactConfig {
    /// Whether.
    pub(crate) mode: RedactMode,
    /// The key; `None` is `redaction.key` in the data directory.
    pub(crate) key_file: Option<PathBuf>,
}

/// How decklog's own log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// How.
    pub(crate) format: LogFormat,
    /// How much.
    pub(crate) level: tracing::Level,
}

impl Config {
    /// What holds where nothing was said. The defaults stand as text in [`SETTINGS`]; a test reads them all.
    pub(crate) fn before_defaults() -> Self {
        Self {
            data_dir: PathBuf::new(),
            cluster: String::new(),
            server: ServerConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], 7080)),
                tls: TlsFiles::default(),
                tokens_file: None,
                kubernetes: KubernetesAuth::Off,
                stop_timeout: Duration::from_secs(20),
            },
            sources: Vec::new(),
            journal: JournalConfig { segment_size: ByteSize(64 << 20), max_event_size: ByteSize(64 << 20), keep: ByteSize(1 << 30) },
            table: TableConfig { place: None, flush_every: Duration::from_secs(60), flush_bytes: ByteSize(64 << 20), compact_to: ByteSize(128 << 20) },
            retention: RetentionConfig { max_age: None, max_size: None },
            redact: RedactConfig { mode: RedactMode::Default, key_file: None },
            log: LogConfig { format: LogFormat::Text, level: tracing::Level::INFO },
        }
    }

    /// Where the redaction key lies.
    pub(crate) fn redaction_key_file(&self) -> PathBuf {
        self.redact.key_file.clone().unwrap_or_else(|| self.data_dir.join("redaction.key"))
    }
}

#[cfg(test)]
mod tests;
