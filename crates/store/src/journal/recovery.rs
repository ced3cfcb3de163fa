//! Finds what a journal on disk holds, at start: where it ends, the positions, the duplicate window, the cursors.
//!
//! Only the newest segment is read whole; of the others headers, and ids as far back as the duplicate window
//! goes. Nothing is removed but unfinished files, and nothing is cut: see "Where a segment ends" in the format.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use decklog_audit::Timestamp;

use super::append::PART;
use super::cursor::{self, Cursor};
use super::duplicates::{Duplicates, is_older};
use super::segment_writer::Positions;
use super::shared::{Health, Log, ReaderInfo, Recovered, SegmentInfo};
use crate::config::{DuplicateWindow, JournalConfig};
use crate::damage::Damage;
use crate::error::OpenError;
use crate::files::{File, Files, SyncPoint, read_range};
use crate::format::Bytes;
use crate::format::block::{BlockHeader, HEADER_SIZE, Meta, ids};
use crate::format::segment::{self, HeaderError, SegmentHeader, parse_segment_name, segment_name};
use crate::format::walk::{Check, Step, Walk};

/// Where the files of a journal lie.
pub(crate) struct Places {
    pub(crate) journal: PathBuf,
    pub(crate) cursors: PathBuf,
}

impl Places {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let journal = data_dir.join("journal");
        Self { cursors: journal.join("cursors"), journal }
    }
}

/// Makes `dir` and `below` in it. Those above are asked to list them durably; what `dir` lists becomes
/// durable with [`SyncPoint::RecoveredDirectory`].
pub(crate) fn make_directories(files: &dyn Files, dir: &Path, below: Option<&Path>, data_dir: &Path) -> Result<(), OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Directory { path, source }
    };
    let is_new = files.create_dir(data_dir).map_err(failed(data_dir))?;
    let innermost = below.unwrap_or(dir);
    files.create_dir(innermost).map_err(failed(innermost))?;
    files.sync_dir(data_dir, SyncPoint::NewDirectory).map_err(failed(data_dir))?;
    let above = data_dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match files.sync_dir(above, SyncPoint::NewDirectory) {
        // A directory that somebody else made for us need not be readable above.
        Err(error) if !is_new && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result.map_err(failed(above)),
    }
}

struct Segment {
    first_seq: u64,
    size: u64,
    file: Arc<dyn File>,
    created_at: Timestamp,
}

/// The segments of a directory, as far as every directory of segments is recovered alike.
pub(crate) struct RecoveredSegments {
    segments: Vec<Segment>,
    pub(crate) journal_id: [u8; 16],
    pub(crate) next_seq: u64,
    pub(crate) damage: Vec<Damage>,
}

impl RecoveredSegments {
    /// By first sequence number.
    pub(crate) fn infos(&self) -> BTreeMap<u64, SegmentInfo> {
        self.segments.iter().map(|segment| (segment.first_seq, SegmentInfo { size: segment.size, created_at: segment.created_at })).collect()
    }
}

/// Finds where the segments of `dir` end, and makes sure that what is there is durable.
pub(crate) fn recover_segments(files: &dyn Files, dir: &Path, now: Timestamp) -> Result<RecoveredSegments, OpenError> {
    let failed = |step: &'static str| move |source| OpenError::Recover { step, path: dir.to_owned(), source };
    remove_unfinished(files, dir).map_err(failed("cannot remove unfinished files"))?;
    let (segments, journal_id) = open_segments(files, dir, now)?;
    let newest = read_newest(&segments, journal_id).map_err(failed("cannot read the newest segment"))?;
    if let Some(group) = &newest.last_group {
        rewrite(files, dir, &segments, group).map_err(failed("cannot sync the newest segment"))?;
    }
    files.sync_dir(dir, SyncPoint::RecoveredDirectory).map_err(failed("cannot sync the directory"))?;
    Ok(RecoveredSegments { segments, journal_id, next_seq: newest.next_seq, damage: newest.damage })
}

pub(crate) fn recover(files: &dyn Files, places: &Places, config: &JournalConfig, now: Timestamp) -> Result<Recovered, OpenError> {
    let failed = |step: &'static str| {
        let path = places.journal.clone();
        move |source| OpenError::Recover { step, path, source }
    };
    remove_unfinished(files, &places.cursors).map_err(failed("cannot remove unfinished files"))?;
    let found = recover_segments(files, &places.journal, now)?;
    let positions = read_positions(&found.segments, found.journal_id).map_err(failed("cannot read positions"))?;
    let secret = u64::from_le_bytes(files.random().map_err(failed("cannot get random bytes"))?[..8].try_into().unwrap_or_default());
    let mut duplicates = Duplicates::new(config.duplicates, secret);
    read_ids(&found.segments, found.journal_id, config.duplicates, &mut duplicates).map_err(failed("cannot read event ids"))?;
    let readers = read_cursors(files, places).map_err(failed("cannot read cursors"))?;

    let segments = found.infos();
    let RecoveredSegments { journal_id, mut next_seq, mut damage, .. } = found;
    if let Some(ahead) = readers.values().map(|reader| reader.cursor).max().filter(|cursor| *cursor > next_seq) {
        // Readers got records that are not there any more: their numbers must not be given again.
        damage.push(Damage { segment: segment_name(next_seq), from_offset: 0, to_offset: 0, from_seq: next_seq, to_seq: ahead });
        next_seq = ahead;
    }
    let log = Log { segments, positions: Arc::new(positions), health: Health::Writable, readers, damage, has_unsynced_removal: false };
    Ok(Recovered { journal_id, next_seq, log, duplicates })
}

fn remove_unfinished(files: &dyn Files, dir: &Path) -> io::Result<()> {
    for entry in files.list(dir)?.iter().filter(|entry| entry.name.ends_with(PART)) {
        files.remove(&dir.join(&entry.name))?;
    }
    Ok(())
}

/// All segments in order, and the journal's id (a new one for a new journal).
fn open_segments(files: &dyn Files, dir: &Path, now: Timestamp) -> Result<(Vec<Segment>, [u8; 16]), OpenError> {
    let failed = |path: PathBuf| move |source| OpenError::Recover { step: "cannot read", path, source };
    let mut segments = Vec::new();
    let mut journal_id = None;
    for entry in files.list(dir).map_err(failed(dir.to_owned()))? {
        let Some(first_seq) = parse_segment_name(&entry.name) else { continue };
        let path = dir.join(&entry.name);
        let file = files.open(&path).map_err(failed(path.clone()))?;
        let header = read_range(&*file, 0, segment::HEADER_SIZE).map_err(failed(path.clone()))?;
        let created_at = match SegmentHeader::decode(&header) {
            Ok(header) => {
                journal_id = Some(header.journal_id);
                header.created_at
            }
            Err(HeaderError::Damaged) => {
                // Its blocks are found with the id of the others, or with what is left of its own.
                journal_id = journal_id.or_else(|| Bytes(header.get(16..)?).id());
                // Retention counts from now: too late rather than too early.
                now
            }
            Err(reason) => return Err(OpenError::Format { path, reason: reason.to_string() }),
        };
        segments.push(Segment { first_seq, size: entry.size, file, created_at });
    }
    let journal_id = match journal_id {
        Some(journal_id) => journal_id,
        None => files.random().map_err(failed(dir.to_owned()))?,
    };
    Ok((segments, journal_id))
}

struct Newest {
    next_seq: u64,
    damage: Vec<Damage>,
    last_group: Option<Group>,
}

/// The bytes of the last group in the newest segment.
struct Group {
    start: u64,
    end: u64,
}

fn read_newest(segments: &[Segment], journal_id: [u8; 16]) -> io::Result<Newest> {
    let Some(newest) = segments.last() else { return Ok(Newest { next_seq: 1, damage: Vec::new(), last_group: None }) };
    let mut walk = Walk::new(Arc::clone(&newest.file), journal_id, newest.first_seq, Check::Content);
    let mut found = Newest { next_seq: newest.first_seq, damage: Vec::new(), last_group: None };
    let mut unsure = Vec::new();
    loop {
        match walk.step()? {
            Step::Block(offset, header) => {
                // A good block behind it: so it was damage, not the torn end.
                found.damage.append(&mut unsure);
                found.next_seq = walk.first_seq_of(&header) + u64::from(header.n_records);
                let start = offset.saturating_sub(u64::from(header.back_to_group));
                let start = if start <= segment::HEADER_SIZE as u64 { 0 } else { start };
                found.last_group = (found.next_seq > newest.first_seq).then_some(Group { start, end: offset + header.size() });
            }
            Step::Damaged(range) => unsure.push(Damage {
                segment: segment_name(newest.first_seq),
                from_offset: range.from_offset,
                to_offset: range.to_offset,
                from_seq: range.from_seq,
                to_seq: range.to_seq,
            }),
            Step::End => return Ok(found),
        }
    }
}

/// Writes the last group again, as it is, and syncs it: its writing may have been followed by no sync, or by one
/// that failed and left only the illusion of it in memory.
fn rewrite(files: &dyn Files, dir: &Path, segments: &[Segment], group: &Group) -> io::Result<()> {
    let Some(newest) = segments.last() else { return Ok(()) };
    let file = files.open_write(&dir.join(segment_name(newest.first_seq)))?;
    let bytes = read_range(&*file, group.start, usize::try_from(group.end - group.start).unwrap_or(usize::MAX))?;
    file.write_at(&bytes, group.start)?;
    file.sync_data(SyncPoint::RecoveredGroup)
}

/// The newest position of every source: from the last checkpoint on.
fn read_positions(segments: &[Segment], journal_id: [u8; 16]) -> io::Result<Positions> {
    let mut newer: Vec<Positions> = Vec::new();
    for (index, segment) in segments.iter().enumerate().rev() {
        let mut positions = Positions::new();
        let mut has_checkpoint = false;
        let mut damaged_at = None;
        let mut walk = Walk::new(Arc::clone(&segment.file), journal_id, segment.first_seq, Check::Content);
        walk.set_end(segments.get(index + 1).map(|next| next.first_seq));
        loop {
            match walk.step()? {
                Step::Block(offset, header) if header.is_checkpoint => has_checkpoint |= read_checkpoint(&walk, offset, &header, &mut positions)?,
                Step::Block(offset, header) => {
                    // A block of a torn group may be whole while one before it, with lines of the same source, is
                    // not: its position would step over them. The source reads them again instead.
                    let group = offset.saturating_sub(u64::from(header.back_to_group));
                    let is_torn_group = damaged_at.is_some_and(|damaged_at| group <= damaged_at);
                    if let Some((name, position)) = Meta::decode(walk.meta()).and_then(|meta| meta.position).filter(|_| !is_torn_group) {
                        positions.insert(name.into(), position.to_vec());
                    }
                }
                Step::Damaged(range) => damaged_at = Some(range.from_offset),
                Step::End => break,
            }
        }
        newer.push(positions);
        if has_checkpoint {
            break;
        }
    }
    Ok(newer.into_iter().rev().fold(Positions::new(), |mut all, positions| {
        all.extend(positions);
        all
    }))
}

fn read_checkpoint(walk: &Walk, offset: u64, header: &BlockHeader, positions: &mut Positions) -> io::Result<bool> {
    let block = read_range(&**walk.file(), offset, usize::try_from(header.size()).unwrap_or(usize::MAX))?;
    let Some((_, bytes)) = header.is_whole(&block).then(|| header.records(&block)).flatten() else { return Ok(false) };
    let mut rest = Bytes(&bytes);
    while let (Some(name), Some(position)) = (rest.short_text(), rest.long_bytes()) {
        positions.insert(name.into(), position.to_vec());
    }
    Ok(true)
}

/// The ids of one block.
struct Ids {
    offset: u64,
    header: BlockHeader,
}

impl Ids {
    fn group(&self) -> u64 {
        self.offset.saturating_sub(u64::from(self.header.back_to_group))
    }

    fn is_whole(&self, file: &dyn File) -> io::Result<bool> {
        let block = read_range(file, self.offset, usize::try_from(self.header.size()).unwrap_or(usize::MAX))?;
        Ok(self.header.is_whole(&block))
    }

    fn read(&self, file: &dyn File, duplicates: &mut Duplicates) -> io::Result<()> {
        let part = read_range(file, self.offset + HEADER_SIZE as u64 + u64::from(self.header.meta_length), self.header.n_ids as usize * 16)?;
        duplicates.restore(ids(&part), self.header.ingested_at);
        Ok(())
    }
}

/// Reads ids as far back as the window goes.
fn read_ids(segments: &[Segment], journal_id: [u8; 16], window: DuplicateWindow, duplicates: &mut Duplicates) -> io::Result<()> {
    let mut n_ids = 0;
    let mut newest = None;
    let mut parts = Vec::new();
    for (index, segment) in segments.iter().enumerate().rev() {
        let end_seq = segments.get(index + 1).map(|next| next.first_seq);
        let of_segment = ids_of(segment, journal_id, end_seq)?;
        n_ids += of_segment.iter().map(|part| part.header.n_ids as usize).sum::<usize>();
        newest = newest.max(of_segment.last().map(|part| part.header.ingested_at));
        let oldest = of_segment.first().map(|part| part.header.ingested_at);
        parts.push((&segment.file, of_segment));
        let is_far = oldest.zip(newest).is_some_and(|(oldest, newest)| is_older(oldest, newest, window.min_age));
        if (is_far && n_ids >= window.min_events) || n_ids >= window.max_events {
            break;
        }
    }
    for (file, of_segment) in parts.into_iter().rev() {
        of_segment.iter().try_for_each(|part| part.read(&**file, duplicates))?;
    }
    Ok(())
}

/// The blocks of a segment whose ids count. Only the last group of a segment can be torn (a restart follows
/// it): a block of it that is not whole was not acknowledged, and its events must not count as stored.
fn ids_of(segment: &Segment, journal_id: [u8; 16], end_seq: Option<u64>) -> io::Result<Vec<Ids>> {
    let mut found = Vec::new();
    let mut walk = Walk::new(Arc::clone(&segment.file), journal_id, segment.first_seq, Check::Header);
    walk.set_end(end_seq);
    loop {
        match walk.step()? {
            Step::Block(offset, header) if header.n_ids > 0 => found.push(Ids { offset, header }),
            Step::End => break,
            _ => {}
        }
    }
    let n_sure = found.last().map_or(0, |last| found.partition_point(|part| part.group() < last.group()));
    let unsure = found.split_off(n_sure);
    for part in unsure {
        if part.is_whole(&*segment.file)? {
            found.push(part);
        }
    }
    Ok(found)
}

fn read_cursors(files: &dyn Files, places: &Places) -> io::Result<BTreeMap<String, ReaderInfo>> {
    let mut readers = BTreeMap::new();
    for entry in files.list(&places.cursors)? {
        let Some(name) = cursor::reader_name(&entry.name) else { continue };
        match Cursor::load(files, &places.cursors.join(&entry.name)) {
            Ok(Some(cursor)) => {
                readers.insert(name, ReaderInfo { cursor: cursor.next_seq, last_ingested_at: None, n_missed: cursor.n_missed });
            }
            Ok(None) => {}
            // It holds nothing back and starts again from the oldest record when it is opened.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => tracing::error!(reader = name, %error, "a reader's cursor is lost"),
            Err(error) => return Err(error),
        }
    }
    Ok(readers)
}
