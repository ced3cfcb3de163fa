//! The scan: every block that may hold something is read once, on all cores.
//!
//! [`collect`] notes where the matches are; [`stream`] hands them out at once, in order of arrival.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use decklog_audit::Timestamp;
use decklog_audit::journal::{EventId, Record, RecordBlock};
use decklog_audit::search::{Hit, SearchError};
use decklog_store::BlockRef;

use crate::plan::{Plan, Verdict};
use crate::searcher::{Answer, Snapshot};
use crate::workers::{Workers, gap_words};

/// Decompressed bytes of blocks with matches that are kept for handing out, instead of being read again.
const KEPT_BYTES: u64 = 64 << 20;
/// Decompressed bytes that are scanned before their matches are handed out, when streaming.
const WINDOW_BYTES: u64 = 32 << 20;

/// What a scan counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) n_matched: u64,
    pub(crate) n_scanned: u64,
    pub(crate) n_undecodable: u64,
    pub(crate) extent: Option<(Timestamp, Timestamp)>,
}

impl Tally {
    /// Counts a record and tells whether it matches.
    fn count(&mut self, plan: &Plan<'_>, record: &Record<'_>) -> bool {
        if !plan.wants_place(record) {
            return false;
        }
        self.n_scanned += 1;
        let time = record.head.time;
        self.extent = Some(self.extent.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        match plan.judge(record) {
            Verdict::Match => {
                self.n_matched += 1;
                true
            }
            Verdict::NoMatch => false,
            Verdict::Undecodable => {
                self.n_undecodable += 1;
                false
            }
        }
    }

    /// Takes over what another one counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.n_matched += other.n_matched;
        self.n_scanned += other.n_scanned;
        self.n_undecodable += other.n_undecodable;
        self.extent = match (self.extent, other.extent) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }
}

/// Where a match is. The order of places is that of (time, sequence): blocks are numbered in the journal's
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    seconds: i64,
    nanoseconds: u32,
    /// The block's index in the snapshot.
    pub(crate) block: u32,
    /// The record's index in the block.
    pub(crate) index: u32,
    /// The line's length.
    pub(crate) length: u32,
}

impl Place {
    /// The event's time.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::new(self.seconds, self.nanoseconds).unwrap_or_default()
    }
}

/// The matches of a search.
pub(crate) struct Places {
    /// By (time, sequence).
    pub(crate) places: Vec<Place>,
    /// Blocks that need not be read again.
    pub(crate) kept: Vec<(u32, RecordBlock)>,
    pub(crate) tally: Tally,
}

#[derive(Default)]
struct Collector {
    all: Vec<Place>,
    /// With a limit: the newest so far, the oldest of them on top.
    newest: BinaryHeap<Reverse<Place>>,
    kept: Vec<(u32, RecordBlock)>,
    tally: Tally,
}

impl Collector {
    fn note(&mut self, place: Place, limit: Option<usize>) {
        let Some(limit) = limit else {
            self.all.push(place);
            return;
        };
        if self.newest.len() < limit {
            self.newest.push(Reverse(place));
        } else if let Some(mut oldest) = self.newest.peek_mut()
            && oldest.0 < place
        {
            *oldest = Reverse(place);
        }
    }
}

/// Finds the places of all matches, or of the newest ones.
pub(crate) fn collect(plan: &Plan<'_>, snapshot: &mut Snapshot<'_>, workers: Workers<'_>) -> Result<Places, SearchError> {
    let kept_bytes = AtomicU64::new(0);
    let work = |collector: &mut Collector, number: usize, block: RecordBlock| {
        let before = collector.tally.n_matched;
        for (index, record) in block.records().enumerate() {
            if workers.stop.is_stopped() {
                return;
            }
            if collector.tally.count(plan, &record) {
                let time = record.head.time;
                let place = Place {
                    seconds: time.seconds(),
                    nanoseconds: time.nanoseconds(),
                    block: number as u32,
                    index: index as u32,
                    length: record.bytes.len() as u32,
                };
                collector.note(place, plan.limit());
            }
        }
        let size = block.bytes.len() as u64;
        if collector.tally.n_matched > before && plan.limit() != Some(0) && kept_bytes.fetch_add(size, Ordering::Relaxed) + size <= KEPT_BYTES {
            collector.kept.push((number as u32, block));
        }
    };
    let (collectors, gaps) = workers.run(snapshot.view, &snapshot.blocks, work)?;
    snapshot.gaps.extend(gaps.iter().map(gap_words));
    let mut places = Places { places: Vec::new(), kept: Vec::new(), tally: Tally::default() };
    for collector in collectors {
        places.places.extend(collector.all);
        places.places.extend(collector.newest.into_iter().map(|Reverse(place)| place));
        places.kept.extend(collector.kept);
        places.tally.add(&collector.tally);
    }
    places.places.sort_unstable();
    let surplus = plan.limit().map_or(0, |limit| places.places.len().saturating_sub(limit));
    places.places.drain(..surplus);
    Ok(places)
}

#[derive(Default)]
struct Streamed {
    blocks: Vec<(usize, RecordBlock, Vec<u32>)>,
    tally: Tally,
}

/// Hands out all matches in order of arrival, window by window, until the answer breaks off.
pub(crate) fn stream(plan: &Plan<'_>, snapshot: &mut Snapshot<'_>, workers: Workers<'_>, answer: &mut Answer<'_>) -> Result<Tally, SearchError> {
    let mut tally = Tally::default();
    let mut rest = snapshot.blocks.as_slice();
    while !rest.is_empty() {
        let (window, others) = rest.split_at(window_length(rest));
        rest = others;
        let work = |streamed: &mut Streamed, number: usize, block: RecordBlock| {
            let matches: Vec<u32> = block
                .records()
                .zip(0..)
                .take_while(|_| !workers.stop.is_stopped())
                .filter(|(record, _)| streamed.tally.count(plan, record))
                .map(|(_, index)| index)
                .collect();
            if !matches.is_empty() {
                streamed.blocks.push((number, block, matches));
            }
        };
        let (states, gaps): (Vec<Streamed>, _) = workers.run(snapshot.view, window, work)?;
        snapshot.gaps.extend(gaps.iter().map(gap_words));
        let mut blocks = Vec::new();
        for state in states {
            tally.add(&state.tally);
            blocks.extend(state.blocks);
        }
        blocks.sort_unstable_by_key(|(number, ..)| *number);
        for (_, block, matches) in &blocks {
            if give_records(block, matches, answer).is_break() {
                return Ok(tally);
            }
        }
    }
    Ok(tally)
}

/// How many blocks to scan at once: at least one.
fn window_length(blocks: &[BlockRef]) -> usize {
    let mut size = 0;
    let fits = |block: &&BlockRef| {
        size += u64::from(block.size);
        size <= WINDOW_BYTES
    };
    blocks.iter().take_while(fits).count().max(1)
}

fn give_records(block: &RecordBlock, indexes: &[u32], answer: &mut Answer<'_>) -> ControlFlow<()> {
    let mut wanted = indexes.iter().peekable();
    for (record, index) in block.records().zip(0u32..) {
        if wanted.next_if(|next| **next == index).is_some() {
            answer.give(hit(&record))?;
        }
    }
    ControlFlow::Continue(())
}

pub(crate) fn hit<'a>(record: &Record<'a>) -> Hit<'a> {
    Hit {
        seq: record.seq,
        id: record.head.id.unwrap_or(EventId([0; 16])),
        time: record.head.time,
        ingested_at: record.ingested_at,
        origin: record.origin,
        line: record.bytes,
    }
}
