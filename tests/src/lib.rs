//! What only whole programs can show: vectors of the real kube-apiserver, the real binary, real counterparts.

pub mod conformance;
