//! `decklog sql`: what is told before anything is asked.

use std::io::Write;
use std::process::Stdio;

use crate::support::Folder;

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
