//! From files to what rustls serves with. Blocking; called at start and by each look that saw a change.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TlsConfig, TlsError};

/// No file is read further than this.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// A certificate that ends within so many seconds is worth a word.
const SOON: i64 = 7 * 24 * 3600;

/// What one reading of the files gave.
pub(super) struct Loaded {
    pub(super) server: Arc<ServerConfig>,
    /// From when the certificate holds, in seconds since 1970.
    not_before: i64,
    /// Until when.
    pub(super) not_after: i64,
}

impl Loaded {
    /// What is to be said about its dates at `now`. Clients would refuse it, but that is no reason for the server not
    /// to start: log files are recorded all the same.
    pub(super) fn dates_at(&self, now: i64) -> Option<String> {
        if now < self.not_before {
            Some(format!("is not valid yet: from {}", date(self.not_before)))
        } else if now > self.not_after {
            Some(format!("expired at {}", date(self.not_after)))
        } else {
            (self.not_after - now < SOON).then(|| format!("expires soon: at {}", date(self.not_after)))
        }
    }
}

fn date(seconds: i64) -> String {
    decklog_audit::Timestamp::new(seconds, 0).map_or_else(|| format!("{seconds} s since 1970"), decklog_audit::Timestamp::rfc3339_nano)
}

/// What tells one state of the files from the next. Links are followed, so that the swap of a directory, as Kubernetes
/// does it for mounted Secrets, is seen by the other inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamps([Option<[i64; 7]>; 3]);

impl Stamps {
    pub(super) fn of(config: &TlsConfig) -> Self {
        let stamp = |path: &Path| {
            let data = std::fs::metadata(path).ok()?;
            let [device, inode, size] = [data.dev(), data.ino(), data.size()].map(|number| number as i64);
            Some([device, inode, size, data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()])
        };
        Self([stamp(&config.cert_file), stamp(&config.key_file), config.client_ca_file.as_deref().and_then(stamp)])
    }
}

/// Reads and checks everything.
pub(super) fn load(config: &TlsConfig) -> Result<Loaded, TlsError> {
    let chain = certificates("certificate file", &config.cert_file)?;
    let key = key(&config.key_file)?;
    let (not_before, not_after) = validity(&chain[0], &config.cert_file)?;
    // `ring` may be in the program too, so rustls is not asked to choose.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13, &TLS12]);
    let builder = builder.map_err(|source| TlsError::Unusable { path: shown(&config.cert_file), source })?;
    let builder = match &config.client_ca_file {
        Some(path) => builder.with_client_cert_verifier(client_verifier(path, &provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { cert: shown(&config.cert_file), key: shown(&config.key_file) },
        source => TlsError::Unusable { path: shown(&config.cert_file), source },
    })?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    if config.client_ca_file.is_some() {
        // A resumed session would bring the certificate of its first handshake without it being verified again.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Ok(Loaded { server: Arc::new(server), not_before, not_after })
}

/// A certificate is asked for, not demanded: tokens come in too.
fn client_verifier(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    let wrong = |reason: String| TlsError::Authority { path: shown(path), reason };
    for certificate in certificates("client CA file", path)? {
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).allow_unauthenticated().build().map_err(|error| wrong(error.to_string()))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(what, path)?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, pem::Error>>();
    let chain = chain.map_err(|source| TlsError::Pem { what, path: shown(path), source })?;
    if chain.is_empty() {
        return Err(TlsError::Nothing { what, path: shown(path), block: "PEM block `CERTIFICATE`" });
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    const WHAT: &str = "key file";
    PrivateKeyDer::from_pem_slice(&read(WHAT, path)?).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::Nothing { what: WHAT, path: shown(path), block: "PEM block `PRIVATE KEY` (an encrypted one cannot be used)" },
        source => TlsError::Pem { what: WHAT, path: shown(path), source },
    })
}

fn validity(leaf: &CertificateDer<'_>, path: &Path) -> Result<(i64, i64), TlsError> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| TlsError::Malformed { path: shown(path), reason: error.to_string() })?;
    let validity = certificate.validity();
    Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { what, path: shown(path), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(unreadable)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(TlsError::TooLarge { what, path: shown(path) });
    }
    Ok(bytes)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
