//! Where in a JSON text: `.a.b[0]` as jq writes it, `$.a['b']` as PostgreSQL does.
//!
//! A path leads to one value. What leads to several (`[]`, `..`, `*`) is refused: event_matches does that.

use std::borrow::Cow;

use decklog_audit::json::RawJson;

/// Steps of a path at most.
const MAX_STEPS: usize = 64;

/// A path to one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    /// Counted from the end where it is negative.
    Element(i64),
}

/// Why a text is no path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is no path to one JSON value, at character {column}; write `.spec.containers[0].image`")]
pub(super) struct PathError {
    path: String,
    column: usize,
}

impl JsonPath {
    pub(super) fn parse(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix('$').unwrap_or(text);
        let mut reader = Reader { rest };
        let wrong = |reader: &Reader<'_>| PathError { path: text.to_owned(), column: text.chars().count() - reader.rest.chars().count() + 1 };
        let mut steps = Vec::new();
        if rest == "." {
            return Ok(Self(steps));
        }
        while !reader.rest.is_empty() {
            let before = Reader { rest: reader.rest };
            steps.push(reader.step().ok_or_else(|| wrong(&before))?);
            if steps.len() > MAX_STEPS {
                return Err(wrong(&before));
            }
        }
        Ok(Self(steps))
    }

    /// The value it leads to; of repeated members the last, as Go reads them.
    pub(super) fn find<'j>(&self, json: RawJson<'j>) -> Option<RawJson<'j>> {
        self.0.iter().try_fold(json, |value, step| match step {
            Step::Member(name) => value.member(name),
            Step::Element(index) => match usize::try_from(*index) {
                Ok(index) => value.elements().nth(index),
                Err(_) => {
                    let from_end = usize::try_from(index.unsigned_abs()).ok()?;
                    let n_elements = value.elements().count();
                    value.elements().nth(n_elements.checked_sub(from_end)?)
                }
            },
        })
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn take(&mut self, prefix: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(prefix)?;
        Some(())
    }

    fn step(&mut self) -> Option<Step> {
        let step = if self.take('.').is_some() && !self.rest.starts_with('[') {
            let name = match self.rest.chars().next()? {
                '"' => self.quoted('"')?,
                _ => self.bare()?.into(),
            };
            Step::Member(name.into_owned())
        } else {
            self.take('[')?;
            let step = match self.rest.chars().next()? {
                quote @ ('"' | '\'') => Step::Member(self.quoted(quote)?.into_owned()),
                _ => {
                    let (digits, _) = self.rest.split_once(']')?;
                    self.rest = &self.rest[digits.len()..];
                    Step::Element(digits.trim().parse().ok()?)
                }
            };
            self.take(']')?;
            step
        };
        // What is missing gives NULL anyway.
        let _ = self.take('?');
        Some(step)
    }

    fn bare(&mut self) -> Option<&'t str> {
        let end = self.rest.find(['.', '[', ']', '"', '\'', '?', ' ', '*', '|', '(', ')', ',']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    fn quoted(&mut self, quote: char) -> Option<Cow<'t, str>> {
        self.take(quote)?;
        if quote == '"' {
            let end = self.rest.char_indices().scan(false, |escaped, (at, char)| {
                let ends = char == '"' && !*escaped;
                *escaped = char == '\\' && !*escaped;
                Some((at, ends))
            });
            let end = end.filter(|(_, ends)| *ends).map(|(at, _)| at).next()?;
            let name = format!("\"{}\"", &self.rest[..end]);
            self.rest = &self.rest[end + 1..];
            return RawJson::parse(&name).ok()?.as_string().map(|name| Cow::Owned(name.into_owned()));
        }
        let (name, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(Cow::Borrowed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"a":{"b":[{"c":1},{"c":"two"}]},"x y":null,"d-e":2,"a.b":3,"q\"":4,"a.b":5}"#;

    #[track_caller]
    fn leads(path: &str, to: Option<&str>) {
        let found = JsonPath::parse(path).unwrap().find(RawJson::parse(JSON).unwrap()).map(RawJson::as_str);
        assert_eq!(found, to, "{path}");
    }

    #[test]
    fn paths_lead_to_values() {
        leads(".", Some(JSON));
        leads("$", Some(JSON));
        leads(".a.b[0].c", Some("1"));
        leads("$.a.b[1].c", Some("\"two\""));
        leads(".a.b[-1].c", Some("\"two\""));
        leads(".a.b.[1]", Some("{\"c\":\"two\"}"));
        leads("$['a']['b'][0]", Some("{\"c\":1}"));
        leads(".\"x y\"", Some("null"));
        leads(".d-e", Some("2"));
        leads("[\"a.b\"]", Some("5"));
        leads(".\"q\\\"\"", Some("4"));
        leads(".a?.b?[7]", None);
        leads(".a.b[-3]", None);
        leads(".a[0]", None);
        leads(".nothing.here", None);
    }

    #[test]
    fn what_leads_to_several_values_is_refused() {
        for (path, column) in [("a", 1), (".a[]", 3), (".a..b", 3), (".a.*", 3), (".a[0", 3), (".a | .b", 3), (".\"a", 1)] {
            assert_eq!(JsonPath::parse(path).unwrap_err().column, column, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_path_or_an_error(text in "\\PC{0,60}") {
            let _ = JsonPath::parse(&text).map(|path| path.find(RawJson::parse(JSON).unwrap()));
        }

        #[test]
        fn texts_like_paths_are_paths_or_errors(text in "[$.\\[\\]\"'a0-9?*-]{0,20}") {
            let _ = JsonPath::parse(&text).map(|path| path.find(RawJson::parse(JSON).unwrap()));
        }
    }
}
