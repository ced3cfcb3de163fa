//! One round of each contender over the same batches.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use decklog_tests::binary::Server;
use decklog_tests::http::Connection;
use decklog_tests::logs::event_list;
use decklog_tests::process::cpu_seconds;

use crate::parts;

/// What a round, or the median of several, measured.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) events_per_cpu_second: f64,
    /// Half of the batches were acknowledged within this.
    pub(crate) p50_ms: f64,
    /// 99 of 100 were.
    pub(crate) p99_ms: f64,
}

impl Figures {
    fn new(n_events: usize, cpu_seconds: f64, mut latencies_ms: Vec<f64>) -> Self {
        latencies_ms.sort_by(f64::total_cmp);
        let at = |share: f64| latencies_ms[(latencies_ms.len() as f64 * share) as usize];
        Self { events_per_cpu_second: n_events as f64 / cpu_seconds, p50_ms: at(0.5), p99_ms: at(0.99) }
    }

    pub(crate) fn median(rounds: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Self { events_per_cpu_second: median(|round| round.events_per_cpu_second), p50_ms: median(|round| round.p50_ms), p99_ms: median(|round| round.p99_ms) }
    }
}

/// What all contenders are given.
pub(crate) struct Runner<'a> {
    /// Events, one line each.
    pub(crate) batches: &'a [&'a [Vec<u8>]],
    /// A folder on a real disk.
    pub(crate) folder: &'a Path,
    /// A Python that has duckdb.
    pub(crate) python: &'a str,
}

impl Runner<'_> {
    pub(crate) fn parts(&self) -> Figures {
        let folder = self.fresh_folder();
        let mut file = std::fs::File::create(folder.path().join("parts")).expect("the bench folder is writable");
        let bodies: Vec<Vec<u8>> = self.batches.iter().map(|batch| batch.join(&b'\n')).collect();
        let before = cpu_seconds(std::process::id());
        let latencies = bodies.iter().map(|body| milliseconds(|| parts::one_batch(body, &mut file))).collect();
        self.figures(cpu_seconds(std::process::id()) - before, latencies)
    }

    pub(crate) fn decklog(&self) -> Figures {
        let folder = self.fresh_folder();
        let bodies: Vec<Vec<u8>> = self.batches.iter().map(|batch| event_list(batch)).collect();
        let server = Server::start(&folder.path().join("data"), &[]);
        let mut connection = Connection::open(server.port, Duration::from_secs(60)).expect("the server is ready");
        let before = cpu_seconds(server.pid());
        let latencies = bodies
            .iter()
            .map(|body| {
                milliseconds(|| {
                    let answer = connection.post("/ingest/webhook/bench", body).expect("the server answers");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                })
            })
            .collect();
        let figures = self.figures(cpu_seconds(server.pid()) - before, latencies);
        let stored = server.metric("decklog_journal_acknowledged_events_total");
        assert_eq!(stored, self.n_events() as f64, "events stored");
        figures
    }

    pub(crate) fn duckdb(&self) -> Figures {
        let folder = self.fresh_folder();
        for (number, batch) in self.batches.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{number}.json")), batch.join(&b'\n')).expect("the bench folder is writable");
        }
        let script = decklog_tests::root().join("benches/ingest_duckdb.py");
        let ran = Command::new(self.python).arg(script).arg(folder.path()).arg(self.batches.len().to_string()).output().expect("python starts");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let said: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("the script prints JSON");
        let number = |key: &str| said[key].as_f64().unwrap_or_else(|| panic!("no {key} in {said}"));
        assert_eq!(number("events"), self.n_events() as f64, "events stored by DuckDB");
        Figures { events_per_cpu_second: number("events") / number("cpuSeconds"), p50_ms: number("p50"), p99_ms: number("p99") }
    }

    fn n_events(&self) -> usize {
        self.batches.iter().map(|batch| batch.len()).sum()
    }

    fn figures(&self, cpu_seconds: f64, latencies_ms: Vec<f64>) -> Figures {
        Figures::new(self.n_events(), cpu_seconds, latencies_ms)
    }

    fn fresh_folder(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(self.folder).expect("the bench folder is writable")
    }
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e3
}
