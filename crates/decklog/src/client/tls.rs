//! Whom to trust at an https:// server, what to show it, and what to say when that fails.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use decklog_deliver::tls::{build, pem_text, system_roots_by};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::cli::TargetFlags;
use crate::commands::Context;
use crate::failure::Failure;

/// What `--ca-file`, `--client-cert` and `--client-key` or their variables say.
pub(crate) fn config(flags: &TargetFlags, context: &Context) -> Result<Arc<ClientConfig>, Failure> {
    config_trusting(None, flags, context)
}

/// The same, where the authorities to trust without `--ca-file` were found otherwise.
pub(crate) fn config_trusting(found: Option<RootCertStore>, flags: &TargetFlags, context: &Context) -> Result<Arc<ClientConfig>, Failure> {
    let named = |flag: &Option<PathBuf>, variable: &str| flag.clone().or_else(|| context.variable(variable).map(PathBuf::from));
    let roots = match named(&flags.ca_file, "DECKLOG_CA_FILE") {
        Some(path) => named_roots(&path)?,
        None => found.unwrap_or_else(|| system_roots(context)),
    };
    let identity = match (named(&flags.client_cert, "DECKLOG_CLIENT_CERT"), named(&flags.client_key, "DECKLOG_CLIENT_KEY")) {
        (None, None) => return build(roots, None).map_err(|error| Failure::failed("tls", format!("cannot set TLS up: {error}"))),
        (None, Some(_)) => return Err(Failure::usage("client-cert", "a client key without its certificate").help("add --client-cert FILE")),
        (Some(certificate), key) => (certificate.clone(), certificates(&certificate, "client certificate")?, private_key(&key.unwrap_or(certificate))?),
    };
    let (path, chain, key) = identity;
    let wrong = |error| Failure::usage("client-cert", format!("the client certificate `{}` cannot be used: {error}", path.display()));
    build(roots, Some((chain, key))).map_err(wrong)
}

fn named_roots(path: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "CA file")? {
        let wrong = |error| Failure::usage("ca-file", format!("the CA file `{}` holds a certificate that cannot be an authority: {error}", path.display()));
        roots.add(certificate).map_err(wrong)?;
    }
    Ok(roots)
}

/// The system's authorities; without any, every server is of an unknown one, and the error then says `--ca-file`.
pub(crate) fn system_roots(context: &Context) -> RootCertStore {
    system_roots_by(context.variable("SSL_CERT_FILE"), &|text| context.detail(text))
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |why: String| Failure::usage("tls-file", format!("cannot read the {what} `{}`: {why}", path.display()));
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| wrong(pem_text(&error)))?;
    if found.is_empty() { Err(wrong(pem_text(&PemError::NoItemsFound))) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let wrong = |error| Failure::usage("tls-file", format!("cannot read the client key `{}`: {}", path.display(), pem_text(&error)));
    PrivateKeyDer::from_pem_file(path).map_err(wrong)
}

/// What went wrong with TLS somewhere below `error`, and what mends it.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> Option<(String, String)> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An `io::Error` gives the source of what it wraps, not what it wraps.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).or_else(|| error.downcast_ref()) {
            return Some(words(tls));
        }
        next = error.source();
    }
    None
}

fn words(error: &rustls::Error) -> (String, String) {
    use rustls::Error as E;
    let (reason, mend) = match error {
        E::InvalidCertificate(CertificateError::UnknownIssuer) => {
            ("its certificate is of an authority that is not known here".to_owned(), "name a file with that authority's certificate with --ca-file")
        }
        E::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => {
            let names = if presented.is_empty() { "none".to_owned() } else { presented.join(", ") };
            (format!("its certificate is not for `{}`; its names: {}", expected.to_str(), names), "address the server by a name of its certificate")
        }
        E::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            ("its certificate has expired".to_owned(), "the server needs a new certificate: server.tls.certFile")
        }
        E::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            ("its certificate is not valid yet".to_owned(), "is the clock of this machine right?")
        }
        E::InvalidCertificate(other) => (format!("its certificate cannot be trusted: {other}"), "the server needs another certificate: server.tls.certFile"),
        E::AlertReceived(alert) if is_of_certificates(*alert) => {
            (format!("it refuses the client certificate ({alert:?})"), "name a certificate that its server.tls.clientCAFile knows with --client-cert")
        }
        E::AlertReceived(alert) => (format!("it refuses the connection ({alert:?})"), "its log says why"),
        E::InvalidMessage(_) => ("it does not speak TLS".to_owned(), "use http:// in place of https://"),
        other => (other.to_string(), "is a decklog server there?"),
    };
    (reason, mend.to_owned())
}

fn is_of_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::BadCertificate
            | A::CertificateExpired
            | A::CertificateRequired
            | A::CertificateRevoked
            | A::CertificateUnknown
            | A::UnknownCA
            | A::UnsupportedCertificate
            | A::DecryptError
            | A::AccessDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_says_is_found_below_other_errors() {
        #[derive(Debug)]
        struct Above(io::Error);
        impl std::fmt::Display for Above {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("client error (Connect)")
            }
        }
        impl Error for Above {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let above = |error: rustls::Error| explain(&Above(io::Error::new(io::ErrorKind::InvalidData, error)));
        assert!(above(CertificateError::UnknownIssuer.into()).unwrap().1.contains("--ca-file"));
        assert!(above(rustls::Error::AlertReceived(AlertDescription::UnknownCA)).unwrap().1.contains("--client-cert"));
        assert_eq!(explain(&Above(io::ErrorKind::ConnectionRefused.into())), None);
    }
}
