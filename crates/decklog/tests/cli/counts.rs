//! Counts: `search --count`, `--facet`, `--histogram`, of a data directory and of a server over it.

use serde_json::Value;

use crate::support::{Folder, Server, attack_log, until};

/// Transcript 2 of the design; the server says the same as the files.
#[test]
fn facets_are_the_values_with_most_events() {
    let folder = Folder::new();
    let log = folder.write("audit.log", &attack_log());
    let server = Server::start(&folder, &["--tail", &log, "--redact", "off"]);
    let asked = ["search", "outcome:denied", "--facet", "user", "--limit", "3"];
    until("the log to be stored", || (folder.run(&["search", "--count", "--server", &server.url()]).stdout == "3431\n").then_some(()));
    for target in [["--server", &server.url()], ["--data-dir", &server.data_dir()]] {
        let out = folder.run(&[&asked[..], &target].concat());
        assert_eq!(
            out.stdout,
            "\
USER              EVENTS
system:anonymous      32
(none)                30
mallory               25
",
            "{target:?}"
        );
        assert_eq!(out.stderr, "101 events, 8 values, 14 events in the 5 not shown; (none) = failed authentication, no user is known\n");
    }
}

#[test]
fn facets_for_programs_are_one_answer() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let asked = ["search", "outcome:denied", "--facet", "user", "--facet", "verb", "--limit", "1", "--data-dir", &data];
    let json = folder.run(&[&asked[..], &["-o", "json"]].concat());
    let rows: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2, "{}", json.stdout);
    assert_eq!(rows[0], serde_json::json!({"field": "user.username", "value": "system:anonymous", "events": 32}));
    assert_eq!(rows[1]["field"], "verb");
    let csv = folder.run(&["search", "outcome:denied", "--facet", "user", "--limit", "2", "-o", "csv", "--data-dir", &data]);
    assert_eq!(csv.stdout, "field,value,events\r\nuser.username,system:anonymous,32\r\nuser.username,,30\r\n");
    let tables = folder.run(&[&asked[..], &["--stages", "final"]].concat());
    assert!(tables.stdout.starts_with("USER ") && tables.stdout.contains("\nVERB "), "{}", tables.stdout);
}

/// Every event is in one row, whoever counts, in whatever rows.
#[test]
fn the_rows_of_a_histogram_sum_to_the_count() {
    let folder = Folder::new();
    let log = folder.write("audit.log", &attack_log());
    let server = Server::start(&folder, &["--tail", &log, "--redact", "off"]);
    until("the log to be stored", || (folder.run(&["search", "--count", "--server", &server.url()]).stdout == "3431\n").then_some(()));
    let targets = [["--server", &server.url()], ["--data-dir", &server.data_dir()]];
    for buckets in ["1", "3", "500"] {
        let [of_server, of_files] = targets.map(|target| {
            let out = folder.run(&[&["search", "verbclass:read", "--histogram", "--buckets", buckets, "-o", "json"][..], &target].concat());
            assert_eq!(out.code, 0, "{}", out.stderr);
            out.stdout
        });
        assert_eq!(of_server, of_files);
        let rows: Vec<Value> = of_files.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(rows.len() <= buckets.parse().unwrap(), "{} rows", rows.len());
        let sum: u64 = rows.iter().map(|row| row["events"].as_u64().unwrap()).sum();
        let count = folder.run(&["search", "verbclass:read", "--count", "--data-dir", &server.data_dir()]).stdout;
        assert_eq!(format!("{sum}\n"), count);
    }
    let table = folder.run(&["search", "--histogram", "--buckets", "3", "--data-dir", &server.data_dir()]);
    assert_eq!(
        table.stdout,
        "\
TIME (2026-11-22 UTC)  EVENTS
09:52:30                2,043  ████████████████████████████████████████
09:53:00                  864  ████████████████▉
09:53:30                  524  ██████████▎
"
    );
    assert_eq!(table.stderr, "3,431 events, 30 s a row\n");
}

#[test]
fn nothing_found_is_said() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let facets = folder.run(&["search", "user:nobody", "--facet", "verb", "--data-dir", &data]);
    assert_eq!((facets.code, facets.stdout.as_str(), facets.stderr.as_str()), (0, "", "0 events, 0 values\n"));
    let histogram = folder.run(&["search", "user:nobody", "--histogram", "--data-dir", &data, "-e"]);
    assert_eq!((histogram.code, histogram.stdout.as_str(), histogram.stderr.as_str()), (1, "", "0 events\n"));
}
