//! Who a client certificate is: its name, and its scopes as words of its subject (`docs/tls.md`).
//!
//! ```text
//! CN=prod, OU=decklog:send, OU=decklog:source=prod, OU=decklog:cluster=prod-eu
//! ```
//!
//! That it is signed by an authority of ours and meant for clients was verified in the handshake; here only the
//! subject is read. Units that do not begin with `decklog:` mean nothing; one that does must be known.

use std::sync::Arc;

use decklog_audit::access::{Identity, Scope};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::access::{is_name, is_own_name};

const PREFIX: &str = "decklog:";

/// What a verified certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    subject: Result<Subject, Refusal>,
    /// Seconds since 1970; a connection may outlive its certificate.
    not_after: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Subject {
    name: Arc<str>,
    scopes: Vec<Scope>,
    source: Option<Arc<str>>,
    cluster: Option<Arc<str>>,
}

/// Why a certificate of a known authority gives no right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the client certificate cannot be read")]
    Malformed,
    #[error("the client certificate expired while the connection was open")]
    Expired,
    #[error(
        "the client certificate's subject needs one common name (CN) of 1 to 128 letters, digits, `.`, `_`, `-`, `:`, `@` or `/` that is not decklog's own"
    )]
    Name,
    #[error("the client certificate of `{name}` has no scope: its subject needs a unit such as `OU=decklog:read` (or send, or admin)")]
    NoScope { name: Arc<str> },
    #[error("the client certificate of `{name}` may send, but names no source: its subject needs a unit `OU=decklog:source=NAME`")]
    NoSource { name: Arc<str> },
    #[error(
        "the client certificate of `{name}` has a unit that is not known, or twice, or without its scope: units are `decklog:` with read, send, admin, and for send source=NAME and cluster=NAME"
    )]
    Unit { name: Arc<str> },
}

impl ClientCertificate {
    /// Reads a certificate.
    pub(crate) fn read(der: &[u8]) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return Self { subject: Err(Refusal::Malformed), not_after: i64::MAX };
        };
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().map(str::to_owned).ok();
        let names: Vec<Option<String>> = certificate.subject().iter_common_name().map(text).collect();
        let units: Option<Vec<String>> = certificate.subject().iter_organizational_unit().map(text).collect();
        let subject = match (names.as_slice(), units) {
            ([Some(name)], Some(units)) => subject(name, &units),
            (_, None) => Err(Refusal::Malformed),
            _ => Err(Refusal::Name),
        };
        Self { subject, not_after: certificate.validity().not_after.timestamp() }
    }

    /// Whose it is, for a request from `peer` at `now` (seconds since 1970).
    ///
    /// # Errors
    /// Why it gives no right.
    pub(crate) fn identity(&self, peer: &str, now: i64) -> Result<Identity, Refusal> {
        if now > self.not_after {
            return Err(Refusal::Expired);
        }
        let subject = self.subject.clone()?;
        Ok(Identity { name: subject.name, scopes: subject.scopes, source: subject.source, cluster: subject.cluster, peer: peer.into() })
    }
}

/// The same rules as for a line of the tokens file.
fn subject(name: &str, units: &[String]) -> Result<Subject, Refusal> {
    if !is_name(name) || is_own_name(name) {
        return Err(Refusal::Name);
    }
    let mut subject = Subject { name: name.into(), scopes: Vec::new(), source: None, cluster: None };
    let wrong = || Refusal::Unit { name: name.into() };
    for word in units.iter().filter_map(|unit| unit.strip_prefix(PREFIX)) {
        match word.split_once('=') {
            Some(("source", value)) if is_name(value) && subject.source.is_none() => subject.source = Some(value.into()),
            Some(("cluster", value)) if is_name(value) && subject.cluster.is_none() => subject.cluster = Some(value.into()),
            Some(_) => return Err(wrong()),
            None => match Scope::ALL.into_iter().find(|scope| scope.as_str() == word) {
                Some(scope) if !subject.scopes.contains(&scope) => subject.scopes.push(scope),
                _ => return Err(wrong()),
            },
        }
    }
    let holds = |scope| subject.scopes.contains(&scope);
    if subject.scopes.is_empty() {
        return Err(Refusal::NoScope { name: subject.name });
    }
    if !holds(Scope::Send) && (subject.source.is_some() || subject.cluster.is_some()) {
        return Err(wrong());
    }
    if holds(Scope::Send) && subject.source.is_none() && !holds(Scope::Admin) {
        return Err(Refusal::NoSource { name: subject.name });
    }
    Ok(subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(name: &str, units: &[&str]) -> Result<Subject, Refusal> {
        subject(name, &units.iter().map(|unit| (*unit).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn units_become_scopes() {
        let prod = read("prod", &["platform", "decklog:send", "decklog:source=prod", "decklog:cluster=eu"]).unwrap();
        assert_eq!((prod.scopes.as_slice(), prod.source.as_deref(), prod.cluster.as_deref()), (&[Scope::Send][..], Some("prod"), Some("eu")));
        assert_eq!(read("carol", &["decklog:read", "decklog:admin"]).unwrap().scopes, [Scope::Read, Scope::Admin]);
        assert!(read("root", &["decklog:send", "decklog:admin"]).unwrap().source.is_none());
    }

    #[test]
    fn what_is_missing_is_named() {
        let refusal = |name: &str, units: &[&str]| read(name, units).unwrap_err().to_string();
        assert!(refusal("carol", &[]).contains("`carol` has no scope") && refusal("carol", &["read", "Decklog:read"]).contains("OU=decklog:read"));
        assert!(refusal("prod", &["decklog:send"]).contains("OU=decklog:source=NAME"));
        for units in [
            &["decklog:write"][..],
            &["decklog:"],
            &["decklog:read", "decklog:read"],
            &["decklog:read", "decklog:source=a"],
            &["decklog:send", "decklog:source=a", "decklog:source=b"],
            &["decklog:send", "decklog:source="],
            &["decklog:send", "decklog:source=a", "decklog:tenant=b"],
        ] {
            assert!(refusal("carol", units).contains("a unit that is not known"), "{units:?}");
        }
        for name in ["", "loopback", "session", "a b", "a\nb", &"x".repeat(129)] {
            assert!(refusal(name, &["decklog:read"]).contains("common name"), "{name}");
        }
    }

    #[test]
    fn a_connection_may_outlive_its_certificate() {
        let certificate = ClientCertificate { subject: read("carol", &["decklog:read"]), not_after: 100 };
        assert_eq!(&*certificate.identity("10.0.0.1:5", 100).unwrap().peer, "10.0.0.1:5");
        assert_eq!(certificate.identity("10.0.0.1:5", 101), Err(Refusal::Expired));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = ClientCertificate::read(&bytes).identity("", 0);
        }

        #[test]
        fn no_unit_gives_more_than_it_says(units in prop::collection::vec("(decklog:)?(read|send|admin|source=[a-z]|cluster=[a-z]|[a-z]{0,3})", 0..5)) {
            if let Ok(subject) = subject("carol", &units) {
                for scope in Scope::ALL {
                    let said = units.contains(&format!("decklog:{}", scope.as_str()));
                    prop_assert_eq!(subject.scopes.contains(&scope), said);
                }
            }
        }
    }
}
