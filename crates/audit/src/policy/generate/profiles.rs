//! The policies for a purpose that decklog comes with, which stand as files in `policies/`.

/// A policy for a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// As people ask for it.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// Its YAML, with a comment above each rule.
    pub text: &'static str,
}

macro_rules! profile {
    ($name:literal, $purpose:literal) => {
        Profile { name: $name, purpose: $purpose, text: include_str!(concat!("../../../../../policies/", $name, ".yaml")) }
    };
}

impl Profile {
    /// All, from the one that records least.
    pub const ALL: [Self; 6] = [
        profile!("minimal", "small disks: changes, secrets, ways into pods, failed logins"),
        profile!("security", "detection: everything but routine, bodies of what attackers change"),
        profile!("compliance", "proof of who did what: every request but probes, bodies of changes to rights"),
        profile!("latency", "following controllers: every request with its times, without bodies"),
        profile!("gce", "what GKE's clusters had by default, rule for rule"),
        profile!("forensics", "reconstruction: bodies of every change, both ways"),
    ];

    /// The one that a policy made from traffic starts from unless told otherwise: it keeps most.
    pub const FULLEST: &'static str = "forensics";

    /// The profile of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }
}
