//! `bench-decode`: how fast decklog reads a webhook body, beside serde_json into the typed struct and
//! beside Go's codecs, in one run; fails if a target is missed.
//!
//! decklog does what its receiver does: it splits the list, decodes each item with unknown members and the
//! exact line, and in the second case redacts and identifies it into a batch. All contenders of this process
//! take turns, each round is timed in CPU seconds, and the median counts. Go's codec runs right after, on one
//! processor, its garbage collector included.

mod peer;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use decklog_audit::Timestamp;
use decklog_audit::event::Event;
use decklog_audit::intake::{Form, Intake};
use decklog_audit::journal::{Batch, Origin};
use decklog_audit::json::scan_value;
use decklog_audit::redact::{RedactionKey, Redactor};
use decklog_benches::EventList;
use rustix::time::{ClockId, clock_gettime};

const BODY: &str = include_str!("../../../data/eventlist-400.json");
const N_EVENTS: usize = 400;
const VERSION: &str = "audit.k8s.io/v1";
const ROUNDS: usize = 41;
/// Decodes a round, so that one takes many times the clock's resolution.
const DECODES: u32 = 10;

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command's output")]
fn main() -> ExitCode {
    let intake = Intake { redactor: Some(Arc::new(Redactor::new(RedactionKey::generate([7; 32])))), max_event_bytes: 4 << 20 };
    let contenders: [(&str, &dyn Fn() -> usize); 3] = [("serde_json", &decode_by_serde), ("decode", &decode), ("take in", &|| take_in(&intake))];
    let [serde, decode, take_in] = in_turns(&contenders.map(|(_, contender)| contender));
    let megabytes = BODY.len() as f64 / 1e6;
    for ((name, _), seconds) in contenders.iter().zip([serde, decode, take_in]) {
        println!("{name:<14} {:7.3} ms {:7.0} MB/s", seconds * 1e3, megabytes / seconds);
    }
    let go = match peer::go_codecs() {
        Ok(go) => go,
        Err(error) => {
            eprintln!("error: Go's codec was not measured: {error}");
            return ExitCode::from(3);
        }
    };
    println!("{:<14} {:7.3} ms {:7.0} MB/s", "go audit codec", go.audit_codec * 1e3, megabytes / go.audit_codec);
    println!("{:<14} {:7.3} ms {:7.0} MB/s", "go json", go.encoding_json * 1e3, megabytes / go.encoding_json);

    let ratios = [
        ("decode with unknown fields and exact line, times serde_json", serde / decode, 0.6),
        ("decode with unknown fields and exact line, times Go's audit codec", go.audit_codec / decode, 8.0),
        ("with redaction and id as well, times serde_json", serde / take_in, 0.4),
        ("with redaction and id as well, times Go's audit codec", go.audit_codec / take_in, 5.0),
    ];
    let mut missed = false;
    for (what, ratio, target) in ratios {
        let met = ratio >= target;
        missed |= !met;
        println!("{ratio:6.2} (at least {target}) {what}{}", if met { "" } else { ": MISSED" });
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The median CPU seconds of one call of each, over rounds in which they alternate.
fn in_turns<const N: usize>(contenders: &[&dyn Fn() -> usize; N]) -> [f64; N] {
    let mut rounds: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(ROUNDS));
    for round in 0..=ROUNDS {
        for (contender, seconds) in contenders.iter().zip(&mut rounds) {
            let start = cpu_seconds();
            for _ in 0..DECODES {
                assert_eq!(contender(), N_EVENTS, "a contender did not decode all events");
            }
            // The first round warms up.
            if round > 0 {
                seconds.push((cpu_seconds() - start) / f64::from(DECODES));
            }
        }
    }
    rounds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    })
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The items of the body, split as the receiver splits a stream.
fn items() -> impl Iterator<Item = &'static str> {
    const BEGIN: &str = "\"items\":[";
    let mut at = BODY.find(BEGIN).expect("the body is an EventList") + BEGIN.len();
    std::iter::from_fn(move || {
        let length = scan_value(&BODY.as_bytes()[at..]).ok()?;
        let item = &BODY[at..at + length];
        // Behind the item: a comma, or the list's end.
        at += length + 1;
        Some(item)
    })
}

fn decode() -> usize {
    items().filter(|item| black_box(Event::decode_item(item, VERSION)).is_ok()).count()
}

fn take_in(intake: &Intake) -> usize {
    let mut batch = Batch::new(Origin::default(), Timestamp::default());
    for item in items() {
        if intake.push(item.as_bytes(), Form::ListItem(VERSION), &mut batch).is_err() {
            return 0;
        }
    }
    black_box(&batch).n_records()
}

/// The peer in Rust.
fn decode_by_serde() -> usize {
    let list: EventList<'_> = serde_json::from_str(BODY).expect("the body is an EventList");
    black_box(list).items.len()
}
