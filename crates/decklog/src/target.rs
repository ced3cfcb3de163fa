//! Where the events are that a reading command asks for: a server or a data directory, and how it is asked.

mod files;
mod local;
mod remote;

use std::path::{Path, PathBuf};

use decklog_audit::Timestamp;
use decklog_audit::search::{Order, TimeRange};

use crate::cli::TargetFlags;
use crate::client::{Client, answers};
use crate::commands::Context;
use crate::failure::{Failure, Failures};

pub(crate) use local::unreadable;

/// Asked when nothing is named.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7080";
/// Read when nothing is named and no server answers.
const DEFAULT_DATA_DIR: &str = "./decklog-data";

/// What to ask.
#[derive(Clone)]
pub(crate) enum Target {
    /// The files, without a lock: also while a server writes them.
    DataDir(PathBuf),
    /// A server.
    Server(Client),
    /// Log files, read into memory.
    Files(files::Loaded),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Which events: a filter's text that was read once already.
    pub(crate) filter: String,
    /// From when to when.
    pub(crate) range: TimeRange,
    /// The newest so many; `None` is all.
    pub(crate) limit: Option<usize>,
    /// In which order.
    pub(crate) order: Order,
    /// By when words such as `today` are read.
    pub(crate) now: Timestamp,
}

/// What a search says beside the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that match, handed out or not.
    pub(crate) n_matched: u64,
    /// The first and last time of what was looked at, where it is known.
    pub(crate) extent: Option<(Timestamp, Timestamp)>,
    /// What could not be read.
    pub(crate) gaps: Vec<String>,
}

/// Takes events as they are found: the stored line, and the event's time where it is known.
pub(crate) type Found<'a> = dyn FnMut(&[u8], Option<Timestamp>) -> Result<(), Failure> + 'a;

impl Target {
    /// The target named by flags, then variables; else a server on this machine, else the usual folder.
    pub(crate) fn choose(flags: &TargetFlags, context: &Context) -> Result<Self, Failures> {
        if let Some(path) = &flags.data_dir {
            return Ok(Self::DataDir(path.clone()));
        }
        if let Some(url) = flags.server.as_deref().or_else(|| context.variable("DECKLOG_SERVER")) {
            return Ok(Self::Server(Client::new(url, flags, context)?));
        }
        if let Some(path) = context.variable("DECKLOG_DATA_DIR") {
            return Ok(Self::DataDir(PathBuf::from(path)));
        }
        if crate::wiring::runtime()?.block_on(answers(DEFAULT_SERVER)) {
            context.detail(&format!("asking {DEFAULT_SERVER}"));
            return Ok(Self::Server(Client::new(DEFAULT_SERVER, flags, context)?));
        }
        if matches!(Path::new(DEFAULT_DATA_DIR).try_exists(), Ok(true)) {
            context.detail(&format!("reading {DEFAULT_DATA_DIR}"));
            return Ok(Self::DataDir(PathBuf::from(DEFAULT_DATA_DIR)));
        }
        let message = format!("no decklog server at {DEFAULT_SERVER}, and no data directory {DEFAULT_DATA_DIR}");
        Err(Failure::failed("no-target", message).help("decklog serve, or name one with --server or --data-dir").into())
    }

    /// Log files as they are.
    pub(crate) fn of_files(paths: &[PathBuf], context: &Context) -> Result<Self, Failures> {
        files::Loaded::read(paths, context).map(Self::Files)
    }

    /// Hands every event of the answer to `found`, in order.
    pub(crate) fn search(&self, question: &Question, found: &mut Found<'_>) -> Result<Tally, Failures> {
        match self {
            Self::DataDir(path) => local::search(path, question, found),
            Self::Files(loaded) => loaded.search(question, found),
            Self::Server(client) => remote::search(client, question, found),
        }
    }

    /// Only counts.
    pub(crate) fn count(&self, question: &Question) -> Result<Tally, Failures> {
        match self {
            Self::DataDir(path) => local::search(path, &Question { limit: Some(0), ..question.clone() }, &mut |_, _| Ok(())),
            Self::Files(loaded) => loaded.search(&Question { limit: Some(0), ..question.clone() }, &mut |_, _| Ok(())),
            Self::Server(client) => remote::count(client, question),
        }
    }

    /// Hands out events as they come, after the newest `last` that are there; ends only with a failure.
    pub(crate) fn tail(&self, question: &Question, last: usize, context: &Context, found: &mut Found<'_>) -> Result<(), Failures> {
        match self {
            Self::DataDir(path) => local::tail(path, question, last, found),
            Self::Files(_) => Err(Failure::usage("files", "files do not grow here").help("decklog serve --tail FILE").into()),
            Self::Server(client) => remote::tail(client, question, last, context, found),
        }
    }
}
