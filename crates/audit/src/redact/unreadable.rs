//! What is secret in bytes that are no event: malformed lines and bodies on their way to the quarantine.

use super::Findings;
use super::find::{self, Finding};
use super::mapped::{Mapped, ascii_only};
use super::shapes::credentials;
use super::uri::uri_credentials;
use crate::json::is_odd_escape;

/// Members behind which a body, a Secret's value or a token may stand, in events and in what providers make of them.
const BODIES: [&str; 10] =
    ["requestObject", "responseObject", "request", "response", "RequestObject", "ResponseObject", "data", "stringData", "token", "value"];
const LAST_APPLIED: &str = "last-applied-configuration";

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
    let mut findings: Vec<Finding> = parts.into_iter().map(|part| Finding::sure(part.clone(), text.as_bytes()[part].to_vec())).collect();
    let known = findings.len();
    in_uris(&text[..cut], middle, &mut findings);
    if findings.len() > known {
        findings.sort_by_key(|finding| (finding.at.start, std::cmp::Reverse(finding.at.end)));
        let mut behind = 0;
        findings.retain(|finding| {
            let apart = finding.at.start >= behind;
            behind = behind.max(finding.at.end);
            apart
        });
    }
    findings
}

/// Credentials in the URIs of events, from `from` on. Of a URI in JSON inside a string, whose escapes are doubled, the
/// whole query is one.
fn in_uris(text: &str, from: usize, findings: &mut Vec<Finding>) {
    const NAME: &str = "requestURI";
    for (at, _) in text[from..].match_indices(NAME) {
        let behind = &text[from + at + NAME.len()..];
        // A name that is none would make every one of many look at all the rest.
        if !behind.starts_with('"') && !behind.starts_with("\\\"") {
            continue;
        }
        let value = behind.trim_start_matches(['\\', '"', ':', ' ']);
        let start = text.len() - value.len();
        let content = &value[..value.find('"').unwrap_or(value.len())];
        if behind.starts_with('\\') {
            let content = content.trim_end_matches('\\');
            if let Some(query) = content.find('?').map(|query| start + query + 1..start + content.len()).filter(|query| !query.is_empty()) {
                let value = &text[query.clone()];
                if !super::key::is_mark(value) {
                    findings.push(Finding::sure(query.clone(), value.as_bytes().to_vec()));
                }
            }
            continue;
        }
        let mapped = Mapped::json(content);
        for credential in uri_credentials(&mapped.text) {
            let at = mapped.origin(credential.at);
            findings.push(Finding::sure(start + at.start..start + at.end, credential.value.into_bytes()));
        }
    }
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
    let bodies = BODIES.iter().filter_map(|name| end_of_name(text, name));
    let last_applied = text.find(LAST_APPLIED).map(|at| at + LAST_APPLIED.len());
    bodies.chain(last_applied).chain(odd_escape(text)).min().unwrap_or(text.len())
}

/// Behind the first `"name"`; its quotes may be escaped, as in JSON inside a string.
fn end_of_name(text: &str, name: &str) -> Option<usize> {
    text.match_indices(name).map(|(at, _)| (at, at + name.len())).find_map(|(at, end)| {
        let quoted = text[..at].ends_with('"') && text[end..].starts_with(['"', '\\']);
        quoted.then(|| end + usize::from(text[end..].starts_with('"')))
    })
}

fn odd_escape(text: &str) -> Option<usize> {
    text.match_indices('\\').find(|(at, _)| is_odd_escape(&text.as_bytes()[at + 1..])).map(|(at, _)| at)
}
