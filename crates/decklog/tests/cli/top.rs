//! `decklog top`.

use serde_json::Value;

use crate::support::{Folder, attack_log};

/// Transcript 12 of the design.
#[test]
fn the_noisiest_users_and_what_would_cut_most() {
    let folder = Folder::new();
    let data = folder.import("benign");
    let out = folder.run(&["top", "--by", "user", "--limit", "3", "--data-dir", &data]);
    assert_eq!(
        out.stdout,
        "\
USER                                     REQUESTS  EVENTS    BYTES  SHARE
sa argocd/argocd-application-controller       231     462  4576654  20.0%
sa kube-system/deployment-controller          596    1192  3744795  16.3%
sa kube-system/replicaset-controller          568    1136  3092838  13.5%
"
    );
    let totals = "29 users, 22,937,185 bytes. What would cut most: omitStages RequestReceived −3,435,424 (4,427 events) · \
                  reads of argocd-application-controller at Metadata −3,978,506 · deployments/status, replicasets/status updates at Metadata −2,850,861\n";
    assert!(out.stderr.starts_with(totals), "{}", out.stderr);
    assert!(out.stderr.ends_with(", the 24 h that end at the newest event\n"), "{}", out.stderr);
}

#[test]
fn every_way_to_tell_apart_sums_to_the_whole() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let log = folder.write("attack.log", &attack_log());
    for by in ["user", "verb", "resource", "tool", "namespace", "source"] {
        let out = folder.run(&["top", "--by", by, "--limit", "0", "-o", "json", "--data-dir", &data]);
        let answer: Value = serde_json::from_str(&out.stdout).unwrap();
        let sum = |name: &str| answer["values"].as_array().unwrap().iter().map(|value| value[name].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("requests"), sum("events"), sum("bytes")), (1670, 3431, 4_985_607), "{by}");
        assert_eq!(answer["distinct"].as_u64().unwrap(), answer["values"].as_array().unwrap().len() as u64);
        if by == "user" {
            let of_file = folder.run(&["top", "--limit", "0", "-o", "json", "--", &log]);
            assert_eq!(of_file.stdout, out.stdout, "a file says the same as what is imported from it");
        }
    }
    let csv = folder.run(&["top", "--by", "namespace", "user:mallory", "--limit", "1", "-o", "csv", "--data-dir", &data]);
    assert!(csv.stdout.starts_with("namespace,requests,events,bytes,share\r\n"), "{}", csv.stdout);
}
