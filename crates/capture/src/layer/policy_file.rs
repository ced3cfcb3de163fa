//! `--audit-policy-file`: read at the start as kube-apiserver reads it, and again whenever it changes, which kube-apiserver does not.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use decklog_audit::policy::Compiled;
use decklog_audit::policy::load::{TargetVersion, load};
use tokio::time::MissedTickBehavior;

use super::auditor::Auditor;

/// A policy has at most so many bytes.
const MAX_BYTES: u64 = 16 << 20;
/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A policy file, and what it held when it was last looked at.
#[derive(Debug)]
pub struct PolicyFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Why no policy comes of a file; the message is kube-apiserver's.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// It cannot be read.
    #[error("loading audit policy file: failed to read file path {path:?}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is no valid policy.
    #[error("loading audit policy file: {reason}: from file {}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong, in kube-apiserver's words.
        reason: String,
    },
}

impl PolicyFile {
    /// Reads the policy that is in force from the start.
    ///
    /// # Errors
    /// A file that cannot be read or that kube-apiserver would refuse.
    pub fn open(path: &Path) -> Result<(Self, Compiled), PolicyFileError> {
        let bytes = read(path)?;
        let policy = compile(path, &bytes)?;
        Ok((Self { path: path.to_owned(), bytes }, policy))
    }

    /// Looks at the file every second and puts what it holds into force, until `stop` is over. A file that cannot be read or is no
    /// policy leaves the one in force as it is, and that is said once.
    pub async fn follow(mut self, auditor: Auditor, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = String::new();
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = looks.tick() => {}
            }
            match self.look() {
                Ok(None) => {}
                Ok(Some(policy)) => {
                    tracing::info!(path = %self.path.display(), rules = policy.policy().rules.len(), "another audit policy is in force");
                    auditor.replace_policy(policy);
                    said.clear();
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != said {
                        tracing::error!(%error, "the audit policy file is not taken; the former one stays in force");
                        said = text;
                    }
                }
            }
        }
    }

    /// The policy of the file, if it is another one.
    fn look(&mut self) -> Result<Option<Compiled>, PolicyFileError> {
        let bytes = read(&self.path)?;
        if bytes == self.bytes {
            return Ok(None);
        }
        let policy = compile(&self.path, &bytes)?;
        self.bytes = bytes;
        Ok(Some(policy))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PolicyFileError> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let taken = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    match taken {
        Ok(_) if bytes.len() as u64 > MAX_BYTES => {
            Err(PolicyFileError::Refused { path: path.to_owned(), reason: format!("it has more than {MAX_BYTES} bytes") })
        }
        Ok(_) => Ok(bytes),
        Err(source) => Err(PolicyFileError::Unreadable { path: path.to_owned(), source }),
    }
}

fn compile(path: &Path, bytes: &[u8]) -> Result<Compiled, PolicyFileError> {
    let verdict = load(bytes, TargetVersion::default());
    if let Some(warning) = &verdict.warning {
        tracing::warn!(path = %path.display(), "{warning}");
    }
    match verdict.result {
        Ok(policy) => Ok(Compiled::new(&policy)),
        Err(refusal) => Err(PolicyFileError::Refused { path: path.to_owned(), reason: refusal.message }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use decklog_audit::backend::{Backend, Emitted, Processed, Processing};

    use super::super::AuditorConfig;
    use super::*;

    struct Nothing;
    impl std::fmt::Display for Nothing {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("nothing")
        }
    }
    impl Backend for Nothing {
        fn process(&self, _: &[Emitted<'_>]) -> Processing {
            Processing::Done(Processed::Stored)
        }
    }

    fn policy(level: &str) -> String {
        format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{{level: {level}}}]\n")
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_put_into_force_and_a_bad_one_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), policy("None")).unwrap();
        let (policy_file, compiled) = PolicyFile::open(file.path()).unwrap();
        let auditor = AuditorConfig::new(compiled, Arc::new(Nothing)).build();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let following = tokio::spawn(policy_file.follow(auditor.clone(), async { drop(stopped.await) }));
        let level = || auditor.policy_in_force().policy().rules[0].level.clone();
        for (text, want) in
            [(policy("Metadata"), "Metadata"), ("rules: [".to_owned(), "Metadata"), (policy("Nothing"), "Metadata"), (policy("Request"), "Request")]
        {
            std::fs::write(file.path(), text).unwrap();
            tokio::time::sleep(2 * LOOK).await;
            assert_eq!(level(), want);
        }
        std::fs::remove_file(file.path()).unwrap();
        tokio::time::sleep(2 * LOOK).await;
        assert_eq!(level(), "Request");
        drop(stop);
        following.await.unwrap();
    }

    #[test]
    fn faults_are_told_as_kube_apiserver_tells_them() {
        let missing = PolicyFile::open(Path::new("/nowhere/policy.yaml")).unwrap_err().to_string();
        assert!(missing.starts_with("loading audit policy file: failed to read file path \"/nowhere/policy.yaml\": "), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), policy("x")).unwrap();
        let refused = PolicyFile::open(file.path()).unwrap_err().to_string();
        assert!(refused.contains("rules[0].level: Unsupported value: \"x\"") && refused.contains(": from file /"), "{refused}");
    }
}
