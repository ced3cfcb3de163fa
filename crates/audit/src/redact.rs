//! Credentials out of events before they are stored (architecture decision 6): pure, on by default.
//!
//! Each secret value becomes `redacted:<key id>:<16 hex of HMAC-SHA-256(key, value)>`, so equal values stay
//! findable as equal; every other byte stays. Redacting again changes nothing. What counts as secret, and
//! what does not, is told in docs/redaction.md.
//!
//! ```text
//! line ─► suspicious? ── no ─► copied as it is            (nearly every event)
//!              │ yes
//!              ▼
//!         find::secrets ─► places and values ─► written under the key, and under the one before
//! ```
//!
//! `find` walks the JSON, `shapes` knows credentials by their look, `uri` those of a request's query,
//! `mapped` leads from unescaped text back to the bytes that came.

mod find;
mod key;
mod mapped;
mod shapes;
mod unreadable;
mod uri;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use aho_corasick::packed;

use crate::event::Decoded;
use find::Finding;
pub use key::{BadKey, RedactionKey};

/// Replaces secret values by a keyed hash.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: RedactionKey,
    former: Option<RedactionKey>,
}

/// The secret values found in one text; see [`Redactor::find`].
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// How many values are to be replaced.
    pub fn n_values(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to replace.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Redactor {
    /// Hashes under `key`.
    pub fn new(key: RedactionKey) -> Self {
        Self { key, former: None }
    }

    /// Knows also the key used before: an event stored under it is recognised when it comes again.
    #[must_use]
    pub fn with_former(self, former: RedactionKey) -> Self {
        Self { former: Some(former), ..self }
    }

    /// Names the key in `redacted:<key id>:…`.
    pub fn key_id(&self) -> &str {
        self.key.id()
    }

    /// Appends `line` without its secret values to `out`; tells whether anything was replaced.
    /// `decoded` was read from `line`.
    pub fn redact(&self, decoded: &Decoded<'_>, line: &str, out: &mut Vec<u8>) -> bool {
        if !may_hold_secrets(decoded, line) {
            out.extend_from_slice(line.as_bytes());
            return false;
        }
        let findings = self.find(line);
        self.write(line, &findings, out);
        !findings.is_empty()
    }

    /// What is secret in `line`, a JSON value; places are offsets in it, so it must be given as it is to
    /// [`Redactor::write`].
    pub fn find(&self, line: &str) -> Findings {
        // A text that is no JSON was refused before it came here.
        Findings(find::secrets(line).unwrap_or_default())
    }

    /// Appends `line` with `findings` replaced.
    pub fn write(&self, line: &str, findings: &Findings, out: &mut Vec<u8>) {
        write_under(&self.key, line.as_bytes(), findings, out);
    }

    /// [`Redactor::write`] as it was under the former key; `None` where there is none.
    pub fn write_former(&self, line: &str, findings: &Findings) -> Option<Vec<u8>> {
        let former = self.former.as_ref()?;
        let mut out = Vec::with_capacity(line.len());
        write_under(former, line.as_bytes(), findings, &mut out);
        Some(out)
    }

    /// Appends `bytes`, which need not be an event nor even JSON, without what may be secret in them; for
    /// the quarantine and for dead letters. Tells whether anything was replaced.
    ///
    /// Give it the bytes as they came, before any cutting: of a text that is no whole JSON and speaks of
    /// secrets or tokens, all from the first body on becomes one `redacted:` mark. What begins in the middle
    /// of JSON becomes one up to the next event.
    pub fn redact_bytes(&self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        self.write_unreadable(bytes, &unreadable::secrets(bytes), out)
    }

    /// [`Redactor::redact_bytes`] of what had to be cut: what was cut off may be what told of a secret, so
    /// all from the first body on becomes a mark whatever the rest speaks of, and so does the last word.
    pub fn redact_beginning(&self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        self.write_unreadable(bytes, &unreadable::secrets_of_beginning(bytes), out)
    }

    /// Appends one mark in the place of all of `bytes`, into which nobody can look.
    pub fn redact_all(&self, bytes: &[u8], out: &mut Vec<u8>) {
        self.key.write_mark(bytes, out);
    }

    fn write_unreadable(&self, bytes: &[u8], findings: &Findings, out: &mut Vec<u8>) -> bool {
        write_under(&self.key, bytes, findings, out);
        !findings.is_empty()
    }
}

fn write_under(key: &RedactionKey, text: &[u8], findings: &Findings, out: &mut Vec<u8>) {
    let mut written = 0;
    for finding in &findings.0 {
        out.extend_from_slice(&text[written..finding.at.start]);
        out.extend_from_slice(finding.quote.as_bytes());
        key.write_mark(finding.value(text), out);
        out.extend_from_slice(finding.quote.as_bytes());
        written = finding.at.end;
    }
    out.extend_from_slice(&text[written..]);
}

/// What a text must hold at least to hold a secret, if it has no odd escapes: names of kinds, beginnings of
/// credentials. (Go writes no odd escapes itself, but keeps those of a patch.)
///
/// Each has at least three bytes: with two the search is half as fast.
static SUSPICIOUS: LazyLock<Option<packed::Searcher>> = LazyLock::new(|| {
    let words = [URI, "eyJ", "://", "Bearer", "bearer", "BEARER", "asic ", "ASIC ", "Secret\"", "Secret\\", "SecretL", "TokenRe"];
    packed::Searcher::new(words.iter().chain(&REFERENCES))
});

const URI: &str = "requestURI\"";

/// An `objectRef` may also stand inside a body.
const REFERENCES: [&str; 3] = ["resource\":\"secrets\"", "resource\":\"tokenreviews\"", "resource\":\"token\""];

/// Whether `line` is worth a closer look; false for nearly every event, at the cost of one pass.
pub(crate) fn may_hold_secrets(decoded: &Decoded<'_>, line: &str) -> bool {
    let object = decoded.event.object_ref.as_ref();
    let resource = object.and_then(|object| object.resource.as_deref());
    decoded.oddly_escaped
        || matches!(resource, Some("secrets" | "tokenreviews"))
        || object.and_then(|object| object.subresource.as_deref()) == Some("token")
        || is_suspicious(line)
}

fn is_suspicious(text: &str) -> bool {
    let Some(searcher) = SUSPICIOUS.as_ref() else { return true };
    let mut no_jwt_before = 0;
    searcher.find_iter(text).any(|hit| match &text[hit.start()..hit.end()] {
        URI => is_suspicious_uri(&text[hit.end()..]),
        "eyJ" => hit.start() >= no_jwt_before && shapes::jwt(text, hit.start()).map_err(|end| no_jwt_before = end).is_ok(),
        "://" => is_suspicious_url(&text[hit.end()..]),
        _ => true,
    })
}

/// Whether the member whose name ends where `rest` begins holds a URI with a credential.
fn is_suspicious_uri(rest: &str) -> bool {
    let Some(content) = rest.trim_start_matches([':', ' ', '\t', '\n', '\r']).strip_prefix('"') else { return false };
    // An escaped quote ends the look too early; kube-apiserver writes none, since a URI holds `%22`.
    let content = &content[..content.find('"').unwrap_or(content.len())];
    content.ends_with('\\') || (content.contains(['?', '%']) && !uri::uri_credentials(&mapped::Mapped::json(content).text).is_empty())
}

/// How much of a URL the quick look takes; a longer one is worth a closer look.
const MAX_QUICK_URL: usize = 512;

/// Whether what follows `://` may hold a password or a token; escapes are not looked into.
fn is_suspicious_url(rest: &str) -> bool {
    let mut colon = false;
    for (at, byte) in rest.bytes().take(MAX_QUICK_URL).enumerate() {
        match byte {
            b'"' | b' ' | b'\t' | b'\n' | b'\r' => return false,
            b':' => colon = true,
            b'@' if colon || at >= shapes::SHORTEST_URL_TOKEN => return true,
            _ => {}
        }
    }
    rest.len() > MAX_QUICK_URL
}
