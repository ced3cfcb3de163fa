//! What is secret in bytes that are no event: malformed lines and bodies on their way to the quarantine.

use super::Findings;
use super::find::{self, Finding};
use super::mapped::ascii_only;
use super::shapes::credentials;
use crate::json::is_odd_escape;

/// Members behind which a body, a Secret's value or a token may stand.
const BODIES: [&str; 7] = ["\"requestObject\"", "\"responseObject\"", "\"data\"", "\"stringData\"", "\"token\"", "\"value\"", "last-applied-configuration"];

/// The findings of any bytes; their places are offsets in `bytes`.
pub(super) fn secrets(bytes: &[u8]) -> Findings {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Same offsets, and what is searched is ASCII.
        Err(_) => ascii_only(bytes),
    };
    Findings(find::secrets(&text).unwrap_or_else(|_| of_broken_text(&text)))
}

/// Text that is no JSON: credentials by their shape in front of the first body, and all behind it where it
/// may hold a secret.
fn of_broken_text(text: &str) -> Vec<Finding> {
    let cut = if may_be_about_secrets(text) { first_body(text) } else { text.len() };
    let mut parts = Vec::new();
    credentials(&text[..cut], &mut parts);
    if cut < text.len() && !super::key::is_mark(&text[cut..]) {
        parts.push(cut..text.len());
    }
    parts.into_iter().map(|part| Finding::sure(part.clone(), text.as_bytes()[part].to_vec())).collect()
}

/// `ecret` also for `secrets`; an escape could spell any of it.
fn may_be_about_secrets(text: &str) -> bool {
    ["ecret", "oken", "stringData"].iter().any(|word| text.contains(word)) || odd_escape(text).is_some()
}

fn first_body(text: &str) -> usize {
    let bodies = BODIES.iter().filter_map(|name| Some(text.find(name)? + name.len()));
    bodies.chain(odd_escape(text)).min().unwrap_or(text.len())
}

fn odd_escape(text: &str) -> Option<usize> {
    text.match_indices('\\').find(|(at, _)| is_odd_escape(&text.as_bytes()[at + 1..])).map(|(at, _)| at)
}
