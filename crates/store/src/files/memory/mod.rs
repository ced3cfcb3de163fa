//! [`Files`] in memory: for tests, with power cuts, failing calls and a disk that fills up.
//!
//! What was written is volatile until it is synced. [`MemoryFiles::power_cut`] keeps of every unsynced write,
//! size change, new name, rename and removal only a random part, as a disk that orders nothing would; writes
//! tear at [`SECTOR`] bytes. A sync that fails loses what was waiting for it although it can still be read,
//! which is what Linux does.

mod random;
mod volatile;
mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use random::Random;
pub use volatile::SECTOR;

use self::file::{MemoryFile, MemoryLock};
use self::volatile::{Change, Directory, Inode, NameChange};
use super::{Entry, File, Files, LockError, SyncPoint};

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process or machine stops: this call and all after it fail.
    Stop,
    /// This call fails; a write may be done in part, a sync loses what it should have kept.
    Fail,
}

/// A file system in memory, as one process sees it: clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    state: Arc<Mutex<State>>,
    /// Which process this is: what one that ended still holds can do nothing.
    life: u64,
}

#[derive(Debug, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    directories: BTreeMap<PathBuf, Directory>,
    locks: BTreeSet<PathBuf>,
    last_inode: u64,
    /// Calls that change something, since the start.
    n_changes: u64,
    faults: BTreeMap<u64, Fault>,
    has_stopped: bool,
    left_out: BTreeSet<SyncPoint>,
    n_syncs: BTreeMap<SyncPoint, u64>,
    capacity: Option<u64>,
    random: u64,
    /// Counts restarts, so that files of before are dead.
    life: u64,
}

impl MemoryFiles {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that changed something so far.
    pub fn n_changes(&self) -> u64 {
        self.state().n_changes
    }

    /// Lets the call number `n` from now that changes something (0 is the next) meet `fault`.
    pub fn strike(&self, n: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.n_changes + n;
        state.faults.insert(at, fault);
    }

    /// Takes back all faults that have not struck.
    pub fn calm(&self) {
        self.state().faults.clear();
    }

    /// Makes this one kind of sync do nothing.
    pub fn leave_out(&self, point: SyncPoint) {
        self.state().left_out.insert(point);
    }

    /// How often each kind of sync was done.
    pub fn n_syncs(&self) -> BTreeMap<SyncPoint, u64> {
        self.state().n_syncs.clone()
    }

    /// Bounds the bytes all files together may have.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    /// Whether a stop has struck.
    pub fn has_stopped(&self) -> bool {
        self.state().has_stopped
    }

    /// The process ends without notice and another comes, whose files are returned: nothing written is lost.
    #[must_use]
    pub fn process_ends(&self) -> Self {
        let mut state = self.state();
        state.life += 1;
        state.locks.clear();
        state.faults.clear();
        state.has_stopped = false;
        Self { state: Arc::clone(&self.state), life: state.life }
    }

    /// The power goes and comes back: of what was not synced a random part is there. Returns the files of the
    /// process that comes then.
    #[must_use]
    pub fn power_cut(&self, random: &mut Random) -> Self {
        let files = self.process_ends();
        let mut state = self.state();
        let state = &mut *state;
        state.directories.retain(|_, directory| directory.is_durable || random.one_in(2));
        let kept: Vec<PathBuf> = state.directories.keys().cloned().collect();
        state.directories.retain(|path, _| {
            path.ancestors().skip(1).all(|above| above.parent().is_none() || above.as_os_str().is_empty() || kept.iter().any(|known| known == above))
        });
        for directory in state.directories.values_mut() {
            directory.is_durable = true;
            for change in std::mem::take(&mut directory.pending) {
                if random.one_in(2) {
                    Directory::apply(&mut directory.durable, &change);
                }
            }
            directory.volatile = directory.durable.clone();
        }
        for inode in state.inodes.values_mut() {
            for change in std::mem::take(&mut inode.pending) {
                inode.tear(change, random);
            }
            inode.volatile = inode.durable.clone();
        }
        let named: BTreeSet<u64> = state.directories.values().flat_map(|directory| directory.durable.values().copied()).collect();
        state.inodes.retain(|inode, _| named.contains(inode));
        files
    }

    /// Changes one byte of a file, durably.
    pub fn damage(&self, path: &Path, offset: u64, flip: u8) {
        let mut state = self.state();
        if let Some(inode) = state.find(path).and_then(|inode| state.inodes.get_mut(&inode)) {
            for image in [&mut inode.volatile, &mut inode.durable] {
                if let Some(byte) = image.get_mut(offset as usize) {
                    *byte ^= flip;
                }
            }
        }
    }

    /// The content of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.find(path)?;
        Some(state.inodes.get(&inode)?.volatile.clone())
    }
}

impl State {
    fn find(&self, path: &Path) -> Option<u64> {
        let directory = self.directories.get(path.parent()?)?;
        directory.volatile.get(path.file_name()?.to_str()?).copied()
    }

    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories.get_mut(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Counts a call that changes something, and lets it meet its fault.
    fn changing(&mut self, life: u64) -> io::Result<()> {
        if self.has_stopped || self.life != life {
            return Err(io::Error::other("stopped (test)"));
        }
        let at = self.n_changes;
        self.n_changes += 1;
        match self.faults.remove(&at) {
            None => Ok(()),
            Some(Fault::Stop) => {
                self.has_stopped = true;
                Err(io::Error::other("stopped (test)"))
            }
            Some(Fault::Fail) => Err(io::Error::other("input/output error (test)")),
        }
    }

    /// Bytes still free; a removed file takes none.
    fn free(&self) -> u64 {
        let Some(capacity) = self.capacity else { return u64::MAX };
        let named = self.directories.values().flat_map(|directory| directory.volatile.values());
        let used: u64 = named.filter_map(|inode| self.inodes.get(inode)).map(|inode| (inode.volatile.len() as u64).max(inode.allocated)).sum();
        capacity.saturating_sub(used)
    }
}

fn parts(path: &Path) -> io::Result<(PathBuf, String)> {
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(dir), Some(name)) => Ok((dir.to_owned(), name.to_owned())),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

impl Files for MemoryFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<bool> {
        let mut state = self.state();
        if state.directories.contains_key(dir) {
            return Ok(false);
        }
        state.changing(self.life)?;
        for path in dir.ancestors().filter(|path| path.parent().is_some() && !path.as_os_str().is_empty()) {
            state.directories.entry(path.to_owned()).or_default();
        }
        Ok(true)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let (dir, name) = parts(path)?;
        let mut state = self.state();
        state.changing(self.life)?;
        let existing = state.find(path);
        let inode = match existing {
            Some(inode) => {
                if let Some(inode) = state.inodes.get_mut(&inode) {
                    inode.change(Change::Size(0));
                    inode.allocated = 0;
                }
                inode
            }
            None => {
                state.last_inode += 1;
                let inode = state.last_inode;
                state.directory(&dir)?.change(NameChange::Add(name, inode));
                state.inodes.insert(inode, Inode::default());
                inode
            }
        };
        Ok(Arc::new(MemoryFile { files: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.state();
        let inode = state.find(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Arc::new(MemoryFile { files: self.clone(), inode }))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        let directory = state.directories.get(dir).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let size = |inode| state.inodes.get(inode).map_or(0, |inode| inode.volatile.len() as u64);
        Ok(directory.volatile.iter().map(|(name, inode)| Entry { name: name.clone(), size: size(inode) }).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (dir, name) = parts(from)?;
        let (to_dir, to_name) = parts(to)?;
        if dir != to_dir {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let mut state = self.state();
        state.changing(self.life)?;
        let inode = state.find(from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        state.directory(&dir)?.change(NameChange::Rename(name, to_name, inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = parts(path)?;
        let mut state = self.state();
        state.changing(self.life)?;
        let inode = state.find(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        state.directory(&dir)?.change(NameChange::Remove(name));
        if let Some(inode) = state.inodes.get_mut(&inode) {
            inode.allocated = 0;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path, why: SyncPoint) -> io::Result<()> {
        let mut state = self.state();
        state.changing(self.life)?;
        if state.left_out.contains(&why) {
            return Ok(());
        }
        *state.n_syncs.entry(why).or_default() += 1;
        for (path, below) in &mut state.directories {
            below.is_durable |= path.parent() == Some(dir);
        }
        if let Some(directory) = state.directories.get_mut(dir) {
            directory.pending.clear();
            directory.durable = directory.volatile.clone();
        }
        Ok(())
    }

    fn free_space(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.state().free())
    }

    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        let mut state = self.state();
        if !state.locks.insert(path.to_owned()) {
            return Err(LockError::Held { holder: holder.trim().to_owned() });
        }
        Ok(Box::new(MemoryLock { files: self.clone(), path: path.to_owned() }))
    }

    fn random(&self) -> io::Result<[u8; 16]> {
        let mut state = self.state();
        state.random += 1;
        let mut random = Random::new(state.random);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random.number().to_le_bytes());
        bytes[8..].copy_from_slice(&random.number().to_le_bytes());
        Ok(bytes)
    }
}
