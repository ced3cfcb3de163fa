//! The answer's way out: buffered stdout (or a file), where a reader that has gone ends the program silently.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use crate::failure::{Exit, Failure};

/// Buffered stdout, or a file.
pub(crate) struct Answer {
    out: BufWriter<Box<dyn Write>>,
}

impl Answer {
    /// Takes stdout.
    pub(crate) fn new() -> Self {
        Self::over(Box::new(io::stdout().lock()))
    }

    /// Writes into a file.
    pub(crate) fn into_file(file: File) -> Self {
        Self::over(Box::new(file))
    }

    fn over(out: Box<dyn Write>) -> Self {
        Self { out: BufWriter::with_capacity(128 * 1024, out) }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.out.write_all(line).and_then(|()| self.out.write_all(b"\n")).map_err(|error| failure(&error))
    }

    /// Lets `write` write.
    pub(crate) fn with(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        write(&mut self.out).map_err(|error| failure(&error))
    }

    /// Hands on what is buffered; nothing is lost silently.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| failure(&error))
    }
}

fn failure(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::new(Exit::PipeClosed, "pipe-closed", "the reader of the output has gone")
    } else {
        Failure::failed("output", format!("cannot write the answer: {error}"))
    }
}
