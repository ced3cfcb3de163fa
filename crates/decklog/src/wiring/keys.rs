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
    if let Some(key) = read_key(path)? {
        return Ok(key);
    }
    let key = RedactionKey::generate(random_bytes()?);
    write_key(path, &key)?;
    Ok(key)
}

/// The key that was in use at the last start, and the one that was before it.
const LAST_KEY: &str = "redaction.key.last";
const FORMER_KEY: &str = "redaction.key.former";

/// The key in use before `key`, if there was another one: events stored under it are still recognised when
/// they come again. Notes `key` for the starts to come. The caller holds the data directory's lock.
pub(crate) fn former_key(data_dir: &Path, key: &RedactionKey) -> Result<Option<RedactionKey>, Failure> {
    let (last_file, former_file) = (data_dir.join(LAST_KEY), data_dir.join(FORMER_KEY));
    let last = read_key(&last_file)?;
    if last.as_ref().is_none_or(|last| last.id() != key.id()) {
        if let Some(last) = last {
            write_key(&former_file, &last)?;
        }
        write_key(&last_file, key)?;
    }
    Ok(read_key(&former_file)?.filter(|former| former.id() != key.id()))
}

fn read_key(path: &Path) -> Result<Option<RedactionKey>, Failure> {
    match fs::read(path) {
        Ok(text) => RedactionKey::parse(&text).map(Some).map_err(|error| Failure::failed("redaction-key", format!("`{}`: {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

fn write_key(path: &Path, key: &RedactionKey) -> Result<(), Failure> {
    write_secret(path, key.to_text().as_bytes()).map_err(|error| cannot("write", path, &error))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed("redaction-key", format!("cannot {what} the redaction key `{}`: {error}", path.display()))
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

    #[test]
    fn a_changed_key_leaves_the_one_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (RedactionKey::generate([1; 32]), RedactionKey::generate([2; 32]));
        let former = |key: &RedactionKey| former_key(directory.path(), key).unwrap().map(|former| former.id().to_owned());
        assert_eq!(former(&one), None);
        assert_eq!(former(&one), None);
        assert_eq!(former(&two).as_deref(), Some(one.id()));
        assert_eq!(former(&two).as_deref(), Some(one.id()), "the window outlives more than one start");
        assert_eq!(former(&one).as_deref(), Some(two.id()));
    }
}
