//! Handing out what was found in order: lines are read portion by portion.
//!
//! Event times are only roughly in the order of the journal or of the table's files, so neighbours in the answer may lie
//! far apart. Each portion (bounded in lines and bytes) reads a block or row group once and takes the lines it needs;
//! the same one is read again at most once per portion.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::{EventId, Origin, ReadError, Record, RecordBlock};
use decklog_audit::search::{Hit, Order, Stop};
use decklog_store::BlockRead;

use crate::scan::{Place, hit};
use crate::searcher::{Answer, Interrupted, Snapshot};
use crate::table::{Finder, Note};
use crate::workers::gap_words;

/// The most lines of a portion.
const PORTION_LINES: usize = 65_536;
/// The most bytes of a portion's lines; a single line may be longer.
const PORTION_BYTES: u64 = 32 << 20;

/// A match: in a block of the journal or in a file of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Record(Place),
    Row(Note),
}

impl Found {
    fn length(&self) -> u32 {
        match self {
            Self::Record(place) => place.length,
            Self::Row(note) => note.length,
        }
    }
}

/// All matches in the order asked for. Both are sorted by (time, sequence); the table's rows come before the journal's
/// records in sequence.
pub(crate) fn in_order(places: &[Place], notes: &[Note], order: Order) -> Vec<Found> {
    let mut all = Vec::with_capacity(places.len() + notes.len());
    if order == Order::Arrival {
        all.extend(notes.iter().copied().map(Found::Row));
        all.extend(places.iter().copied().map(Found::Record));
        all.sort_unstable_by(|a, b| match (a, b) {
            (Found::Row(a), Found::Row(b)) => a.seq.cmp(&b.seq),
            (Found::Record(a), Found::Record(b)) => (a.block, a.index).cmp(&(b.block, b.index)),
            (Found::Row(_), Found::Record(_)) => Ordering::Less,
            (Found::Record(_), Found::Row(_)) => Ordering::Greater,
        });
        return all;
    }
    let (mut places, mut notes) = (places.iter().peekable(), notes.iter().peekable());
    while let Some(found) = match (places.peek(), notes.peek()) {
        (Some(place), Some(note)) if place.time() < Timestamp::from_micros(note.time) => places.next().map(|place| Found::Record(*place)),
        (_, Some(_)) => notes.next().map(|note| Found::Row(*note)),
        (_, None) => places.next().map(|place| Found::Record(*place)),
    } {
        all.push(found);
    }
    if order == Order::Descending {
        all.reverse();
    }
    all
}

/// Hands out `found` until the answer breaks off.
pub(crate) fn hand_out(
    found: &[Found],
    kept: &[(u32, RecordBlock)],
    table: Option<&Finder<'_>>,
    stop: &Stop,
    snapshot: &mut Snapshot<'_>,
    answer: &mut Answer<'_>,
) -> Result<(), Interrupted> {
    let kept: HashMap<u32, &RecordBlock> = kept.iter().map(|(number, block)| (*number, block)).collect();
    let mut rest = found;
    while !rest.is_empty() && !answer.is_broken_off() {
        let (portion, others) = rest.split_at(portion_length(rest));
        rest = others;
        if stop.is_stopped() {
            return Err(Interrupted::stopped());
        }
        let (mut records, mut rows) = (Vec::new(), Vec::new());
        for (index, found) in portion.iter().enumerate() {
            match found {
                Found::Record(place) => records.push((index, *place)),
                Found::Row(note) => rows.push((index, *note)),
            }
        }
        let mut lines: Vec<Option<Line>> = portion.iter().map(|_| None).collect();
        read_records(&mut records, &kept, snapshot, &mut lines)?;
        if let Some(table) = table.filter(|_| !rows.is_empty()) {
            let missing = table.fetch(&rows, &mut lines)?;
            if missing.vanished && answer.n_returned() == 0 {
                return Err(Interrupted::Vanished);
            }
            snapshot.gaps.extend(missing.gaps);
        }
        for line in lines.into_iter().flatten() {
            if answer.give(line.hit()).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn portion_length(found: &[Found]) -> usize {
    let mut size = 0;
    let fits = |found: &&Found| {
        size += u64::from(found.length());
        size <= PORTION_BYTES
    };
    found.iter().take(PORTION_LINES).take_while(fits).count().max(1)
}

/// A line with what is known of it, apart from its block or file.
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) id: EventId,
    pub(crate) time: Timestamp,
    pub(crate) ingested_at: Timestamp,
    pub(crate) origin: Arc<Origin>,
    pub(crate) bytes: Vec<u8>,
}

impl Line {
    fn of(record: &Record<'_>) -> Self {
        let hit = hit(record);
        Self { seq: hit.seq, id: hit.id, time: hit.time, ingested_at: hit.ingested_at, origin: Arc::clone(record.origin), bytes: record.bytes.to_vec() }
    }

    fn hit(&self) -> Hit<'_> {
        Hit { seq: self.seq, id: self.id, time: self.time, ingested_at: self.ingested_at, origin: &self.origin, line: &self.bytes }
    }
}

/// Puts the lines of records into their places; those of a block that is no longer there stay missing and are noted.
fn read_records(
    places: &mut [(usize, Place)],
    kept: &HashMap<u32, &RecordBlock>,
    snapshot: &mut Snapshot<'_>,
    lines: &mut [Option<Line>],
) -> Result<(), ReadError> {
    places.sort_unstable_by_key(|(_, place)| (place.block, place.index));
    for of_block in places.chunk_by(|(_, one), (_, other)| one.block == other.block) {
        let number = of_block[0].1.block;
        let read;
        let block = match kept.get(&number) {
            Some(block) => *block,
            None => match snapshot.view.read(&snapshot.blocks[number as usize])? {
                BlockRead::Records(records) => {
                    read = records;
                    &read
                }
                BlockRead::Gap(gap) => {
                    snapshot.gaps.push(gap_words(&gap));
                    continue;
                }
            },
        };
        let mut wanted = of_block.iter().peekable();
        for (record, index) in block.records().zip(0u32..) {
            if let Some((position, _)) = wanted.next_if(|(_, place)| place.index == index) {
                lines[*position] = Some(Line::of(&record));
            }
        }
    }
    Ok(())
}
