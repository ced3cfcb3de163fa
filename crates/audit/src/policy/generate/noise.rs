//! What may be cut, and in which order: routine of the cluster's own components, least telling first.

use super::traffic::{Key, Who};
use crate::Level;

/// A kind of noise, in the order it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Noise {
    /// Probes and metrics.
    Probes,
    /// Leader election and heartbeats.
    Leases,
    /// Components that write or read Event objects and endpoints.
    Churn,
    /// Components that watch.
    Watches,
    /// Components that read.
    Reads,
    /// Responses to what components write: what they asked for stays.
    ResponseBodies,
    /// All bodies of what components write.
    Bodies,
    /// Components that report status.
    Status,
    /// Responses to what anybody writes.
    EveryResponseBody,
    /// All bodies: who did what to which object stays.
    EveryBody,
}

impl Noise {
    /// All, first to be cut first.
    pub const ALL: [Self; 10] = [
        Self::Probes,
        Self::Leases,
        Self::Churn,
        Self::Watches,
        Self::Reads,
        Self::ResponseBodies,
        Self::Bodies,
        Self::Status,
        Self::EveryResponseBody,
        Self::EveryBody,
    ];

    /// For people, and for the comment above the rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probes => "probes and metrics",
            Self::Leases => "leader election and heartbeats",
            Self::Churn => "Event objects and endpoints, kept up by components",
            Self::Watches => "watches of components",
            Self::Reads => "reads of components",
            Self::ResponseBodies => "response bodies of what components write",
            Self::Bodies => "bodies of what components write",
            Self::Status => "status reports of components",
            Self::EveryResponseBody => "response bodies of what users write",
            Self::EveryBody => "bodies of what users write",
        }
    }

    /// What is left of traffic that this cuts.
    pub fn level(self) -> Level {
        match self {
            Self::ResponseBodies | Self::EveryResponseBody => Level::Request,
            Self::Bodies | Self::EveryBody => Level::Metadata,
            _ => Level::None,
        }
    }

    /// Whether this cuts that kind of traffic. Cuts to [`Level::None`] are only of components, and never of what a rule should
    /// not hide from anybody who watches over the cluster.
    pub fn cuts(self, key: &Key) -> bool {
        let is_component = is_component(&key.who);
        if self.level() != Level::None {
            return key.level > self.level() && (is_component || matches!(self, Self::EveryResponseBody | Self::EveryBody));
        }
        let is_read = matches!(key.verb.as_str(), "get" | "list" | "watch");
        let is_ours = is_component && !is_telling(key);
        match self {
            Self::Probes => is_component && is_probe(&key.path),
            Self::Leases => is_ours && key.api_group == "coordination.k8s.io" && key.resource == "leases",
            Self::Churn => is_ours && is_churn(key) && (is_read || matches!(key.verb.as_str(), "create" | "update" | "patch")),
            Self::Watches => is_ours && !key.resource.is_empty() && key.verb == "watch",
            Self::Reads => is_ours && !key.resource.is_empty() && is_read,
            Self::Status => is_ours && key.resource.ends_with("/status") && matches!(key.verb.as_str(), "update" | "patch"),
            Self::ResponseBodies | Self::Bodies | Self::EveryResponseBody | Self::EveryBody => false,
        }
    }
}

/// The control plane, kubelets, and the service accounts of kube-system.
fn is_component(who: &Who) -> bool {
    match who {
        Who::Nodes => true,
        Who::User(name) => {
            matches!(
                name.as_str(),
                "system:apiserver" | "system:kube-controller-manager" | "system:kube-scheduler" | "system:cloud-controller-manager" | "system:kube-proxy"
            ) || name.starts_with("system:serviceaccount:kube-system:")
        }
    }
}

fn is_probe(path: &str) -> bool {
    ["/healthz", "/livez", "/readyz", "/metrics"].iter().any(|probe| path.strip_prefix(probe).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn is_churn(key: &Key) -> bool {
    matches!((key.api_group.as_str(), key.resource.as_str()), ("" | "events.k8s.io", "events") | ("", "endpoints") | ("discovery.k8s.io", "endpointslices"))
}

/// What is recorded whoever does it: secrets and credentials, rights, ways into pods, and what changes the API server itself.
fn is_telling(key: &Key) -> bool {
    let (kind, subresource) = key.resource.split_once('/').unwrap_or((&key.resource, ""));
    matches!(
        (key.api_group.as_str(), kind),
        ("", "secrets" | "configmaps")
            | ("rbac.authorization.k8s.io" | "certificates.k8s.io" | "admissionregistration.k8s.io" | "authentication.k8s.io" | "authorization.k8s.io", _)
            | ("apiregistration.k8s.io" | "apiextensions.k8s.io", _)
    ) || matches!(subresource, "exec" | "attach" | "portforward" | "proxy" | "token" | "ephemeralcontainers" | "approval" | "eviction")
}
