//! A Kubernetes cluster as this program speaks to it: the user's kubeconfig, the few requests it takes to find a decklog
//! server and to ask who somebody is, and a port forwarded through the API server.
//!
//! ```text
//! kubeconfig files or the pod's own account ─► Access ─► Api: requests with the user's credential ─► a forwarded port
//! ```
//!
//! Used by `client::cluster` for people and by `wiring::reviews` for the server. What is looked for, and what an answer
//! means for decklog, is theirs. Why there is no client library here: docs/decisions/180-kubernetes-client.md.

mod api;
mod credential;
mod kubeconfig;
mod origin;
mod plugin;
mod portforward;
mod websocket;

pub(crate) use api::{Api, ApiError};
#[cfg(test)]
pub(crate) use kubeconfig::Roots;
pub(crate) use kubeconfig::{Access, KubeconfigError, Login};
pub(crate) use origin::{Origin, find_access};
pub(crate) use portforward::forward;

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
