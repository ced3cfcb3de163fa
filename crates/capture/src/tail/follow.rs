//! Follows a log through its rotations: only files here, events are made of the lines elsewhere.
//!
//! ```text
//! Seeking ──file found──► Reading ──end of a backup, or of a log that was renamed──► Seeking behind it
//! ```
//!
//! Everything blocks on the disk at most; nothing waits for a log to grow.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use decklog_audit::Timestamp;

use super::family::{Family, Member, Next, is_packed, unpack};
use super::lines::{Found, LineBuffer};
use super::position::{FINGERPRINT_BYTES, Identity, Position, backup_time};

const READ_BYTES: usize = 256 << 10;
/// How often a listing that changed meanwhile is made again at once.
const MAX_TRIES: usize = 5;

/// What there was to read.
#[derive(Debug)]
pub(super) enum Step {
    /// Something new.
    Read(Lines),
    /// Nothing at the moment.
    Idle,
}

/// Lines of one file.
#[derive(Debug)]
pub(super) struct Lines {
    /// The file's path.
    pub(super) file: String,
    /// The number of the first line.
    pub(super) first_line: u64,
    pub(super) found: Found,
    /// Behind these lines.
    pub(super) position: Position,
}

/// See the module.
pub(super) struct Follower {
    family: Family,
    state: State,
    max_line_bytes: usize,
    batch_bytes: usize,
    /// What may have been lost, for people; taken by the caller.
    pub(super) losses: VecDeque<String>,
}

enum State {
    /// Looking for where to read on: at the position, or behind it if that file was finished.
    Seeking {
        position: Position,
        finished: bool,
    },
    Reading(Box<Open>),
}

struct Open {
    member: Member,
    path: String,
    content: Content,
    identity: Identity,
    /// The content's first bytes, for the fingerprint.
    head: Vec<u8>,
    /// Bytes read.
    n_read: u64,
    /// Bytes of whole lines given.
    offset: u64,
    /// Lines given.
    line: u64,
    buffer: LineBuffer,
    /// Backups made at this moment or later hold what comes behind, or this file itself.
    since: String,
    /// Why the rest of a compressed backup cannot be read, until that is told.
    broken: Option<io::Error>,
    /// Nothing more comes of a compressed backup.
    ended: bool,
    /// A log that had nothing new may have been cut before it grew again.
    look_for_cut: bool,
    /// A new log is there, and this one has not grown since that was seen.
    settled: bool,
}

enum Content {
    Plain(File),
    Packed(Box<dyn Read + Send>),
}

impl Follower {
    /// Goes on at `position`. Lines above `max_line_bytes` are kept in part; a step gives about `batch_bytes`.
    pub(super) fn new(path: PathBuf, position: Position, max_line_bytes: usize, batch_bytes: usize) -> Self {
        Self { family: Family::new(path), state: State::Seeking { position, finished: false }, max_line_bytes, batch_bytes, losses: VecDeque::new() }
    }

    /// Bytes given and bytes there are of the file that is read.
    pub(super) fn progress(&self) -> Option<(String, u64, u64)> {
        match &self.state {
            State::Seeking { .. } => None,
            State::Reading(open) => {
                let size = match &open.content {
                    Content::Plain(file) => file.metadata().map_or(open.n_read, |metadata| metadata.len()),
                    Content::Packed(_) => open.n_read,
                };
                Some((open.path.clone(), open.offset, size))
            }
        }
    }

    /// Reads what is new.
    pub(super) fn step(&mut self, now: Timestamp) -> io::Result<Step> {
        loop {
            let next = match &mut self.state {
                State::Seeking { position, finished } => {
                    let (position, finished) = (position.clone(), *finished);
                    match self.seek(&position, finished, now)? {
                        Some(open) => State::Reading(Box::new(open)),
                        None => return Ok(Step::Idle),
                    }
                }
                State::Reading(open) => {
                    if open.look_for_cut && open.was_cut()? {
                        let loss = format!("{} was cut short: lines not read before that are lost", open.path);
                        self.losses.push_back(loss);
                        let rest = open.start_over();
                        if let Some(found) = rest {
                            return Ok(Step::Read(open.lines(found)));
                        }
                    }
                    if let Some(found) = open.read(self.max_line_bytes, self.batch_bytes)? {
                        open.settled = false;
                        return Ok(Step::Read(open.lines(found)));
                    }
                    open.look_for_cut = true;
                    if let Some(error) = open.broken.take() {
                        self.losses.push_back(format!("{} cannot be read behind byte {}: {error}", open.path, open.n_read));
                    }
                    if open.is_live() && !self.family_moved_on(now)? {
                        return Ok(Step::Idle);
                    }
                    let State::Reading(open) = &mut self.state else { continue };
                    // What ends without a line end will not get one any more.
                    if let Some(found) = open.buffer.take_rest() {
                        return Ok(Step::Read(open.lines(found)));
                    }
                    State::Seeking { position: open.position(), finished: true }
                }
            };
            self.state = next;
        }
    }

    /// Whether the log that is read was renamed or removed, a new one is written to, and the old one does not
    /// grow any more. An empty new log says nothing: whoever renamed the old one may still write to it.
    fn family_moved_on(&mut self, now: Timestamp) -> io::Result<bool> {
        let State::Reading(open) = &mut self.state else { return Ok(false) };
        let Some(live) = metadata(&self.family, &Member::Live)? else { return Ok(false) };
        if Identity::of(&live) == open.identity {
            open.since = backup_time(now);
            return Ok(false);
        }
        if live.len() == 0 {
            return Ok(false);
        }
        Ok(std::mem::replace(&mut open.settled, true))
    }

    fn seek(&mut self, position: &Position, finished: bool, now: Timestamp) -> io::Result<Option<Open>> {
        for _ in 0..MAX_TRIES {
            let next = self.family.next(position, finished)?;
            let (member, at_position) = match &next {
                Next::Here(_) if finished => return Ok(None),
                Next::Here(member) => (member, true),
                Next::After(member) | Next::Lost(member) => (member, false),
            };
            let path = self.family.path(member).to_owned();
            let file = match File::open(&path) {
                Ok(file) => file,
                // A log that is not there yet, or a backup that was compressed or removed this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound && *member == Member::Live => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // The log may have been renamed since the listing: then another file must be read before this one.
            if self.family.next(position, finished)? != next {
                continue;
            }
            let size = file.metadata()?.len();
            let mut open = Open::new(member.clone(), &path, file, now)?;
            if at_position && !open.skip_to(position)? {
                self.losses.push_back(format!("{} has {size} bytes, {} were read before: it was cut short", open.path, position.offset));
                open = Open::new(open.member, &path, File::open(&path)?, now)?;
            }
            if matches!(next, Next::Lost(_)) {
                self.losses.push_back(format!("the file that was read up to byte {} is gone: reading on with {}", position.offset, open.path));
            }
            return Ok(Some(open));
        }
        Ok(None)
    }
}

fn metadata(family: &Family, member: &Member) -> io::Result<Option<Metadata>> {
    match std::fs::metadata(family.path(member)) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Open {
    /// `member` was the log, or a backup, at `now`.
    fn new(member: Member, path: &Path, file: File, now: Timestamp) -> io::Result<Self> {
        let since = match &member {
            Member::Live => backup_time(now),
            Member::Backup { time, .. } => time.clone(),
        };
        let identity = Identity::of(&file.metadata()?);
        let content = if is_packed(path) { Content::Packed(unpack(path, file)?) } else { Content::Plain(file) };
        Ok(Self {
            member,
            path: path.display().to_string(),
            content,
            identity,
            head: Vec::new(),
            n_read: 0,
            offset: 0,
            line: 0,
            buffer: LineBuffer::default(),
            since,
            broken: None,
            ended: false,
            look_for_cut: false,
            settled: false,
        })
    }

    fn is_live(&self) -> bool {
        self.member == Member::Live
    }

    fn position(&self) -> Position {
        Position::new(&self.head, self.offset, self.line, self.identity, self.since.clone())
    }

    /// Goes to `position`; false if the content ends before it.
    fn skip_to(&mut self, position: &Position) -> io::Result<bool> {
        let mut buffer = vec![0; READ_BYTES];
        while self.n_read < position.offset {
            if let (Content::Plain(file), true) = (&self.content, self.head.len() == FINGERPRINT_BYTES) {
                if file.metadata()?.len() < position.offset {
                    return Ok(false);
                }
                self.n_read = position.offset;
                break;
            }
            let wanted = usize::try_from(position.offset - self.n_read).unwrap_or(READ_BYTES).min(READ_BYTES);
            if self.read_some(&mut buffer[..wanted])? == 0 {
                return Ok(false);
            }
        }
        (self.offset, self.line) = (position.offset, position.line);
        Ok(true)
    }

    /// Whole lines, or an over-long one; `None` at the end of what there is.
    fn read(&mut self, max_line_bytes: usize, batch_bytes: usize) -> io::Result<Option<Found>> {
        // What waited behind an over-long line.
        if let Some(found) = self.buffer.take_lines() {
            return Ok(Some(found));
        }
        let mut buffer = vec![0; READ_BYTES];
        let mut n_new = 0;
        loop {
            let n_bytes = self.read_some(&mut buffer)?;
            if n_bytes == 0 {
                return Ok(self.buffer.take_lines());
            }
            n_new += n_bytes;
            self.buffer.push(&buffer[..n_bytes], max_line_bytes);
            if (n_new >= batch_bytes || self.buffer.is_over_long())
                && let Some(found) = self.buffer.take_lines()
            {
                return Ok(Some(found));
            }
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let n_bytes = loop {
            let outcome = match &mut self.content {
                Content::Plain(file) => file.read_at(buffer, self.n_read),
                Content::Packed(reader) => reader.read(buffer),
            };
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(self.content, Content::Packed(_)) => {
                    (self.broken, self.ended) = (Some(error), true);
                    break 0;
                }
                outcome => break outcome?,
            }
        };
        let missing = FINGERPRINT_BYTES.saturating_sub(self.head.len()).min(n_bytes);
        self.head.extend_from_slice(&buffer[..missing]);
        self.n_read += n_bytes as u64;
        Ok(n_bytes)
    }

    fn lines(&mut self, found: Found) -> Lines {
        let first_line = self.line + 1;
        let (n_bytes, n_lines) = match &found {
            Found::Lines(bytes) => (bytes.len() as u64, memchr::memchr_iter(b'\n', bytes).count() as u64),
            Found::OverLong(_, size) => (size + 1, 1),
        };
        self.offset = (self.offset + n_bytes).min(self.n_read);
        self.line += n_lines;
        Lines { file: self.path.clone(), first_line, found, position: self.position() }
    }

    /// Whether the log is another one than before under the same name and inode.
    fn was_cut(&mut self) -> io::Result<bool> {
        self.look_for_cut = false;
        let Content::Plain(file) = &self.content else { return Ok(false) };
        if file.metadata()?.len() < self.n_read {
            return Ok(true);
        }
        let mut head = vec![0; self.head.len()];
        Ok(file.read_exact_at(&mut head, 0).is_err() || head != self.head)
    }

    /// Begins again at the start; gives what waited for its line end.
    fn start_over(&mut self) -> Option<Found> {
        let rest = self.buffer.take_rest();
        self.head.clear();
        (self.n_read, self.offset, self.line) = (0, 0, 0);
        rest
    }
}
