//! The log backend with real files.

use bytes::Bytes;

use super::*;

struct Log {
    folder: tempfile::TempDir,
    backend: LogBackend,
    errors: PluginErrors,
}

fn log(change: impl FnOnce(&mut LogConfig)) -> Log {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/audit.log");
    let mut config =
        LogConfig { path: Some(path), format: LogFormat::Json, max_bytes: 0, max_age_days: 0, max_backups: 0, compress: false, oversize: Oversize::Lost };
    change(&mut config);
    let errors = PluginErrors::default();
    Log { backend: LogBackend::open(&config, errors.clone()).unwrap(), folder, errors }
}

impl Log {
    fn path(&self) -> PathBuf {
        self.folder.path().join("logs/audit.log")
    }

    async fn write(&self, texts: &[&str]) -> Processed {
        let lines = texts.iter().map(|text| Line::Written(Bytes::copy_from_slice(text.as_bytes()))).collect();
        self.backend.carry(lines).wait().await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap_or_default()
    }

    /// The other files of the folder, oldest first.
    fn old(&self) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(self.path().parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "audit.log");
        names.sort();
        names
    }
}

#[tokio::test]
async fn folder_and_file_are_private_and_there_from_the_start() {
    let log = log(|_| {});
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(log.path().parent().unwrap()), mode(&log.path())), (0o700, 0o600));
    log.write(&["a\n", "b\n"]).await;
    log.write(&["c\n"]).await;
    assert_eq!(log.text(), "a\nb\nc\n");
}

#[tokio::test]
async fn a_full_file_is_rotated_and_old_ones_are_packed_and_pruned() {
    let log = log(|config| (config.max_bytes, config.max_backups, config.compress) = (10, 2, true));
    std::fs::set_permissions(log.path(), Permissions::from_mode(0o640)).unwrap();
    for text in ["aaaa\n", "bbbb\n", "cccc\n", "dddd\n", "eeee\n", "ffff\n", "gggg\n"] {
        log.write(&[text]).await;
    }
    log.backend.stop().await;
    assert_eq!(log.text(), "gggg\n");
    assert_eq!(std::fs::metadata(log.path()).unwrap().permissions().mode() & 0o777, 0o640);
    let old = log.old();
    assert!(old.len() == 2 && old.iter().all(|name| name.starts_with("audit-2") && name.ends_with(".log.gz")), "{old:?}");
    let mut text = String::new();
    let packed = std::fs::File::open(log.path().parent().unwrap().join(&old[1])).unwrap();
    io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut text).unwrap();
    assert_eq!(text, "eeee\nffff\n");
}

#[tokio::test]
async fn rotations_in_one_millisecond_lose_nothing() {
    let log = log(|config| config.max_bytes = 5);
    let texts: Vec<String> = (0..50).map(|number| format!("{number:04}\n")).collect();
    log.write(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let folder = log.path().parent().unwrap().to_owned();
    let whole: String = log.old().iter().map(|name| std::fs::read_to_string(folder.join(name)).unwrap()).chain([log.text()]).collect();
    assert_eq!(whole, texts.concat());
}

#[tokio::test]
async fn a_line_that_no_file_takes_is_counted_and_the_next_is_written() {
    let log = log(|config| config.max_bytes = 10);
    assert_eq!(log.write(&["a\n", "much too long for it\n", "b\n"]).await, Processed::Failed);
    assert_eq!((log.text().as_str(), log.errors.lost(Plugin::Log)), ("a\nb\n", 1));
    assert!(log.old().is_empty());
    let lines = vec![Line::Unencodable(Bytes::from("x")), Line::Written(Bytes::from("c\n"))];
    assert_eq!(log.backend.carry(lines).wait().await, Processed::Failed);
    assert_eq!((log.text().as_str(), log.errors.lost(Plugin::Log)), ("a\nb\nc\n", 2));
}

#[tokio::test]
async fn a_deleted_file_is_noticed_and_one_rotated_by_others_is_opened_again() {
    let log = log(|_| {});
    log.write(&["a\n"]).await;
    std::fs::remove_file(log.path()).unwrap();
    log.write(&["b\n"]).await;
    assert_eq!(log.text(), "b\n");
    let moved = log.path().with_extension("1");
    std::fs::rename(log.path(), &moved).unwrap();
    log.write(&["c\n"]).await;
    log.backend.reopen();
    log.write(&["d\n"]).await;
    assert_eq!((std::fs::read_to_string(moved).unwrap().as_str(), log.text().as_str()), ("b\nc\n", "d\n"));
}

#[tokio::test]
async fn where_writing_fails_every_line_is_counted_and_it_goes_on_when_it_can() {
    let log = log(|_| {});
    log.write(&["a\n"]).await;
    let folder = log.path().parent().unwrap().to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(log.write(&["b\n", "c\n"]).await, Processed::Failed);
    assert_eq!(log.errors.lost(Plugin::Log), 2);
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(log.write(&["d\n"]).await, Processed::Stored);
    assert_eq!(log.text(), "d\n");
}

#[tokio::test]
async fn a_full_disk_leaves_no_half_line() {
    let log = log(|_| {});
    // A device that is always full stands for the disk.
    std::fs::remove_file(log.path()).unwrap();
    std::os::unix::fs::symlink("/dev/full", log.path()).unwrap();
    log.backend.reopen();
    assert_eq!(log.write(&["a\n", "b\n"]).await, Processed::Failed);
    assert_eq!(log.errors.lost(Plugin::Log), 2);
    std::fs::remove_file(log.path()).unwrap();
    assert_eq!(log.write(&["c\n"]).await, Processed::Stored);
    assert_eq!(log.text(), "c\n");
}
