//! `bin/decklog`: commands that end, and servers that run until they are told to stop.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::{http, process, wait};

/// Longer than any start or stop of a healthy server.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test: `$DECKLOG_BIN`, else `bin/decklog`.
pub fn program() -> PathBuf {
    let path = std::env::var_os("DECKLOG_BIN").map_or_else(|| crate::root().join("bin/decklog"), PathBuf::from);
    assert!(path.is_file(), "no {}: run `make build`", path.display());
    path
}

/// A command of the binary, without the variables and config files of whoever runs the tests.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env("TZ", "UTC").env("NO_COLOR", "1").stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DECKLOG_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    command(arguments).output().expect("bin/decklog starts")
}

/// Runs a command that must succeed, and gives its standard output.
pub fn succeed<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Vec<u8> {
    let mut command = command(arguments);
    let output = command.output().expect("bin/decklog starts");
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Every stored line, as `search` gives it: oldest first, without newlines.
pub fn stored_lines(data_dir: &Path) -> Vec<Vec<u8>> {
    split_lines(&succeed(["search", "--data-dir", text(data_dir), "-o", "json", "--limit", "0"]))
}

/// The lines of a text that ends with a newline.
pub fn split_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    assert_eq!(lines.pop().as_deref(), Some(&b""[..]), "the last line has no newline");
    lines
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test folders have plain names")
}

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of `count` adjacent ports that nobody listens on now.
pub fn free_ports(count: u16) -> u16 {
    loop {
        let first = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("loopback has ports").port();
        let others = (1..count).map_while(|offset| TcpListener::bind(("127.0.0.1", first.checked_add(offset)?)).ok()).count();
        if others == usize::from(count) - 1 {
            return first;
        }
    }
}

/// A running `decklog serve`; ended when dropped.
pub struct Server {
    child: Child,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// What it says on standard error, over all starts.
    pub log: PathBuf,
}

/// How a server is started.
pub struct ServeCommand<'a> {
    /// Its data directory, beside which its log is written.
    pub data_dir: &'a Path,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// More arguments.
    pub arguments: &'a [&'a str],
}

impl Server {
    /// Starts a server on a free port and waits until it is ready.
    pub fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::start_on(&ServeCommand { data_dir, port: free_port(), arguments })
    }

    /// Starts a server and waits until it is ready.
    pub fn start_on(serve: &ServeCommand<'_>) -> Self {
        let mut server = Self::spawn(serve);
        server.wait_ready();
        server
    }

    /// Starts a server and waits for nothing.
    pub fn spawn(serve: &ServeCommand<'_>) -> Self {
        let log = serve.data_dir.with_extension("serve.log");
        let file = OpenOptions::new().create(true).append(true).open(&log).expect("the test folder is writable");
        let listen = format!("127.0.0.1:{}", serve.port);
        let child = command(["serve", "--data-dir", text(serve.data_dir), "--listen", &listen])
            .args(serve.arguments)
            .stdout(file.try_clone().expect("a file handle"))
            .stderr(file)
            .spawn()
            .expect("bin/decklog starts");
        Self { child, port: serve.port, data_dir: serve.data_dir.to_owned(), log }
    }

    /// Waits until `/readyz` says so.
    pub fn wait_ready(&mut self) {
        let log = self.log.clone();
        wait::until("decklog to be ready", PATIENCE, || {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("decklog serve ended: {status}\n{}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            http::get(self.port, "/readyz").ok().filter(|response| response.status == 200).map(drop)
        });
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its address as a flag's value.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it is a child");
        self.child.wait().expect("it is a child");
    }

    /// Asks it to end, with SIGTERM, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        process::send(self.pid(), Signal::TERM);
        wait::until("decklog to stop", PATIENCE, || self.child.try_wait().expect("it is a child"))
    }

    /// Holds it with SIGSTOP: connections are taken by the kernel, nothing is answered.
    pub fn pause(&self) {
        process::send(self.pid(), Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        process::send(self.pid(), Signal::CONT);
    }

    /// The events it holds, by the count of an unlimited search of its directory.
    pub fn stored_lines(&self) -> Vec<Vec<u8>> {
        stored_lines(&self.data_dir)
    }

    /// The sum of a metric over all its labels; 0 if it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let page = http::get(self.port, "/metrics").expect("the server answers").text();
        page.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
