//! Authorities, certificates and files of them, made by the test; and a client that speaks TLS.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test file uses its part

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use decklog_server::TlsConfig;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for 127.0.0.1 and localhost.
    pub fn server(&self) -> Pair {
        self.sign(&CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap())
    }

    /// A certificate with those units: at most two, since that is what the library can write.
    pub fn client(&self, name: &str, units: &[&str]) -> Pair {
        self.sign(&client(name, units))
    }

    pub fn expired_client(&self, name: &str, units: &[&str]) -> Pair {
        let mut params = client(name, units);
        params.not_after = date_time_ymd(2001, 1, 1);
        params.not_before = date_time_ymd(2000, 1, 1);
        self.sign(&params)
    }

    /// One that says it is not meant for clients.
    pub fn client_for_servers(&self, name: &str, units: &[&str]) -> Pair {
        let mut params = client(name, units);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    pub fn expired_server(&self) -> Pair {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

fn client(name: &str, units: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let kinds = [DnType::OrganizationalUnitName, DnType::CustomDnType(vec![2, 5, 4, 11])];
    for (kind, unit) in kinds.into_iter().zip(units) {
        params.distinguished_name.push(kind, *unit);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A folder with the server's files.
pub struct Files {
    pub directory: tempfile::TempDir,
}

impl Files {
    pub fn new(pair: &Pair) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        files.write(pair);
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, pair: &Pair) {
        std::fs::write(self.path("tls.crt"), &pair.certificate).unwrap();
        std::fs::write(self.path("tls.key"), &pair.key).unwrap();
    }

    /// Files that are looked at all the time.
    pub fn config(&self) -> TlsConfig {
        TlsConfig { look_every: std::time::Duration::from_millis(5), ..TlsConfig::new(self.path("tls.crt"), self.path("tls.key")) }
    }

    pub fn config_with_clients_of(&self, authorities: &[&Authority]) -> TlsConfig {
        let path = self.path("clients.crt");
        std::fs::write(&path, authorities.iter().map(|authority| authority.pem()).collect::<String>()).unwrap();
        TlsConfig { client_ca_file: Some(path), ..self.config() }
    }
}

/// What a client trusts and brings.
pub fn client_config(authority: &Authority, pair: Option<&Pair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider())).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    Arc::new(match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap()).unwrap()
        }
    })
}

pub async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config.clone()).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

/// A connection that stays, to send requests on.
pub struct Kept(SendRequest<Full<Bytes>>);

impl Kept {
    pub async fn open(address: SocketAddr, config: &Arc<ClientConfig>) -> Result<Self, String> {
        let stream = connect(address, config).await.map_err(|error| error.to_string())?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Status and body.
    pub async fn ask(&mut self, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<(u16, String), String> {
        self.0.ready().await.map_err(|error| error.to_string())?;
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.0.send_request(request.body(Full::default()).unwrap()).await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).unwrap()))
    }
}

pub async fn get(address: SocketAddr, config: &Arc<ClientConfig>, path: &str) -> Result<(u16, String), String> {
    Kept::open(address, config).await?.ask(Method::GET, path, &[]).await
}
