//! Finds the events in a stream of JSON bytes, whatever way they stand there: as lines of an audit log, as
//! pretty-printed or concatenated objects, as items of `EventList`s, any mix of them one after the other.
//!
//! The webhook receiver and the import feed it chunks as they come and take [`Piece`]s out; it does no I/O.
//! Whether a piece is an event is not decided here but by `Intake`; here only the JSON around it is read.
//!
//! Memory stays bounded: at most one value up to the limit waits for its end; a longer one is stepped over
//! and only its beginning kept. What is no JSON is given back as [`Bad`] and reading goes on behind it:
//!
//! * between documents at the next line that does not look like the broken one going on,
//! * inside a list where the item's brackets close, or where the next item starts as kube-apiserver writes it.
//!
//! An item that is well-formed but too large or too deep ends at its own closing bracket and nowhere else:
//! a request body may contain text that looks like an event, and must never become one.

mod head;
mod skip;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use decklog_audit::intake::{Form, Refusal};
use decklog_audit::json::{JsonErrorKind, scan_value};

use head::{Look, Member};
use skip::{Brackets, Skip, Until};

/// The apiVersion that items of a list are given when the list names none.
const DEFAULT_API_VERSION: &str = "audit.k8s.io/v1";

/// How much of something broken or too long is kept.
pub const KEPT_BYTES: usize = 4 << 20;

/// Where a piece stands in its body or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line it starts in, from 1.
    pub line: u64,
    /// Its index in `items` of its list.
    pub item: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            Some(item) => write!(f, "items[{item}]"),
            None => write!(f, "line {}", self.line),
        }
    }
}

/// What the stream held next.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A JSON value where an event should be.
    Value {
        /// Its bytes, white space inside as it came.
        bytes: &'a [u8],
        /// How it stood there.
        form: Form<'a>,
        /// Where.
        place: Place,
    },
    /// What cannot be read, or is too long.
    Bad(Bad),
}

/// Bytes that hold no event: they belong in the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The bytes, or the first [`KEPT_BYTES`] of them.
    pub bytes: Vec<u8>,
    /// How many there were.
    pub size: u64,
    /// The metric's reason: malformed, too_large.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub detail: String,
    /// Where.
    pub place: Place,
}

impl Bad {
    /// A value that `Intake` refused.
    pub fn refused(bytes: &[u8], refusal: &Refusal, place: Place) -> Self {
        Self {
            bytes: bytes[..bytes.len().min(KEPT_BYTES)].to_vec(),
            size: bytes.len() as u64,
            reason: refusal.reason(),
            detail: shorten(refusal.to_string()),
            place,
        }
    }
}

/// Details may quote the event: they stay readable in a list. One that ends with `…` was cut.
pub(crate) fn shorten(mut detail: String) -> String {
    const LONGEST: usize = 300;
    if let Some((end, _)) = detail.char_indices().nth(LONGEST) {
        detail.truncate(end);
        detail.push('…');
    }
    detail
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte, where a byte order mark may stand.
    Start,
    /// Between documents.
    Between,
    /// In a list, where an item or the list's end comes.
    Item,
    /// In a list, behind an item.
    AfterItem,
    /// Behind a list's items.
    Tail,
    /// Stepping over something bad.
    Skipping,
}

enum Flow {
    Again,
    Wait,
    Value(Range<usize>, Place),
    Bad(Bad),
}

/// How far behind a bracket it is looked for what follows: white space may go on for ever.
const MAX_WHITE_BYTES: usize = 4096;

enum Behind {
    NotYet,
    Byte(u8),
    Nothing,
}

/// See the module.
pub struct Splitter {
    buffer: Vec<u8>,
    /// Where reading goes on in `buffer`.
    at: usize,
    /// The line `at` is in.
    line: u64,
    ended: bool,
    /// A value that was not complete is looked at again when this many bytes wait: twice as many as last
    /// time, so that the whole work stays linear in small chunks too.
    look_again_at: usize,
    state: State,
    skip: Option<Skip>,
    api_version: String,
    /// Items of the present list so far.
    n_items: u64,
    n_lists: u64,
    /// Nothing but white space came before, and a bare array may come.
    may_be_array: bool,
    /// The present list is a bare array: nothing follows its bracket.
    is_array: bool,
    /// The line in which the last value ended.
    value_end_line: u64,
    /// What came last was a value; something broken may have taken brackets with it.
    was_whole: bool,
    max_value_bytes: usize,
}

impl Splitter {
    /// Values longer than `max_value_bytes` are given as [`Bad`].
    pub fn new(max_value_bytes: usize) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            line: 1,
            ended: false,
            look_again_at: 0,
            state: State::Start,
            skip: None,
            api_version: DEFAULT_API_VERSION.to_owned(),
            n_items: 0,
            n_lists: 0,
            may_be_array: false,
            is_array: false,
            value_end_line: 0,
            was_whole: false,
            max_value_bytes,
        }
    }

    /// Takes also one bare array of events, as `jq -s` and many exports write it. No API server sends one.
    #[must_use]
    pub fn taking_an_array(self) -> Self {
        Self { may_be_array: true, ..self }
    }

    /// Adds bytes. All pieces are to be taken before the next call, else they pile up.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// Says that nothing more comes: what waits is given as it is.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// EventLists begun so far; a bare array is none.
    pub fn n_lists(&self) -> u64 {
        self.n_lists
    }

    /// Bytes held at the moment.
    pub fn memory_bytes(&self) -> usize {
        self.buffer.capacity() + self.skip.as_ref().map_or(0, Skip::memory_bytes)
    }

    /// The next piece, or `None` until more is fed (or for ever, after [`Splitter::end`]).
    #[allow(clippy::should_implement_trait, reason = "pieces borrow from the splitter")]
    pub fn next(&mut self) -> Option<Piece<'_>> {
        loop {
            let flow = match self.state {
                State::Start => self.start(),
                State::Between => self.between(),
                State::Item => self.item(),
                State::AfterItem => self.after_item(),
                State::Tail => self.tail(),
                State::Skipping => self.skipping(),
            };
            match flow {
                Flow::Again => {}
                Flow::Wait => return None,
                Flow::Value(range, place) => {
                    let form = if place.item.is_some() { Form::ListItem(&self.api_version) } else { Form::Line };
                    return Some(Piece::Value { bytes: &self.buffer[range], form, place });
                }
                Flow::Bad(bad) => return Some(Piece::Bad(bad)),
            }
        }
    }

    fn start(&mut self) -> Flow {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let waiting = self.waiting();
        if waiting.starts_with(BYTE_ORDER_MARK) {
            self.at += BYTE_ORDER_MARK.len();
        } else if BYTE_ORDER_MARK.starts_with(waiting) && !self.ended {
            return Flow::Wait;
        }
        self.state = State::Between;
        Flow::Again
    }

    fn between(&mut self) -> Flow {
        let Some(byte) = self.peek() else { return Flow::Wait };
        let place = Place { line: self.line, item: None };
        if byte == b'[' && self.may_be_array {
            match self.behind_bracket() {
                Behind::NotYet => return Flow::Wait,
                // Only at the start of the input: further on, a line in brackets
                // is a broken line, and must not take the good ones behind it with it.
                Behind::Byte(b'{' | b']') => {
                    self.pass(1);
                    self.begin_list(None, true);
                    return Flow::Again;
                }
                Behind::Byte(_) | Behind::Nothing => {}
            }
        }
        if byte != b'{' {
            self.may_be_array = false;
            return self.begin_skip(Skip::broken(format!("expected a JSON object, found byte 0x{byte:02x}"), place, Until::AnyLineEnd, State::Between));
        }
        if !self.worth_looking() {
            return Flow::Wait;
        }
        match head::look(self.waiting()) {
            Look::NeedMore if !self.ended && self.waiting().len() <= self.max_value_bytes => self.wait(),
            Look::List { items_at, api_version } => {
                self.pass(items_at);
                self.begin_list(api_version, false);
                Flow::Again
            }
            Look::EmptyList { length } => {
                self.pass(length);
                self.n_lists += 1;
                self.may_be_array = false;
                Flow::Again
            }
            Look::Other | Look::NeedMore => {
                self.may_be_array = false;
                self.value(place)
            }
        }
    }

    fn begin_list(&mut self, api_version: Option<String>, is_array: bool) {
        self.api_version = api_version.unwrap_or_else(|| DEFAULT_API_VERSION.to_owned());
        self.n_items = 0;
        self.n_lists += u64::from(!is_array);
        self.may_be_array = false;
        self.is_array = is_array;
        self.state = State::Item;
    }

    /// Takes the bracket behind the items.
    fn end_items(&mut self) {
        self.pass(1);
        self.state = if self.is_array { State::Between } else { State::Tail };
    }

    fn item(&mut self) -> Flow {
        match self.peek() {
            None => self.cut_off(),
            Some(b']') => {
                match self.behind_bracket() {
                    Behind::NotYet => return Flow::Wait,
                    // A bracket stands where the item's own was.
                    Behind::Byte(byte) if !self.is_array && !matches!(byte, b',' | b'}') => {
                        let place = Place { line: self.line, item: Some(self.n_items) };
                        self.n_items += 1;
                        let detail = format!("expected `,` or `}}` behind the items, found byte 0x{byte:02x}");
                        return self.begin_skip(Skip::broken(detail, place, Until::next_item(None, 0), State::AfterItem));
                    }
                    Behind::Byte(_) | Behind::Nothing => {}
                }
                self.end_items();
                Flow::Again
            }
            Some(_) => self.value(Place { line: self.line, item: Some(self.n_items) }),
        }
    }

    fn after_item(&mut self) -> Flow {
        match self.peek() {
            None => self.cut_off(),
            Some(b',') => {
                self.pass(1);
                self.state = State::Item;
                Flow::Again
            }
            Some(b']') => {
                self.end_items();
                Flow::Again
            }
            // Nobody but a person or a damaged file writes `[` and no commas: what looked like an array may be lines.
            Some(byte) if self.is_array && (byte == b'{' || self.line > self.value_end_line) => {
                self.state = if byte == b'{' { State::Item } else { State::Between };
                let place = Place { line: self.line, item: Some(self.n_items) };
                Flow::Bad(Bad { detail: format!("expected `,` or `]` behind an item, found byte 0x{byte:02x}"), ..Self::nothing_but(place) })
            }
            Some(byte) => {
                match self.behind_bracket() {
                    Behind::NotYet if byte == b'}' => return Flow::Wait,
                    Behind::NotYet | Behind::Byte(b',' | b']') => {}
                    // The broken item before took the list's closing bracket with it.
                    _ if byte == b'}' && !self.was_whole => {
                        self.pass(1);
                        self.state = State::Between;
                        return Flow::Again;
                    }
                    _ => {}
                }
                let place = Place { line: self.line, item: Some(self.n_items) };
                self.n_items += 1;
                let detail = format!("expected `,` or `]` behind an item, found byte 0x{byte:02x}");
                self.begin_skip(Skip::broken(detail, place, Until::next_item(None, 0), State::AfterItem))
            }
        }
    }

    fn tail(&mut self) -> Flow {
        match self.peek() {
            None => return self.cut_off(),
            Some(b'}') => {
                self.pass(1);
                self.state = State::Between;
                return Flow::Again;
            }
            // A bracket stands where a comma was: the items go on.
            Some(b'{') => {
                self.state = State::Item;
                let place = Place { line: self.line, item: Some(self.n_items) };
                return Flow::Bad(Bad { detail: "expected `,` or `}` behind the items, found byte 0x7b".to_owned(), ..Self::nothing_but(place) });
            }
            Some(_) => {}
        }
        if !self.worth_looking() {
            return Flow::Wait;
        }
        let place = Place { line: self.line, item: None };
        match head::tail_member(self.waiting()) {
            Member::NeedMore if !self.ended && self.waiting().len() <= self.max_value_bytes => self.wait(),
            Member::Items { items_at } => {
                self.pass(items_at);
                self.state = State::Item;
                Flow::Again
            }
            Member::Other { length, api_version } => {
                self.pass(length);
                match api_version {
                    Some(version) if version != self.api_version => Flow::Bad(Bad {
                        detail: shorten(format!("apiVersion `{version}` came behind the items, which were taken as `{}`", self.api_version)),
                        ..Self::nothing_but(place)
                    }),
                    _ => Flow::Again,
                }
            }
            Member::Broken(detail) => self.begin_skip(Skip::broken(detail, place, Until::LineEnd, State::Between)),
            Member::NeedMore => self.begin_skip(Skip::broken("the list is not closed".to_owned(), place, Until::LineEnd, State::Between)),
        }
    }

    /// Takes a value, which starts at `at`.
    fn value(&mut self, place: Place) -> Flow {
        if !self.worth_looking() {
            return Flow::Wait;
        }
        let in_list = place.item.is_some();
        let then = if in_list { State::AfterItem } else { State::Between };
        let n_waiting = self.waiting().len();
        match scan_value(self.waiting()) {
            Ok(length) if length <= self.max_value_bytes => {
                let range = self.at..self.at + length;
                self.pass(length);
                self.n_items += u64::from(in_list);
                self.value_end_line = self.line;
                self.was_whole = true;
                self.state = then;
                Flow::Value(range, place)
            }
            Err(error) if error.kind == JsonErrorKind::Incomplete && !self.ended && n_waiting <= self.max_value_bytes => self.wait(),
            outcome => {
                self.n_items += u64::from(in_list);
                self.begin_skip(match outcome {
                    Ok(_) => Skip::too_large(place, then),
                    Err(error) if error.kind == JsonErrorKind::Incomplete && !self.ended => Skip::too_large(place, then),
                    Err(error) if error.kind == JsonErrorKind::TooDeep => Skip::broken(error.to_string(), place, Until::Balanced(Brackets::default()), then),
                    Err(error) if in_list => Skip::broken(error.to_string(), place, Until::next_item(Some(Brackets::default()), error.at), then),
                    Err(error) => {
                        let until = skip::line_break_before(self.waiting(), error.at).map_or(Until::LineEnd, Until::Length);
                        Skip::broken(error.to_string(), place, until, then)
                    }
                })
            }
        }
    }

    fn begin_skip(&mut self, skip: Skip) -> Flow {
        self.skip = Some(skip);
        self.was_whole = false;
        self.state = State::Skipping;
        self.look_again_at = 0;
        Flow::Again
    }

    fn skipping(&mut self) -> Flow {
        let Some(skip) = self.skip.as_mut() else {
            self.state = State::Between;
            return Flow::Again;
        };
        let taken = skip.take(&self.buffer[self.at..], self.ended);
        self.pass(taken.length);
        match taken.then {
            None => Flow::Wait,
            Some(then) => {
                self.state = then;
                self.skip.take().map_or(Flow::Again, |skip| Flow::Bad(skip.into_bad(self.max_value_bytes)))
            }
        }
    }

    /// The input is over inside a list.
    fn cut_off(&mut self) -> Flow {
        if !self.ended {
            return Flow::Wait;
        }
        self.state = State::Between;
        let place = Place { line: self.line, item: Some(self.n_items) };
        Flow::Bad(Bad { detail: "the list is cut off here".to_owned(), ..Self::nothing_but(place) })
    }

    fn nothing_but(place: Place) -> Bad {
        Bad { bytes: Vec::new(), size: 0, reason: "malformed", detail: String::new(), place }
    }

    /// What stands behind the bracket that comes next and some white space.
    fn behind_bracket(&self) -> Behind {
        let waiting = self.waiting();
        match waiting[1..waiting.len().min(MAX_WHITE_BYTES)].trim_ascii_start().first() {
            Some(byte) => Behind::Byte(*byte),
            None if !self.ended && waiting.len() < MAX_WHITE_BYTES => Behind::NotYet,
            None => Behind::Nothing,
        }
    }

    fn waiting(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn worth_looking(&self) -> bool {
        self.ended || self.waiting().len() >= self.look_again_at
    }

    fn wait(&mut self) -> Flow {
        self.look_again_at = self.waiting().len() * 2;
        Flow::Wait
    }

    /// Moves on, counting lines.
    fn pass(&mut self, length: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.buffer[self.at..self.at + length]).count() as u64;
        self.at += length;
        self.look_again_at = 0;
    }

    /// The next byte that is not white space, left in place.
    fn peek(&mut self) -> Option<u8> {
        let white = self.waiting().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        if white > 0 {
            self.pass(white);
        }
        self.buffer.get(self.at).copied()
    }
}
