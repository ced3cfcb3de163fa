//! `decklog help`: of a command, or of a topic that belongs to none.

use std::fmt::Write as _;

use crate::cli::TEMPLATE;
use crate::commands::Context;
use crate::config::{CLIENT_VARIABLES, SETTINGS, variable_of};
use crate::failure::{Exit, Failure, Outcome};
use crate::invoked::Invoked;
use crate::output::Answer;
use crate::suggest::closest;

/// Prints the help of a command or a topic
#[derive(Clone, Debug, clap::Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  decklog help search
  decklog help filter        the filter language
  decklog help exit-codes    what the shell sees"
)]
pub(crate) struct HelpFlags {
    /// A command, or filter, time, output, exit-codes, environment, fields
    #[arg(value_name = "COMMAND|TOPIC")]
    words: Vec<String>,
}

/// A topic: its name and its text.
type Topic = (&'static str, fn() -> String);

const TOPICS: [Topic; 6] = [
    ("filter", || FILTER.to_owned()),
    ("time", || TIME.to_owned()),
    ("output", || OUTPUT.to_owned()),
    ("exit-codes", exit_codes),
    ("environment", environment),
    ("fields", || FIELDS.to_owned()),
];

/// Prints it.
pub(crate) fn run(flags: &HelpFlags, context: &Context) -> Outcome {
    let text = text(&flags.words, context.invoked)?;
    let mut answer = Answer::new();
    answer.line(text.trim_end().as_bytes())?;
    answer.flush()?;
    Ok(Exit::Done)
}

fn text(words: &[String], invoked: Invoked) -> Result<String, Failure> {
    let mut command = invoked.command();
    command.build();
    if let [word] = words
        && let Some((_, text)) = TOPICS.iter().find(|(name, _)| name == word)
    {
        return Ok(text());
    }
    let mut found = &mut command;
    for word in words {
        let names: Vec<String> = found.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        if !names.contains(word) {
            let topics = TOPICS.iter().map(|(name, _)| *name);
            let meant = closest(word, names.iter().map(String::as_str).chain(topics.clone()));
            let help = meant.map_or_else(|| format!("topics: {}", topics.collect::<Vec<_>>().join(", ")), |name| format!("did you mean `{name}`?"));
            return Err(Failure::usage("unknown-topic", format!("no help on `{word}`")).help(help));
        }
        found = found.find_subcommand_mut(word).ok_or_else(|| Failure::usage("unknown-topic", format!("no help on `{word}`")))?;
    }
    Ok(found.render_long_help().to_string())
}

fn exit_codes() -> String {
    let mut out = String::from("What the shell sees:\n");
    for exit in Exit::ALL {
        let _ = writeln!(out, "  {:>3}  {}", exit.code(), exit.meaning());
    }
    out
}

fn environment() -> String {
    let mut out = String::from("Variables; a flag comes first, a variable before the configuration file:\n");
    for (name, meaning) in CLIENT_VARIABLES {
        let _ = writeln!(out, "  {name:<20}  {meaning}");
    }
    out.push_str("  NO_COLOR              no colour\n  CLICOLOR_FORCE=1      colour also without a terminal\n\nSettings of serve (docs/config.md):\n");
    for setting in SETTINGS {
        let _ = writeln!(out, "  {:<32}  {}", variable_of(setting), setting.path);
    }
    out
}

const FILTER: &str = "\
A filter says which events; the same text works in search, tail and the API. All of it: docs/filter.md

  verb:delete                          a field and a value
  verb:delete ns:shop                  side by side is and; or, not and ( ) work too
  verb:(delete or deletecollection)    several values; also verb:delete,deletecollection
  user:system:*                        * is any run of characters, ? is one
  code:4xx  code:400..499  code>=500   numbers and ranges
  not ns:*                             events without a namespace
  object:deploy/web                    KIND[/NAME[/SUB]] with kubectl's names
  request.**.privileged:true           a value in the body, at any depth
  latency > 500ms                      a duration
  time:2026-11-22T09:53                that minute
  ip:10.0.0.0/8                        an address range
  \"cluster-admin\"                      a text anywhere in the event

Names of fields: decklog help fields
";

const TIME: &str = "\
--since belongs to the range, --until does not. Both take:

  90s 15m 6h 7d 2w 1h30m               that long before now
  now  now-6h  today  yesterday        by the clock of UTC
  2026-11-22  2026-11-22T09:53         a date or time without zone is UTC
  2026-11-22T10:53:33+01:00            RFC 3339

An event's time is its stageTimestamp. Tables show this machine's zone on a terminal (--utc, DECKLOG_TZ) and UTC in a
pipe; times are cut, never rounded.
";

const OUTPUT: &str = "\
The answer is on stdout, everything else (progress, notes, totals) on stderr.

  -o table    one row a request, newest first (default)
  -o wide     with microseconds, address, tool, binding and audit id
  -o json     one event a line, exactly as stored, every stage, oldest first
  -o csv      the columns of wide with a header row, every stage, oldest first; cells that a spreadsheet would run as a
              formula begin with '

Counts instead of events: search --count, --facet FIELD, --histogram; top counts bytes.

--limit N is the newest N (100); 0 is all. --stages final|all|LIST chooses the stages, --columns the columns.
In tables, control characters and marks that turn text around are shown as \\u{…}.
";

const FIELDS: &str = "\
Fields of filters, with their short names (docs/filter.md says how each is compared):

  time (stageTimestamp), received (requestReceivedTimestamp), latency, ingested
  verb, verbclass (connect read change delete other), level, stage, final, longrunning, dryrun
  user (user.username), groups, uid, user.extra.KEY, credential, usertype, sa (ns/name)
  as (impersonatedUser.username), as.groups, actor (either), actor.groups
  ns, resource, subresource, name, apigroup, apiversion, object (KIND/NAME/SUB)
  code, reason, message, outcome (allowed denied error), decision, authz, annotations.KEY
  ip (any of sourceIPs), peer (the last), ua (userAgent), tool (its first word)
  uri (requestURI), path, auditID
  request.PATH, response.PATH (bodies), raw.PATH (any place of the event)
  cluster, source, sender, id, seq (decklog's own)
";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_topic_and_command_has_its_help() {
        for (name, _) in TOPICS {
            assert!(text(&[name.to_owned()], Invoked::Decklog).unwrap().len() > 100, "{name}");
        }
        for command in Cli::command().get_subcommands() {
            let shown = text(&[command.get_name().to_owned()], Invoked::Decklog).unwrap();
            assert!(shown.contains("Usage:") && shown.contains("Examples:"), "{}", command.get_name());
        }
    }

    /// docs/cli.md shows the help as the program prints it.
    #[test]
    fn command_page_is_up_to_date() {
        let mut page = include_str!("help/page_before.md").to_owned();
        for exit in Exit::ALL {
            let _ = writeln!(page, "| {} | {} |", exit.code(), exit.meaning());
        }
        page.push_str(include_str!("help/page_after.md"));
        // Whatever the terminal of who runs the tests.
        let mut command = Cli::command().term_width(100);
        command.build();
        for command in command.get_subcommands_mut().filter(|command| command.get_name() != "help" && !command.is_hide_set()) {
            add_help(command, "decklog", &mut page);
        }
        crate::bless::check("docs/cli.md", &page);
    }

    fn add_help(command: &mut clap::Command, parent: &str, page: &mut String) {
        let name = format!("{parent} {}", command.get_name());
        let help: String = command.render_long_help().to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect();
        let _ = write!(page, "\n### {name}\n\n```text\n{help}```\n");
        for subcommand in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            add_help(subcommand, &name, page);
        }
    }

    #[test]
    fn an_unknown_topic_names_the_nearest() {
        let failure = text(&["fliter".to_owned()], Invoked::Decklog).unwrap_err();
        assert_eq!(failure.help.as_deref(), Some("did you mean `filter`?"));
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
