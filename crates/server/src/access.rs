//! Who makes a request, and may they: the layer in front of every route (architecture decision 14).
//!
//! Four ways in, tried in this order: a bearer token of the tokens file; a client certificate; the cookie or token
//! of the link that `decklog serve` printed; and the open door of loopback, which exists only while neither tokens nor
//! an authority for client certificates are configured. The result is a [`decklog_audit::access::Identity`] in the request's extensions; handlers
//! look at nothing else.
//!
//! Decisions are functions of the request's head ([`Access::identify`], [`right_of_path`]); the layer that
//! carries them out is in `router.rs`.

mod door;
mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use decklog_audit::access::{Identity, Scope};
use http::{HeaderMap, Method, Uri, header};
use tokio::time::Instant;

pub use door::Shut;
pub(crate) use tokens::is_name;
pub use tokens::{Tokens, TokensError, hash_token};

use crate::problem::{Problem, ProblemKind};
use crate::tls::{ClientCertificate, Refusal, now_seconds};

/// The name of who comes in by the open door.
pub(crate) const LOOPBACK_NAME: &str = "loopback";
/// The name of who comes in by the printed link.
pub(crate) const SESSION_NAME: &str = "session";

/// Whether decklog keeps that name to itself.
pub(crate) fn is_own_name(word: &str) -> bool {
    [LOOPBACK_NAME, SESSION_NAME].contains(&word)
}

/// How often at most the tokens file is looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(1);

/// Where credentials come from.
#[derive(Debug, Default)]
pub struct AccessConfig {
    /// The tokens file (`docs/api.md` has its form). With it, loopback is no open door any more.
    pub tokens_file: Option<PathBuf>,
    /// Credentials of single sources, beside the tokens file. With any, loopback is no open door any more.
    pub senders: Vec<Sender>,
    /// The token of the link for browsers on this machine; `None` switches it off.
    pub session: Option<SessionToken>,
}

/// The credential that a source must bring: it may send events of that source, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The source.
    pub source: Arc<str>,
    /// The cluster its events belong to; `None` is the server's default.
    pub cluster: Option<Arc<str>>,
    /// The SHA-256 of its token ([`hash_token`]).
    pub hash: [u8; 32],
}

/// Why access could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The tokens file could not be read.
    #[error("cannot read the tokens file {path}: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The tokens file is larger than what is read.
    #[error("the tokens file {path} has {size} bytes, the limit is 1048576")]
    TooLarge {
        /// Its path.
        path: String,
        /// Its size.
        size: u64,
    },
    /// Lines of it are wrong: all of them.
    #[error("the tokens file {path} is wrong{}", .errors.iter().map(|error| format!("\n  {error}")).collect::<String>())]
    Wrong {
        /// Its path.
        path: String,
        /// What is wrong.
        errors: Vec<TokensError>,
    },
}

/// The secret in the link that `decklog serve` prints for browsers; new at every start.
pub struct SessionToken {
    token: String,
    cookie: String,
}

impl SessionToken {
    /// From random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        let token = hex(&random);
        let cookie = hex(&hash_token(&format!("cookie:{token}")));
        Self { token, cookie }
    }

    /// The link to print, for a server at `address`.
    pub fn link(&self, address: SocketAddr) -> String {
        format!("http://{address}/?token={}", self.token)
    }

    /// The link to print, for a server that speaks TLS at `address`.
    pub fn tls_link(&self, address: SocketAddr) -> String {
        format!("https://{address}/?token={}", self.token)
    }
}

impl std::fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

impl AccessConfig {
    /// Reads the tokens file.
    ///
    /// # Errors
    /// When it cannot be read, or has wrong lines: all of them at once.
    pub fn build(self) -> Result<Access, AccessError> {
        let tokens = self.tokens_file.map(TokensFile::open).transpose()?;
        Ok(Access { tokens, senders: Tokens::of_senders(self.senders), session: self.session, takes_certificates: false })
    }
}

/// Finds out who makes a request.
#[derive(Debug)]
pub struct Access {
    tokens: Option<TokensFile>,
    senders: Tokens,
    session: Option<SessionToken>,
    takes_certificates: bool,
}

/// How bytes come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Clear,
    Tls,
}

impl Transport {
    fn scheme(self) -> &'static str {
        match self {
            Self::Clear => "http",
            Self::Tls => "https",
        }
    }
}

/// What all requests of a connection share.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    /// What the client brought, verified.
    pub(crate) certificate: Option<ClientCertificate>,
}

/// What is known of a request before its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// What a path asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Anybody may.
    Open,
    /// A credential with that scope.
    Scope(Scope),
}

/// What a path asks of its caller. Kubernetes leaves health and version open too
/// (ClusterRole `system:public-info-viewer`) and asks for a right on its metrics.
pub(crate) fn right_of_path(path: &str) -> Right {
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match path {
        "/livez" | "/readyz" | "/healthz" | "/version" => Right::Open,
        _ if below("/livez") || below("/readyz") || below("/healthz") => Right::Open,
        _ if below("/ingest") => Right::Scope(Scope::Send),
        _ if below("/api/v1/quarantine") => Right::Scope(Scope::Admin),
        _ => Right::Scope(Scope::Read),
    }
}

impl Access {
    /// Whether loopback needs no credential.
    pub fn has_open_door(&self) -> bool {
        self.tokens.is_none() && self.senders.is_empty() && !self.takes_certificates
    }

    /// Says that clients can come in with a certificate, which shuts the open door.
    #[must_use]
    pub(crate) fn with_client_certificates(mut self) -> Self {
        self.takes_certificates = true;
        self
    }

    /// The sources, and their clusters where they are fixed, that a credential sends for.
    pub(crate) fn senders(&self, now: Instant) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        let in_file = self.tokens.as_ref().map(|file| file.current(now));
        let entries = self.senders.entries().iter().chain(in_file.iter().flat_map(|tokens| tokens.entries()));
        entries.filter_map(|entry| Some((entry.source.clone()?, entry.cluster.clone()))).collect()
    }

    /// Who makes the request.
    ///
    /// # Errors
    /// The problem `unauthenticated` or, for a certificate without a right, `forbidden`; it says what would help.
    pub(crate) fn identify(&self, caller: Caller<'_>, now: Instant) -> Result<Identity, Problem> {
        if let Some(value) = single(caller.headers, &header::AUTHORIZATION) {
            return self.by_bearer(caller, value?, now);
        }
        let peer = caller.connection.peer;
        if let Some(certificate) = &caller.connection.certificate {
            return by_certificate(certificate, caller, now_seconds());
        }
        if self.cookie_matches(caller) {
            return door::open_with_cookie(peer.ip(), caller.connection.transport, caller.uri, caller.headers, caller.method.is_safe())
                .map(|()| everything(SESSION_NAME, peer))
                .map_err(refused);
        }
        if !self.has_open_door() {
            return Err(unauthenticated(match self.takes_certificates {
                false => "this needs a credential: send `Authorization: Bearer TOKEN` with a token of the tokens file or of the source",
                true => "this needs a credential: a client certificate of the configured CA, or `Authorization: Bearer TOKEN`",
            }));
        }
        door::open(peer.ip(), caller.uri, caller.headers).map(|()| everything(LOOPBACK_NAME, peer)).map_err(refused)
    }

    /// The header that sets the cookie, if the request is the printed link. `None` if it is something else.
    ///
    /// # Errors
    /// The problem `unauthenticated` for a link with a wrong token, or from elsewhere.
    pub(crate) fn exchange(&self, caller: Caller<'_>) -> Option<Result<String, Problem>> {
        if caller.uri.path() != "/" || *caller.method != Method::GET {
            return None;
        }
        let token = caller.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        let known = self.session.as_ref().filter(|session| verify_slices_are_equal(session.token.as_bytes(), token.as_bytes()).is_ok());
        let secure = match caller.connection.transport {
            Transport::Clear => "",
            Transport::Tls => "; Secure",
        };
        Some(match (known, door::local(caller.connection.peer.ip(), caller.uri, caller.headers)) {
            (Some(session), Ok(())) => Ok(format!("{}={}; HttpOnly; SameSite=Strict; Path=/{secure}", cookie_name(caller.headers), session.cookie)),
            (None, _) => Err(unauthenticated("the link is of an earlier start: use the one that `decklog serve` printed last")),
            (_, Err(shut)) => Err(refused(shut)),
        })
    }

    fn by_bearer(&self, caller: Caller<'_>, value: &str, now: Instant) -> Result<Identity, Problem> {
        let unknown = || unauthenticated("the token is not known here");
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unauthenticated("of the Authorization schemes only `Bearer` is understood"));
        }
        let token = token.trim();
        let peer = caller.connection.peer;
        let token_hash = hash_token(token);
        let in_file = self.tokens.as_ref().map(|file| file.current(now));
        let entry = self.senders.find(&token_hash).or_else(|| in_file.as_ref().and_then(|tokens| tokens.find(&token_hash)));
        if entry.is_none() && self.tokens.is_none() {
            // The link's token is also taken as a bearer token, by the same rules as the open door.
            let session = self.session.as_ref().filter(|session| verify_slices_are_equal(session.token.as_bytes(), token.as_bytes()).is_ok());
            session.ok_or_else(unknown)?;
            return door::local(peer.ip(), caller.uri, caller.headers).map(|()| everything(SESSION_NAME, peer)).map_err(refused);
        }
        let entry = entry.ok_or_else(unknown)?;
        Ok(Identity {
            name: entry.name.clone(),
            scopes: entry.scopes.clone(),
            source: entry.source.clone(),
            cluster: entry.cluster.clone(),
            peer: peer.to_string().into(),
        })
    }

    fn cookie_matches(&self, caller: Caller<'_>) -> bool {
        let Some(session) = &self.session else { return false };
        let name = cookie_name(caller.headers);
        let cookies = caller.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(key, value)| key == name && verify_slices_are_equal(session.cookie.as_bytes(), value.as_bytes()).is_ok())
    }
}

/// Who comes with a certificate. Other pages than ours may not use it in a browser's name.
fn by_certificate(certificate: &ClientCertificate, caller: Caller<'_>, now: i64) -> Result<Identity, Problem> {
    door::own_page(caller.connection.transport, caller.headers, caller.method.is_safe()).map_err(|shut| match shut {
        Shut::Browser => Problem::new(ProblemKind::Forbidden, "a page of another site may not use the client certificate"),
        shut => refused(shut),
    })?;
    certificate.identity(&caller.connection.peer.to_string(), now).map_err(|refusal| match refusal {
        Refusal::Expired | Refusal::Malformed => unauthenticated(&refusal.to_string()),
        _ => Problem::new(ProblemKind::Forbidden, refusal.to_string()),
    })
}

/// The name carries the port, since all ports of one host share their cookies.
fn cookie_name(headers: &HeaderMap) -> String {
    let port = headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.rsplit_once(':'));
    match port {
        Some((_, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => format!("decklog-{port}"),
        _ => "decklog-80".to_owned(),
    }
}

/// The value of a header that may stand once.
fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<Result<&'a str, Problem>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    Some(match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(unauthenticated("the Authorization header stands more than once, or is no ASCII text")),
    })
}

fn everything(name: &str, peer: SocketAddr) -> Identity {
    Identity { name: name.into(), scopes: Scope::ALL.to_vec(), source: None, cluster: None, peer: peer.to_string().into() }
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(ProblemKind::Unauthenticated, detail)
}

fn refused(shut: Shut) -> Problem {
    unauthenticated(&shut.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The tokens file, read again when it changes.
#[derive(Debug)]
struct TokensFile {
    path: PathBuf,
    state: Mutex<FileState>,
}

#[derive(Debug)]
struct FileState {
    tokens: Arc<Tokens>,
    looked_at: Instant,
    version: FileVersion,
}

/// What tells one content of the file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileVersion {
    modified: Option<SystemTime>,
    size: u64,
}

impl TokensFile {
    fn open(path: PathBuf) -> Result<Self, AccessError> {
        let (tokens, version) = read(&path)?;
        Ok(Self { path, state: Mutex::new(FileState { tokens: Arc::new(tokens), looked_at: Instant::now(), version }) })
    }

    /// The credentials in force. A changed file takes their place; a wrong one is logged and the old stay.
    fn current(&self, now: Instant) -> Arc<Tokens> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.looked_at) >= RELOAD_EVERY {
            state.looked_at = now;
            self.look(&mut state);
        }
        state.tokens.clone()
    }

    fn look(&self, state: &mut FileState) {
        let version = match std::fs::metadata(&self.path) {
            Ok(metadata) => FileVersion { modified: metadata.modified().ok(), size: metadata.len() },
            Err(error) => return tracing::error!(path = %self.path.display(), %error, "the tokens file is gone; the tokens read before stay in force"),
        };
        if version == state.version {
            return;
        }
        match read(&self.path) {
            Ok((tokens, version)) => {
                tracing::info!(path = %self.path.display(), tokens = tokens.entries().len(), "tokens file read again");
                (state.tokens, state.version) = (Arc::new(tokens), version);
            }
            Err(error) => {
                // Remembered too, so that a wrong file is named once and not each second.
                state.version = version;
                tracing::error!(%error, "the tokens read before stay in force");
            }
        }
    }
}

fn read(path: &std::path::Path) -> Result<(Tokens, FileVersion), AccessError> {
    let display = || path.display().to_string();
    let unreadable = |source| AccessError::Unreadable { path: display(), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > tokens::MAX_FILE_BYTES as u64 {
        return Err(AccessError::TooLarge { path: display(), size: metadata.len() });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let tokens = Tokens::parse(&text).map_err(|errors| AccessError::Wrong { path: display(), errors })?;
    Ok((tokens, FileVersion { modified: metadata.modified().ok(), size: metadata.len() }))
}

#[cfg(test)]
mod tests;
