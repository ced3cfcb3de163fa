//! Webhook batches of 400 events, acknowledged after sync: decklog beside the sum of its parts and beside DuckDB, in turns
//! of one run, so that all of them see the same machine. Started by `make bench`.
//!
//! `bench-ingest LINES-FILE PYTHON-WITH-DUCKDB FOLDER`: events one a line; where to put data (a real disk).
//! Prints the figures, writes docs/measured/ingest.md, and fails if a target is missed.
#![allow(clippy::print_stdout, reason = "a benchmark's figures are its answer")]

mod parts;
mod rounds;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use rounds::{Figures, Runner};

const BATCH: usize = 400;
const N_ROUNDS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [lines, python, folder] = arguments.as_slice() else {
        println!("bench-ingest LINES-FILE PYTHON-WITH-DUCKDB FOLDER");
        return ExitCode::from(2);
    };
    let text = std::fs::read(lines).unwrap_or_else(|error| panic!("{lines}: {error}"));
    let lines = decklog_tests::binary::split_lines(&text);
    let batches: Vec<&[Vec<u8>]> = lines.chunks_exact(BATCH).collect();
    let runner = Runner { batches: &batches, folder: Path::new(folder), python };
    let (mut parts, mut decklog, mut duckdb) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=N_ROUNDS {
        parts.push(runner.parts());
        decklog.push(runner.decklog());
        duckdb.push(runner.duckdb());
        println!("round {round} of {N_ROUNDS}: {} events each", batches.len() * BATCH);
    }
    let (parts, decklog, duckdb) = (Figures::median(&parts), Figures::median(&decklog), Figures::median(&duckdb));

    let targets = [
        Target::at_least("events per CPU second, to DuckDB", decklog.events_per_cpu_second / duckdb.events_per_cpu_second, 3.5),
        Target::at_least("events per CPU second, to the sum of parts", decklog.events_per_cpu_second / parts.events_per_cpu_second, 0.35),
        Target::at_most("p50 of a batch, to the sum of parts", decklog.p50_ms / parts.p50_ms, 3.0),
        Target::at_most("p99 of a batch, to the sum of parts", decklog.p99_ms / parts.p99_ms, 12.0),
    ];
    let report = report(batches.len() * BATCH, &parts, &decklog, &duckdb, &targets);
    println!("\n{report}");
    let page = decklog_tests::root().join("docs/measured/ingest.md");
    std::fs::write(&page, format!("{HEAD}\n{report}")).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    if targets.iter().all(|target| target.met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const HEAD: &str = "# Taking events in

Written by `make bench`. Batches of 400 events at level Metadata (recorded events, amplified), one connection, every batch
acknowledged after it is synced. The three take turns, each in a fresh folder on the same disk; figures are medians of
all rounds, processor time is the kernel's account of the whole process.

- **sum of parts**: what nobody can be faster than on one core: serde_json into borrowed typed structs, SHA-256 of each event,
  zstd -1 of the batch, one write and one fdatasync; no HTTP.
- **decklog**: `decklog serve` with its defaults (redaction on), posted to over loopback HTTP.
- **DuckDB**: the same batches as one transaction each, read from files (so without HTTP), its log synced at each commit.
";

struct Target {
    what: &'static str,
    ratio: f64,
    bound: String,
    met: bool,
}

impl Target {
    fn at_least(what: &'static str, ratio: f64, bound: f64) -> Self {
        Self { what, ratio, bound: format!("at least {bound}"), met: ratio >= bound }
    }

    fn at_most(what: &'static str, ratio: f64, bound: f64) -> Self {
        Self { what, ratio, bound: format!("at most {bound}"), met: ratio <= bound }
    }
}

fn report(n_events: usize, parts: &Figures, decklog: &Figures, duckdb: &Figures, targets: &[Target]) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "{n_events} events a round, {N_ROUNDS} rounds, {cores} cores.\n\n| | events per CPU second | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: |\n"
    );
    for (name, figures) in [("sum of parts", parts), ("decklog", decklog), ("DuckDB", duckdb)] {
        let _ = writeln!(text, "| {name} | {:.0} | {:.2} | {:.2} |", figures.events_per_cpu_second, figures.p50_ms, figures.p99_ms);
    }
    text.push_str("\n| ratio of decklog | measured | target | |\n| --- | ---: | --- | --- |\n");
    for target in targets {
        let _ = writeln!(text, "| {} | {:.2} | {} | {} |", target.what, target.ratio, target.bound, if target.met { "met" } else { "**missed**" });
    }
    text
}
