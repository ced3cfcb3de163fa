//! A file's content, unpacked whatever it is packed with.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::inputs::Input;

const BUFFER: usize = 256 << 10;
/// More than this many times its size, without an event in [`BARREN_BYTES`] of it, is a bomb.
const MAX_RATIO: u64 = 100;
const BARREN_BYTES: u64 = 64 << 20;

/// An input that is being read.
pub(super) struct Content {
    reader: Box<dyn Read>,
    n_packed: Arc<AtomicU64>,
    packed: bool,
    n_unpacked: u64,
    n_unpacked_at_event: u64,
}

impl Content {
    /// Opens `input`; bytes read from the disk are added to `n_read` too.
    pub(super) fn open(input: &Input, n_read: Arc<AtomicU64>) -> io::Result<Self> {
        let raw: Box<dyn Read> = match &input.path {
            Some(path) => Box::new(File::open(path)?),
            None => Box::new(io::stdin()),
        };
        Self::unpack(raw, n_read)
    }

    fn unpack(raw: Box<dyn Read>, n_read: Arc<AtomicU64>) -> io::Result<Self> {
        let n_packed = Arc::new(AtomicU64::new(0));
        let counting = Counting { inner: raw, n_file: Arc::clone(&n_packed), n_all: n_read };
        let mut buffered = BufReader::with_capacity(BUFFER, counting);
        let start = first_bytes(&mut buffered)?;
        let (reader, packed): (Box<dyn Read>, bool) = if start.starts_with(&[0x1f, 0x8b]) {
            (Box::new(flate2::bufread::MultiGzDecoder::new(buffered.with_start(start))), true)
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            (Box::new(zstd::stream::read::Decoder::with_buffer(buffered.with_start(start))?), true)
        } else {
            (Box::new(buffered.with_start(start)), false)
        };
        Ok(Self { reader, n_packed, packed, n_unpacked: 0, n_unpacked_at_event: 0 })
    }

    /// Reads on into `buffer`; 0 is the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.reader.read(buffer)?;
        self.n_unpacked += n_bytes as u64;
        let barren = self.n_unpacked - self.n_unpacked_at_event;
        if self.packed && barren > BARREN_BYTES && self.n_unpacked > self.n_packed.load(Ordering::Relaxed) * MAX_RATIO {
            return Err(io::Error::other(format!("it unpacks to more than {MAX_RATIO} times its size and holds no event")));
        }
        Ok(n_bytes)
    }

    /// Says that what was read held an event.
    pub(super) fn bears_events(&mut self) {
        self.n_unpacked_at_event = self.n_unpacked;
    }

    /// Bytes unpacked so far.
    pub(super) fn n_unpacked(&self) -> u64 {
        self.n_unpacked
    }
}

/// Up to four bytes, taken: a pipe may give them one by one.
fn first_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    reader.take(4).read_to_end(&mut start)?;
    Ok(start)
}

trait WithStart: BufRead + Sized {
    fn with_start(self, start: Vec<u8>) -> io::Chain<io::Cursor<Vec<u8>>, Self> {
        io::Cursor::new(start).chain(self)
    }
}

impl<R: BufRead> WithStart for R {}

struct Counting<R> {
    inner: R,
    n_file: Arc<AtomicU64>,
    n_all: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.inner.read(buffer)?;
        self.n_file.fetch_add(n_bytes as u64, Ordering::Relaxed);
        self.n_all.fetch_add(n_bytes as u64, Ordering::Relaxed);
        Ok(n_bytes)
    }
}
