//! Open files and locks of [`MemoryFiles`].

use std::io;
use std::path::{Path, PathBuf};

use super::MemoryFiles;
use super::volatile::{Change, Inode};
use crate::files::{File, Files, SyncPoint};

pub(super) struct MemoryLock {
    pub(super) files: MemoryFiles,
    pub(super) path: PathBuf,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut state = self.files.state();
        if state.life == self.files.life {
            state.locks.remove(&self.path);
        }
    }
}

pub(super) struct MemoryFile {
    pub(super) files: MemoryFiles,
    pub(super) inode: u64,
}

impl MemoryFile {
    fn with<T>(&self, work: impl FnOnce(&mut Inode) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.files.state();
        if state.life != self.files.life {
            return Err(io::Error::other("this file was open before a restart"));
        }
        work(state.inodes.get_mut(&self.inode).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?)
    }

    fn changing(&self) -> io::Result<()> {
        self.files.state().changing(self.files.life)
    }
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|inode| {
            let rest = inode.volatile.get(offset as usize..).unwrap_or_default();
            let n_read = rest.len().min(buffer.len());
            buffer[..n_read].copy_from_slice(&rest[..n_read]);
            Ok(n_read)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (free, failed) = {
            let mut state = self.files.state();
            if state.life != self.files.life {
                return Err(io::Error::other("this file was open before a restart"));
            }
            (state.free(), state.changing(self.files.life).err())
        };
        let offset = offset as usize;
        self.with(|inode| {
            let room = (inode.volatile.len() as u64).max(inode.allocated).saturating_add(free);
            let fits = usize::try_from(room).unwrap_or(usize::MAX).saturating_sub(offset).min(bytes.len());
            let done = if failed.is_some() { fits / 2 } else { fits };
            inode.change(Change::Write { offset, bytes: bytes[..done].to_vec() });
            match failed {
                Some(error) => Err(error),
                None if fits < bytes.len() => Err(io::Error::from(io::ErrorKind::StorageFull)),
                None => Ok(()),
            }
        })
    }

    fn sync_data(&self, why: SyncPoint) -> io::Result<()> {
        let result = self.changing();
        if self.files.has_stopped() {
            return result;
        }
        let is_left_out = {
            let mut state = self.files.state();
            let is_left_out = state.left_out.contains(&why);
            if !is_left_out {
                *state.n_syncs.entry(why).or_default() += 1;
            }
            is_left_out
        };
        if is_left_out && result.is_ok() {
            return Ok(());
        }
        self.with(|inode| {
            let pending = std::mem::take(&mut inode.pending);
            // A failed sync forgets what it should have written: reading still shows it.
            if result.is_ok() {
                for change in &pending {
                    Inode::apply(&mut inode.durable, change);
                }
            }
            Ok(())
        })?;
        result
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.changing()?;
        self.with(|inode| {
            inode.allocated = inode.allocated.min(size);
            inode.change(Change::Size(size as usize));
            Ok(())
        })
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.changing()?;
        let free = self.files.free_space(Path::new(""))?;
        self.with(|inode| {
            if size.saturating_sub(inode.volatile.len() as u64) > free {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            inode.allocated = size;
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|inode| Ok(inode.volatile.len() as u64))
    }
}
