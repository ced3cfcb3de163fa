//! Three control-plane nodes forward to one server, while everything that can go wrong on a bad day does: the server is
//! killed and away, forwarders are killed, logs are rotated. Every line is at the server once, under its node's source.
#![allow(clippy::unwrap_used, reason = "a test suite: what fails here fails the test")]

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use decklog_tests::binary::{self, ServeCommand, Server, command, free_port, text};
use decklog_tests::{http, logs, process, short_or_soak, shown, wait};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(120);
/// The nodes, with their tokens' SHA-256 (of `token-of-cp-N`, made by `sha256sum`).
const NODES: [&str; 3] = ["cp-1", "cp-2", "cp-3"];

#[test]
fn three_nodes_lose_nothing_and_double_nothing() {
    let n_rounds: u64 = short_or_soak(4, 40);
    let away = short_or_soak(Duration::from_secs(4), Duration::from_secs(60));
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    write_tokens(&tokens);
    let data_dir = folder.path().join("server");
    let port = free_port();
    let arguments = ["--tokens-file", text(&tokens), "--cluster", "default"];
    let serve = ServeCommand { data_dir: &data_dir, port, arguments: &arguments };
    let done = AtomicBool::new(false);
    let mut random = Random(0x1234_5678_9abc_def0);
    let mut n_kills = [0_u64; 2];

    let nodes: Vec<Node> = NODES.iter().enumerate().map(|(index, name)| Node::new(folder.path(), name, index as u64)).collect();
    let written: Vec<u64> = std::thread::scope(|scope| {
        let mut server = Some(Server::start_on(&serve));
        let mut forwards: Vec<Forward> = nodes.iter().map(|node| node.forward(port)).collect();
        let writers: Vec<_> = nodes.iter().map(|node| scope.spawn(|| node.write_until(&done))).collect();
        for round in 0..n_rounds {
            // The server: killed and back at once, or away for long.
            let goal = total(&nodes) + 2_000;
            wait::until("more lines", PATIENCE, || (total(&nodes) >= goal).then_some(()));
            server.take().unwrap().kill();
            n_kills[0] += 1;
            if round % 2 == 1 {
                wait::outage(away);
            }
            // A forwarder meanwhile: killed, or stopped as asked.
            let index = random.below(3) as usize;
            let forward = forwards.remove(index);
            if random.below(2) == 0 {
                forward.kill();
                n_kills[1] += 1;
            } else {
                forward.stop();
            }
            forwards.insert(index, nodes[index].forward(port));
            server = Some(Server::start_on(&serve));
        }
        done.store(true, Ordering::Relaxed);
        let written: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let server = server.unwrap();
        let expected: u64 = written.iter().sum();
        wait::until("every line to be at the server", PATIENCE, || {
            let extent = get_as_reader(server.port, "/api/v1/extent");
            (extent["events"].as_u64()? >= expected).then_some(())
        });
        for forward in forwards {
            assert!(forward.stop(), "a forward that was asked to stop stops well");
        }
        let sources = get_as_reader(server.port, "/api/v1/sources");
        for name in NODES {
            let source = sources["items"].as_array().unwrap().iter().find(|source| source["name"] == name).unwrap_or_else(|| panic!("{sources}"));
            assert_eq!(source["cluster"], "prod", "the credential says which cluster");
        }
        assert!(server.stop().success());
        written
    });

    let count = |cluster: &str| {
        let answer = binary::succeed(["search", "--data-dir", text(&data_dir), "--cluster", cluster, "--count"]);
        String::from_utf8(answer).unwrap().trim().replace(',', "").parse::<u64>().unwrap()
    };
    assert_eq!((count("prod"), count("default")), (written.iter().sum(), 0));
    let mut times: HashMap<String, u64> = HashMap::new();
    for line in binary::stored_lines(&data_dir) {
        *times.entry(String::from_utf8(line).unwrap()).or_default() += 1;
    }
    for (node, n_lines) in nodes.iter().zip(&written) {
        for number in 0..*n_lines {
            let found = times.remove(&node.event(number)).unwrap_or(0);
            assert_eq!(found, 1, "line {number} of {} is stored {found} times", node.name);
        }
    }
    assert!(times.is_empty(), "{} lines are stored that nobody wrote", times.len());
    let n_rotations: u64 = nodes.iter().map(|node| node.n_rotations.load(Ordering::Relaxed)).sum();
    shown(&format!(
        "3 forwards, {} lines, {} kills of the server ({} long outages of {} s), {} of forwards, {n_rotations} rotations: each line there exactly once",
        written.iter().sum::<u64>(),
        n_kills[0],
        n_rounds / 2,
        away.as_secs(),
        n_kills[1],
    ));
}

#[test]
fn what_the_server_will_not_have_is_told_and_waits() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    write_tokens(&tokens);
    let port = free_port();
    let server = Server::start_on(&ServeCommand { data_dir: &folder.path().join("server"), port, arguments: &["--tokens-file", text(&tokens)] });
    let node = Node::new(folder.path(), "cp-1", 0);
    node.append(&[node.event(0), node.event(1)]);
    // With the wrong token nothing is lost; with the right one in the same file it goes on without a restart.
    std::fs::write(&node.token, "token-of-nobody").unwrap();
    let forward = node.forward(port);
    let readyz = wait::until("the refusal to be told", PATIENCE, || {
        let page = http::get(forward.status_port, "/readyz?verbose").ok()?.text();
        page.contains("[-]server failed").then_some(page)
    });
    assert!(readyz.contains("401"), "{readyz}");
    std::fs::write(&node.token, "token-of-cp-1").unwrap();
    wait::until("the events to be taken", PATIENCE, || (get_as_reader(port, "/api/v1/extent")["events"].as_u64()? == 2).then_some(()));
    assert!(http::get(forward.status_port, "/metrics").unwrap().text().contains("decklog_sink_sent_events_total{sink=\"forward\"} 2"));
    assert!(forward.stop());
    drop(server);
}

#[test]
fn credentials_are_hidden_with_the_servers_key_before_they_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server_data = folder.path().join("server");
    let tokens = folder.path().join("tokens");
    write_tokens(&tokens);
    let server = Server::start(&server_data, &["--tokens-file", text(&tokens)]);
    let key = server_data.join("redaction.key");
    let secret = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/secrets","verb":"create","user":{"username":"alice"},"objectRef":{"resource":"secrets","namespace":"a","name":"s","apiVersion":"v1"},"requestObject":{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"},"data":{"password":"aHVudGVyMi1odW50ZXIy"}},"requestReceivedTimestamp":"2026-11-22T10:00:00.000000Z","stageTimestamp":"2026-11-22T10:00:00.000001Z"}"#;
    let node = Node::new(folder.path(), "cp-1", 0);
    node.append(&[secret.to_owned()]);
    // Nobody there yet: it waits here.
    let nowhere = free_port();
    let forward = node.forward_with(nowhere, &["--redaction-key-file", text(&key)]);
    wait::until("the event to wait", PATIENCE, || {
        let page = http::get(forward.status_port, "/metrics").ok()?.text();
        page.contains("decklog_reader_lag_events{reader=\"forward\"} 1").then_some(())
    });
    assert!(forward.stop());
    assert!(!contains(&node.data_dir, b"aHVudGVyMi1odW50ZXIy"), "a secret's value lies in the data directory");
    let forward = node.forward_with(server.port, &["--redaction-key-file", text(&key)]);
    wait::until("the event to arrive", PATIENCE, || (get_as_reader(server.port, "/api/v1/extent")["events"].as_u64()? == 1).then_some(()));
    assert!(forward.stop());
    // The same event by the webhook, in clear, is the same event: the same key hides it the same way.
    let mut connection = http::Connection::open(server.port, PATIENCE).unwrap();
    let sender = [("Authorization", "Bearer token-of-cp-2")];
    let answer = connection.post_streamed("/ingest/webhook/cp-2", &sender, secret.len() as u64, |out| out.write_all(secret.as_bytes())).unwrap();
    assert_eq!(answer.text().trim(), r#"{"stored":0,"duplicates":1,"quarantined":0}"#);
}

/// A control-plane node: its log, and where its forward keeps what waits.
struct Node {
    name: &'static str,
    index: u64,
    log: PathBuf,
    token: PathBuf,
    data_dir: PathBuf,
    n_written: AtomicU64,
    n_rotations: AtomicU64,
}

impl Node {
    fn new(folder: &Path, name: &'static str, index: u64) -> Self {
        let home = folder.join(name);
        std::fs::create_dir_all(home.join("audit")).unwrap();
        let (log, token) = (home.join("audit/audit.log"), home.join("token"));
        File::create(&log).unwrap();
        std::fs::write(&token, format!("token-of-{name}")).unwrap();
        Self { name, index, log, token, data_dir: home.join("forward"), n_written: AtomicU64::new(0), n_rotations: AtomicU64::new(0) }
    }

    fn event(&self, number: u64) -> String {
        logs::made_event(self.index * 10_000_000_000 + number)
    }

    fn append(&self, lines: &[String]) {
        let mut file = OpenOptions::new().append(true).open(&self.log).unwrap();
        file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    }

    /// Writes until `done`, and rotates as kube-apiserver does: the log is renamed, a new one begun.
    fn write_until(&self, done: &AtomicBool) -> u64 {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            let lines: Vec<String> = (number..number + 10).map(|number| self.event(number)).collect();
            self.append(&lines);
            number += 10;
            self.n_written.store(number, Ordering::Relaxed);
            if number % 1_500 == 0 {
                let stamp = format!("2026-11-22T10-{:02}-{:02}.{:03}", number / 60_000 % 60, number / 1_000 % 60, number % 1_000);
                std::fs::rename(&self.log, self.log.with_file_name(format!("audit-{stamp}.log"))).unwrap();
                File::create(&self.log).unwrap();
                self.n_rotations.fetch_add(1, Ordering::Relaxed);
            }
            wait::outage(Duration::from_millis(4));
        }
        number
    }

    fn forward(&self, port: u16) -> Forward {
        self.forward_with(port, &[])
    }

    fn forward_with(&self, port: u16, more: &[&str]) -> Forward {
        let log = OpenOptions::new().create(true).append(true).open(self.data_dir.with_extension("log")).unwrap();
        let status_port = free_port();
        let (to, status) = (format!("http://127.0.0.1:{port}"), format!("127.0.0.1:{status_port}"));
        let child = command(["forward", "--tail", text(&self.log), "--to", &to, "--source", self.name, "--token-file", text(&self.token)])
            .args(["--data-dir", text(&self.data_dir), "--status-listen", &status])
            .args(more)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Forward { child, status_port }
    }
}

fn total(nodes: &[Node]) -> u64 {
    nodes.iter().map(|node| node.n_written.load(Ordering::Relaxed)).sum()
}

/// A running `decklog forward`; ended when dropped.
struct Forward {
    child: Child,
    status_port: u16,
}

impl Forward {
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end; whether it did so well.
    fn stop(mut self) -> bool {
        process::send(self.child.id(), Signal::TERM);
        wait::until("forward to stop", PATIENCE, || self.child.try_wait().unwrap()).success()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The tokens file: a sender for each node, and a reader.
fn write_tokens(path: &Path) {
    let mut text = String::new();
    for name in NODES {
        text.push_str(&format!("{name} send {} source={name} cluster=prod\n", sha256(&format!("token-of-{name}"))));
    }
    text.push_str(&format!("reader read {}\n", sha256("token-of-reader")));
    std::fs::write(path, text).unwrap();
}

fn sha256(text: &str) -> String {
    let mut child = std::process::Command::new("sha256sum").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()[..64].to_owned()
}

/// The JSON answer to a reader's question.
fn get_as_reader(port: u16, path: &str) -> serde_json::Value {
    let mut connection = http::Connection::open(port, PATIENCE).unwrap();
    let answer = connection.get_with(path, &[("Authorization", "Bearer token-of-reader")]).unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

/// Whether a file below `folder` holds `needle`, in clear or in a zstd block.
fn contains(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return contains(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
            || (0..bytes.len().saturating_sub(4)).filter(|at| bytes[*at..*at + 4] == [0x28, 0xb5, 0x2f, 0xfd]).any(|at| {
                let mut text = Vec::new();
                let _ = zstd::Decoder::new(&bytes[at..]).map(|decoder| std::io::copy(&mut decoder.single_frame(), &mut text));
                text.windows(needle.len()).any(|window| window == needle)
            })
    })
}

/// SplitMix64: the same order of events in every run, as far as the scheduler allows.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}
