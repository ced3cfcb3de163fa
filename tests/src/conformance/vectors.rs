//! Reading vector files: JSON Lines of `{"id", "kind"?, "note"?, "in", "want"}`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

use super::Outcome;

/// Plays one vector; the error says what differs.
pub(super) type Runner = fn(&Value) -> Result<(), String>;

/// A vector that was not answered as kube-apiserver does.
#[derive(Debug)]
pub struct Failure {
    /// Its id.
    pub id: String,
    /// What differs.
    pub what: String,
}

/// Why a directory of vectors cannot be played.
#[derive(Debug)]
pub enum VectorError {
    /// It cannot be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line is no vector.
    NoVector {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl std::fmt::Display for VectorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::NoVector { path, line, reason } => write!(f, "{}:{line} is no vector: {reason}", path.display()),
        }
    }
}

impl std::error::Error for VectorError {}

/// The vector files of `directory`.
pub(super) fn files_of(directory: &Path) -> Result<Vec<PathBuf>, VectorError> {
    let unreadable = |source| VectorError::Unreadable { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Plays every vector of `file`.
pub(super) fn play(file: &Path, runner: Runner) -> Result<Outcome, VectorError> {
    let text = std::fs::read_to_string(file).map_err(|source| VectorError::Unreadable { path: file.to_owned(), source })?;
    let mut n_passed = 0;
    let mut failures = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let no_vector = |reason: String| VectorError::NoVector { path: file.to_owned(), line: index + 1, reason };
        let vector: Value = serde_json::from_str(line).map_err(|error| no_vector(error.to_string()))?;
        let id = vector["id"].as_str().ok_or_else(|| no_vector("it has no id".to_owned()))?;
        match runner(&vector) {
            Ok(()) => n_passed += 1,
            Err(what) => failures.push(Failure { id: id.to_owned(), what }),
        }
    }
    Ok(Outcome::Played { n_passed, failures })
}

/// A byte string: a JSON string, or `{"b64": …}`; nothing for anything else.
pub(super) fn byte_string(value: &Value) -> Option<Vec<u8>> {
    if let Some(encoded) = value.get("b64") {
        return base64::engine::general_purpose::STANDARD.decode(encoded.as_str()?).ok();
    }
    Some(value.as_str()?.as_bytes().to_vec())
}

/// That `got` are the very bytes wanted as `name`.
pub(super) fn same_bytes(name: &str, want: &Value, got: &[u8]) -> Result<(), String> {
    let want = byte_string(want).ok_or_else(|| format!("the vector wants no {name}"))?;
    if want == got {
        return Ok(());
    }
    let at = want.iter().zip(got).take_while(|(left, right)| left == right).count();
    let around = |bytes: &[u8]| bytes[at.saturating_sub(30)..(at + 40).min(bytes.len())].escape_ascii().to_string();
    Err(format!("{name} differs at byte {at}: wanted `{}`, got `{}`", around(&want), around(got)))
}
