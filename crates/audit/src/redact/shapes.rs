//! Credentials that are known by their shape, wherever they stand: JWTs, bearer and basic authorization,
//! passwords in URLs; and in the words of a command also `password=…`, `--token …`, `-u user:…`.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::packed;
use base64::Engine as _;

use super::key::is_mark;

const JWT: &str = "eyJ";
const URL: &str = "://";

static STARTS: LazyLock<Option<packed::Searcher>> =
    LazyLock::new(|| packed::Searcher::new([JWT, URL, "Bearer", "bearer", "BEARER", "Basic ", "basic ", "BASIC "]));

/// Appends the parts of `text` that are credentials, in rising order without overlaps.
pub(super) fn credentials(text: &str, found: &mut Vec<Range<usize>>) {
    let (mut behind, mut no_jwt_before) = (0, 0);
    let Some(starts) = STARTS.as_ref() else { return };
    for start in starts.find_iter(text) {
        if start.start() < behind {
            continue;
        }
        let credential = match &text[start.start()..start.end()] {
            JWT if start.start() < no_jwt_before => None,
            JWT => jwt(text, start.start()).map_err(|end| no_jwt_before = end).ok(),
            URL => url_credential(text, start.end()),
            word if word.len() == "Bearer".len() && !word.ends_with(' ') => bearer(text, start.start(), start.end()),
            _ => basic(text, start.end()),
        };
        if let Some(part) = credential.filter(|part| part.start >= behind && !is_mark(&text[part.clone()])) {
            behind = part.end;
            found.push(part);
        }
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn run(text: &str, from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    from + text.as_bytes()[from..].iter().take_while(|byte| belongs(**byte)).count()
}

/// `eyJ….….…`: a base64url header that begins like `{"`, two dots at least; a JWE has four. If it is none,
/// gives up to where no other can begin, so that one long word is not gone through for each `eyJ` in it.
pub(super) fn jwt(text: &str, start: usize) -> Result<Range<usize>, usize> {
    let bytes = text.as_bytes();
    let header = run(text, start, is_base64url);
    if bytes.get(header) != Some(&b'.') {
        return Err(header);
    }
    let payload = run(text, header + 1, is_base64url);
    if payload == header + 1 || bytes.get(payload) != Some(&b'.') {
        return Err(payload);
    }
    let mut end = run(text, payload + 1, is_base64url);
    while bytes.get(end) == Some(&b'.') {
        let part = run(text, end + 1, is_base64url);
        if part == end + 1 {
            break;
        }
        end = part;
    }
    Ok(start..end)
}

/// How far a password with a `/` in it is looked for.
const MAX_ODD_PASSWORD: usize = 256;

/// The shortest user of a URL that is taken for a token.
pub(super) const SHORTEST_URL_TOKEN: usize = 16;

/// The password of `scheme://user:password@host`, or the token of `scheme://token@host`; `start` is behind
/// the `://`.
pub(super) fn url_credential(text: &str, start: usize) -> Option<Range<usize>> {
    let no_url = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\');
    let end = run(text, start, |byte| !no_url(byte) && !matches!(byte, b'/' | b'?' | b'#'));
    let authority = &text[start..end];
    if let Some(at) = authority.rfind('@') {
        return match authority[..at].find(':') {
            // A token that was replaced.
            Some(_) if is_mark(&authority[..at]) => None,
            Some(colon) => (colon + 1 < at).then_some(start + colon + 1..start + at),
            None => is_url_token(&authority[..at]).then_some(start..start + at),
        };
    }
    let colon = start + authority.find(':')?;
    // A password may hold a `/` or `?` that its writer should have escaped; a port never does.
    if text[colon + 1..end].bytes().all(|byte| byte.is_ascii_digit()) || text[start..].starts_with('[') {
        return None;
    }
    let rest = &text.as_bytes()[start..text.len().min(start + MAX_ODD_PASSWORD)];
    let at = start + rest.iter().take_while(|byte| !no_url(**byte)).position(|byte| *byte == b'@')?;
    (colon + 1 < at).then_some(colon + 1..at)
}

/// Whether a URL's user looks made by a machine: long, of the characters of tokens, digits among letters.
fn is_url_token(user: &str) -> bool {
    let has = |belongs: fn(&u8) -> bool| user.as_bytes().iter().any(belongs);
    user.len() >= SHORTEST_URL_TOKEN
        && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'+' | b'=' | b'%'))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
}

/// What follows the word `Bearer`, if it looks like a token and not like a sentence that goes on.
fn bearer(text: &str, word: usize, end: usize) -> Option<Range<usize>> {
    let start = run(text, end, |byte| byte.is_ascii_whitespace());
    if start == end {
        return None;
    }
    let sure = in_authorization_header(text, word);
    let whole = word == 0 && run(text, start, |byte| !byte.is_ascii_whitespace()) == text.len();
    let end = if sure || whole {
        run(text, start, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'\\' | b',' | b';'))
    } else {
        run(text, start, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'='))
    };
    // A mark has colons, which a token of a sentence does not: it is taken whole or not at all.
    if text[start..].get(..34).is_some_and(is_mark) {
        return None;
    }
    let token = text[start..end].trim_end_matches(['.', ',']);
    let random = token.len() >= 24 || (token.len() >= 8 && token.bytes().skip(1).any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()));
    let word = matches!(token, "token" | "tokens" | "auth");
    (!token.is_empty() && (sure || (whole && !word) || random)).then(|| start..start + token.len())
}

fn in_authorization_header(text: &str, word: usize) -> bool {
    let before = text[..word].trim_end_matches([' ', ':', '=', '"', '\'', '\\']);
    before.len() < word && before.len() >= 13 && before.as_bytes()[before.len() - 13..].eq_ignore_ascii_case(b"authorization")
}

/// `Basic base64(user:password)`.
fn basic(text: &str, start: usize) -> Option<Range<usize>> {
    let end = run(text, start, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    let decoded = base64::engine::general_purpose::STANDARD.decode(&text[start..end]).ok()?;
    decoded.contains(&b':').then_some(start..end)
}

/// Words whose value is a credential.
const SECRET_WORDS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "secret_key",
    "secret-key",
    "private_key",
];

/// Whether a query parameter's value is a credential, by its name.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "pwd" | "pass" | "sig" | "authorization" | "signature" | "x-amz-signature")
        || SECRET_WORDS.iter().any(|word| name.ends_with(word))
        || ["accesskey", "secretkey", "privatekey"].iter().any(|word| name.ends_with(word))
}

/// Between the words of a command where they came as separate arguments.
pub(super) const ARGUMENT_END: char = '\n';

/// Appends the credentials in the words of a command; arguments end with [`ARGUMENT_END`].
pub(super) fn command_credentials(command: &str, found: &mut Vec<Range<usize>>) {
    credentials(command, found);
    let lower = command.to_ascii_lowercase();
    for word in SECRET_WORDS {
        let mut behind = 0;
        for (at, _) in lower.match_indices(word) {
            // What stands inside a value is replaced with it.
            if at >= behind
                && let Some(value) = assigned(command, at, at + word.len())
            {
                behind = value.end;
                found.push(value);
            }
        }
    }
    for flag in ["-u", "--user", "--proxy-user"] {
        for (at, _) in command.match_indices(flag) {
            found.extend(user_flag(command, at, at + flag.len()));
        }
    }
    found.retain(|part| !is_mark(&command[part.clone()]));
    found.sort_by_key(|part| (part.start, std::cmp::Reverse(part.end)));
    let mut behind = 0;
    found.retain(|part| {
        let apart = part.start >= behind;
        if apart {
            behind = part.end;
        }
        apart
    });
}

/// The value behind `password=`, `"password": "`, `--password ` and the like.
fn assigned(command: &str, word: usize, end: usize) -> Option<Range<usize>> {
    let bytes = command.as_bytes();
    let after_quote = run(command, end, |byte| matches!(byte, b'"' | b'\'' | b'\\'));
    let start = match bytes.get(after_quote)? {
        b'=' | b':' => run(command, after_quote + 1, |byte| matches!(byte, b'"' | b'\'' | b'\\' | b' ')),
        b' ' | b'\n' if after_quote == end && is_flag(command, word) => run(command, end, |byte| matches!(byte, b' ' | b'\n' | b'"' | b'\'')),
        _ => return None,
    };
    value_at(command, start)
}

fn is_flag(command: &str, word: usize) -> bool {
    let start = command[..word].rfind(|character: char| character.is_ascii_whitespace() || matches!(character, '"' | '\'')).map_or(0, |at| at + 1);
    command[start..].starts_with('-')
}

/// The password of `-u user:password`.
fn user_flag(command: &str, flag: usize, end: usize) -> Option<Range<usize>> {
    if flag > 0 && !command.as_bytes()[flag - 1].is_ascii_whitespace() {
        return None;
    }
    let start = run(command, end, |byte| matches!(byte, b' ' | b'\n' | b'=' | b'"' | b'\''));
    let value = value_at(command, start)?;
    let colon = value.start + command[value.clone()].find(':')?;
    (colon + 1 < value.end).then_some(colon + 1..value.end)
}

/// A value that stands at `start`: a whole argument, or up to the end of its word. Variables, other flags
/// and redirections are no values.
fn value_at(command: &str, start: usize) -> Option<Range<usize>> {
    let bytes = command.as_bytes();
    if matches!(bytes.get(start), None | Some(b'$' | b'`' | b'-' | b'<' | b'|' | b'\n' | b' ')) {
        return None;
    }
    let end = match bytes.get(start.wrapping_sub(1)) {
        Some(b'\n') => run(command, start, |byte| byte != b'\n'),
        Some(quote @ (b'"' | b'\'')) => run(command, start, |byte| byte != *quote && byte != b'\\' && byte != b'\n'),
        _ => run(command, start, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'\\' | b'&' | b';' | b'|' | b',' | b')' | b'}')),
    };
    (start < end).then_some(start..end)
}
