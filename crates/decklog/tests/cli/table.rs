//! `decklog table`: what it says agrees with what is stored, and care by hand keeps every event.

use serde_json::Value;

use crate::support::{Folder, Server, attack_log, until};

#[allow(clippy::unwrap_used, reason = "a test that fails may panic")]
fn info(folder: &Folder, data: &str) -> Value {
    let out = folder.run(&["table", "info", "--days", "-o", "json", "--data-dir", data]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    serde_json::from_str(&out.stdout).unwrap()
}

#[test]
fn compaction_makes_files_fewer_and_keeps_every_event() {
    let folder = Folder::new();
    let data = folder.path("data");
    let lines = attack_log();
    for (index, part) in lines.chunks(lines.len() / 3 + 1).enumerate() {
        // Cut at lines, of which the last may be whole only with the next part.
        let file = folder.write(&format!("part-{index}.log"), part);
        folder.run(&["import", &file, "--data-dir", &data, "--cluster", "lab", "--redact", "off"]);
    }
    let n_stored: u64 = folder.run(&["search", "--count", "--data-dir", &data]).stdout.trim().parse().unwrap();
    let before = info(&folder, &data);
    assert_eq!(before["events"].as_u64().unwrap() + before["behind"]["events"].as_u64().unwrap(), n_stored);
    let dry = folder.run(&["table", "compact", "--dry-run", "--data-dir", &data]);
    assert!(dry.stdout.contains("would become"), "{} {}", dry.stdout, dry.stderr);
    assert_eq!(info(&folder, &data), before, "nothing is done");

    let out = folder.run(&["table", "compact", "--vacuum-after", "0s", "-o", "json", "--data-dir", &data]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let after = info(&folder, &data);
    assert_eq!((after["events"].as_u64(), after["files"].as_u64(), after["behind"]["events"].as_u64()), (Some(n_stored), Some(1), Some(0)));
    assert_eq!(after["days"][0]["day"], "2026-11-22");
    let on_disk = std::fs::read_dir(format!("{data}/table/day=2026-11-22")).unwrap().count();
    assert_eq!(on_disk, 1, "the former files are gone");
}

#[test]
fn retention_by_hand_says_first_what_it_would_remove() {
    let folder = Folder::new();
    let data = folder.import_attack();
    assert_eq!(folder.run(&["table", "compact", "--data-dir", &data]).code, 0);
    let nothing = folder.run(&["table", "retain", "--data-dir", &data]);
    assert_eq!((nothing.code, nothing.stderr.lines().next()), (2, Some("error: nothing says how long events are kept")));
    let retain = ["table", "retain", "--retention-max-age", "1s", "--data-dir", &data];
    let dry = folder.run(&[&retain[..], &["--dry-run", "-o", "csv"]].concat());
    assert!(dry.stdout.starts_with("day,why,files,events,bytes\r\n2026-11-22,age,1,3431,"), "{} {}", dry.stdout, dry.stderr);
    assert_eq!(dry.stderr, "1 day (3,431 events) would be removed\n");
    assert_eq!(info(&folder, &data)["events"], 3431);
    let done = folder.run(&retain);
    assert_eq!((done.code, done.stderr.as_str()), (0, "1 day (3,431 events) removed\n"));
    assert_eq!(info(&folder, &data)["events"], 0);
}

#[test]
fn beside_a_server_it_is_looked_at_but_not_changed() {
    let folder = Folder::new();
    let log = folder.write("audit.log", &attack_log());
    let server = Server::start(&folder, &["--tail", &log, "--redact", "off"]);
    until("the log to be stored", || (folder.run(&["search", "--count", "--server", &server.url()]).stdout == "3431\n").then_some(()));
    let figures = info(&folder, &server.data_dir());
    assert_eq!(figures["events"].as_u64().unwrap() + figures["behind"]["events"].as_u64().unwrap(), 3431);
    let refused = folder.run(&["table", "compact", "--data-dir", &server.data_dir()]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("in use by") && refused.stderr.contains("help: the server does this by itself"), "{}", refused.stderr);
    let missing = folder.run(&["table", "compact", "--data-dir", "missing"]);
    assert_eq!(missing.code, 3, "{}", missing.stderr);
    assert!(!std::path::Path::new(&folder.path("missing")).try_exists().unwrap(), "no data directory is made");
}

#[test]
fn a_table_elsewhere_is_found_by_the_record_and_by_the_configuration() {
    let folder = Folder::new();
    let (data, elsewhere) = (folder.path("data"), folder.path("elsewhere"));
    let log = folder.write("audit.log", &attack_log());
    let config = folder.write("my.yaml", format!("apiVersion: decklog.io/v1alpha1\nkind: Config\ndataDir: {data}\ntable:\n  place: {elsewhere}\n").as_bytes());
    let out = folder.run(&["import", &log, "--config", &config, "--redact", "off"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    // An import that knows nothing of it goes on with the same table.
    assert_eq!(folder.run(&["import", &log, "--data-dir", &data, "--redact", "off"]).code, 0);
    assert!(!std::path::Path::new(&data).join("table").try_exists().unwrap(), "no second table was begun");

    // From here on only the table has them.
    for entry in std::fs::read_dir(format!("{data}/journal")).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "seg") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let count = |target: &[&str]| folder.run(&[&["search", "--count"][..], target].concat());
    for target in [&["--data-dir", &data][..], &["--config", &config], &["--data-dir", &data, "--config", &config]] {
        let out = count(target);
        assert_eq!(out.stdout.trim(), "3431", "{target:?}: {}", out.stderr);
        let out = folder.run(&[&["sql", "SELECT count(*) AS n FROM events", "-o", "json"][..], target].concat());
        assert_eq!(out.stdout.trim(), r#"{"n":3431}"#, "{target:?}: {}", out.stderr);
    }
    assert!(folder.run(&["table", "info", "--data-dir", &data]).stdout.contains("elsewhere"));

    // Where it cannot be read the answer says which table it is.
    std::fs::remove_dir_all(&elsewhere).unwrap();
    std::fs::write(&elsewhere, b"").unwrap();
    let out = count(&["--data-dir", &data]);
    assert!(out.code == 3 && out.stderr.contains("lies at") && out.stderr.contains("elsewhere"), "{} {}", out.code, out.stderr);
    std::fs::write(format!("{data}/table.place"), b"ftp://x/y").unwrap();
    let out = count(&["--data-dir", &data]);
    assert!(out.code == 3 && out.stderr.contains("table.place"), "{}", out.stderr);
}

#[test]
fn a_table_that_is_away_at_the_start_is_tried_again() {
    let folder = Folder::new();
    let blocked = folder.write("blocked", b"");
    let server = Server::start_unready(&folder, &["--table", &format!("{blocked}/table")]);
    let readiness = until("the readiness", || Some(server.get("/readyz?verbose")).filter(|answer| answer.contains("[-]table failed: ")));
    assert!(readiness.contains("attempt "), "{readiness}");
    assert!(server.get("/metrics").contains("decklog_table_writable 0"));
    let answer = server.get("/api/v1/histogram");
    assert!(answer.contains(r#""complete":false"#) && answer.contains("the table cannot be opened"), "{answer}");

    std::fs::remove_file(&blocked).unwrap();
    until("the table", || server.get("/readyz?verbose").contains("[+]table ok").then_some(()));
    assert!(server.get("/metrics").contains("decklog_table_writable 1"));
    assert!(server.get("/api/v1/histogram").contains(r#""complete":true"#));
    assert_eq!(server.into_stopped(), 0);
}
