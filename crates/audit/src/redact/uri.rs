//! Credentials in a request's URI: query parameters named like one, and the credential-shaped parts of an
//! exec's `command=` words; the words themselves stay, since detections read them.

use std::ops::Range;

use super::key::is_mark;
use super::mapped::{Mapped, Plus};
use super::shapes::{ARGUMENT_END, command_credentials, credentials, is_secret_name};

/// A credential in a URI: where it stands, and what it is without percent encoding.
pub(super) struct UriCredential {
    pub(super) at: Range<usize>,
    pub(super) value: String,
}

/// The credentials of `uri` in rising order, without overlaps.
pub(super) fn uri_credentials(uri: &str) -> Vec<UriCredential> {
    let mut found = Vec::new();
    let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
    shaped(path, 0, Plus::IsItself, &mut found);
    let Some(query) = query else { return found };
    let mut commands = Vec::new();
    let mut start = path.len() + 1;
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value_start = start + name.len() + 1;
        start += parameter.len() + 1;
        if value.is_empty() {
            continue;
        }
        if name == "command" {
            commands.push((value_start, Mapped::percent(value, Plus::IsSpace)));
        } else if is_secret_name(&Mapped::percent(name, Plus::IsSpace).text) {
            let value_text = Mapped::percent(value, Plus::IsSpace).text;
            if !is_mark(&value_text) {
                found.push(UriCredential { at: value_start..value_start + value.len(), value: value_text.into_owned() });
            }
        } else {
            shaped(value, value_start, Plus::IsSpace, &mut found);
        }
    }
    in_commands(&commands, &mut found);
    found.sort_by_key(|credential| credential.at.start);
    found
}

fn shaped(part: &str, start: usize, plus: Plus, found: &mut Vec<UriCredential>) {
    let mapped = Mapped::percent(part, plus);
    let mut parts = Vec::new();
    credentials(&mapped.text, &mut parts);
    for part in parts {
        let value = mapped.text[part.clone()].to_owned();
        let at = mapped.origin(part);
        found.push(UriCredential { at: start + at.start..start + at.end, value });
    }
}

/// All words of a command are looked at together: `--password` and its value are two of them.
fn in_commands(commands: &[(usize, Mapped<'_>)], found: &mut Vec<UriCredential>) {
    if commands.is_empty() {
        return;
    }
    let mut joined = String::new();
    let mut starts = Vec::with_capacity(commands.len());
    for (_, word) in commands {
        starts.push(joined.len());
        joined.push_str(&word.text);
        joined.push(ARGUMENT_END);
    }
    let mut parts = Vec::new();
    command_credentials(&joined, &mut parts);
    for part in parts {
        // A word may itself hold newlines, but no credential reaches over its end.
        let index = starts.partition_point(|start| *start <= part.start) - 1;
        let (uri_start, word) = &commands[index];
        let end = part.end.min(starts[index] + word.text.len());
        let at = word.origin(part.start - starts[index]..end - starts[index]);
        found.push(UriCredential { at: uri_start + at.start..uri_start + at.end, value: joined[part.start..end].to_owned() });
    }
}
