//! The kubeconfig: which cluster, and who the user is there.
//!
//! Files are merged as kubectl does it: of clusters, users and contexts with the same name, and of `current-context`, the first
//! file's holds; paths in a file are relative to its folder
//! (<https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>). Keys that play no part here are passed over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

mod credential;
mod plugin;
mod secret;
mod tls;
#[cfg(test)]
mod tests;

pub use credential::{Credential, CredentialError};
pub use plugin::Plugin;
pub use secret::Secret;
pub use tls::tls_configs;

/// A larger file is no kubeconfig.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What to speak to, and as whom.
#[derive(Clone, Debug)]
pub struct Access {
    /// The API server's address, perhaps with a path, without a slash at its end.
    pub server: String,
    /// Who signs its certificate.
    pub roots: Roots,
    /// Whom the certificate must be for, if not for the address's host.
    pub server_name: Option<String>,
    /// The user's name in the file, for messages.
    pub user_name: String,
    /// How the user gets a token.
    pub login: Login,
    /// The user's client certificate.
    pub certificate: Option<ClientFiles>,
}

/// Authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The system's.
    System,
    /// These, in PEM.
    Pem(Vec<u8>),
    /// Those of a file, which may change.
    File(PathBuf),
}

/// Where a bearer token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// There is none.
    None,
    /// It stands in the kubeconfig.
    Token(Secret),
    /// In a file, which may change.
    TokenFile(PathBuf),
    /// A program gives it.
    Plugin(Box<Plugin>),
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// In PEM.
    pub certificate: Data,
    /// In PEM.
    pub key: Data,
}

/// Bytes that stand in the kubeconfig or in a file.
#[derive(Clone, PartialEq, Eq)]
pub enum Data {
    /// The bytes.
    Here(Vec<u8>),
    /// Their file.
    File(PathBuf),
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here(_) => f.write_str("Here(…)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Data {
    /// The bytes as they are now.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Here(bytes) => Ok(bytes.clone()),
            Self::File(path) => std::fs::read(path),
        }
    }
}

/// Why a kubeconfig does not lead to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// Nothing was named, and nothing is there.
    #[error("there is no kubeconfig: neither --kubeconfig nor $KUBECONFIG names one, there is no ~/.kube/config, and this is no pod")]
    Nowhere,
    /// No file of the list is there.
    #[error("no file of $KUBECONFIG is there: {}", .paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", "))]
    NoneThere {
        /// The list.
        paths: Vec<PathBuf>,
    },
    /// A file cannot be read.
    #[error("cannot read the kubeconfig `{}`: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is no kubeconfig.
    #[error("`{}` is no kubeconfig: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What its reader says.
        reason: String,
    },
    /// No context is current, and none was named.
    #[error("the kubeconfig has no current context; its contexts: {}", listed(.known))]
    NoCurrent {
        /// Those there are.
        known: Vec<String>,
    },
    /// There is no such context.
    #[error("there is no context `{name}` in the kubeconfig; its contexts: {}", listed(.known))]
    NoContext {
        /// The name.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A context names something that is not there.
    #[error("the context `{context}` names the {what} `{name}`, which is not in the kubeconfig")]
    Dangling {
        /// The context.
        context: String,
        /// `cluster` or `user`.
        what: &'static str,
        /// What it names.
        name: String,
    },
    /// The cluster cannot be spoken to as the kubeconfig asks.
    #[error("the cluster `{cluster}` of the kubeconfig {why}")]
    Cluster {
        /// The cluster.
        cluster: String,
        /// What is wrong.
        why: String,
    },
    /// The user cannot be what the kubeconfig asks.
    #[error("the user `{user}` of the kubeconfig {why}")]
    User {
        /// The user.
        user: String,
        /// What is wrong.
        why: String,
    },
    /// A context was named where there are none.
    #[error("the account of a pod has no contexts: leave --context out, or name a file with --kubeconfig")]
    PodHasNoContexts,
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// One kubeconfig, of one or several files.
#[derive(Clone, Debug, Default)]
pub struct Kubeconfig {
    current: Option<String>,
    contexts: BTreeMap<String, ContextEntry>,
    clusters: BTreeMap<String, ClusterEntry>,
    users: BTreeMap<String, UserEntry>,
}

impl Kubeconfig {
    /// Reads the files; the first to name something holds.
    pub fn read(paths: &[PathBuf]) -> Result<Self, KubeconfigError> {
        let mut whole = Self::default();
        for path in paths {
            let unreadable = |source| KubeconfigError::Unreadable { path: path.clone(), source };
            let size = std::fs::metadata(path).map_err(unreadable)?.len();
            if size > MAX_FILE_BYTES {
                return Err(KubeconfigError::Malformed { path: path.clone(), reason: format!("it has {size} bytes, the limit is {MAX_FILE_BYTES}") });
            }
            let text = std::fs::read_to_string(path).map_err(unreadable)?;
            let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
            whole.add(&text, &folder).map_err(|reason| KubeconfigError::Malformed { path: path.clone(), reason })?;
        }
        Ok(whole)
    }

    fn add(&mut self, text: &str, folder: &Path) -> Result<(), String> {
        let options = serde_saphyr::options! { with_snippet: false };
        let file: File = serde_saphyr::from_str_with_options::<Option<File>>(text, options).map_err(|error| error.to_string())?.unwrap_or_default();
        self.current = self.current.take().or(file.current_context.filter(|name| !name.is_empty()));
        for named in file.contexts.unwrap_or_default() {
            self.contexts.entry(named.name).or_insert(named.context);
        }
        for named in file.clusters.unwrap_or_default() {
            let mut cluster = named.cluster;
            below(folder, &mut cluster.certificate_authority);
            self.clusters.entry(named.name).or_insert(cluster);
        }
        for named in file.users.unwrap_or_default() {
            let mut user = named.user.unwrap_or_default();
            for path in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
                below(folder, path);
            }
            if let Some(plugin) = &mut user.exec {
                plugin.settle(folder);
            }
            self.users.entry(named.name).or_insert(user);
        }
        Ok(())
    }

    /// What a context says; without a name the current one.
    ///
    /// # Errors
    /// When there is no such context, or it asks for what this program does not do.
    pub fn access(&self, context: Option<&str>) -> Result<Access, KubeconfigError> {
        let known = || self.contexts.keys().cloned().collect();
        let name = context.or(self.current.as_deref()).ok_or_else(|| KubeconfigError::NoCurrent { known: known() })?;
        let context = self.contexts.get(name).ok_or_else(|| KubeconfigError::NoContext { name: name.to_owned(), known: known() })?;
        let dangling = |what, named: &str| KubeconfigError::Dangling { context: name.to_owned(), what, name: named.to_owned() };
        let cluster = self.clusters.get(&context.cluster).ok_or_else(|| dangling("cluster", &context.cluster))?;
        let user_name = context.user.clone().unwrap_or_default();
        let user = match user_name.as_str() {
            "" => UserEntry::default(),
            named => self.users.get(named).cloned().ok_or_else(|| dangling("user", named))?,
        };
        let (login, certificate) = user.login(cluster).map_err(|why| KubeconfigError::User { user: user_name.clone(), why })?;
        let cluster_wrong = |why: String| KubeconfigError::Cluster { cluster: context.cluster.clone(), why };
        let server = cluster.server().map_err(cluster_wrong)?;
        if server.starts_with("http:") && login != Login::None && !is_of_this_machine(&server) {
            return Err(cluster_wrong(format!("is at `{server}`, where the token would be sent in clear")));
        }
        Ok(Access { server, roots: cluster.roots().map_err(cluster_wrong)?, server_name: cluster.tls_server_name.clone(), user_name, login, certificate })
    }
}

/// Where kube-apiserver's webhook backend posts to: a kubeconfig says it too, and is taken more freely there.
#[derive(Clone, Debug)]
pub struct WebhookAccess {
    /// Address, authorities, certificate and token; over clear HTTP no credential is used.
    pub access: Access,
    /// Name and password, where no token is used.
    pub basic: Option<(String, Secret)>,
    /// Whether any certificate is taken.
    pub insecure_skip_tls_verify: bool,
}

impl Kubeconfig {
    /// What the current context says of a receiver of events, as client-go reads it for kube-apiserver's webhooks: the user is only used over
    /// https (`k8s.io/apiserver/pkg/util/webhook`).
    ///
    /// # Errors
    /// When there is no current context, or it asks for what this program does not do: a proxy.
    pub fn webhook(&self) -> Result<WebhookAccess, KubeconfigError> {
        let known = || self.contexts.keys().cloned().collect();
        let name = self.current.as_deref().ok_or_else(|| KubeconfigError::NoCurrent { known: known() })?;
        let context = self.contexts.get(name).ok_or_else(|| KubeconfigError::NoContext { name: name.to_owned(), known: known() })?;
        let dangling = |what, named: &str| KubeconfigError::Dangling { context: name.to_owned(), what, name: named.to_owned() };
        let cluster = self.clusters.get(&context.cluster).ok_or_else(|| dangling("cluster", &context.cluster))?;
        let cluster_wrong = |why: String| KubeconfigError::Cluster { cluster: context.cluster.clone(), why };
        if cluster.proxy_url.as_deref().is_some_and(|url| !url.is_empty()) {
            return Err(cluster_wrong("has a `proxy-url`, through which decklog does not go: name the receiver itself".to_owned()));
        }
        // client-go drops query and fragment.
        let end = cluster.server.as_deref().and_then(|server| server.find(['?', '#']));
        let server = cluster.server.as_deref().map(|server| server[..end.unwrap_or(server.len())].to_owned());
        let server = ClusterEntry { server, ..cluster.clone() }.address().map_err(cluster_wrong)?;
        let user_name = context.user.clone().unwrap_or_default();
        let mut user = match user_name.as_str() {
            "" => UserEntry::default(),
            _ if server.starts_with("http:") => UserEntry::default(),
            named => self.users.get(named).cloned().ok_or_else(|| dangling("user", named))?,
        };
        let basic = user.username.take().zip(user.password.take());
        let (login, certificate) = user.login(cluster).map_err(|why| KubeconfigError::User { user: user_name.clone(), why })?;
        let roots = cluster.roots().map_err(cluster_wrong)?;
        let access = Access { server, roots, server_name: cluster.tls_server_name.clone(), user_name, login, certificate };
        Ok(WebhookAccess { access, basic, insecure_skip_tls_verify: cluster.insecure_skip_tls_verify == Some(true) })
    }
}

/// A path of a file in `folder`, absolute.
fn below(folder: &Path, path: &mut Option<PathBuf>) {
    *path = path.take().filter(|path| !path.as_os_str().is_empty()).map(|path| folder.join(path));
}

fn is_of_this_machine(url: &str) -> bool {
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: Option<String>,
    contexts: Option<Vec<NamedContext>>,
    clusters: Option<Vec<NamedCluster>>,
    users: Option<Vec<NamedUser>>,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    name: String,
    context: ContextEntry,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    name: String,
    cluster: ClusterEntry,
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Option<UserEntry>,
}

#[derive(Clone, Debug, Deserialize)]
struct ContextEntry {
    cluster: String,
    user: Option<String>,
}

/// A cluster, as the file has it; a plugin may be told it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(in crate::kubeconfig) struct ClusterEntry {
    pub(in crate::kubeconfig) server: Option<String>,
    pub(in crate::kubeconfig) certificate_authority: Option<PathBuf>,
    pub(in crate::kubeconfig) certificate_authority_data: Option<String>,
    pub(in crate::kubeconfig) tls_server_name: Option<String>,
    pub(in crate::kubeconfig) insecure_skip_tls_verify: Option<bool>,
    pub(in crate::kubeconfig) proxy_url: Option<String>,
}

impl ClusterEntry {
    /// The address, without a slash at its end.
    fn address(&self) -> Result<String, String> {
        let server = self.server.as_deref().filter(|server| !server.is_empty()).ok_or("has no `server`")?;
        let whole = if server.contains("://") { server.to_owned() } else { format!("https://{server}") };
        let uri: http::Uri = whole.parse().map_err(|_| format!("has no address in `server`: `{server}`"))?;
        if !["http", "https"].contains(&uri.scheme_str().unwrap_or_default()) || uri.authority().is_none() || uri.query().is_some() {
            return Err(format!("has no address in `server`: `{server}`"));
        }
        Ok(whole.trim_end_matches('/').to_owned())
    }

    /// The address of a server that is sent nothing but by the one who is meant.
    fn server(&self) -> Result<String, String> {
        let address = self.address()?;
        if self.proxy_url.as_deref().is_some_and(|url| !url.is_empty()) {
            return Err(
                "is behind a proxy (`proxy-url`), through which decklog does not go: forward the port with kubectl, and name it with --server".to_owned()
            );
        }
        if self.insecure_skip_tls_verify == Some(true) {
            return Err("has `insecure-skip-tls-verify`: decklog sends a token to nobody it does not know; give it `certificate-authority-data`".to_owned());
        }
        Ok(address)
    }

    fn roots(&self) -> Result<Roots, String> {
        let data = self.certificate_authority_data.as_deref().filter(|data| !data.is_empty());
        Ok(match (data, &self.certificate_authority) {
            (Some(data), _) => Roots::Pem(decoded("certificate-authority-data", data)?),
            (None, Some(path)) => Roots::File(path.clone()),
            (None, None) => Roots::System,
        })
    }
}

fn decoded(key: &str, data: &str) -> Result<Vec<u8>, String> {
    let data: String = data.split_whitespace().collect();
    STANDARD.decode(data).map_err(|_| format!("has a `{key}` that is no base64"))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct UserEntry {
    token: Option<Secret>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<Secret>,
    exec: Option<Box<Plugin>>,
    auth_provider: Option<AuthProvider>,
    username: Option<String>,
    password: Option<Secret>,
    #[serde(rename = "as")]
    impersonated: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct AuthProvider {
    name: String,
    #[serde(default)]
    config: Option<BTreeMap<String, Secret>>,
}

impl UserEntry {
    /// Token and certificate. Of several sources of a token, client-go takes the file before the text, and either before a plugin.
    fn login(self, cluster: &ClusterEntry) -> Result<(Login, Option<ClientFiles>), String> {
        if let Some(name) = self.impersonated.filter(|name| !name.is_empty()) {
            return Err(format!("acts as `{name}`, which only the API server could know: decklog sees who the token belongs to"));
        }
        let certificate = data("client-certificate-data", self.client_certificate_data.as_deref(), self.client_certificate)?;
        let key = data("client-key-data", self.client_key_data.as_ref().map(Secret::reveal), self.client_key)?;
        let certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(ClientFiles { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err("has a client certificate without its key".to_owned()),
            (None, Some(_)) => return Err("has a client key without its certificate".to_owned()),
        };
        let token = self.token.filter(|token| !token.reveal().trim().is_empty());
        let login = match (self.token_file, token, self.exec, self.auth_provider) {
            (Some(path), ..) => Login::TokenFile(path),
            (None, Some(token), ..) => Login::Token(token),
            (None, None, Some(_), Some(_)) => return Err("has both `exec` and `auth-provider`".to_owned()),
            (None, None, Some(mut plugin), None) => {
                plugin.tell(cluster)?;
                Login::Plugin(plugin)
            }
            (None, None, None, Some(provider)) => provider.token()?,
            (None, None, None, None) if self.username.is_some() => return Err("has a password, which Kubernetes takes no more since 1.19".to_owned()),
            (None, None, None, None) => Login::None,
        };
        Ok((login, certificate))
    }
}

impl AuthProvider {
    /// Of the providers that were built into client-go only `oidc` is left; its token is taken as it is, and never renewed.
    fn token(self) -> Result<Login, String> {
        let token = self.config.and_then(|mut config| config.remove("id-token"));
        match (self.name.as_str(), token) {
            ("oidc", Some(token)) => Ok(Login::Token(token)),
            ("oidc", None) => Err("has the `auth-provider` oidc without an `id-token`: log in with kubectl first".to_owned()),
            (name, _) => Err(format!("has the `auth-provider` `{name}`, which Kubernetes knows no more: use its `exec` plugin")),
        }
    }
}

fn data(key: &'static str, text: Option<&str>, path: Option<PathBuf>) -> Result<Option<Data>, String> {
    match (text.filter(|text| !text.is_empty()), path) {
        (Some(text), _) => decoded(key, text).map(|bytes| Some(Data::Here(bytes))),
        (None, Some(path)) => Ok(Some(Data::File(path))),
        (None, None) => Ok(None),
    }
}
