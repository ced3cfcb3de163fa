//! The closed list of settings: adding one is one entry here and one field of `Config`.

use std::net::SocketAddr;
use std::path::PathBuf;

use decklog_store::TablePlace;

use super::sources::read_sources;
use super::units::{parse_duration, parse_size};
use super::yaml::{Node, Spot, Value};
use super::{Config, KubernetesAuth, LogFormat, RedactMode};
use crate::suggest::closest;

/// Something wrong with a setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where in the text the value came from.
    pub(crate) spot: Spot,
    /// What is wrong; the setting's name goes before it.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

impl Fault {
    /// A fault of this value.
    pub(crate) fn of(node: &Node, message: impl Into<String>) -> Self {
        Self { spot: node.spot, message: message.into(), help: None }
    }

    /// With what to write instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Reads a value into the configuration.
type Apply = fn(&mut Config, &Node) -> Result<(), Vec<Fault>>;

/// One setting.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Its path in the file.
    pub(crate) path: &'static str,
    /// Its flag without the dashes.
    pub(crate) flag: &'static str,
    /// What a value is called in help.
    pub(crate) value_name: &'static str,
    /// The default, as it stands in a file.
    pub(crate) default: &'static str,
    /// Another example of a value.
    pub(crate) example: &'static str,
    /// What it does: the first line is the flag's help.
    pub(crate) doc: &'static str,
    /// Reads a value.
    pub(crate) apply: Apply,
}

/// All settings, in the order of the file.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        path: "dataDir",
        flag: "data-dir",
        value_name: "DIR",
        default: "./decklog-data",
        example: "/var/lib/decklog",
        doc: "Where the journal, the quarantine and the keys lie\nOne process at a time writes there; others may read.",
        apply: |config, node| text(node, |value| {
            config.data_dir = PathBuf::from(value);
            Ok(())
        }),
    },
    Setting {
        path: "cluster",
        flag: "cluster",
        value_name: "NAME",
        default: "default",
        example: "prod-eu",
        doc: "The cluster of events whose source names none\nIt is part of every event's id, so choose it once.",
        apply: |config, node| text(node, |value| {
            config.cluster = name(value)?;
            Ok(())
        }),
    },
    Setting {
        path: "server.listen",
        flag: "listen",
        value_name: "ADDR",
        default: "127.0.0.1:7080",
        example: "127.0.0.1:8080",
        doc: "The address and port to listen on\nOther addresses than loopback need TLS, and credentials: a tokens file, a CA of client certificates, or a source's token. Port 0 takes a free one.",
        apply: |config, node| text(node, |value| {
            config.server.listen = listen_address(value)?;
            Ok(())
        }),
    },
    Setting {
        path: "server.tls.certFile",
        flag: "tls-cert-file",
        value_name: "FILE",
        default: "",
        example: "/etc/decklog/tls.crt",
        doc: "The server's certificate in PEM, with what stands between it and its authority; then only TLS is spoken\nRead again when it changes, as are the key and the client CA (docs/tls.md).",
        apply: |config, node| text(node, |value| {
            config.server.tls.cert_file = optional_path(value);
            Ok(())
        }),
    },
    Setting {
        path: "server.tls.keyFile",
        flag: "tls-key-file",
        value_name: "FILE",
        default: "",
        example: "/etc/decklog/tls.key",
        doc: "The certificate's private key in PEM, not encrypted",
        apply: |config, node| text(node, |value| {
            config.server.tls.key_file = optional_path(value);
            Ok(())
        }),
    },
    Setting {
        path: "server.tls.clientCAFile",
        flag: "tls-client-ca-file",
        value_name: "FILE",
        default: "",
        example: "/etc/decklog/clients.crt",
        doc: "The authorities whose client certificates are taken, in PEM\nThe certificate's subject says who that is and what it may do: CN=NAME, OU=decklog:read (docs/tls.md). With it, programs on this machine need a credential too.",
        apply: |config, node| text(node, |value| {
            config.server.tls.client_ca_file = optional_path(value);
            Ok(())
        }),
    },
    Setting {
        path: "server.auth.tokensFile",
        flag: "tokens-file",
        value_name: "FILE",
        default: "",
        example: "/etc/decklog/tokens",
        doc: "The file of bearer tokens: NAME SCOPE[,SCOPE] SHA256-HEX [source=S cluster=C] a line\nScopes are send, read and admin. Without it, programs on this machine need no token.",
        apply: |config, node| text(node, |value| {
            config.server.tokens_file = optional_path(value);
            Ok(())
        }),
    },
    Setting {
        path: "server.auth.kubernetes",
        flag: "auth-kubernetes",
        value_name: "off|on|FILE",
        default: "off",
        example: "on",
        doc: "Whether tokens of Kubernetes are taken too: off, on (the cluster this runs in), or the path of a kubeconfig
Who may get and list auditevents.decklog.io in the whole cluster may read, and with every verb do everything. With it, programs on this machine need a token too (docs/kubectl.md).",
        apply: |config, node| text(node, |value| {
            config.server.kubernetes = match value {
                "off" | "false" | "" => KubernetesAuth::Off,
                "on" | "true" => KubernetesAuth::InCluster,
                path if path.contains('/') => KubernetesAuth::Kubeconfig(PathBuf::from(path)),
                other => return Err((not("off, on or the path of a kubeconfig", other), Some("a path has a slash, such as /etc/decklog/kubeconfig".to_owned()))),
            };
            Ok(())
        }),
    },
    Setting {
        path: "server.stopTimeout",
        flag: "stop-timeout",
        value_name: "DURATION",
        default: "20s",
        example: "1m",
        doc: "How long a graceful stop may take\nAfter that what is still open is cut; events that were acknowledged are safe either way.",
        apply: |config, node| text(node, |value| {
            config.server.stop_timeout = parse_duration(value).map_err(|help| (not("a duration", value), Some(help)))?;
            Ok(())
        }),
    },
    Setting {
        path: "sources",
        flag: "sources",
        value_name: "JSON",
        default: "[]",
        example: "[{name: prod, type: webhook, tokenFile: /etc/decklog/prod.token, cluster: prod}, {name: node, type: tail, path: /var/log/kubernetes/audit/audit.log}]",
        doc: "What comes in: a list of {name, type, …}\nType webhook takes kube-apiserver's posts at /ingest/webhook/NAME; tokenFile holds the token it must bring, and then cluster is its cluster. With any token, programs on this machine need one too.
Type tail follows the audit log file at path, and its rotations; it may name its cluster.",
        apply: |config, node| read_sources(node).map(|sources| config.sources = sources),
    },
    Setting {
        path: "journal.segmentSize",
        flag: "segment-size",
        value_name: "SIZE",
        default: "64MiB",
        example: "256MiB",
        doc: "The journal begins a new file above this size\nRetention removes whole files.",
        apply: |config, node| text(node, |value| {
            let size = parse_size(value).map_err(|help| (not("a size", value), Some(help)))?;
            if !(1 << 20..=4 << 30).contains(&size.0) {
                return Err((format!("`{value}` is outside of 1MiB to 4GiB"), None));
            }
            config.journal.segment_size = size;
            Ok(())
        }),
    },
    Setting {
        path: "journal.maxEventSize",
        flag: "max-event-size",
        value_name: "SIZE",
        default: "64MiB",
        example: "16MiB",
        doc: "The largest event taken\nA larger one goes to the quarantine.",
        apply: |config, node| text(node, |value| {
            let size = parse_size(value).map_err(|help| (not("a size", value), Some(help)))?;
            if !(1 << 10..=1 << 30).contains(&size.0) {
                return Err((format!("`{value}` is outside of 1KiB to 1GiB"), None));
            }
            config.journal.max_event_size = size;
            Ok(())
        }),
    },
    Setting {
        path: "journal.keep",
        flag: "journal-keep",
        value_name: "SIZE",
        default: "1GiB",
        example: "10GiB",
        doc: "How much of the journal stays after its events are in the table\nWhat is not in the table yet always stays.",
        apply: |config, node| text(node, |value| {
            config.journal.keep = parse_size(value).map_err(|help| (not("a size", value), Some(help)))?;
            Ok(())
        }),
    },
    Setting {
        path: "table.place",
        flag: "table",
        value_name: "PLACE",
        default: "",
        example: "s3://audit/prod",
        doc: "Where the table of events lies: a folder or s3://BUCKET/PREFIX; without it `table` in the data directory\nCredentials and endpoint of S3 come from the AWS_ variables.",
        apply: |config, node| text(node, |value| {
            config.table.place = match value {
                "" => None,
                value => Some(TablePlace::parse(value).map_err(|error| (error.to_string(), None))?),
            };
            Ok(())
        }),
    },
    Setting {
        path: "table.flushEvery",
        flag: "table-flush-every",
        value_name: "DURATION",
        default: "60s",
        example: "10s",
        doc: "How long events wait before they are written to the table\nSearches find them at once either way; other engines see them then.",
        apply: |config, node| text(node, |value| {
            config.table.flush_every = parse_duration(value).map_err(|help| (not("a duration", value), Some(help)))?;
            Ok(())
        }),
    },
    Setting {
        path: "table.flushBytes",
        flag: "table-flush-bytes",
        value_name: "SIZE",
        default: "64MiB",
        example: "16MiB",
        doc: "Events are written to the table sooner when they have this many bytes",
        apply: |config, node| text(node, |value| {
            let size = parse_size(value).map_err(|help| (not("a size", value), Some(help)))?;
            if !(1 << 10..=1 << 30).contains(&size.0) {
                return Err((format!("`{value}` is outside of 1KiB to 1GiB"), None));
            }
            config.table.flush_bytes = size;
            Ok(())
        }),
    },
    Setting {
        path: "table.compactTo",
        flag: "table-compact-to",
        value_name: "SIZE",
        default: "128MiB",
        example: "256MiB",
        doc: "Files of the table are merged until they have this size\nOne such file is held in memory while it is made.",
        apply: |config, node| text(node, |value| {
            let size = parse_size(value).map_err(|help| (not("a size", value), Some(help)))?;
            if !(1 << 20..=4 << 30).contains(&size.0) {
                return Err((format!("`{value}` is outside of 1MiB to 4GiB"), None));
            }
            config.table.compact_to = size;
            Ok(())
        }),
    },
    Setting {
        path: "retention.maxAge",
        flag: "retention-max-age",
        value_name: "DURATION",
        default: "none",
        example: "400d",
        doc: "How long events are kept; `none` keeps them for ever\nWhole days go, once all of their events are older.",
        apply: |config, node| text(node, |value| {
            config.retention.max_age = match value {
                "none" => None,
                value => Some(parse_duration(value).map_err(|help| (not("a duration or `none`", value), Some(help)))?),
            };
            Ok(())
        }),
    },
    Setting {
        path: "retention.maxSize",
        flag: "retention-max-size",
        value_name: "SIZE",
        default: "none",
        example: "200GiB",
        doc: "How large the table may be; above it the oldest days go; `none` is no limit",
        apply: |config, node| text(node, |value| {
            config.retention.max_size = match value {
                "none" => None,
                value => Some(parse_size(value).map_err(|help| (not("a size or `none`", value), Some(help)))?),
            };
            Ok(())
        }),
    },
    Setting {
        path: "redact.mode",
        flag: "redact",
        value_name: "MODE",
        default: "default",
        example: "off",
        doc: "Whether credentials are replaced by keyed hashes before events are stored: default or off",
        apply: |config, node| text(node, |value| {
            config.redact.mode = one_of(value, &[("default", RedactMode::Default), ("off", RedactMode::Off)])?;
            Ok(())
        }),
    },
    Setting {
        path: "redact.keyFile",
        flag: "redaction-key-file",
        value_name: "FILE",
        default: "",
        example: "/etc/decklog/redaction.key",
        doc: "The key of the hashes; without it `redaction.key` in the data directory, made at first start\nKeep it: with another key, equal values get another hash.",
        apply: |config, node| text(node, |value| {
            config.redact.key_file = optional_path(value);
            Ok(())
        }),
    },
    Setting {
        path: "log.format",
        flag: "log-format",
        value_name: "FORMAT",
        default: "text",
        example: "json",
        doc: "How decklog's own log is written to stderr: text or json",
        apply: |config, node| text(node, |value| {
            config.log.format = one_of(value, &[("text", LogFormat::Text), ("json", LogFormat::Json)])?;
            Ok(())
        }),
    },
    Setting {
        path: "log.level",
        flag: "log-level",
        value_name: "LEVEL",
        default: "info",
        example: "debug",
        doc: "How much of it: error, warn, info, debug or trace",
        apply: |config, node| text(node, |value| {
            use tracing::Level;
            let levels =
                [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG), ("trace", Level::TRACE)];
            config.log.level = one_of(value, &levels)?;
            Ok(())
        }),
    },
];

/// A message, and what to write instead.
type Wrong = (String, Option<String>);

/// Reads a value that is text. YAML turns `off` and plain numbers into other things than text; where such a
/// word was meant, it is taken as written.
fn text(node: &Node, read: impl FnOnce(&str) -> Result<(), Wrong>) -> Result<(), Vec<Fault>> {
    let value = match &node.value {
        Value::Text(value) | Value::Number(value) => value.as_str(),
        Value::Bool(false) => "off",
        Value::Bool(true) => "on",
        Value::Null => "",
        other => return Err(vec![Fault::of(node, format!("takes text, not {}", other.kind()))]),
    };
    read(value).map_err(|(message, help)| vec![Fault { spot: node.spot, message, help }])
}

fn not(wanted: &str, value: &str) -> String {
    format!("`{value}` is not {wanted}")
}

fn optional_path(value: &str) -> Option<PathBuf> {
    (!value.is_empty()).then(|| PathBuf::from(value))
}

fn one_of<T: Clone>(value: &str, choices: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == value) {
        return Ok(choice.clone());
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let meant = closest(value, names.iter().copied()).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    Err((format!("`{value}` is not one of its values"), Some(format!("{meant}values: {}", names.join(", ")))))
}

/// A name that may be part of a path, a metric label and an event id.
pub(crate) fn name(value: &str) -> Result<String, Wrong> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.is_empty() || value.len() > 63 || !value.chars().all(legal) || !value.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let help = "1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit first";
        return Err((not("a name", value), Some(help.to_owned())));
    }
    Ok(value.to_owned())
}

fn listen_address(value: &str) -> Result<SocketAddr, Wrong> {
    value.replace("localhost:", "127.0.0.1:").parse().map_err(|_| {
        let help = match value.parse::<u16>() {
            Ok(port) => format!("write an address and a port: 127.0.0.1:{port}"),
            Err(_) => "write an address and a port, such as 127.0.0.1:7080 or [::1]:7080".to_owned(),
        };
        (not("an address and port", value), Some(help))
    })
}
