//! The vectors of kube-apiserver's own answers, played to decklog (`make conformance VECTORS=DIR`).
//!
//! Each file of a directory is given to its runner, of which there is one file per vector file beside this
//! one. A vector that fails is allowed only where docs/conformance.md names its id with a reason, and at
//! most for one in a hundred of a file's vectors, rounded up.

mod event_codec;
mod full_filter;
mod policy_eval;
mod policy_load;
mod policy_load_versions;
mod request_info;
mod truncate;
mod vectors;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use vectors::{Failure, VectorError};
use vectors::{Runner, play};

/// Which runner plays which file.
const RUNNERS: [(&str, Runner); 7] = [
    ("event-codec.jsonl", event_codec::play),
    ("full-filter.jsonl", full_filter::play),
    ("policy-eval.jsonl", policy_eval::play),
    ("policy-load.jsonl", policy_load::play),
    ("policy-load-versions.jsonl", policy_load_versions::play),
    ("request-info.jsonl", request_info::play),
    ("truncate.jsonl", truncate::play),
];

/// The failures that are explained to the public.
const ALLOWED: &str = include_str!("../../docs/conformance.md");

/// What came of one file.
#[derive(Debug)]
pub struct FileReport {
    /// The file's name.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a file.
#[derive(Debug)]
pub enum Outcome {
    /// No runner plays such a file yet.
    NotYet,
    /// Played.
    Played {
        /// Vectors answered as kube-apiserver does.
        n_passed: usize,
        /// The others.
        failures: Vec<Failure>,
    },
}

impl FileReport {
    /// The one line for it.
    pub fn line(&self) -> String {
        match &self.outcome {
            Outcome::NotYet => format!("{}: not yet", self.name),
            Outcome::Played { n_passed, failures } => format!("{}: passed {n_passed}, failed {}", self.name, failures.len()),
        }
    }

    /// Why the command must fail for it; empty when it need not.
    pub fn complaints(&self) -> Vec<String> {
        let Outcome::Played { n_passed, failures } = &self.outcome else {
            return vec![format!("{} has no runner", self.name)];
        };
        let allowed = allowed_ids(&self.name, ALLOWED);
        let mut complaints: Vec<String> = failures
            .iter()
            .filter(|failure| !allowed.contains(failure.id.as_str()))
            .map(|failure| format!("{}: {} failed: {}", self.name, failure.id, failure.what))
            .collect();
        let limit = (n_passed + failures.len()).div_ceil(100);
        if failures.len() > limit {
            complaints.push(format!("{}: {} vectors failed, at most {limit} may even where they are explained", self.name, failures.len()));
        }
        if n_passed + failures.len() == 0 {
            complaints.push(format!("{} holds no vector", self.name));
        }
        complaints
    }
}

/// The ids that docs/conformance.md explains under the heading `## file`: its table rows `| id | reason |`.
fn allowed_ids<'d>(file: &str, document: &'d str) -> BTreeSet<&'d str> {
    let mut inside = false;
    let mut ids = BTreeSet::new();
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            inside = heading.trim() == file;
        }
        let mut cells = line.trim().trim_matches('|').split('|').map(str::trim);
        if let (true, true, Some(id), Some(reason)) = (inside, line.starts_with('|'), cells.next(), cells.next())
            && !reason.is_empty()
        {
            ids.insert(id.trim_matches('`'));
        }
    }
    ids
}

/// Plays the files of `directory`, or of them only `names`, in the order of their names.
///
/// # Errors
/// A file that cannot be read or is no vector file.
pub fn run(directory: &Path, names: &[String]) -> Result<Vec<FileReport>, VectorError> {
    let mut files: Vec<PathBuf> = if names.is_empty() { vectors::files_of(directory)? } else { names.iter().map(|name| directory.join(name)).collect() };
    files.sort();
    files.iter().map(|file| report(file)).collect()
}

fn report(file: &Path) -> Result<FileReport, VectorError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let outcome = match RUNNERS.iter().find(|(known, _)| *known == name) {
        None => Outcome::NotYet,
        Some((_, runner)) => play(file, *runner)?,
    };
    Ok(FileReport { name, outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_codec_is_that_of_kube_apiserver() {
        let reports = run(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/audit/testdata")), &["event-codec.jsonl".to_owned()]).unwrap();
        assert_eq!(reports[0].complaints(), Vec::<String>::new());
        assert!(matches!(&reports[0].outcome, Outcome::Played { n_passed, .. } if *n_passed > 200));
    }

    #[test]
    fn policies_requests_the_filter_and_truncation_are_those_of_kube_apiserver() {
        let folder = tempfile::tempdir().unwrap();
        for (name, least) in
            [("policy-eval.jsonl", 100), ("policy-load.jsonl", 240), ("request-info.jsonl", 900), ("full-filter.jsonl", 270), ("truncate.jsonl", 30)]
        {
            let packed = std::fs::File::open(crate::root().join(format!("tests/data/vectors/{name}.zst"))).unwrap();
            std::fs::write(folder.path().join(name), zstd::decode_all(packed).unwrap()).unwrap();
            let reports = run(folder.path(), &[name.to_owned()]).unwrap();
            assert_eq!(reports[0].complaints(), Vec::<String>::new());
            assert!(matches!(&reports[0].outcome, Outcome::Played { n_passed, .. } if *n_passed > least), "{}", reports[0].line());
            println!("{}", reports[0].line());
        }
    }

    #[test]
    fn a_failure_needs_a_reason_and_company() {
        let document = "## a.jsonl\n\n| id | reason |\n| --- | --- |\n| `x-1` | because |\n| x-2 | |\n## b.jsonl\n| x-3 | because |\n";
        assert!(allowed_ids("a.jsonl", document).contains("x-1"));
        assert!(!allowed_ids("a.jsonl", document).contains("x-2"));
        assert!(!allowed_ids("a.jsonl", document).contains("x-3"));
        let failed = |ids: &[&str], n_passed| FileReport {
            name: "event-codec.jsonl".to_owned(),
            outcome: Outcome::Played { n_passed, failures: ids.iter().map(|id| Failure { id: (*id).to_owned(), what: String::new() }).collect() },
        };
        assert_eq!(failed(&[], 1).complaints(), Vec::<String>::new());
        assert_eq!(failed(&["no-such"], 1000).complaints().len(), 1);
        assert_eq!(failed(&["no-such", "no-such"], 98).complaints().len(), 3);
        assert_eq!(failed(&[], 0).complaints().len(), 1);
        assert_eq!(FileReport { name: "x.jsonl".to_owned(), outcome: Outcome::NotYet }.complaints().len(), 1);
    }
}
