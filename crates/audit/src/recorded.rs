//! The recorded logs of a real cluster, for tests of this crate.

/// The directory of all recordings.
pub(crate) const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data");

/// Every recording in kube-apiserver's JSON log format.
pub(crate) const JSON_LOGS: [&str; 7] = ["a-all-rr", "attack", "benign", "b-metadata", "c-gce", "d-docs", "f-crd"];

/// The text of the log `name`.
pub(crate) fn log(name: &str) -> String {
    let path = format!("{DIRECTORY}/{name}/audit.log.zst");
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8(zstd::decode_all(file).unwrap()).unwrap()
}
