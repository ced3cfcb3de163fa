//! The edges between our crates are the architecture: a new one is a change of ARCHITECTURE.md, not of a Cargo.toml.
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crate → what it may depend on of ours.
const ALLOWED: &[(&str, &[&str])] = &[
    ("decklog-audit", &[]),
    ("decklog-capture", &["decklog-audit"]),
    ("decklog-deliver", &["decklog-audit"]),
    ("decklog-store", &["decklog-audit"]),
    ("decklog-query", &["decklog-audit", "decklog-store"]),
    ("decklog-detect", &["decklog-audit"]),
    ("decklog-server", &["decklog-audit"]),
    ("decklog", &["decklog-audit", "decklog-capture", "decklog-deliver", "decklog-store", "decklog-query", "decklog-detect", "decklog-server"]),
    ("decklog-tests", &["decklog-audit", "decklog-capture", "decklog-deliver"]),
    ("decklog-benches", &["decklog-audit", "decklog-capture", "decklog-deliver", "decklog-tests"]),
];

/// What the crate of words must never reach, by any path: it does no I/O and knows no runtime.
const NEVER_IN_AUDIT: &[&str] = &["tokio", "hyper", "axum", "mio", "rustix"];

/// The engine's crates, and the only crate of ours that may name them.
const ENGINE: (&str, &str) = ("datafusion", "decklog-query");

#[test]
fn crates_depend_only_on_what_the_architecture_allows() {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> = packages(&metadata).map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    // Normal dependencies after resolution: what a crate's tests use beside them is its own business.
    let mut dependencies: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let normal = node["deps"].as_array().unwrap().iter().filter(|dep| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()));
        dependencies.insert(names[text(&node["id"])], normal.map(|dep| names[text(&dep["pkg"])]).collect());
    }
    let ours: Vec<&str> = metadata["workspace_members"].as_array().unwrap().iter().map(|id| names[text(id)]).collect();
    for name in &ours {
        let allowed = ALLOWED.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("`{name}` is not in the architecture")).1;
        for dependency in dependencies[name].iter().filter(|dependency| ours.contains(dependency)) {
            assert!(allowed.contains(dependency), "`{name}` depends on `{dependency}`: an edge the architecture does not have");
        }
        if *name != ENGINE.1 {
            assert!(!dependencies[name].iter().any(|dependency| dependency.starts_with(ENGINE.0)), "`{name}` knows {}", ENGINE.0);
        }
    }
    let (mut reached, mut waiting) = (BTreeSet::new(), vec!["decklog-audit"]);
    while let Some(name) = waiting.pop() {
        waiting.extend(dependencies[name].iter().filter(|dependency| reached.insert(**dependency)));
    }
    for never in NEVER_IN_AUDIT {
        assert!(!reached.contains(never), "decklog-audit reaches `{never}`");
    }
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(decklog_tests::root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    metadata["packages"].as_array().unwrap().iter()
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}
