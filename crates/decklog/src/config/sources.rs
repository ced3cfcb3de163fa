//! The setting `sources`: what sends events, or where decklog reads them.

use std::collections::HashSet;
use std::path::PathBuf;

use super::settings::{Fault, name};
use super::yaml::{Key, Node, Value};
use crate::suggest::closest;

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceConfig {
    /// Its name: part of the webhook's path and of metrics.
    pub(crate) name: String,
    /// The cluster of its events; `None` is the server's default.
    pub(crate) cluster: Option<String>,
    /// What it is.
    pub(crate) kind: SourceKind,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// kube-apiserver posts to `/ingest/webhook/NAME`.
    Webhook {
        /// Holds the token it must bring.
        token_file: Option<PathBuf>,
    },
    /// An audit log file that is followed.
    Tail {
        /// The file.
        path: PathBuf,
    },
}

const KEYS: [&str; 5] = ["name", "type", "cluster", "tokenFile", "path"];
/// Plain secrets people may try to write here.
const PLAIN_SECRETS: [&str; 3] = ["token", "password", "secret"];

/// Reads the list, noting every fault of every source.
pub(crate) fn read_sources(node: &Node) -> Result<Vec<SourceConfig>, Vec<Fault>> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        Value::Null => &[],
        other => return Err(vec![Fault::of(node, format!("takes a list, not {}", other.kind()))]),
    };
    let mut faults = Vec::new();
    let mut sources: Vec<SourceConfig> = Vec::new();
    let mut names = HashSet::new();
    for item in items {
        if let Some(source) = read_source(item, &mut faults) {
            if !names.insert(source.name.clone()) {
                faults.push(Fault::of(item, format!("two sources are named `{}`", source.name)));
            }
            sources.push(source);
        }
    }
    if faults.is_empty() { Ok(sources) } else { Err(faults) }
}

fn read_source(item: &Node, faults: &mut Vec<Fault>) -> Option<SourceConfig> {
    let Value::Map(members) = &item.value else {
        faults.push(Fault::of(item, format!("a source is a map, not {}", item.value.kind())).help("{name: prod, type: webhook}"));
        return None;
    };
    let before = faults.len();
    for (key, _) in members {
        check_key(key, faults);
    }
    let find = |wanted: &str| members.iter().find(|(key, _)| key.text == wanted).map(|(_, node)| node);
    let source_name = required(item, "name", find("name"), faults).and_then(|(node, text)| checked_source_name(node, text, faults));
    let cluster = optional("cluster", find("cluster"), faults).and_then(|(node, text)| checked_name(node, text, faults));
    let path = optional("path", find("path"), faults);
    let token_file = optional("tokenFile", find("tokenFile"), faults);
    let kind = match required(item, "type", find("type"), faults)? {
        (_, "webhook") => {
            if let Some((node, _)) = path {
                faults.push(Fault::of(node, "a webhook source has no path"));
            }
            if let (Some(node), None) = (find("cluster"), token_file) {
                let help = "the credential says which cluster it is: give the source a tokenFile too";
                faults.push(Fault::of(node, "a webhook source without tokenFile has no cluster of its own").help(help));
            }
            SourceKind::Webhook { token_file: token_file.map(|(_, text)| PathBuf::from(text)) }
        }
        (_, "tail") => {
            if let Some((node, _)) = token_file {
                faults.push(Fault::of(node, "a tail source has no tokenFile"));
            }
            let (_, path) = required(item, "path", find("path"), faults)?;
            SourceKind::Tail { path: PathBuf::from(path) }
        }
        (node, other) => {
            let meant = closest(other, ["webhook", "tail"]).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
            faults.push(Fault::of(node, format!("`{other}` is not a type of source")).help(format!("{meant}types: webhook, tail")));
            return None;
        }
    };
    (faults.len() == before).then_some(SourceConfig { name: source_name?, cluster, kind })
}

fn check_key(key: &Key, faults: &mut Vec<Fault>) {
    if KEYS.contains(&key.text.as_str()) {
        return;
    }
    let message = format!("a source has no `{}`", key.text);
    let help = if PLAIN_SECRETS.contains(&key.text.as_str()) {
        "secrets come by file: write the token to a file and name it in `tokenFile`".to_owned()
    } else {
        let meant = closest(&key.text, KEYS).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        format!("{meant}a source has {}", KEYS.join(", "))
    };
    faults.push(Fault { spot: key.spot, message, help: Some(help) });
}

fn optional<'a>(key: &str, node: Option<&'a Node>, faults: &mut Vec<Fault>) -> Option<(&'a Node, &'a str)> {
    let node = node?;
    match &node.value {
        Value::Text(text) if !text.is_empty() => Some((node, text)),
        Value::Number(text) => Some((node, text)),
        Value::Null => None,
        Value::Text(_) => {
            faults.push(Fault::of(node, format!("`{key}` of a source is empty")));
            None
        }
        other => {
            faults.push(Fault::of(node, format!("`{key}` of a source takes text, not {}", other.kind())));
            None
        }
    }
}

fn required<'a>(item: &Node, key: &str, node: Option<&'a Node>, faults: &mut Vec<Fault>) -> Option<(&'a Node, &'a str)> {
    let before = faults.len();
    let found = optional(key, node, faults);
    if found.is_none() && faults.len() == before {
        faults.push(Fault::of(item, format!("a source here has no `{key}`")));
    }
    found
}

/// The name is a part of the webhook's path and a metric's label.
fn checked_source_name(node: &Node, text: &str, faults: &mut Vec<Fault>) -> Option<String> {
    if is_source_name(text) {
        return Some(text.to_owned());
    }
    let help = "1 to 63 lower-case letters, digits, `-` and `.`, a letter or digit first and last";
    faults.push(Fault::of(node, format!("`{text}` is not a source's name")).help(help));
    None
}

/// As the webhook receiver has it.
pub(crate) fn is_source_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 63 && text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|c| plain(c) || matches!(c, '-' | '.'))
}

fn checked_name(node: &Node, text: &str, faults: &mut Vec<Fault>) -> Option<String> {
    match name(text) {
        Ok(name) => Some(name),
        Err((message, help)) => {
            faults.push(Fault { spot: node.spot, message, help });
            None
        }
    }
}
