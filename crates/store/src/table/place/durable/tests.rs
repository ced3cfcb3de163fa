//! Modes, atomic creation, parts and order of durable local files.

use std::os::unix::fs::PermissionsExt;

use futures_util::TryStreamExt;
use object_store::ObjectStoreExt;

use super::*;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn mode(path: &FilePath) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_and_directories_are_the_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("new/table");
    let files = DurableFiles::create(&root).unwrap();
    run(files.put(&Path::from("day=2026-11-20/a.parquet"), "x".into())).unwrap();
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&root.join("day=2026-11-20")), 0o700);
    assert_eq!(mode(&root.join("day=2026-11-20/a.parquet")), 0o600);
    assert_eq!(std::fs::read_dir(root.join(STAGING)).unwrap().count(), 0, "nothing is left in the staging directory");
}

#[test]
fn creating_refuses_to_take_anothers_place_and_putting_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let files = DurableFiles::create(directory.path()).unwrap();
    let path = Path::from("a/b");
    let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    run(files.put_opts(&path, "one".into(), create())).unwrap();
    let refused = run(files.put_opts(&path, "two".into(), create())).unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
    let read = || run(async { files.get(&path).await.unwrap().bytes().await.unwrap() });
    assert_eq!(read(), "one");
    run(files.put(&path, "three".into())).unwrap();
    assert_eq!(read(), "three");
    run(files.copy(&path, &Path::from("c"))).unwrap();
    assert!(matches!(run(files.copy_if_not_exists(&path, &Path::from("c"))), Err(Error::AlreadyExists { .. })));
    run(files.rename(&path, &Path::from("d"))).unwrap();
    let names = run(async { files.list(None).map_ok(|entry| entry.location.to_string()).try_collect::<Vec<_>>().await.unwrap() });
    assert_eq!(names, ["c", "d"]);
}

#[test]
fn parts_stand_in_the_order_they_were_given_in() {
    let directory = tempfile::tempdir().unwrap();
    let files = DurableFiles::create(directory.path()).unwrap();
    let path = Path::from("parts");
    run(async {
        let mut upload = files.put_multipart(&path).await.unwrap();
        let (first, second) = (upload.put_part("first ".into()), upload.put_part("second".into()));
        second.await.unwrap();
        first.await.unwrap();
        assert!(matches!(files.head(&path).await, Err(Error::NotFound { .. })), "it shows only when it is whole");
        upload.complete().await.unwrap();
        assert_eq!(files.get(&path).await.unwrap().bytes().await.unwrap(), "first second");
        let mut aborted = files.put_multipart(&Path::from("aborted")).await.unwrap();
        aborted.put_part("x".into()).await.unwrap();
        aborted.abort().await.unwrap();
        assert!(aborted.complete().await.is_err());
    });
    assert_eq!(std::fs::read_dir(directory.path().join(STAGING)).unwrap().count(), 0);
}

#[test]
fn listings_are_sorted() {
    let directory = tempfile::tempdir().unwrap();
    let files = DurableFiles::create(directory.path()).unwrap();
    let names = run(async {
        for number in [7, 1, 9, 3, 5] {
            files.put(&Path::from(format!("log/{number}")), "x".into()).await.unwrap();
        }
        files.list_with_offset(Some(&Path::from("log")), &Path::from("log/2")).map_ok(|entry| entry.location.to_string()).try_collect::<Vec<_>>().await.unwrap()
    });
    assert_eq!(names, ["log/3", "log/5", "log/7", "log/9"]);
}
