//! What a value of text has to look like: literal characters, `*` for any run, `?` for any one character.
//!
//! Used by every field that holds text. Matching takes time in the order of text × pattern ÷ 64 at worst and
//! never backtracks further than one `*`: stretches with `?` are looked for with `mixed.rs`.

use std::borrow::Cow;

use memchr::memmem;

use super::mixed::Mixed;

/// One element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This character itself.
    Char(char),
    /// Any run of characters, also none: `*`.
    AnyRun,
    /// Any one character: `?`.
    AnyOne,
}

/// Whether capital and small letters are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They are.
    Exact,
    /// They are not; ASCII letters fold to ASCII letters only.
    Any,
}

/// How much of the value a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Some part of it.
    Within,
}

/// A pattern, ready to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    case: Case,
    extent: Extent,
    /// The pieces between runs, in order, folded where case does not count.
    segments: Vec<Segment>,
    starts_open: bool,
    ends_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// With `?` in it.
    Mixed(Mixed),
}

impl Pattern {
    /// Builds a pattern; neighbouring runs become one.
    pub fn new(pieces: impl IntoIterator<Item = Piece>, case: Case, extent: Extent) -> Self {
        let mut kept: Vec<Piece> = Vec::new();
        for piece in pieces {
            if piece != Piece::AnyRun || kept.last() != Some(&Piece::AnyRun) {
                kept.push(piece);
            }
        }
        let segments = kept.split(|piece| *piece == Piece::AnyRun).filter(|part| !part.is_empty()).map(|part| Segment::of(part, case)).collect();
        let within = extent == Extent::Within;
        Self {
            starts_open: within || kept.first() == Some(&Piece::AnyRun),
            ends_open: within || kept.last() == Some(&Piece::AnyRun),
            segments,
            pieces: kept,
            case,
            extent,
        }
    }

    /// A pattern of these very characters.
    pub fn literal(text: &str, case: Case, extent: Extent) -> Self {
        Self::new(text.chars().map(Piece::Char), case, extent)
    }

    /// Its elements, as written.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether capital and small letters are told apart.
    pub fn case(&self) -> Case {
        self.case
    }

    /// How much of the value it stands for.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The characters of a pattern without wildcards.
    pub fn as_literal(&self) -> Option<String> {
        self.pieces.iter().map(|piece| if let Piece::Char(character) = piece { Some(*character) } else { None }).collect()
    }

    /// Whether it holds `*` or `?`.
    pub fn has_wildcard(&self) -> bool {
        has_wildcard(&self.pieces)
    }

    /// Whether `text` is as it says.
    pub fn matches(&self, text: &str) -> bool {
        match self.case {
            Case::Exact => self.matches_folded(text),
            Case::Any => self.matches_folded(&fold(text)),
        }
    }

    fn matches_folded(&self, text: &str) -> bool {
        let mut rest = text;
        let mut segments = self.segments.as_slice();
        if !self.starts_open {
            let Some((first, others)) = segments.split_first() else {
                return self.pieces.first() == Some(&Piece::AnyRun) || text.is_empty();
            };
            let Some(length) = first.length_at_start(rest) else { return false };
            rest = &rest[length..];
            segments = others;
            if segments.is_empty() {
                return self.ends_open || rest.is_empty();
            }
        }
        let last = match segments.split_last() {
            Some((last, others)) if !self.ends_open => {
                segments = others;
                Some(last)
            }
            _ => None,
        };
        for segment in segments {
            let Some(end) = segment.end_of_first(rest) else { return false };
            rest = &rest[end..];
        }
        last.is_none_or(|last| last.is_at_end(rest))
    }

    /// The literal stretches every matching value holds, with whether each stands at the value's start and
    /// end; folded where case does not count.
    pub fn literals(&self) -> impl Iterator<Item = Stretch<'_>> {
        let n_segments = self.segments.len();
        self.segments.iter().enumerate().filter_map(move |(index, segment)| match segment {
            Segment::Literal(text) => Some(Stretch { text, at_start: index == 0 && !self.starts_open, at_end: index + 1 == n_segments && !self.ends_open }),
            Segment::Mixed(_) => None,
        })
    }
}

/// A literal stretch of a pattern.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// The characters.
    pub text: &'a str,
    /// Whether the value begins with it.
    pub at_start: bool,
    /// Whether the value ends with it.
    pub at_end: bool,
}

impl Segment {
    fn of(part: &[Piece], case: Case) -> Self {
        let fold_one = |character: char| if case == Case::Any { fold_character(character) } else { character };
        let characters: Vec<Option<char>> = part
            .iter()
            .map(|piece| match piece {
                Piece::Char(character) => Some(fold_one(*character)),
                Piece::AnyOne | Piece::AnyRun => None,
            })
            .collect();
        match characters.iter().copied().collect::<Option<String>>() {
            Some(text) => Self::Literal(text),
            None => Self::Mixed(Mixed::new(characters)),
        }
    }

    fn length_at_start(&self, text: &str) -> Option<usize> {
        match self {
            Self::Literal(literal) => text.starts_with(literal.as_str()).then_some(literal.len()),
            Self::Mixed(wanted) => {
                let mut characters = text.char_indices();
                for want in wanted.characters() {
                    let (_, character) = characters.next()?;
                    if want.is_some_and(|want| want != character) {
                        return None;
                    }
                }
                Some(characters.next().map_or(text.len(), |(at, _)| at))
            }
        }
    }

    fn end_of_first(&self, text: &str) -> Option<usize> {
        match self {
            Self::Literal(literal) => memmem::find(text.as_bytes(), literal.as_bytes()).map(|at| at + literal.len()),
            Self::Mixed(wanted) => wanted.end_of_first(text),
        }
    }

    fn is_at_end(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => text.ends_with(literal.as_str()),
            Self::Mixed(wanted) => {
                let mut characters = text.chars().rev();
                wanted.characters().iter().rev().all(|want| characters.next().is_some_and(|character| want.is_none_or(|want| want == character)))
            }
        }
    }
}

/// Whether `pieces` hold `*` or `?`.
pub fn has_wildcard(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| !matches!(piece, Piece::Char(_)))
}

/// `text` with capital letters made small, character by character.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(fold_character).collect())
}

/// One character for one, and an ASCII letter never for another character: a filter's ASCII text then
/// stands as ASCII in the event's line too, which the prefilter relies on.
fn fold_character(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let mut small = character.to_lowercase();
    match (small.next(), small.next()) {
        (Some(one), None) if !one.is_ascii() => one,
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(text: &str) -> Vec<Piece> {
        text.chars()
            .map(|character| match character {
                '*' => Piece::AnyRun,
                '?' => Piece::AnyOne,
                other => Piece::Char(other),
            })
            .collect()
    }

    /// The definition, one piece at a time.
    fn naive(pieces: &[Piece], text: &[char]) -> bool {
        match pieces.split_first() {
            None => text.is_empty(),
            Some((Piece::AnyRun, rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((Piece::AnyOne, rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((Piece::Char(want), rest)) => text.first() == Some(want) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn matches_as_defined(pattern in "[ab?*ü]{0,7}", text in "[abü]{0,9}") {
            let pattern = pieces(&pattern);
            let characters: Vec<char> = text.chars().collect();
            prop_assert_eq!(Pattern::new(pattern.clone(), Case::Exact, Extent::Whole).matches(&text), naive(&pattern, &characters));
            let mut within = vec![Piece::AnyRun];
            within.extend(&pattern);
            within.push(Piece::AnyRun);
            prop_assert_eq!(Pattern::new(pattern, Case::Exact, Extent::Within).matches(&text), naive(&within, &characters));
        }
    }

    proptest! {
        #[test]
        fn long_stretches_match_as_defined(before in "[abü]{0,5}", pattern in "[ab?ü]{1,150}", other in any::<bool>(), after in "[abü]{0,5}") {
            let middle: String = pattern.chars().map(|character| if character == '?' { 'b' } else { character }).collect();
            let middle = if other { middle.replacen('a', "b", 1) } else { middle };
            let text = format!("{before}{middle}{after}");
            let wanted = pieces(&pattern);
            let characters: Vec<char> = text.chars().collect();
            let fits = |window: &[char]| naive(&wanted, window);
            let expected = characters.windows(wanted.len()).any(fits);
            prop_assert_eq!(Pattern::new(wanted.clone(), Case::Exact, Extent::Within).matches(&text), expected);
        }
    }

    #[test]
    fn a_hostile_stretch_does_not_take_text_times_pattern() {
        let pattern = format!("?{}b", "a".repeat(16_000));
        let text = "a".repeat(1 << 20);
        let begun = std::time::Instant::now();
        assert!(!Pattern::new(pieces(&pattern), Case::Exact, Extent::Within).matches(&text));
        // Eight seconds if compared at each place.
        assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[test]
    fn case_folds_character_by_character() {
        let pattern = Pattern::literal("STRASSE Ärger", Case::Any, Extent::Whole);
        assert!(pattern.matches("strasse ärger"));
        assert!(!Pattern::literal("k", Case::Any, Extent::Whole).matches("\u{212a}"), "the kelvin sign is no k");
    }
}
