//! Space kept free: a file that is given up when the disk is full, so that cursors, marks and retention go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::Files;

pub(crate) struct Reserve {
    files: Arc<dyn Files>,
    dir: PathBuf,
    size: u64,
    is_taken: bool,
}

impl Reserve {
    pub(crate) fn new(files: Arc<dyn Files>, dir: &Path, size: u64) -> Self {
        Self { files, dir: dir.to_owned(), size, is_taken: false }
    }

    /// Takes the reserve, if as much again is free: else the next batch would give it up again.
    pub(crate) fn take(&mut self) -> io::Result<()> {
        if self.is_taken || self.size == 0 {
            return Ok(());
        }
        let file = self.files.create(&self.path())?;
        if self.files.free_space(&self.dir)? / 2 < self.size {
            self.release();
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        file.allocate(self.size).inspect_err(|_| self.release())?;
        self.is_taken = true;
        Ok(())
    }

    /// Gives it up.
    pub(crate) fn release(&mut self) {
        self.is_taken = false;
        // Where even this fails, cursors and marks fail too, and say so.
        let _ = self.files.remove(&self.path());
    }

    fn path(&self) -> PathBuf {
        self.dir.join("reserve")
    }
}
