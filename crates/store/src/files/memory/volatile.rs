//! What a file or directory holds in memory, what of it is durable, and what a power cut leaves.

use std::collections::BTreeMap;

use super::random::Random;

/// What is written whole or not at all: small, so that small test data tears as well.
pub const SECTOR: usize = 32;

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) volatile: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Unsynced changes, oldest first.
    pub(super) pending: Vec<Change>,
    pub(super) allocated: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Size(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) volatile: BTreeMap<String, u64>,
    pub(super) durable: BTreeMap<String, u64>,
    pub(super) pending: Vec<NameChange>,
    /// Whether the directory above has it durably.
    pub(super) is_durable: bool,
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Add(String, u64),
    Remove(String),
    Rename(String, String, u64),
}

impl Directory {
    pub(super) fn apply(names: &mut BTreeMap<String, u64>, change: &NameChange) {
        match change {
            NameChange::Add(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
            NameChange::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }

    pub(super) fn change(&mut self, change: NameChange) {
        Self::apply(&mut self.volatile, &change);
        self.pending.push(change);
    }
}

impl Inode {
    pub(super) fn apply(image: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(bytes);
            }
            Change::Size(size) => image.resize(*size, 0),
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        Self::apply(&mut self.volatile, &change);
        self.pending.push(change);
    }
}

impl Inode {
    /// Applies a random part of an unsynced change.
    pub(super) fn tear(&mut self, change: Change, random: &mut Random) {
        match change {
            Change::Write { offset, bytes } => {
                // All, nothing, the beginning, or any sectors.
                let form = random.below(4);
                let beginning = random.below(bytes.len() as u64 + 1) as usize;
                let mut start = 0;
                while start < bytes.len() {
                    let end = ((offset + start) / SECTOR * SECTOR + SECTOR - offset).min(bytes.len());
                    let is_kept = match form {
                        0 => true,
                        1 => false,
                        2 => end <= beginning,
                        _ => random.one_in(2),
                    };
                    if is_kept {
                        Self::apply(&mut self.durable, &Change::Write { offset: offset + start, bytes: bytes[start..end].to_vec() });
                    }
                    start = end;
                }
            }
            Change::Size(size) => {
                if random.one_in(2) {
                    Self::apply(&mut self.durable, &Change::Size(size));
                }
            }
        }
    }
}
