//! What is certain of an event whose JSON was cut off: the longest prefix that ends behind a whole field, with its
//! brackets closed.
//!
//! A field is a leaf (`verb`, `user.username`, one annotation): it is given whole, as the whole event has it, or
//! not at all. A list is one leaf, since half a list of groups is another list; so is a body.
//!
//! kube-apiserver writes the fields of an event in one order (`k8s.io/apiserver/pkg/apis/audit/v1/types.go`), so
//! what stands in front of the cut tells also what may have stood behind it.

use std::borrow::Cow;

use decklog_audit::json::{JsonErrorKind, RawJson, scan_value};
use decklog_audit::{Event, Level, Stage};

/// The part of a cut event that is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Salvaged {
    /// A valid JSON object: the event without what was cut.
    pub(super) json: String,
    /// Fields that the whole event has or may have, and this has not.
    pub(super) lost: Vec<String>,
}

/// An event's members in kube-apiserver's order.
const MEMBERS: [&str; 19] = [
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "authenticationMetadata",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "annotations",
];
const USER: [&str; 4] = ["username", "uid", "groups", "extra"];
const OBJECT_REFERENCE: [&str; 8] = ["resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource"];
const STATUS: [&str; 6] = ["metadata", "status", "message", "reason", "details", "code"];

/// The members of a field that is looked into when it is cut, in order; none where any name may come.
fn members_of(path: &[&str]) -> Option<&'static [&'static str]> {
    match path {
        ["user" | "impersonatedUser"] => Some(&USER),
        ["objectRef"] => Some(&OBJECT_REFERENCE),
        ["responseStatus"] => Some(&STATUS),
        ["annotations"] | ["user" | "impersonatedUser", "extra"] => Some(&[]),
        _ => None,
    }
}

/// What is certain of `cut`, the beginning of an event's JSON; `None` if it is not that, or neither its audit id
/// nor its stage is certain.
pub(super) fn salvage(cut: &str) -> Option<Salvaged> {
    let walked = walk(cut)?;
    let json = format!("{}{}", &cut[walked.start..walked.certain?], "}".repeat(walked.depth));
    let event = Event::decode(&json).ok()?;
    if event.audit_id.is_none() && event.stage.is_none() {
        return None;
    }
    let lost = lost(&walked.whole, &walked.open, &event);
    Some(Salvaged { json, lost })
}

/// How far a cut text was read.
#[derive(Debug, Default)]
struct Walked<'t> {
    /// Where the event's bracket is.
    start: usize,
    /// Behind the last whole field.
    certain: Option<usize>,
    /// Brackets open there.
    depth: usize,
    /// Names of the whole members of each open object, outermost first.
    whole: Vec<Vec<Cow<'t, str>>>,
    /// The members that are open where the text ends, outermost first; the last may be cut in its value.
    open: Vec<Cow<'t, str>>,
}

/// `None` if the text is no object, is whole, or is broken before its end.
fn walk(text: &str) -> Option<Walked<'_>> {
    let mut walked = Walked { start: white_end(text, 0), ..Walked::default() };
    if text.as_bytes().get(walked.start) != Some(&b'{') {
        return None;
    }
    walked.whole.push(Vec::new());
    let mut at = walked.start + 1;
    loop {
        // Where a member of the innermost object comes, or its end.
        at = white_end(text, at);
        match text.as_bytes().get(at) {
            None => return Some(walked),
            Some(b'}') => {
                // An object looked into must be cut: one that closes was taken whole before.
                return None;
            }
            Some(b'"') => {}
            Some(_) => return None,
        }
        let Some(key_end) = value_end(text, at)? else { return Some(walked) };
        let name = RawJson::parse(&text[at..key_end]).ok()?.as_string()?;
        at = white_end(text, key_end);
        match text.as_bytes().get(at) {
            None => return Some(opened(walked, name)),
            Some(b':') => at = white_end(text, at + 1),
            Some(_) => return None,
        }
        match value_end(text, at)? {
            Some(end) => {
                walked.certain = Some(end);
                walked.depth = walked.whole.len();
                walked.whole.last_mut()?.push(name);
                at = white_end(text, end);
                match text.as_bytes().get(at) {
                    None => return Some(walked),
                    Some(b',') => at += 1,
                    // The cut is behind this object, or nowhere.
                    Some(_) => return None,
                }
            }
            None => {
                walked = opened(walked, name);
                let path: Vec<&str> = walked.open.iter().map(|name| &**name).collect();
                if text.as_bytes().get(at) != Some(&b'{') || members_of(&path).is_none() {
                    return Some(walked);
                }
                walked.whole.push(Vec::new());
                at += 1;
            }
        }
    }
}

fn opened<'t>(mut walked: Walked<'t>, name: Cow<'t, str>) -> Walked<'t> {
    walked.open.push(name);
    walked
}

/// Where the value that begins at `at` ends; `Some(None)` if the text ends before, `None` if it is broken.
fn value_end(text: &str, at: usize) -> Option<Option<usize>> {
    match scan_value(text.as_bytes().get(at..)?) {
        Ok(length) => Some(Some(at + length)),
        Err(error) if error.kind == JsonErrorKind::Incomplete => Some(None),
        Err(_) => None,
    }
}

fn white_end(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at.min(text.len())..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// The names of what may have been lost: the member that is open, and all that come behind it.
fn lost(whole: &[Vec<Cow<'_, str>>], open: &[Cow<'_, str>], event: &Event<'_>) -> Vec<String> {
    let mut lost = Vec::new();
    let first = whole.first().map(Vec::as_slice).unwrap_or_default();
    let outer = open.first().map(|name| &**name);
    let partly = whole.get(1).is_some_and(|names| !names.is_empty()) || whole.get(2).is_some_and(|names| !names.is_empty());
    for name in behind(first, outer, &MEMBERS) {
        if Some(name) == outer && partly {
            lost.extend(lost_inside(whole, open));
        } else if may_have(event, name) {
            lost.push(name.to_owned());
        }
    }
    lost
}

/// What may have been lost of a member of which a part is there.
fn lost_inside(whole: &[Vec<Cow<'_, str>>], open: &[Cow<'_, str>]) -> Vec<String> {
    let Some(outer) = open.first() else { return Vec::new() };
    let names = members_of(&[&**outer]).unwrap_or_default();
    if names.is_empty() {
        return vec![outer.clone().into_owned()];
    }
    let inner = whole.get(1).map(Vec::as_slice).unwrap_or_default();
    behind(inner, open.get(1).map(|name| &**name), names).into_iter().map(|name| format!("{outer}.{name}")).collect()
}

/// Those of `order` that may come behind the members `whole`; the first is the one that is `open`, if any is. Where
/// members came in another order, all that did not come.
fn behind<'o>(whole: &[Cow<'_, str>], open: Option<&'o str>, order: &[&'o str]) -> Vec<&'o str> {
    let place = |name: &str| order.iter().position(|known| *known == name);
    let known: Vec<usize> = whole.iter().filter_map(|name| place(name)).collect();
    let in_order = known.is_sorted() && open.and_then(place).is_none_or(|open| known.last().is_none_or(|last| *last < open));
    let mut names: Vec<&str> = if in_order {
        let from = open.and_then(place).unwrap_or_else(|| known.last().map_or(0, |last| last + 1));
        order[from..].to_vec()
    } else {
        order.iter().enumerate().filter(|(index, _)| !known.contains(index)).map(|(_, name)| *name).collect()
    };
    if let Some(open) = open
        && !names.contains(&open)
    {
        names.push(open);
    }
    names
}

/// Whether an event of this level and stage may have such a member at all.
fn may_have(event: &Event<'_>, name: &str) -> bool {
    let level = event.level.as_deref().and_then(Level::parse);
    let received = event.stage_kind() == Some(Stage::RequestReceived);
    match name {
        "requestObject" => level != Some(Level::Metadata),
        "responseObject" => !matches!(level, Some(Level::Metadata | Level::Request)) && !received,
        "responseStatus" => !received,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{line, recorded_lines};
    use proptest::prelude::*;

    /// The leaves of an event, each with its value as text.
    fn leaves(event: &Event<'_>) -> Vec<(String, String)> {
        let mut leaves = Vec::new();
        let mut put = |name: &str, value: Option<String>| leaves.extend(value.map(|value| (name.to_owned(), value)));
        let text = |text: &Option<Cow<'_, str>>| text.as_ref().map(ToString::to_string);
        put("kind", text(&event.kind));
        put("apiVersion", text(&event.api_version));
        put("level", text(&event.level));
        put("auditID", text(&event.audit_id));
        put("stage", text(&event.stage));
        put("requestURI", text(&event.request_uri));
        put("verb", text(&event.verb));
        for (prefix, user) in [("user", Some(&event.user)), ("impersonatedUser", event.impersonated_user.as_ref())] {
            let Some(user) = user else { continue };
            put(&format!("{prefix}.username"), text(&user.username));
            put(&format!("{prefix}.uid"), text(&user.uid));
            put(&format!("{prefix}.groups"), user.groups.as_ref().map(|groups| format!("{groups:?}")));
            for (key, values) in user.extra.iter().flatten() {
                put(&format!("{prefix}.extra.{key}"), Some(format!("{values:?}")));
            }
        }
        put("sourceIPs", event.source_ips.as_ref().map(|ips| format!("{ips:?}")));
        put("userAgent", text(&event.user_agent));
        if let Some(object) = &event.object_ref {
            for (name, value) in OBJECT_REFERENCE.iter().zip([
                &object.resource,
                &object.namespace,
                &object.name,
                &object.uid,
                &object.api_group,
                &object.api_version,
                &object.resource_version,
                &object.subresource,
            ]) {
                put(&format!("objectRef.{name}"), text(value));
            }
        }
        if let Some(status) = &event.response_status {
            put("responseStatus.status", text(&status.status));
            put("responseStatus.message", text(&status.message));
            put("responseStatus.reason", text(&status.reason));
            put("responseStatus.details", status.details.as_ref().map(|details| format!("{details:?}")));
            put("responseStatus.code", status.code.map(|code| code.to_string()));
        }
        put("requestObject", event.request_object.map(|body| body.as_str().to_owned()));
        put("responseObject", event.response_object.map(|body| body.as_str().to_owned()));
        put("requestReceivedTimestamp", event.request_received_timestamp.map(|time| time.to_string()));
        put("stageTimestamp", event.stage_timestamp.map(|time| time.to_string()));
        for (key, value) in event.annotations.iter().flatten() {
            put(&format!("annotations.{key}"), Some(value.to_string()));
        }
        leaves
    }

    /// Every leaf of what is salvaged is the whole event's; every leaf of the whole event is there, or said to be
    /// lost. Gives how many leaves are there.
    fn check(whole: &str, cut: usize) -> usize {
        let event = Event::decode(whole).unwrap();
        let all = leaves(&event);
        let Some(salvaged) = salvage(&whole[..cut]) else {
            let certain = whole[..cut].contains("\"auditID\":\"") && whole[..cut].contains("\",\"stage\":\"");
            assert!(!certain || cut == whole.len(), "nothing salvaged at {cut} of {whole}");
            return 0;
        };
        let part = Event::decode(&salvaged.json).unwrap();
        let kept = leaves(&part);
        for leaf in &kept {
            assert!(all.contains(leaf), "{leaf:?} is not in the event, cut at {cut}: {whole}");
        }
        for (name, value) in &all {
            let there = kept.iter().any(|(kept_name, kept_value)| kept_name == name && kept_value == value);
            let said = salvaged.lost.iter().any(|lost| lost == name || name.starts_with(&format!("{lost}.")));
            assert!(there || said, "{name} is neither there nor said to be lost, cut at {cut}: {:?} of {whole}", salvaged.lost);
            assert!(!(there && salvaged.lost.contains(name)), "{name} is there and said to be lost, cut at {cut}");
        }
        kept.len()
    }

    const RICH: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"6a1e","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/configmaps?a=\"b\"","verb":"create","user":{"username":"ana","uid":"u1","groups":["devs","system:authenticated"],"extra":{"arn":["arn:aws:iam::1:user/ana"],"sessionName":["x","y"]}},"impersonatedUser":{"username":"bob","groups":["ops"]},"sourceIPs":["203.0.113.9","10.0.0.1"],"userAgent":"kubectl/v1.33","objectRef":{"resource":"configmaps","namespace":"shop","name":"cfg","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","message":"no","reason":"Forbidden","details":{"kind":"configmaps"},"code":403},"requestObject":{"kind":"ConfigMap","data":{"a":"é 1.50"}},"responseObject":{"kind":"Status","code":403},"requestReceivedTimestamp":"2026-11-22T10:00:00.123456Z","stageTimestamp":"2026-11-22T10:00:00.223456Z","annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}}"#;

    #[test]
    fn every_cut_of_a_rich_event() {
        let mut most = 0;
        for cut in (0..=RICH.len()).filter(|cut| RICH.is_char_boundary(*cut)) {
            let kept = check(RICH, cut);
            assert!(kept >= most || cut == RICH.len(), "less at {cut} than before");
            most = most.max(kept);
        }
        assert!(most >= leaves(&Event::decode(RICH).unwrap()).len());
        assert_eq!(salvage(RICH), None, "a whole event is not cut");
    }

    #[test]
    fn what_is_left_and_what_is_lost() {
        let at = |end: &str| salvage(&RICH[..RICH.find(end).unwrap() + end.len()]).unwrap();
        let salvaged = at(r#""requestObject":{"kind":"Con"#);
        assert!(salvaged.json.ends_with(r#""details":{"kind":"configmaps"},"code":403}}"#), "{}", salvaged.json);
        assert_eq!(salvaged.lost, ["requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp", "annotations"]);
        let salvaged = at(r#""groups":["devs","sys"#);
        assert!(salvaged.json.ends_with(r#""user":{"username":"ana","uid":"u1"}}"#), "{}", salvaged.json);
        assert_eq!(salvaged.lost[..3], ["user.groups", "user.extra", "impersonatedUser"]);
        let salvaged = at(r#"{"authorization.k8s.io/decision":"forbid","auth"#);
        assert!(salvaged.json.ends_with(r#""annotations":{"authorization.k8s.io/decision":"forbid"}}"#), "{}", salvaged.json);
        assert_eq!(salvaged.lost, ["annotations"]);
        let metadata = line(1);
        let cut = salvage(&metadata[..metadata.find("\"stageTimestamp").unwrap()]).unwrap();
        let names = "impersonatedUser,authenticationMetadata,sourceIPs,userAgent,objectRef,responseStatus,requestReceivedTimestamp,stageTimestamp,annotations";
        assert_eq!(cut.lost.join(","), names, "no bodies at this level");
    }

    #[test]
    fn a_number_at_the_end_is_not_certain() {
        let end = RICH.find("403},\"requestObject").unwrap();
        for (cut, code) in [(end + 1, None), (end + 2, None), (end + 3, None), (end + 4, Some(403))] {
            let salvaged = salvage(&RICH[..cut]).unwrap();
            assert_eq!(Event::decode(&salvaged.json).unwrap().response_status.unwrap().code, code, "{cut}");
        }
    }

    #[test]
    fn what_is_broken_is_not_salvaged() {
        for text in
            ["", "{", "null", "[{", r#"{"level":"Metadata","auditID":oops"#, r#"{"auditID":"a"} x"#, r#"{"auditID":"a",}"#, r#"{"note":"a","#, "I1122 klog"]
        {
            assert_eq!(salvage(text), None, "{text}");
        }
    }

    #[test]
    fn members_in_another_order() {
        let cut = r#"{"stage":"ResponseComplete","auditID":"a","verb":"get","user":{"uid":"7","username":"b"#;
        let salvaged = salvage(cut).unwrap();
        assert_eq!(salvaged.json, r#"{"stage":"ResponseComplete","auditID":"a","verb":"get","user":{"uid":"7"}}"#);
        assert!(["level", "requestURI", "user.username", "user.groups", "annotations"].iter().all(|name| salvaged.lost.iter().any(|lost| lost == name)));
        assert!(!salvaged.lost.iter().any(|lost| ["verb", "stage", "user.uid"].contains(&lost.as_str())), "{:?}", salvaged.lost);
    }

    proptest! {
        #[test]
        fn every_cut_of_recorded_events(which: prop::sample::Index, cut: prop::sample::Index) {
            let lines = recorded_lines();
            let whole = which.get(lines);
            let mut cut = cut.index(whole.len() + 1);
            while !whole.is_char_boundary(cut) {
                cut -= 1;
            }
            check(whole, cut);
        }

        #[test]
        fn any_text_ends(text: String, at: prop::sample::Index) {
            salvage(&text);
            let mut at = at.index(RICH.len());
            while !RICH.is_char_boundary(at) {
                at -= 1;
            }
            salvage(&format!("{}{text}", &RICH[..at]));
        }
    }
}
