//! A line of bash as its completion sees it: split into words, and a candidate written back so that it fits behind what
//! stands there.
//!
//! bash splits words at `:` and `=` too and replaces only what follows the last of them, while a condition of a filter is
//! one word here. So this reads the line itself, by the rules of quoting
//! (<https://www.gnu.org/software/bash/manual/html_node/Quoting.html>) without expansions.

/// The line up to the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The words behind the program's name, without their quotes; the last is the one that is being written.
    pub(super) words: Vec<String>,
    /// How many characters of the last word bash leaves alone.
    kept: usize,
    /// The quote that is open at the cursor.
    quote: Option<char>,
}

impl Line {
    /// Reads a line; `breaks` are the characters at which bash begins a word beside white space.
    pub(super) fn read(line: &str, breaks: &str) -> Self {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let (mut kept, mut quote) = (0, None);
        let mut characters = line.chars();
        while let Some(character) = characters.next() {
            match (quote, character) {
                (None, ' ' | '\t' | '\n') => words.extend(word.take()),
                (None, '\'' | '"') => {
                    quote = Some(character);
                    // An open quote is where bash begins to replace.
                    kept = word.get_or_insert_default().chars().count();
                }
                (Some(open), _) if character == open => quote = None,
                (None, '\\') | (Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
                _ => {
                    let word = word.get_or_insert_default();
                    if word.is_empty() {
                        kept = 0;
                    }
                    word.push(character);
                    if quote.is_none() && breaks.contains(character) {
                        kept = word.chars().count();
                    }
                }
            }
        }
        if word.is_none() {
            kept = 0;
        }
        words.push(word.unwrap_or_default());
        Self { words: words.split_off(1.min(words.len() - 1)), kept, quote }
    }

    /// `candidate`, a whole word, as what bash puts in place of the part it replaces; `None` if it cannot be written there.
    pub(super) fn rest_of(&self, candidate: &str) -> Option<String> {
        let current = self.words.last().map_or("", String::as_str);
        // bash replaces blindly: a candidate that begins otherwise would make nonsense.
        let kept: String = current.chars().take(self.kept).collect();
        let rest = candidate.strip_prefix(kept.as_str())?;
        match self.quote {
            Some('\'') => (!rest.contains('\'')).then(|| rest.to_owned()),
            Some(_) => Some(escaped(rest, |character| matches!(character, '"' | '\\' | '$' | '`' | '!'))),
            None => Some(escaped(rest, |character| !(character.is_alphanumeric() || "-_./:=,@%+^".contains(character)))),
        }
    }
}

fn escaped(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_special(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn case(line: &str) -> (Vec<String>, usize) {
        let line = Line::read(line, "\"'><=;|&(: ");
        (line.words, line.kept)
    }

    #[test]
    fn words_are_those_of_bash_but_for_colons() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(case("decklog search user:ma"), (words(&["search", "user:ma"]), 5));
        assert_eq!(case("decklog search user:"), (words(&["search", "user:"]), 5));
        assert_eq!(case("decklog search us"), (words(&["search", "us"]), 0));
        assert_eq!(case("decklog search "), (words(&["search", ""]), 0));
        assert_eq!(case("decklog search user:a "), (words(&["search", "user:a", ""]), 0));
        assert_eq!(case("decklog search user:a ve"), (words(&["search", "user:a", "ve"]), 0));
        assert_eq!(case("decklog search 'user:a ve"), (words(&["search", "user:a ve"]), 0));
        assert_eq!(case(r"decklog search a\ b"), (words(&["search", "a b"]), 0));
        assert_eq!(case("decklog"), (words(&["decklog"]), 0));
        assert_eq!(case(""), (words(&[""]), 0));
    }

    #[test]
    fn candidates_fit_behind_what_stands_there() {
        let rest = |line: &str, candidate: &str| Line::read(line, "=:").rest_of(candidate);
        assert_eq!(rest("decklog search user:ma", "user:mallory").as_deref(), Some("mallory"));
        assert_eq!(rest("decklog search us", "user:").as_deref(), Some("user:"));
        assert_eq!(rest("decklog search user:", "user:\"a b\"").as_deref(), Some("\\\"a\\ b\\\""));
        assert_eq!(rest("decklog search 'verb:get us", "verb:get user:").as_deref(), Some("verb:get user:"));
        assert_eq!(rest("decklog search 'user:", "user:it's"), None);
        assert_eq!(rest("decklog search \"user:", "user:a$b").as_deref(), Some("user:a\\$b"));
        assert_eq!(rest("decklog search user:", "verb:get"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in ".{0,80}", candidate in ".{0,20}") {
            let line = Line::read(&line, "=:");
            prop_assert!(!line.words.is_empty());
            line.rest_of(&candidate);
        }

        /// What is offered is read back as the candidate.
        #[test]
        fn an_offered_word_is_the_candidate(candidate in "[ -~]{1,20}") {
            let line = Line::read("decklog search ", "=:");
            let written = format!("decklog search {}", line.rest_of(&candidate).unwrap());
            prop_assert_eq!(Line::read(&written, "=:").words, ["search".to_owned(), candidate]);
        }
    }
}
