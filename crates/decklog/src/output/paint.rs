//! Colour, which is never the only carrier of a fact, and when there is any.

use std::borrow::Cow;
use std::io::IsTerminal;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing special.
    Plain,
    /// The column heads.
    Header,
    /// Something refused: 401, 403.
    Denied,
    /// Something that failed.
    Warning,
    /// The word `error:`.
    Error,
    /// A person or program.
    Actor,
    /// Kubernetes' own users.
    System,
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// No colour.
    #[cfg(test)]
    pub(crate) const OFF: Self = Self { on: false };

    /// For stdout.
    pub(crate) fn for_stdout(choice: ColorChoice) -> Self {
        Self { on: decide(choice, std::io::stdout().is_terminal(), |name| std::env::var(name).ok()) }
    }

    /// For stderr.
    pub(crate) fn for_stderr(choice: ColorChoice) -> Self {
        Self { on: decide(choice, std::io::stderr().is_terminal(), |name| std::env::var(name).ok()) }
    }

    /// `text` in the colour of `style`.
    pub(crate) fn paint(self, style: Style, text: &str) -> Cow<'_, str> {
        let code = match style {
            Style::Plain => return Cow::Borrowed(text),
            Style::Header | Style::Actor => "1",
            Style::Denied | Style::Error => "31",
            Style::Warning => "33",
            Style::System => "2",
        };
        if !self.on || text.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(format!("\u{1b}[{code}m{text}\u{1b}[0m"))
    }
}

/// <https://no-color.org>, and CLICOLOR_FORCE for what has no terminal but shows colour, such as a CI's log.
fn decide(choice: ColorChoice, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| variable(name).is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set("NO_COLOR") => false,
        ColorChoice::Auto if variable("CLICOLOR_FORCE").is_some_and(|value| value == "1") => true,
        ColorChoice::Auto => terminal && variable("TERM").is_none_or(|term| term != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_then_no_color_then_force_then_terminal() {
        let case = |choice, terminal, set: &[(&str, &str)]| {
            decide(choice, terminal, |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(case(ColorChoice::Auto, true, &[]));
        assert!(!case(ColorChoice::Auto, false, &[]));
        assert!(!case(ColorChoice::Auto, true, &[("NO_COLOR", "1")]));
        assert!(case(ColorChoice::Auto, true, &[("NO_COLOR", "")]));
        assert!(!case(ColorChoice::Auto, true, &[("TERM", "dumb")]));
        assert!(case(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!case(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(case(ColorChoice::Always, false, &[("NO_COLOR", "1")]));
        assert!(!case(ColorChoice::Never, true, &[]));
    }
}
