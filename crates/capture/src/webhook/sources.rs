//! Which source a request's events belong to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use decklog_audit::access::{Identity, Scope};

/// Why a request may not send under the name in its URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SourceError {
    #[error("the credential `{0}` does not have the scope `send`")]
    Scope(Arc<str>),
    #[error("the credential sends for source `{own}`, the URL names `{named}`; use /ingest/webhook/{own}")]
    Other { own: Arc<str>, named: String },
    #[error("`{0}` is no source name: up to 63 lower-case letters, digits, `-` and `.`, with a letter or digit first and last")]
    Name(String),
    #[error("{0} source names are in use already; give each source a credential of its own")]
    TooMany(usize),
}

/// Names that URLs brought up: bounded, since each makes metrics of its own.
pub(super) struct SourceNames {
    seen: Mutex<HashSet<Arc<str>>>,
    limit: usize,
}

impl SourceNames {
    pub(super) fn new(limit: usize) -> Self {
        Self { seen: Mutex::default(), limit }
    }

    /// The source of events that `identity` sends to the URL of `named`.
    pub(super) fn source(&self, identity: &Identity, named: &str) -> Result<Arc<str>, SourceError> {
        if !identity.may(Scope::Send) {
            return Err(SourceError::Scope(Arc::clone(&identity.name)));
        }
        if let Some(own) = &identity.source {
            if **own == *named {
                return Ok(Arc::clone(own));
            }
            return Err(SourceError::Other { own: Arc::clone(own), named: shorten(named) });
        }
        if !is_source_name(named) {
            return Err(SourceError::Name(shorten(named)));
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = seen.get(named) {
            return Ok(Arc::clone(name));
        }
        if seen.len() >= self.limit {
            return Err(SourceError::TooMany(self.limit));
        }
        let name: Arc<str> = Arc::from(named);
        seen.insert(Arc::clone(&name));
        Ok(name)
    }
}

fn shorten(named: &str) -> String {
    named.chars().take(64).collect()
}

/// Whether it can be a source's name: `[a-z0-9]([-a-z0-9.]*[a-z0-9])?`, at most 63 characters.
pub fn is_source_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    bytes.len() <= 63 && plain(*first) && plain(*last) && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_source_name;

    #[test]
    fn names() {
        for good in ["a", "prod", "prod-eu.1", "0", &"a".repeat(63)] {
            assert!(is_source_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "A", "a_b", "a/b", "ä", "a b", &"a".repeat(64)] {
            assert!(!is_source_name(bad), "{bad}");
        }
    }
}
