//! Handing out matches by (time, sequence): their lines are read again, portion by portion.
//!
//! Event times are only roughly in the journal's order, so neighbours in the answer may lie in blocks far
//! apart. Each portion (bounded in lines and bytes) reads a block once and copies the lines it needs; the
//! same block is read again at most once per portion.

use std::collections::HashMap;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::journal::{EventId, Origin, ReadError, Record, RecordBlock};
use decklog_audit::search::{Hit, Order, SearchError, Stop};
use decklog_store::BlockRead;

use crate::scan::{Place, Places, hit};
use crate::searcher::{Answer, Snapshot};
use crate::workers::gap_words;

/// The most lines of a portion.
const PORTION_LINES: usize = 65_536;
/// The most bytes of a portion's lines; a single line may be longer.
const PORTION_BYTES: u64 = 32 << 20;

/// Hands out `places` in `order`, until the answer breaks off.
pub(crate) fn hand_out(places: &mut Places, order: Order, stop: &Stop, snapshot: &mut Snapshot<'_>, answer: &mut Answer<'_>) -> Result<(), SearchError> {
    match order {
        Order::Ascending => {}
        Order::Descending => places.places.reverse(),
        Order::Arrival => places.places.sort_unstable_by_key(|place| (place.block, place.index)),
    }
    let kept: HashMap<u32, &RecordBlock> = places.kept.iter().map(|(number, block)| (*number, block)).collect();
    let mut rest = places.places.as_slice();
    while !rest.is_empty() {
        let (portion, others) = rest.split_at(portion_length(rest));
        rest = others;
        if stop.is_stopped() {
            return Err(SearchError::Stopped);
        }
        let lines = read_portion(portion, &kept, snapshot)?;
        for line in lines.into_iter().flatten() {
            if answer.give(line.hit()).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn portion_length(places: &[Place]) -> usize {
    let mut size = 0;
    let fits = |place: &&Place| {
        size += u64::from(place.length);
        size <= PORTION_BYTES
    };
    places.iter().take(PORTION_LINES).take_while(fits).count().max(1)
}

/// A line with what is known of it, apart from its block.
struct Line {
    seq: u64,
    id: EventId,
    time: Timestamp,
    ingested_at: Timestamp,
    origin: Arc<Origin>,
    bytes: Vec<u8>,
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

/// The lines of a portion, in its order; those of a block that is no longer there are missing and noted.
fn read_portion(portion: &[Place], kept: &HashMap<u32, &RecordBlock>, snapshot: &mut Snapshot<'_>) -> Result<Vec<Option<Line>>, ReadError> {
    let mut lines: Vec<Option<Line>> = portion.iter().map(|_| None).collect();
    let mut by_block: Vec<(usize, Place)> = portion.iter().copied().enumerate().collect();
    by_block.sort_unstable_by_key(|(_, place)| (place.block, place.index));
    for of_block in by_block.chunk_by(|(_, one), (_, other)| one.block == other.block) {
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
    Ok(lines)
}
