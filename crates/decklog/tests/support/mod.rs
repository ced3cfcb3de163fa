//! A folder, the binary, a server in it: what the tests of the command line share.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_decklog");
/// Longer than anything healthy takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The recorded attack log, unpacked.
pub(crate) fn attack_log() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/attack/audit.log.zst");
    zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()
}

/// Its lines.
pub(crate) fn attack_lines() -> Vec<String> {
    String::from_utf8(attack_log()).unwrap().lines().map(str::to_owned).collect()
}

/// Lines in an order of their own.
pub(crate) fn sorted<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    lines
}

/// Asks until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::yield_now();
    }
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A temporary folder in which commands run.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// The binary without the variables of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.0.path()).env("TZ", "UTC").env("NO_COLOR", "1").stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("DECKLOG_")) {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let out = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: out.status.code().unwrap_or(-1), stdout: text(out.stdout), stderr: text(out.stderr) }
    }

    /// A data directory with the attack log in it, as it was recorded.
    pub(crate) fn import_attack(&self) -> String {
        self.import("attack")
    }

    /// A data directory with a recorded log in it, as it was recorded.
    pub(crate) fn import(&self, recorded: &str) -> String {
        let data = self.path("data");
        let log = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/data/{recorded}/audit.log.zst"));
        let out = self.run(&["import", log.to_str().unwrap(), "--data-dir", &data, "--cluster", "lab", "--redact", "off"]);
        assert_eq!(out.code, 0, "{}", out.stderr);
        data
    }
}

/// `decklog serve`; killed when dropped.
pub(crate) struct Server<'a> {
    folder: &'a Folder,
    arguments: Vec<String>,
    port: u16,
    child: Child,
}

impl<'a> Server<'a> {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(folder: &'a Folder, arguments: &[&str]) -> Self {
        let server = Self::start_unready(folder, arguments);
        server.wait_ready();
        server
    }

    /// Starts one and waits until it answers searches, ready or not.
    pub(crate) fn start_unready(folder: &'a Folder, arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = Self::spawn(folder, port, &arguments);
        let server = Self { folder, arguments, port, child };
        until("the server to answer", || (server.ask("GET", "/api/v1/fields", None, "")?.0 != 503).then_some(()));
        server
    }

    fn spawn(folder: &Folder, port: u16, arguments: &[String]) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path("serve.log")).unwrap();
        let (data, listen) = (folder.path("served"), format!("127.0.0.1:{port}"));
        folder.command(&["serve", "--data-dir", &data, "--listen", &listen]).args(arguments).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    pub(crate) fn start_again(&mut self) {
        self.child = Self::spawn(self.folder, self.port, &self.arguments);
        self.wait_ready();
    }

    fn wait_ready(&self) {
        until("the server to be ready", || (self.ask("GET", "/readyz", None, "")?.0 == 200).then_some(()));
    }

    /// The body of a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        self.ask("GET", path, None, "").unwrap().1
    }

    /// Posts a body; the status.
    pub(crate) fn post(&self, path: &str, token: Option<&str>, body: &str) -> u16 {
        self.ask("POST", path, token, body).unwrap().0
    }

    /// Status and answer, if anybody is there.
    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{token}Content-Length: {}\r\nConnection: close\r\n\r\n", self.port, body.len());
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn data_dir(&self) -> String {
        self.folder.path("served")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM.
    pub(crate) fn signal(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// SIGTERM; the exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal();
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    pub(crate) fn into_stopped(mut self) -> i32 {
        self.stop()
    }

    /// A tail that is connected: the server has counted it in its marks.
    pub(crate) fn tail(&self, arguments: &[&str]) -> Tail {
        let before = self.n_connected();
        let url = self.url();
        let mut child = self.folder.command(&["tail", "--server", &url]).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        until("the tail to be connected", || (self.n_connected() > before).then_some(()));
        Tail { child, out }
    }

    fn n_connected(&self) -> usize {
        let (_, answer) = self.ask("GET", "/metrics", None, "").unwrap();
        answer
            .lines()
            .filter(|line| line.starts_with("decklog_http_requests_total") && line.contains("/api/v1/tail"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
            .sum()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `decklog tail`; killed when dropped.
pub(crate) struct Tail {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Tail {
    /// The next lines.
    pub(crate) fn lines(&mut self, n_lines: usize) -> Vec<String> {
        let next = |_| {
            let mut line = String::new();
            assert!(self.out.read_line(&mut line).unwrap() > 0, "the tail ended");
            line.trim_end_matches('\n').to_owned()
        };
        (0..n_lines).map(next).collect()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
