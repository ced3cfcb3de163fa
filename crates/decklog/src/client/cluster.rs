//! A decklog server inside a Kubernetes cluster: found by its Service, reached through a port that the API server forwards,
//! asked with the user's own token. Nothing of it is stored.
//!
//! ```text
//! kubeconfig ─► API server ─► the Service, a pod behind it ─► forwarded port ─► TLS, if the Service says so ─► requests
//! ```
//!
//! Whom the token may be given, and how the server's certificate is checked: docs/decisions/180-kubernetes-client.md.

mod find;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rustls::RootCertStore;
use serde::Deserialize;

use super::{Bearer, Client, encoded, tls, token};
use crate::cli::TargetFlags;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::kubernetes::{Access, Api, ApiError, KubeconfigError, Login, find_access, forward};
use decklog_deliver::connector::{Connector, Open, Opening, Stream};

use find::{Found, HOME, LABEL, List, NotFound, Pod, Service};

/// How long it may take to find a pod and to have its port forwarded.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server of the cluster that the kubeconfig names.
///
/// # Errors
/// When the kubeconfig leads nowhere, there is no such server, or the user has no token.
pub(crate) async fn connect(flags: &TargetFlags, context: &Context) -> Result<Client, Failure> {
    let access = access(flags, context)?;
    let api = Arc::new(Api::new(&access, &|| tls::system_roots(context)).map_err(|error| failure_of(&error))?);
    let bearer = bearer(&api, flags, context).await?;
    let found = find(&api, flags.service.as_deref().or_else(|| context.variable("DECKLOG_SERVICE"))).await?;
    context.detail(&format!("asking the Service {} of {} (kubeconfig user {})", found.path(), api.server(), or_none(api.user_name())));
    let base = found.base();
    let roots = if found.is_tls { authority(&api, &found, context).await? } else { None };
    let mut connector = Connector::through(opener(Arc::clone(&api), found.clone()));
    if found.is_tls {
        let config = tls::config_trusting(roots, flags, context)?;
        connector = connector.over_tls(Arc::new(move || Ok(Arc::clone(&config))), None);
    }
    Ok(Client::at(base, bearer, connector))
}

/// Whether a credential plugin would have to run: it may open a browser, or ask something.
pub(crate) fn runs_a_program(flags: &TargetFlags, context: &Context) -> bool {
    access(flags, context).is_ok_and(|access| matches!(access.login, Login::Plugin(_)))
}

fn access(flags: &TargetFlags, context: &Context) -> Result<Access, Failure> {
    find_access(flags.kubeconfig.as_deref(), flags.context.as_deref(), &|name| context.variable(name)).map_err(|error| match error {
        KubeconfigError::Nowhere | KubeconfigError::NoneThere { .. } => {
            Failure::usage("kubeconfig", error.to_string()).help("name a kubeconfig with --kubeconfig, or a server with --server")
        }
        _ => Failure::usage("kubeconfig", error.to_string()),
    })
}

/// `--token-file` or its variables, else the token of the kubeconfig's user.
async fn bearer(api: &Arc<Api>, flags: &TargetFlags, context: &Context) -> Result<Bearer, Failure> {
    if let Some(token) = token(flags, context)? {
        return Ok(Bearer::Token(token));
    }
    let has_certificate = flags.client_cert.is_some() || context.variable("DECKLOG_CLIENT_CERT").is_some();
    match api.token().await.map_err(|error| failure_of(&error.into()))? {
        Some(_) => Ok(Bearer::User(Arc::clone(api))),
        None if has_certificate => Ok(Bearer::None),
        None => Err(no_token(api)),
    }
}

fn no_token(api: &Api) -> Failure {
    let message = format!("the user `{}` of the kubeconfig has no token, only what the API server sees of the connection", or_none(api.user_name()));
    Failure::new(Exit::Denied, "no-token", message)
        .help("kubectl create token SERVICEACCOUNT -n NAMESPACE > token.txt, then --token-file token.txt")
        .note("a client certificate goes to the API server and ends there; decklog asks Kubernetes whom a token belongs to")
}

fn or_none(name: &str) -> &str {
    if name.is_empty() { "(none)" } else { name }
}

/// Finds the server: the Service that was named, else the one with the label.
async fn find(api: &Api, named: Option<&str>) -> Result<Found, Failure> {
    let Some(path) = named else { return find::choose(&labelled(api).await?).map_err(|error| not_found(&error, api)) };
    let (namespace, name) = find::split_path(path)
        .ok_or_else(|| Failure::usage("service", format!("`{path}` does not name a Service")).help("--service NAMESPACE/NAME, such as decklog/decklog"))?;
    let service: Service = api.get(&format!("/api/v1/namespaces/{namespace}/services/{name}")).await.map_err(|error| failure_of(&error))?;
    find::of_service(&service).map_err(|error| not_found(&error, api))
}

/// Every Service with the label; for a user who may not see them all, those at home.
async fn labelled(api: &Api) -> Result<Vec<Service>, Failure> {
    let selector = encoded(&format!("{}={}", LABEL.0, LABEL.1));
    match api.get::<List<Service>>(&format!("/api/v1/services?labelSelector={selector}")).await {
        Ok(list) => Ok(list.items),
        Err(error) if error.status() == Some(StatusCode::FORBIDDEN) => {
            let at_home = api.get::<List<Service>>(&format!("/api/v1/namespaces/{HOME}/services?labelSelector={selector}")).await;
            at_home.map(|list| list.items).map_err(|_| failure_of(&error).help("name decklog's Service with --service NAMESPACE/NAME"))
        }
        Err(error) => Err(failure_of(&error)),
    }
}

fn not_found(error: &NotFound, api: &Api) -> Failure {
    match error {
        NotFound::None => {
            let message = format!("no Service of {} has the label {}={}", api.server(), LABEL.0, LABEL.1);
            Failure::failed("no-service", message).help("install decklog there, name its Service with --service NAMESPACE/NAME, or its address with --server")
        }
        NotFound::Uncertain(paths) => {
            let which = if paths.len() == 1 { "is a Service of decklog" } else { "are Services of decklog" };
            Failure::usage("which-service", format!("there {which} that could be meant: {}", paths.join(", ")))
                .help(format!("--service {}, or DECKLOG_SERVICE", paths[0]))
                .note(format!("without a name only one in the namespace `{HOME}` is taken: whoever made the Service gets your token"))
        }
        NotFound::NoPort(path) => Failure::failed("no-service", format!("the Service {path} has no port named https or http")).help("is it decklog's?"),
        NotFound::NoSelector(path) => Failure::failed("no-service", format!("the Service {path} has no pods of its own, so no port can be forwarded"))
            .help("name its address with --server"),
    }
}

/// The authority that the Service's annotation leads to; `None` leaves it to `--ca-file` and the system.
async fn authority(api: &Api, found: &Found, context: &Context) -> Result<Option<RootCertStore>, Failure> {
    #[derive(Deserialize)]
    struct ConfigMap {
        #[serde(default)]
        data: std::collections::BTreeMap<String, String>,
    }
    let Some(name) = &found.authority else { return Ok(None) };
    let wrong = |why: String| {
        Failure::failed("ca-configmap", format!("the ConfigMap {}/{name} does not give the authority of decklog's certificate: {why}", found.namespace))
    };
    if !find::is_name(name) {
        return Err(wrong("that is no name".to_owned()));
    }
    match api.get::<ConfigMap>(&format!("/api/v1/namespaces/{}/configmaps/{name}", found.namespace)).await {
        Ok(map) => {
            let pem = map.data.get("ca.crt").ok_or_else(|| wrong("it has no `ca.crt`".to_owned()))?;
            decklog_deliver::tls::roots_of_pem(pem.as_bytes()).map(Some).map_err(wrong)
        }
        Err(error) => {
            context.detail(&format!("the authority of decklog's certificate cannot be had from ConfigMap {}/{name}: {error}", found.namespace));
            Ok(None)
        }
    }
}

/// Opens a stream to a pod that runs at that moment: pods come and go while a tail goes on.
fn opener(api: Arc<Api>, found: Found) -> Arc<Open> {
    Arc::new(move || -> Opening {
        let (api, found) = (Arc::clone(&api), found.clone());
        Box::pin(async move {
            let opening = open(&api, &found);
            let opened = tokio::time::timeout(PATIENCE, opening).await;
            opened.unwrap_or_else(|_| Err(WayError::Late { service: found.path() })).map_err(Into::into)
        })
    })
}

async fn open(api: &Api, found: &Found) -> Result<Stream, WayError> {
    let pods: List<Pod> = api.get(&format!("/api/v1/namespaces/{}/pods?labelSelector={}", found.namespace, encoded(&found.selector()))).await?;
    let (pod, port) = find::running_pod(&pods.items, &found.target).map_err(|why| WayError::NoPod { service: found.path(), why })?;
    Ok(Stream::new(forward(api, &found.namespace, &pod, port).await?))
}

/// Why the server cannot be reached through the cluster.
#[derive(Debug, thiserror::Error)]
enum WayError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("no pod behind the Service {service} is running: {why}")]
    NoPod { service: String, why: String },
    #[error("no port of the Service {service} was forwarded within {} s", PATIENCE.as_secs())]
    Late { service: String },
}

/// What the way through the cluster says, if that is what went wrong somewhere below `error`.
pub(super) fn explain(error: &(dyn Error + 'static)) -> Option<Failure> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<WayError>() {
            Some(WayError::Api(error)) => return Some(failure_of(error)),
            Some(other) => return Some(Failure::failed("unreachable", other.to_string())),
            None => next = error.source(),
        }
    }
    None
}

/// What the API server's no means for the command.
pub(super) fn failure_of(error: &ApiError) -> Failure {
    let message = error.to_string();
    match error {
        ApiError::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
            Failure::new(Exit::Denied, "unauthenticated", message).help("log in with kubectl first: the kubeconfig's token or certificate is not valid now")
        }
        ApiError::Refused { status: StatusCode::FORBIDDEN, .. } => Failure::new(Exit::Denied, "forbidden", message)
            .help("the ClusterRole decklog-client has what is needed: get and list of services and pods, get and create of pods/portforward (docs/kubectl.md)"),
        ApiError::Refused { status: StatusCode::NOT_FOUND, .. } => Failure::failed("no-service", message).help("--service NAMESPACE/NAME, or leave it out"),
        ApiError::Credential(_) => Failure::new(Exit::Denied, "credential", message),
        ApiError::Tls { .. } => Failure::usage("kubeconfig", message),
        _ => Failure::failed("kubernetes", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Above(#[source] Box<dyn Error + Send + Sync>);

    fn refused(status: StatusCode) -> ApiError {
        ApiError::Refused { server: "https://k:6443".to_owned(), status, message: "pods \"d-0\" is forbidden".to_owned() }
    }

    #[test]
    fn what_the_api_server_says_becomes_the_failure() {
        let failure = explain(&Above(Box::new(WayError::Api(refused(StatusCode::FORBIDDEN))))).unwrap();
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Denied, "https://k:6443 says: pods \"d-0\" is forbidden"));
        assert!(failure.help.unwrap().contains("pods/portforward"));
        assert_eq!(failure_of(&refused(StatusCode::UNAUTHORIZED)).code, "unauthenticated");
        assert_eq!(failure_of(&refused(StatusCode::SERVICE_UNAVAILABLE)).exit, Exit::Failed);
        let failure = explain(&WayError::NoPod { service: "decklog/decklog".to_owned(), why: "d-0 is Pending".to_owned() }).unwrap();
        assert_eq!(failure.message, "no pod behind the Service decklog/decklog is running: d-0 is Pending");
        assert!(explain(&std::io::Error::other("x")).is_none());
    }

    fn api() -> Api {
        let access = Access {
            server: "http://127.0.0.1:1".to_owned(),
            roots: crate::kubernetes::Roots::System,
            server_name: None,
            user_name: "dave".to_owned(),
            login: Login::None,
            certificate: None,
        };
        Api::new(&access, &RootCertStore::empty).unwrap()
    }

    #[test]
    fn texts_say_what_to_do() {
        let failure = no_token(&api());
        assert!(failure.exit == Exit::Denied && failure.message.contains("`dave`") && failure.help.unwrap().starts_with("kubectl create token"));
        let failure = not_found(&NotFound::Uncertain(vec!["pay/decklog".to_owned(), "shop/decklog".to_owned()]), &api());
        assert_eq!(failure.message, "there are Services of decklog that could be meant: pay/decklog, shop/decklog");
        assert_eq!(failure.help.as_deref(), Some("--service pay/decklog, or DECKLOG_SERVICE"));
        assert!(not_found(&NotFound::None, &api()).message.contains("app.kubernetes.io/name=decklog"));
    }
}
