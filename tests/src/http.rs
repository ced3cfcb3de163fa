//! A small blocking HTTP/1.1 client, as strict and as odd as a test needs it: bodies can be streamed, sent slowly,
//! or broken off.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A keep-alive connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Connection {
    /// Connects to 127.0.0.1:`port`; no read or write waits longer than `patience`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(port: u16, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream), host: format!("127.0.0.1:{port}") })
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.get_with(path, &[])
    }

    /// `GET path` with more headers.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
        self.send_head("GET", path, headers)?;
        self.read_response()
    }

    /// `POST path` with a JSON body, in one write.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Response> {
        self.post_streamed(path, &[], body.len() as u64, |out| out.write_all(body))
    }

    /// `POST path` with more headers and a body of `length` bytes that `write` sends.
    ///
    /// # Errors
    /// When the connection breaks and no answer came before.
    pub fn post_streamed(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        length: u64,
        write: impl FnOnce(&mut TcpStream) -> io::Result<()>,
    ) -> io::Result<Response> {
        let length = length.to_string();
        let mut all = vec![("Content-Type", "application/json"), ("Content-Length", length.as_str())];
        all.extend_from_slice(headers);
        self.send_head("POST", path, &all)?;
        // A server may answer and close before it has read all: its answer counts then.
        let written = write(self.stream.get_mut());
        self.read_response().map_err(|error| written.err().unwrap_or(error))
    }

    fn send_head(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.stream.get_mut().write_all(head.as_bytes())
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn read_response(&mut self) -> io::Result<Response> {
        let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        loop {
            let first = self.read_line()?;
            let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| malformed(&first))?;
            let mut headers = Vec::new();
            loop {
                let line = self.read_line()?;
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            if status == 100 {
                continue;
            }
            let mut response = Response { status, headers, body: Vec::new() };
            if response.header("transfer-encoding") == Some("chunked") {
                loop {
                    let size = self.read_line()?;
                    let size = u64::from_str_radix(&size, 16).map_err(|_| malformed(&size))?;
                    self.stream.by_ref().take(size).read_to_end(&mut response.body)?;
                    self.read_line()?;
                    if size == 0 {
                        break;
                    }
                }
            } else if let Some(length) = response.header("content-length").and_then(|text| text.parse::<u64>().ok()) {
                self.stream.by_ref().take(length).read_to_end(&mut response.body)?;
                if response.body.len() as u64 != length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            } else if status != 204 && status != 304 {
                self.stream.read_to_end(&mut response.body)?;
            }
            return Ok(response);
        }
    }
}

/// `GET path` on a connection of its own.
///
/// # Errors
/// When nobody listens or the connection breaks.
pub fn get(port: u16, path: &str) -> io::Result<Response> {
    Connection::open(port, Duration::from_secs(30))?.get(path)
}
