//! A policy made from traffic: as much as a budget of bytes allows, with what matters least cut first.
//!
//! It starts from a profile that keeps nearly everything and puts rules in front that cut routine traffic of the cluster's
//! own components, in the order of [`Noise`]. Nothing is cut that a person did, that was denied, or that must be kept.
//! Used by `decklog policy generate` and the page. Bytes are those of the log lines that were seen.

mod budget;
mod generator;
mod goal;
mod noise;
mod profiles;
mod text;
mod traffic;

pub use budget::{Cut, Plan, plan};
pub use generator::{Generated, Generator, LeftOut};
pub use goal::Goal;
pub use noise::Noise;
pub use profiles::Profile;
pub use text::write_policy;
pub use traffic::{Bytes, Key, Observed, Traffic, Who};

#[cfg(test)]
mod tests;
