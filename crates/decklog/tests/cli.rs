//! The real binary as a user meets it: import, search, serve, tail, configuration, errors and exit codes.

mod support;

#[path = "cli/completion.rs"]
mod completion;
#[path = "cli/counts.rs"]
mod counts;
#[path = "cli/formats.rs"]
mod formats;
#[path = "cli/kubectl.rs"]
mod kubectl;
#[path = "cli/policy.rs"]
mod policy;
#[path = "cli/sql.rs"]
mod sql;
#[path = "cli/table.rs"]
mod table;
#[path = "cli/top.rs"]
mod top;

use std::io::{Read, Write};
use std::process::Stdio;

use support::{Folder, Server, attack_lines, attack_log, sorted};

#[test]
fn every_line_comes_back_byte_for_byte() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let out = folder.run(&["search", "--data-dir", &data, "--limit", "0", "-o", "json"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert_eq!(sorted(out.stdout.lines()), sorted(attack_lines().iter().map(String::as_str)));
    let times: Vec<&str> = out.stdout.lines().filter_map(|line| line.split_once("\"stageTimestamp\":\"")?.1.split('"').next()).collect();
    assert_eq!(times.len(), 3431);
    assert!(times.is_sorted(), "oldest first");
}

/// Transcript 1 of the design.
#[test]
fn search_shows_a_row_per_request_newest_first() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let out = folder.run(&["search", "verbclass:delete", "usertype:user", "--data-dir", &data]);
    assert_eq!(
        out.stdout,
        "\
TIME (2026-11-22 UTC)  USER     VERB              NAMESPACE    OBJECT                           CODE
09:53:33.935           mallory  delete            shop         namespaces/shop                   200
09:53:33.890           mallory  deletecollection  shop         secrets (3: api-key, db, tls)     200
09:53:33.059           mallory  delete            kube-system  daemonsets/log-agent              200
09:53:33.026           mallory  delete                         auditsinks/main                   200
09:53:18.412           mallory  deletecollection  pay          events (0)                        200
09:53:18.371           mallory  deletecollection  kube-system  events (2)                        200
09:53:18.327           mallory  deletecollection  default      events (1)                        200
09:53:18.261           mallory  deletecollection  team-a       events (3: web.1, web.2, web.3)   200
"
    );
    assert_eq!(out.stderr, "8 requests (16 events) of 1,670 (3,431), 09:52:31 to 09:53:46\n");
}

/// Transcript 3 of the design: a tail through a server that follows the log.
#[test]
fn tail_shows_events_as_the_log_grows() {
    let folder = Folder::new();
    let log = folder.path("audit.log");
    std::fs::write(&log, "").unwrap();
    let server = Server::start(&folder, &["--tail", &log]);
    let mut tail = server.tail(&["user:mallory outcome:denied", "--no-headers"]);
    let mut growing = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    growing.write_all(&attack_log()).unwrap();
    let lines = tail.lines(25);
    assert_eq!(lines[0], "09:52:55.643  mallory  list  secrets (all namespaces)  403  127.0.0.1  curl/8.5.0");
    assert_eq!(lines[1], "09:52:55.736  mallory  list  pods (all namespaces)     403  127.0.0.1  curl/8.5.0");
}

#[test]
fn a_tail_comes_back_where_it_was_when_the_server_restarts() {
    let folder = Folder::new();
    let log = folder.path("audit.log");
    let lines = attack_lines();
    let (first, second) = lines.split_at(1000);
    std::fs::write(&log, "").unwrap();
    let mut server = Server::start(&folder, &["--tail", &log, "--redact", "off"]);
    let mut tail = server.tail(&["-o", "json"]);
    let mut growing = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    growing.write_all((first.join("\n") + "\n").as_bytes()).unwrap();
    assert_eq!(tail.lines(first.len()), first);
    assert_eq!(server.stop(), 0);
    growing.write_all((second.join("\n") + "\n").as_bytes()).unwrap();
    server.start_again();
    assert_eq!(tail.lines(second.len()), second);
}

#[test]
fn a_data_directory_is_read_while_a_server_writes_it_but_written_by_one_only() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--redact", "off"]);
    let file = folder.write("attack.log", &attack_log());
    let imported = folder.run(&["import", &file, "--server", &server.url()]);
    assert_eq!((imported.code, imported.stderr.split(" in ").next()), (0, Some("3,431 events imported from 1 file")), "{}", imported.stderr);
    let through = folder.run(&["search", "--server", &server.url(), "--limit", "0", "-o", "json"]);
    let beside = folder.run(&["search", "--data-dir", &server.data_dir(), "--limit", "0", "-o", "json"]);
    assert_eq!(through.stdout, beside.stdout);
    assert_eq!(beside.stdout.lines().count(), 3431);

    let refused = folder.run(&["import", &file, "--data-dir", &server.data_dir()]);
    assert_eq!(refused.code, 3);
    let mut lines = refused.stderr.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with(&format!("error: the data directory {} is in use by process {} (", server.data_dir(), server.pid())), "{first}");
    assert_eq!(lines.next(), Some(format!("  help: ask that server: --server {}", server.url()).as_str()));
    assert_eq!(server.into_stopped(), 0);
}

#[test]
fn what_is_refused_is_counted_listed_and_exported() {
    let folder = Folder::new();
    let line = attack_lines()[0].clone();
    let file = folder.write("mixed.log", format!("{line}\n{{\"kind\":\"Event\"}}\nno json\n").as_bytes());
    let data = folder.path("data");
    let imported = folder.run(&["import", &file, "--data-dir", &data]);
    assert_eq!(imported.code, 5, "{}", imported.stderr);
    assert_eq!(imported.stderr, "error: 1 event imported, 2 quarantined\n  help: decklog quarantine list --source import\n");
    let listed = folder.run(&["quarantine", "list", "--source", "import", "--data-dir", &data]);
    let rows: Vec<Vec<&str>> = listed.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["ID", "TIME", "(UTC)", "SOURCE"], "{}", listed.stdout);
    assert_eq!(rows.len(), 3);
    assert!(listed.stdout.contains("mixed.log:2") && listed.stdout.contains("mixed.log:3"), "{}", listed.stdout);
    let exported = folder.run(&["quarantine", "export", "--data-dir", &data]);
    assert_eq!(exported.stdout, "{\"kind\":\"Event\"}\nno json\n");
    let one = folder.run(&["quarantine", "export", "--id", "2", "--data-dir", &data]);
    assert_eq!(one.stdout, "no json");
    let none = folder.run(&["quarantine", "export", "--id", "9", "--data-dir", &data]);
    assert_eq!((none.code, none.stderr.as_str()), (3, "error: nothing in quarantine has the id 9\n  help: decklog quarantine list\n"));
}

#[test]
fn importing_twice_stores_once() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let file = folder.write("attack.log", &attack_log());
    let again = folder.run(&["import", &file, "--data-dir", &data, "--cluster", "lab", "--redact", "off", "-o", "json"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let summary: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((summary["imported"].as_u64(), summary["duplicates"].as_u64(), summary["quarantined"].as_u64()), (Some(0), Some(3431), Some(0)));
}

#[test]
fn exit_codes_say_how_it_went() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let cases: &[(&[&str], i32)] = &[
        (&["search", "verb:delete", "--data-dir", &data], 0),
        (&["search", "verb:nothing", "--data-dir", &data], 0),
        (&["search", "verb:nothing", "--data-dir", &data, "-e"], 1),
        (&["search", "usr:bob", "--data-dir", &data], 2),
        (&["search", "verb:get", "--since", "5x", "--data-dir", &data], 2),
        (&["search", "--stages", "last", "--data-dir", &data], 2),
        (&["search", "--limit", "many", "--data-dir", &data], 2),
        (&["search", "--facet", "usr", "--data-dir", &data], 2),
        (&["search", "--histogram", "--buckets", "0", "--data-dir", &data], 2),
        (&["search", "--histogram", "--facet", "user", "--data-dir", &data], 2),
        (&["top", "--by", "nobody", "--data-dir", &data], 2),
        (&["top", "--data-dir", "missing"], 3),
        (&["sql", "--data-dir", &data], 2),
        (&["sql", "SELECT 1", "--data-dir", "missing"], 3),
        (&["completion", "csh"], 2),
        (&["serve", "--listen", "0.0.0.0:7080"], 2),
        (&["nothing"], 2),
        (&["search", "--data-dir", "missing"], 3),
        (&["search", "--server", "http://127.0.0.1:1"], 3),
        (&["import", "missing.log", "--data-dir", "never-made"], 3),
        (&["help", "exit-codes"], 0),
        (&["--version"], 0),
    ];
    for (arguments, code) in cases {
        let out = folder.run(arguments);
        assert_eq!(out.code, *code, "{arguments:?}: {}", out.stderr);
    }
    assert!(!std::path::Path::new(&folder.path("never-made")).try_exists().unwrap());
}

#[test]
fn a_wrong_token_is_exit_code_4() {
    let folder = Folder::new();
    // SHA-256 of `secret`.
    let tokens = folder.write("tokens", b"carol read 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n");
    let server = Server::start(&folder, &["--tokens-file", &tokens]);
    let right = folder.write("right", b"secret\n");
    let wrong = folder.write("wrong", b"guess\n");
    let search = |token: &str| folder.run(&["search", "--server", &server.url(), "--token-file", token]);
    assert_eq!(search(&right).code, 0, "{}", search(&right).stderr);
    assert_eq!(search(&wrong).code, 4, "{}", search(&wrong).stderr);
    let import = folder.run(&["import", &folder.write("one.log", attack_lines()[0].as_bytes()), "--server", &server.url(), "--token-file", &right]);
    assert_eq!(import.code, 4, "{}", import.stderr);
    assert!(import.stderr.contains("send"), "names the right: {}", import.stderr);
}

#[test]
fn errors_are_json_for_programs() {
    let folder = Folder::new();
    let out = folder.run(&["search", "verb:delete", "usr:bob", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(out.stderr.trim()).unwrap();
    assert_eq!(error["error"]["column"], 13);
    assert_eq!(error["error"]["length"], 3);
    assert_eq!(error["error"]["code"], "unknown-field");
    let out = folder.run(&["search", "-o", "json", "--limt", "3"]);
    let error: serde_json::Value = serde_json::from_str(out.stderr.trim()).unwrap();
    assert_eq!((out.code, error["error"]["code"].as_str()), (2, Some("usage")));
}

/// Models of the design's error style.
#[test]
fn errors_point_and_help() {
    let folder = Folder::new();
    let filter = folder.run(&["search", "verb:delete", "and", "usr:bob"]);
    assert!(
        filter.stderr.starts_with("error: unknown field `usr`\n  verb:delete and usr:bob\n                  ^^^ help: did you mean `user`?"),
        "{}",
        filter.stderr
    );

    folder.write(
        "decklog.yaml",
        b"apiVersion: decklog.io/v1alpha1\nkind: Config\nretention:\n  maxage: 400d\n  maxSize: 200\nsources:\n  - {name: a, type: webhok}\nlog: {level: loud}\n",
    );
    let config = folder.run(&["config", "check"]);
    assert_eq!(config.code, 2);
    assert_eq!(
        config.stderr,
        "\
error: decklog.yaml:4:3: `retention.maxage` is not a setting
  maxage: 400d
  ^^^^^^ help: did you mean `maxAge`?
error: decklog.yaml:5:12: `retention.maxSize`: `200` is not a size or `none`
  maxSize: 200
           ^^^ help: a size needs a unit: 200B, 200MiB, 200GiB
error: decklog.yaml:7:21: `sources`: `webhok` is not a type of source
  - {name: a, type: webhok}
                    ^^^^^^ help: did you mean `webhook`? types: webhook, tail
error: decklog.yaml:8:14: `log.level`: `loud` is not one of its values
  log: {level: loud}
               ^^^^ help: values: error, warn, info, debug, trace
"
    );
}

#[test]
fn settings_show_where_they_come_from() {
    let folder = Folder::new();
    let defaults = folder.run(&["config", "defaults"]);
    folder.write("decklog.yaml", defaults.stdout.replace("cluster: default", "cluster: prod").as_bytes());
    let out = folder.command(&["config", "check", "--show-origin"]).env("DECKLOG_LOG_LEVEL", "warn").env("DECKLOG_LOG_LEVL", "warn").output().unwrap();
    let stdout = String::from_utf8(out.stdout).unwrap();
    let row = |setting: &str| stdout.lines().find(|line| line.starts_with(setting)).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(row("cluster").starts_with("cluster prod decklog.yaml:"), "{stdout}");
    assert_eq!(row("log.level"), "log.level warn DECKLOG_LOG_LEVEL");
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(stderr.starts_with("warning: the variable DECKLOG_LOG_LEVL means nothing to decklog; did you mean DECKLOG_LOG_LEVEL?\n"), "{stderr}");
}

#[test]
fn a_reader_that_leaves_ends_it_silently() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let mut child =
        folder.command(&["search", "--data-dir", &data, "--limit", "0", "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(141), ""));
}

#[test]
fn text_of_events_cannot_reach_the_terminal_or_the_spreadsheet() {
    let folder = Folder::new();
    let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/x","verb":"get","user":{"username":"=cmd()"},"objectRef":{"resource":"pods","name":"a\u001b[31m\u202eb"},"stageTimestamp":"2026-11-22T09:53:33.000000Z"}"#;
    let file = folder.write("one.log", event.as_bytes());
    let data = folder.path("data");
    assert_eq!(folder.run(&["import", &file, "--data-dir", &data]).code, 0);
    let table = folder.run(&["search", "--data-dir", &data]);
    assert!(table.stdout.contains("pods/a\\u{1b}[31m\\u{202e}b"), "{}", table.stdout);
    let csv = folder.run(&["search", "--data-dir", &data, "-o", "csv"]);
    assert!(csv.stdout.contains(",'=cmd(),get,"), "{}", csv.stdout);
    let json = folder.run(&["search", "--data-dir", &data, "-o", "json"]);
    assert_eq!(json.stdout.trim_end(), event);
}

#[test]
fn secrets_are_hidden_before_they_are_stored() {
    let folder = Folder::new();
    let data = folder.path("data");
    let file = folder.write("attack.log", &attack_log());
    assert_eq!(folder.run(&["import", &file, "--data-dir", &data]).code, 0);
    let out = folder.run(&["search", "resource:secrets", "--data-dir", &data, "--limit", "0", "-o", "json"]);
    assert!(out.stdout.contains("redacted:"));
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(folder.path("data/redaction.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_signal_stops_it_in_order() {
    let folder = Folder::new();
    let log = folder.write("audit.log", &attack_log());
    let server = Server::start(&folder, &["--tail", &log, "--redact", "off"]);
    let data = server.data_dir();
    assert_eq!(server.into_stopped(), 0);
    let out = folder.run(&["search", "--data-dir", &data, "--count", "--stages", "all"]);
    assert_eq!(out.stdout, "3431\n", "what the log held is stored by the time it has stopped");
}

#[test]
fn sources_say_what_came() {
    let folder = Folder::new();
    let log = folder.write("audit.log", &attack_log());
    let server = Server::start(&folder, &["--tail", &log, "--redact", "off"]);
    support::until("the log to be stored", || {
        let out = folder.run(&["sources", "list", "--server", &server.url(), "-o", "json"]);
        let source: serde_json::Value = serde_json::from_str(&out.stdout).ok()?;
        (source["acknowledged"] == 3431).then_some(source)
    });
    let out = folder.run(&["sources", "describe", "adit", "--server", &server.url()]);
    assert_eq!((out.code, out.stderr.as_str()), (3, "error: there is no source `adit`\n  help: did you mean `audit`?\n"));
    let stored = folder.run(&["sources", "list", "--data-dir", &server.data_dir()]);
    assert!(stored.stdout.contains("audit  default   3,431  2026-11-22T09:52:31.654839Z  2026-11-22T09:53:46.085398Z"), "{}", stored.stdout);
}

#[test]
fn a_webhook_source_brings_its_own_token() {
    let folder = Folder::new();
    folder.write("prod.token", b"a-token-of-prod\n");
    let config = "apiVersion: decklog.io/v1alpha1\nkind: Config\nsources:\n  - {name: prod, type: webhook, tokenFile: prod.token, cluster: prod-eu}\n";
    folder.write("decklog.yaml", config.as_bytes());
    let server = Server::start(&folder, &["--redact", "off"]);
    let line = &attack_lines()[0];
    assert_eq!(server.post("/ingest/webhook/prod", None, line), 401);
    assert_eq!(server.post("/ingest/webhook/other", Some("a-token-of-prod"), line), 403);
    assert_eq!(server.post("/ingest/webhook/prod", Some("a-token-of-prod"), line), 200);
    let out = folder.run(&["search", "cluster:prod-eu", "source:prod", "--count", "--data-dir", &server.data_dir()]);
    assert_eq!(out.stdout, "1\n", "{}", out.stderr);
}

#[test]
fn files_are_searched_as_they_are() {
    let folder = Folder::new();
    let log = folder.write("attack.log", &attack_log());
    let out = folder.run(&["search", "outcome:denied", "--count", "--stages", "all", "--", &log]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "101\n"), "{}", out.stderr);
    let missing = folder.run(&["search", "verb:get", "--", "missing.log"]);
    assert_eq!(missing.code, 3, "{}", missing.stderr);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    let mut server = Server::start(&folder, &[]);
    // A sender in the middle of its body is waited for until the deadline.
    let mut sender = std::net::TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    sender.write_all(b"POST /ingest/webhook/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n").unwrap();
    let mut asked_for_the_body = [0; 12];
    sender.read_exact(&mut asked_for_the_body).unwrap();
    assert_eq!(&asked_for_the_body, b"HTTP/1.1 100");
    server.signal();
    support::until("the stop to begin", || std::fs::read_to_string(folder.path("serve.log")).unwrap().contains("stopping").then_some(()));
    assert_eq!(server.stop(), 130);
}

#[test]
fn redaction_that_is_off_shows() {
    let folder = Folder::new();
    let on = Server::start(&folder, &[]);
    assert!(!on.get("/readyz?verbose").contains("redaction"));
    assert_eq!(on.into_stopped(), 0);
    let off = Server::start(&folder, &["--redact", "off"]);
    assert!(off.get("/readyz?verbose").contains("[+]redaction-is-off ok"));
}

#[test]
fn the_page_of_metrics_names_what_there_is() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    assert_eq!(server.post("/ingest/webhook/prod", None, &attack_lines()[0]), 200);
    assert_eq!(server.post("/ingest/webhook/prod", None, &attack_lines()[0]), 200, "again, as a duplicate");
    assert_eq!(server.post("/ingest/webhook/prod", None, "{}"), 400);
    server.get("/api/v1/events");
    let shown: std::collections::BTreeSet<String> = server
        .get("/metrics")
        .lines()
        .filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            Some(if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        })
        .collect();
    let page = include_str!("../../../docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let told: std::collections::BTreeSet<String> =
        rows.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split(',')).map(|name| name.trim().trim_matches('`').to_owned()).collect();
    // A reader is there only once a later part of decklog reads the journal; sinks are `decklog forward`'s.
    let is_elsewhere = |name: &str| name.starts_with("decklog_reader_") || name.starts_with("decklog_sink_");
    let told: std::collections::BTreeSet<String> = told.into_iter().filter(|name| shown.contains(name) || !is_elsewhere(name)).collect();
    assert_eq!(told, shown);
}

/// Rooms count apart: capture what arrives and what is refused, the journal what is durable and what is there already.
#[test]
fn received_is_acknowledged_and_duplicates_and_rejected() {
    let folder = Folder::new();
    let lines = attack_lines();
    let log = folder.write("audit.log", format!("{}\n{}\nnot an event\n{}\n", lines[0], lines[1], lines[0]).as_bytes());
    let server = Server::start(&folder, &["--tail", &log, "--max-event-size", "64KiB"]);
    let list = |items: &[&str]| format!("{{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[{}]}}", items.join(","));
    let huge = format!("{{\"auditID\":\"a\",\"stage\":\"Panic\",\"x\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(server.post("/ingest/webhook/prod", None, &list(&[&lines[2], "{\"stage\":7}", &lines[3], &huge, &lines[2]])), 200);
    assert_eq!(server.post("/ingest/webhook/prod", None, &list(&[&lines[2], &lines[4]])), 200);
    assert_eq!(server.post("/ingest/webhook/prod", None, "no list at all"), 400);
    let counts = |source: &str| {
        let text = server.get("/metrics");
        let count = |name: &str| -> u64 {
            let of_name = text.lines().filter(|line| line.starts_with(&format!("{name}{{source=\"{source}\"")));
            of_name.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
        };
        [
            count("decklog_source_received_events_total"),
            count("decklog_journal_acknowledged_events_total"),
            count("decklog_journal_duplicate_events_total"),
            count("decklog_source_rejected_events_total"),
        ]
    };
    assert_eq!(counts("prod"), [8, 3, 2, 3]);
    support::until("the log to be taken", || (counts("audit") == [4, 2, 1, 1]).then_some(()));
    let refused = folder.run(&["quarantine", "list", "-o", "json", "--data-dir", &server.data_dir()]);
    assert_eq!(refused.stdout.lines().count(), 4, "{}", refused.stdout);
}
