//! A disk of a few MiB that can be filled and freed: a tmpfs mount, which needs root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    pub(crate) fn mount(folder: &Path, mebibytes: u32) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m,mode=0700"), "decklog-test"]).arg(folder).output().unwrap();
        assert!(mounted.status.success(), "mounting a small disk needs root: {}", String::from_utf8_lossy(&mounted.stderr));
        Self { folder: folder.to_owned() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file until nothing more fits, not even the rest of a page.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0u8; size];
            while file.write_all(&piece).is_ok() {}
        }
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that a failed test left behind may still hold files.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
