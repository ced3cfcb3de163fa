//! The audit policy: which requests are recorded, and how much of each, as kube-apiserver 1.36 decides it.
//!
//! A [`Policy`] is what a policy file says after loading; its rules are asked in their order and the first that matches
//! [`Attributes`] of a request decides. [`walk`] is that sentence as code, [`Compiled`] the same answers at speed;
//! [`request_info`] makes attributes of a request line or a recorded event. Used by the `policy` commands and pages, and by capture.
//!
//! Source of all behaviour: `k8s.io/apiserver/pkg/apis/audit` and `pkg/audit/policy`, v0.36.3.

pub mod generate;
mod model;

mod decision;
mod minimal;
#[cfg(test)]
mod mutated;
mod walk;

mod asked;
mod compiled;
pub mod lint;
pub mod load;
mod explain;
pub mod request_info;
pub mod simulate;

pub use asked::{AskedRequest, AskedUser};
pub use compiled::{Compiled, MAX_INDEX_BYTES};
pub use decision::{Decision, OmittedStages};
pub use explain::{Explanation, Part, RequestLength, explain};
pub use minimal::{MINIMAL, minimal_line};
pub use model::{Attributes, GroupResources, Policy, Rule, User};
pub use walk::{Mismatch, mismatch, walk};
