//! Files in the repository that are made from the code: tests compare, and write them anew on request.

/// Compares the file `path` (from the root of the repository) with `wanted`. With `DECKLOG_BLESS=1` it is written.
#[allow(clippy::print_stderr)]
pub(crate) fn check(path: &str, wanted: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("DECKLOG_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "{path} is not what the code says: run the test with DECKLOG_BLESS=1 and look at the difference");
}
