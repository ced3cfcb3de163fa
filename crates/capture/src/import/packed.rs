//! Documents that carry other documents in base64, packed by gzip or not: what Lambda gets of CloudWatch Logs and
//! of Kinesis, what Firehose posts, what Pub/Sub pushes.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decklog_audit::json::{JsonKind, RawJson};
use flate2::bufread::MultiGzDecoder;
use memchr::memmem;

use super::convert::sha256_hex;
use super::formats::Taking;
use super::object::Object;
use crate::split::Bad;

/// More than this many times its size is a bomb, once it is [`HARMLESS_BYTES`] large.
const MAX_RATIO: u64 = 100;
const HARMLESS_BYTES: u64 = 16 << 20;

/// See the module.
pub(super) fn read(object: &Object<'_>, taking: &mut Taking<'_>) -> bool {
    // {"awslogs":{"data":…}}
    if let Some(data) = object.object("awslogs").and_then(|logs| logs.get("data")) {
        unpack(data, taking);
        return true;
    }
    // {"message":{"data":…,"messageId":…},"subscription":…}
    if let Some(message) = object.object("message")
        && let Some(data) = message.get("data").filter(|data| data.kind() == JsonKind::String)
        && (object.has("subscription") || object.has("ackId") || message.has("messageId") || message.has("publishTime"))
    {
        unpack(data, taking);
        return true;
    }
    // {"records":[{"data":…}]} and {"Records":[{"kinesis":{"data":…}}]}
    let Some(records) = object.array("records").or_else(|| object.array("Records")) else { return false };
    if !records.elements().any(|record| data_of_record(record).is_some()) {
        return false;
    }
    for (index, record) in records.elements().enumerate() {
        match data_of_record(record) {
            Some(data) => unpack(data, &mut taking.at(index)),
            None => taking.at(index).refuse(record.as_str(), "an item of `records` without `data`"),
        }
    }
    true
}

fn data_of_record(record: RawJson<'_>) -> Option<RawJson<'_>> {
    let record = Object::of(record)?;
    let data = record.get("data").or_else(|| record.object("kinesis")?.get("data"))?;
    (data.kind() == JsonKind::String).then_some(data)
}

fn unpack(data: RawJson<'_>, taking: &mut Taking<'_>) {
    let text = data.as_string().unwrap_or_default();
    let bytes = match STANDARD.decode(text.as_bytes()) {
        Ok(bytes) => bytes,
        Err(error) => return taking.refuse(&note_of(&text), format!("`data` is no base64: {error}")),
    };
    let unpacked = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut decoder = MultiGzDecoder::new(bytes.as_slice());
        let mut n_unpacked = 0;
        taking.stream(|buffer| {
            let n_bytes = decoder.read(buffer)?;
            n_unpacked += n_bytes as u64;
            if n_unpacked > HARMLESS_BYTES && n_unpacked > bytes.len() as u64 * MAX_RATIO {
                return Err(std::io::Error::other(format!("it unpacks to more than {MAX_RATIO} times its size")));
            }
            Ok(n_bytes)
        })
    } else {
        let mut rest = bytes.as_slice();
        taking.stream(|buffer| rest.read(buffer))
    };
    if let Err(error) = unpacked {
        taking.refuse(&note_of(&text), format!("`data` cannot be read to its end: {error}"));
    }
}

/// What the quarantine keeps: nobody can see whether credentials are in packed data, so not the data itself.
fn note_of(data: &str) -> String {
    format!("{} bytes of packed data, SHA-256 {}", data.len(), sha256_hex(data.as_bytes()))
}

/// A broken document without the packed data in it, from there on, for the same reason.
pub(super) fn left_out(mut bad: Bad) -> Bad {
    const NAME: &[u8] = b"data";
    /// Shorter than any packed document, longer than what stands there otherwise.
    const SHORTEST: usize = 64;
    let packed = memmem::find_iter(&bad.bytes, NAME).find_map(|at| {
        let behind = &bad.bytes[at + NAME.len()..];
        let start = behind.iter().position(|byte| !matches!(byte, b'\\' | b'"' | b':' | b' '))?;
        let length = behind[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')).count();
        (start > 2 && length >= SHORTEST).then_some(at + NAME.len() + start)
    });
    if let Some(start) = packed {
        bad.bytes.truncate(start);
        bad.size = start as u64;
        bad.detail.push_str("; packed data is left out");
    }
    bad
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::{gzip, mutated, taken};
    use crate::testing::line;

    fn pubsub(data: &[u8]) -> String {
        format!(r#"{{"message":{{"data":"{}","messageId":"1"}},"subscription":"projects/p/subscriptions/s"}}"#, STANDARD.encode(data))
    }

    #[test]
    fn plain_events_in_any_packing() {
        let two = format!("{}{}", line(1), line(2));
        for text in [
            pubsub(two.as_bytes()),
            pubsub(&gzip(two.as_bytes())),
            pubsub(&[gzip(line(1).as_bytes()), gzip(line(2).as_bytes())].concat()),
            format!(r#"{{"requestId":"r","records":[{{"data":"{}"}},{{"data":"{}"}}]}}"#, STANDARD.encode(line(1)), STANDARD.encode(gzip(line(2).as_bytes()))),
            format!(r#"{{"Records":[{{"kinesis":{{"data":"{}"}}}}]}}"#, STANDARD.encode(gzip(two.as_bytes()))),
            pubsub(pubsub(two.as_bytes()).as_bytes()),
        ] {
            let taken = taken(&text);
            assert_eq!((taken.lines, taken.bad.len()), (vec![line(1), line(2)], 0), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_data_ends(seed: u64, n_changes in 0usize..6, bytes: Vec<u8>, at: proptest::sample::Index) {
            taken(&pubsub(&bytes));
            let mut packed = gzip(format!("{}{}", line(1), line(2)).as_bytes());
            let at = at.index(packed.len());
            packed[at] ^= 1 << (seed % 8);
            taken(&pubsub(&packed));
            taken(&mutated(&pubsub(&packed), seed, n_changes));
        }
    }

    #[test]
    fn what_cannot_be_unpacked_is_refused_and_the_rest_is_there() {
        let many: String = (0..2000).map(line).collect();
        let packed = gzip(many.as_bytes());
        let half = taken(&pubsub(&packed[..packed.len() / 2]));
        assert!(!half.lines.is_empty() && half.bad.last().unwrap().contains("cannot be read to its end"), "{:?}", half.bad);
        assert!(taken(r#"{"awslogs":{"data":"H4sI*"}}"#).bad[0].contains("no base64"));
        let bomb = taken(&pubsub(&gzip(&vec![b' '; 40 << 20])));
        assert!(bomb.bad[0].contains("100 times its size"), "{:?}", bomb.bad);
        let whole = pubsub(&packed);
        let cut = taken(&format!("{}\n{}", &whole[..whole.len() / 2], line(1)));
        assert_eq!((cut.refused[0].as_str(), cut.lines.len()), (r#"{"message":{"data":""#, 1));
        let mut deep = pubsub(line(1).as_bytes());
        (0..6).for_each(|_| deep = pubsub(deep.as_bytes()));
        let deep = taken(&deep);
        assert!(deep.lines.is_empty() && deep.bad[0].contains("nested more than 4 times"), "{:?}", deep.bad);
    }
}
