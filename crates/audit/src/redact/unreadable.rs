//! What is secret in bytes that are no event: malformed lines and bodies on their way to the quarantine.

use super::Findings;
use super::find::{self, Finding};
use super::mapped::ascii_only;
use super::shapes::credentials;
use crate::json::is_odd_escape;

/// Members behind which a body, a Secret's value or a token may stand.
const BODIES: [&str; 7] = ["\"requestObject\"", "\"responseObject\"", "\"data\"", "\"stringData\"", "\"token\"", "\"value\"", "last-applied-configuration"];

/// How an event or a list of them begins, as kube-apiserver writes it.
const BEGINNINGS: [&str; 3] = [r#"{"kind":"Event","apiVersion":"audit.k8s.io/"#, r#"{"kind":"EventList""#, r#"{"level":""#];

/// What JSON has between its parts and plain text has hardly ever.
const JSON_SIGNS: [&str; 5] = ["\":", "\",", "\"}", "\"]", "\\\""];

/// The findings of any bytes; their places are offsets in `bytes`.
pub(super) fn secrets(bytes: &[u8]) -> Findings {
    let text = searchable(bytes);
    Findings(find::secrets(&text).unwrap_or_else(|_| {
        let cut = if may_be_about_secrets(&text) { first_body(&text) } else { text.len() };
        of_broken_text(&text, cut)
    }))
}

/// The findings of bytes that went on.
pub(super) fn secrets_of_beginning(bytes: &[u8]) -> Findings {
    let text = searchable(bytes);
    let last_word = text.rfind(|character: char| character.is_ascii_whitespace() || matches!(character, '"' | '\'' | '`')).map_or(0, |at| at + 1);
    Findings(of_broken_text(&text, first_body(&text).min(last_word)))
}

fn searchable(bytes: &[u8]) -> String {
    // Same offsets, and what is searched is ASCII.
    std::str::from_utf8(bytes).map_or_else(|_| ascii_only(bytes), str::to_owned)
}

/// Text that is no JSON: what belongs to JSON whose beginning is missing, credentials by their shape in front
/// of `cut`, and all behind it.
fn of_broken_text(text: &str, cut: usize) -> Vec<Finding> {
    let middle = middle_of_json(text);
    let cut = cut.max(middle);
    let mut shaped = Vec::new();
    credentials(&text[middle..cut], &mut shaped);
    let mut parts = Vec::with_capacity(shaped.len() + 2);
    parts.push(0..middle);
    parts.extend(shaped.into_iter().map(|part| middle + part.start..middle + part.end));
    parts.push(cut..text.len());
    parts.retain(|part| !part.is_empty() && !super::key::is_mark(&text[part.clone()]));
    parts.into_iter().map(|part| Finding::sure(part.clone(), text.as_bytes()[part].to_vec())).collect()
}

/// How far `text` is the rest of JSON that began before it: whether that was a Secret, nothing in it says.
fn middle_of_json(text: &str) -> usize {
    let begins = text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
    if begins || !JSON_SIGNS.iter().any(|sign| text.contains(sign)) {
        return 0;
    }
    BEGINNINGS.iter().filter_map(|beginning| text.find(beginning)).min().unwrap_or(text.len())
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
