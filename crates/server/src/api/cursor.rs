//! Where a page ended: an opaque, signed text that the next page is asked for with.
//!
//! ```text
//! base64url( version 1 ‖ asof u64 ‖ now i64 µs ‖ time i64 s, u32 ns ‖ seq u64 ‖ question [16] ‖ HMAC-SHA-256 [16] )
//! ```
//!
//! Numbers are little-endian. `asof` is the journal's sequence at the first page and `now` its time: later
//! pages see the same events and read `6h` the same way, whatever has arrived since. `question` is a hash
//! of filter, range and order. The signature keeps clients from building their own and so from depending
//! on what is inside.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use decklog_audit::Timestamp;

const VERSION: u8 = 1;
const BODY: usize = 1 + 8 + 8 + 12 + 8 + 16;
const SIGNATURE: usize = 16;

/// Signs cursors and checks them.
#[derive(Debug)]
pub(crate) struct CursorKey(hmac::Key);

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Only events below this sequence belong to the answer.
    pub(crate) asof: u64,
    /// The time of the first page, to the microsecond.
    pub(crate) now: Timestamp,
    /// The last event handed out.
    pub(crate) after: (Timestamp, u64),
    /// The hash of the question.
    pub(crate) question: [u8; 16],
}

/// The hash that binds a cursor to its question.
pub(crate) fn question_hash(spelled: &str) -> [u8; 16] {
    digest(&SHA256, spelled.as_bytes()).as_ref()[..16].try_into().expect("SHA-256 has 32 bytes")
}

impl CursorKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The text of a cursor.
    pub(crate) fn sign(&self, cursor: &Cursor) -> String {
        let (time, seq) = cursor.after;
        let mut bytes = Vec::with_capacity(BODY + SIGNATURE);
        bytes.push(VERSION);
        bytes.extend(cursor.asof.to_le_bytes());
        bytes.extend(cursor.now.micros().to_le_bytes());
        bytes.extend(time.seconds().to_le_bytes());
        bytes.extend(time.nanoseconds().to_le_bytes());
        bytes.extend(seq.to_le_bytes());
        bytes.extend(cursor.question);
        let signature = hmac::sign(&self.0, &bytes);
        bytes.extend(&signature.as_ref()[..SIGNATURE]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor of a text of ours; `None` for any other.
    pub(crate) fn open(&self, text: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == BODY + SIGNATURE)?;
        let (body, signature) = bytes.split_at(BODY);
        let expected = hmac::sign(&self.0, body);
        verify_slices_are_equal(&expected.as_ref()[..SIGNATURE], signature).ok()?;
        let u64_at = |at: usize| body[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        let nanoseconds = u32::from_le_bytes(body[25..29].try_into().ok()?);
        (body[0] == VERSION).then_some(())?;
        Some(Cursor {
            asof: u64_at(1)?,
            now: Timestamp::from_micros(u64_at(9)? as i64),
            after: (Timestamp::new(u64_at(17)? as i64, nanoseconds)?, u64_at(29)?),
            question: body[37..53].try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> CursorKey {
        CursorKey::new(&[7; 32])
    }

    proptest! {
        #[test]
        fn cursors_come_back(asof: u64, micros in -62_167_219_200_000_000i64..253_402_300_799_000_000, seconds in -62_167_219_200i64..253_402_300_799, nanoseconds in 0u32..1_000_000_000, seq: u64, question: [u8; 16]) {
            let cursor = Cursor { asof, now: Timestamp::from_micros(micros), after: (Timestamp::new(seconds, nanoseconds).unwrap(), seq), question };
            prop_assert_eq!(key().open(&key().sign(&cursor)), Some(cursor));
        }

        #[test]
        fn changed_ones_do_not(at in 0usize..92, symbol in "[A-Za-z0-9_-]") {
            let cursor = Cursor { asof: 9, now: Timestamp::from_micros(1), after: (Timestamp::default(), 7), question: [3; 16] };
            let text = key().sign(&cursor);
            let mut changed = text.clone();
            changed.replace_range(at..at + 1, &symbol);
            prop_assert_eq!(key().open(&changed).is_some(), changed == text);
            prop_assert_eq!(CursorKey::new(&[8; 32]).open(&text), None);
        }

        #[test]
        fn any_text_is_refused(text in any::<String>()) {
            prop_assert_eq!(key().open(&text), None);
        }
    }
}
