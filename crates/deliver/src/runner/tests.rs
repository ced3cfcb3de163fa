//! A runner between a real journal and a sink whose moods the tests decide.

use std::collections::VecDeque;
use std::sync::Mutex;

use decklog_audit::journal::{AppendError, Batch, EventId, Origin, RecordFlags, RecordHead};
use decklog_audit::sink::Delivering;
use decklog_store::{LocalJournal, StartFrom};
use proptest::prelude::*;
use tokio::sync::Notify;

use super::*;

/// Answers as told, then takes everything.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<(), SinkError>>>,
    /// Refuses batches with this word in them.
    poison: Option<&'static str>,
    taken: Mutex<Vec<String>>,
    n_calls: Mutex<usize>,
    called: Notify,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Result<(), SinkError>>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() }
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits until it was asked so often in all.
    async fn called(&self, times: usize) {
        loop {
            let next = self.called.notified();
            if *self.n_calls.lock().unwrap() >= times {
                return;
            }
            next.await;
        }
    }
}

impl Sink for Scripted {
    fn deliver<'a>(&'a self, events: &'a [SinkEvent]) -> Delivering<'a> {
        Box::pin(async move {
            let lines: Vec<String> = events.iter().map(|event| String::from_utf8(event.line.to_vec()).unwrap()).collect();
            let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
            let is_poisoned = lines.iter().any(|line| self.poison.is_some_and(|word| line.contains(word)));
            let answer = if is_poisoned { Err(SinkError::Refused { reason: "never".to_owned() }) } else { answer };
            if answer.is_ok() {
                self.taken.lock().unwrap().extend(lines);
            }
            *self.n_calls.lock().unwrap() += 1;
            self.called.notify_waiters();
            answer
        })
    }
}

#[derive(Default)]
struct Kept(Mutex<Vec<Refused>>);

impl Quarantine for Kept {
    fn put(&self, items: Vec<Refused>) -> Result<(), AppendError> {
        self.0.lock().unwrap().extend(items);
        Ok(())
    }
}

struct Bench {
    journal: Arc<LocalJournal>,
    kept: Arc<Kept>,
    metrics: SinkMetrics,
    status: SinkStatusHandle,
}

impl Bench {
    fn new() -> Self {
        Self {
            journal: Arc::new(LocalJournal::in_memory().unwrap()),
            kept: Arc::default(),
            metrics: SinkMetrics::default(),
            status: SinkStatusHandle::default(),
        }
    }

    async fn append(&self, lines: &[String]) {
        let mut batch = Batch::new(Origin::default(), Timestamp::from_micros(1));
        for line in lines {
            let mut id = [0; 16];
            id[..line.len().min(16)].copy_from_slice(&line.as_bytes()[..line.len().min(16)]);
            let head = RecordHead {
                kind: RecordKind::Event,
                flags: RecordFlags::default(),
                end: 0,
                id: Some(EventId(id)),
                time: Timestamp::from_micros(1),
                former_id: None,
            };
            batch
                .push_with(|bytes| {
                    bytes.extend_from_slice(line.as_bytes());
                    Ok::<_, ()>(head)
                })
                .unwrap();
        }
        batch.push_mark(b"{}");
        self.journal.append(batch).await.unwrap();
    }

    fn runner(&self, sink: &Arc<Scripted>, max_batch_events: usize) -> Runner {
        Runner {
            config: RunnerConfig { max_batch_events, ..RunnerConfig::new("far") },
            journal: Arc::clone(&self.journal) as _,
            quarantine: Arc::clone(&self.kept) as _,
            sink: Arc::clone(sink) as _,
            metrics: self.metrics.clone(),
            now: || Timestamp::from_micros(7),
            chance: || 0,
        }
    }

    /// Runs until `over`, then asks for the end and waits for it.
    async fn run_until(&self, sink: &Arc<Scripted>, max_batch_events: usize, over: impl Future<Output = ()>) {
        let reader = Box::new(self.journal.reader("far", StartFrom::Earliest).unwrap());
        let (stop, mut stopped) = tokio::sync::watch::channel(false);
        let running = self.runner(sink, max_batch_events).run(reader, self.status.clone(), async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        let running = tokio::spawn(running);
        over.await;
        stop.send_replace(true);
        running.await.unwrap();
    }
}

fn later(reason: &str) -> Result<(), SinkError> {
    Err(SinkError::Later { reason: reason.to_owned(), after: None })
}

fn lines(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("line {number:05}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_away_gets_everything_later_and_in_order() {
    let bench = Bench::new();
    bench.append(&lines(0..10)).await;
    let sink = Arc::new(Scripted::answering([later("away"), later("away"), Ok(()), later("away")]));
    bench.run_until(&sink, 4, sink.called(6)).await;
    assert_eq!(sink.taken(), lines(0..10));
    let status = bench.status.get();
    assert_eq!((status.state, status.n_sent, status.n_refused), (SinkState::Ready, 10, 0));
    assert_eq!(status.position, bench.journal.next_seq(), "marks are passed over");
    // A second start has nothing to do.
    bench.append(&lines(10..11)).await;
    let again = Arc::new(Scripted::default());
    bench.run_until(&again, 4, again.called(1)).await;
    assert_eq!(again.taken(), lines(10..11));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_kept_with_the_answer_and_takes_nothing_with_it() {
    let bench = Bench::new();
    bench.append(&lines(0..50)).await;
    let sink = Arc::new(Scripted { poison: Some("00017"), ..Scripted::default() });
    bench.run_until(&sink, 100, async {}).await;
    let expected: Vec<String> = lines(0..50).into_iter().filter(|line| !line.contains("00017")).collect();
    assert_eq!(sink.taken(), expected);
    let kept = bench.kept.0.lock().unwrap();
    assert_eq!(kept.iter().map(|refused| (refused.bytes.as_slice(), refused.detail.as_str())).collect::<Vec<_>>(), [(&b"line 00017"[..], "sink far: never")]);
    assert_eq!(bench.status.get().n_refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_delivers_what_is_there_and_does_not_wait_for_a_sink_that_is_away() {
    let bench = Bench::new();
    bench.append(&lines(0..3)).await;
    let sink = Arc::new(Scripted::default());
    bench.run_until(&sink, 1, async {}).await;
    assert_eq!(sink.taken(), lines(0..3));

    bench.append(&lines(3..6)).await;
    let away = Arc::new(Scripted::answering(std::iter::repeat_n(later("away"), 1_000)));
    bench.run_until(&away, 1, away.called(3)).await;
    assert_eq!(away.taken(), Vec::<String>::new());
    assert!(matches!(bench.status.get().state, SinkState::Backoff { n_failures: 3.., .. }));
    let back = Arc::new(Scripted::default());
    bench.run_until(&back, 1, async {}).await;
    assert_eq!(back.taken(), lines(3..6));
}

proptest! {
    #[test]
    fn pieces_are_everything_in_order_and_within_bounds(sizes in proptest::collection::vec(0_usize..50, 0..60), max_events in 1_usize..10, max_bytes in 1_usize..100) {
        let event = |(seq, size): (usize, &usize)| SinkEvent {
            seq: seq as u64, time: Timestamp::from_micros(0), origin: Arc::default(), line: bytes::Bytes::from(vec![b'x'; *size]),
        };
        let events: Vec<SinkEvent> = sizes.iter().enumerate().map(event).collect();
        let pieces = batches(&events, max_events, max_bytes);
        let seqs: Vec<u64> = pieces.iter().flat_map(|piece| piece.iter().map(|event| event.seq)).collect();
        prop_assert_eq!(seqs, (0..sizes.len() as u64).collect::<Vec<_>>());
        for piece in pieces {
            let n_bytes: usize = piece.iter().map(|event| event.line.len()).sum();
            prop_assert!(!piece.is_empty() && piece.len() <= max_events && (piece.len() == 1 || n_bytes <= max_bytes));
        }
    }
}
