//! The program under the names that kubectl looks for. What happens in a cluster is in the suite `cluster`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::support::{Folder, PROGRAM, Ran};

/// The program, called by another name, without kubeconfig and cluster of whoever runs the tests.
fn called(folder: &Folder, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let link = folder.path(name);
    // An error means that an earlier call made it.
    drop(symlink(PROGRAM, &link));
    let own = folder.command(&[]);
    let mut command = Command::new(link);
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(folder.path("")).env("HOME", folder.path("home")).stdin(Stdio::null());
    for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"] {
        command.env_remove(name);
    }
    let output = command.args(arguments).envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn the_plugin_says_how_it_is_called() {
    let folder = Folder::new();
    let help = called(&folder, "kubectl-decklog", &["search", "-h"], &[]);
    assert!(help.code == 0 && help.stdout.contains("Usage: kubectl decklog search") && help.stdout.contains("--kubeconfig <FILE>"), "{}", help.stdout);
    let help = called(&folder, "kubectl-decklog", &["help", "tail"], &[]);
    assert!(help.stdout.contains("Usage: kubectl decklog tail"), "{}", help.stdout);
    let wrong = called(&folder, "kubectl-decklog", &["serach"], &[]);
    assert!(wrong.code == 2 && wrong.stderr.contains("Usage: kubectl decklog"), "{}", wrong.stderr);
    let own = folder.run(&["search", "-h"]);
    assert!(own.stdout.contains("Usage: decklog search"), "{}", own.stdout);
}

#[test]
fn without_a_target_the_plugin_wants_a_cluster() {
    let folder = Folder::new();
    let nowhere = called(&folder, "kubectl-decklog", &["search"], &[]);
    assert!(nowhere.code == 2 && nowhere.stderr.contains("there is no kubeconfig") && nowhere.stderr.contains("--server"), "{}", nowhere.stderr);
    let listed = called(&folder, "kubectl-decklog", &["search"], &[("KUBECONFIG", "/nowhere/a:/nowhere/b")]);
    assert!(listed.code == 2 && listed.stderr.contains("`/nowhere/a`, `/nowhere/b`"), "{}", listed.stderr);
    let file = folder.write(
        "kubeconfig",
        b"current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\n",
    );
    let away = called(&folder, "kubectl-decklog", &["search", "--token-file", &folder.write("token", b"t")], &[("KUBECONFIG", &file)]);
    assert!(away.code == 3 && away.stderr.contains("no API server at https://127.0.0.1:1 (connection refused)"), "{}", away.stderr);
    let no_token = folder.run(&["search", "--kubeconfig", &file]);
    assert!(no_token.code == 4 && no_token.stderr.contains("has no token") && no_token.stderr.contains("kubectl create token"), "{}", no_token.stderr);
    let both = folder.run(&["search", "--kubeconfig", &file, "--server", "http://127.0.0.1:1"]);
    assert!(both.code == 2 && both.stderr.contains("cannot be used with"), "{}", both.stderr);
    // Files and servers are asked as ever.
    let data = folder.import_attack();
    let read = called(&folder, "kubectl-decklog", &["search", "user:trent", "--count", "--data-dir", &data], &[]);
    assert_eq!(read.code, 0, "{}", read.stderr);
}

#[test]
fn kubectls_completion_is_answered_under_the_second_name() {
    let folder = Folder::new();
    let complete = |words: &[&str]| called(&folder, "kubectl_complete-decklog", words, &[]).stdout;
    assert_eq!(complete(&["sea"]), folder.run(&["complete", "--kubectl", "--", "sea"]).stdout);
    assert!(complete(&["sea"]).starts_with("search\t") && complete(&["sea"]).ends_with("\n:36\n"), "{}", complete(&["sea"]));
    assert_eq!(complete(&["search", "-o", "j"]).lines().next(), Some("json\tOne object a line; an event is its stored bytes"));
    assert_eq!(complete(&["import", ""]), ":0\n");
    assert_eq!(complete(&["search", "user:mal"]), ":36\n", "no cluster: nothing is offered, and nothing said");
    let script = folder.run(&["completion", "kubectl"]).stdout;
    assert!(script.starts_with("#!/bin/sh\n") && script.contains("kubectl-decklog complete --kubectl"), "{script}");
}
