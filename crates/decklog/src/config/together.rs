//! What no setting can check alone: which of them belong together.

use super::{Config, KubernetesAuth, SourceKind};

/// A setting that does not go with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    /// The path of the setting to mend.
    pub(crate) path: &'static str,
    /// What is wrong; the setting's name goes before it.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: String,
}

/// Every clash, in the order of the settings.
pub(crate) fn clashes(config: &Config) -> Vec<Clash> {
    let mut clashes = Vec::new();
    let mut clash = |path, message: String, help: String| clashes.push(Clash { path, message, help });
    let server = &config.server;
    let listen = server.listen;
    let has_tls = server.tls.cert_file.is_some() && server.tls.key_file.is_some();
    let with_token = |kind: &SourceKind| matches!(kind, SourceKind::Webhook { token_file: Some(_) });
    let has_credentials = server.tokens_file.is_some()
        || server.kubernetes != KubernetesAuth::Off
        || server.tls.client_ca_file.is_some()
        || config.sources.iter().any(|source| with_token(&source.kind));
    let others_may_reach_it = !listen.ip().to_canonical().is_loopback();
    if others_may_reach_it && (!has_tls || !has_credentials) {
        let missing = match (has_tls, has_credentials) {
            (false, false) => {
                "TLS and credentials: set server.tls.certFile and server.tls.keyFile, and server.auth.tokensFile, server.auth.kubernetes or server.tls.clientCAFile"
            }
            (false, true) => "TLS: set server.tls.certFile and server.tls.keyFile",
            _ => "credentials: set server.auth.tokensFile, server.auth.kubernetes or server.tls.clientCAFile",
        };
        let message = format!("`{listen}` can be reached from other machines, which needs {missing}");
        clash("server.listen", message, format!("or stay on this machine: 127.0.0.1:{}", listen.port()));
    }
    let whole = || "set server.tls.certFile and server.tls.keyFile, both".to_owned();
    match (&server.tls.cert_file, &server.tls.key_file) {
        (Some(_), None) => clash("server.tls.certFile", "is there without server.tls.keyFile".to_owned(), whole()),
        (None, Some(_)) => clash("server.tls.keyFile", "is there without server.tls.certFile".to_owned(), whole()),
        (None, None) if server.tls.client_ca_file.is_some() => {
            clash("server.tls.clientCAFile", "asks for client certificates, which come by TLS only".to_owned(), whole());
        }
        _ => {}
    }
    clashes
}
