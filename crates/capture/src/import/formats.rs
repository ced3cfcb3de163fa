//! Which format a piece of a file is in, found by looking at it: an audit event as it is, or one that a provider
//! has wrapped, cut or rebuilt.
//!
//! ```text
//! piece ─► an event? ──────────────── yes ─► as it is
//!             │ no
//!             ▼
//!          eks · aks · gke · packed · embedded: the first that claims it gives events, skips, or refuses
//!             │ none
//!             ▼
//!          as it is: the intake refuses it and says why
//! ```
//!
//! To add a format: one file with a reader, one line in [`READERS`] (or in [`take_text`] for lines of text), a
//! page in docs/reference, cases in tests/data/managed. Nothing here does I/O or keeps state: each piece is told
//! by itself, so that files may mix formats and a broken record leaves its neighbours alone.

use std::collections::BTreeMap;

use decklog_audit::intake::Form;
use decklog_audit::json::RawJson;

use super::object::Object;
use super::{aks, eks, embedded, gke, legacy, packed};
use crate::split::{Bad, KEPT_BYTES, Piece, Place, Splitter, shorten};

/// A format that events are converted from. Its word stands in the annotation `decklog.io/source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Amazon EKS: events as messages of CloudWatch Logs.
    Eks,
    /// Google GKE: entries of Cloud Audit Logs.
    Gke,
    /// Azure AKS: diagnostic records and rows of Log Analytics.
    Aks,
    /// An event somewhere inside another JSON document.
    Embedded,
    /// The text lines of `--audit-log-format=legacy`.
    Legacy,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Eks, Self::Gke, Self::Aks, Self::Embedded, Self::Legacy];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eks => "eks",
            Self::Gke => "gke",
            Self::Aks => "aks",
            Self::Embedded => "embedded",
            Self::Legacy => "legacy",
        }
    }
}

/// What a piece of a file turned out to hold; one piece may hold many.
#[derive(Debug)]
pub enum Found<'f> {
    /// Something for the intake: an event, or what it will refuse as one.
    Value {
        /// Its bytes.
        bytes: &'f [u8],
        /// How it stood there.
        form: Form<'f>,
        /// Where.
        place: Place,
        /// What it was converted from; `None` for what stays as it came.
        format: Option<Format>,
    },
    /// A record of something else than the audit log, by its kind: it is counted and left alone.
    Skipped(&'static str),
    /// What cannot be read: it belongs in the quarantine.
    Bad(Bad),
}

/// What was found of other formats than kube-apiserver's own JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events converted, by format.
    pub converted: BTreeMap<Format, u64>,
    /// Records of other logs, by kind.
    pub skipped: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn note(&mut self, found: &Found<'_>) {
        match found {
            Found::Value { format: Some(format), .. } => *self.converted.entry(*format).or_default() += 1,
            Found::Skipped(kind) => *self.skipped.entry(kind).or_default() += 1,
            Found::Value { format: None, .. } | Found::Bad(_) => {}
        }
    }

    /// Adds what another file held.
    pub fn add(&mut self, other: &Self) {
        other.converted.iter().for_each(|(format, n_events)| *self.converted.entry(*format).or_default() += n_events);
        other.skipped.iter().for_each(|(kind, n_records)| *self.skipped.entry(kind).or_default() += n_records);
    }
}

/// Reads a document if it is of its format; tells whether it was.
type Reader = fn(&Object<'_>, &mut Taking<'_>) -> bool;

const READERS: [Reader; 5] = [eks::read, aks::read, gke::read, packed::read, embedded::read];

/// How many documents inside documents are looked into.
const MAX_DEPTH: u8 = 4;

/// The piece that is being taken: where it stands, and where to put what is in it.
pub(super) struct Taking<'t> {
    /// The file's name as given; of an S3 export it tells the log stream.
    pub(super) file: &'t str,
    /// Where the piece stands.
    pub(super) place: Place,
    /// The longest value taken, in bytes.
    pub(super) max_value_bytes: usize,
    depth: u8,
    found: &'t mut dyn FnMut(Found<'_>),
}

/// Takes a piece of `file` and gives what is in it to `found`. Values are at most `max_value_bytes` long.
pub(super) fn take(piece: Piece<'_>, file: &str, max_value_bytes: usize, found: &mut dyn FnMut(Found<'_>)) {
    let place = match &piece {
        Piece::Value { place, .. } => *place,
        Piece::Bad(bad) => bad.place,
    };
    Taking { file, place, max_value_bytes, depth: 0, found }.piece(piece);
}

impl Taking<'_> {
    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Value { bytes, form, place } => {
                if is_usual_event(bytes) || !RawJson::parse_bytes(bytes).is_ok_and(|raw| self.document(raw)) {
                    (self.found)(Found::Value { bytes, form, place, format: None });
                }
            }
            Piece::Bad(bad) => {
                if !take_text(&bad, self) {
                    (self.found)(Found::Bad(packed::left_out(bad)));
                }
            }
        }
    }

    /// Takes a JSON document that is no event itself; false if it is one, or of no format.
    pub(super) fn document(&mut self, raw: RawJson<'_>) -> bool {
        let Some(object) = Object::of(raw) else { return false };
        !is_event(&object) && READERS.iter().any(|read| read(&object, self))
    }

    /// Takes bytes inside the piece as if they were a file: whole documents one after the other. `read` gives them
    /// and nothing at the end.
    ///
    /// # Errors
    /// Why there are no more bytes, where that is not their end.
    pub(super) fn stream(&mut self, mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize>) -> std::io::Result<()> {
        const READ_BYTES: usize = 64 << 10;
        if self.depth == MAX_DEPTH {
            return Err(std::io::Error::other(format!("documents inside documents are nested more than {MAX_DEPTH} times")));
        }
        let mut splitter = Splitter::new(self.max_value_bytes).taking_an_array();
        let mut buffer = vec![0; READ_BYTES];
        let ending = loop {
            match read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(n_bytes) => splitter.feed(&buffer[..n_bytes]),
                Err(error) => break Err(error),
            }
            self.pieces(&mut splitter);
        };
        splitter.end();
        self.pieces(&mut splitter);
        ending
    }

    fn pieces(&mut self, splitter: &mut Splitter) {
        let place = self.place;
        while let Some(mut piece) = splitter.next() {
            // Places are those in the file.
            match &mut piece {
                Piece::Value { place: inner, .. } => *inner = place,
                Piece::Bad(bad) => bad.place = place,
            }
            let depth = self.depth + 1;
            Taking { file: self.file, place, max_value_bytes: self.max_value_bytes, depth, found: &mut *self.found }.piece(piece);
        }
    }

    /// The same piece, at its part of that index.
    pub(super) fn at(&mut self, index: usize) -> Taking<'_> {
        // A part of an item is told by the item.
        let item = self.place.item.or(Some(index as u64));
        Taking { file: self.file, place: Place { item, ..self.place }, max_value_bytes: self.max_value_bytes, depth: self.depth, found: &mut *self.found }
    }

    /// Gives an event.
    pub(super) fn event(&mut self, format: Format, line: &[u8]) {
        (self.found)(Found::Value { bytes: line, form: Form::Line, place: self.place, format: Some(format) });
    }

    /// Leaves a record of another log alone.
    pub(super) fn skip(&mut self, kind: &'static str) {
        (self.found)(Found::Skipped(kind));
    }

    /// Refuses `text`: `detail` says why.
    pub(super) fn refuse(&mut self, text: &str, detail: impl std::fmt::Display) {
        let bytes = text.as_bytes();
        (self.found)(Found::Bad(Bad {
            bytes: bytes[..bytes.len().min(KEPT_BYTES)].to_vec(),
            size: bytes.len() as u64,
            reason: "malformed",
            detail: shorten(detail.to_string()),
            place: self.place,
        }));
    }
}

/// Takes what is no JSON if it is a line of text that some format has; tells whether it is.
fn take_text(bad: &Bad, taking: &mut Taking<'_>) -> bool {
    let whole = bad.reason == "malformed" && bad.size == bad.bytes.len() as u64;
    let Some(text) = std::str::from_utf8(&bad.bytes).ok().filter(|_| whole) else { return false };
    let text = text.trim_end();
    match legacy::line_of(text) {
        Some(line) => taking.event(Format::Legacy, &line),
        None if legacy::is_broken_line(text) => taking.refuse(legacy::without_query(text), "a line of the legacy text format that is cut or broken"),
        None => return eks::read_text(text, taking),
    }
    true
}

/// Whether text that is no JSON may be a line of a log that is known here: it begins with a time.
pub(super) fn looks_like_log_line(bytes: &[u8]) -> Option<bool> {
    const SHAPE: &[u8] = b"0000-00-00T00:";
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    if !bytes.iter().zip(SHAPE).all(fits) {
        return Some(false);
    }
    (bytes.len() >= SHAPE.len()).then_some(true)
}

/// Whether `bytes` begin as kube-apiserver's events do: then nobody needs to look further.
fn is_usual_event(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 4] = [br#"{"kind":"Event","#, br#"{"level":"Metadata","#, br#"{"level":"Request","#, br#"{"level":"RequestResponse","#];
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}

/// Members that an audit event has and none of the envelopes.
const EVENT_MEMBERS: [&str; 4] = ["auditID", "requestURI", "stageTimestamp", "requestReceivedTimestamp"];

/// Whether `object` is itself an audit event, whatever else is in it.
pub(super) fn is_event(object: &Object<'_>) -> bool {
    EVENT_MEMBERS.iter().any(|name| object.has(name))
}
