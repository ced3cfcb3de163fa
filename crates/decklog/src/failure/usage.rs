//! clap's own errors as ours, for programs that read errors as JSON. People get clap's text, which has our style.

use std::ffi::{OsStr, OsString};

use super::{Failure, Failures};

/// The failure that an error of clap's means.
pub(crate) fn of_clap(error: &clap::Error) -> Failures {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message).lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let tips: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let help = if tips.is_empty() { usage.map(str::to_owned) } else { Some(tips.join("; ")) };
    let failure = Failure::usage("usage", message);
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
    .into()
}

/// Whether the words of the command line, or else the variable, ask for JSON. They are looked at by themselves: it was clap
/// that could not read them.
pub(crate) fn asks_for_json(words: &[OsString], variable: Option<&str>) -> bool {
    let mut chosen = None;
    let words: Vec<&str> = words.iter().map(OsString::as_os_str).map_while(OsStr::to_str).take_while(|word| *word != "--").collect();
    for (index, word) in words.iter().enumerate() {
        chosen = match word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o").map(|rest| rest.trim_start_matches('='))) {
            Some("") => words.get(index + 1).copied(),
            Some(value) => Some(value),
            None if *word == "--output" => words.get(index + 1).copied(),
            None => chosen,
        };
    }
    chosen.or(variable) == Some("json")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_form_is_found_however_it_is_written() {
        let case = |line: &str, variable: Option<&str>| asks_for_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>(), variable);
        for json in ["search -o json --x", "search -ojson", "search -o=json", "search --output json", "search --output=json", "-o csv -o json"] {
            assert!(case(json, None), "{json}");
        }
        for other in ["search --x", "search -o csv", "search -o", "search -- -o json", "search --output=table"] {
            assert!(!case(other, None), "{other}");
        }
        assert!(case("search --x", Some("json")) && !case("search -o csv", Some("json")));
    }

    #[test]
    fn an_error_of_clap_keeps_its_words() {
        let of = |words: &[&str]| of_clap(&Cli::try_parse_from(words).unwrap_err()).causes()[0].clone();
        let unknown = of(&["decklog", "search", "--limt", "3"]);
        assert_eq!(unknown.message, "unexpected argument '--limt' found");
        assert!(unknown.help.unwrap().contains("--limit"));
        let missing = of(&["decklog", "import"]);
        assert_eq!(missing.message, "the following required arguments were not provided: <FILE>...");
    }
}
