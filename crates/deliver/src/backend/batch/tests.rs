//! The queue with a carrier that can be held up.

use std::sync::mpsc;

use decklog_audit::Event;
use decklog_audit::backend::Bodies;

use super::super::mode::{Direct, IgnoreErrors};
use super::super::union::Union;
use super::*;

/// Tells the sizes of the batches it gets; each waits until it is let go.
struct Told {
    batches: mpsc::SyncSender<usize>,
    go: Mutex<mpsc::Receiver<()>>,
    panics: bool,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("told")
    }
}

impl Carrier for Told {
    fn line(&self, event: &Emitted<'_>) -> Line {
        Line::json(event)
    }

    fn carry(&self, lines: Vec<Line>) -> Processing {
        self.batches.send(lines.len()).unwrap();
        let let_go = self.go.lock().unwrap().recv();
        assert!(!(self.panics && let_go.is_ok()), "as asked for");
        Processing::Done(Processed::Failed)
    }
}

struct Bench {
    batch: Batch,
    batches: mpsc::Receiver<usize>,
    go: mpsc::SyncSender<()>,
    errors: PluginErrors,
}

fn bench(config: BatchConfig, panics: bool) -> Bench {
    let ((batches, told), (go, goes)) = (mpsc::sync_channel(100), mpsc::sync_channel(100));
    let errors = PluginErrors::default();
    let carrier = Arc::new(Told { batches, go: Mutex::new(goes), panics });
    Bench { batch: Batch::start(carrier, config, errors.clone()).unwrap(), batches: told, go, errors }
}

fn send(backend: &dyn Backend, n_events: usize) {
    let event = Event::default();
    for _ in 0..n_events {
        let processing = backend.process(&[Emitted::new(&event, Bodies::default())]);
        assert!(matches!(processing, Processing::Done(Processed::Stored)), "nobody waits in mode batch");
    }
}

const LONG: Duration = Duration::from_secs(3600);
const CONFIG: BatchConfig = BatchConfig { buffer_size: 10, max_batch_size: 4, max_batch_wait: LONG, throttle: None };

#[tokio::test]
async fn full_batches_go_at_once_and_the_rest_at_the_end() {
    let bench = bench(CONFIG, false);
    send(&bench.batch, 9);
    assert_eq!(bench.batches.recv_timeout(LONG), Ok(4));
    bench.go.send(()).unwrap();
    assert_eq!(bench.batches.recv_timeout(LONG), Ok(4));
    bench.go.send(()).unwrap();
    bench.go.send(()).unwrap();
    bench.batch.stop().await;
    assert_eq!(bench.batches.try_recv(), Ok(1));
    send(&bench.batch, 3);
    assert_eq!(bench.errors.lost(Plugin::Buffered), 3, "after the end every event is counted");
}

#[tokio::test]
async fn what_finds_the_queue_full_is_dropped_and_counted() {
    let bench = bench(BatchConfig { max_batch_size: 1, ..CONFIG }, false);
    send(&bench.batch, 1);
    assert_eq!(bench.batches.recv_timeout(LONG), Ok(1));
    send(&bench.batch, 14);
    assert_eq!(bench.errors.lost(Plugin::Buffered), 4);
    // Without a throttle what waited goes together.
    bench.go.send(()).unwrap();
    assert_eq!(bench.batches.recv_timeout(LONG), Ok(10));
    drop(bench.go);
}

#[tokio::test]
async fn a_batch_that_is_not_full_goes_after_its_wait() {
    for wait in [Duration::from_millis(5), Duration::ZERO] {
        let bench = bench(BatchConfig { max_batch_wait: wait, ..CONFIG }, false);
        send(&bench.batch, 1);
        assert_eq!(bench.batches.recv_timeout(LONG), Ok(1));
        drop(bench.go);
    }
}

#[tokio::test]
async fn a_delivery_that_panics_is_not_the_last() {
    let bench = bench(CONFIG, true);
    send(&bench.batch, 8);
    for _ in 0..2 {
        assert_eq!(bench.batches.recv_timeout(LONG), Ok(4));
        bench.go.send(()).unwrap();
    }
    bench.batch.stop().await;
}

#[tokio::test]
async fn modes_differ_in_what_a_failure_means() {
    struct Fails;
    impl std::fmt::Display for Fails {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("fails")
        }
    }
    impl Carrier for Fails {
        fn line(&self, event: &Emitted<'_>) -> Line {
            Line::json(event)
        }
        fn carry(&self, _: Vec<Line>) -> Processing {
            Processing::Later(Box::pin(async { Processed::Failed }))
        }
    }
    let direct: Arc<dyn Backend> = Arc::new(Direct(Arc::new(Fails)));
    let ignoring: Arc<dyn Backend> = Arc::new(IgnoreErrors(direct.clone()));
    let event = Event::default();
    for (backend, want) in [
        (direct.clone(), Processed::Failed),
        (ignoring.clone(), Processed::Stored),
        (Arc::new(Union(vec![ignoring.clone(), ignoring.clone()])), Processed::Stored),
        (Arc::new(Union(vec![ignoring, direct])), Processed::Failed),
    ] {
        assert_eq!(backend.process(&[Emitted::new(&event, Bodies::default())]).wait().await, want, "{backend}");
    }
}
