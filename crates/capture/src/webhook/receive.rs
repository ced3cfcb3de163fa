//! One request: read the body, store what is in it, answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use decklog_audit::Timestamp;
use decklog_audit::access::Identity;
use decklog_audit::journal::{AppendError, Appended, Origin};
use decklog_audit::quarantine::{Quarantine, Refused};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use super::collect::{Collector, Packed, Parts};
use super::inflate::{InflateError, Inflater};
use super::problem::Problem;
use super::{Receiver, Shared};
use crate::metrics::{Rejected, SourceMetrics};
use crate::recorder::now;
use crate::split::KEPT_BYTES;

/// Memory asked for before the first byte of a body of unknown length comes.
const FIRST_SHARE: usize = 256 << 10;

/// The answer to a body that was taken.
#[derive(serde::Serialize)]
struct Taken {
    stored: u64,
    duplicates: u64,
    quarantined: u64,
}

pub(super) async fn receive(State(receiver): State<Receiver>, Path(source): Path<String>, identity: Option<Extension<Identity>>, request: Request) -> Response {
    let Some(Extension(identity)) = identity else {
        return Problem::forbidden("no credential came with the request").into_response();
    };
    let shared = receiver.0;
    let source = match shared.sources.source(&identity, &source) {
        Ok(source) => source,
        Err(error) => return Problem::forbidden(error).into_response(),
    };
    let origin = Origin { cluster: identity.cluster.unwrap_or_else(|| Arc::clone(&shared.config.cluster)), source: Arc::clone(&source), sender: identity.peer };
    let metrics = shared.recorder.metrics.source(&source, &origin.cluster);
    match take_body(&shared, origin, &metrics, request).await {
        Ok((taken, newest)) => {
            shared.statuses.taken(&source, now(), newest);
            Json(taken).into_response()
        }
        Err(problem) => {
            tracing::warn!(source = &*source, reason = %problem, "webhook delivery not taken");
            shared.statuses.refused(&source, now(), problem.to_string());
            problem.into_response()
        }
    }
}

async fn take_body(shared: &Shared, origin: Origin, metrics: &SourceMetrics, request: Request) -> Result<(Taken, Option<Timestamp>), Problem> {
    let (head, body) = request.into_parts();
    let length = content_length(&head.headers);
    check_size(shared, length.unwrap_or(0))?;
    let encoding = head.headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    let mut inflater = Inflater::new(encoding).map_err(Problem::unsupported_encoding)?;
    let mut memory = Memory::default();
    let share = length.map_or(FIRST_SHARE, |length| usize::try_from(length).unwrap_or(usize::MAX).min(shared.config.batch_bytes) * 2);
    let mut sender = Sender { body, began: Instant::now(), last_at: Instant::now(), n_bytes: 0 };
    if let Err(problem) = memory.grow(shared, share, sender.deadline(shared)).await {
        sender.drain().await;
        return Err(problem);
    }
    let mut collector = Box::new(Collector::new(shared.recorder.clone(), origin, now(), shared.config.batch_bytes, inflater.is_packed()));
    let mut packed = Packed::default();
    loop {
        let part = match sender.next(shared).await {
            Ok(Some(part)) => part,
            Ok(None) => break,
            Err(problem) => {
                if problem.1 {
                    metrics.rejected(collector.tally.n_events + collector.tally.n_refused() + 1, Rejected::Slow);
                }
                return Err(problem.0);
            }
        };
        if inflater.is_packed() {
            packed.note(&part, inflater.n_out());
        }
        inflater.give(part);
        loop {
            let bytes = match inflater.next() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(InflateError::Broken(error)) => return Err(keep_broken(shared, *collector, packed, &error, metrics, &mut sender, &mut memory).await),
                Err(error) => return Err(inflate_problem(error)),
            };
            collector = take_bytes(shared, collector, &mut memory, metrics, &bytes, sender.deadline(shared)).await?;
        }
        check_size(shared, inflater.n_out())?;
    }
    let rest = match inflater.finish() {
        Ok(rest) => rest,
        Err(InflateError::Broken(error)) => return Err(keep_broken(shared, *collector, packed, &error, metrics, &mut sender, &mut memory).await),
        Err(error) => return Err(inflate_problem(error)),
    };
    if let Some(bytes) = rest {
        collector = take_bytes(shared, collector, &mut memory, metrics, &bytes, sender.deadline(shared)).await?;
    }
    collector.end();
    metrics.received_bytes(inflater.n_out());
    let parts = collector.into_parts();
    if parts.tally.n_events == 0 && parts.refused.is_empty() && !parts.recognised {
        return Err(Problem::bad_body("the body is empty"));
    }
    store(shared, parts, metrics, sender.deadline(shared)).await
}

/// A body that cannot be unpacked is nothing that a sender would send again: what came of it goes to the
/// quarantine. Events found in it are not taken, since only its end tells whether what was unpacked is right.
async fn keep_broken(
    shared: &Shared,
    collector: Collector,
    mut packed: Packed,
    error: &std::io::Error,
    metrics: &SourceMetrics,
    sender: &mut Sender,
    memory: &mut Memory,
) -> Problem {
    let n_all = collector.tally.n_events + collector.tally.n_refused() + 1;
    let n_unpacked = collector.n_bytes();
    if let Err(problem) = memory.grow(shared, collector.memory_bytes() + KEPT_BYTES, sender.deadline(shared)).await {
        metrics.rejected(n_all, Rejected::Overload);
        return problem;
    }
    while !packed.is_full()
        && let Ok(Some(part)) = sender.next(shared).await
    {
        packed.note(&part, n_unpacked);
        if check_size(shared, packed.size()).is_err() {
            break;
        }
    }
    let refused = collector.into_broken(packed, format!("cannot unpack the body: {error}"));
    let detail = refused.detail.clone();
    let quarantine = Arc::clone(&shared.recorder.quarantine);
    let too_slow = || AppendError::Unwritable { reason: "the disk is too slow".to_owned() };
    match timeout_at(sender.deadline(shared), put(quarantine, vec![refused])).await.unwrap_or_else(|_| Err(too_slow())) {
        Ok(()) => {
            metrics.rejected(n_all, Rejected::Malformed);
            Problem::bad_body(detail)
        }
        Err(error) => append_problem(&error, n_all, metrics),
    }
}

async fn put(quarantine: Arc<dyn Quarantine>, items: Vec<Refused>) -> Result<(), AppendError> {
    let putting = spawn_blocking(move || quarantine.put(items));
    putting.await.map_err(|error| AppendError::Unwritable { reason: error.to_string() })?
}

async fn take_bytes(
    shared: &Shared,
    mut collector: Box<Collector>,
    memory: &mut Memory,
    metrics: &SourceMetrics,
    bytes: &Bytes,
    deadline: Instant,
) -> Result<Box<Collector>, Problem> {
    collector.take(bytes);
    if collector.is_full() {
        let outcome = spawn_blocking(move || {
            let outcome = collector.set_aside();
            (collector, outcome)
        });
        let Ok(outcome) = timeout_at(deadline, outcome).await else {
            return Err(Problem::unavailable("the disk is too slow"));
        };
        let (returned, outcome) = outcome.map_err(Problem::unavailable)?;
        collector = returned;
        outcome.map_err(|error| append_problem(&error, collector.tally.n_events + collector.tally.n_refused(), metrics))?;
    }
    memory.grow(shared, collector.memory_bytes(), deadline).await.inspect_err(|_| {
        metrics.rejected(collector.tally.n_events + collector.tally.n_refused(), Rejected::Overload);
    })?;
    Ok(collector)
}

/// Stores a complete body; when this gives `Ok` everything is durable.
///
/// Events go first: if the quarantine then fails, the sender comes again and its events are duplicates; the
/// other way round, what was refused would lie there once for every attempt.
async fn store(shared: &Shared, parts: Parts, metrics: &SourceMetrics, deadline: Instant) -> Result<(Taken, Option<Timestamp>), Problem> {
    let Parts { batch, staged, refused, tally, recognised } = parts;
    let n_all = tally.n_events + tally.n_refused();
    let journal = Arc::clone(&shared.recorder.journal);
    let quarantine = Arc::clone(&shared.recorder.quarantine);
    let why_refused = refused.first().map(|first| first.detail.clone()).unwrap_or_default();
    let storing = async {
        let appended = match staged {
            None if batch.n_records() == 0 => Appended::default(),
            None => journal.append(batch).await?,
            Some(mut staged) => {
                let committing = spawn_blocking(move || {
                    if batch.n_records() > 0 {
                        staged.push(batch)?;
                    }
                    Ok::<_, AppendError>(staged.commit())
                });
                committing.await.map_err(|error| AppendError::Unwritable { reason: error.to_string() })??.await?
            }
        };
        let kept = if refused.is_empty() { Ok(()) } else { put(quarantine, refused).await };
        Ok::<_, AppendError>((appended, kept))
    };
    let (appended, kept) = match timeout_at(deadline, storing).await {
        Ok(stored) => stored.map_err(|error| append_problem(&error, n_all, metrics))?,
        Err(_) => {
            metrics.rejected(n_all, Rejected::DiskFull);
            return Err(Problem::unavailable("the disk is too slow"));
        }
    };
    metrics.acknowledged(appended, &tally.times, now());
    kept.map_err(|error| append_problem(&error, tally.n_refused(), metrics))?;
    metrics.rejected(tally.n_malformed, Rejected::Malformed);
    metrics.rejected(tally.n_too_large, Rejected::TooLarge);
    if !recognised {
        return Err(Problem::bad_body(why_refused));
    }
    let taken = Taken { stored: appended.n_stored, duplicates: appended.n_duplicates, quarantined: tally.n_refused() };
    Ok((taken, tally.times.into_iter().max()))
}

/// The sending side of a request, watched for progress.
struct Sender {
    body: Body,
    began: Instant,
    /// When the last bytes came.
    last_at: Instant,
    n_bytes: u64,
}

impl Sender {
    /// The next part of the body. The error tells whether the sender was too slow.
    async fn next(&mut self, shared: &Shared) -> Result<Option<Bytes>, (Problem, bool)> {
        let config = &shared.config;
        loop {
            let frame = match timeout(config.idle, self.body.frame()).await {
                Err(_) => return Err((Problem::slow(format!("nothing came for {} s", config.idle.as_secs())), true)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err((Problem::broken_off(error), false)),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(part) = frame.into_data() else { continue };
            self.n_bytes += part.len() as u64;
            self.last_at = Instant::now();
            let elapsed = self.began.elapsed();
            if elapsed > config.idle && self.n_bytes < config.min_bytes_per_second * elapsed.as_secs() {
                return Err((Problem::slow(format!("{} bytes came in {} s", self.n_bytes, elapsed.as_secs())), true));
            }
            return Ok(Some(part));
        }
    }
}

impl Sender {
    /// By when an answer is due if nothing more comes.
    fn deadline(&self, shared: &Shared) -> Instant {
        self.last_at + shared.config.disk_patience
    }

    /// Reads the rest of a body of common size away, so that the sender gets to read the answer instead of seeing
    /// the connection reset.
    async fn drain(&mut self) {
        const MOST: u64 = 16 << 20;
        let draining = async {
            let mut n_bytes = 0;
            while let Some(Ok(frame)) = self.body.frame().await {
                n_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                if n_bytes > MOST {
                    return;
                }
            }
        };
        let _ = timeout(Duration::from_secs(2), draining).await;
    }
}

/// A request's part of the memory set aside for all.
#[derive(Default)]
struct Memory {
    held: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// Waits until `n_bytes` are held.
    async fn grow(&mut self, shared: &Shared, n_bytes: usize, deadline: Instant) -> Result<(), Problem> {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = n_bytes.div_ceil(1024).min(shared.config.memory_bytes / 1024).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let acquiring = Arc::clone(&shared.memory).acquire_many_owned(missing);
        match timeout_at(deadline.min(Instant::now() + shared.config.memory_patience), acquiring).await {
            Ok(Ok(more)) => {
                match &mut self.held {
                    Some(held) => held.merge(more),
                    none => *none = Some(more),
                }
                Ok(())
            }
            _ => Err(Problem::overloaded("the memory for bodies under way is used up")),
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn check_size(shared: &Shared, n_bytes: u64) -> Result<(), Problem> {
    let limit = shared.config.max_body_bytes;
    if n_bytes > limit {
        return Err(Problem::too_large(format!("more than {limit} bytes; send it in parts")));
    }
    Ok(())
}

fn inflate_problem(error: InflateError) -> Problem {
    match error {
        InflateError::Bomb => Problem::too_large(error),
        InflateError::Unknown(_) => Problem::unsupported_encoding(error),
        InflateError::Broken(_) => Problem::bad_body(error),
    }
}

fn append_problem(error: &AppendError, n_events: u64, metrics: &SourceMetrics) -> Problem {
    match error {
        AppendError::Busy { .. } => {
            metrics.rejected(n_events, Rejected::Overload);
            Problem::overloaded(error)
        }
        AppendError::Full { .. } | AppendError::Unwritable { .. } | AppendError::Closed => {
            metrics.rejected(n_events, Rejected::DiskFull);
            Problem::unavailable(error)
        }
    }
}
