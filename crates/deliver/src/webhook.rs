//! What goes over the wire to a decklog server's webhook receiver, and what its answers mean (`docs/sources.md`).
//!
//! Events go as their stored lines, one a line: the receiver keeps those bytes, so that the event has the same id on both
//! sides and one that is sent twice is stored once.

use std::time::Duration;

use decklog_audit::sink::{SinkError, SinkEvent};
use serde::Deserialize;

/// A body to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The `Content-Encoding`; `None` is as it is.
    pub encoding: Option<&'static str>,
}

/// Short bodies are not worth packing.
const PACK_FROM: usize = 1 << 10;
/// The receiver takes bodies up to 100 times larger than what came over the wire (against bombs); one that packs better
/// than this is sent as it is.
const MOST_PACKED: usize = 64;

impl Body {
    /// The stored lines of `events`, packed with zstd where that helps.
    pub fn of(events: &[SinkEvent]) -> Self {
        let mut bytes = Vec::with_capacity(events.iter().map(|event| event.line.len() + 1).sum());
        for event in events {
            bytes.extend_from_slice(&event.line);
            bytes.push(b'\n');
        }
        if bytes.len() < PACK_FROM {
            return Self { bytes, encoding: None };
        }
        match zstd::bulk::compress(&bytes, 1) {
            Ok(packed) if packed.len() < bytes.len() && bytes.len() / MOST_PACKED <= packed.len() => Self { bytes: packed, encoding: Some("zstd") },
            _ => Self { bytes, encoding: None },
        }
    }
}

/// An answer, as far as it decides something.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u64>,
    /// `Content-Type`.
    pub content_type: &'a str,
    /// The body, whole.
    pub body: &'a [u8],
}

/// What a decklog server says of a body it took.
#[derive(Deserialize)]
struct Counts {
    stored: u64,
    duplicates: u64,
    quarantined: u64,
}

/// What a decklog server says of one it did not take.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    detail: String,
}

/// Where the types of its problems begin.
const TYPE_BASE: &str = "https://decklog.io/problems/";
/// The problems that are of the events themselves; all others are of the sender, the way or the moment.
const REFUSALS: [&str; 2] = ["bad-body", "too-large"];

impl Answer<'_> {
    /// Whether the `n_events` of the body are safe. Only a decklog server's own words decide for good: whatever stands
    /// between (a proxy, a login page, another service at that address) may answer 200 or 400 too, and must not make events
    /// count as delivered or as bad.
    pub fn outcome(&self, n_events: usize) -> Result<(), SinkError> {
        let after = self.retry_after.map(Duration::from_secs);
        let later = |reason: String| Err(SinkError::Later { reason, after });
        if self.status == 200 {
            return match serde_json::from_slice::<Counts>(self.body) {
                Ok(counts) if counts.stored.saturating_add(counts.duplicates).saturating_add(counts.quarantined) == n_events as u64 => Ok(()),
                Ok(counts) => later(format!(
                    "the server answers for {} stored, {} duplicate and {} quarantined events, {n_events} were sent",
                    counts.stored, counts.duplicates, counts.quarantined
                )),
                Err(_) => later("what answers there with 200 is no decklog server".to_owned()),
            };
        }
        let problem = self.problem();
        let said = problem.as_ref().map_or(String::new(), |problem| {
            let text = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
            format!(": {}", text.chars().take(200).collect::<String>())
        });
        let reason = format!("the server answers {}{said}", self.status);
        let is_refusal = problem.is_some_and(|problem| problem.kind.strip_prefix(TYPE_BASE).is_some_and(|name| REFUSALS.contains(&name)));
        if is_refusal { Err(SinkError::Refused { reason }) } else { later(reason) }
    }

    /// What a decklog server says; `None` if it is none.
    fn problem(&self) -> Option<Problem> {
        let problem: Problem = serde_json::from_slice(self.body).ok()?;
        (self.content_type.starts_with("application/problem+json") && problem.kind.starts_with(TYPE_BASE)).then_some(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use decklog_audit::Timestamp;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn events(lines: &[&str]) -> Vec<SinkEvent> {
        let of = |(seq, line): (usize, &&str)| SinkEvent {
            seq: seq as u64,
            time: Timestamp::from_micros(0),
            origin: Arc::default(),
            line: bytes::Bytes::copy_from_slice(line.as_bytes()),
        };
        lines.iter().enumerate().map(of).collect()
    }

    fn answer(status: u16, content_type: &'static str, body: &'static str) -> Answer<'static> {
        Answer { status, retry_after: None, content_type, body: body.as_bytes() }
    }

    #[test]
    fn bodies_are_lines_and_packed_when_long() {
        assert_eq!(Body::of(&events(&["{\"a\":1}", "{\"b\":2}"])), Body { bytes: b"{\"a\":1}\n{\"b\":2}\n".to_vec(), encoding: None });
        // Numbers do not repeat, so that it packs, but not like a bomb.
        let text: String = (0..2_000).map(|number: u32| number.wrapping_mul(2_654_435_761).to_string()).collect();
        let body = Body::of(&events(&[&text]));
        assert_eq!(body.encoding, Some("zstd"));
        assert_eq!(zstd::bulk::decompress(&body.bytes, 1 << 20).unwrap(), [text.as_bytes(), b"\n"].concat());
        let same = "x".repeat(100_000);
        assert_eq!(Body::of(&events(&[&same])).encoding, None, "the receiver would take it for a bomb");
    }

    #[test]
    fn only_a_decklog_server_decides() {
        let json = "application/json";
        assert_eq!(answer(200, json, r#"{"stored":1,"duplicates":2,"quarantined":0}"#).outcome(3), Ok(()));
        for (status, content_type, body) in [
            (200, "text/html", "<html>please log in</html>"),
            (200, json, "{}"),
            (200, json, r#"{"stored":1,"duplicates":0,"quarantined":0}"#),
            (204, json, ""),
            (400, "text/html", "<h1>400 Bad Request</h1>"),
            (400, json, r#"{"type":"https://decklog.io/problems/bad-body"}"#),
            (400, "application/problem+json", r#"{"type":"https://decklog.io/problems/tls-required"}"#),
            (400, "application/problem+json", r#"{"type":"https://decklog.io/problems/broken-off"}"#),
            (413, "text/plain", "too large"),
            (401, "application/problem+json", r#"{"type":"https://decklog.io/problems/unauthenticated"}"#),
            (403, "application/problem+json", r#"{"type":"https://decklog.io/problems/forbidden"}"#),
            (429, json, ""),
            (500, json, ""),
            (503, json, ""),
            (302, json, ""),
        ] {
            assert!(matches!(answer(status, content_type, body).outcome(3), Err(SinkError::Later { .. })), "{status} {body}");
        }
        let refused = answer(400, "application/problem+json", r#"{"type":"https://decklog.io/problems/bad-body","detail":"no event in it"}"#).outcome(3);
        assert_eq!(refused, Err(SinkError::Refused { reason: "the server answers 400: no event in it".to_owned() }));
    }

    #[test]
    fn what_the_server_asks_for_is_passed_on() {
        let busy = Answer { retry_after: Some(7), ..answer(503, "", "") };
        assert!(matches!(busy.outcome(1), Err(SinkError::Later { after: Some(after), .. }) if after == Duration::from_secs(7)));
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_none_but_ours_is_final(status in 100_u16..600, content_type in ".{0,40}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let answer = Answer { status, retry_after: None, content_type: &content_type, body: &body };
            let is_later = matches!(answer.outcome(1), Err(SinkError::Later { .. }));
            prop_assert!(is_later);
        }
    }
}
