//! TLS to a server: whom to trust, what to show.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// Where systems keep the authorities they trust, as OpenSSL and Go look for them: Debian, Fedora, SUSE, Alpine.
const SYSTEM_FILES: [&str; 4] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// What a client shows: its certificate with what stands between it and its authority, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// TLS 1.2 and 1.3 and HTTP/1.1 with these roots; fails when the key is not the certificate's.
pub fn build(roots: RootCertStore, identity: Option<Identity>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider())).with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Authorities in PEM.
pub fn roots_of_pem(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|error| pem_text(&error))?).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err(pem_text(&PemError::NoItemsFound)) } else { Ok(roots) }
}

/// A client's certificate and key, both in PEM.
pub fn identity_of_pem(certificate: &[u8], key: &[u8]) -> Result<Identity, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().map_err(|error| pem_text(&error))?;
    if chain.is_empty() {
        return Err(pem_text(&PemError::NoItemsFound));
    }
    Ok((chain, PrivateKeyDer::from_pem_slice(key).map_err(|error| pem_text(&error))?))
}

/// The system's authorities; `named` is the file that takes the place of the usual ones.
pub fn system_roots_by(named: Option<&str>, detail: &dyn Fn(&str)) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for path in named.into_iter().chain(SYSTEM_FILES.into_iter().filter(|_| named.is_none())) {
        let Ok(found) = CertificateDer::pem_file_iter(path) else { continue };
        // Bundles hold old things too; what cannot be read cannot be trusted.
        let (added, _) = roots.add_parsable_certificates(found.filter_map(Result::ok));
        if added > 0 {
            detail(&format!("trusting the {added} authorities of {path}"));
            break;
        }
    }
    roots
}

/// What is wrong with a PEM file, in words.
pub fn pem_text(error: &PemError) -> String {
    match error {
        PemError::NoItemsFound => "it holds no such PEM block".to_owned(),
        PemError::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// As [`build`], taking any certificate: for `insecure-skip-tls-verify`.
///
/// # Errors
/// As [`build`].
pub fn build_trusting_all(identity: Option<Identity>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Takes any certificate whose owner has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
