//! Power cuts, kills and failing calls at random moments: what was acknowledged is there exactly once, what was
//! not at most once, positions never ahead of their lines, cursors never ahead of the journal.
//!
//! Everything runs on [`MemoryFiles`] with a writer that is stepped by hand, so that a seed always gives the
//! same run. `each_sync_is_necessary` leaves out one kind of sync after the other and expects loss.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use decklog_audit::Timestamp;
use decklog_audit::journal::{Appended, Appending, Batch, EventId, Journal, Next, Origin, Reader, RecordFlags, RecordHead, RecordKind, SourcePosition};

use super::writer::Writer;
use super::{Environment, LocalJournal, LocalReader, StartFrom};
use crate::clock::{Clock, ManualClock};
use crate::config::JournalConfig;
use crate::files::SyncPoint;
use crate::files::memory::{Fault, MemoryFiles, Random};
use crate::metrics::JournalMetrics;
use crate::view::{BlockRead, JournalView};

/// Restarts of one seed.
const N_LIVES: u64 = 4;
const DATA: &str = "/data";
/// Lines of a tailed file are numbered from here; of the second one from twice of it.
const TAIL: u64 = 1 << 32;

type Check<T = ()> = Result<T, String>;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    n_cuts: u64,
    n_kills: u64,
    n_acknowledged: u64,
    n_sent_again: u64,
    n_refused: u64,
}

/// A tailed file: line numbers go up, the position is the next line.
#[derive(Default)]
struct Tail {
    next_line: u64,
    acknowledged: u64,
    waiting: usize,
}

/// What an append under way carries.
struct Sent {
    appending: Appending,
    events: Vec<u64>,
    tail: Option<(usize, u64)>,
}

/// What the world outside knows: it survives every restart.
struct Outside {
    random: Random,
    files: MemoryFiles,
    clock: Arc<ManualClock>,
    config: JournalConfig,
    next_event: u64,
    acknowledged: BTreeSet<u64>,
    unacknowledged: BTreeSet<u64>,
    /// Where events were last seen.
    seqs: BTreeMap<u64, u64>,
    /// Positions that were acknowledged.
    tail_acknowledged: [u64; 2],
    /// Whether positions of some lines may not count.
    had_torn_group: bool,
    /// The cursor that was last committed.
    committed: Option<u64>,
    counts: Counts,
}

/// One process.
struct Process {
    journal: LocalJournal,
    writer: Writer,
    view: JournalView,
    /// Where each event was seen.
    seen: BTreeMap<u64, u64>,
    seen_to: u64,
    sent: Vec<Sent>,
    tails: [Tail; 2],
    reader: Option<LocalReader>,
    read_to: u64,
}

fn id(event: u64) -> EventId {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&event.to_le_bytes());
    EventId(id)
}

fn number(id: EventId) -> u64 {
    u64::from_le_bytes(id.0[..8].try_into().unwrap())
}

fn batch(events: &[u64], position: Option<(usize, u64)>, now: Timestamp) -> Batch {
    let mut batch = Batch::new(Origin { cluster: "c".into(), source: "s".into(), sender: "p".into() }, now);
    for event in events {
        let mut filler = Random::new(*event);
        let head = RecordHead { kind: RecordKind::Event, flags: RecordFlags::default(), end: 0, id: Some(id(*event)), time: now, former_id: None };
        batch
            .push_with(|out| {
                out.extend_from_slice(&event.to_le_bytes());
                (0..filler.below(12)).for_each(|_| out.extend_from_slice(&filler.number().to_le_bytes()));
                Ok::<_, ()>(head)
            })
            .unwrap();
    }
    batch.position = position.map(|(tail, line)| SourcePosition { name: tail_name(tail).into(), bytes: line.to_le_bytes().to_vec() });
    batch
}

fn tail_name(tail: usize) -> &'static str {
    ["calm.log", "busy.log"][tail]
}

fn poll(appending: &mut Appending) -> Option<Result<Appended, decklog_audit::journal::AppendError>> {
    match Pin::new(appending).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

impl Outside {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let config = JournalConfig {
            segment_size: 300 + random.below(2000),
            queue_bytes: 1 << 20,
            body_in_memory: 200,
            max_size: random.one_in(3).then_some(2500),
            reserve: if random.one_in(2) { 2048 } else { 0 },
            retention_interval: Duration::from_secs(5),
            ..JournalConfig::default()
        };
        Self {
            random,
            files: MemoryFiles::new(),
            clock: Arc::default(),
            config,
            next_event: 0,
            acknowledged: BTreeSet::new(),
            unacknowledged: BTreeSet::new(),
            seqs: BTreeMap::new(),
            tail_acknowledged: [0; 2],
            had_torn_group: false,
            committed: None,
            counts: Counts::default(),
        }
    }

    fn seq_of(&self, event: u64) -> Option<u64> {
        self.seqs.get(&event).copied()
    }

    fn environment(&self) -> Environment {
        Environment { files: Arc::new(self.files.clone()), clock: Arc::clone(&self.clock) as Arc<dyn Clock>, metrics: JournalMetrics::default() }
    }

    /// One seed: some lives, each ended by a cut or kill, and a last one in which all is sent again.
    fn run(&mut self) -> Check {
        for _ in 0..N_LIVES {
            let stop = 1 + self.random.below(60);
            self.files.strike(stop, Fault::Stop);
            if self.random.one_in(3) {
                let at = self.random.below(60);
                if at != stop {
                    self.files.strike(at, Fault::Fail);
                }
            }
            let process = match Process::start(self)? {
                Some(mut process) => {
                    process.live(self)?;
                    Some(process)
                }
                None => None,
            };
            self.stop(process);
        }
        self.files.calm();
        self.files.set_capacity(None);
        let mut process = Process::start(self)?.ok_or("the last start failed")?;
        process.send_all_again(self)
    }

    fn stop(&mut self, process: Option<Process>) {
        let before = self.files.clone();
        if self.random.one_in(4) {
            self.files = before.process_ends();
            self.counts.n_kills += 1;
        } else {
            self.files = before.power_cut(&mut self.random);
            self.counts.n_cuts += 1;
        }
        // What the process still holds can do nothing any more.
        drop(process);
    }
}

impl Process {
    /// Starts and checks what is there; `None` if it was stopped on the way.
    fn start(outside: &mut Outside) -> Check<Option<Self>> {
        let opened = LocalJournal::without_thread(Path::new(DATA), outside.config.clone(), outside.environment());
        let (journal, writer) = match opened {
            Ok(opened) => opened,
            Err(_) if outside.files.has_stopped() => return Ok(None),
            Err(error) => {
                // A call that failed once: the next start has to do.
                outside.counts.n_refused += 1;
                match LocalJournal::without_thread(Path::new(DATA), outside.config.clone(), outside.environment()) {
                    Ok(opened) => opened,
                    Err(_) if outside.files.has_stopped() => return Ok(None),
                    Err(second) => return Err(format!("cannot open: {error:?}, then {second:?}")),
                }
            }
        };
        let view = journal.view().map_err(|error| error.to_string())?;
        let seen_to = view.oldest_seq();
        let mut process =
            Self { journal, writer, view, seen: BTreeMap::new(), seen_to, sent: Vec::new(), tails: <[Tail; 2]>::default(), reader: None, read_to: 0 };
        process.look()?;
        process.check_recovered(outside)?;
        Ok(Some(process))
    }

    /// Reads what is new in the journal: no event twice.
    fn look(&mut self) -> Check {
        self.view.refresh().map_err(|error| error.to_string())?;
        for block in self.view.blocks_from(self.seen_to) {
            let records = match self.view.read(block).map_err(|error| error.to_string())? {
                BlockRead::Records(records) => records,
                BlockRead::Gap(_) => continue,
            };
            for record in records.records() {
                let Some(id) = record.head.id else { continue };
                let event = number(id);
                if record.bytes[..8] != event.to_le_bytes() {
                    return Err(format!("event {event} at {} has other bytes", record.seq));
                }
                if let Some(before) = self.seen.insert(event, record.seq) {
                    return Err(format!("event {event} is there twice: at {before} and {}", record.seq));
                }
            }
            self.seen_to = block.end_seq();
        }
        Ok(())
    }

    fn check_recovered(&mut self, outside: &mut Outside) -> Check {
        let lost = self.journal.damage().into_iter().find(|damage| damage.to_offset == 0);
        if let Some(lost) = lost {
            return Err(format!("a cursor is ahead of the journal: {lost:?}"));
        }
        let has_retention = outside.config.max_size.is_some();
        // With retention, what is oldest may have gone; anything behind the oldest event that is there may not.
        let missing: Vec<u64> = outside.acknowledged.iter().filter(|event| !self.seen.contains_key(event)).copied().collect();
        if !has_retention && !missing.is_empty() {
            return Err(format!("acknowledged events are lost: {missing:?}"));
        }
        let oldest = self.view.oldest_seq();
        outside.acknowledged.retain(|event| self.seen.contains_key(event));
        if has_retention && let Some(lost) = missing.iter().find(|event| outside.seq_of(**event).is_some_and(|seq| seq >= oldest)) {
            return Err(format!("acknowledged event {lost} is lost, and retention did not take it"));
        }
        // An event that was lost unacknowledged may come again at a smaller number.
        outside.seqs.clone_from(&self.seen);
        for (tail, state) in self.tails.iter_mut().enumerate() {
            let position = self.journal.position(tail_name(tail)).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
            let base = TAIL * (tail as u64 + 1);
            let present: Vec<u64> = self.seen.range(base..base + TAIL).map(|(event, _)| event - base).collect();
            if !has_retention && let Some(line) = (0..position).find(|line| present.binary_search(line).is_err()) {
                return Err(format!("{}: position {position} is durable, line {line} is not", tail_name(tail)));
            }
            // Where a group was torn, positions in it do not count: those lines come again and are duplicates.
            outside.had_torn_group |= !self.journal.damage().is_empty();
            if tail == 0
                && !outside.had_torn_group
                && let Some(line) = present.last().filter(|line| **line >= position)
            {
                return Err(format!("{}: line {line} is durable, its position is not ({position})", tail_name(tail)));
            }
            if position < outside.tail_acknowledged[tail] {
                return Err(format!("{}: acknowledged position {} went back to {position}", tail_name(tail), outside.tail_acknowledged[tail]));
            }
            *state = Tail { next_line: position, acknowledged: position, waiting: 0 };
        }
        self.open_reader(outside)
    }

    fn open_reader(&mut self, outside: &mut Outside) -> Check {
        let reader = match self.journal.reader("r", StartFrom::Earliest) {
            Ok(reader) => reader,
            Err(_) if outside.files.has_stopped() => return Ok(()),
            Err(_) => return Ok(()),
        };
        if let Some(committed) = outside.committed
            && reader.position() < committed
        {
            return Err(format!("the cursor went back from {committed} to {}", reader.position()));
        }
        let state = reader.state();
        if !state.is_empty() && state != reader.position().to_le_bytes() {
            return Err("cursor and state are of two commits".to_owned());
        }
        self.read_to = reader.position();
        self.reader = Some(reader);
        Ok(())
    }

    /// Does things until it is stopped.
    fn live(&mut self, outside: &mut Outside) -> Check {
        for _ in 0..200 {
            if outside.files.has_stopped() {
                break;
            }
            match outside.random.below(14) {
                0..=3 => self.send_new(outside),
                4 => self.send_again(outside),
                5..=6 => self.send_lines(outside, 0),
                7 => self.send_lines(outside, 1),
                8 => self.send_body(outside)?,
                9 => self.read(outside)?,
                10 => outside.clock.advance(Duration::from_millis(outside.random.below(3000))),
                11 => match outside.random.below(8) {
                    0 => outside.files.set_capacity(Some(4096 + outside.random.below(8192))),
                    1..=3 => outside.files.set_capacity(None),
                    _ => {}
                },
                _ => self.step(outside)?,
            }
            if outside.random.one_in(2) {
                self.step(outside)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, outside: &mut Outside) -> Check {
        self.writer.step();
        self.take_answers(outside);
        self.look()?;
        outside.seqs.extend(&self.seen);
        Ok(())
    }

    fn take_answers(&mut self, outside: &mut Outside) {
        let mut waiting = Vec::new();
        for mut sent in std::mem::take(&mut self.sent) {
            let Some(answer) = poll(&mut sent.appending) else {
                waiting.push(sent);
                continue;
            };
            if let Some((tail, _)) = sent.tail {
                self.tails[tail].waiting -= 1;
            }
            match answer {
                Ok(_) => {
                    outside.counts.n_acknowledged += sent.events.len() as u64;
                    for event in sent.events {
                        outside.unacknowledged.remove(&event);
                        outside.acknowledged.insert(event);
                    }
                    if let Some((tail, line)) = sent.tail {
                        self.tails[tail].acknowledged = self.tails[tail].acknowledged.max(line);
                        outside.tail_acknowledged[tail] = outside.tail_acknowledged[tail].max(line);
                    }
                }
                Err(_) => {
                    outside.counts.n_refused += 1;
                    if let Some((tail, _)) = sent.tail {
                        self.tails[tail].next_line = self.tails[tail].acknowledged;
                    }
                }
            }
        }
        self.sent = waiting;
    }

    fn send(&mut self, outside: &mut Outside, events: Vec<u64>, tail: Option<(usize, u64)>) {
        let batch = batch(&events, tail, outside.clock.now());
        if let Some((tail, _)) = tail {
            self.tails[tail].waiting += 1;
        }
        self.sent.push(Sent { appending: self.journal.append(batch), events, tail });
    }

    fn new_events(outside: &mut Outside) -> Vec<u64> {
        let n_events = 1 + outside.random.below(4);
        let events: Vec<u64> = (outside.next_event..outside.next_event + n_events).collect();
        outside.next_event += n_events;
        outside.unacknowledged.extend(&events);
        events
    }

    fn send_new(&mut self, outside: &mut Outside) {
        let events = Self::new_events(outside);
        self.send(outside, events, None);
    }

    fn send_again(&mut self, outside: &mut Outside) {
        let mut events: Vec<u64> = outside.unacknowledged.iter().copied().take(5).collect();
        events.extend(outside.acknowledged.iter().rev().copied().filter(|event| *event < TAIL).take(1));
        outside.counts.n_sent_again += events.len() as u64;
        if !events.is_empty() {
            self.send(outside, events, None);
        }
    }

    /// The calm tail waits for each answer. The busy one sends several batches at once, which share a group: a
    /// position of one of them must not become durable without the lines of those before it.
    fn send_lines(&mut self, outside: &mut Outside, tail: usize) {
        if self.tails[tail].waiting > 0 {
            return;
        }
        let base = TAIL * (tail as u64 + 1);
        for _ in 0..[1, 3][tail] {
            let first = self.tails[tail].next_line;
            let end = first + tail as u64 + outside.random.below(4);
            self.tails[tail].next_line = end;
            self.send(outside, (first..end).map(|line| base + line).collect(), Some((tail, end)));
        }
    }

    fn send_body(&mut self, outside: &mut Outside) -> Check {
        let Ok(mut body) = self.journal.stage() else { return Ok(()) };
        let mut events = Vec::new();
        for _ in 0..=outside.random.below(4) {
            let of_batch = Self::new_events(outside);
            let pushed = body.push(batch(&of_batch, None, outside.clock.now()));
            events.extend(of_batch);
            if pushed.is_err() {
                return Ok(());
            }
            if outside.random.one_in(4) {
                self.step(outside)?;
            }
        }
        if outside.random.one_in(5) {
            return Ok(());
        }
        self.sent.push(Sent { appending: body.commit(), events, tail: None });
        Ok(())
    }

    /// Everything comes in order and once; the state is the cursor.
    fn read(&mut self, outside: &mut Outside) -> Check {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        for _ in 0..outside.random.below(6) {
            let (from, to) = match reader.next() {
                Ok(Next::Block(block)) => (block.first_seq, block.end_seq()),
                Ok(Next::Gap(gap)) => (gap.from_seq, gap.to_seq),
                Ok(Next::End) => break,
                Err(_) if outside.files.has_stopped() => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            if from != self.read_to {
                return Err(format!("the reader was at {} and got {from}", self.read_to));
            }
            self.read_to = to;
        }
        if reader.commit(&self.read_to.to_le_bytes()).is_ok() {
            outside.committed = Some(self.read_to);
        }
        Ok(())
    }

    /// The end of a seed: the disk is well, and senders send until they are answered.
    fn send_all_again(&mut self, outside: &mut Outside) -> Check {
        let all: Vec<u64> = outside.unacknowledged.iter().copied().collect();
        for events in all.chunks(7) {
            outside.counts.n_sent_again += events.len() as u64;
            self.send(outside, events.to_vec(), None);
        }
        for _ in 0..10 {
            outside.clock.advance(Duration::from_secs(2));
            self.step(outside)?;
            if outside.config.max_size.is_none() && self.sent.is_empty() && outside.unacknowledged.is_empty() {
                break;
            }
            if self.sent.is_empty() {
                let all: Vec<u64> = outside.unacknowledged.iter().copied().collect();
                if !all.is_empty() {
                    self.send(outside, all, None);
                }
            }
        }
        if !outside.unacknowledged.is_empty() {
            return Err(format!("not acknowledged in the end: {:?}, {:?}", outside.unacknowledged, self.journal.health()));
        }
        if outside.config.max_size.is_none()
            && let Some(lost) = outside.acknowledged.iter().find(|event| !self.seen.contains_key(event))
        {
            return Err(format!("acknowledged event {lost} is not there"));
        }
        let other = JournalView::open_with(Path::new(DATA), Arc::new(outside.files.clone())).map_err(|error| error.to_string())?;
        if other.next_seq() != self.journal.next_seq() {
            return Err(format!("another process sees {} of {}", other.next_seq(), self.journal.next_seq()));
        }
        Ok(())
    }
}

/// Runs one seed with some kind of sync left out, or none.
fn run_seed(seed: u64, left_out: Option<SyncPoint>, counts: &mut Counts) -> Check {
    let mut outside = Outside::new(seed);
    if let Some(point) = left_out {
        outside.files.leave_out(point);
    }
    let result = outside.run();
    counts.n_cuts += outside.counts.n_cuts;
    counts.n_kills += outside.counts.n_kills;
    counts.n_acknowledged += outside.counts.n_acknowledged;
    counts.n_sent_again += outside.counts.n_sent_again;
    counts.n_refused += outside.counts.n_refused;
    result
}

#[test]
fn nothing_acknowledged_is_lost() {
    // More of them for a soak.
    let n_cuts = std::env::var("DECKLOG_POWER_CUTS").map_or(10_000, |text| text.parse().unwrap());
    let mut counts = Counts::default();
    let mut seed = 0;
    while counts.n_cuts < n_cuts {
        if let Err(failure) = run_seed(seed, None, &mut counts) {
            panic!("seed {seed}: {failure}");
        }
        seed += 1;
    }
    println!("power cuts: {seed} seeds, {counts:?}");
}

#[test]
fn each_sync_is_necessary() {
    for point in SyncPoint::ALL {
        let found = (0..3000).find_map(|seed| run_seed(seed, Some(point), &mut Counts::default()).err().map(|failure| (seed, failure)));
        let (seed, failure) = found.unwrap_or_else(|| panic!("without {point:?} nothing was lost"));
        let failure: String = failure.chars().take(90).collect();
        println!("| {point:?} | {} | {failure} |", seed + 1);
    }
}
