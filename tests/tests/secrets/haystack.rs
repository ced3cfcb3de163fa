//! Everything a run left behind, compressed blocks opened, and the search in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

/// Values shorter than this stand in ordinary text by chance: they are searched for as whole JSON strings.
const SHORT: usize = 16;
/// How every zstd frame begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub(crate) struct Haystack {
    /// Name and content of every place.
    places: Vec<(String, Vec<u8>)>,
}

impl Haystack {
    /// What is searched: `places`, and what is inside the zstd frames in them.
    pub(crate) fn of(places: Vec<(String, Vec<u8>)>) -> Self {
        let mut all = Vec::new();
        for (name, content) in places {
            for (at, frame) in frames(&content) {
                all.push((format!("{name}, frame at {at}"), frame));
            }
            all.push((name, content));
        }
        Self { places: all }
    }

    pub(crate) fn n_bytes(&self) -> usize {
        self.places.iter().map(|(_, content)| content.len()).sum()
    }

    /// The values found, each with up to three places.
    pub(crate) fn holding(&self, secrets: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
        // Every secret is found by its first eight bytes in one pass over the bytes, then compared whole.
        let mut by_start: BTreeMap<[u8; 4], Vec<(&String, Vec<u8>)>> = BTreeMap::new();
        for secret in secrets {
            let text = serde_json::to_string(secret).unwrap();
            let needle = if secret.len() < SHORT { text.into_bytes() } else { text[1..text.len() - 1].as_bytes().to_vec() };
            // Inside a string that holds JSON itself the quotes are escaped.
            let nested = String::from_utf8(needle.clone()).unwrap().replace('\\', "\\\\").replace('"', "\\\"").into_bytes();
            for needle in BTreeSet::from([needle, nested]) {
                if needle.len() >= 4 {
                    by_start.entry(needle[..4].try_into().unwrap()).or_default().push((secret, needle));
                }
            }
        }
        let starts: BTreeSet<u32> = by_start.keys().map(|start| u32::from_le_bytes(*start)).collect();
        let mut likely = vec![false; 1 << 16];
        for start in &starts {
            likely[(start & 0xffff) as usize] = true;
        }
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, content) in &self.places {
            for (at, window) in content.windows(4).enumerate() {
                if !likely[usize::from(u16::from_le_bytes([window[0], window[1]]))] {
                    continue;
                }
                for (secret, needle) in by_start.get(window).into_iter().flatten() {
                    if content[at..].starts_with(needle) {
                        let places = found.entry((*secret).clone()).or_default();
                        if places.len() < 3 && !places.contains(name) {
                            places.push(name.clone());
                        }
                    }
                }
            }
        }
        found
    }
}

/// Every file below `folder`, by its path in it.
pub(crate) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files
}

/// The content of each zstd frame that can be opened, and where it begins.
fn frames(content: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut frames = Vec::new();
    for at in content.windows(4).enumerate().filter(|(_, window)| *window == ZSTD).map(|(at, _)| at) {
        let mut frame = Vec::new();
        if let Ok(decoder) = zstd::Decoder::with_buffer(&content[at..]) {
            // What could be read before an error counts too.
            let _ = decoder.single_frame().read_to_end(&mut frame);
        }
        frames.push((at, frame));
    }
    frames
}
