//! The sum of parts: what every durable receiver of audit events must at least do with a batch, nothing overlapped, by
//! the fastest ordinary means.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use decklog_benches::Event;

/// Parses, identifies, compresses, writes and syncs one batch of lines.
pub(crate) fn one_batch(lines: &[u8], file: &mut File) {
    for line in lines.split(|byte| *byte == b'\n') {
        let event: Event<'_> = serde_json::from_slice(line).expect("bench events are events");
        black_box(event);
        black_box(digest(&SHA256, line));
    }
    let compressed = zstd::bulk::compress(lines, 1).expect("memory is enough");
    file.write_all(&compressed).and_then(|()| file.sync_data()).expect("the disk takes it");
}
