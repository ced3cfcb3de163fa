//! Paths into JSON bodies, and everything a path reaches, in one linear pass.
//!
//! A path names members only: arrays are passed through, so `spec.containers.image` is every container's
//! image. `**` is any number of members. Of a repeated key every one counts: whichever the cluster read,
//! the filter sees it. The pass keeps a set of path positions for each open bracket, so its time does not
//! depend on how many `**` there are.

use crate::json::{RawJson, Token, tokens};

/// A path of at most [`BodyPath::MAX_SEGMENTS`] segments; empty is the body itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BodyPath(Vec<Segment>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// The member of this name.
    Key(String),
    /// Any number of members: `**`.
    AnyDepth,
}

/// Something a path leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// A string's characters.
    String(&'a str),
    /// A number as it is spelled.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or array: it is there, but is no scalar.
    Nested,
}

impl BodyPath {
    /// More segments than any real object is deep.
    pub const MAX_SEGMENTS: usize = 62;

    /// A path of these segments; `None` if there are too many.
    pub fn new(segments: Vec<Segment>) -> Option<Self> {
        (segments.len() <= Self::MAX_SEGMENTS).then_some(Self(segments))
    }

    /// The steps.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Calls `visit` for what the path leads to, until that returns true; tells whether it did.
    pub fn any(&self, body: RawJson<'_>, visit: &mut dyn FnMut(Scalar<'_>) -> bool) -> bool {
        let goal = 1u64 << self.0.len();
        // The positions reached by the value that comes next; the stack holds those of the open brackets.
        let mut here = self.closure(1);
        let mut open: Vec<u64> = Vec::new();
        for token in tokens(body) {
            let scalar = match token {
                Token::Key(key) => {
                    here = self.step(open.last().copied().unwrap_or(0), &key);
                    continue;
                }
                Token::ObjectStart | Token::ArrayStart => {
                    if here & goal != 0 && visit(Scalar::Nested) {
                        return true;
                    }
                    open.push(here);
                    continue;
                }
                Token::ObjectEnd | Token::ArrayEnd => {
                    open.pop();
                    here = open.last().copied().unwrap_or(0);
                    continue;
                }
                Token::String(ref text) => Scalar::String(text),
                Token::Number(text) => Scalar::Number(text),
                Token::Bool(value) => Scalar::Bool(value),
                Token::Null => Scalar::Null,
            };
            if here & goal != 0 && visit(scalar) {
                return true;
            }
            here = open.last().copied().unwrap_or(0);
        }
        false
    }

    /// The positions behind a member called `key` of a value at `positions`.
    fn step(&self, positions: u64, key: &str) -> u64 {
        if positions == 0 {
            return 0;
        }
        let mut next = 0;
        for (index, segment) in self.0.iter().enumerate() {
            if positions & (1 << index) == 0 {
                continue;
            }
            match segment {
                Segment::Key(want) if want == key => next |= 1 << (index + 1),
                Segment::Key(_) => {}
                Segment::AnyDepth => next |= 1 << index,
            }
        }
        self.closure(next)
    }

    /// Adds what `**` reaches by standing for no member at all.
    fn closure(&self, mut positions: u64) -> u64 {
        for (index, segment) in self.0.iter().enumerate() {
            if positions & (1 << index) != 0 && *segment == Segment::AnyDepth {
                positions |= 1 << (index + 1);
            }
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, body: &str) -> Vec<String> {
        let segments = path.split('.').filter(|segment| !segment.is_empty());
        let segments = segments.map(|segment| if segment == "**" { Segment::AnyDepth } else { Segment::Key(segment.to_owned()) });
        let mut all = Vec::new();
        BodyPath::new(segments.collect()).unwrap().any(RawJson::parse(body).unwrap(), &mut |scalar| {
            all.push(format!("{scalar:?}"));
            false
        });
        all
    }

    #[test]
    fn paths_pass_through_arrays_and_any_depth() {
        let body = r#"{"a":[{"b":1},{"b":[2,"x"]}],"c":{"a":{"b":null}},"b":true,"a":{"b":{}}}"#;
        assert_eq!(found("a.b", body), [r#"Number("1")"#, "Nested", r#"Number("2")"#, r#"String("x")"#, "Nested"]);
        assert_eq!(found("**.b", body).len(), 7);
        assert_eq!(found("**.**.a.**.b", body).len(), 6);
        assert_eq!(found("b", body), ["Bool(true)"]);
        assert_eq!(found("", "5"), [r#"Number("5")"#]);
        assert!(found("a.c", body).is_empty());
        assert!(found("x.b", body).is_empty());
    }

    #[test]
    fn deep_bodies_and_many_stars_stay_linear() {
        let body = format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
        assert_eq!(found(&"**.".repeat(61), &body).len(), 1001);
    }
}
