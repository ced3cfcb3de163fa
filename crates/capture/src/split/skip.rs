//! Stepping over what is broken or too long, with bounded memory, to where reading can go on.

use decklog_audit::intake::Refusal;
use decklog_audit::json::scan_value;

use super::{Bad, KEPT_BYTES, Place, State};

/// How far ahead the start of an event is looked for: enough for its first two members.
const LOOK_AHEAD: usize = 160;

/// Where stepping over ends.
pub(super) enum Until {
    /// Where the value's brackets close.
    Balanced(Brackets),
    /// Behind so many bytes.
    Length(usize),
    /// At a line end; for text that was no object from the start.
    AnyLineEnd,
    /// At a line end behind which the broken object does not go on: pretty-printed text is indented.
    LineEnd,
    /// In a list: where the item's brackets close and the list goes on, or where an item begins as
    /// kube-apiserver writes it. Starts are looked for from `from` bytes on.
    NextItem { brackets: Option<Brackets>, from: usize },
}

impl Until {
    /// `error_at` is where the item is broken: no start is looked for before it, since up to there the text
    /// is good JSON and what looks like an event is part of a body.
    pub(super) fn next_item(brackets: Option<Brackets>, error_at: usize) -> Self {
        // The error shows behind the first name of an item that was glued to the broken one.
        const NAME: usize = 16;
        Self::NextItem { brackets, from: error_at.saturating_sub(NAME).max(1) }
    }
}

/// Something bad that is being stepped over.
pub(super) struct Skip {
    kept: Vec<u8>,
    size: u64,
    /// What is wrong; `None` for too large.
    detail: Option<String>,
    place: Place,
    until: Until,
    then: State,
}

/// What [`Skip::take`] did.
pub(super) struct Taken {
    /// Bytes stepped over.
    pub(super) length: usize,
    /// What comes next, once the end was found.
    pub(super) then: Option<State>,
}

impl Skip {
    pub(super) fn broken(detail: String, place: Place, until: Until, then: State) -> Self {
        Self { kept: Vec::new(), size: 0, detail: Some(detail), place, until, then }
    }

    pub(super) fn too_large(place: Place, then: State) -> Self {
        Self { kept: Vec::new(), size: 0, detail: None, place, until: Until::Balanced(Brackets::default()), then }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// Takes bytes up to the end of the bad part, or as many as can be told to belong to it.
    pub(super) fn take(&mut self, waiting: &[u8], ended: bool) -> Taken {
        let found = self.find(waiting, ended);
        let length = match found {
            Find::End(length, _) | Find::Pass(length) => length,
        };
        let room = KEPT_BYTES.saturating_sub(self.kept.len()).min(length);
        self.kept.extend_from_slice(&waiting[..room]);
        self.size += length as u64;
        match found {
            Find::End(_, then) => Taken { length, then: Some(then) },
            Find::Pass(_) if ended => Taken { length, then: Some(State::Between) },
            Find::Pass(_) => Taken { length, then: None },
        }
    }

    fn find(&mut self, waiting: &[u8], ended: bool) -> Find {
        match &mut self.until {
            Until::Balanced(brackets) => match brackets.close(waiting) {
                Some(length) => Find::End(length, self.then),
                None => Find::Pass(waiting.len()),
            },
            Until::Length(left) => {
                let length = (*left).min(waiting.len());
                *left -= length;
                if *left == 0 { Find::End(length, self.then) } else { Find::Pass(length) }
            }
            Until::AnyLineEnd => match memchr::memchr(b'\n', waiting) {
                Some(length) => Find::End(length, self.then),
                None => Find::Pass(waiting.len()),
            },
            Until::LineEnd => {
                for line_end in memchr::memchr_iter(b'\n', waiting) {
                    match waiting.get(line_end + 1) {
                        None if !ended => return Find::Pass(line_end),
                        Some(b' ' | b'\t' | b'}' | b']') => {}
                        _ => return Find::End(line_end, self.then),
                    }
                }
                Find::Pass(waiting.len())
            }
            Until::NextItem { brackets, from } => next_item(brackets, from, waiting, ended, self.then),
        }
    }

    pub(super) fn into_bad(mut self, limit: usize) -> Bad {
        if self.kept.len() as u64 == self.size {
            // The comma that led to the next item is the list's.
            let outside = |byte: &u8| byte.is_ascii_whitespace() || (*byte == b',' && self.place.item.is_some());
            let end = self.kept.iter().rposition(|byte| !outside(byte)).map_or(0, |at| at + 1);
            self.kept.truncate(end);
            self.size = end as u64;
        }
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let (reason, detail) = match self.detail {
            Some(detail) if size <= limit => ("malformed", detail),
            _ => {
                let refusal = Refusal::TooLarge { size, limit };
                (refusal.reason(), refusal.to_string())
            }
        };
        Bad { bytes: self.kept, size: self.size, reason, detail, place: self.place }
    }
}

enum Find {
    End(usize, State),
    Pass(usize),
}

fn next_item(brackets: &mut Option<Brackets>, from: &mut usize, waiting: &[u8], ended: bool, then: State) -> Find {
    let reach = if ended { waiting.len() } else { waiting.len().saturating_sub(LOOK_AHEAD) };
    let first = (*from).min(reach);
    let start = memchr::memchr_iter(b'{', &waiting[first..reach]).map(|at| first + at).find(|at| is_event_start(&waiting[*at..]));
    let region = start.unwrap_or(reach);
    if let Some(closes) = brackets.as_mut().and_then(|brackets| brackets.close(&waiting[..region])) {
        if list_goes_on(&waiting[closes..]) {
            return Find::End(closes, then);
        }
        *brackets = None;
    }
    match start {
        Some(start) => Find::End(start, State::Item),
        None => {
            *from -= first;
            Find::Pass(reach)
        }
    }
}

/// Whether `rest` continues or ends a list of objects, or a new line begins with an object as if there were no list.
fn list_goes_on(rest: &[u8]) -> bool {
    let inner = rest.trim_ascii_start();
    match inner.first() {
        Some(b']') => true,
        Some(b',') => inner[1..].trim_ascii_start().first() == Some(&b'{'),
        Some(b'{') => rest[..rest.len() - inner.len()].ends_with(b"\n"),
        _ => false,
    }
}

/// Whether an audit event begins here as kube-apiserver writes it, in a list or alone.
pub(super) fn is_event_start(bytes: &[u8]) -> bool {
    fn after<'a>(bytes: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
        bytes.trim_ascii_start().strip_prefix(word)
    }
    let Some(inside) = after(bytes, b"{") else { return false };
    let level = || {
        let value = after(after(inside, b"\"level\"")?, b":")?;
        let rest = [b"\"Metadata\"".as_slice(), b"\"Request\"", b"\"RequestResponse\"", b"\"None\""].into_iter().find_map(|word| after(value, word))?;
        after(after(rest, b",")?, b"\"auditID\"")
    };
    let kind = || after(after(after(after(inside, b"\"kind\"")?, b":")?, b"\"Event\"")?, b",");
    level().or_else(kind).is_some()
}

/// The length of the broken object at the start of `bytes` if it ended at a line end before `error_at`: because a new
/// event begins the next line, or the next line is a whole object by itself (a record that was cut behind `[` or `:`
/// goes on with it as far as JSON is concerned), or because only white space lies between line end and error.
pub(super) fn line_break_before(bytes: &[u8], error_at: usize) -> Option<usize> {
    let before = &bytes[..error_at.min(bytes.len())];
    memchr::memchr_iter(b'\n', before)
        .find(|line_end| {
            let next = &bytes[line_end + 1..];
            next.first() == Some(&b'{') && (is_event_start(next) || is_whole_line(next))
        })
        .or_else(|| {
            let line_end = memchr::memrchr(b'\n', before)?;
            (line_end + 1 == error_at && !matches!(bytes.get(error_at), Some(b'}' | b']'))).then_some(line_end)
        })
}

/// Whether the line that `bytes` begin with holds one object and nothing else.
fn is_whole_line(bytes: &[u8]) -> bool {
    let line = &bytes[..memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())];
    scan_value(line).is_ok_and(|length| line[length..].trim_ascii().is_empty())
}

/// Follows brackets and strings, and nothing else, over any number of chunks.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Brackets {
    /// The length up to which the value goes, if it ends in `bytes`: its last bracket, or for a value
    /// without brackets what comes before the next comma or closing bracket.
    pub(super) fn close(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                let found = memchr::memchr2(b'"', b'\\', &bytes[at..])?;
                at += found + 1;
                if bytes[at - 1] == b'"' {
                    self.in_string = false;
                } else {
                    self.escaped = true;
                }
                continue;
            }
            match bytes[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return Some(at),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' if self.depth == 0 => return Some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }
}
