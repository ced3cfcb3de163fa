//! Default, file, variable, flag: the later one holds, and every fault of every layer is reported.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::environment::{unknown_variables, variable_of};
use super::file::ConfigFile;
use super::flags::SettingFlags;
use super::settings::{Fault, SETTINGS, Setting};
use super::sources::{SourceConfig, SourceKind, is_source_name};
use super::together::clashes;
use super::yaml::{Node, Spot, Value, parse, place_in};
use crate::failure::{Failure, Failures, Place};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the file.
    File(String),
    /// A variable.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(origin) | Self::Variable(origin) | Self::Flag(origin) => f.write_str(origin),
        }
    }
}

/// A setting's value as given, for `config check --show-origin`.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Which.
    pub(crate) setting: &'static Setting,
    /// The value as text.
    pub(crate) value: String,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// Where in that.
    place: Option<Place>,
}

/// The configuration, and what is to be said about it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The checked configuration.
    pub(crate) config: Config,
    /// Every setting with its origin, in the order of the list.
    pub(crate) given: Vec<Given>,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// Not wrong, but not meant either.
    pub(crate) warnings: Vec<String>,
}

/// Reads and checks all layers: the file (`--config`, or the one that is found), every variable, the settings among the
/// flags, and `--tail FILE`, each a source beside those of the other layers.
///
/// # Errors
/// Everything that is wrong, at once.
pub(crate) fn load_layers(file: Option<&Path>, flags: &SettingFlags, tails: &[PathBuf], environment: &[(String, String)]) -> Result<Loaded, Failures> {
    let variable = |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let named = file.map(Path::to_owned).or_else(|| variable("DECKLOG_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
    let file = ConfigFile::find(named.as_deref())?;

    let mut state = State { config: Config::before_defaults(), given: Vec::new(), failures: Vec::new() };
    for setting in SETTINGS {
        state.text(setting, setting.default, Origin::Default);
    }
    if let Some(file) = &file {
        let (settings, failures) = file.settings(&variable);
        state.failures.extend(failures);
        for (setting, node) in settings {
            let origin = Origin::File(format!("{}:{}", file.name(), node.spot.line));
            let place = |fault: &Fault| Some(place_in(&file.name(), &file.text, fault.spot));
            state.apply(setting, &node, origin, &format!("`{}`", setting.path), &place);
        }
        // In the order of the file, which is how they will be mended.
        state.failures.sort_by_key(|failure| failure.place.as_ref().map(|place| (place.line, place.column)));
    }
    for setting in SETTINGS {
        let name = variable_of(setting);
        if let Some(value) = variable(&name) {
            state.text(setting, &value, Origin::Variable(name));
        }
    }
    for (setting, value) in &flags.0 {
        state.text(setting, value, Origin::Flag(format!("--{}", setting.flag)));
    }
    add_tails(&mut state.config.sources, tails);
    state.check_together();
    Failures::check(state.failures)?;
    let warnings = unknown_variables(environment.iter().map(|(name, _)| name.as_str()));
    Ok(Loaded { config: state.config, given: state.given, file: file.map(|file| file.path), warnings })
}

struct State {
    config: Config,
    given: Vec<Given>,
    failures: Vec<Failure>,
}

impl State {
    /// A value that is one text: a list in it is JSON (or YAML's short form, of which JSON is a part).
    fn text(&mut self, setting: &'static Setting, value: &str, origin: Origin) {
        let whole = Spot { line: 1, column: 1, length: value.chars().count().max(1) };
        let name = origin.to_string();
        let is_list = setting.default.starts_with('[');
        let node = if is_list {
            match parse(value, &name) {
                Ok(node) => node,
                Err(mut failure) => {
                    failure.message = format!("{name}: {}", failure.message);
                    failure.place = failure.place.map(|place| Box::new(Place { file: None, text: Some(value.to_owned()), ..*place }));
                    self.failures.push(failure);
                    return;
                }
            }
        } else {
            Node { value: Value::Text(value.to_owned()), spot: whole }
        };
        let place = |fault: &Fault| is_list.then(|| Place { file: None, ..place_in("", value, fault.spot) });
        self.apply(setting, &node, origin, &name, &place);
    }

    /// What each setting alone cannot tell.
    fn check_together(&mut self) {
        for clash in clashes(&self.config) {
            let given = self.given.iter().find(|given| given.setting.path == clash.path);
            let name = match given.map(|given| &given.origin) {
                Some(origin @ (Origin::Variable(_) | Origin::Flag(_))) => origin.to_string(),
                _ => format!("`{}`", clash.path),
            };
            let mut failure = Failure::usage("config", format!("{name}: {}", clash.message)).help(clash.help);
            failure.place = given.and_then(|given| given.place.clone()).map(Box::new);
            self.failures.push(failure);
        }
    }

    fn apply(&mut self, setting: &'static Setting, node: &Node, origin: Origin, name: &str, place: &dyn Fn(&Fault) -> Option<Place>) {
        if let Err(faults) = (setting.apply)(&mut self.config, node) {
            for fault in faults {
                let mut failure = Failure::usage("config", format!("{name}: {}", fault.message));
                failure.place = place(&fault).map(Box::new);
                failure.help = fault.help;
                self.failures.push(failure);
            }
        }
        self.given.retain(|given| given.setting.path != setting.path);
        self.given.push(Given { setting, value: shown(node), origin, place: place(&Fault::of(node, "")) });
        let order = |given: &Given| SETTINGS.iter().position(|setting| setting.path == given.setting.path);
        self.given.sort_by_key(order);
    }
}

/// A value in one line.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(text) | Value::Text(text) => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(members) => {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("{}: {}", key.text, shown(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// Each `--tail FILE` becomes a source named after its file.
fn add_tails(sources: &mut Vec<SourceConfig>, tails: &[PathBuf]) {
    for path in tails {
        let already = |source: &SourceConfig| matches!(&source.kind, SourceKind::Tail { path: known } if known == path);
        if sources.iter().any(already) {
            continue;
        }
        let stem: Arc<str> = path.file_stem().map_or_else(|| "tail".into(), |stem| stem.to_string_lossy().as_ref().into());
        let stem: String = stem.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).take(48).collect();
        let stem = stem.trim_matches(['-', '.']);
        let stem = if is_source_name(stem) { stem.to_owned() } else { "tail".to_owned() };
        let taken = |name: &str| sources.iter().any(|source| source.name == name);
        let name = if taken(&stem) { (2_u32..).map(|n| format!("{stem}-{n}")).find(|name| !taken(name)).unwrap_or(stem) } else { stem };
        sources.push(SourceConfig { name, cluster: None, kind: SourceKind::Tail { path: path.clone() } });
    }
}
