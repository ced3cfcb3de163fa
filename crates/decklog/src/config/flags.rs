//! Settings as flags of `serve`: the list of settings made into clap's arguments.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::environment::variable_of;
use super::settings::{SETTINGS, Setting};

/// The settings given as flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingFlags(pub(crate) Vec<(&'static Setting, String)>);

impl SettingFlags {
    /// Of a command that has only some of them, by flag; `None` was not given.
    pub(crate) fn of(given: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Self {
        let setting = |flag: &str| SETTINGS.iter().find(|setting| setting.flag == flag);
        Self(given.into_iter().filter_map(|(flag, value)| Some((setting(flag)?, value?))).collect())
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| matches.get_one::<String>(setting.flag).map(|value| (setting, value.clone())));
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().fold(command, |command, setting| command.arg(argument(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(setting: &Setting) -> Arg {
    let mut lines = setting.doc.lines();
    let short = lines.next().unwrap_or_default();
    let mut long = format!("{short}.\n{}", lines.collect::<Vec<_>>().join("\n")).trim_end().to_owned();
    if !setting.default.is_empty() {
        long.push_str(&format!("\n[default: {}]", setting.default));
    }
    long.push_str(&format!("\n[file: {}, variable: {}]", setting.path, variable_of(setting)));
    let group = match setting.path.split_once('.') {
        Some(("journal" | "retention" | "redact", _)) => "Store",
        Some(("log", _)) => "Log",
        _ => "Server",
    };
    Arg::new(setting.flag).long(setting.flag).value_name(setting.value_name).action(ArgAction::Set).help(short).long_help(long).help_heading(group)
}
