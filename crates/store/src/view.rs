//! What a journal holds, for those who only look: searches, in the writing process or another one.
//!
//! A [`JournalView`] takes no lock. It lists blocks from their headers alone ([`BlockRef`]), so that a search
//! decompresses only those whose times, kinds and origin may match. The newest segment may grow and the
//! oldest may go while it looks: [`JournalView::refresh`] reads what is new, and a block that went is a [`Gap`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use decklog_audit::Timestamp;
use decklog_audit::journal::{Gap, Origin, ReadError, RecordBlock};

use crate::damage::Damage;
use crate::files::{Disk, File, Files, read_range};
use crate::format::Bytes;
use crate::format::block::{BlockHeader, HEADER_SIZE, MAX_META, Meta};
use crate::format::segment::{self, SegmentHeader, parse_segment_name, segment_name};
use crate::format::walk::{Check, Step, Walk};
use crate::journal::shared::Shared;

/// A block's place and what is known of it without reading its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// The first record's sequence number.
    pub first_seq: u64,
    /// Number of records.
    pub n_records: u32,
    /// Records that are events.
    pub n_events: u32,
    /// The smallest time of its events; when it came in if it has none.
    pub min_time: Timestamp,
    /// The largest time of its events; when it came in if it has none.
    pub max_time: Timestamp,
    /// When it came in.
    pub ingested_at: Timestamp,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// Size of all its records' bytes, decompressed.
    pub size: u32,
    /// Bytes on disk.
    pub stored_size: u64,
    segment: u64,
    offset: u64,
}

impl BlockRef {
    /// The sequence number after the last record.
    pub fn end_seq(&self) -> u64 {
        self.first_seq + u64::from(self.n_records)
    }

    /// Where it lies: the segment's file name and the offset in it.
    pub fn place(&self) -> (String, u64) {
        (segment_name(self.segment), self.offset)
    }
}

/// What reading a block gives.
#[derive(Clone, Debug)]
pub enum BlockRead {
    /// Its records.
    Records(RecordBlock),
    /// It is damaged, or retention removed it.
    Gap(Gap),
}

/// The blocks of a journal at the time of the last refresh.
pub struct JournalView {
    files: Arc<dyn Files>,
    dir: PathBuf,
    /// Where the journal is open for writing in this process: nothing is shown before it is durable.
    journal: Option<Arc<Shared>>,
    journal_id: Option<[u8; 16]>,
    /// By first sequence number.
    segments: BTreeMap<u64, ViewedSegment>,
    /// The last file read from, for the next block of the same one.
    last_file: Mutex<Option<(u64, Arc<dyn File>)>>,
    origins: Vec<Arc<Origin>>,
}

struct ViewedSegment {
    /// As read last. After a failed sync another file takes the name of one that was seen, with another time.
    header: Vec<u8>,
    blocks: Vec<BlockRef>,
    damage: Vec<Damage>,
    /// Where to go on; none once a next segment came and it was walked to its end.
    walk: Option<Walk>,
}

/// As many origins are recognised to be the same; beyond that they are only equal.
const MAX_KNOWN_ORIGINS: usize = 64;

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    move |source| ReadError::Io { path: path.display().to_string(), source }
}

impl JournalView {
    /// The journal in `data_dir`, which a server may be writing at the same time. What it has written and not
    /// yet synced may be seen too.
    ///
    /// # Errors
    /// When there is none (an I/O error of kind `NotFound`), or it cannot be read.
    pub fn open(data_dir: &Path) -> Result<Self, ReadError> {
        Self::open_with(data_dir, Arc::new(Disk))
    }

    /// The same on other files.
    ///
    /// # Errors
    /// As [`JournalView::open`].
    pub fn open_with(data_dir: &Path, files: Arc<dyn Files>) -> Result<Self, ReadError> {
        Self::new(files, data_dir.join("journal"), None)
    }

    pub(crate) fn of_journal(journal: Arc<Shared>) -> Result<Self, ReadError> {
        Self::new(Arc::clone(&journal.files), journal.dir.clone(), Some(journal))
    }

    pub(crate) fn new(files: Arc<dyn Files>, dir: PathBuf, journal: Option<Arc<Shared>>) -> Result<Self, ReadError> {
        let mut view = Self { files, dir, journal, journal_id: None, segments: BTreeMap::new(), last_file: Mutex::default(), origins: Vec::new() };
        view.refresh()?;
        Ok(view)
    }

    /// What names the journal for ever, in hexadecimal, as `LocalJournal::id`; `None` while it has no segment yet.
    pub fn id(&self) -> Option<String> {
        self.journal_id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// All blocks with records, in order.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = &BlockRef> + '_ {
        self.segments.values().flat_map(|segment| &segment.blocks)
    }

    /// The blocks with records from `seq` on, in order.
    pub fn blocks_from(&self, seq: u64) -> impl DoubleEndedIterator<Item = &BlockRef> + '_ {
        let first_segment = self.segments.range(..=seq).next_back().map_or(0, |(first_seq, _)| *first_seq);
        self.segments.range(first_segment..).flat_map(move |(_, segment)| {
            let start = segment.blocks.partition_point(|block| block.end_seq() <= seq);
            &segment.blocks[start..]
        })
    }

    /// The sequence number after the last record seen.
    pub fn next_seq(&self) -> u64 {
        let last = self.segments.iter().next_back();
        last.map_or(1, |(first_seq, segment)| segment.blocks.last().map_or(*first_seq, BlockRef::end_seq))
    }

    /// The oldest record there is.
    pub fn oldest_seq(&self) -> u64 {
        self.segments.keys().next().copied().unwrap_or(1)
    }

    /// Where headers are damaged or missing. Damage behind a good header shows when the block is read.
    pub fn damage(&self) -> impl Iterator<Item = &Damage> + '_ {
        self.segments.values().flat_map(|segment| &segment.damage)
    }

    /// Sees what is new and what went; reads only that.
    ///
    /// # Errors
    /// When the directory or a segment cannot be read.
    pub fn refresh(&mut self) -> Result<(), ReadError> {
        // The file may be gone, or another one have its name.
        self.close_file();
        // Before listing, so that every segment with a record below it is listed.
        let durable = self.journal.as_ref().map(|journal| journal.next_seq());
        let entries = self.files.list(&self.dir).map_err(io_error(&self.dir))?;
        let present: Vec<(u64, u64)> = entries.iter().filter_map(|entry| Some((parse_segment_name(&entry.name)?, entry.size))).collect();
        self.segments.retain(|first_seq, _| present.iter().any(|(present, _)| present == first_seq));
        for (index, (first_seq, size)) in present.iter().enumerate() {
            let end_seq = present.get(index + 1).map(|(next, _)| *next);
            if self.segments.get(first_seq).is_some_and(|segment| segment.walk.is_none()) {
                continue;
            }
            self.refresh_segment(*first_seq, *size, end_seq, durable)?;
        }
        Ok(())
    }

    fn refresh_segment(&mut self, first_seq: u64, size: u64, end_seq: Option<u64>, durable: Option<u64>) -> Result<(), ReadError> {
        let path = self.dir.join(segment_name(first_seq));
        let file = match self.files.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error(&path)(error)),
        };
        let header = read_range(&*file, 0, segment::HEADER_SIZE).map_err(io_error(&path))?;
        let Some(journal_id) = self.journal_id_of(&header, &path)? else { return Ok(()) };
        let is_same = |segment: &ViewedSegment| segment.header == header && segment.walk.as_ref().is_some_and(|walk| walk.offset() <= size);
        let known = self.segments.remove(&first_seq).filter(is_same);
        let mut segment = known.unwrap_or_else(|| ViewedSegment { header, blocks: Vec::new(), damage: Vec::new(), walk: None });
        let mut walk = match segment.walk.take() {
            Some(walk) => walk.with_file(file),
            None => Walk::new(file, journal_id, first_seq, Check::Header),
        };
        walk.set_end(end_seq);
        // What was written behind a failed sync goes on in the next segment instead.
        segment.blocks.retain(|block| end_seq.is_none_or(|end| block.first_seq < end));
        let n_known = segment.blocks.len();
        while durable.is_none_or(|durable| walk.next_seq() < durable) {
            match walk.step().map_err(io_error(&path))? {
                Step::Block(offset, header) if header.n_records > 0 => {
                    let origin = self.origin(walk.meta());
                    segment.blocks.push(block_ref(&walk, first_seq, offset, &header, origin));
                }
                Step::Block(..) => {}
                Step::Damaged(range) => segment.damage.push(Damage {
                    segment: segment_name(first_seq),
                    from_offset: range.from_offset,
                    to_offset: range.to_offset,
                    from_seq: range.from_seq,
                    to_seq: range.to_seq,
                }),
                Step::End => break,
            }
        }
        if durable.is_none() && end_seq.is_none() {
            self.without_torn_end(&mut segment, &mut walk, n_known).map_err(io_error(&path))?;
        }
        segment.walk = end_seq.is_none_or(|end| walk.next_seq() < end).then_some(walk);
        self.segments.insert(first_seq, segment);
        Ok(())
    }

    /// Forgets blocks at the end that are not whole: a crash tore them, or they are just being written.
    fn without_torn_end(&self, segment: &mut ViewedSegment, walk: &mut Walk, n_known: usize) -> io::Result<()> {
        while segment.blocks.len() > n_known
            && let Some(last) = segment.blocks.last()
        {
            let bytes = read_range(&**walk.file(), last.offset, usize::try_from(last.stored_size).unwrap_or(usize::MAX))?;
            if BlockHeader::of_whole_block(&bytes).is_some_and(|header| header.is_whole(&bytes)) {
                break;
            }
            walk.go_back(last.offset, last.first_seq);
            segment.blocks.pop();
        }
        Ok(())
    }

    /// The journal's id; `None` while the first segment has no header yet.
    fn journal_id_of(&mut self, header: &[u8], path: &Path) -> Result<Option<[u8; 16]>, ReadError> {
        let of_segment = match SegmentHeader::decode(header) {
            Ok(header) => Some(header.journal_id),
            Err(segment::HeaderError::Damaged) => None,
            Err(reason) => return Err(io_error(path)(io::Error::new(io::ErrorKind::InvalidData, reason))),
        };
        let left_over = header.get(16..).and_then(|rest| Bytes(rest).id());
        self.journal_id = self.journal_id.or(of_segment);
        Ok(of_segment.or(self.journal_id).or(left_over))
    }

    fn origin(&mut self, meta: &[u8]) -> Arc<Origin> {
        let Some(meta) = Meta::decode(meta) else { return Arc::default() };
        if let Some(known) = self.origins.iter().rev().find(|known| meta.has_origin(known)) {
            return Arc::clone(known);
        }
        let origin = Arc::new(meta.origin());
        if self.origins.len() == MAX_KNOWN_ORIGINS {
            self.origins.remove(0);
        }
        self.origins.push(Arc::clone(&origin));
        origin
    }

    /// Reads a block's records.
    ///
    /// # Errors
    /// When the system cannot read the file. Damage and removal are no errors but gaps.
    pub fn read(&self, block: &BlockRef) -> Result<BlockRead, ReadError> {
        let path = self.dir.join(segment_name(block.segment));
        let gap = |reason| Ok(BlockRead::Gap(Gap { from_seq: block.first_seq, to_seq: block.end_seq(), reason }));
        let file = match self.open_segment(block.segment, &path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return gap("removed by retention".to_owned()),
            Err(error) => return Err(io_error(&path)(error)),
        };
        let bytes = read_range(&*file, block.offset, usize::try_from(block.stored_size).unwrap_or(usize::MAX)).map_err(io_error(&path))?;
        let Some((heads, bytes)) = records(&bytes, block) else {
            let damage = Damage {
                segment: segment_name(block.segment),
                from_offset: block.offset,
                to_offset: block.offset + block.stored_size,
                from_seq: block.first_seq,
                to_seq: block.end_seq(),
            };
            return gap(damage.to_string());
        };
        Ok(BlockRead::Records(RecordBlock {
            origin: Arc::clone(&block.origin),
            ingested_at: block.ingested_at,
            first_seq: block.first_seq,
            heads,
            bytes: bytes.into(),
        }))
    }

    /// Lets go of the file read last: where retention removed it, its space becomes free.
    pub fn close_file(&self) {
        self.last_file.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What stands in a block's meta where a journal keeps a source's position.
    pub(crate) fn note(&self, block: &BlockRef) -> Result<Option<Vec<u8>>, ReadError> {
        let path = self.dir.join(segment_name(block.segment));
        let file = match self.open_segment(block.segment, &path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path)(error)),
        };
        let front = read_range(&*file, block.offset, HEADER_SIZE + MAX_META).map_err(io_error(&path))?;
        let note = BlockHeader::of_whole_block(&front).and_then(|header| {
            let meta = front.get(HEADER_SIZE..HEADER_SIZE + header.meta_length as usize)?;
            Some(Meta::decode(meta)?.position?.1.to_vec())
        });
        Ok(note)
    }

    fn open_segment(&self, first_seq: u64, path: &Path) -> io::Result<Arc<dyn File>> {
        if let Some((known, file)) = &*self.last_file.lock().unwrap_or_else(PoisonError::into_inner)
            && *known == first_seq
        {
            return Ok(Arc::clone(file));
        }
        let file = self.files.open(path)?;
        *self.last_file.lock().unwrap_or_else(PoisonError::into_inner) = Some((first_seq, Arc::clone(&file)));
        Ok(file)
    }
}

fn block_ref(walk: &Walk, segment: u64, offset: u64, header: &BlockHeader, origin: Arc<Origin>) -> BlockRef {
    BlockRef {
        first_seq: walk.first_seq_of(header),
        n_records: header.n_records,
        n_events: header.n_events,
        min_time: header.min_time,
        max_time: header.max_time,
        ingested_at: header.ingested_at,
        origin,
        size: header.bytes_size,
        stored_size: header.size(),
        segment,
        offset,
    }
}

/// The records of a block, if the bytes are still those the reference was made from.
fn records(bytes: &[u8], block: &BlockRef) -> Option<(Vec<decklog_audit::journal::RecordHead>, Vec<u8>)> {
    let header = BlockHeader::of_whole_block(bytes)?;
    let is_same = header.size() == block.stored_size
        && header.n_records == block.n_records
        && block.segment + header.seq_in_segment == block.first_seq
        && header.ingested_at == block.ingested_at;
    (is_same && header.is_whole(bytes)).then(|| header.records(bytes)).flatten()
}
