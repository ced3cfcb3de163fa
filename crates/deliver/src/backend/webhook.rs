//! The webhook backend: batches of events as an EventList, posted to the server of a kubeconfig.
//!
//! Every failure is tried again, five times in all, with longer and longer pauses; `Retry-After` of 429 and 5xx is honoured inside a try, ten
//! times. Then the batch is lost and counted. What is decided is a value ([`Backoff`], [`Verdict`]); [`WebhookBackend`] carries it out.
//! Beyond kube-apiserver, a redirect is a failure (there it turns the POST into a GET and counts as delivered), and so many batches
//! are under way at most.
//!
//! Source of the behaviour: `k8s.io/apiserver/plugin/pkg/audit/webhook`, `pkg/util/webhook` and `k8s.io/client-go/rest` (v0.36.3).

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use decklog_audit::backend::{Compat, Emitted, Processed, Processing, Stopping};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls_pki_types::ServerName;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::carrier::{Carrier, Line};
use super::errors::{Plugin, PluginErrors};
use crate::connector::{Connector, innermost};
use crate::kubeconfig::{Credential, Kubeconfig, KubeconfigError, WebhookAccess, tls_configs};
use crate::random::random_number;
use crate::tls;

/// A try may take so long, and the receiver is told so.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Tries of a batch.
const TRIES: u32 = 5;
/// A try is repeated so often because of `Retry-After`.
const RETRY_AFTERS: u32 = 10;
/// Go's clients follow so many redirects (`--compat 1.36`).
const REDIRECTS: u32 = 10;
/// Batches under way at once; the queue waits for room, and drops when it is full itself.
const MAX_UNDER_WAY: usize = 256;
/// What an answer's body is read to, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// The pauses between the tries of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first.
    pub initial: Duration,
}

impl Backoff {
    /// The pause after the `n_failed`th failure in a row (from 1): half as long again each time, stretched by up to a fifth by `chance`, any
    /// random number. Nothing after the last.
    pub fn pause(&self, n_failed: u32, chance: u64) -> Option<Duration> {
        if n_failed >= TRIES {
            return None;
        }
        let factor = 1.5_f64.powi(n_failed.saturating_sub(1) as i32) * (1.0 + 0.2 * (chance % 1024) as f64 / 1024.0);
        Some(Duration::try_from_secs_f64(self.initial.as_secs_f64() * factor).unwrap_or(Duration::MAX))
    }
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has the batch.
    Delivered,
    /// It asks to be sent the same again after this, within the same try.
    Again(Duration),
    /// It points elsewhere; the method and address to go on with, which kube-apiserver does and decklog does not.
    Elsewhere(Method, String),
    /// The try failed.
    Failed(String),
}

impl Verdict {
    /// Of status and headers.
    pub fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let code = status.as_u16();
        let retry_after = || text(header::RETRY_AFTER).and_then(|text| text.parse::<u64>().ok()).filter(|seconds| *seconds > 0);
        match code {
            200..=206 => Self::Delivered,
            429 | 500..=599 if let Some(seconds) = retry_after() => Self::Again(Duration::from_secs(seconds)),
            301 | 302 | 303 | 307 | 308 if let Some(location) = text(header::LOCATION) => {
                Self::Elsewhere(if code < 304 { Method::GET } else { Method::POST }, location.to_owned())
            }
            _ => Self::Failed(format!("the server answers {status}")),
        }
    }
}

/// Why there is no webhook backend.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The kubeconfig is not there.
    #[error("stat {path}: no such file or directory")]
    NoFile {
        /// Its path.
        path: String,
    },
    /// It cannot be read or does not say enough.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// TLS cannot be set up as it asks.
    #[error("cannot set TLS up for {server}: {why}")]
    Tls {
        /// The receiver.
        server: String,
        /// What is wrong.
        why: String,
    },
    /// Its address is none.
    #[error("`{server}` is no address to post to: {why}")]
    Address {
        /// The receiver.
        server: String,
        /// What is wrong.
        why: String,
    },
}

/// The backend.
pub struct WebhookBackend {
    poster: Arc<Poster>,
    errors: PluginErrors,
    runtime: Handle,
    under_way: Arc<UnderWay>,
}

impl WebhookBackend {
    /// Reads the kubeconfig; nothing is sent yet.
    ///
    /// # Errors
    /// A kubeconfig that cannot be read or followed.
    pub fn open(config_file: &Path, initial_backoff: Duration, compat: Compat, errors: PluginErrors, runtime: Handle) -> Result<Self, WebhookError> {
        if matches!(config_file.try_exists(), Ok(false)) {
            return Err(WebhookError::NoFile { path: config_file.display().to_string() });
        }
        let receiver = Kubeconfig::read(&[config_file.to_owned()])?.webhook()?;
        let poster = Arc::new(Poster::new(receiver, Backoff { initial: initial_backoff }, compat)?);
        Ok(Self { poster, errors, runtime, under_way: Arc::default() })
    }
}

impl std::fmt::Display for WebhookBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("webhook")
    }
}

impl Carrier for WebhookBackend {
    fn line(&self, event: &Emitted<'_>) -> Line {
        Line::json(event)
    }

    fn carry(&self, lines: Vec<Line>) -> Processing {
        let (poster, errors, under_way) = (self.poster.clone(), self.errors.clone(), self.under_way.clone());
        let (told, waiting) = oneshot::channel();
        under_way.change(1);
        self.runtime.spawn(async move {
            let processed = match poster.deliver(&lines).await {
                Ok(()) => Processed::Stored,
                Err(error) => {
                    errors.count(Plugin::Webhook, &error, &lines);
                    Processed::Failed
                }
            };
            under_way.change(-1);
            // Nobody needs to wait.
            let _ = told.send(processed);
        });
        Processing::Later(Box::pin(async { waiting.await.unwrap_or(Processed::Failed) }))
    }

    fn wait_for_room(&self) {
        self.under_way.wait_for_room();
    }

    fn stop(&self) -> Stopping<'_> {
        let mut count = self.under_way.count.subscribe();
        Box::pin(async move {
            // The sender is as old as this.
            let _ = count.wait_for(|count| *count == 0).await;
        })
    }
}

/// How many batches are on their way.
struct UnderWay {
    count: watch::Sender<usize>,
    lock: Mutex<()>,
    fewer: Condvar,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), lock: Mutex::default(), fewer: Condvar::new() }
    }
}

impl UnderWay {
    fn change(&self, by: isize) {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.count.send_modify(|count| *count = count.saturating_add_signed(by));
        if by < 0 {
            self.fewer.notify_all();
        }
    }

    fn wait_for_room(&self) {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.fewer.wait_while(lock, |()| *self.count.borrow() >= MAX_UNDER_WAY).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Posts batches.
struct Poster {
    uri: Uri,
    http: Client<Connector, Full<Bytes>>,
    credential: Arc<Credential>,
    basic: Option<HeaderValue>,
    backoff: Backoff,
    compat: Compat,
}

impl Poster {
    fn new(receiver: WebhookAccess, backoff: Backoff, compat: Compat) -> Result<Self, WebhookError> {
        let WebhookAccess { access, basic, insecure_skip_tls_verify } = receiver;
        let server = access.server.clone();
        let no_address = |why: String| WebhookError::Address { server: server.clone(), why };
        let uri: Uri = format!("{server}?timeout=30s").parse().map_err(|error: http::uri::InvalidUri| no_address(error.to_string()))?;
        let credential = Arc::new(Credential::new(&access));
        let connector = if server.starts_with("https:") {
            let wrong = |why: String| WebhookError::Tls { server: server.clone(), why };
            let name = access.server_name.clone().map(ServerName::try_from).transpose().map_err(|error| wrong(error.to_string()))?;
            let configs = if insecure_skip_tls_verify {
                let credential = credential.clone();
                Arc::new(move || {
                    let identity = credential.identity().map_err(std::io::Error::other)?;
                    let identity = identity.map(|(certificate, key)| tls::identity_of_pem(&certificate, &key)).transpose().map_err(std::io::Error::other)?;
                    tls::build_trusting_all(identity).map_err(std::io::Error::other)
                })
            } else {
                tls_configs(access.roots.clone(), credential.clone(), &|| tls::system_roots_by(std::env::var("SSL_CERT_FILE").ok().as_deref(), &|_| {}))
                    .map_err(wrong)?
            };
            configs().map_err(|error| wrong(error.to_string()))?;
            Connector::clear().over_tls(configs, name)
        } else {
            Connector::clear()
        };
        let basic = basic.map(|(name, password)| HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{name}:{}", password.reveal())))));
        let mut basic = basic.transpose().map_err(|error| no_address(error.to_string()))?;
        if let Some(basic) = &mut basic {
            basic.set_sensitive(true);
        }
        Ok(Self { uri, http: Client::builder(TokioExecutor::new()).build(connector), credential, basic, backoff, compat })
    }

    /// All tries of one batch; the error is that of the last.
    async fn deliver(&self, lines: &[Line]) -> Result<(), String> {
        let body = event_list(lines);
        let mut n_failed = 0;
        loop {
            let failed = match &body {
                Some(body) => match self.try_once(body).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                // As in kube-apiserver, one event that cannot be written takes its batch along, after all the pauses.
                None => decklog_audit::backend::Unencodable.to_string(),
            };
            n_failed += 1;
            match self.backoff.pause(n_failed, random_number()) {
                None => return Err(failed),
                Some(pause) => {
                    tracing::debug!(server = %self.uri, %failed, n_failed, ?pause, "a batch of audit events is tried again");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// One try, with what `Retry-After` makes of it.
    async fn try_once(&self, body: &Bytes) -> Result<(), String> {
        let (mut n_again, mut n_redirects) = (0, 0);
        let (mut method, mut uri) = (Method::POST, self.uri.clone());
        loop {
            let sent = tokio::time::timeout(TIMEOUT, self.send(&method, &uri, body)).await;
            match sent.map_err(|_| format!("no answer within {} s", TIMEOUT.as_secs()))?? {
                Verdict::Delivered => return Ok(()),
                Verdict::Failed(reason) => return Err(reason),
                Verdict::Again(pause) => {
                    n_again += 1;
                    if n_again > RETRY_AFTERS {
                        return Err(format!("the server still asks to wait after {RETRY_AFTERS} times"));
                    }
                    tokio::time::sleep(pause).await;
                }
                Verdict::Elsewhere(_, location) if self.compat == Compat::Mended => {
                    return Err(format!(
                        "the server redirects to {}, where events are not sent",
                        location.escape_debug().to_string().chars().take(200).collect::<String>()
                    ));
                }
                Verdict::Elsewhere(next, location) => {
                    n_redirects += 1;
                    if n_redirects > REDIRECTS {
                        return Err(format!("stopped after {REDIRECTS} redirects"));
                    }
                    method = if method == Method::GET { method } else { next };
                    uri = elsewhere(&uri, &location)?;
                }
            }
        }
    }

    async fn send(&self, method: &Method, uri: &Uri, body: &Bytes) -> Result<Verdict, String> {
        let mut request = Request::builder().method(method).uri(uri).header(header::ACCEPT, "application/json, */*");
        request = request.header(header::USER_AGENT, concat!("decklog/", env!("CARGO_PKG_VERSION")));
        let is_home = uri.authority() == self.uri.authority() && uri.scheme() == self.uri.scheme();
        if is_home {
            // A user is only there for https.
            let token = self.credential.token().await.map_err(|error| error.to_string())?;
            let bearer = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))).transpose().map_err(|error| error.to_string())?;
            if let Some(mut value) = bearer.or_else(|| self.basic.clone()) {
                value.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, value);
            }
        }
        let body = if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.clone()
        } else {
            Bytes::new()
        };
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.http.request(request).await.map_err(|error| innermost(&error))?;
        let verdict = Verdict::of(response.status(), response.headers());
        // The rest of an answer says nothing; what is longer closes the connection.
        let _ = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok(verdict)
    }
}

/// Where a `Location` leads from `uri`.
fn elsewhere(uri: &Uri, location: &str) -> Result<Uri, String> {
    let target: Uri = location.parse().map_err(|_| format!("the server redirects to `{}`", location.escape_debug()))?;
    let mut parts = target.into_parts();
    parts.scheme = parts.scheme.or_else(|| uri.scheme().cloned());
    parts.authority = parts.authority.or_else(|| uri.authority().cloned());
    Uri::from_parts(parts).map_err(|error| error.to_string())
}

/// What a log line has and an item of a list has not.
const LINE_HEAD: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#;

/// The body for a batch; nothing if one of its events cannot be written.
fn event_list(lines: &[Line]) -> Option<Bytes> {
    let mut body = Vec::with_capacity(lines.iter().map(Line::len).sum::<usize>() + 80);
    body.extend_from_slice(br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#);
    for (index, line) in lines.iter().enumerate() {
        let Line::Written(line) = line else { return None };
        let members = line.strip_prefix(LINE_HEAD)?.strip_suffix(b"\n")?;
        body.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        body.extend_from_slice(members);
    }
    body.extend_from_slice(b"]}\n");
    Some(body.into())
}

#[cfg(test)]
mod tests;
