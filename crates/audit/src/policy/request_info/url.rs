//! A request target as Go reads it (`net/url` and `net/http` of Go 1.26): what it refuses, the decoded path, the query as
//! it stands, and the two ways in which it is written again.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::event::text_from_bytes;

/// Why Go's HTTP server answers 400 to a request line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The method is no token of HTTP.
    #[error("`{0}` is no HTTP method")]
    Method(String),
    /// A blank in a request line ends the target.
    #[error("the target holds a blank")]
    Blank,
    /// There is none.
    #[error("the target is empty")]
    Empty,
    /// A byte below 0x20, or 0x7f.
    #[error("the target holds a control character")]
    ControlCharacter,
    /// Neither a path nor an absolute URL.
    #[error("`{0}` begins neither with a slash nor with a scheme")]
    NoPath(String),
    /// It begins with a colon.
    #[error("the target begins with a colon where a scheme should be")]
    NoScheme,
    /// A percent sign without two hexadecimal digits.
    #[error("`{0}` is no percent encoding")]
    Escape(String),
    /// The host of an absolute URL.
    #[error("`{0}` is no host")]
    Host(String),
}

/// The method is a token: RFC 9110, section 5.6.2.
pub(super) fn check_method(method: &[u8]) -> Result<(), TargetError> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if method.is_empty() || !method.iter().all(is_token) {
        return Err(TargetError::Method(shown(method)));
    }
    Ok(())
}

/// A target, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    scheme: Cow<'a, [u8]>,
    /// What follows the scheme where no slash does.
    opaque: &'a [u8],
    /// User and host as they are printed, where there is an authority.
    authority: Option<&'a [u8]>,
    raw_path: &'a [u8],
    query: &'a [u8],
    /// A question mark with nothing behind it.
    bare_question_mark: bool,
}

impl<'a> Target<'a> {
    /// Reads it.
    pub(super) fn parse(method: &[u8], text: &'a [u8]) -> Result<Self, TargetError> {
        if text.contains(&b' ') {
            return Err(TargetError::Blank);
        }
        // CONNECT names an authority alone, unless it begins with a slash.
        let only_authority = method == b"CONNECT" && !text.starts_with(b"/");
        if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return Err(TargetError::ControlCharacter);
        }
        let mut target = Self { scheme: Cow::Borrowed(b""), opaque: b"", authority: None, raw_path: b"", query: b"", bare_question_mark: false };
        if text.is_empty() && !only_authority {
            return Err(TargetError::Empty);
        }
        if text == b"*" && !only_authority {
            target.raw_path = text;
            return Ok(target);
        }
        let (scheme, rest) = if only_authority { (&b"http"[..], text) } else { scheme(text)? };
        let (rest, query) = match rest.iter().position(|byte| *byte == b'?') {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        target.query = query.unwrap_or_default();
        target.bare_question_mark = query == Some(b"");
        target.scheme = if scheme.iter().any(u8::is_ascii_uppercase) { Cow::Owned(scheme.to_ascii_lowercase()) } else { Cow::Borrowed(scheme) };
        let authority = if only_authority { Some(rest) } else { rest.strip_prefix(b"//").filter(|_| !scheme.is_empty()) };
        if !only_authority && !rest.starts_with(b"/") {
            if scheme.is_empty() {
                return Err(TargetError::NoPath(shown(text)));
            }
            target.opaque = rest;
            return Ok(target);
        }
        target.raw_path = match authority {
            None => rest,
            Some(authority) => {
                let end = authority.iter().position(|byte| *byte == b'/').unwrap_or(authority.len());
                check_authority(&target.scheme, &authority[..end])?;
                target.authority = Some(&authority[..end]);
                &authority[end..]
            }
        };
        check_escapes(target.raw_path)?;
        if only_authority {
            target.scheme = Cow::Borrowed(b"");
        }
        Ok(target)
    }

    /// The path, decoded.
    pub(super) fn path(&self) -> Cow<'a, str> {
        match (memchr::memchr(b'%', self.raw_path), std::str::from_utf8(self.raw_path)) {
            (None, Ok(path)) => Cow::Borrowed(path),
            _ => Cow::Owned(text_from_bytes(&unescape(self.raw_path, Plus::IsItself)).into_owned()),
        }
    }

    /// The query as it stands.
    pub(super) fn query(&self) -> &'a [u8] {
        self.query
    }

    /// What `URL.RequestURI` gives.
    pub(super) fn request_uri(&self) -> Cow<'a, str> {
        let mut uri = match (self.opaque, self.escaped_path()) {
            (b"", path) if path.is_empty() => Cow::Borrowed(&b"/"[..]),
            (b"", path) => path,
            (opaque, _) => Cow::Borrowed(opaque),
        };
        if self.bare_question_mark || !self.query.is_empty() {
            let uri = uri.to_mut();
            uri.push(b'?');
            uri.extend_from_slice(self.query);
        }
        match uri {
            Cow::Borrowed(uri) => text_from_bytes(uri),
            Cow::Owned(uri) => Cow::Owned(text_from_bytes(&uri).into_owned()),
        }
    }

    /// What `URL.String` gives.
    pub(super) fn printed(&self) -> String {
        let mut text = Vec::new();
        if !self.scheme.is_empty() {
            text.extend_from_slice(&self.scheme);
            text.push(b':');
        }
        if self.opaque.is_empty() {
            if let Some(authority) = self.authority {
                text.extend_from_slice(b"//");
                text.extend_from_slice(authority);
            }
            text.extend_from_slice(&self.escaped_path());
        } else {
            text.extend_from_slice(self.opaque);
        }
        if self.bare_question_mark || !self.query.is_empty() {
            text.push(b'?');
            text.extend_from_slice(self.query);
        }
        text_from_bytes(&text).into_owned()
    }

    /// The path as it came if it is validly encoded, else encoded anew.
    fn escaped_path(&self) -> Cow<'a, [u8]> {
        if self.raw_path == b"*" || self.raw_path.iter().all(|byte| *byte == b'%' || b"[]!'()*".contains(byte) || stays_in_path(*byte)) {
            return Cow::Borrowed(self.raw_path);
        }
        Cow::Owned(escape_path(&unescape(self.raw_path, Plus::IsItself)))
    }
}

/// The word before a colon, if the text begins with one.
fn scheme(text: &[u8]) -> Result<(&[u8], &[u8]), TargetError> {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(TargetError::NoScheme),
            b':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok((b"", text))
}

fn check_authority(scheme: &[u8], authority: &[u8]) -> Result<(), TargetError> {
    let refuse = || TargetError::Host(shown(authority));
    let host = match authority.iter().rposition(|byte| *byte == b'@') {
        None => authority,
        Some(at) => {
            let user = &authority[..at];
            let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
            if !user.iter().all(allowed) {
                return Err(refuse());
            }
            check_escapes(user)?;
            &authority[at + 1..]
        }
    };
    let is_port = |text: &[u8]| text.is_empty() || (text[0] == b':' && text[1..].iter().all(u8::is_ascii_digit));
    match host.iter().rposition(|byte| *byte == b'[') {
        Some(0) => {
            let close = host.iter().rposition(|byte| *byte == b']').ok_or_else(refuse)?;
            let address = std::str::from_utf8(&host[1..close]).map_err(|_| refuse())?;
            let (address, zone) = address.split_once("%25").map_or((address, None), |(address, zone)| (address, Some(zone)));
            if !is_port(&host[close + 1..]) || address.parse::<Ipv6Addr>().is_err() || zone.is_some_and(str::is_empty) {
                return Err(refuse());
            }
            zone.map_or(Ok(()), |zone| check_escapes(zone.as_bytes()))
        }
        Some(_) => Err(refuse()),
        None => {
            let colon = match host.iter().position(|byte| *byte == b':') {
                Some(first) if matches!(scheme, b"http" | b"https") => Some(first),
                Some(_) => host.iter().rposition(|byte| *byte == b':'),
                None => None,
            };
            if colon.is_some_and(|at| !is_port(&host[at..])) {
                return Err(refuse());
            }
            check_host(host)
        }
    }
}

/// Percent signs only for what is not ASCII, and only the characters Go takes unescaped in a host.
fn check_host(host: &[u8]) -> Result<(), TargetError> {
    let mut at = 0;
    while at < host.len() {
        match host[at] {
            b'%' => {
                check_escapes(&host[at..(at + 3).min(host.len())])?;
                let is_ascii = host.get(at + 1).is_some_and(|digit| hex(*digit) < 8);
                if is_ascii && host.get(at..at + 3) != Some(b"%25") {
                    return Err(TargetError::Host(shown(host)));
                }
                at += 3;
            }
            byte => {
                let allowed = !byte.is_ascii() || byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte);
                if !allowed {
                    return Err(TargetError::Host(shown(host)));
                }
                at += 1;
            }
        }
    }
    Ok(())
}

fn check_escapes(text: &[u8]) -> Result<(), TargetError> {
    match bad_escape(text) {
        Some(at) => Err(TargetError::Escape(shown(&text[at..(at + 3).min(text.len())]))),
        None => Ok(()),
    }
}

/// Where a percent sign stands without two digits.
fn bad_escape(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'%', text).find(|at| !text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    IsItself,
    IsBlank,
}

/// Decodes text whose escapes are known to be right.
fn unescape(text: &[u8], plus: Plus) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, text.get(at + 1), text.get(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(hex(*high) << 4 | hex(*low));
                at += 2;
            }
            (b'+', ..) if plus == Plus::IsBlank => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    out
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |value| value as u8)
}

/// Bytes that Go's encoder leaves alone in a path.
fn stays_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte)
}

fn escape_path(path: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(path.len() + 16);
    for byte in path {
        if stays_in_path(*byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    out
}

/// The parameters of a query, decoded; Go leaves out those with a semicolon or a bad escape.
pub(super) fn parameters(query: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    // Above this number Go reads none at all (`urlmaxqueryparams`).
    const MAX_PARAMETERS: usize = 10_000;
    let too_many = memchr::memchr_iter(b'&', query).count() >= MAX_PARAMETERS;
    query.split(|byte| *byte == b'&').filter(move |pair| !too_many && !pair.is_empty() && !pair.contains(&b';')).filter_map(|pair| {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        let ok = bad_escape(name).is_none() && bad_escape(value).is_none();
        ok.then(|| (unescape(name, Plus::IsBlank), unescape(value, Plus::IsBlank)))
    })
}

/// The first value of a parameter.
pub(super) fn query_value(query: &[u8], name: &str) -> Option<Vec<u8>> {
    parameters(query).find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value)
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(200).collect()
}
