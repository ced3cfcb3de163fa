//! A follower within the process that writes: reads what is durable, keeps its cursor in a file.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{Gap, Next, Origin, ReadError, Reader, RecordBlock};

use super::cursor::{self, Cursor, MAX_STATE};
use super::shared::{ReaderInfo, SegmentInfo, Shared};
use crate::damage::Damage;
use crate::files::{SyncPoint, read_range};
use crate::format::block::{BlockHeader, Meta};
use crate::format::segment::segment_name;
use crate::format::walk::{Check, DamagedRange, Step, Walk};

/// Where a new reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At the oldest record there is.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At this record.
    Seq(u64),
}

/// See [`Reader`].
pub struct LocalReader {
    shared: Arc<Shared>,
    name: String,
    /// The next record to give.
    position: u64,
    state: Vec<u8>,
    n_missed: u64,
    segment: Option<(u64, Walk)>,
    origin: Arc<Origin>,
}

impl ReaderInfo {
    pub(crate) fn lag(&self, next_seq: u64, now: Timestamp) -> Duration {
        let Some(last) = self.last_ingested_at.filter(|_| self.cursor < next_seq) else { return Duration::ZERO };
        Duration::from_micros(u64::try_from(now.micros().saturating_sub(last.micros())).unwrap_or(0))
    }
}

fn io_error(path: PathBuf) -> impl FnOnce(io::Error) -> ReadError {
    move |source| ReadError::Io { path: path.display().to_string(), source }
}

fn cursors(shared: &Shared) -> PathBuf {
    shared.dir.join("cursors")
}

pub(crate) fn forget(shared: &Shared, name: &str) -> Result<(), ReadError> {
    let path = cursor::path(&cursors(shared), name);
    match shared.files.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(path)(error)),
        // Else it could be back after a power cut, and hold its segments for ever.
        _ => shared.files.sync_dir(&cursors(shared), SyncPoint::CursorRename).map_err(io_error(path))?,
    }
    shared.log().readers.remove(name);
    shared.metrics.forget_reader(name);
    Ok(())
}

impl LocalReader {
    pub(crate) fn open(shared: Arc<Shared>, name: &str, start: StartFrom) -> Result<Self, ReadError> {
        let path = cursor::path(&cursors(&shared), name);
        let found = match Cursor::load(&*shared.files, &path) {
            Ok(Some(cursor)) => Some(cursor),
            Ok(None) => None,
            // Read again rather than miss: readers expect records to come twice.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(reader = name, %error, "the reader starts again at the oldest record");
                Some(Cursor { next_seq: oldest_seq(&shared), ..Cursor::default() })
            }
            Err(error) => return Err(io_error(path)(error)),
        };
        let is_new = found.is_none();
        let cursor = found.unwrap_or_else(|| Cursor {
            next_seq: match start {
                StartFrom::Earliest => oldest_seq(&shared),
                StartFrom::Latest => shared.next_seq(),
                StartFrom::Seq(seq) => seq.min(shared.next_seq()),
            },
            ..Cursor::default()
        });
        let Cursor { next_seq, n_missed, state } = cursor;
        let mut reader = Self { shared, name: name.to_owned(), position: next_seq, state, n_missed, segment: None, origin: Arc::default() };
        if is_new {
            let state = std::mem::take(&mut reader.state);
            reader.commit(&state)?;
        }
        reader.publish(None, Some(reader.position));
        Ok(reader)
    }

    /// Tells the others how far it is.
    fn publish(&self, ingested_at: Option<Timestamp>, committed: Option<u64>) {
        let info = {
            let mut log = self.shared.log();
            let info = log.readers.entry(self.name.clone()).or_default();
            info.last_ingested_at = ingested_at.or(info.last_ingested_at);
            info.cursor = committed.unwrap_or(info.cursor);
            info.n_missed = self.n_missed;
            *info
        };
        let next_seq = self.shared.next_seq();
        let lag = info.lag(next_seq, self.shared.clock.now());
        self.shared.metrics.reader_lag(&self.name, next_seq.saturating_sub(info.cursor), lag);
    }

    /// Goes on behind records that are gone.
    fn gap(&mut self, gap: Gap) -> Next {
        self.position = gap.to_seq;
        self.n_missed += gap.to_seq - gap.from_seq;
        self.shared.metrics.missed(&self.name, gap.to_seq - gap.from_seq);
        self.publish(None, None);
        Next::Gap(gap)
    }

    /// The segment the position lies in, or the gap before the first one behind it.
    fn enter_segment(&mut self) -> Result<Option<Next>, ReadError> {
        let bounds = {
            let log = self.shared.log();
            around(&log.segments, self.position)
        };
        let Some(first_seq) = bounds.first_seq else {
            let to_seq = bounds.end_seq.unwrap_or_else(|| self.shared.next_seq());
            let reason = "removed by retention".to_owned();
            return Ok(Some(self.gap(Gap { from_seq: self.position, to_seq, reason })));
        };
        if let Some((current, walk)) = &mut self.segment
            && *current == first_seq
        {
            walk.set_end(bounds.end_seq);
            return Ok(None);
        }
        let path = self.shared.dir.join(segment_name(first_seq));
        let file = match self.shared.files.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let to_seq = bounds.end_seq.unwrap_or_else(|| self.shared.next_seq());
                return Ok(Some(self.gap(Gap { from_seq: self.position, to_seq, reason: format!("{} is missing", path.display()) })));
            }
            Err(error) => return Err(io_error(path)(error)),
        };
        let mut walk = Walk::new(file, self.shared.journal_id, first_seq, Check::Header);
        walk.set_end(bounds.end_seq);
        self.segment = Some((first_seq, walk));
        Ok(None)
    }

    fn read(&mut self, offset: u64, header: &BlockHeader, first_seq: u64) -> Result<Next, ReadError> {
        let Some((segment, walk)) = &self.segment else { return Ok(Next::End) };
        let end_seq = first_seq + u64::from(header.n_records);
        let length = usize::try_from(header.size()).unwrap_or(usize::MAX);
        let bytes = read_range(&**walk.file(), offset, length).map_err(io_error(self.shared.dir.join(segment_name(*segment))))?;
        let records = header.is_whole(&bytes).then(|| header.records(&bytes)).flatten();
        let Some((heads, bytes)) = records else {
            let damage =
                Damage { segment: segment_name(*segment), from_offset: offset, to_offset: offset + header.size(), from_seq: self.position, to_seq: end_seq };
            return Ok(self.gap(Gap::from(&damage)));
        };
        if let Some(meta) = Meta::decode(walk.meta())
            && !meta.has_origin(&self.origin)
        {
            self.origin = Arc::new(meta.origin());
        }
        let block = RecordBlock { origin: Arc::clone(&self.origin), ingested_at: header.ingested_at, first_seq, heads, bytes: bytes.into() };
        let block = from_seq(block, self.position);
        self.position = end_seq;
        self.publish(Some(header.ingested_at), None);
        Ok(Next::Block(block))
    }

    /// The block at the position, if it is still in memory.
    fn recent(&mut self) -> Option<RecordBlock> {
        let block = from_seq(self.shared.recent().get(self.position)?.clone(), self.position);
        self.position = block.end_seq();
        self.publish(Some(block.ingested_at), None);
        Some(block)
    }

    /// A damaged range, as far as it was not passed.
    fn damaged(&mut self, range: &DamagedRange) -> Option<Next> {
        let segment = self.segment.as_ref().map(|(first_seq, _)| segment_name(*first_seq)).unwrap_or_default();
        let to_seq = range.to_seq.min(self.shared.next_seq());
        let from_seq = range.from_seq.max(self.position);
        if to_seq <= from_seq {
            return None;
        }
        let damage = Damage { segment, from_offset: range.from_offset, to_offset: range.to_offset, from_seq, to_seq };
        Some(self.gap(Gap::from(&damage)))
    }
}

impl Reader for LocalReader {
    fn next(&mut self) -> Result<Next, ReadError> {
        loop {
            let next_seq = self.shared.next_seq();
            if self.position >= next_seq {
                return Ok(Next::End);
            }
            if let Some(block) = self.recent() {
                return Ok(Next::Block(block));
            }
            if let Some(gap) = self.enter_segment()? {
                return Ok(gap);
            }
            let Some((segment, walk)) = &mut self.segment else { return Ok(Next::End) };
            let path = self.shared.dir.join(segment_name(*segment));
            match walk.step().map_err(io_error(path))? {
                Step::Block(offset, header) => {
                    let first_seq = walk.first_seq_of(&header);
                    if first_seq + u64::from(header.n_records) > self.position {
                        return self.read(offset, &header, first_seq);
                    }
                }
                Step::Damaged(range) => {
                    if let Some(gap) = self.damaged(&range) {
                        return Ok(gap);
                    }
                }
                Step::End => {
                    // Durable records that are not found: the newest block is damaged.
                    let range = DamagedRange { from_offset: walk.offset(), to_offset: walk.offset(), from_seq: walk.next_seq(), to_seq: next_seq };
                    return Ok(self.damaged(&range).unwrap_or(Next::End));
                }
            }
        }
    }

    fn commit(&mut self, state: &[u8]) -> Result<(), ReadError> {
        if state.len() > MAX_STATE {
            return Err(ReadError::StateTooLarge { reader: self.name.clone(), size: state.len() });
        }
        let cursor = Cursor { next_seq: self.position, n_missed: self.n_missed, state: state.to_vec() };
        let dir = cursors(&self.shared);
        cursor.save(&*self.shared.files, &dir, &self.name, &self.shared.journal_id).map_err(io_error(cursor::path(&dir, &self.name)))?;
        self.state = cursor.state;
        self.publish(None, Some(self.position));
        Ok(())
    }

    fn state(&self) -> &[u8] {
        &self.state
    }

    fn position(&self) -> u64 {
        self.position
    }
}

fn oldest_seq(shared: &Shared) -> u64 {
    let oldest = shared.log().segments.keys().next().copied();
    oldest.unwrap_or_else(|| shared.next_seq())
}

struct Bounds {
    first_seq: Option<u64>,
    end_seq: Option<u64>,
}

/// The segment in which `seq` lies, and where the next one begins.
fn around(segments: &BTreeMap<u64, SegmentInfo>, seq: u64) -> Bounds {
    let first_seq = segments.range(..=seq).next_back().map(|(first_seq, _)| *first_seq);
    let end_seq = segments.range(seq.saturating_add(1)..).next().map(|(first_seq, _)| *first_seq);
    Bounds { first_seq, end_seq }
}

/// The block without the records before `seq`.
pub(crate) fn from_seq(mut block: RecordBlock, seq: u64) -> RecordBlock {
    let n_before = usize::try_from(seq.saturating_sub(block.first_seq)).unwrap_or(usize::MAX).min(block.heads.len());
    if n_before > 0 {
        let start = block.heads[n_before - 1].end;
        block.heads.drain(..n_before);
        block.heads.iter_mut().for_each(|head| head.end -= start);
        block.bytes = block.bytes.slice(start..);
        block.first_seq += n_before as u64;
    }
    block
}
