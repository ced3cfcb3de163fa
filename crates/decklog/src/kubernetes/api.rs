//! Requests to an API server, with the user's credential on each.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use decklog_deliver::connector::Connector;
use decklog_deliver::kubeconfig::{Credential, CredentialError, tls_configs};

use super::Access;
use crate::client::{innermost, tls};

/// How long an answer's head may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A longer answer is none that is asked for here.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The protocol of forwarded ports and commands: the first byte of a message names its channel.
const CHANNELS: &str = "v4.channel.k8s.io";

/// Why the API server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The user has no credential now.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// TLS cannot be set up.
    #[error("cannot set TLS up for {server}: {why}")]
    Tls {
        /// The API server.
        server: String,
        /// What is wrong.
        why: String,
    },
    /// It cannot be reached.
    #[error("no API server at {server} ({reason}){}", .mend.as_ref().map(|mend| format!("; {mend}")).unwrap_or_default())]
    Unreachable {
        /// The API server.
        server: String,
        /// Why.
        reason: String,
        /// What would help, where that is known.
        mend: Option<String>,
    },
    /// It did not answer in time.
    #[error("the API server at {server} did not answer within {} s", PATIENCE.as_secs())]
    Late {
        /// The API server.
        server: String,
    },
    /// It says no.
    #[error("{server} says: {message}")]
    Refused {
        /// The API server.
        server: String,
        /// Its status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// Its answer cannot be read.
    #[error("{server} does not answer as Kubernetes does: {why}")]
    Answer {
        /// The API server.
        server: String,
        /// What is wrong.
        why: String,
    },
}

impl ApiError {
    /// The status of a refusal.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// One API server and one user.
#[derive(Debug)]
pub(crate) struct Api {
    server: String,
    user_name: String,
    credential: Arc<Credential>,
    http: Client<Connector, Full<Bytes>>,
}

impl Api {
    /// Speaks to a cluster; nothing is sent yet. `system_roots` are trusted where the kubeconfig names no authority.
    ///
    /// # Errors
    /// When authorities or certificate cannot be read.
    pub(crate) fn new(access: &Access, system_roots: &dyn Fn() -> RootCertStore) -> Result<Self, ApiError> {
        let server = access.server.clone();
        let wrong = |why: String| ApiError::Tls { server: server.clone(), why };
        let credential = Arc::new(Credential::new(access));
        let connector = match server.starts_with("https:") {
            false => Connector::clear(),
            true => {
                let name = access.server_name.clone().map(ServerName::try_from).transpose().map_err(|error| wrong(error.to_string()))?;
                let configs = tls_configs(access.roots.clone(), Arc::clone(&credential), system_roots).map_err(&wrong)?;
                // What is wrong with files is told now, and not on the first request.
                configs().map_err(|error| wrong(error.to_string()))?;
                Connector::clear().over_tls(configs, name)
            }
        };
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { server, user_name: access.user_name.clone(), credential, http })
    }

    /// Its address.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The user's name in the kubeconfig.
    pub(crate) fn user_name(&self) -> &str {
        &self.user_name
    }

    /// The user's bearer token as it is now.
    ///
    /// # Errors
    /// When its file cannot be read, or the plugin gives none.
    pub(crate) async fn token(&self) -> Result<Option<Arc<str>>, CredentialError> {
        self.credential.token().await
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// When there is no answer, or it is a refusal.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let answer = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        self.read(answer).await
    }

    /// What the API server answers to `body`.
    ///
    /// # Errors
    /// When there is no answer, or it is a refusal.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, ApiError> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = self.send(Method::POST, path, headers, body.to_string().into()).await?;
        self.read(answer).await
    }

    /// A WebSocket at `path`, with channels.
    ///
    /// # Errors
    /// When the API server does not agree to one.
    pub(super) async fn websocket(&self, path: &str) -> Result<Upgraded, ApiError> {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| self.odd("there is no randomness for a WebSocket's key"))?;
        let key = STANDARD.encode(random);
        let headers = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(CHANNELS)),
            (header::SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).expect("base64 is ASCII")),
        ]);
        let answer = self.send(Method::GET, path, headers, Bytes::new()).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.refused(answer).await);
        }
        let says = |name: header::HeaderName, value: &str| answer.headers().get(name).is_some_and(|found| found.as_bytes() == value.as_bytes());
        if !says(header::SEC_WEBSOCKET_ACCEPT, &accept_of(&key)) || !says(header::SEC_WEBSOCKET_PROTOCOL, CHANNELS) {
            return Err(self.odd("it took the WebSocket without its key or protocol"));
        }
        hyper::upgrade::on(answer).await.map_err(|error| self.odd(&innermost(&error)))
    }

    async fn send(&self, method: Method, path: &str, headers: HeaderMap, body: Bytes) -> Result<Response<Incoming>, ApiError> {
        // Before the connection: a plugin may give the certificate for it.
        let token = self.token().await?;
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.server)).body(Full::new(body)).map_err(|error| self.odd(&error.to_string()))?;
        *request.headers_mut() = headers;
        // A port is no JSON: asked for it as such, the API server has nothing acceptable.
        request.headers_mut().entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(concat!("decklog/", env!("CARGO_PKG_VERSION"))));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| CredentialError::NoToken)?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let late = |_| ApiError::Late { server: self.server.clone() };
        tokio::time::timeout(PATIENCE, self.http.request(request)).await.map_err(late)?.map_err(|error| match tls::explain(&error) {
            Some((reason, _)) => {
                let mend = "is `certificate-authority-data` of the kubeconfig this cluster's?".to_owned();
                ApiError::Unreachable { server: self.server.clone(), reason, mend: Some(mend) }
            }
            None => ApiError::Unreachable { server: self.server.clone(), reason: innermost(&error), mend: None },
        })
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response<Incoming>) -> Result<T, ApiError> {
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        let body = self.whole(answer).await?;
        serde_json::from_slice(&body).map_err(|error| self.odd(&error.to_string()))
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<Bytes, ApiError> {
        let body = tokio::time::timeout(PATIENCE, Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect()).await;
        let body = body.map_err(|_| ApiError::Late { server: self.server.clone() })?;
        Ok(body.map_err(|error| self.odd(&innermost(error.as_ref())))?.to_bytes())
    }

    /// A refusal in the API server's words, where it is a Status.
    async fn refused(&self, answer: Response<Incoming>) -> ApiError {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            message: String,
        }
        let status = answer.status();
        let body = self.whole(answer).await.unwrap_or_default();
        let said = serde_json::from_slice::<Status>(&body).unwrap_or_default().message;
        let message = if said.is_empty() { status.to_string() } else { crate::output::escape(&said).into_owned() };
        ApiError::Refused { server: self.server.clone(), status, message }
    }

    fn odd(&self, why: &str) -> ApiError {
        ApiError::Answer { server: self.server.clone(), why: why.to_owned() }
    }
}

/// What a server answers to a WebSocket's key (RFC 6455, 4.2.2).
fn accept_of(key: &str) -> String {
    const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{SUFFIX}").as_bytes()))
}

#[cfg(test)]
mod tests;
