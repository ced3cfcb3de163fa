//! A decklog server as the commands speak to it: HTTP or HTTPS, with a bearer token or a client
//! certificate where there is one; at an address, or inside a Kubernetes cluster ([`cluster`]).

pub(crate) mod cluster;
mod problem;
mod sse;
pub(crate) mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use decklog_capture::import::{DeliverError, Delivered, Post, Poster};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioExecutor;

use crate::cli::TargetFlags;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::kubernetes::Api;
use decklog_deliver::connector::Connector;

pub(crate) use problem::failure_of;
pub(crate) use sse::{Message, Messages};

/// An answer that is not a stream is no longer than this.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// One server.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    bearer: Bearer,
    http: Box<hyper_util::client::legacy::Client<Connector, Full<Bytes>>>,
}

/// The token that goes with every request.
#[derive(Clone)]
enum Bearer {
    None,
    Token(Arc<str>),
    /// That of the kubeconfig's user, as it is at that moment.
    User(Arc<Api>),
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

impl Client {
    /// The server at `url`, with the token of `--token-file`, `DECKLOG_TOKEN_FILE` or `DECKLOG_TOKEN`, and for HTTPS with what
    /// `--ca-file`, `--client-cert` and `--client-key` or their variables name.
    pub(crate) fn new(url: &str, flags: &TargetFlags, context: &Context) -> Result<Self, Failure> {
        let base = base_of(url)?;
        let connector = if base.starts_with("https:") { Connector::tls(tls::config(flags, context)?) } else { Connector::clear() };
        Ok(Self::at(base, token(flags, context)?.map_or(Bearer::None, Bearer::Token), connector))
    }

    fn at(base: String, bearer: Bearer, connector: Connector) -> Self {
        Self { base, bearer, http: Box::new(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector)) }
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether a token goes with every request.
    pub(crate) fn has_token(&self) -> bool {
        !matches!(self.bearer, Bearer::None)
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.base.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Asks for `path` with its query; an answer that is no success is a failure.
    pub(crate) async fn get(&self, path: &str, headers: &[(header::HeaderName, &str)]) -> Result<Response<Incoming>, Failure> {
        self.ask(Method::GET, path, headers, Bytes::new()).await
    }

    /// Posts `body` to `path`; an answer that is no success is a failure.
    pub(crate) async fn post(&self, path: &str, headers: &[(header::HeaderName, &str)], body: Bytes) -> Result<Response<Incoming>, Failure> {
        self.ask(Method::POST, path, headers, body).await
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(header::HeaderName, &str)], body: Bytes) -> Result<Response<Incoming>, Failure> {
        let answer = self.send(method, path, headers, body).await.map_err(|error| self.unreachable(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = self.whole(answer).await.unwrap_or_default();
        Err(failure_of(status, &body, &self.base))
    }

    /// Posts `body` to `path` and gives whatever the answer is, whole.
    pub(crate) async fn exchange(&self, path: &str, headers: &[(header::HeaderName, &str)], body: Bytes) -> Result<(http::response::Parts, Bytes), Failure> {
        let answer = self.send(Method::POST, path, headers, body).await.map_err(|error| self.unreachable(&error))?;
        let (parts, body) = answer.into_parts();
        let body = http_body_util::Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| self.broken(error.as_ref()))?;
        Ok((parts, body.to_bytes()))
    }

    /// The whole answer to `path` as JSON.
    pub(crate) async fn json<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.get(path, &[(header::ACCEPT, "application/json")]).await?;
        let body = self.whole(answer).await?;
        serde_json::from_slice(&body).map_err(|error| Failure::failed("answer", format!("{}{path} did not answer as decklog does: {error}", self.base)))
    }

    /// Hands every line of the answer to `found`.
    pub(crate) async fn lines(&self, path: &str, found: &mut dyn FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut body = self.get(path, &[]).await?.into_body();
        let mut line = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            let Ok(bytes) = frame.into_data() else { continue };
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.pop_if(|byte| *byte == b'\n').is_some() {
                    found(&line)?;
                    line.clear();
                }
            }
        }
        Ok(())
    }

    /// The answer's whole body, bounded.
    async fn whole(&self, answer: Response<Incoming>) -> Result<Bytes, Failure> {
        let body = http_body_util::Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok(body.map_err(|error| self.broken(error.as_ref()))?.to_bytes())
    }

    async fn send(&self, method: Method, path: &str, headers: &[(header::HeaderName, &str)], body: Bytes) -> Result<Response<Incoming>, Unreachable> {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.base)).header(header::USER_AGENT, concat!("decklog/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let token = match &self.bearer {
            Bearer::None => None,
            Bearer::Token(token) => Some(Arc::clone(token)),
            Bearer::User(api) => api.token().await.map_err(|error| Unreachable::told(cluster::failure_of(&error.into())))?,
        };
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| Unreachable::because(error.to_string()))?;
        self.http.request(request).await.map_err(|error| Unreachable::of(&error))
    }

    fn unreachable(&self, unreachable: &Unreachable) -> Failure {
        if let Some(failure) = &unreachable.told {
            return failure.clone();
        }
        match &unreachable.mend {
            Some(help) => Failure::failed("tls", format!("no connection to {}: {}", self.base, unreachable.reason)).help(help),
            None => Failure::failed("unreachable", format!("no decklog server at {} ({})", self.base, unreachable.reason))
                .help("decklog serve, or read a data directory with --data-dir"),
        }
    }

    /// The connection broke in the middle of an answer.
    pub(crate) fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::failed("connection", format!("{} stopped in the middle of its answer ({})", self.base, innermost(error)))
    }
}

/// Why there is no answer.
#[derive(Debug)]
struct Unreachable {
    reason: String,
    /// What must be changed before it can work; `None` if it may work by itself later.
    mend: Option<String>,
    /// What the way there says of itself, in place of these.
    told: Option<Failure>,
}

impl Unreachable {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(failure) = cluster::explain(error) {
            return Self::told(failure);
        }
        match tls::explain(error) {
            Some((reason, mend)) => Self { mend: Some(mend), ..Self::because(reason) },
            None => Self::because(innermost(error)),
        }
    }

    fn because(reason: String) -> Self {
        Self { reason, mend: None, told: None }
    }

    fn told(failure: Failure) -> Self {
        Self { mend: failure.help.clone(), told: Some(failure), reason: String::new() }
    }
}

/// Whether a decklog server answers at `url`; quick.
pub(crate) async fn answers(url: &str) -> bool {
    let client = Client::at(url.to_owned(), Bearer::None, Connector::clear());
    let asking = client.send(Method::GET, "/livez", &[], Bytes::new());
    matches!(tokio::time::timeout(Duration::from_secs(1), asking).await, Ok(Ok(answer)) if answer.status().is_success())
}

/// Posts of an import. A busy server's `Retry-After` is waited out here; how often to come again is the import's.
/// Why the server took nothing more is kept in `refusal`, since what a delivery says is only a text.
pub(crate) fn poster(client: &Client, refusal: &Refusal) -> Poster {
    let (client, refusal) = (client.clone(), Arc::clone(refusal));
    Arc::new(move |post: Post| {
        let (client, refusal) = (client.clone(), Arc::clone(&refusal));
        Box::pin(async move { deliver(&client, post, &refusal).await })
    })
}

/// The last answer that ended an import.
pub(crate) type Refusal = Arc<Mutex<Option<Failure>>>;

async fn deliver(client: &Client, post: Post, refusal: &Refusal) -> Result<Delivered, DeliverError> {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let answer = client.send(Method::POST, "/ingest/webhook/import", &headers, post.body.into()).await;
    // A server that is being restarted is as busy as any.
    let answer = answer.map_err(|unreachable| {
        let failure = client.unreachable(&unreachable);
        let message = failure.message.clone();
        match unreachable.mend {
            None => DeliverError::Busy(message),
            Some(_) => {
                *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                DeliverError::Failed(message)
            }
        }
    })?;
    let status = answer.status();
    let pause = retry_after(answer.headers());
    let body = client.whole(answer).await.map_err(|failure| DeliverError::Busy(failure.message))?;
    match status {
        StatusCode::OK => {
            let counts: Counts =
                serde_json::from_slice(&body).map_err(|error| DeliverError::Failed(format!("{} did not answer as decklog does: {error}", client.base)))?;
            Ok(Delivered { stored: counts.stored, duplicates: counts.duplicates, quarantined: counts.quarantined })
        }
        // Nothing in the body is an event; the server has put it into its quarantine, whole.
        StatusCode::BAD_REQUEST => Ok(Delivered { quarantined: 1, ..Delivered::default() }),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => {
            tokio::time::sleep(pause).await;
            Err(DeliverError::Busy(failure_of(status, &body, &client.base).message))
        }
        _ => {
            let failure = failure_of(status, &body, &client.base);
            let message = failure.message.clone();
            *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            Err(DeliverError::Failed(message))
        }
    }
}

#[derive(serde::Deserialize)]
struct Counts {
    #[serde(default)]
    stored: u64,
    #[serde(default)]
    duplicates: u64,
    #[serde(default)]
    quarantined: u64,
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0_u64);
    Duration::from_secs(seconds.min(30))
}

/// `http://host:port` or `https://host:port`, without a path.
fn base_of(url: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::usage("server", format!("`{url}` is not a server's address: {why}")).help("--server http://127.0.0.1:7080");
    let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let uri: Uri = whole.parse().map_err(|_| wrong("it cannot be read"))?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
    let scheme = scheme.ok_or_else(|| wrong("it begins with none of https://, http:// and a host"))?;
    let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
    if uri.path() != "/" || uri.query().is_some() {
        return Err(wrong("it has a path"));
    }
    Ok(format!("{scheme}://{authority}"))
}

fn token(flags: &TargetFlags, context: &Context) -> Result<Option<Arc<str>>, Failure> {
    let file = flags.token_file.clone().or_else(|| context.variable("DECKLOG_TOKEN_FILE").map(Into::into));
    let text = match file {
        Some(file) => {
            std::fs::read_to_string(&file).map_err(|error| Failure::usage("token", format!("cannot read the token file `{}`: {error}", file.display())))?
        }
        None => match context.variable("DECKLOG_TOKEN") {
            Some(token) => token.to_owned(),
            None => return Ok(None),
        },
    };
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage("token", "the token is empty or holds white space or characters that no token has"));
    }
    Ok(Some(Arc::from(token)))
}

/// The reason at the bottom of an error, without the system's number.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let text = decklog_deliver::connector::innermost(error);
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// `text` as a part of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What an answer of that status ends with.
fn exit_of(status: StatusCode) -> Exit {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
        StatusCode::BAD_REQUEST => Exit::Usage,
        StatusCode::GATEWAY_TIMEOUT => Exit::TimeLimit,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers() {
        assert_eq!(base_of("http://127.0.0.1:7080/").unwrap(), "http://127.0.0.1:7080");
        assert_eq!(base_of("127.0.0.1:7080").unwrap(), "http://127.0.0.1:7080");
        assert_eq!(base_of("https://decklog.example:7443/").unwrap(), "https://decklog.example:7443");
        for wrong in ["https://", "http://", "http://a/b", "ftp://a", "http://a?b", "a b", ""] {
            assert!(base_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("user:a b&c=ü*"), "user%3Aa%20b%26c%3D%C3%BC%2A");
    }
}
