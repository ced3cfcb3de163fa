//! Amazon EKS: the control plane writes audit events, as kube-apiserver's log has them, as messages into
//! CloudWatch Logs, group `/aws/eks/<cluster>/cluster`, streams `kube-apiserver-audit-<id>`; other components
//! write into other streams of the same group.
//!
//! Taken: subscription documents (Lambda, Kinesis and Firehose carry them packed: see `packed`), elements and whole
//! answers of `GetLogEvents` and `FilterLogEvents`, lines of S3 exports (`TIME MESSAGE`, the stream is the folder).
//! CloudWatch cuts a message that is too long and puts `[Truncated...]` behind it: of such an event stays what is
//! certain. docs/reference/eks.md has the field table and says what was verified.

use std::borrow::Cow;

use decklog_audit::Timestamp;
use decklog_audit::json::RawJson;

use super::convert::{Provenance, embedded_line};
use super::formats::{Format, Taking};
use super::object::Object;

/// What CloudWatch puts behind a message that it cut.
const CUT_MARK: &str = "[Truncated...]";
/// The name of a stream of audit events, without its id.
const AUDIT_STREAM: &str = "kube-apiserver-audit-";
/// Other streams of a cluster's log group, and the kind their records are counted under. The first that fits holds.
const OTHER_STREAMS: [(&str, &str); 5] = [
    ("authenticator-", "eks: stream authenticator"),
    ("kube-controller-manager-", "eks: stream kube-controller-manager"),
    ("cloud-controller-manager-", "eks: stream cloud-controller-manager"),
    ("kube-scheduler-", "eks: stream kube-scheduler"),
    ("kube-apiserver-", "eks: stream kube-apiserver"),
];
const OTHER_STREAM: &str = "eks: another stream";
const OTHER_TEXT: &str = "eks: text of another log";
const CONTROL_MESSAGE: &str = "eks: control message";
const WRITE_TEST: &str = "eks: write test of an export";

/// Where messages come from.
#[derive(Default)]
struct Origin<'a> {
    /// The account, where it is told.
    owner: Option<Cow<'a, str>>,
    log_group: Option<Cow<'a, str>>,
    log_stream: Option<Cow<'a, str>>,
}

/// See the module.
pub(super) fn read(object: &Object<'_>, taking: &mut Taking<'_>) -> bool {
    if let Some(kind) = object.text("messageType")
        && object.has("logEvents")
    {
        match &*kind {
            "CONTROL_MESSAGE" => taking.skip(CONTROL_MESSAGE),
            _ => subscription(object, taking),
        }
        return true;
    }
    if is_element(object) {
        element(object, &Origin { log_stream: object.word("logStreamName"), ..Origin::default() }, taking);
        return true;
    }
    // The answer of GetLogEvents or FilterLogEvents.
    let Some(events) = object.array("events") else { return false };
    if !events.elements().any(|event| Object::of(event).as_ref().is_some_and(is_element)) {
        return false;
    }
    for (index, item) in events.elements().enumerate() {
        match Object::of(item).filter(is_element) {
            Some(object) => element(&object, &Origin { log_stream: object.word("logStreamName"), ..Origin::default() }, &mut taking.at(index)),
            None => taking.at(index).refuse(item.as_str(), "an item of `events` that is no log event"),
        }
    }
    true
}

/// Takes a line of an S3 export, or a message that somebody took out of its wrapping and that CloudWatch had cut.
pub(super) fn read_text(text: &str, taking: &mut Taking<'_>) -> bool {
    if text.starts_with("{\"kind\":\"Event\"") && text.ends_with(CUT_MARK) {
        message(text, None, &Origin::default(), taking);
        return true;
    }
    let stream = taking.file.rsplit(['/', '\\']).find(|part| part.starts_with(AUDIT_STREAM) || other_stream(part).is_some());
    let stream = stream.map(|stream| Cow::Owned(stream.to_owned()));
    if taking.file.contains("aws-logs-write-test") {
        taking.skip(WRITE_TEST);
        return true;
    }
    let Some((time, rest)) = text.split_once(' ') else { return false };
    let Some(time) = Timestamp::parse_rfc3339(time) else { return false };
    // Any log may begin its lines with a time: without a stream's name only an event's text tells.
    if stream.is_none() && !rest.starts_with('{') && !is_other_text(rest) {
        return false;
    }
    message(rest, Some(time), &Origin { log_stream: stream, ..Origin::default() }, taking);
    true
}

/// Whether `object` is one message with its time, as CloudWatch's API gives it.
fn is_element(object: &Object<'_>) -> bool {
    let text = object.text("message").is_some();
    text && object.has("timestamp") && ["logStreamName", "ingestionTime", "eventId"].iter().any(|name| object.has(name))
}

fn subscription(document: &Object<'_>, taking: &mut Taking<'_>) {
    let origin = Origin { owner: document.word("owner"), log_group: document.word("logGroup"), log_stream: document.word("logStream") };
    let Some(events) = document.array("logEvents") else {
        return taking.refuse(document.raw().as_str(), "`logEvents` is no list");
    };
    for (index, event) in events.elements().enumerate() {
        match Object::of(event) {
            Some(event) => element(&event, &origin, &mut taking.at(index)),
            None => taking.at(index).refuse(event.as_str(), "an item of `logEvents` is no object"),
        }
    }
}

fn element(element: &Object<'_>, origin: &Origin<'_>, taking: &mut Taking<'_>) {
    match element.text("message") {
        Some(text) => message(&text, element.get("timestamp").and_then(time_of), origin, taking),
        None => taking.refuse(element.raw().as_str(), "a log event without `message`"),
    }
}

/// Milliseconds since 1970.
fn time_of(milliseconds: RawJson<'_>) -> Option<Timestamp> {
    let milliseconds: i64 = milliseconds.as_str().parse().ok()?;
    Some(Timestamp::from_micros(milliseconds.checked_mul(1000)?))
}

fn message(text: &str, time: Option<Timestamp>, origin: &Origin<'_>, taking: &mut Taking<'_>) {
    let instance = match origin.log_stream.as_deref() {
        Some(stream) => match stream.strip_prefix(AUDIT_STREAM) {
            Some(instance) => Some(instance),
            None => return taking.skip(other_stream(stream).unwrap_or(OTHER_STREAM)),
        },
        None if is_other_text(text) => return taking.skip(OTHER_TEXT),
        None => None,
    };
    let text = text.trim();
    let mut provenance = Provenance::new(Format::Eks, text);
    provenance.cluster = cluster(origin);
    provenance.instance = instance.map(Cow::Borrowed);
    let event = text.strip_suffix(CUT_MARK).unwrap_or(text);
    match embedded_line(event, time, provenance) {
        Ok(line) => taking.event(Format::Eks, &line),
        Err(error) => taking.refuse(text, format!("the message is no audit event: {error}")),
    }
}

/// `account/name`, or what of it is told.
fn cluster<'a>(origin: &Origin<'a>) -> Option<Cow<'a, str>> {
    let group = origin.log_group.as_deref()?;
    let name = group.strip_prefix("/aws/eks/")?.strip_suffix("/cluster")?;
    Some(Cow::Owned(match origin.owner.as_deref() {
        Some(owner) => format!("{owner}/{name}"),
        None => name.to_owned(),
    }))
}

fn other_stream(stream: &str) -> Option<&'static str> {
    if stream.starts_with(AUDIT_STREAM) {
        return None;
    }
    OTHER_STREAMS.iter().find(|(prefix, _)| stream.starts_with(prefix)).map(|(_, kind)| *kind)
}

/// Whether `text` begins as Kubernetes components and the authenticator write their own logs.
fn is_other_text(text: &str) -> bool {
    let klog = |bytes: &[u8]| matches!(bytes, [b'I' | b'W' | b'E' | b'F', digits @ ..] if digits.len() > 4 && digits[..4].iter().all(u8::is_ascii_digit) && digits[4] == b' ');
    klog(text.as_bytes()) || text.starts_with("time=\"")
}

#[cfg(test)]
mod tests {
    use decklog_audit::Event;
    use proptest::prelude::*;

    use super::*;
    use crate::import::tests::{mutated, quoted, taken, taken_of};
    use crate::testing::{line, recorded_lines};

    /// An element as FilterLogEvents gives it.
    fn element_of(stream: &str, message: &str) -> String {
        format!(r#"{{"logStreamName":"{stream}","timestamp":1763805600123,"ingestionTime":1763805604551,"message":{},"eventId":"38123"}}"#, quoted(message))
    }

    fn subscription_of(messages: &[String]) -> String {
        let events: Vec<String> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| format!(r#"{{"id":"{index}","timestamp":1763805600123,"message":{}}}"#, quoted(message)))
            .collect();
        format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/prod-eu/cluster","logStream":"kube-apiserver-audit-0f3a","subscriptionFilters":["decklog"],"logEvents":[{}]}}"#,
            events.join(",")
        )
    }

    #[test]
    fn a_whole_event_keeps_its_bytes_but_for_our_annotations() {
        for event in recorded_lines() {
            let taken = taken(&element_of("kube-apiserver-audit-0f3a", event));
            let mut stored = String::new();
            crate::import::tests::without_ours(&taken.lines[0], &mut stored);
            assert_eq!(stored, *event);
            let decoded = Event::decode(&taken.lines[0]).unwrap();
            let mut written = Vec::new();
            decklog_audit::event::write_log_line(&decoded, &mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap().trim_end(), taken.lines[0], "it is what kube-apiserver would write");
            assert_eq!(decoded.annotation("decklog.io/source"), Some("eks"));
            assert_eq!(decoded.annotation("decklog.io/instance"), Some("0f3a"));
        }
    }

    #[test]
    fn documents_behind_one_another_without_line_ends() {
        let control = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;
        let text = format!("{}{control}{}", subscription_of(&[line(1), "I1122 10:00:00 text".to_owned()]), subscription_of(&[line(2), line(3)]));
        let taken = taken(&text);
        assert_eq!(taken.lines.len(), 3);
        assert_eq!(taken.tally.skipped, [(CONTROL_MESSAGE, 1)].into());
        assert_eq!(taken.bad.len(), 1, "no event in an audit stream is no event: {:?}", taken.bad);
        assert!(taken.lines[0].contains(r#""decklog.io/cluster":"111122223333/prod-eu""#), "{}", taken.lines[0]);
    }

    #[test]
    fn records_of_other_streams_are_counted() {
        let elements: Vec<String> =
            ["authenticator-9", "kube-scheduler-9", "kube-apiserver-9", "kube-apiserver-9", "x"].map(|stream| element_of(stream, &line(1))).into();
        let taken = taken(&format!("{{\"events\":[{}],\"nextForwardToken\":\"f/1\"}}", elements.join(",")));
        assert!(taken.lines.is_empty() && taken.bad.is_empty());
        let kinds: Vec<_> = taken.tally.skipped.into_iter().collect();
        assert_eq!(kinds, [(OTHER_STREAM, 1), ("eks: stream authenticator", 1), ("eks: stream kube-apiserver", 2), ("eks: stream kube-scheduler", 1)]);
        let unnamed = format!(
            r#"{{"events":[{{"timestamp":1,"ingestionTime":2,"message":"time=\"2026-11-22T10:00:00Z\" level=info"}},{{"timestamp":1,"ingestionTime":2,"message":{}}}]}}"#,
            quoted(&line(1))
        );
        let taken = taken_of("a.json", &unnamed);
        assert_eq!((taken.lines.len(), taken.tally.skipped.get(OTHER_TEXT)), (1, Some(&1)));
    }

    #[test]
    fn an_item_that_is_no_log_event_leaves_the_others() {
        let element = element_of("kube-apiserver-audit-1", &line(1));
        let taken = taken(&format!("{{\"events\":[{element},null,{{\"message\":7}},{element}]}}"));
        assert_eq!((taken.lines.len(), taken.bad.len()), (2, 2), "{:?}", taken.bad);
    }

    #[test]
    fn exported_lines() {
        let text = format!("2026-11-22T10:00:00.123Z {}\n2026-11-22T10:00:01.000Z {}\n", line(1), line(2));
        let taken = taken_of("export/5f0c/kube-apiserver-audit-0f3a/000000.gz", &text);
        assert_eq!((taken.lines.len(), taken.bad.len()), (2, 0), "{:?}", taken.bad);
        assert!(taken.lines[0].contains(r#""decklog.io/instance":"0f3a""#));
        let taken = taken_of("export/5f0c/kube-scheduler-77/000000.gz", "2026-11-22T10:00:00.123Z I1122 10:00:00.123 1 x.go:1] y\n");
        assert_eq!(taken.tally.skipped, [("eks: stream kube-scheduler", 1)].into());
        assert_eq!(taken_of("export/aws-logs-write-test", "Permission Check Successful").tally.skipped, [(WRITE_TEST, 1)].into());
        let taken = taken_of("app.log", "2026-11-22T10:00:00.123Z some application says hello\n");
        assert_eq!((taken.bad.len(), taken.tally.skipped.len()), (1, 0), "any text with a time is not EKS's");
    }

    #[test]
    fn a_cut_message_gives_what_is_certain_with_the_record_s_time() {
        let event = &recorded_lines()[recorded_lines().iter().position(|line| line.contains("\"responseObject\"")).unwrap()];
        let cut = event.find("\"responseObject\"").unwrap() + 40;
        let texts = [element_of("kube-apiserver-audit-0f3a", &format!("{}{CUT_MARK}", &event[..cut])), element_of("kube-apiserver-audit-0f3a", &line(5))];
        let taken = taken(&texts.join("\n"));
        assert_eq!((taken.lines.len(), taken.bad.len()), (2, 0), "its neighbour is there: {:?}", taken.bad);
        let (whole, part) = (Event::decode(event).unwrap(), Event::decode(&taken.lines[0]).unwrap());
        assert_eq!(
            (&part.audit_id, &part.user, &part.object_ref, &part.request_object),
            (&whole.audit_id, &whole.user, &whole.object_ref, &whole.request_object)
        );
        assert_eq!(part.response_object, None);
        assert_eq!(part.stage_timestamp.unwrap().to_string(), "2025-11-22T10:00:00.123000Z");
        assert_eq!(part.annotation("decklog.io/inferred"), Some("stageTimestamp"));
        assert_eq!(part.annotation("decklog.io/missing"), Some("annotations,requestReceivedTimestamp,responseObject"));
        assert_eq!(part.annotation("decklog.io/truncated"), Some("provider"));
        let alone = taken_of("messages.log", &format!("{}{CUT_MARK}\n{}\n", &event[..cut], line(6)));
        assert_eq!((alone.lines.len(), alone.bad.len()), (2, 0));
    }

    proptest! {
        #[test]
        fn any_document_ends(seed: u64, n_changes in 0usize..8, text: String) {
            taken(&text);
            taken(&element_of("kube-apiserver-audit-0f3a", &text));
            taken(&mutated(&subscription_of(&[line(1), line(2)]), seed, n_changes));
            taken_of("x/kube-apiserver-audit-0f3a/0.gz", &mutated(&format!("2026-11-22T10:00:00.123Z {}", line(1)), seed, n_changes));
        }
    }
}
