//! Rows give back what went in.

use std::sync::Arc;

use decklog_audit::intake::{Form, Intake};
use decklog_audit::journal::{Batch, Origin, RecordBlock};
use decklog_audit::{Event, Timestamp};

use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::file::{Effort, FileWriter, day_of, sorted_days};
use super::log::day_text;
use super::schema::memory_schema;
use super::{Column, RowBuffer, Rows, merge};

/// The events of `lines` as the journal would hold them.
pub(super) fn block(lines: &[&str]) -> RecordBlock {
    let intake = Intake { redactor: None, max_event_bytes: 64 << 20 };
    let origin = Origin { cluster: Arc::from("lab"), source: Arc::from("import"), sender: Arc::from("audit.log") };
    let mut batch = Batch::new(origin, Timestamp::from_micros(1_800_000_000_000_000));
    for line in lines {
        intake.push(line.as_bytes(), Form::Line, &mut batch).unwrap();
    }
    let (heads, bytes) = (batch.heads().to_vec(), batch.bytes().to_vec());
    RecordBlock { origin: Arc::new(batch.origin), ingested_at: batch.ingested_at, first_seq: 7, heads, bytes: bytes.into() }
}

pub(super) fn recorded(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name).join("audit.log.zst");
    String::from_utf8(zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap()
}

#[test]
fn recorded_lines_come_back_byte_for_byte_and_hardly_any_is_kept_raw() {
    for name in ["attack", "benign", "a-all-rr", "b-metadata", "c-gce", "d-docs", "f-crd"] {
        let log = recorded(name);
        let lines: Vec<&str> = log.lines().collect();
        let block = block(&lines);
        let mut buffer = RowBuffer::default();
        block.records().for_each(|record| buffer.push(&record));
        let batch = buffer.take();
        let rows = Rows::new(&batch);
        let (mut n_raw, mut line) = (0, Vec::new());
        for (row, wanted) in lines.iter().enumerate() {
            line.clear();
            rows.write_line(row, &mut line);
            assert_eq!(std::str::from_utf8(&line).unwrap(), *wanted, "{name} {row}");
            n_raw += usize::from(rows.raw(row).is_some());
            assert_eq!(rows.seq(row), 7 + row as u64);
        }
        assert!(n_raw * 1000 <= lines.len(), "{name}: {n_raw} of {} raw", lines.len());
    }
}

#[test]
fn columns_hold_what_the_event_says() {
    let log = recorded("attack");
    let lines: Vec<&str> = log.lines().collect();
    let block = block(&lines);
    let mut buffer = RowBuffer::default();
    block.records().for_each(|record| buffer.push(&record));
    let batch = buffer.take();
    let rows = Rows::new(&batch);
    for (row, line) in lines.iter().enumerate() {
        let mut wanted = Event::decode(line).unwrap();
        assert_eq!(rows.text(Column::Decision, row), wanted.annotation("authorization.k8s.io/decision"));
        wanted.kind = None;
        wanted.api_version = None;
        wanted.annotations = None;
        wanted.user.extra = None;
        if let Some(user) = &mut wanted.impersonated_user {
            user.extra = None;
        }
        if let Some(status) = &mut wanted.response_status {
            status.details = None;
        }
        assert_eq!(rows.event(row), wanted);
    }
}

#[test]
fn odd_lines_come_back_as_they_were() {
    let lines = [
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"Panic","requestURI":"/","verb":"get","user":{},"requestReceivedTimestamp":null,"stageTimestamp":null}"#,
        r#"{"auditID":"a","stage":"ResponseComplete","new":{"field":1.50}}"#,
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a","stage":"ResponseComplete","requestURI":"/<x>","verb":"","user":{"username":""},"impersonatedUser":{},"requestObject":null,"requestReceivedTimestamp":"2026-11-22T09:52:31.123456789Z","stageTimestamp":"2026-11-22T09:52:31.5Z","annotations":{}}"#,
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a","stage":"ResponseComplete","requestURI":"/","verb":"get","user":{"username":"a","extra":{"k":null,"b":["\ud800"]}},"objectRef":{},"responseStatus":{"metadata":{}},"requestObject":{"a":1,"a":1.0e2},"requestReceivedTimestamp":"2026-11-22T09:52:31.123456Z","stageTimestamp":"2026-11-22T09:52:31.500000Z"}"#,
    ];
    let block = block(&lines);
    let mut buffer = RowBuffer::default();
    block.records().for_each(|record| buffer.push(&record));
    let batch = buffer.take();
    let rows = Rows::new(&batch);
    for (row, wanted) in lines.iter().enumerate() {
        let mut line = Vec::new();
        rows.write_line(row, &mut line);
        assert_eq!(std::str::from_utf8(&line).unwrap(), *wanted);
    }
    assert_eq!((buffer.n_rows(), buffer.n_bytes()), (0, 0), "it is empty after it was taken");
}

fn batch_of(lines: &[&str]) -> arrow::array::RecordBatch {
    let mut buffer = RowBuffer::default();
    block(lines).records().for_each(|record| buffer.push(&record));
    buffer.take()
}

fn lines_of(batch: &arrow::array::RecordBatch) -> Vec<String> {
    let rows = Rows::new(batch);
    (0..rows.n_rows())
        .map(|row| {
            let mut line = Vec::new();
            rows.write_line(row, &mut line);
            String::from_utf8(line).unwrap()
        })
        .collect()
}

#[test]
fn rows_of_one_object_lie_together_in_time_order_and_survive_the_file() {
    let log = recorded("attack");
    let lines: Vec<&str> = log.lines().collect();
    let days = sorted_days(&batch_of(&lines)).unwrap();
    assert_eq!(days.iter().map(|(day, _)| day_text(*day)).collect::<Vec<_>>(), ["2026-11-22"]);
    let rows = Rows::new(&days[0].1);
    let key = |row: usize| {
        let words = [Column::Resource, Column::Namespace, Column::Name, Column::Username].map(|column| rows.text(column, row));
        (words, rows.time(Column::Time, row), rows.seq(row))
    };
    assert!((1..rows.n_rows()).all(|row| key(row - 1) < key(row)));

    let mut file = FileWriter::new(Effort::Flush).unwrap();
    file.push(&days[0].1).unwrap();
    let (bytes, metadata) = file.finish().unwrap();
    assert_eq!(metadata.file_metadata().num_rows(), 3431);
    assert!(metadata.file_metadata().key_value_metadata().is_none(), "plain types, no Arrow schema");
    let mut read = lines_of(&read_file(bytes));
    read.sort();
    let mut wanted: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    wanted.sort();
    assert_eq!(read, wanted);
}

fn read_file(bytes: Vec<u8>) -> arrow::array::RecordBatch {
    let options = ArrowReaderOptions::new().with_schema(memory_schema());
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes::Bytes::from(bytes), options).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&memory_schema(), &batches).unwrap()
}

#[test]
fn merged_files_are_as_if_all_rows_had_been_sorted_at_once() {
    let log = recorded("attack");
    let lines: Vec<&str> = log.lines().collect();
    let whole = &sorted_days(&batch_of(&lines)).unwrap()[0].1;
    // Three inputs that are each in order, in batches of odd sizes.
    let inputs: Vec<Box<dyn merge::Rows>> = (0..3)
        .map(|of: usize| {
            let rows: Vec<u32> = (0..whole.num_rows() as u32).filter(|row| (*row as usize * 7 + row.leading_zeros() as usize) % 3 == of).collect();
            let part = arrow::compute::take_record_batch(whole, &arrow::array::UInt32Array::from(rows)).unwrap();
            Box::new(Batches { part, at: 0, step: 97 + of }) as Box<dyn merge::Rows>
        })
        .collect();
    let mut merged = Vec::new();
    merge::merge(inputs, 250, &mut |batch| {
        assert!(batch.num_rows() <= 250);
        merged.push(batch);
        Ok::<(), arrow::error::ArrowError>(())
    })
    .unwrap();
    let merged: Vec<String> = merged.iter().flat_map(lines_of).collect();
    assert_eq!(merged, lines_of(whole));
}

struct Batches {
    part: arrow::array::RecordBatch,
    at: usize,
    step: usize,
}

impl merge::Rows for Batches {
    fn next_batch(&mut self) -> Result<Option<arrow::array::RecordBatch>, arrow::error::ArrowError> {
        let n_rows = self.step.min(self.part.num_rows() - self.at);
        let batch = self.part.slice(self.at, n_rows);
        self.at += n_rows;
        Ok((n_rows > 0).then_some(batch))
    }
}

#[test]
fn a_time_nobody_can_believe_lies_in_the_day_of_receipt() {
    const HOUR: i64 = 3_600_000_000;
    let received = 1_790_000_000_000_000;
    let day = |time| day_of(time, received);
    let today = day(received).0;
    assert_eq!(day(received + 24 * HOUR), (today + 1, false));
    assert_eq!(day(received + 24 * HOUR + 1), (today, true));
    assert_eq!(day(received - 400 * 24 * HOUR), (today - 400, false));
    assert_eq!(day(received - 400 * 24 * HOUR - 1), (today, true));
    assert_eq!(day(i64::MIN / 2), (today, true));
    assert_eq!(day_text(0), "1970-01-01");
}
