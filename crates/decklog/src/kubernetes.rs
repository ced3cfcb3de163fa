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
mod origin;
mod portforward;
mod websocket;

pub(crate) use api::{Api, ApiError};
#[cfg(test)]
pub(crate) use decklog_deliver::kubeconfig::Roots;
pub(crate) use decklog_deliver::kubeconfig::{Access, KubeconfigError, Login};
pub(crate) use origin::{Origin, find_access};
pub(crate) use portforward::forward;
