//! TLS as a kubeconfig asks for it.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::{Credential, Roots};
use crate::connector::TlsConfigs;
use crate::tls;

/// The TLS configuration for each connection: of files as they are then.
///
/// # Errors
/// Authorities that cannot be read.
pub fn tls_configs(roots: Roots, credential: Arc<Credential>, system_roots: &dyn Fn() -> RootCertStore) -> Result<Arc<TlsConfigs>, String> {
    let fixed = match &roots {
        Roots::System => Some(system_roots()),
        Roots::Pem(pem) => Some(tls::roots_of_pem(pem).map_err(|why| format!("certificate-authority-data: {why}"))?),
        Roots::File(_) => None,
    };
    Ok(Arc::new(move || -> io::Result<Arc<ClientConfig>> {
        let roots = match (&fixed, &roots) {
            (None, Roots::File(path)) => {
                let wrong = |why: String| io::Error::other(format!("the authority `{}`: {why}", path.display()));
                tls::roots_of_pem(&std::fs::read(path).map_err(|error| wrong(error.to_string()))?).map_err(wrong)?
            }
            (fixed, _) => fixed.clone().unwrap_or_else(RootCertStore::empty),
        };
        let identity = credential.identity().map_err(io::Error::other)?;
        let identity = identity.map(|(certificate, key)| tls::identity_of_pem(&certificate, &key)).transpose();
        let identity = identity.map_err(|why| io::Error::other(format!("the client certificate: {why}")))?;
        tls::build(roots, identity).map_err(io::Error::other)
    }))
}
