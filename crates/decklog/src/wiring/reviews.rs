//! The server's questions about tokens and rights, put to the cluster it belongs to: TokenReview and SubjectAccessReview.
//!
//! What the answers mean is the server's (`decklog_server::Reviewer`). The account that asks needs the ClusterRole
//! `system:auth-delegator` (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#other-component-roles>).

use std::collections::BTreeMap;
use std::sync::Arc;

use decklog_server::{ClusterUser, RESOURCE, ReviewError, Reviewer};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use crate::config::{Config, KubernetesAuth};
use crate::failure::Failure;
use crate::kubernetes::{Api, ApiError, Origin};
use decklog_deliver::tls::system_roots_by;

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// Who is asked, if the configuration says so. That the cluster is away now is no reason not to start.
pub(super) fn reviewer(config: &Config) -> Result<Option<Arc<dyn Reviewer>>, Failure> {
    // Some of them may be no text.
    let variables: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let variable = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let origin = match &config.server.kubernetes {
        KubernetesAuth::Off => return Ok(None),
        KubernetesAuth::Kubeconfig(path) => Origin::Named(path.clone()),
        KubernetesAuth::InCluster => Origin::pod(&variable).ok_or_else(|| {
            Failure::usage("kubernetes", "server.auth.kubernetes is `on`, and this is no pod of a cluster").help("give it the path of a kubeconfig")
        })?,
    };
    let wrong = |why: String| Failure::usage("kubernetes", format!("server.auth.kubernetes: {why}"));
    let access = origin.access(None).map_err(|error| wrong(error.to_string()))?;
    let roots = || system_roots_by(variable("SSL_CERT_FILE"), &|text| tracing::debug!("{text}"));
    let api = Api::new(&access, &roots).map_err(|error| wrong(error.to_string()))?;
    tracing::info!(server = api.server(), "tokens that are known nowhere here are Kubernetes' to know");
    Ok(Some(Arc::new(Cluster(api))))
}

/// The cluster.
#[derive(Debug)]
struct Cluster(Api);

#[derive(Deserialize)]
struct Review<S> {
    status: S,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenStatus {
    authenticated: bool,
    user: User,
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AccessStatus {
    allowed: bool,
    denied: bool,
}

impl Reviewer for Cluster {
    fn user_of<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<ClusterUser>, ReviewError>> {
        Box::pin(async move {
            // Without audiences the API server's own is meant: the tokens that kubectl uses.
            let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
            let review: Review<TokenStatus> = self.0.post(TOKEN_REVIEWS, &body).await.map_err(|error| failed(&error))?;
            read_user(review.status)
        })
    }

    fn may<'a>(&'a self, user: &'a ClusterUser, verb: &'a str) -> BoxFuture<'a, Result<bool, ReviewError>> {
        Box::pin(async move {
            let review: Review<AccessStatus> = self.0.post(ACCESS_REVIEWS, &access_review(user, verb)).await.map_err(|error| failed(&error))?;
            Ok(review.status.allowed && !review.status.denied)
        })
    }
}

/// Of a token that is not authenticated, Kubernetes does not say whether it is wrong or an authenticator could not tell.
fn read_user(status: TokenStatus) -> Result<Option<ClusterUser>, ReviewError> {
    let User { username, uid, groups, extra } = status.user;
    if !status.authenticated {
        tracing::debug!(error = status.error, "a token is not authenticated");
        return Ok(None);
    }
    if username.is_empty() {
        return Err(ReviewError("the TokenReview has no user".to_owned()));
    }
    Ok(Some(ClusterUser { name: username, uid, groups, extra }))
}

/// Whether a user may do it in the whole cluster: without a namespace.
fn access_review(user: &ClusterUser, verb: &str) -> serde_json::Value {
    let (group, resource) = RESOURCE;
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra,
            "resourceAttributes": {"group": group, "resource": resource, "verb": verb}
        }
    })
}

fn failed(error: &ApiError) -> ReviewError {
    let help = match error.status() {
        Some(http::StatusCode::FORBIDDEN) => "; decklog's account needs the ClusterRole system:auth-delegator",
        _ => "",
    };
    ReviewError(format!("{error}{help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: &serde_json::Value) -> Result<Option<ClusterUser>, ReviewError> {
        read_user(serde_json::from_value::<Review<TokenStatus>>(json!({"kind": "TokenReview", "status": json})).unwrap().status)
    }

    #[test]
    fn answers_of_kubernetes() {
        let user = status(
            &json!({"authenticated": true, "user": {"username": "alice", "groups": ["dev", "system:authenticated"], "extra": {"k": ["v"]}}, "audiences": ["a"]}),
        );
        let user = user.unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.groups.len(), user.extra["k"].as_slice()), ("alice", 2, &["v".to_owned()][..]));
        assert_eq!(status(&json!({"user": {}, "error": "[invalid bearer token]"})).unwrap(), None);
        assert_eq!(status(&json!({})).unwrap(), None);
        assert!(status(&json!({"authenticated": true})).is_err());
    }

    #[test]
    fn a_right_is_asked_for_in_the_whole_cluster() {
        let user = ClusterUser { name: "alice".to_owned(), groups: vec!["dev".to_owned()], ..ClusterUser::default() };
        let review = access_review(&user, "list");
        let wanted = json!({"group": "decklog.io", "resource": "auditevents", "verb": "list"});
        assert_eq!((&review["spec"]["resourceAttributes"], &review["spec"]["groups"][0]), (&wanted, &json!("dev")));
    }
}
