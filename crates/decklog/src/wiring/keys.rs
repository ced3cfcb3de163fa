//! Keys that are made at first start: files that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use decklog_audit::redact::RedactionKey;

use crate::failure::Failure;

/// 32 bytes from the system's random source.
pub(crate) fn random_bytes() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::failed("random", "the system gives no random bytes"))?;
    Ok(bytes)
}

/// The redaction key in `path`, made if it is not there. The caller holds the data directory's lock, so that
/// no other process makes one at the same time.
pub(crate) fn redaction_key(path: &Path) -> Result<RedactionKey, Failure> {
    let failed = |what: &str, error: &io::Error| Failure::failed("redaction-key", format!("cannot {what} the redaction key `{}`: {error}", path.display()));
    match fs::read(path) {
        Ok(text) => RedactionKey::parse(&text)
            .map_err(|error| Failure::failed("redaction-key", format!("`{}`: {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = RedactionKey::generate(random_bytes()?);
            write_secret(path, key.to_text().as_bytes()).map_err(|error| failed("write", &error))?;
            Ok(key)
        }
        Err(error) => Err(failed("read", &error)),
    }
}

/// Writes the whole file or none of it, for its owner alone.
fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = directory.join(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("redaction.key");
        let first = redaction_key(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(redaction_key(&path).unwrap().id(), first.id());
        fs::write(&path, "not a key").unwrap();
        assert!(redaction_key(&path).unwrap_err().message.contains("not a redaction key"));
    }
}
