//! `decklog sql`: what is told before anything is asked.

use std::io::Write;
use std::process::Stdio;

use crate::support::{Folder, Server, attack_log, until};

#[test]
fn without_a_query_there_is_an_error_and_no_prompt_in_a_pipe() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let none = folder.run(&["sql", "--data-dir", &data]);
    assert_eq!(none.code, 2);
    assert_eq!(none.stderr, "error: no query is given\n  help: decklog sql 'SELECT count(*) FROM events', or - to read it from standard input\n");
    let wrong = folder.run(&["sql", "SELECT 1", "--timeout", "30", "--data-dir", &data]);
    assert_eq!((wrong.code, wrong.stderr.lines().next()), (2, Some("error: --timeout: `30` is not a duration")));
}

#[test]
fn half_an_answer_leaves_no_file() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let out = folder.path("answer.csv");
    let failed = folder.run(&["sql", "DROP TABLE events", "-o", "csv", "--out", &out, "--data-dir", &data]);
    assert_ne!(failed.code, 0);
    assert!(!std::path::Path::new(&out).try_exists().unwrap());
    assert!(!std::path::Path::new(&folder.path("answer.csv.part")).try_exists().unwrap());
}

#[test]
fn a_query_may_come_from_standard_input() {
    let folder = Folder::new();
    let data = folder.import_attack();
    let mut child = folder.command(&["sql", "-", "--data-dir", &data]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"  \n").unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).lines().next()), (Some(2), Some("error: no query is given")));
}

const DENIED: &str = "SELECT username, count(*) AS n FROM requests WHERE outcome = 'denied' GROUP BY 1 HAVING count(*) > 9 ORDER BY 2 DESC, 1 NULLS LAST";

/// Facts of the recorded log, in every form, of a data directory and of a server.
#[test]
fn rows_come_as_table_json_csv_and_parquet() {
    let folder = Folder::new();
    let log = folder.write("audit.log", &attack_log());
    let server = Server::start(&folder, &["--tail", &log, "--redact", "off"]);
    until("the log to be stored", || (folder.run(&["search", "--count", "--server", &server.url()]).stdout == "3431\n").then_some(()));
    for target in [["--server", &server.url()], ["--data-dir", &server.data_dir()]] {
        let ask = |flags: &[&str]| folder.run(&[&["sql", DENIED][..], flags, &target].concat());
        let table = ask(&[]);
        assert_eq!(table.stdout, "username           n\nsystem:anonymous  30\nNULL              30\nmallory           25\n", "{}", table.stderr);
        assert_eq!(table.stderr, "3 rows\n");
        let json = ask(&["-o", "json"]);
        assert_eq!(json.stdout.lines().collect::<Vec<_>>()[1..], [r#"{"username":null,"n":30}"#, r#"{"username":"mallory","n":25}"#]);
        let csv = ask(&["-o", "csv"]);
        assert_eq!(csv.stdout.lines().collect::<Vec<_>>(), ["username,n", "system:anonymous,30", ",30", "mallory,25"]);
        let file = folder.path("answer.parquet");
        let parquet = ask(&["-o", "parquet", "--out", &file]);
        assert_eq!((parquet.code, parquet.stdout.as_str(), parquet.stderr.as_str()), (0, "", "3 rows\n"));
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        let cut = ask(&["--limit", "1"]);
        assert_eq!(cut.stderr, "1 row; there are more: --limit 0 gives all\n");
        let param = folder.run(&[&["sql", "SELECT count(*) AS n FROM events WHERE username = $1", "--param", "mallory", "-o", "json"][..], &target].concat());
        assert_eq!(param.stdout, "{\"n\":182}\n", "{}", param.stderr);
    }
}

#[test]
fn errors_point_into_the_query() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    for target in [["--server", &server.url()], ["--data-dir", &server.data_dir()]] {
        let ask = |query: &str| folder.run(&[&["sql", query][..], &target].concat());
        let column = ask("SELECT usernam FROM events");
        assert_eq!(column.code, 2);
        assert_eq!(
            column.stderr, "error: there is no column `usernam`\n  SELECT usernam FROM events\n         ^^^^^^^ help: did you mean `username`?\n",
            "{target:?}"
        );
        let forbidden = ask("DROP TABLE events");
        assert_eq!(forbidden.code, 4, "{}", forbidden.stderr);
        let broken = ask("SELECT count(*) FRM events");
        assert!(broken.code == 2 && broken.stderr.contains('^'), "{}", broken.stderr);
    }
}
