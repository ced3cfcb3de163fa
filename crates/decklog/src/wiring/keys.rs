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

/// The key that signs cursors, so that a page's `next` outlives a restart.
const CURSOR_KEY: &str = "cursor.key";

/// The cursor key of `data_dir`; a new one where it has none that can be read. It guards nothing but pages from being made
/// up, so a lost one only ends the cursors that are out.
pub(crate) fn cursor_key(data_dir: &Path) -> Result<[u8; 32], Failure> {
    let kept = fs::read(data_dir.join(CURSOR_KEY)).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    kept.map_or_else(random_bytes, Ok)
}

/// Keeps `key` for the next start. The caller holds the data directory's lock.
pub(crate) fn keep_cursor_key(data_dir: &Path, key: &[u8; 32]) {
    let path = data_dir.join(CURSOR_KEY);
    if fs::read(&path).is_ok_and(|kept| kept == key) {
        return;
    }
    if let Err(error) = write_secret(&path, key) {
        tracing::warn!(%error, path = %path.display(), "the cursor key could not be kept: cursors end with this process");
    }
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
    fn the_cursor_key_outlives_a_start_once_kept() {
        let directory = tempfile::tempdir().unwrap();
        let first = cursor_key(directory.path()).unwrap();
        assert_ne!(cursor_key(directory.path()).unwrap(), first);
        keep_cursor_key(directory.path(), &first);
        assert_eq!(cursor_key(directory.path()).unwrap(), first);
        fs::write(directory.path().join(CURSOR_KEY), "short").unwrap();
        assert_ne!(cursor_key(directory.path()).unwrap(), first);
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
