//! A log and its backups on the disk: which file holds a position, and which comes after it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::position::{FINGERPRINT_BYTES, Identity, Position};
use crate::rotation;

/// A log file and the backups beside it.
#[derive(Clone, Debug)]
pub(super) struct Family {
    live: PathBuf,
}

/// One of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// The log that is written to.
    Live,
    /// A backup; nobody writes to it any more.
    Backup { path: PathBuf, time: String },
}

/// Where to read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// In the file that holds the position.
    Here(Member),
    /// At the start of the file that comes after it.
    After(Member),
    /// The file that holds the position is gone; at the start of the oldest file that was not read to its end.
    Lost(Member),
}

impl Family {
    pub(super) fn new(live: PathBuf) -> Self {
        Self { live }
    }

    pub(super) fn path<'a>(&'a self, member: &'a Member) -> &'a Path {
        match member {
            Member::Live => &self.live,
            Member::Backup { path, .. } => path,
        }
    }

    /// The backups, oldest first. While one is being compressed both forms are there and only the plain one
    /// is complete.
    pub(super) fn backups(&self) -> io::Result<Vec<Member>> {
        let folder = match self.live.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let live = self.live.file_name().unwrap_or_default().to_string_lossy();
        let (stem, extension) = rotation::stem_of(&live);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some(backup) = rotation::parse(&name)
                && backup.live_stem == stem
                && backup.extension == extension
            {
                found.push((backup.time.to_owned(), backup.compressed, entry.path()));
            }
        }
        found.sort();
        found.dedup_by(|packed, plain| packed.0 == plain.0);
        Ok(found.into_iter().map(|(time, _, path)| Member::Backup { path, time }).collect())
    }

    /// Where reading goes on: in the file of `position`, or behind it if it was `finished`.
    pub(super) fn next(&self, position: &Position, finished: bool) -> io::Result<Next> {
        let mut members = self.backups()?;
        members.push(Member::Live);
        let here = if position.is_begin() { None } else { self.holding(position, &members)? };
        Ok(match here {
            Some(index) if !finished => Next::Here(members.swap_remove(index)),
            Some(index) if index + 1 < members.len() => Next::After(members.swap_remove(index + 1)),
            // It is the live log itself that was finished: nothing comes after it yet.
            Some(_) => Next::Here(Member::Live),
            None => {
                let unread = |member: &Member| match member {
                    Member::Backup { time, .. } => *time >= position.since,
                    Member::Live => true,
                };
                let member = members.into_iter().find(unread).unwrap_or(Member::Live);
                if finished || position.is_begin() { Next::After(member) } else { Next::Lost(member) }
            }
        })
    }
}

impl Family {
    /// Which of `members` holds `position`: the very file if it is among them, else one that begins the same,
    /// such as a compressed copy.
    fn holding(&self, position: &Position, members: &[Member]) -> io::Result<Option<usize>> {
        let mut copy = None;
        for (index, member) in members.iter().enumerate().rev() {
            if let Some((identity, head)) = head_of(self.path(member))?
                && position.fits(&head)
            {
                if identity == position.identity {
                    return Ok(Some(index));
                }
                copy = copy.or(Some(index));
            }
        }
        Ok(copy)
    }
}

/// A file's identity and first bytes, unpacked; `None` if it is gone or cannot be unpacked.
fn head_of(path: &Path) -> io::Result<Option<(Identity, Vec<u8>)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let identity = Identity::of(&file.metadata()?);
    let mut head = Vec::with_capacity(FINGERPRINT_BYTES);
    let unpacked = unpack(path, file)?;
    match unpacked.take(FINGERPRINT_BYTES as u64).read_to_end(&mut head) {
        Ok(_) => Ok(Some((identity, head))),
        Err(error) if is_packed(path) => {
            tracing::warn!(path = %path.display(), %error, "a compressed backup cannot be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
}

/// The content of an opened file.
pub(super) fn unpack(path: &Path, file: File) -> io::Result<Box<dyn Read + Send>> {
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(file)?),
        _ => Box::new(file),
    })
}
