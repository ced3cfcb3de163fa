//! Reading the lines of rows that were noted.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use decklog_audit::intake::id_of;
use decklog_audit::journal::Origin;
use decklog_store::table::{COLUMNS, Column, Rows};

use super::files::{Depth, OpenFile, ReadFailure, Selection};
use super::find::{Finder, gap};
use super::looking::{LINE_ROWS, add_row, origin};
use super::notes::Note;
use super::pool;
use crate::handout::Line;

/// What could not be fetched.
#[derive(Default)]
pub(crate) struct Missing {
    pub(crate) gaps: Vec<(u64, String)>,
    pub(crate) vanished: bool,
}

impl Finder<'_> {
    /// Puts the line of each note into its place in `lines`.
    pub(crate) fn fetch(&self, notes: &[(usize, Note)], lines: &mut [Option<Line>]) -> Result<Missing, ReadFailure> {
        let mut sorted = notes.to_vec();
        sorted.sort_unstable_by_key(|(_, note)| (note.spot.file, note.spot.group, note.spot.row));
        let groups: Vec<&[(usize, Note)]> = sorted.chunk_by(|(_, a), (_, b)| (a.spot.file, a.spot.group) == (b.spot.file, b.spot.group)).collect();
        let lines = Mutex::new(lines);
        let read = |_: &mut (), index: usize| {
            let mut fetched = Vec::with_capacity(groups[index].len());
            self.fetch_group(groups[index], &mut fetched)?;
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            for (place, line) in fetched {
                lines[place] = Some(line);
            }
            Ok(())
        };
        let (_, failures) = pool::each(self.n_threads, self.stop(), groups.len(), || (), read)?;
        let mut missing = Missing::default();
        for (index, failure) in failures {
            missing.vanished |= matches!(failure, ReadFailure::Vanished);
            missing.gaps.push(gap(&self.view.files[groups[index][0].1.spot.file as usize], &failure));
        }
        Ok(missing)
    }

    fn fetch_group(&self, notes: &[(usize, Note)], fetched: &mut Vec<(usize, Line)>) -> Result<(), ReadFailure> {
        let spot = notes[0].1.spot;
        let open = self.reader.open(&self.view.store, &self.view.files[spot.file as usize], Depth::Pages)?;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        notes.iter().for_each(|(_, note)| add_row(&mut ranges, note.spot.row as usize));
        let mut wanted = notes.iter();
        let mut last_origin: Arc<Origin> = Arc::default();
        self.read_lines(&open, spot.group as usize, &ranges, &mut |batch| {
            if self.stop().is_stopped() {
                return Err(ReadFailure::Stopped);
            }
            let rows = Rows::new(batch);
            for (row, (place, note)) in (0..batch.num_rows()).zip(wanted.by_ref()) {
                let mut bytes = Vec::with_capacity(note.length as usize);
                rows.write_line(row, &mut bytes);
                let origin = origin(&rows, row);
                if *last_origin != origin {
                    last_origin = Arc::new(origin);
                }
                fetched.push((
                    *place,
                    Line {
                        seq: rows.seq(row),
                        id: id_of(&last_origin.cluster, &bytes),
                        time: rows.time(Column::Time, row).unwrap_or_default(),
                        ingested_at: rows.time(Column::IngestedAt, row).unwrap_or_default(),
                        origin: Arc::clone(&last_origin),
                        bytes,
                    },
                ));
            }
            Ok(())
        })
    }

    /// Reads all columns of some rows. For a few rows, finding their place in each column is most of the work, so threads
    /// share the columns.
    fn read_lines(
        &self,
        open: &OpenFile,
        group: usize,
        ranges: &[Range<usize>],
        each: &mut dyn FnMut(&RecordBatch) -> Result<(), ReadFailure>,
    ) -> Result<(), ReadFailure> {
        let all: Vec<Column> = COLUMNS.iter().map(|info| info.column).collect();
        let read = |columns: &[Column], each: &mut dyn FnMut(&RecordBatch) -> Result<(), ReadFailure>| {
            self.reader.read(open, group, columns, Selection::Ranges(ranges), LINE_ROWS, each)
        };
        if self.n_threads < 2 || ranges.iter().map(Range::len).sum::<usize>() > LINE_ROWS {
            return read(&all, each);
        }
        let whole = |columns: &[Column]| -> Result<Option<RecordBatch>, ReadFailure> {
            let mut batches = Vec::new();
            read(columns, &mut |batch| {
                batches.push(batch.clone());
                Ok(())
            })?;
            Ok(batches.first().map(|first| concat_batches(first.schema_ref(), &batches)).transpose()?)
        };
        // Every other column: dear ones stand beside each other.
        let [some, others] = [0, 1].map(|first| all.iter().copied().skip(first).step_by(2).collect::<Vec<_>>());
        let (some, others) = std::thread::scope(|scope| {
            let some = scope.spawn(|| whole(&some));
            let others = whole(&others);
            (some.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), others)
        });
        match some?.zip(others?) {
            Some((some, others)) => each(&beside(&some, &others)?),
            None => Ok(()),
        }
    }
}

/// The columns of both, row by row. A column both have is taken from the first.
fn beside(some: &RecordBatch, others: &RecordBatch) -> Result<RecordBatch, ReadFailure> {
    let both = [some, others].map(|batch| batch.schema());
    let fields = both.iter().flat_map(|schema| schema.fields().iter().cloned()).collect::<Vec<_>>();
    let columns = some.columns().iter().chain(others.columns()).cloned().collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
