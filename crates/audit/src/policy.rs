//! The audit policy: which requests are recorded, and how much of each, as kube-apiserver 1.36 decides it.
//!
//! A [`Policy`] is what a policy file says after loading; its rules are asked in their order and the first that matches
//! [`Attributes`] of a request decides. Used by the `policy` commands and pages, and by capture.
//!
//! Source of all behaviour: `k8s.io/apiserver/pkg/apis/audit` and `pkg/audit/policy`, v0.36.3.

pub mod generate;
mod model;

pub use model::{Attributes, GroupResources, Policy, Rule, User};
