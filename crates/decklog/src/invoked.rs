//! By which name this program was called: kubectl finds its plugins by their files' names.
//!
//! | file | is |
//! | --- | --- |
//! | `kubectl-decklog` | `kubectl decklog …`: the same commands, and without a target the kubeconfig's cluster |
//! | `kubectl_complete-decklog` | what kubectl's completion asks for the words behind `kubectl decklog` |
//! | any other | `decklog` |

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::cli::Cli;

/// The name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Invoked {
    /// As itself.
    #[default]
    Decklog,
    /// As kubectl's plugin.
    Kubectl,
    /// As the completion of kubectl's plugin.
    KubectlCompletion,
}

impl Invoked {
    /// By the first of the program's arguments.
    pub(crate) fn of(program: Option<&OsStr>) -> Self {
        let name = program.and_then(|program| Path::new(program).file_name()).and_then(OsStr::to_str).unwrap_or_default();
        match name {
            "kubectl-decklog" => Self::Kubectl,
            "kubectl_complete-decklog" => Self::KubectlCompletion,
            _ => Self::Decklog,
        }
    }

    /// Whether kubectl called, one way or the other.
    pub(crate) fn by_kubectl(self) -> bool {
        self != Self::Decklog
    }

    /// The arguments that are meant: kubectl's completion hands over nothing but the words to complete.
    pub(crate) fn arguments(self, given: Vec<OsString>) -> Vec<OsString> {
        if self != Self::KubectlCompletion {
            return given;
        }
        let before = ["kubectl-decklog", "complete", "--kubectl", "--"].map(OsString::from);
        before.into_iter().chain(given.into_iter().skip(1)).collect()
    }

    /// The commands, named as they are called.
    pub(crate) fn command(self) -> Command {
        let command = Cli::command();
        if self.by_kubectl() { as_kubectl(command.bin_name("kubectl decklog")) } else { command }
    }
}

/// The same commands with the examples and hints of a plugin.
fn as_kubectl(mut command: Command) -> Command {
    let text = |text: Option<&clap::builder::StyledStr>| text.map(|text| in_kubectl(&text.to_string()));
    let (before, after) = (text(command.get_before_help()), text(command.get_after_help()));
    if let Some(before) = before {
        command = command.before_help(before);
    }
    if let Some(after) = after {
        command = command.after_help(after);
    }
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, as_kubectl))
}

/// `decklog search` as `kubectl decklog search`: wherever the program's name stands before a word, and not in a path.
fn in_kubectl(text: &str) -> String {
    const NAME: &str = "decklog ";
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find(NAME) {
        let (before, behind) = (&rest[..at], &rest[at + NAME.len()..]);
        let is_word = before.chars().next_back().is_none_or(|c| c.is_whitespace() || "(<|`'".contains(c));
        let is_command = behind.starts_with(|c: char| c.is_ascii_lowercase() || c == '-');
        out.push_str(before);
        out.push_str(if is_word && is_command { "kubectl decklog " } else { NAME });
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn the_name_of_the_file_decides() {
        let of = |program: &str| Invoked::of(Some(OsStr::new(program)));
        assert_eq!(of("/usr/local/bin/kubectl-decklog"), Invoked::Kubectl);
        assert_eq!(of("kubectl_complete-decklog"), Invoked::KubectlCompletion);
        for other in ["decklog", "/opt/kubectl-decklog/decklog", "kubectl-decklog-2", ""] {
            assert_eq!(of(other), Invoked::Decklog, "{other}");
        }
        assert_eq!(Invoked::of(None), Invoked::Decklog);
    }

    #[test]
    fn kubectls_completion_hands_over_words() {
        let given = || ["/x/kubectl_complete-decklog", "search", "--", ""].map(OsString::from).to_vec();
        assert_eq!(Invoked::KubectlCompletion.arguments(given()), ["kubectl-decklog", "complete", "--kubectl", "--", "search", "--", ""]);
        assert_eq!(Invoked::Kubectl.arguments(given()), given());
        let matches = Invoked::KubectlCompletion.command().try_get_matches_from(Invoked::KubectlCompletion.arguments(given())).unwrap();
        assert!(Cli::from_arg_matches(&matches).is_ok());
    }

    /// Krew asks for it (<https://krew.sigs.k8s.io/docs/developer-guide/develop/best-practices/>).
    #[test]
    fn a_plugin_says_how_it_is_called() {
        let mut command = Invoked::Kubectl.command();
        command.build();
        let help = command.render_long_help().to_string();
        assert!(help.contains("Usage: kubectl decklog [OPTIONS]") || help.contains("Usage: kubectl decklog <COMMAND>"), "{help}");
        assert!(help.contains("\n  kubectl decklog search verb:delete ns:shop"), "{help}");
        let search = command.find_subcommand_mut("search").unwrap().render_long_help().to_string();
        assert!(search.contains("Usage: kubectl decklog search") && search.contains("(kubectl decklog help exit-codes;"), "{search}");
        let error = Invoked::Kubectl.command().try_get_matches_from(["kubectl-decklog", "search", "--limt", "3"]).unwrap_err().to_string();
        assert!(error.contains("Usage: kubectl decklog search"), "{error}");
        let own = Invoked::Decklog.command().render_long_help().to_string();
        assert!(!own.contains("kubectl"), "{own}");
    }

    #[test]
    fn only_commands_are_renamed() {
        assert_eq!(in_kubectl("  decklog search x | decklog import -"), "  kubectl decklog search x | kubectl decklog import -");
        let same = "/etc/decklog token, ./decklog-data, decklog Search, my-decklog search, decklog";
        assert_eq!(in_kubectl(same), same);
    }

    #[test]
    fn the_arguments_are_consistent() {
        Invoked::Kubectl.command().debug_assert();
    }
}
