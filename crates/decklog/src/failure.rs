//! What went wrong, for people and for scripts: the one place that knows error texts' form and exit codes.
//!
//! Every command ends in [`Exit`] or [`Failures`]; `main` prints the failures and leaves with their code
//! (docs/cli.md, "Exit codes" and "Errors").

mod print;
mod usage;

use std::process::ExitCode;

pub(crate) use print::{ErrorFormat, pointer, print};
pub(crate) use usage::{asks_for_json, of_clap};

/// How the program ends (docs/cli.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, also when nothing matched.
    Done,
    /// Done, and the answer is "no": `search -e` without a match.
    No,
    /// Wrong use: a flag, a filter, a time, the configuration.
    Usage,
    /// It could not be done: file, network, server, disk.
    Failed,
    /// Not authenticated, or not allowed.
    Denied,
    /// Done in part.
    Partly,
    /// The query's time limit is over.
    TimeLimit,
    /// `policy check` found lints.
    Lints,
    /// Wrong use of `policy check`, whose 2 says something else.
    CheckUsage,
    /// Ctrl-C.
    Interrupted,
    /// Who read our output has gone; nothing is printed.
    PipeClosed,
}

impl Exit {
    /// All of them, for the help topic and its test.
    pub(crate) const ALL: [Self; 11] = [
        Self::Done,
        Self::No,
        Self::Usage,
        Self::Lints,
        Self::Failed,
        Self::Denied,
        Self::Partly,
        Self::CheckUsage,
        Self::TimeLimit,
        Self::Interrupted,
        Self::PipeClosed,
    ];

    /// The number the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage | Self::Lints => 2,
            Self::Failed => 3,
            Self::Denied => 4,
            Self::Partly => 5,
            Self::CheckUsage => 64,
            Self::TimeLimit => 124,
            Self::Interrupted => 130,
            Self::PipeClosed => 141,
        }
    }

    /// What it means, for `decklog help exit-codes`.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, also when nothing matched",
            Self::No => "done, and the answer is no: `search -e` without a match, `policy check` of a policy that is refused",
            Self::Usage => "wrong use: a flag, a filter, a time, the configuration",
            Self::Lints => "`policy check` alone: lints of the denied severity",
            Self::CheckUsage => "`policy check` alone: wrong use",
            Self::Failed => "it could not be done: file, network, server, disk",
            Self::Denied => "not authenticated, or not allowed",
            Self::Partly => "done in part: an import with quarantined events or a file that failed",
            Self::TimeLimit => "the time limit of the query is over",
            Self::Interrupted => "stopped with Ctrl-C",
            Self::PipeClosed => "the reader of the pipe has left (silent)",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Where in a text the fault lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file; `None` is a text given on the command line.
    pub(crate) file: Option<String>,
    /// Line, from 1; 0 if the text has only one.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// How many characters are wrong.
    pub(crate) length: usize,
    /// The line's text, to point at.
    pub(crate) text: Option<String>,
}

impl Place {
    /// A place in a text given on the command line, by line and column from 1; what is wrong there is a whole word.
    pub(crate) fn in_text(text: &str, line: usize, column: usize) -> Self {
        let found = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let rest = found.chars().skip(column.saturating_sub(1));
        let length = rest.take_while(|character| character.is_alphanumeric() || *character == '_').count().max(1);
        let line = if text.trim().contains('\n') { line } else { 0 };
        Self { file: None, line, column, length, text: (!found.is_empty()).then(|| found.to_owned()) }
    }
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the program ends with.
    pub(crate) exit: Exit,
    /// A stable word for scripts.
    pub(crate) code: &'static str,
    /// What is wrong: lower case, the thing in backquotes, no full stop.
    pub(crate) message: String,
    /// Where.
    pub(crate) place: Option<Box<Place>>,
    /// The next command, or the mended text.
    pub(crate) help: Option<String>,
    /// Facts.
    pub(crate) notes: Vec<String>,
}

impl Failure {
    /// A cause without place or help.
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), place: None, help: None, notes: Vec::new() }
    }

    /// Wrong use (exit 2).
    pub(crate) fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, code, message)
    }

    /// It could not be done (exit 3).
    pub(crate) fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, code, message)
    }

    /// With what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a fact more.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With the line of `text` that its place is in. Where nobody told the place, it is that of the word the message has
    /// in backquotes, if that stands in the text once.
    pub(crate) fn pointing_into(mut self, text: &str) -> Self {
        let told = self.place.as_deref().map(|place| (place.line, place.column));
        let named = || place_of_word(self.message.split('`').nth(1)?, text);
        self.place = told.or_else(named).map(|(line, column)| Box::new(Place::in_text(text, line, column)));
        self
    }

    /// With where it is.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }
}

/// Line and column of a word that stands once in `text`.
fn place_of_word(word: &str, text: &str) -> Option<(usize, usize)> {
    let is_part = |character: Option<char>| character.is_some_and(|character| character.is_alphanumeric() || character == '_');
    let in_line = |(line, content): (usize, &str)| -> Vec<(usize, usize)> {
        let whole = content.match_indices(word).filter(|(at, _)| {
            let (before, behind) = (&content[..*at], &content[at + word.len()..]);
            !is_part(before.chars().next_back()) && !is_part(behind.chars().next())
        });
        whole.map(|(at, _)| (line + 1, content[..at].chars().count() + 1)).collect()
    };
    if word.is_empty() {
        return None;
    }
    let mut places = text.lines().enumerate().flat_map(in_line);
    places.next().filter(|_| places.next().is_none())
}

/// All causes at once; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failures(Vec<Failure>);

impl Failures {
    /// Of all that was found wrong; `Ok` if nothing was.
    pub(crate) fn check(causes: Vec<Failure>) -> Result<(), Self> {
        if causes.is_empty() { Ok(()) } else { Err(Self(causes)) }
    }

    /// The causes in the order they were found.
    pub(crate) fn causes(&self) -> &[Failure] {
        &self.0
    }

    /// What the program ends with: the first cause's.
    pub(crate) fn exit(&self) -> Exit {
        self.0.first().map_or(Exit::Failed, |failure| failure.exit)
    }

    /// Whether all that happened is that the reader of our output has gone.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.iter().all(|failure| failure.exit == Exit::PipeClosed)
    }
}

impl From<Vec<Failure>> for Failures {
    fn from(causes: Vec<Failure>) -> Self {
        Self(causes)
    }
}

impl From<Failure> for Failures {
    fn from(failure: Failure) -> Self {
        Self(vec![failure])
    }
}

/// How commands end.
pub(crate) type Outcome = Result<Exit, Failures>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_message_is_found_in_the_text_if_it_stands_there_once() {
        let place = |message: &str, text: &str| Failure::usage("x", message).pointing_into(text).place.map(|place| (place.line, place.column, place.length));
        assert_eq!(place("there is no column `usr`", "SELECT usr FROM events"), Some((0, 8, 3)));
        assert_eq!(place("there is no column `usr`", "SELECT ü,\n usr, my_usr"), Some((2, 2, 3)));
        assert_eq!(place("there is no column `usr`", "SELECT usr, usr"), None);
        assert_eq!(place("there is no column ``", "SELECT"), None);
        assert_eq!(place("nothing is named", "SELECT"), None);
    }
}
