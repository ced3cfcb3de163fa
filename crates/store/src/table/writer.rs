//! From the journal into the table: one of the journal's readers.
//!
//! ```text
//! reader.next ─► RowBuffer ─► (60 s or 64 MiB) sort ─► Parquet, one file a day ─► commit ─► reader.commit
//! ```
//!
//! Nothing is lost and nothing doubled whatever stops it in between: a file without a commit is removed by vacuum, and
//! the commit carries the last sequence number, from which the next start goes on wherever the reader's cursor is.

use std::sync::Arc;
use std::time::Duration;

use decklog_audit::journal::{Next, Reader, RecordKind};

use super::WriteError;
use super::buffer::RowBuffer;
use super::config::TableConfig;
use super::file::{Effort, FileWriter, sorted_days};
use super::log::{Operation, TableChange};
use super::lost::Lost;
use super::shared::Shared;

/// Fills a table from a journal.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) reader: Box<dyn Reader>,
    /// The name under which the table notes how far it is.
    pub(super) journal: String,
    buffer: RowBuffer,
    /// What the journal could not give, to be noted with the next commit.
    lost: Vec<Lost>,
    /// Uptime at which the oldest of what waits came.
    oldest: Option<Duration>,
    /// The sequence number after the last record looked at.
    next_seq: u64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There may be more to do at once.
    Worked,
    /// Everything there is was read; what is not yet written may wait this long.
    Idle(Duration),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, reader: Box<dyn Reader>, journal: String) -> Self {
        let next_seq = reader.position();
        Self { shared, reader, journal, buffer: RowBuffer::default(), lost: Vec::new(), oldest: None, next_seq }
    }

    fn config(&self) -> &TableConfig {
        &self.shared.config
    }

    /// Whether nothing it has read waits to be written.
    pub(super) fn is_flushed(&self) -> bool {
        self.buffer.n_rows() == 0 && self.lost.is_empty()
    }

    /// Reads one block, or writes what is due.
    pub(super) fn step(&mut self) -> Result<Step, WriteError> {
        let now = self.shared.clock.uptime();
        let waited = self.oldest.map(|oldest| now.saturating_sub(oldest));
        if self.buffer.n_bytes() as u64 >= self.config().flush_bytes || waited.is_some_and(|waited| waited >= self.config().flush_every) {
            self.flush()?;
            return Ok(Step::Worked);
        }
        match self.reader.next()? {
            Next::Block(block) => {
                // Before a start the table may have got further than the cursor.
                let done = self.shared.done(&self.journal);
                for record in block.records().filter(|record| record.head.kind == RecordKind::Event && record.seq >= done) {
                    self.buffer.push(&record);
                }
                self.next_seq = block.end_seq();
                if self.buffer.n_rows() > 0 {
                    self.oldest.get_or_insert(now);
                }
                Ok(Step::Worked)
            }
            Next::Gap(gap) => {
                tracing::error!(from_seq = gap.from_seq, to_seq = gap.to_seq, reason = gap.reason, "records the table cannot get");
                self.next_seq = gap.to_seq;
                let from_seq = gap.from_seq.max(self.shared.done(&self.journal));
                if from_seq < gap.to_seq {
                    Lost::push(&mut self.lost, Lost { from_seq, to_seq: gap.to_seq, before: self.shared.now() });
                    self.oldest.get_or_insert(now);
                }
                Ok(Step::Worked)
            }
            Next::End => Ok(Step::Idle(waited.map_or(self.config().flush_every, |waited| self.config().flush_every.saturating_sub(waited)))),
        }
    }

    /// Writes what waits and what still comes, at most one more file a day: the rest is for the next start.
    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        while (self.buffer.n_bytes() as u64) < self.config().flush_bytes && self.step()? == Step::Worked {}
        self.flush()
    }

    /// Writes what waits, if anything, and moves the cursor behind it.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        let batch = self.buffer.take();
        let lost = std::mem::take(&mut self.lost);
        self.oldest = None;
        if batch.num_rows() > 0 || !lost.is_empty() {
            let began = self.shared.clock.uptime();
            let mut adds = Vec::new();
            for (day, rows) in sorted_days(&batch)? {
                let mut file = FileWriter::new(Effort::Flush)?;
                file.push(&rows)?;
                adds.push(self.shared.put_file(file, day, rows.num_rows() as u64, |path, bytes| self.put_patiently(path, &bytes))?);
            }
            let transaction = Some((self.journal.clone(), i64::try_from(self.next_seq - 1).unwrap_or(i64::MAX)));
            let change = TableChange { operation: Operation::Write, adds, removes: Vec::new(), transaction, lost, at: self.shared.now() };
            self.commit_patiently(&change)?;
            self.shared.flushed(batch.num_rows(), self.shared.clock.uptime().saturating_sub(began));
        }
        self.reader.commit(&[])?;
        Ok(())
    }

    fn put_patiently(&self, path: &str, bytes: &bytes::Bytes) -> Result<(), WriteError> {
        self.patiently("a file could not be written", || self.shared.put(path, bytes.clone()))
    }

    fn commit_patiently(&self, change: &TableChange) -> Result<(), WriteError> {
        self.patiently("a commit could not be written", || self.shared.commit(change).map(drop))
    }

    /// Tries again until it works or the table is closed: the rows are safe in the journal, but leave memory only once they
    /// are in the table.
    fn patiently(&self, what: &'static str, mut act: impl FnMut() -> Result<(), WriteError>) -> Result<(), WriteError> {
        let mut pause = Duration::from_millis(200);
        loop {
            match act() {
                Ok(()) => {
                    self.shared.note_failure(None);
                    return Ok(());
                }
                Err(error) if error.is_passing() && !self.shared.stop.is_stopped() => {
                    tracing::warn!(error = %error, retry_seconds = pause.as_secs_f64(), "{what}");
                    self.shared.note_failure(Some(error.to_string()));
                    self.shared.pause(pause);
                    pause = (pause * 2).min(Duration::from_secs(30));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
