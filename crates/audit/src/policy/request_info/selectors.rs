//! Field and label selectors, as far as request info looks at them: the name a field selector pins, and whether a label
//! selector can be read at all.
//!
//! Source of the behaviour: `k8s.io/apimachinery/pkg/fields/selector.go` and `pkg/labels/selector.go` (v0.36.3).

/// A selector that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The value that a field selector demands of `metadata.name`, if it can stand in a path.
///
/// # Errors
/// A term without an operator, or a bad escape.
pub(super) fn pinned_name(selector: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut terms = split_terms(selector);
    // kube-apiserver sorts the terms, and the first that pins the name counts.
    terms.sort_unstable();
    let mut pinned = None;
    for term in terms.into_iter().filter(|term| !term.is_empty()) {
        let (field, is_equal, value) = split_term(term).ok_or(Unreadable)?;
        let value = unescape(value)?;
        if is_equal && field == b"metadata.name" && pinned.is_none() {
            pinned = Some(value);
        }
    }
    Ok(pinned.filter(|name| name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&b'%')))
}

/// At commas that no backslash precedes.
fn split_terms(selector: &[u8]) -> Vec<&[u8]> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in selector.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[start..]);
    terms
}

/// Field, whether it is to be equal, value.
fn split_term(term: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    (0..term.len()).find_map(|at| {
        let (field, rest) = term.split_at(at);
        let cut = |operator: &[u8], is_equal| Some((field, is_equal, rest.strip_prefix(operator)?));
        cut(b"!=", false).or_else(|| cut(b"==", true)).or_else(|| cut(b"=", true))
    })
}

fn unescape(value: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(escaped @ (b'\\' | b',' | b'=')) => out.push(*escaped),
                _ => return Err(Unreadable),
            },
            b',' | b'=' => return Err(Unreadable),
            byte => out.push(*byte),
        }
    }
    Ok(out)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    End,
    Open,
    Close,
    Comma,
    Not,
    Equal,
    NotEqual,
    Less,
    Greater,
    /// Also `in` and `notin`.
    Word(&'a [u8]),
}

/// Whether a label selector can be read.
pub(super) fn check_labels(selector: &[u8]) -> bool {
    let mut tokens = Vec::new();
    let mut rest = selector;
    loop {
        let token;
        (token, rest) = next_token(rest);
        tokens.push(token);
        if token == Token::End {
            break;
        }
    }
    Labels { tokens: tokens.into_iter() }.all()
}

fn next_token(text: &[u8]) -> (Token<'_>, &[u8]) {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let is_special = |byte: &u8| matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let text = &text[start..];
    match text {
        // The lexer takes a NUL for the end.
        [] | [0, ..] => (Token::End, &[]),
        [b'!', b'=', rest @ ..] => (Token::NotEqual, rest),
        [b'=', b'=', rest @ ..] => (Token::Equal, rest),
        [b'=', rest @ ..] => (Token::Equal, rest),
        [b'!', rest @ ..] => (Token::Not, rest),
        [b'(', rest @ ..] => (Token::Open, rest),
        [b')', rest @ ..] => (Token::Close, rest),
        [b',', rest @ ..] => (Token::Comma, rest),
        [b'<', rest @ ..] => (Token::Less, rest),
        [b'>', rest @ ..] => (Token::Greater, rest),
        _ => {
            let end = text.iter().position(|byte| *byte == 0 || is_space(byte) || is_special(byte)).unwrap_or(text.len());
            let behind = if text.get(end) == Some(&0) { end + 1 } else { end };
            (Token::Word(&text[..end]), &text[behind..])
        }
    }
}

struct Labels<'a> {
    tokens: std::vec::IntoIter<Token<'a>>,
}

impl<'a> Labels<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.as_slice().first().copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        self.tokens.next().unwrap_or(Token::End)
    }

    fn all(mut self) -> bool {
        if self.peek() == Token::End {
            return true;
        }
        loop {
            if !matches!(self.peek(), Token::Word(_) | Token::Not) || !self.requirement() {
                return false;
            }
            match self.next() {
                Token::End => return true,
                Token::Comma => {}
                _ => return false,
            }
        }
    }

    fn requirement(&mut self) -> bool {
        let absent = self.peek() == Token::Not;
        if absent {
            self.next();
        }
        let Token::Word(key) = self.next() else { return false };
        if !is_label_key(key) {
            return false;
        }
        if absent || matches!(self.peek(), Token::End | Token::Comma) {
            return true;
        }
        match self.next() {
            Token::Word(b"in" | b"notin") => self.values(),
            Token::Equal | Token::NotEqual => self.value().is_some_and(is_label_value),
            Token::Less | Token::Greater => {
                self.value().is_some_and(|value| is_label_value(value) && std::str::from_utf8(value).is_ok_and(|text| text.parse::<i64>().is_ok()))
            }
            _ => false,
        }
    }

    /// One value, which may be missing.
    fn value(&mut self) -> Option<&'a [u8]> {
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Some(b"");
        }
        match self.next() {
            Token::Word(value) => Some(value),
            _ => None,
        }
    }

    /// A list in brackets; values may be missing.
    fn values(&mut self) -> bool {
        if self.next() != Token::Open {
            return false;
        }
        if self.peek() == Token::Close {
            self.next();
            return true;
        }
        loop {
            match self.next() {
                Token::Word(value) => {
                    if !is_label_value(value) || !matches!(self.peek(), Token::Comma | Token::Close) {
                        return false;
                    }
                }
                Token::Comma => {}
                _ => return false,
            }
            if self.peek() == Token::Close {
                self.next();
                return true;
            }
        }
    }
}

/// A name of letters, digits and `-_.` between, with a DNS subdomain before it or not.
fn is_label_key(key: &[u8]) -> bool {
    let mut parts = key.split(|byte| *byte == b'/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => !name.is_empty() && is_label_value(name),
        (Some(prefix), Some(name), None) => is_subdomain(prefix) && !name.is_empty() && is_label_value(name),
        _ => false,
    }
}

fn is_label_value(value: &[u8]) -> bool {
    let ends = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    value.len() <= 63 && ends(value.first()) && ends(value.last()) && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_subdomain(text: &[u8]) -> bool {
    let is_lower = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 253
        && text
            .split(|byte| *byte == b'.')
            .all(|label| label.first().is_some_and(is_lower) && label.last().is_some_and(is_lower) && label.iter().all(|byte| is_lower(byte) || *byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors() {
        for good in ["", "a", "!a", "a=b", "a==b", "a!=b", "a in (b,c)", "a notin ()", "a in (,)", "x.y/z=1", "a,b", "a>1", "a=", "in=in", "a in (b,,c)"] {
            assert!(check_labels(good.as_bytes()), "{good}");
        }
        for bad in ["a,,b", "a,", "=b", "a=b=c", "a in b", "a in (b", "a>x", "-a", "X.Y/z", "a/b/c", "a b", "!a=b", "(", "a=b c"] {
            assert!(!check_labels(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn field_selectors() {
        let name = |selector: &str| pinned_name(selector.as_bytes()).map(|name| name.map(|name| String::from_utf8(name).unwrap()));
        assert_eq!(name("metadata.name=foo,spec.nodeName=n"), Ok(Some("foo".to_owned())));
        assert_eq!(name("metadata.name==foo"), Ok(Some("foo".to_owned())));
        assert_eq!(name("metadata.name!=foo"), Ok(None));
        assert_eq!(name("metadata.name=a/b"), Ok(None));
        assert_eq!(name("metadata.name=a\\,b"), Ok(Some("a,b".to_owned())));
        assert_eq!(name(""), Ok(None));
        for bad in ["foo", "a=b=c", "metadata.name=a\\x", "a=b\\"] {
            assert_eq!(name(bad), Err(Unreadable), "{bad}");
        }
    }
}
