//! What could stand at the cursor: commands, flags and their values from clap's own tree, filters from the filter
//! language, and values of fields from whoever is asked for them.

use clap::{Arg, Command, CommandFactory, ValueHint};
use decklog_audit::filter::complete::{TokenKind, complete, value_text};
use decklog_audit::filter::fields::{self, Field, FieldId};

use crate::cli::Cli;
use crate::question::quoted;

/// What fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// The names of files, which the shell knows.
    Files,
    /// These words.
    Candidates(Vec<Candidate>),
}

/// A word that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The whole word.
    pub(super) text: String,
    /// One line about it; may be empty.
    pub(super) detail: String,
    /// Whether the word is whole, so that a space may follow.
    pub(super) whole: bool,
}

impl Candidate {
    fn new(text: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { text: text.into(), detail: detail.into(), whole: true }
    }
}

/// Tells the values of a field that begin so, most frequent first, with their counts; the last argument is the flags
/// that name the target, as words.
pub(super) type AskValues<'a> = dyn FnMut(&Field, &str, &[String]) -> Vec<(String, u64)> + 'a;

/// What could stand in place of the last of `words`, which are those behind the program's name.
pub(super) fn offer(words: &[String], ask: &mut AskValues<'_>) -> Offer {
    let mut root = Cli::command();
    root.build();
    let Some((current, before)) = words.split_last() else { return Offer::Candidates(Vec::new()) };
    let place = Place::behind(&root, before);
    let mut candidates = match (place.waiting, current.strip_prefix("--").and_then(|flag| flag.split_once('='))) {
        (Some(argument), _) => match values_of(argument, current, &place, ask) {
            Offer::Files => return Offer::Files,
            Offer::Candidates(candidates) => candidates,
        },
        (None, Some((name, value))) if !place.behind_dashes => {
            let Some(argument) = place.command.get_arguments().find(|argument| argument.get_long() == Some(name)) else {
                return Offer::Candidates(Vec::new());
            };
            let Offer::Candidates(values) = values_of(argument, value, &place, ask) else { return Offer::Files };
            values.into_iter().map(|value| Candidate { text: format!("--{name}={}", value.text), ..value }).collect()
        }
        (None, _) if current.starts_with('-') && !place.behind_dashes => place.flags(),
        (None, _) => match place.positional() {
            Some(argument) => match values_of(argument, current, &place, ask) {
                Offer::Files => return Offer::Files,
                Offer::Candidates(candidates) => candidates,
            },
            None => place.commands(),
        },
    };
    candidates.retain(|candidate| candidate.text.starts_with(current.as_str()));
    Offer::Candidates(candidates)
}

/// Where the cursor stands.
struct Place<'a> {
    command: &'a Command,
    /// The flag whose value comes next.
    waiting: Option<&'a Arg>,
    behind_dashes: bool,
    /// The words so far that are neither flags nor commands.
    positionals: Vec<String>,
    /// Flags with their values: the id, and how it is written.
    given: Vec<(String, String, String)>,
}

impl<'a> Place<'a> {
    fn behind(root: &'a Command, words: &[String]) -> Self {
        let mut place = Self { command: root, waiting: None, behind_dashes: false, positionals: Vec::new(), given: Vec::new() };
        words.iter().for_each(|word| place.step(word));
        place
    }

    fn step(&mut self, word: &str) {
        if let Some(argument) = self.waiting.take() {
            return self.give(argument, word);
        }
        if self.behind_dashes {
            return self.positionals.push(word.to_owned());
        }
        if word == "--" {
            self.behind_dashes = true;
            self.positionals.clear();
            return;
        }
        if let Some(flag) = word.strip_prefix("--") {
            let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            let argument = self.command.get_arguments().find(|argument| argument.get_long() == Some(name));
            return self.flag(argument, value);
        }
        if let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) {
            // Of `-qn` the last one may want a value.
            let last = flags.chars().last();
            let argument = self.command.get_arguments().find(|argument| argument.get_short() == last);
            return self.flag(argument, None);
        }
        match self.command.find_subcommand(word) {
            Some(command) if self.positionals.is_empty() => self.command = command,
            _ => self.positionals.push(word.to_owned()),
        }
    }

    fn flag(&mut self, argument: Option<&'a Arg>, value: Option<&str>) {
        let Some(argument) = argument.filter(|argument| argument.get_action().takes_values()) else { return };
        match value {
            Some(value) => self.give(argument, value),
            None => self.waiting = Some(argument),
        }
    }

    fn give(&mut self, argument: &Arg, value: &str) {
        let name = argument.get_long().map(|name| format!("--{name}")).unwrap_or_default();
        self.given.push((argument.get_id().to_string(), name, value.to_owned()));
    }

    /// The flags that say whom to ask, as words.
    fn target(&self) -> Vec<String> {
        self.given.iter().flat_map(|(_, name, value)| [name.clone(), value.clone()]).collect()
    }

    fn flags(&self) -> Vec<Candidate> {
        let arguments = self.command.get_arguments().filter(|argument| !argument.is_hide_set());
        arguments.filter_map(|argument| Some(Candidate::new(format!("--{}", argument.get_long()?), first_line(argument.get_help())))).collect()
    }

    fn commands(&self) -> Vec<Candidate> {
        let commands = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        commands.map(|command| Candidate::new(command.get_name(), first_line(command.get_about()))).collect()
    }

    /// The argument that the next word belongs to.
    fn positional(&self) -> Option<&'a Arg> {
        if self.behind_dashes
            && let Some(last) = self.command.get_positionals().find(|argument| argument.is_last_set())
        {
            return Some(last);
        }
        let mut arguments = self.command.get_positionals().filter(|argument| !argument.is_last_set());
        let takes_many = |argument: &Arg| matches!(argument.get_action(), clap::ArgAction::Append);
        let mut at = 0;
        arguments.find(|argument| {
            at += 1;
            takes_many(argument) || at > self.positionals.len()
        })
    }
}

fn first_line(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// The values of a flag or positional argument.
fn values_of(argument: &Arg, current: &str, place: &Place<'_>, ask: &mut AskValues<'_>) -> Offer {
    let target = place.target();
    let mut of_field = |id: FieldId| {
        let counted = ask(&Field::plain(id), current, &target);
        Offer::Candidates(counted.into_iter().map(|(value, n_events)| Candidate::new(value, events(n_events))).collect())
    };
    match argument.get_id().as_str() {
        "filter" => return Offer::Candidates(filter_words(place, current, ask)),
        "facet" => return Offer::Candidates(fields::names().map(|name| Candidate::new(name, "")).collect()),
        "namespace" => return of_field(FieldId::Namespace),
        // What a source is called and what a server calls its cluster is up to who starts it.
        "cluster" if can_ask(place.command) => return of_field(FieldId::Cluster),
        "source" if can_ask(place.command) => return of_field(FieldId::Source),
        _ => {}
    }
    let known = argument.get_possible_values();
    if known.is_empty() {
        let is_path = !matches!(argument.get_value_hint(), ValueHint::Unknown | ValueHint::Other);
        return if is_path { Offer::Files } else { Offer::Candidates(Vec::new()) };
    }
    // Of a list the last one is being written.
    let written = argument.get_value_delimiter().and_then(|comma| current.rfind(comma)).map_or("", |comma| &current[..=comma]);
    let values = known.iter().filter(|value| !value.is_hide_set());
    Offer::Candidates(values.map(|value| Candidate::new(format!("{written}{}", value.get_name()), first_line(value.get_help()))).collect())
}

fn can_ask(command: &Command) -> bool {
    command.get_arguments().any(|argument| argument.get_id() == "server")
}

fn events(n_events: u64) -> String {
    crate::output::plural(n_events, "event")
}

/// What could stand in a filter that the words before and `current` are.
fn filter_words(place: &Place<'_>, current: &str, ask: &mut AskValues<'_>) -> Vec<Candidate> {
    let mut text: String = place.positionals.iter().map(|word| format!("{word} ")).collect();
    let offset = text.chars().count();
    text.push_str(current);
    let completion = complete(&text, usize::MAX);
    // What began in a word before cannot be replaced.
    let Some(n_kept) = completion.start.checked_sub(offset) else { return Vec::new() };
    let kept: String = current.chars().take(n_kept).collect();
    let mut candidates = Vec::new();
    // Behind a quote that was begun, every value is quoted; else one that must be is not offered behind what has no quote.
    let in_quotes = current.chars().nth(n_kept) == Some('"');
    let written = |value: &str| if in_quotes { quoted(value) } else { value_text(value) };
    if let Some(wanted) = &completion.wanted {
        for (value, n_events) in ask(&wanted.field, &wanted.prefix, &place.target()) {
            candidates.push(Candidate::new(format!("{kept}{}", written(&value)), events(n_events)));
        }
    }
    for item in completion.items {
        // A whole name of a field is completed with its colon, never with a sign of its own.
        if item.kind == TokenKind::Operator {
            continue;
        }
        let whole = item.kind == TokenKind::Value || item.text.ends_with(' ');
        let candidate = Candidate { text: format!("{kept}{}", item.text.trim_end()), detail: item.detail, whole };
        if !candidates.iter().any(|known: &Candidate| known.text == candidate.text) {
            candidates.push(candidate);
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut ask = |field: &Field, prefix: &str, target: &[String]| {
            let values = match field.to_string().as_str() {
                "user.username" => vec![("mallory".to_owned(), 25), ("mary ann".to_owned(), 3)],
                "objectRef.namespace" => vec![("shop".to_owned(), 7)],
                _ => Vec::new(),
            };
            assert!(target.is_empty() || target == ["--data-dir", "d"], "{target:?}");
            values.into_iter().filter(|(value, _)| value.starts_with(prefix)).collect()
        };
        match offer(&words, &mut ask) {
            Offer::Files => vec![":files".to_owned()],
            Offer::Candidates(candidates) => candidates.into_iter().map(|candidate| candidate.text + if candidate.whole { "" } else { "…" }).collect(),
        }
    }

    #[test]
    fn commands_flags_and_their_values() {
        assert_eq!(offered("sea"), ["search"]);
        assert!(!offered("comp").contains(&"complete".to_owned()), "hidden");
        assert_eq!(offered("quarantine "), ["list", "export"]);
        assert_eq!(offered("search --hist"), ["--histogram"]);
        assert_eq!(offered("search -o "), ["table", "wide", "json", "csv"]);
        assert_eq!(offered("search --output=j"), ["--output=json"]);
        assert_eq!(offered("search --columns time,us"), ["time,user"]);
        assert_eq!(offered("search --data-dir "), [":files"]);
        assert_eq!(offered("search -- "), [":files"]);
        assert_eq!(offered("import "), [":files"]);
        assert_eq!(offered("completion z"), ["zsh"]);
        assert_eq!(offered("search --facet as.u"), ["as.username", "as.uid"]);
        assert!(offered("nothing --x").is_empty());
    }

    #[test]
    fn filters_with_values_of_the_target() {
        assert_eq!(offered("search user:ma"), ["user:mallory"]);
        assert_eq!(offered("search user:\"ma"), ["user:\"mallory\"", "user:\"mary ann\""]);
        assert_eq!(offered("search --data-dir d user:mal"), ["user:mallory"]);
        assert_eq!(offered("tail verb:delete user:mal"), ["user:mallory"]);
        assert_eq!(offered("search outcome:d"), ["outcome:denied"]);
        assert_eq!(offered("search verbcl"), ["verbclass:…"]);
        assert_eq!(offered("search verb:get an"), ["and", "annotations.…"]);
        assert_eq!(offered("search -n "), ["shop"]);
        assert_eq!(offered("search --namespace=s"), ["--namespace=shop"]);
        assert_eq!(offered("search verb:(get or li"), ["list"]);
    }
}
