//! Settings as variables: `DECKLOG_` and the path in capitals.

use super::settings::{SETTINGS, Setting};
use crate::suggest::closest;

/// Variables that are no settings of the server, with what they do.
pub(crate) const CLIENT_VARIABLES: [(&str, &str); 12] = [
    ("DECKLOG_SERVER", "the server that search, tail, import and the other reading commands ask, as --server"),
    ("DECKLOG_DATA_DIR", "the data directory, as --data-dir"),
    ("DECKLOG_CONFIG", "the file `serve` and `config check` read, as --config"),
    ("DECKLOG_SERVICE", "decklog's Service in the kubeconfig's cluster, as --service"),
    ("DECKLOG_TOKEN_FILE", "a file with the bearer token for the server, as --token-file"),
    ("DECKLOG_TOKEN", "the bearer token itself; the file is the safer way"),
    ("DECKLOG_CA_FILE", "the authorities to trust at https:// servers, as --ca-file"),
    ("DECKLOG_CLIENT_CERT", "a client certificate for the server, as --client-cert"),
    ("DECKLOG_CLIENT_KEY", "its key, as --client-key"),
    ("DECKLOG_OUTPUT", "the form of answers, as -o"),
    ("DECKLOG_COLOR", "auto, always or never, as --color"),
    ("DECKLOG_TZ", "the time zone that tables show: `UTC`, or an IANA name such as Europe/Oslo"),
];

/// The variable of a setting: `retention.maxAge` is `DECKLOG_RETENTION_MAX_AGE`.
pub(crate) fn variable_of(setting: &Setting) -> String {
    let mut name = String::from("DECKLOG_");
    let mut previous = '.';
    let mut characters = setting.path.chars().peekable();
    while let Some(character) = characters.next() {
        // A word begins at a capital after a small letter (maxAge), and at the last capital before one (clientCAFile).
        let before_small = characters.peek().is_some_and(char::is_ascii_lowercase);
        if character.is_ascii_uppercase() && previous != '.' && (previous.is_ascii_lowercase() || before_small) {
            name.push('_');
        }
        name.push(if character == '.' { '_' } else { character.to_ascii_uppercase() });
        previous = character;
    }
    name
}

/// One warning for each `DECKLOG_…` variable that nothing reads: most likely a misspelt one.
pub(crate) fn unknown_variables<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let settings: Vec<String> = SETTINGS.iter().map(variable_of).collect();
    let known: Vec<&str> = settings.iter().map(String::as_str).chain(CLIENT_VARIABLES.iter().map(|(name, _)| *name)).collect();
    let unknown = names.into_iter().filter(|name| name.starts_with("DECKLOG_") && !known.contains(name));
    let mut warnings: Vec<String> = unknown
        .map(|name| {
            let meant = closest(name, known.iter().copied()).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            format!("the variable {name} means nothing to decklog{meant}")
        })
        .collect();
    warnings.sort();
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_capitals() {
        let names: Vec<String> = SETTINGS.iter().map(variable_of).collect();
        assert!(names.contains(&"DECKLOG_RETENTION_MAX_AGE".to_owned()));
        assert!(names.contains(&"DECKLOG_SERVER_AUTH_TOKENS_FILE".to_owned()));
        assert!(names.contains(&"DECKLOG_DATA_DIR".to_owned()));
        assert!(names.contains(&"DECKLOG_SERVER_TLS_CLIENT_CA_FILE".to_owned()));
    }

    #[test]
    fn unknown_variables_are_noticed() {
        let warnings = unknown_variables(["PATH", "DECKLOG_DATA_DIR", "DECKLOG_RETENTION_MAXAGE", "DECKLOG_ZZZZZZZZZZ"]);
        assert_eq!(
            warnings,
            [
                "the variable DECKLOG_RETENTION_MAXAGE means nothing to decklog; did you mean DECKLOG_RETENTION_MAX_AGE?",
                "the variable DECKLOG_ZZZZZZZZZZ means nothing to decklog"
            ]
        );
    }
}
