//! `conformance DIR [FILE…]`: plays the vector files of DIR, or of them only the named ones.

use std::path::Path;
use std::process::ExitCode;

use decklog_tests::conformance::{self, FileReport};

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command's output")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(directory) = arguments.next() else {
        eprintln!("usage: conformance DIR [FILE…]");
        return ExitCode::from(2);
    };
    let names: Vec<String> = arguments.collect();
    let reports = match conformance::run(Path::new(&directory), &names) {
        Ok(reports) => reports,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    reports.iter().for_each(|report| println!("{}", report.line()));
    let complaints: Vec<String> = reports.iter().flat_map(FileReport::complaints).collect();
    complaints.iter().for_each(|complaint| eprintln!("error: {complaint}"));
    if reports.is_empty() {
        eprintln!("error: no vector file in {directory}");
    }
    if complaints.is_empty() && !reports.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
