//! Import of audit logs: files, folders, `.gz`, `.zst`, standard input; JSON lines, pretty-printed or
//! concatenated JSON, EventLists, what EKS, GKE and AKS make of events, and the legacy text format, told apart by
//! what is in them ([`formats`]).
//!
//! ```text
//! reading thread: read, unpack, split, convert ─► parsing threads: redact, identify ─► in order again: append
//! ```
//!
//! Reading and parsing run ahead of the disk by a bounded number of chunks; several appends are under way at
//! once, begun in the order of the files. A file that is broken in the middle keeps what was read of it, and the
//! next one goes on. Where events go is behind [`Delivery`].

mod chunk;
mod delivery;
mod inputs;
mod open;
mod summary;
pub mod formats;
mod object;
mod convert;
mod salvage;
mod eks;
mod gke;
mod aks;
mod embedded;
mod packed;
pub(crate) mod legacy;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{mpsc as async_mpsc, oneshot};
use tokio::time::{Instant, sleep};

pub use chunk::Chunk;
pub use delivery::{DeliverError, Delivered, Delivering, Delivery, LocalDelivery, LocalLoad, Post, Poster, RemoteDelivery, RemoteLoad, SOURCE};
pub use formats::{Format, Tally};
pub use inputs::{Input, InputError, find_inputs};
pub use summary::{Ending, FileSummary, Summary};

use crate::split::Splitter;
use formats::Found;
use open::Content;

/// Bytes of a chunk: large enough for compression to pay, small enough to keep many under way.
const CHUNK_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 256 << 10;
/// Appends under way at once.
const MAX_IN_FLIGHT: usize = 4;
/// How long an import asks a busy journal or server again before it gives up.
const BUSY_PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read from the disk, packed.
    pub n_read: u64,
    /// Bytes there are on the disk; `None` with standard input.
    pub n_total: Option<u64>,
    /// Events delivered: stored, duplicates and quarantined.
    pub n_events: u64,
}

enum InOrder<Load> {
    /// A chunk of the file of that index.
    Chunk(usize, oneshot::Receiver<(Chunk, Load)>),
    /// That file is read.
    FileEnd { file: usize, n_bytes: u64, error: Option<String>, skipped: bool, tally: Tally },
}

type Work<Load> = (Chunk, oneshot::Sender<(Chunk, Load)>);

/// Imports `inputs`; values longer than `max_event_bytes` are not read whole. `progress` is called after each
/// delivery. Dropping the future stops it; what was delivered stays.
pub async fn import<D: Delivery>(inputs: Vec<Input>, max_event_bytes: usize, delivery: Arc<D>, mut progress: impl FnMut(Progress)) -> Summary {
    let began = Instant::now();
    let n_read = Arc::new(AtomicU64::new(0));
    let n_total = inputs.iter().map(|input| input.size).sum();
    let mut summary =
        Summary { files: inputs.iter().map(|input| FileSummary { name: input.name.clone(), ..FileSummary::default() }).collect(), ..Summary::default() };
    let mut order = match spawn_threads(inputs, max_event_bytes, &delivery, &n_read) {
        Ok(order) => order,
        Err(error) => {
            summary.failure = Some(format!("cannot start a thread: {error}"));
            return summary;
        }
    };
    let mut n_events = 0;
    let mut in_flight: FuturesOrdered<DeliveringFile> = FuturesOrdered::new();
    let mut open = true;
    while open || !in_flight.is_empty() {
        tokio::select! {
            Some((file, outcome)) = in_flight.next(), if !in_flight.is_empty() => match outcome {
                Ok(delivered) => {
                    let file: &mut FileSummary = &mut summary.files[file];
                    file.delivered.add(delivered);
                    n_events += delivered.stored + delivered.duplicates + delivered.quarantined;
                    progress(Progress { n_read: n_read.load(Ordering::Relaxed), n_total, n_events });
                }
                Err(error) => {
                    summary.failure.get_or_insert(error.to_string());
                    open = false;
                }
            },
            message = order.recv(), if open && in_flight.len() < MAX_IN_FLIGHT => match message {
                None => open = false,
                Some(InOrder::FileEnd { file, n_bytes, error, skipped, tally }) => {
                    let file = &mut summary.files[file];
                    (file.n_bytes, file.error, file.skipped, file.tally) = (n_bytes, error, skipped, tally);
                }
                Some(InOrder::Chunk(file, prepared)) => match prepared.await {
                    Ok((chunk, load)) => {
                        let delivering = deliver(Arc::clone(&delivery), chunk, load);
                        in_flight.push_back(Box::pin(async move { (file, delivering.await) }));
                    }
                    Err(_) => {
                        summary.failure.get_or_insert_with(|| "a parsing thread ended early".to_owned());
                        open = false;
                    }
                },
            },
        }
    }
    summary.elapsed = began.elapsed();
    summary
}

/// Begins to deliver at once, so that the order of calls is the order of chunks; asks again while it is busy.
fn deliver<D: Delivery>(delivery: Arc<D>, chunk: Chunk, load: D::Load) -> impl Future<Output = Result<Delivered, DeliverError>> + Send {
    let mut delivering = delivery.deliver(load);
    async move {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match delivering.await {
                Err(DeliverError::Busy(_)) if began.elapsed() < BUSY_PATIENCE => {}
                outcome => return outcome,
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            delivering = delivery.deliver(delivery.prepare(&chunk));
        }
    }
}

type DeliveringFile = Pin<Box<dyn Future<Output = (usize, Result<Delivered, DeliverError>)> + Send>>;
type Order<Load> = async_mpsc::Receiver<InOrder<Load>>;

fn spawn_threads<D: Delivery>(inputs: Vec<Input>, max_event_bytes: usize, delivery: &Arc<D>, n_read: &Arc<AtomicU64>) -> std::io::Result<Order<D::Load>> {
    let n_parsers = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8);
    // Full queues make the reading thread wait; a dropped one ends it.
    let (order, in_order) = async_mpsc::channel(2 * n_parsers);
    let (work, works) = mpsc::sync_channel::<Work<D::Load>>(n_parsers);
    let works = Arc::new(Mutex::new(works));
    for number in 0..n_parsers {
        let (works, delivery) = (Arc::clone(&works), Arc::clone(delivery));
        std::thread::Builder::new().name(format!("import-parse-{number}")).spawn(move || {
            loop {
                let next = works.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((chunk, done)) = next else { return };
                let load = delivery.prepare(&chunk);
                // Nobody waits any more when the import was stopped.
                let _ = done.send((chunk, load));
            }
        })?;
    }
    let n_read = Arc::clone(n_read);
    std::thread::Builder::new().name("import-read".to_owned()).spawn(move || {
        for (file, input) in inputs.iter().enumerate() {
            let mut reading = Reading { file, max_event_bytes, work: &work, order: &order, n_bytes: 0, tally: Tally::default() };
            let outcome = reading.read(input, &n_read);
            let (error, skipped) = match outcome {
                Ok(Read::Whole) => (None, false),
                Ok(Read::Skipped) => (None, true),
                Ok(Read::Stopped) => return,
                Err(error) => (Some(error.to_string()), false),
            };
            let end = InOrder::FileEnd { file, n_bytes: reading.n_bytes, error, skipped, tally: reading.tally };
            if order.blocking_send(end).is_err() {
                return;
            }
        }
    })?;
    Ok(in_order)
}

enum Read {
    Whole,
    /// No log that is known here, and nobody named it.
    Skipped,
    /// The import was stopped.
    Stopped,
}

struct Reading<'a, Load> {
    file: usize,
    max_event_bytes: usize,
    work: &'a mpsc::SyncSender<Work<Load>>,
    order: &'a async_mpsc::Sender<InOrder<Load>>,
    n_bytes: u64,
    tally: Tally,
}

impl<Load> Reading<'_, Load> {
    fn read(&mut self, input: &Input, n_read: &Arc<AtomicU64>) -> std::io::Result<Read> {
        let mut content = Content::open(input, Arc::clone(n_read))?;
        let mut splitter = Splitter::new(self.max_event_bytes).taking_an_array();
        let mut chunk = Chunk::new(Arc::from(input.name.as_str()));
        let mut buffer = vec![0; READ_BYTES];
        // Its beginning, until that tells what it is; it may come in small pieces.
        let mut beginning = input.found.then(Vec::new);
        let ending = loop {
            let n_bytes = match content.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(n_bytes) => n_bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                // What came before it is kept.
                Err(error) => break Err(error),
            };
            self.n_bytes = content.n_unpacked();
            if let Some(head) = &mut beginning {
                head.extend_from_slice(&buffer[..n_bytes]);
                match looks_like_a_log(head) {
                    Some(false) => return Ok(Read::Skipped),
                    Some(true) => beginning = None,
                    None if head.len() > READ_BYTES => beginning = None,
                    None => {}
                }
            }
            splitter.feed(&buffer[..n_bytes]);
            if !self.drain(&mut splitter, &mut chunk, || content.bears_events()) {
                return Ok(Read::Stopped);
            }
        };
        splitter.end();
        if !self.drain(&mut splitter, &mut chunk, || {}) || (!chunk.is_empty() && !self.send(&mut chunk)) {
            return Ok(Read::Stopped);
        }
        ending.map(|()| Read::Whole)
    }

    /// Takes what is complete and sends full chunks; false when nobody takes them any more.
    fn drain(&mut self, splitter: &mut Splitter, chunk: &mut Chunk, mut bears_events: impl FnMut()) -> bool {
        let file = Arc::clone(&chunk.file);
        let (mut any_event, mut stopped) = (false, false);
        let mut tally = std::mem::take(&mut self.tally);
        while let Some(piece) = splitter.next() {
            formats::take(piece, &file, self.max_event_bytes, &mut |found| {
                tally.note(&found);
                match found {
                    Found::Value { bytes, form, place, .. } => {
                        any_event = true;
                        chunk.push(bytes, form, place);
                    }
                    Found::Skipped(_) => any_event = true,
                    Found::Bad(bad) => chunk.push_bad(bad),
                }
                stopped = stopped || (chunk.size() >= CHUNK_BYTES && !self.send(chunk));
            });
            if stopped {
                return false;
            }
        }
        self.tally = tally;
        if any_event {
            bears_events();
        }
        true
    }

    fn send(&mut self, chunk: &mut Chunk) -> bool {
        let full = std::mem::replace(chunk, Chunk::new(Arc::clone(&chunk.file)));
        let (done, prepared) = oneshot::channel();
        self.order.blocking_send(InOrder::Chunk(self.file, prepared)).is_ok() && self.work.send((full, done)).is_ok()
    }
}

/// Whether text begins as JSON objects do, an array of them, or a line of a log with its time in front; `None` if
/// there is not enough to tell.
fn looks_like_a_log(bytes: &[u8]) -> Option<bool> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bytes = bytes.trim_ascii_start();
    match bytes.first()? {
        b'[' => bytes[1..].trim_ascii_start().first().map(|byte| *byte == b'{'),
        b'{' => Some(true),
        _ => formats::looks_like_log_line(bytes),
    }
}
