//! The legacy text format of kube-apiserver's log backend (`--audit-log-format=legacy`).
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/audit/format.go` (v0.36.3).

use std::fmt::Write as _;

use super::Event;
use super::bytes::byte_of;

/// Appends the one line the legacy format has for `event`, newline included. It holds no object, no
/// annotations and no bodies. The time zone is UTC, the one of every control-plane image.
pub fn write_legacy_line(event: &Event<'_>, out: &mut Vec<u8>) {
    write_legacy_line_at(event, 0, out);
}

/// [`write_legacy_line`] of a process whose time zone is `offset_seconds` east of UTC.
pub fn write_legacy_line_at(event: &Event<'_>, offset_seconds: i32, out: &mut Vec<u8>) {
    let present = |text: Option<&str>, missing: &str| match text {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => missing.to_owned(),
    };
    let quote_all = |items: &[std::borrow::Cow<'_, str>]| items.iter().map(|item| go_quoted(item)).collect::<Vec<_>>().join(",");
    let username = present(event.user.username.as_deref(), "<none>");
    let groups = match event.user.groups.as_deref() {
        Some(groups) if !groups.is_empty() && username_known(event) => quote_all(groups),
        _ => "<none>".to_owned(),
    };
    let (as_user, as_groups) = match &event.impersonated_user {
        None => ("<self>".to_owned(), "<lookup>".to_owned()),
        Some(user) => (user.username.as_deref().unwrap_or_default().to_owned(), user.groups.as_deref().map_or_else(|| "<lookup>".to_owned(), quote_all)),
    };
    let ip = event.source_ips.as_deref().and_then(<[_]>::first).map_or("<unknown>", |ip| ip.as_ref());
    let namespace = present(event.object_ref.as_ref().and_then(|object| object.namespace.as_deref()), "<none>");
    let response = event.response_status.as_ref().map_or_else(|| "<deferred>".to_owned(), |status| status.code.unwrap_or(0).to_string());
    let time = event.request_received_timestamp.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| time.rfc3339_nano_at(offset_seconds));
    let text = |value: &Option<std::borrow::Cow<'_, str>>| go_quoted(value.as_deref().unwrap_or_default());
    let line = format!(
        "{time} AUDIT: id={} stage={} ip={} method={} user={} groups={} as={} asgroups={} user-agent={} namespace={} uri={} response=\"{response}\"\n",
        text(&event.audit_id),
        text(&event.stage),
        go_quoted(ip),
        text(&event.verb),
        go_quoted(&username),
        go_quoted(&groups),
        go_quoted(&as_user),
        go_quoted(&as_groups),
        text(&event.user_agent),
        go_quoted(&namespace),
        text(&event.request_uri),
    );
    out.extend_from_slice(line.as_bytes());
}

fn username_known(event: &Event<'_>) -> bool {
    event.user.username.as_deref().is_some_and(|name| !name.is_empty())
}

/// Go's `%q`: double quotes, escapes for what is not printable.
pub fn go_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            character if let Some(byte) = byte_of(character) => {
                write!(quoted, "\\x{byte:02x}").expect("writing to a string cannot fail");
            }
            character if is_print(character) => quoted.push(character),
            character => {
                let code = character as u32;
                let written = match code {
                    0..=0x7f => write!(quoted, "\\x{code:02x}"),
                    0x80..=0xffff => write!(quoted, "\\u{code:04x}"),
                    _ => write!(quoted, "\\U{code:08x}"),
                };
                written.expect("writing to a string cannot fail");
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space. Rust's
/// `escape_debug` knows the same categories but for combining marks, which it escapes and Go prints.
fn is_print(character: char) -> bool {
    if character == ' ' {
        return true;
    }
    // A combining mark is escaped by `escape_debug` only at the start of a string.
    let mut text = String::from("a");
    text.push(character);
    text.escape_debug().nth(1) != Some('\\') || character == '\''
}
