//! The `--audit-*` flags of kube-apiserver 1.36: one table of names, types, defaults, meanings and how they are read; the checks and their
//! messages; and what the flags build.
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/server/options/audit.go` (v0.36.3), and `github.com/spf13/pflag` for how a command line is
//! read.

mod read;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use decklog_audit::backend::{Backend, Compat};
use tokio::runtime::Handle;

use super::batch::BatchConfig;
use super::errors::PluginErrors;
use super::log::{LogBackend, LogConfig, LogFormat, Oversize};
use super::mode::Mode;
use super::truncate::{Truncate, TruncateConfig};
use super::union::Union;
use super::webhook::{WebhookBackend, WebhookError};
use read::{boolean, duration, float32, go_duration_text, int};

/// What the flags say. The fields hold texts and numbers as given; [`BackendFlags::check`] says what is wrong with them.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendFlags {
    /// `--audit-policy-file`.
    pub policy_file: String,
    /// `--audit-log-*`.
    pub log: LogFlags,
    /// `--audit-webhook-*`.
    pub webhook: WebhookFlags,
    /// `--audit-journal`, which kube-apiserver has not.
    pub journal: String,
    /// `--compat`, which kube-apiserver has not.
    pub compat: Compat,
    /// What is to be told about flags that are on their way out.
    pub notices: Vec<String>,
}

/// `--audit-log-*`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct LogFlags {
    pub path: String,
    pub max_age: i64,
    pub max_backup: i64,
    pub max_size: i64,
    pub compress: bool,
    pub format: String,
    pub version: String,
    pub common: CommonFlags,
}

/// `--audit-webhook-*`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct WebhookFlags {
    pub config_file: String,
    pub initial_backoff: GoDuration,
    pub version: String,
    pub common: CommonFlags,
}

/// What both backends have.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct CommonFlags {
    pub mode: String,
    pub buffer_size: i64,
    pub max_batch_size: i64,
    pub max_batch_wait: GoDuration,
    pub throttle_enable: bool,
    pub throttle_qps: f32,
    pub throttle_burst: i64,
    pub truncate_enabled: bool,
    pub truncate_max_batch_size: i64,
    pub truncate_max_event_size: i64,
}

/// A Go duration in nanoseconds; may be negative, which then is no time at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub i64);

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Self {
        Self::from_nanos(duration.0.max(0) as u64)
    }
}

const SECOND: i64 = 1_000_000_000;
const VERSION: &str = "audit.k8s.io/v1";

impl Default for BackendFlags {
    /// kube-apiserver's defaults.
    fn default() -> Self {
        let common = |mode: Mode, max_batch_size, max_batch_wait, throttle_enable, throttle_qps, throttle_burst| CommonFlags {
            mode: mode.as_str().to_owned(),
            buffer_size: 10_000,
            max_batch_size,
            max_batch_wait: GoDuration(max_batch_wait),
            throttle_enable,
            throttle_qps,
            throttle_burst,
            truncate_enabled: false,
            truncate_max_batch_size: 10 << 20,
            truncate_max_event_size: 100 << 10,
        };
        Self {
            policy_file: String::new(),
            log: LogFlags {
                path: String::new(),
                max_age: 366,
                max_backup: 100,
                max_size: 100,
                compress: false,
                format: "json".to_owned(),
                version: VERSION.to_owned(),
                common: common(Mode::Blocking, 1, 0, false, 0.0, 0),
            },
            webhook: WebhookFlags {
                config_file: String::new(),
                initial_backoff: GoDuration(10 * SECOND),
                version: VERSION.to_owned(),
                common: common(Mode::Batch, 400, 30 * SECOND, true, 10.0, 15),
            },
            journal: String::new(),
            compat: Compat::Mended,
            notices: Vec::new(),
        }
    }
}

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Not one of these.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// Nothing follows it.
    #[error("flag needs an argument: --{0}")]
    NoArgument(&'static str),
    /// Its value is of another type.
    #[error("invalid argument {value} for \"--{name}\" flag: {why}")]
    Value {
        /// The flag.
        name: &'static str,
        /// The value, quoted.
        value: String,
        /// What is wrong, as Go says it.
        why: String,
    },
    /// It is of dynamic auditing, which kube-apiserver has no more.
    #[error("--{flag} was of dynamic auditing, which Kubernetes removed in 1.19: {instead}")]
    Removed {
        /// The flag, with its value if that decides.
        flag: String,
        /// What to use.
        instead: &'static str,
    },
    /// No flag at all.
    #[error("unexpected argument `{0}`")]
    Argument(String),
    /// The values do not go together; all that is wrong.
    #[error("{}", joined(.0))]
    Invalid(Vec<String>),
}

/// As Kubernetes joins errors (`utilerrors.NewAggregate`).
fn joined(errors: &[String]) -> String {
    match errors {
        [one] => one.clone(),
        _ => format!("[{}]", errors.join(", ")),
    }
}

type Read = fn(&mut BackendFlags, &str) -> Result<(), String>;

/// One flag.
struct Flag {
    name: &'static str,
    /// As pflag names its type; `bool` needs no value.
    kind: &'static str,
    help: &'static str,
    read: Read,
    default: fn(&BackendFlags) -> String,
}

/// One flag for a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagHelp {
    /// Without its dashes.
    pub name: &'static str,
    /// `string`, `int`, `bool`, `duration` or `float32`, as `kube-apiserver --help` names it.
    pub kind: &'static str,
    /// As `kube-apiserver --help` prints it; empty for what it does not print.
    pub default: String,
    /// What it is for.
    pub help: &'static str,
    /// Whether kube-apiserver has it.
    pub is_kubernetes: bool,
}

/// A text's default is printed in quotes, others as they are; what is empty or zero not at all.
macro_rules! flag {
    ($name:literal, string, $($field:ident).+, $help:literal) => {
        Flag { name: $name, kind: "string", help: $help, read: |flags, text| { flags.$($field).+ = text.to_owned(); Ok(()) }, default: |flags| flags.$($field).+.clone() }
    };
    ($name:literal, $kind:ident, $($field:ident).+, $help:literal) => {
        Flag { name: $name, kind: stringify!($kind), help: $help, read: |flags, text| { flags.$($field).+ = reading::$kind(text)?; Ok(()) }, default: |flags| reading::shown(flags.$($field).+) }
    };
}

mod reading {
    //! The names of types as pflag prints them.
    pub(super) use super::boolean as bool;
    pub(super) use super::{duration, float32, int};

    pub(super) trait Shown {
        fn shown(self) -> String;
    }
    impl Shown for i64 {
        fn shown(self) -> String {
            if self == 0 { String::new() } else { self.to_string() }
        }
    }
    impl Shown for f32 {
        fn shown(self) -> String {
            if self == 0.0 { String::new() } else { self.to_string() }
        }
    }
    impl Shown for bool {
        fn shown(self) -> String {
            if self { "true".to_owned() } else { String::new() }
        }
    }
    impl Shown for super::GoDuration {
        fn shown(self) -> String {
            if self.0 == 0 { String::new() } else { super::go_duration_text(self) }
        }
    }
    pub(super) fn shown(value: impl Shown) -> String {
        value.shown()
    }
}

/// Every flag, in the order of their names as kube-apiserver prints them; then ours.
const FLAGS: &[Flag] = &[
    flag!("audit-log-batch-buffer-size", int, log.common.buffer_size, "Events that may wait in the buffer; more are dropped and counted. Only in mode batch."),
    flag!("audit-log-batch-max-size", int, log.common.max_batch_size, "Events of a batch at most. Only in mode batch."),
    flag!("audit-log-batch-max-wait", duration, log.common.max_batch_wait, "How long a batch that is not full is waited for. Only in mode batch."),
    flag!("audit-log-batch-throttle-burst", int, log.common.throttle_burst, "Batches at once. Only in mode batch."),
    flag!("audit-log-batch-throttle-enable", bool, log.common.throttle_enable, "Whether batches are throttled. Only in mode batch."),
    flag!("audit-log-batch-throttle-qps", float32, log.common.throttle_qps, "Batches a second on average. Only in mode batch."),
    flag!("audit-log-compress", bool, log.compress, "Whether rotated files are packed with gzip."),
    flag!("audit-log-format", string, log.format, "How an event is written: legacy (one line of text) or json."),
    flag!("audit-log-maxage", int, log.max_age, "Days after which rotated files are removed, by the time in their name; 0 is never."),
    flag!("audit-log-maxbackup", int, log.max_backup, "Rotated files that are kept; 0 is all."),
    flag!("audit-log-maxsize", int, log.max_size, "Megabytes (1,048,576 bytes) after which the file is rotated; 0 is never."),
    flag!(
        "audit-log-mode",
        string,
        log.common.mode,
        "What a request waits for: batch (nothing), blocking (the write), blocking-strict (the write, and it is refused if its first event cannot be stored)."
    ),
    flag!("audit-log-path", string, log.path, "The file that events are written to; - is standard output."),
    flag!("audit-log-truncate-enabled", bool, log.common.truncate_enabled, "Whether events that are too large lose their bodies."),
    flag!("audit-log-truncate-max-batch-size", int, log.common.truncate_max_batch_size, "Bytes of a batch; a larger one is split."),
    flag!(
        "audit-log-truncate-max-event-size",
        int,
        log.common.truncate_max_event_size,
        "Bytes of an event; a larger one loses its bodies, and is dropped if that is not enough."
    ),
    flag!("audit-log-version", string, log.version, "API group and version of the events in the log."),
    flag!(
        "audit-policy-file",
        string,
        policy_file,
        "The policy that decides what is recorded. Read again when it changes; one with faults leaves the old one in force."
    ),
    flag!(
        "audit-webhook-batch-buffer-size",
        int,
        webhook.common.buffer_size,
        "Events that may wait in the buffer; more are dropped and counted. Only in mode batch."
    ),
    flag!("audit-webhook-batch-max-size", int, webhook.common.max_batch_size, "Events of a batch at most. Only in mode batch."),
    flag!("audit-webhook-batch-max-wait", duration, webhook.common.max_batch_wait, "How long a batch that is not full is waited for. Only in mode batch."),
    flag!("audit-webhook-batch-throttle-burst", int, webhook.common.throttle_burst, "Batches at once. Only in mode batch."),
    flag!("audit-webhook-batch-throttle-enable", bool, webhook.common.throttle_enable, "Whether batches are throttled. Only in mode batch."),
    flag!("audit-webhook-batch-throttle-qps", float32, webhook.common.throttle_qps, "Batches a second on average. Only in mode batch."),
    flag!("audit-webhook-config-file", string, webhook.config_file, "The kubeconfig whose server events are posted to."),
    flag!(
        "audit-webhook-initial-backoff",
        duration,
        webhook.initial_backoff,
        "The pause before a failed POST is made again; each further one is half as long again."
    ),
    flag!(
        "audit-webhook-mode",
        string,
        webhook.common.mode,
        "What a request waits for: batch (nothing), blocking (the POST with its tries), blocking-strict (the same, and it is refused if its first event cannot be stored)."
    ),
    flag!("audit-webhook-truncate-enabled", bool, webhook.common.truncate_enabled, "Whether events that are too large lose their bodies."),
    flag!("audit-webhook-truncate-max-batch-size", int, webhook.common.truncate_max_batch_size, "Bytes of a batch; a larger one is split."),
    flag!(
        "audit-webhook-truncate-max-event-size",
        int,
        webhook.common.truncate_max_event_size,
        "Bytes of an event; a larger one loses its bodies, and is dropped if that is not enough."
    ),
    flag!("audit-webhook-version", string, webhook.version, "API group and version of the events that are posted."),
];

/// Still read, under a notice.
const DEPRECATED: &[Flag] =
    &[flag!("audit-webhook-batch-initial-backoff", duration, webhook.initial_backoff, "The old name of audit-webhook-initial-backoff.")];

/// Those that kube-apiserver has not.
const OURS: &[Flag] = &[
    flag!(
        "audit-journal",
        string,
        journal,
        "A folder for a private journal in front of the backends: nothing is dropped while one is away, and the blocking modes return once the journal has the event."
    ),
    Flag {
        name: "compat",
        kind: "string",
        help: "1.36: reproduce what kube-apiserver 1.36 loses: events whose patch is not JSON, and a webhook's whole batch with them.",
        read: |flags, text| {
            flags.compat = match text {
                "" => Compat::Mended,
                "1.36" => Compat::V1_36,
                _ => return Err("the only version to be compatible with is 1.36".to_owned()),
            };
            Ok(())
        },
        default: |_| String::new(),
    },
];

/// What became of dynamic auditing.
const INSTEAD: &str = "name a receiver with --audit-webhook-config-file, and what it gets with --audit-policy-file, which is read again when it changes";

/// The flags with their types and defaults, for help and documents.
pub fn flag_table() -> Vec<FlagHelp> {
    let defaults = BackendFlags::default();
    let of = |flags: &'static [Flag], is_kubernetes| {
        let defaults = defaults.clone();
        flags.iter().map(move |flag| FlagHelp { name: flag.name, kind: flag.kind, default: (flag.default)(&defaults), help: flag.help, is_kubernetes })
    };
    of(FLAGS, true).chain(of(DEPRECATED, true)).chain(of(OURS, false)).collect()
}

impl BackendFlags {
    /// Reads a command line as kube-apiserver's library does: `--name value`, `--name=value`, and `--name` alone for a bool. What is none of
    /// these flags goes to `other`, which says whether it knows it and takes its value.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(args: impl IntoIterator<Item = String>, mut other: impl FnMut(&str, Option<&str>) -> bool) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(text) = arg.strip_prefix("--") else { return Err(FlagError::Argument(arg)) };
            let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
            let is_deprecated = |flag: &&Flag| DEPRECATED.iter().any(|known| known.name == flag.name);
            let Some(flag) = FLAGS.iter().chain(DEPRECATED).chain(OURS).find(|flag| flag.name == name) else {
                removed(name, value.as_deref(), &mut args)?;
                if other(name, value.as_deref()) {
                    continue;
                }
                return Err(FlagError::Unknown(name.to_owned()));
            };
            if is_deprecated(&flag) {
                flags.notices.push(format!("Flag --{name} has been deprecated, Deprecated, use --audit-webhook-initial-backoff instead."));
            }
            let value = match value {
                Some(value) => value,
                None if flag.kind == "bool" => "true".to_owned(),
                None => args.next().ok_or(FlagError::NoArgument(flag.name))?,
            };
            (flag.read)(&mut flags, &value).map_err(|why| FlagError::Value { name: flag.name, value: decklog_audit::event::go_quoted(&value), why })?;
        }
        Ok(flags)
    }

    /// Checks what belongs to an enabled backend, as kube-apiserver does, and says all that is wrong.
    ///
    /// # Errors
    /// All faults.
    pub fn check(&self) -> Result<(), FlagError> {
        let mut errors = Vec::new();
        if !self.log.path.is_empty() {
            self.log.common.check("log", &self.log.version, &mut errors);
            if !matches!(self.log.format.as_str(), "legacy" | "json") {
                errors.push(format!("invalid audit log format {}, allowed formats are \"legacy,json\"", self.log.format));
            }
            for (name, value) in [("maxage", self.log.max_age), ("maxbackup", self.log.max_backup), ("maxsize", self.log.max_size)] {
                if value < 0 {
                    errors.push(format!("--audit-log-{name} {value} can't be a negative number"));
                }
            }
        }
        if !self.webhook.config_file.is_empty() {
            self.webhook.common.check("webhook", &self.webhook.version, &mut errors);
        } else if let Some(error) = unreadable_version(&self.webhook.version) {
            errors.push(error);
        }
        if errors.is_empty() { Ok(()) } else { Err(FlagError::Invalid(errors)) }
    }
}

/// Answers the flags of dynamic auditing, which take their value along.
fn removed(name: &str, value: Option<&str>, args: &mut impl Iterator<Item = String>) -> Result<(), FlagError> {
    let with_value = |value: Option<&str>, args: &mut dyn Iterator<Item = String>| value.map(str::to_owned).or_else(|| args.next()).unwrap_or_default();
    let (flag, is_of_it) = match name {
        "audit-dynamic-configuration" => (name.to_owned(), true),
        "feature-gates" => {
            let value = with_value(value, args);
            let is_of_it = value.split(',').any(|gate| gate.split('=').next() == Some("DynamicAuditing"));
            (format!("{name}={value}"), is_of_it)
        }
        "runtime-config" => {
            let value = with_value(value, args);
            let is_of_it = value.split(',').any(|entry| entry.starts_with("auditregistration.k8s.io"));
            (format!("{name}={value}"), is_of_it)
        }
        _ => return Ok(()),
    };
    if is_of_it { Err(FlagError::Removed { flag, instead: INSTEAD }) } else { Err(FlagError::Unknown(name.to_owned())) }
}

/// `k8s.io/apimachinery`'s `ParseGroupVersion`.
fn unreadable_version(version: &str) -> Option<String> {
    (version.matches('/').count() > 1).then(|| format!("unexpected GroupVersion string: {version}"))
}

impl CommonFlags {
    fn check(&self, backend: &str, version: &str, errors: &mut Vec<String>) {
        errors.extend(self.batch_fault(backend));
        let (event, batch) = (self.truncate_max_event_size, self.truncate_max_batch_size);
        if event <= 0 {
            errors.push(format!("invalid audit truncate {backend} max event size {event}, must be a positive number"));
        } else if batch < event {
            errors.push(format!("invalid audit truncate {backend} max batch size {batch}, must be greater than max event size ({event})"));
        }
        if let Some(error) = unreadable_version(version) {
            errors.push(error);
        } else if version != VERSION {
            errors.push(format!("invalid group version, allowed versions are [\"{VERSION}\"]"));
        }
    }

    /// The first thing that is wrong with batching.
    fn batch_fault(&self, backend: &str) -> Option<String> {
        let Some(mode) = Mode::ALL.into_iter().find(|mode| mode.as_str() == self.mode) else {
            return Some(format!("invalid audit {backend} mode {}, allowed modes are \"batch,blocking,blocking-strict\"", self.mode));
        };
        let fault = |what: &str, value: String| Some(format!("invalid audit batch {backend} {what} {value}, must be a positive number"));
        match self {
            _ if mode != Mode::Batch => None,
            Self { buffer_size, .. } if *buffer_size <= 0 => fault("buffer size", buffer_size.to_string()),
            Self { max_batch_size, .. } if *max_batch_size <= 0 => fault("max batch size", max_batch_size.to_string()),
            Self { throttle_enable: false, .. } => None,
            Self { throttle_qps, .. } if throttle_qps.is_nan() || *throttle_qps <= 0.0 => fault("throttle QPS", throttle_qps.to_string()),
            Self { throttle_burst, .. } if *throttle_burst <= 0 => fault("throttle burst", throttle_burst.to_string()),
            _ => None,
        }
    }

    fn mode(&self) -> Mode {
        Mode::ALL.into_iter().find(|mode| mode.as_str() == self.mode).unwrap_or(Mode::Batch)
    }

    fn batch(&self) -> BatchConfig {
        let size = |size: i64| usize::try_from(size).unwrap_or(1);
        BatchConfig {
            buffer_size: size(self.buffer_size),
            max_batch_size: size(self.max_batch_size).max(1),
            max_batch_wait: self.max_batch_wait.into(),
            throttle: self.throttle_enable.then(|| (f64::from(self.throttle_qps), u32::try_from(self.throttle_burst).unwrap_or(u32::MAX))),
        }
    }

    fn truncate(&self, backend: Arc<dyn Backend>, errors: &PluginErrors) -> Arc<dyn Backend> {
        match self.truncation() {
            None => backend,
            Some(config) => Arc::new(Truncate::new(backend, config, errors.clone())),
        }
    }

    /// The limits, where events are truncated.
    pub fn truncation(&self) -> Option<TruncateConfig> {
        self.truncate_enabled.then_some(TruncateConfig { max_event_size: self.truncate_max_event_size, max_batch_size: self.truncate_max_batch_size })
    }
}

/// Why the flags build nothing.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The log's file or folder.
    #[error("ensureLogFile: open {path}: {source}")]
    Log {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The webhook.
    #[error("initializing audit webhook: {0}")]
    Webhook(#[from] WebhookError),
    /// A queue's thread.
    #[error("cannot start a queue for audit events: {0}")]
    Thread(#[from] std::io::Error),
}

/// The carriers that the flags ask for, before their modes.
#[derive(Default)]
pub struct Carriers {
    /// To be told to open its file again on SIGHUP.
    pub log: Option<Arc<LogBackend>>,
    /// The webhook.
    pub webhook: Option<Arc<WebhookBackend>>,
}

impl BackendFlags {
    /// What requests wait for where a journal stands in front: the strictest mode of the backends there are.
    pub fn journal_mode(&self) -> Mode {
        let log = (!self.log.path.is_empty()).then(|| self.log.common.mode());
        let webhook = (!self.webhook.config_file.is_empty()).then(|| self.webhook.common.mode());
        log.max(webhook).unwrap_or(Mode::Batch)
    }

    /// Opens log and webhook, of checked flags. Behind a journal they are given [`PluginErrors::retried`].
    ///
    /// # Errors
    /// A file that cannot be opened, a kubeconfig that cannot be followed.
    pub fn open(&self, errors: &PluginErrors, runtime: &Handle) -> Result<Carriers, BuildError> {
        let mut carriers = Carriers::default();
        if !self.log.path.is_empty() {
            let number = |value: i64| u64::try_from(value).unwrap_or(0);
            let config = LogConfig {
                path: (self.log.path != "-").then(|| PathBuf::from(&self.log.path)),
                format: if self.log.format == "legacy" { LogFormat::Legacy } else { LogFormat::Json },
                max_bytes: number(self.log.max_size).saturating_mul(1 << 20),
                max_age_days: number(self.log.max_age),
                max_backups: usize::try_from(self.log.max_backup).unwrap_or(0),
                compress: self.log.compress,
                oversize: if self.journal.is_empty() { Oversize::Lost } else { Oversize::Kept },
            };
            let log = LogBackend::open(&config, errors.clone()).map_err(|source| BuildError::Log { path: self.log.path.clone(), source })?;
            carriers.log = Some(Arc::new(log));
        }
        if !self.webhook.config_file.is_empty() {
            let path = PathBuf::from(&self.webhook.config_file);
            let webhook = WebhookBackend::open(&path, self.webhook.initial_backoff.into(), self.compat, errors.clone(), runtime.clone())?;
            carriers.webhook = Some(Arc::new(webhook));
        }
        Ok(carriers)
    }

    /// Puts the carriers into their modes; log first. Nothing if there is no carrier.
    ///
    /// # Errors
    /// The system gives no thread for a queue.
    pub fn build(&self, carriers: &Carriers, errors: &PluginErrors) -> Result<Option<Arc<dyn Backend>>, BuildError> {
        let mut backends = Vec::new();
        if let Some(log) = &carriers.log {
            let common = &self.log.common;
            backends.push(common.truncate(common.mode().wrap(log.clone(), common.batch(), errors)?, errors));
        }
        if let Some(webhook) = &carriers.webhook {
            let common = &self.webhook.common;
            backends.push(common.truncate(common.mode().wrap(webhook.clone(), common.batch(), errors)?, errors));
        }
        Ok(match backends.len() {
            0 | 1 => backends.pop(),
            _ => Some(Arc::new(Union(backends))),
        })
    }
}
