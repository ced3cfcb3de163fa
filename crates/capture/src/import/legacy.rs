//! The text lines of kube-apiserver's `--audit-log-format=legacy`, one event each:
//!
//! ```text
//! 2026-11-22T09:57:45.096Z AUDIT: id="36…" stage="RequestReceived" ip="127.0.0.1" method="get" user="ana" groups="\"a\",\"b\""
//!   as="<self>" asgroups="<lookup>" user-agent="curl/7.88.1" namespace="<none>" uri="/readyz" response="<deferred>"
//! ```
//!
//! A line holds no object, no bodies, no annotations and not when the stage was reached. What it holds becomes an
//! event; what follows from it (the object that the URI names) is marked as inferred; the line itself stays in
//! the annotation `decklog.io/line`. docs/reference/legacy.md has the field table.
//!
//! Source of the format: `k8s.io/apiserver/pkg/audit/event.go` and `format.go` (v0.36.3); `user-agent` is there since 1.22.

mod request;

use std::borrow::Cow;

use decklog_audit::event::{ObjectReference, Status, UserInfo, readable_text};
use decklog_audit::{Event, Level, Stage, Timestamp};

use super::convert::{Provenance, rebuilt_line};
use super::formats::Format;

/// What stands between the time and the fields.
const MARK: &str = " AUDIT: ";

/// The line to store of the event that `text`, a line of the legacy format, tells of; `None` if it is no such line.
pub(crate) fn line_of(text: &str) -> Option<Vec<u8>> {
    // Cheap for everything else.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (time, fields) = text.split_once(MARK)?;
    let received = Timestamp::parse_rfc3339(time)?;
    let fields = Fields::parse(fields)?;
    let event = event_of(&fields, received)?;
    let mut provenance = Provenance::new(Format::Legacy, text);
    provenance.line = Some(text);
    provenance.inferred("level");
    if event.object_ref.is_some() {
        provenance.inferred("objectRef");
    }
    if event.stage_kind() == Some(Stage::RequestReceived) {
        provenance.inferred("stageTimestamp");
    } else {
        provenance.missing("stageTimestamp");
        provenance.missing("responseObject");
        provenance.missing("responseStatus");
    }
    for field in ["annotations", "requestObject", "sourceIPs.chain", "user.extra", "user.uid"] {
        provenance.missing(field);
    }
    if event.user_agent.is_none() {
        provenance.missing("userAgent");
    }
    if event.impersonated_user.is_some() {
        provenance.missing("impersonatedUser.extra");
        provenance.missing("impersonatedUser.uid");
    }
    Some(rebuilt_line(&event, &provenance))
}

/// Whether `text`, which is no line of the legacy format, was meant to be one.
pub(super) fn is_broken_line(text: &str) -> bool {
    text.split_once(MARK).is_some_and(|(time, fields)| Timestamp::parse_rfc3339(time).is_some() && fields.starts_with("id=\""))
}

/// `text` up to the query of its URI: the quarantine's redaction does not know a URI in plain text.
pub(super) fn without_query(text: &str) -> &str {
    let uri = text.find("uri=\"").unwrap_or(text.len());
    &text[..text[uri..].find('?').map_or(text.len(), |query| uri + query)]
}

fn event_of<'f>(fields: &'f Fields, received: Timestamp) -> Option<Event<'f>> {
    let (id, stage) = (fields.get("id")?, fields.get("stage")?);
    let uri = fields.get("uri")?;
    let verb = fields.get("method");
    let user = UserInfo { username: fields.unless("user", "<none>"), groups: fields.list("groups", "<none>"), ..UserInfo::default() };
    let impersonated_user = match fields.get("as") {
        None | Some("<self>") => None,
        Some(name) => Some(UserInfo { username: Some(Cow::Borrowed(name)), groups: fields.list("asgroups", "<lookup>"), ..UserInfo::default() }),
    };
    let mut object_ref = request::object_of(uri, verb.unwrap_or_default());
    if let Some(namespace) = fields.unless("namespace", "<none>") {
        object_ref.get_or_insert_with(ObjectReference::default).namespace = Some(namespace);
    }
    let code = fields.get("response").and_then(|code| code.parse().ok()).filter(|code: &i32| *code != 0);
    Some(Event {
        // A line holds what this level records, whatever was recorded.
        level: Some(Cow::Borrowed(Level::Metadata.as_str())),
        audit_id: Some(Cow::Borrowed(id)),
        stage: Some(Cow::Borrowed(stage)),
        request_uri: Some(Cow::Borrowed(uri)),
        verb: verb.map(Cow::Borrowed),
        user,
        impersonated_user,
        source_ips: fields.unless("ip", "<unknown>").map(|ip| vec![ip]),
        user_agent: fields.unless("user-agent", ""),
        object_ref,
        response_status: code.map(|code| Status { code: Some(code), ..Status::default() }),
        request_received_timestamp: Some(received),
        // kube-apiserver makes both times one on this stage.
        stage_timestamp: (stage == Stage::RequestReceived.as_str()).then_some(received),
        ..Event::default()
    })
}

/// `key="value"`, one space between two.
struct Fields(Vec<(String, String)>);

impl Fields {
    /// All of `text`, or nothing.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = Vec::new();
        let mut rest = text;
        loop {
            let (key, behind) = rest.split_once('=')?;
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
                return None;
            }
            let (value, length) = unquote(behind)?;
            fields.push((key.to_owned(), value));
            rest = &behind[length..];
            match rest.strip_prefix(' ') {
                Some(next) => rest = next,
                None if rest.is_empty() => return Some(Self(fields)),
                None => return None,
            }
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value, unless it is the word for "none".
    fn unless(&self, key: &str, none: &str) -> Option<Cow<'_, str>> {
        self.get(key).filter(|value| *value != none).map(Cow::Borrowed)
    }

    /// A list whose items are quoted once more.
    fn list(&self, key: &str, none: &str) -> Option<Vec<Cow<'_, str>>> {
        let mut rest = self.get(key).filter(|value| *value != none && !value.is_empty())?;
        let mut items = Vec::new();
        loop {
            let (item, length) = unquote(rest)?;
            items.push(Cow::Owned(item));
            rest = &rest[length..];
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None if rest.is_empty() => return Some(items),
                None => return None,
            }
        }
    }
}

/// The Go string that `text` begins with (`%q`), and how long it is as quoted.
fn unquote(text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut value = Vec::new();
    let mut at = 1;
    loop {
        let plain = memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        value.extend_from_slice(&bytes[at..at + plain]);
        at += plain;
        if bytes[at] == b'"' {
            return Some((readable_text(&value).into_owned(), at + 1));
        }
        let escape = *bytes.get(at + 1)?;
        at += 2;
        let n_digits = match escape {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => 0,
        };
        if n_digits == 0 {
            value.push(match escape {
                b'a' => 0x07,
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                b'\\' | b'"' => escape,
                _ => return None,
            });
            continue;
        }
        let digits = std::str::from_utf8(bytes.get(at..at + n_digits)?).ok()?;
        let code = u32::from_str_radix(digits, 16).ok()?;
        at += n_digits;
        if escape == b'x' {
            // A byte, which need not be a character.
            value.push(u8::try_from(code).ok()?);
        } else {
            value.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use decklog_audit::event::write_legacy_line;
    use proptest::prelude::*;

    use super::*;
    use crate::import::tests::{mutated, taken};
    use crate::testing::recorded_lines;

    fn event_line(text: &str) -> Option<String> {
        line_of(text).map(|line| String::from_utf8(line).unwrap())
    }

    /// The line of an event and its event say the same.
    #[test]
    fn every_recorded_event_through_its_legacy_line() {
        for json in recorded_lines() {
            let whole = Event::decode(json).unwrap();
            let mut text = Vec::new();
            write_legacy_line(&whole, &mut text);
            let text = String::from_utf8(text).unwrap();
            let line = event_line(text.trim_end()).unwrap_or_else(|| panic!("{text}"));
            let event = Event::decode(&line).unwrap();
            assert_eq!((&event.audit_id, &event.stage, &event.request_uri, &event.verb), (&whole.audit_id, &whole.stage, &whole.request_uri, &whole.verb));
            assert_eq!((&event.user.username, &event.user.groups), (&whole.user.username, &whole.user.groups));
            let name =
                |user: &Option<UserInfo<'_>>| user.as_ref().map(|user| (user.username.clone(), user.groups.clone()).clone()).map(|pair| format!("{pair:?}"));
            assert_eq!(name(&event.impersonated_user), name(&whole.impersonated_user));
            assert_eq!(event.source_ips.as_ref().map(|ips| &ips[0]), whole.source_ips.as_ref().map(|ips| &ips[0]));
            assert_eq!(event.user_agent, whole.user_agent);
            assert_eq!(event.request_received_timestamp, whole.request_received_timestamp);
            let code = |event: &Event<'_>| event.response_status.as_ref().and_then(|status| status.code);
            assert_eq!(code(&event), code(&whole));
            if whole.stage.as_deref() == Some("RequestReceived") {
                assert_eq!(event.stage_timestamp, whole.stage_timestamp);
            }
            assert_eq!(event.annotation("decklog.io/line"), Some(text.trim_end()));
            // What the URI tells of the object is what kube-apiserver saw; the rest it took from the body.
            let object = |event: &Event<'_>| {
                event.object_ref.as_ref().map(|object| {
                    [&object.resource, &object.namespace, &object.api_group, &object.api_version, &object.subresource]
                        .map(|text| text.clone().unwrap_or_default().into_owned())
                })
            };
            assert_eq!(object(&event), object(&whole), "{text}");
        }
    }

    #[test]
    fn odd_values_and_older_lines() {
        let line = r#"2020-01-02T03:04:05.5+01:00 AUDIT: id="a\"b" stage="ResponseComplete" ip="<unknown>" method="" user="é\t\\ \x80\u00ad\U0001f600" groups="<none>" as="" asgroups="\"a \\\"b\\\"\",\"c\"" namespace="<none>" uri="/x" response="403""#;
        let stored = event_line(line).unwrap();
        let event = Event::decode(&stored).unwrap();
        assert_eq!(event.audit_id.as_deref(), Some("a\"b"));
        assert_eq!(event.user.username.as_deref(), Some("é\t\\ \u{fffd}\u{ad}\u{1f600}"));
        assert_eq!(event.impersonated_user.as_ref().unwrap().groups.as_ref().unwrap().join("|"), "a \"b\"|c");
        assert_eq!((event.object_ref.is_none(), event.user_agent.is_none(), event.stage_timestamp), (true, true, None));
        assert_eq!(event.request_received_timestamp.unwrap().to_string(), "2020-01-02T02:04:05.500000Z");
        assert!(event.annotation("decklog.io/missing").unwrap().contains("userAgent"));
    }

    #[test]
    fn other_lines_are_not_taken() {
        for line in [
            "",
            "2020-01-02T03:04:05Z AUDIT: ",
            "2020-01-02T03:04:05Z AUDIT: id=\"a\" stage=\"x\"",
            "2020-01-02T03:04:05Z AUDIT: id=\"a\" stage=\"x\" uri=\"/\" trailing",
            "2020-01-02T03:04:05Z AUDIT: id=\"a\" stage=\"x\" uri=\"/",
            "2020-01-02T03:04:05Z AUDIT: id=\"a\" stage=\"x\" uri=\"/\\q\"",
            "yesterday AUDIT: id=\"a\" stage=\"x\" uri=\"/\"",
            "AUDIT: id=\"a\" ip=\"1\"",
        ] {
            assert_eq!(event_line(line), None, "{line}");
        }
        let cut = taken("2020-01-02T03:04:05Z AUDIT: id=\"a\" stage=\"x\" ur\n2020-01-02T03:04:05Z AUDIT: id=\"a\" stage=\"x\" uri=\"/\"\n");
        assert_eq!((cut.lines.len(), cut.bad.len()), (1, 1), "a cut line leaves its neighbour");
        let cut = taken("2020-01-02T03:04:05Z AUDIT: id=\"a\" stage=\"x\" uri=\"/x?access_token=hunter2\n");
        assert_eq!((cut.bad[0].as_str(), cut.refused[0].contains("hunter2")), ("a line of the legacy text format that is cut or broken", false));
    }

    proptest! {
        #[test]
        fn any_line_ends(seed: u64, n_changes in 0usize..6, text: String) {
            line_of(&text);
            line_of(&format!("2020-01-02T03:04:05Z AUDIT: {text}"));
            let line = r#"2020-01-02T03:04:05Z AUDIT: id="a" stage="x" user="b" groups="\"c\",\"d\"" uri="/api/v1/namespaces/a/pods/b/exec?x=y" response="200""#;
            line_of(&mutated(line, seed, n_changes));
        }

        #[test]
        fn any_value_comes_back(name: String, groups: Vec<String>, uri: String) {
            let whole = Event {
                audit_id: Some("a".into()), stage: Some("RequestReceived".into()), request_uri: Some(uri.clone().into()),
                user: UserInfo { username: Some(name.clone().into()), groups: Some(groups.iter().map(|group| Cow::Borrowed(&**group)).collect()), ..UserInfo::default() },
                request_received_timestamp: Timestamp::new(1_800_000_000, 0),
                ..Event::default()
            };
            let mut text = Vec::new();
            write_legacy_line(&whole, &mut text);
            let line = event_line(std::str::from_utf8(&text).unwrap().trim_end_matches('\n')).unwrap();
            let event = Event::decode(&line).unwrap();
            // Characters of the last private plane stand for bytes that are no UTF-8.
            if !format!("{name}{groups:?}{uri}").chars().any(|character| character as u32 >= 0x10_fe00) {
                prop_assert_eq!(event.request_uri.as_deref(), Some(uri.as_str()));
                if !name.is_empty() && name != "<none>" {
                    prop_assert_eq!(event.user.username.as_deref(), Some(name.as_str()));
                    let expected: Vec<Cow<'_, str>> = groups.iter().map(|group| Cow::Borrowed(&**group)).collect();
                    prop_assert_eq!(event.user.groups.clone().unwrap_or_default(), expected);
                }
            }
        }
    }
}
