//! What kind of document begins here, and the members around a list's items.

use decklog_audit::json::{JsonErrorKind, RawJson, scan_value};

/// What a document turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A list; its items begin at `items_at`, behind the bracket.
    List { items_at: usize, api_version: Option<String> },
    /// A list without items, which ends at `length`.
    EmptyList { length: usize },
    /// Something else: one event, or what will be refused as one.
    Other,
    /// Not to be told from these bytes.
    NeedMore,
}

/// What stands behind a list's items.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// `items` once more; they begin at `items_at`.
    Items { items_at: usize },
    /// Another member, up to `length`.
    Other { length: usize, api_version: Option<String> },
    /// Not JSON.
    Broken(String),
    /// Not to be told from these bytes.
    NeedMore,
}

enum Stop {
    NeedMore,
    Broken(String),
}

/// Members that an event has and a list has not.
const EVENT_MEMBERS: [&str; 8] = ["level", "auditID", "stage", "requestURI", "verb", "user", "stageTimestamp", "requestReceivedTimestamp"];

/// Looks at the document that starts `bytes` with `{`.
pub(super) fn look(bytes: &[u8]) -> Look {
    // A line as kube-apiserver's log has it.
    if bytes.starts_with(br#"{"kind":"Event","#) {
        return Look::Other;
    }
    match look_inside(bytes) {
        Ok(look) => look,
        Err(Stop::NeedMore) => Look::NeedMore,
        Err(Stop::Broken(_)) => Look::Other,
    }
}

fn look_inside(bytes: &[u8]) -> Result<Look, Stop> {
    let mut at = 1;
    let mut api_version = None;
    let mut is_list = false;
    loop {
        at = white_end(bytes, at)?;
        match bytes[at] {
            b'}' => return Ok(if is_list { Look::EmptyList { length: at + 1 } } else { Look::Other }),
            b',' => at = white_end(bytes, at + 1)?,
            _ => {}
        }
        let (key, value_at) = key(bytes, at)?;
        if EVENT_MEMBERS.contains(&key.as_str()) {
            return Ok(Look::Other);
        }
        if key == "items" && bytes[value_at] == b'[' {
            let api_version = api_version.or_else(|| later_api_version(bytes));
            return Ok(Look::List { items_at: value_at + 1, api_version });
        }
        let value_end = value_at + value_length(&bytes[value_at..])?;
        let value = text(&bytes[value_at..value_end]);
        match (key.as_str(), value) {
            ("kind", Some(kind)) if kind == "EventList" || kind == "List" => is_list = true,
            ("kind", _) => return Ok(Look::Other),
            ("apiVersion", Some(version)) if version.starts_with("audit.k8s.io/") || version == "v1" => {
                api_version = (version != "v1").then_some(version);
            }
            ("apiVersion", _) => return Ok(Look::Other),
            ("items", _) if &bytes[value_at..value_end] == b"null" => is_list = true,
            _ => {}
        }
        at = value_end;
    }
}

/// The list's apiVersion where it comes behind the items and the whole list is here already.
fn later_api_version(bytes: &[u8]) -> Option<String> {
    let length = scan_value(bytes).ok()?;
    let list = RawJson::parse_bytes(&bytes[..length]).ok()?;
    Some(list.member("apiVersion")?.as_string()?.into_owned())
}

/// Looks at what follows a list's items: `bytes` start behind their bracket.
pub(super) fn tail_member(bytes: &[u8]) -> Member {
    match tail_member_inside(bytes) {
        Ok(member) => member,
        Err(Stop::NeedMore) => Member::NeedMore,
        Err(Stop::Broken(detail)) => Member::Broken(detail),
    }
}

fn tail_member_inside(bytes: &[u8]) -> Result<Member, Stop> {
    if bytes[0] != b',' {
        return Err(Stop::Broken(format!("expected `,` or `}}` behind the items, found byte 0x{:02x}", bytes[0])));
    }
    let at = white_end(bytes, 1)?;
    let (key, value_at) = key(bytes, at)?;
    if key == "items" && bytes[value_at] == b'[' {
        return Ok(Member::Items { items_at: value_at + 1 });
    }
    let length = value_at + value_length(&bytes[value_at..])?;
    let api_version = if key == "apiVersion" { text(&bytes[value_at..length]) } else { None };
    Ok(Member::Other { length, api_version })
}

/// The key at `at`, and where its value starts.
fn key(bytes: &[u8], at: usize) -> Result<(String, usize), Stop> {
    if bytes[at] != b'"' {
        return Err(Stop::Broken(format!("expected a member's name, found byte 0x{:02x}", bytes[at])));
    }
    let end = at + value_length(&bytes[at..])?;
    let key = text(&bytes[at..end]).unwrap_or_default();
    let colon = white_end(bytes, end)?;
    if bytes[colon] != b':' {
        return Err(Stop::Broken(format!("expected `:`, found byte 0x{:02x}", bytes[colon])));
    }
    Ok((key, white_end(bytes, colon + 1)?))
}

fn text(value: &[u8]) -> Option<String> {
    Some(RawJson::parse_bytes(value).ok()?.as_string()?.into_owned())
}

fn value_length(bytes: &[u8]) -> Result<usize, Stop> {
    scan_value(bytes).map_err(|error| match error.kind {
        JsonErrorKind::Incomplete => Stop::NeedMore,
        _ => Stop::Broken(error.to_string()),
    })
}

fn white_end(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    let white = bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    if at + white == bytes.len() { Err(Stop::NeedMore) } else { Ok(at + white) }
}
