//! The configuration file: where it is looked for, and its keys as settings.

use std::path::{Path, PathBuf};

use super::settings::{SETTINGS, Setting};
use super::yaml::{Key, Node, Value, parse, place_in};
use crate::failure::{Failure, Place};
use crate::suggest::closest;

/// What the file says it is.
pub(crate) const API_VERSION: &str = "decklog.io/v1alpha1";
/// What the file says it is.
pub(crate) const KIND: &str = "Config";
/// Where a configuration is looked for when none is named, in this order.
pub(crate) const LOOKED_FOR: [&str; 2] = ["decklog.yaml", "/etc/decklog/decklog.yaml"];

/// A file's text and name.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    /// As named.
    pub(crate) path: PathBuf,
    /// The whole text.
    pub(crate) text: String,
}

impl ConfigFile {
    /// The file that was named, or the first that is there; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn find(named: Option<&Path>) -> Result<Option<Self>, Failure> {
        if let Some(path) = named {
            return Self::read(path).map(Some);
        }
        for path in LOOKED_FOR {
            if matches!(Path::new(path).try_exists(), Ok(true)) {
                return Self::read(Path::new(path)).map(Some);
            }
        }
        Ok(None)
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let exit = crate::failure::Exit::Usage;
            Failure::new(exit, "config", format!("cannot read the configuration `{}`: {}", path.display(), io_reason(&error)))
                .help("decklog config defaults prints one to begin with")
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// The file's name, for errors.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The settings in it. Everything that is no setting is a failure; the rest is given all the same, so that
    /// its faults are reported too.
    pub(crate) fn settings(&self, variable: &dyn Fn(&str) -> Option<String>) -> (Vec<(&'static Setting, Node)>, Vec<Failure>) {
        let tree = match parse(&self.text, &self.name()) {
            Ok(tree) => tree,
            Err(failure) => return (Vec::new(), vec![failure]),
        };
        let mut reading = Reading { file: self, variable, found: Vec::new(), failures: Vec::new() };
        match tree.value {
            Value::Null => {}
            Value::Map(members) => {
                reading.header(&members);
                reading.map("", members);
            }
            other => {
                let place = Place { line: 0, ..place_in(&self.name(), &self.text, tree.spot) };
                reading.failures.push(Failure::usage("config", format!("a configuration is a map, not {}", other.kind())).at(place));
            }
        }
        (reading.found, reading.failures)
    }
}

/// The system's reason without its number.
pub(crate) fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

struct Reading<'a> {
    file: &'a ConfigFile,
    variable: &'a dyn Fn(&str) -> Option<String>,
    found: Vec<(&'static Setting, Node)>,
    failures: Vec<Failure>,
}

impl Reading<'_> {
    fn fail(&mut self, failure: Failure, spot: super::yaml::Spot) {
        self.failures.push(failure.at(place_in(&self.file.name(), &self.file.text, spot)));
    }

    /// `apiVersion` and `kind` say which form the rest has.
    fn header(&mut self, members: &[(Key, Node)]) {
        for (key, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            match members.iter().find(|(member, _)| member.text == key) {
                Some((_, node)) if node.value == Value::Text(wanted.to_owned()) => {}
                Some((_, node)) => {
                    let failure = Failure::usage("config", format!("`{key}` is not one this version knows")).help(format!("{key}: {wanted}"));
                    self.fail(failure, node.spot);
                }
                None => {
                    let place = Place { file: Some(self.file.name()), ..Place::default() };
                    let failure = Failure::usage("config", format!("`{key}` is missing")).help(format!("begin with `{key}: {wanted}`"));
                    self.failures.push(failure.at(place));
                }
            }
        }
    }

    fn map(&mut self, prefix: &str, members: Vec<(Key, Node)>) {
        for (key, mut node) in members {
            if prefix.is_empty() && (key.text == "apiVersion" || key.text == "kind") {
                continue;
            }
            let path = if prefix.is_empty() { key.text.clone() } else { format!("{prefix}.{}", key.text) };
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.path == path) {
                self.expand(&mut node);
                self.found.push((setting, node));
            } else if SETTINGS.iter().any(|setting| setting.path.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'))) {
                match node.value {
                    Value::Map(members) => self.map(&path, members),
                    Value::Null => {}
                    other => self.fail(Failure::usage("config", format!("`{path}` takes a map, not {}", other.kind())), node.spot),
                }
            } else {
                let failure = Failure::usage("unknown-setting", format!("`{path}` is not a setting")).help(suggestion(prefix, &key.text));
                self.fail(failure, key.spot);
            }
        }
    }

    /// Puts variables in the place of `${NAME}` in every text of the value, so that no variable can change what is
    /// a key, a number or a list. `$$` is a dollar sign.
    fn expand(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Text(text) => match expand_text(text, self.variable) {
                Ok(expanded) => *text = expanded,
                Err(message) => {
                    let spot = node.spot;
                    self.fail(Failure::usage("config", message).help("set the variable, or write `$$` for a dollar sign"), spot);
                }
            },
            Value::List(items) => items.iter_mut().for_each(|item| self.expand(item)),
            Value::Map(members) => members.iter_mut().for_each(|(_, value)| self.expand(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn expand_text(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = tail.strip_prefix('{') {
            let Some((name, after)) = inside.split_once('}') else { return Err("`${` without `}`".to_owned()) };
            out.push_str(&variable(name).ok_or_else(|| format!("the variable `{name}` is not set"))?);
            rest = after;
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The keys that may stand beside an unknown one, or where one of that name belongs.
fn suggestion(prefix: &str, key: &str) -> String {
    let start = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
    let mut siblings: Vec<&str> = SETTINGS.iter().filter_map(|setting| setting.path.strip_prefix(&start)?.split('.').next()).collect();
    siblings.dedup();
    if let Some(meant) = closest(key, siblings.iter().copied()) {
        return format!("did you mean `{meant}`?");
    }
    let last = |setting: &&Setting| setting.path.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(key));
    if let Some(elsewhere) = SETTINGS.iter().find(last) {
        return format!("did you mean `{}`?", elsewhere.path);
    }
    let place = if prefix.is_empty() { "here".to_owned() } else { format!("under `{prefix}`") };
    format!("settings {place}: {}", siblings.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_text_only() {
        let variable = |name: &str| (name == "HOME").then(|| "/home/a: [b".to_owned());
        assert_eq!(expand_text("${HOME}/x", &variable).as_deref(), Ok("/home/a: [b/x"));
        assert_eq!(expand_text("a$$b$c", &variable).as_deref(), Ok("a$b$c"));
        assert_eq!(expand_text("${NOPE}", &variable), Err("the variable `NOPE` is not set".into()));
        assert!(expand_text("${HOME", &variable).is_err());
    }
}
