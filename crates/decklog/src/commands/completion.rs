//! `decklog completion`: scripts that make a shell complete commands, flags and filters.
//!
//! The scripts for bash, zsh and fish are thin: at every key they ask this program, by its hidden command `complete`,
//! what fits ([`offer`]), so that they know the filter language and the values in the store. The scripts for PowerShell and
//! elvish are clap's own and know commands and flags. The one for kubectl is a program of its own, which kubectl asks.

mod kubectl;
mod line;
mod offer;
mod values;

use std::io::Write;

use clap::{CommandFactory, ValueEnum};

use crate::cli::{Cli, TEMPLATE};
use crate::commands::Context;
use crate::failure::{Exit, Outcome};
use crate::output::{Answer, is_hostile};
use line::Line;
use offer::{Candidate, Offer, offer};

/// Prints a shell's completion script
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  source <(decklog completion bash)                                in this bash
  decklog completion bash > /etc/bash_completion.d/decklog         for everybody
  decklog completion zsh > \"${fpath[1]}/_decklog\"
  decklog completion fish > ~/.config/fish/completions/decklog.fish
  decklog completion powershell | Out-String | Invoke-Expression
  decklog completion kubectl > ~/bin/kubectl_complete-decklog      then chmod +x it: kubectl completes `kubectl decklog`

bash, zsh and fish complete filters too: field names, then the values of the last hour stored, as in user:ma<TAB>; these are
asked of the target that the command line names, for 0.3 s at most.",
    after_help = "Exit codes: 0 done (decklog help exit-codes)"
)]
pub(crate) struct CompletionFlags {
    /// bash, zsh, fish, powershell, elvish or kubectl
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    Power,
    Elvish,
    Kubectl,
}

/// Prints it.
pub(crate) fn run(flags: &CompletionFlags, _context: &Context) -> Outcome {
    let mut answer = Answer::new();
    answer.with(|out| {
        let mut command = Cli::command();
        let generated = |shell: clap_complete::Shell, command: &mut clap::Command, out: &mut dyn Write| {
            // Into memory first: clap's generator panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, command, "decklog", &mut script);
            out.write_all(&script)
        };
        match flags.shell {
            Shell::Bash => out.write_all(include_bytes!("completion/decklog.bash")),
            Shell::Zsh => out.write_all(include_bytes!("completion/decklog.zsh")),
            Shell::Fish => out.write_all(include_bytes!("completion/decklog.fish")),
            Shell::Kubectl => out.write_all(include_bytes!("completion/kubectl_complete-decklog")),
            Shell::Power => generated(clap_complete::Shell::PowerShell, &mut command, out),
            Shell::Elvish => generated(clap_complete::Shell::Elvish, &mut command, out),
        }
    })?;
    answer.flush()?;
    Ok(Exit::Done)
}

/// Answers a completion script: what could stand at the cursor
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog complete -- search user:ma        a line for each candidate, a tab, what it is
  decklog complete --line 'decklog search user:ma' --breaks '=:'"
)]
pub(crate) struct CompleteFlags {
    /// The words behind the program's name, without quotes; the last is the one that is being written
    #[arg(last = true, value_name = "WORD", allow_hyphen_values = true)]
    words: Vec<String>,
    /// In their place bash's whole line up to the cursor, with its quotes
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    line: Option<String>,
    /// The characters at which bash begins a new word
    #[arg(long, value_name = "CHARACTERS", default_value = "", allow_hyphen_values = true)]
    breaks: String,
    /// Answer as kubectl's completion wants it
    #[arg(long, conflicts_with = "line")]
    kubectl: bool,
}

/// Prints what fits, a line each: the text, a tab, what it is. A text that is not whole yet, to which no space belongs,
/// has a second tab behind. The single line `:files` stands for the names of files. Nothing that goes wrong is told: whoever
/// is writing a command has no use for it there.
pub(crate) fn complete(flags: &CompleteFlags, context: &Context) -> Outcome {
    let line = flags.line.as_deref().map(|line| Line::read(line, &flags.breaks));
    let words = line.as_ref().map_or(&flags.words, |line| &line.words);
    let mut answer = Answer::new();
    let offer = offer(words, &mut |field, prefix, target| values::of(field, prefix, target, context));
    if flags.kubectl {
        answer.line(kubectl::lines(&offer).as_bytes())?;
        answer.flush()?;
        return Ok(Exit::Done);
    }
    let told = match offer {
        Offer::Files => answer.line(b":files"),
        Offer::Candidates(candidates) => candidates.iter().try_for_each(|candidate| tell(candidate, line.as_ref(), &mut answer)),
    };
    told?;
    answer.flush()?;
    Ok(Exit::Done)
}

fn tell(candidate: &Candidate, line: Option<&Line>, answer: &mut Answer) -> Result<(), crate::failure::Failure> {
    // Values come from events: one that a terminal would act on is not offered, since it could not be written either.
    if candidate.text.chars().any(is_hostile) {
        return Ok(());
    }
    let Some(text) = line.map_or_else(|| Some(candidate.text.clone()), |line| line.rest_of(&candidate.text)) else { return Ok(()) };
    let unfinished = if candidate.whole { "" } else { "\t" };
    answer.line(format!("{text}\t{}{unfinished}", candidate.detail).as_bytes())
}
