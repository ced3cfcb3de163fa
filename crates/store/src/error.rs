//! Why a journal or quarantine cannot be opened.

use std::io;
use std::path::PathBuf;

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes there.
    #[error("`{path}` is in use by {holder}; stop that process or choose another data directory", path = path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Process id, command and since when, as that process wrote it.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock `{path}`", path = path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory cannot be made or synced.
    #[error("cannot prepare directory `{path}`", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What is there cannot be read or synced.
    #[error("{step}: `{path}`", path = path.display())]
    Recover {
        /// What was tried.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A segment of another version.
    #[error("`{path}` cannot be read: {reason}", path = path.display())]
    Format {
        /// The segment.
        path: PathBuf,
        /// What is strange about it.
        reason: String,
    },
    /// The writer's thread could not be started.
    #[error("cannot start the journal's thread")]
    Thread {
        /// The system's reason.
        source: io::Error,
    },
}
