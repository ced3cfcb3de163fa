//! A file of the table as the Parquet reader asks for it: ranges of bytes from the store. Merges read with it, and searches.
//!
//! A few rows of all columns are a hundred small ranges, and on a disk that has them not in memory each of them is a
//! wait. So neighbours are read as one, and what then is left is read side by side.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

/// What is read of a file's end at once: most footers are shorter.
const FOOTER_HINT: usize = 256 << 10;

/// Ranges with no more bytes between them are read as one: that is no dearer than a second read.
const GAP: u64 = 32 << 10;
/// Reads of one call that wait for the store side by side.
const READS_AT_ONCE: usize = 4;

/// A file that is read in ranges.
#[derive(Clone, Debug)]
pub struct StoredFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl StoredFile {
    /// The file at `path` of the store, of `size` bytes as the table's log has it.
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, size: u64) -> Self {
        Self { store, path, size }
    }
}

fn failed(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for StoredFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move { self.store.get_range(&self.path, range).await.map_err(failed) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            let together = together(&ranges);
            let shares = together.chunks(together.len().div_ceil(READS_AT_ONCE).max(1));
            let read = shares.map(|share| self.store.get_ranges(&self.path, share));
            let read = try_join_all(read).await.map_err(failed)?.concat();
            ranges.iter().map(|range| cut(&together, &read, range)).collect()
        }
        .boxed()
    }

    fn get_metadata<'a>(&'a mut self, options: Option<&'a ArrowReaderOptions>) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options).with_prefetch_hint(Some(FOOTER_HINT));
            reader.load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}

/// The ranges in order, with neighbours as one.
fn together(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut together: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match together.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
            _ => together.push(range),
        }
    }
    together
}

/// The bytes of `range` out of what was read.
fn cut(together: &[Range<u64>], read: &[Bytes], range: &Range<u64>) -> Result<Bytes> {
    let index = together.partition_point(|one| one.start <= range.start).saturating_sub(1);
    let found = together.get(index).zip(read.get(index)).and_then(|(one, bytes)| {
        let start = usize::try_from(range.start.checked_sub(one.start)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(one.start)?).ok()?;
        (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
    });
    found.ok_or_else(|| ParquetError::EOF(format!("bytes {} to {} could not be read", range.start, range.end)))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_range_comes_as_if_it_were_read_alone(ranges in prop::collection::vec((0u64..300_000, 1u64..40_000), 0..12)) {
            let content: Vec<u8> = (0..340_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(async {
                let (store, path) = (Arc::new(InMemory::new()), Path::from("file"));
                store.put(&path, content.clone().into()).await.unwrap();
                let mut file = StoredFile::new(store, path, content.len() as u64);
                file.get_byte_ranges(ranges.iter().map(|(start, length)| *start..start + length).collect()).await.unwrap()
            });
            prop_assert_eq!(read.len(), ranges.len());
            for ((start, length), bytes) in ranges.iter().zip(read) {
                prop_assert_eq!(&bytes[..], &content[*start as usize..(start + length) as usize]);
            }
        }
    }

    #[test]
    fn neighbours_are_read_as_one() {
        assert_eq!(together(&[100..200, 0..50, 1 << 20..2 << 20]), [0..200, 1 << 20..2 << 20]);
        assert_eq!(together(&[0..50, 10..20]), std::slice::from_ref(&(0..50)));
        assert!(together(&[]).is_empty());
    }
}
