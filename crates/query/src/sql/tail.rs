//! The journal's tail as rows: records that are in no file of the table yet.
//!
//! Blocks are decoded when a question comes to them, several small ones together, and what was decoded is kept for the
//! next question as long as [`TailCache`] has room. So the first question after a start reads all of the tail, and those
//! after it only what is new.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use decklog_audit::journal::RecordKind;
use decklog_store::table::RowBuffer;
use decklog_store::{BlockRead, BlockRef, JournalView};

use super::stored::table_schema;

/// Blocks whose first record lies in the same span of this many sequence numbers are decoded together.
const SPAN_RECORDS: u64 = 8192;
/// Bytes of records that are decoded together at most, unless a single block has more.
const SPAN_BYTES: u64 = 8 << 20;
/// Rows handed on at once.
const BATCH_ROWS: usize = 8192;

/// The records of a journal from some sequence number on.
#[derive(Clone)]
pub struct JournalTail {
    view: Arc<JournalView>,
    spans: Arc<[Span]>,
    from_seq: u64,
    cache: Arc<TailCache>,
    gaps: Arc<Mutex<Vec<String>>>,
}

/// Blocks that are decoded together.
#[derive(Debug)]
struct Span {
    blocks: Vec<BlockRef>,
}

impl Span {
    fn key(&self) -> (u64, u64) {
        (self.blocks.first().map_or(0, |block| block.first_seq), self.blocks.last().map_or(0, BlockRef::end_seq))
    }
}

impl JournalTail {
    /// The events of `blocks` with a sequence number from `from_seq` on.
    pub fn new(view: Arc<JournalView>, blocks: &[BlockRef], from_seq: u64, cache: Arc<TailCache>) -> Self {
        let mut spans: Vec<Span> = Vec::new();
        let (mut size, mut number) = (0, None);
        for block in blocks.iter().filter(|block| block.end_seq() > from_seq && block.n_events > 0) {
            size += u64::from(block.size);
            let of_block = Some(block.first_seq / SPAN_RECORDS);
            match spans.last_mut() {
                Some(span) if number == of_block && size <= SPAN_BYTES => span.blocks.push(block.clone()),
                _ => {
                    (size, number) = (u64::from(block.size), of_block);
                    spans.push(Span { blocks: vec![block.clone()] });
                }
            }
        }
        Self { view, spans: spans.into(), from_seq, cache, gaps: Arc::default() }
    }

    /// What could not be read so far, in words.
    pub(super) fn gaps(&self) -> Vec<String> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of the journal's file read last: where retention removed it, its space becomes free.
    pub(super) fn close(&self) {
        self.view.close_file();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The rows as streams that share the work.
    pub(super) fn partitions(&self, n_partitions: usize) -> Vec<Arc<dyn PartitionStream>> {
        let next = Arc::new(AtomicUsize::new(0));
        let n_partitions = n_partitions.min(self.spans.len()).max(1);
        (0..n_partitions)
            .map(|_| Arc::new(TailPartition { tail: self.clone(), next: Arc::clone(&next), schema: table_schema() }) as Arc<dyn PartitionStream>)
            .collect()
    }

    fn rows(&self, span: &Span) -> Result<RecordBatch> {
        if let Some(rows) = self.cache.get(span.key()) {
            return Ok(rows);
        }
        let mut buffer = RowBuffer::default();
        let mut is_whole = true;
        for block in &span.blocks {
            match self.view.read(block).map_err(|error| DataFusionError::External(Box::new(error)))? {
                BlockRead::Records(records) => {
                    let events = records.records().filter(|record| record.head.kind == RecordKind::Event && record.seq >= self.from_seq);
                    events.for_each(|record| buffer.push(&record));
                }
                BlockRead::Gap(gap) => {
                    is_whole = false;
                    let words = format!("events {} to {} are missing: {}", gap.from_seq, gap.to_seq.saturating_sub(1), gap.reason);
                    self.gaps.lock().unwrap_or_else(PoisonError::into_inner).push(words);
                }
            }
        }
        let rows = as_table(&buffer.take())?;
        if is_whole && span.key().0 >= self.from_seq {
            self.cache.put(span.key(), rows.clone());
        }
        Ok(rows)
    }
}

impl fmt::Debug for JournalTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalTail(from {}, {} spans)", self.from_seq, self.spans.len())
    }
}

/// The rows with the types that questions see.
fn as_table(rows: &RecordBatch) -> Result<RecordBatch> {
    let schema = table_schema();
    let columns: std::result::Result<Vec<ArrayRef>, _> =
        rows.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type())).collect();
    Ok(RecordBatch::try_new(schema, columns?)?)
}

#[derive(Debug)]
struct TailPartition {
    tail: JournalTail,
    next: Arc<AtomicUsize>,
    schema: SchemaRef,
}

impl PartitionStream for TailPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (tail, next) = (self.tail.clone(), Arc::clone(&self.next));
        let spans = std::iter::from_fn(move || {
            let span = tail.spans.get(next.fetch_add(1, Ordering::Relaxed))?;
            Some(tail.rows(span))
        });
        let batches = spans.flat_map(|rows| match rows {
            Ok(rows) => slices(&rows).into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures_util::stream::iter(batches)))
    }
}

fn slices(rows: &RecordBatch) -> Vec<RecordBatch> {
    (0..rows.num_rows()).step_by(BATCH_ROWS).map(|start| rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start))).collect()
}

/// Decoded rows of journal blocks, up to a number of bytes; what was not asked for longest goes first.
#[derive(Debug)]
pub struct TailCache {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    rows: HashMap<(u64, u64), (RecordBatch, u64)>,
    n_bytes: usize,
    clock: u64,
}

impl TailCache {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// Lets go of rows whose sequence numbers all lie below `seq`: they are in the table now.
    pub fn forget_below(&self, seq: u64) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).forget(|(_, end_seq)| end_seq <= seq);
    }

    /// Bytes kept.
    pub fn n_bytes(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).n_bytes
    }

    fn get(&self, key: (u64, u64)) -> Option<RecordBatch> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        kept.rows.get_mut(&key).map(|(rows, used)| {
            *used = clock;
            rows.clone()
        })
    }

    fn put(&self, key: (u64, u64), rows: RecordBatch) {
        let size = rows.get_array_memory_size();
        if size > self.limit {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // A span that grew replaces what it was before.
        kept.forget(|(first_seq, _)| first_seq == key.0);
        while kept.n_bytes + size > self.limit {
            let Some(oldest) = kept.rows.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key) else { break };
            kept.forget(|key| key == oldest);
        }
        kept.clock += 1;
        let clock = kept.clock;
        kept.n_bytes += size;
        kept.rows.insert(key, (rows, clock));
    }
}

impl Kept {
    fn forget(&mut self, which: impl Fn((u64, u64)) -> bool) {
        let n_bytes = &mut self.n_bytes;
        self.rows.retain(|key, (rows, _)| {
            let goes = which(*key);
            if goes {
                *n_bytes = n_bytes.saturating_sub(rows.get_array_memory_size());
            }
            !goes
        });
    }
}
