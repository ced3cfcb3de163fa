//! docs/config.md, made from the list of settings; a test holds the page and the list together.

use std::fmt::Write as _;

use super::environment::{CLIENT_VARIABLES, variable_of};
use super::settings::SETTINGS;

/// The page.
pub(crate) fn reference_page() -> String {
    let mut out = String::from(BEFORE);
    for setting in SETTINGS {
        let mut lines = setting.doc.lines();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(out, "\n### `{}`\n\n{first}.", setting.path);
        for line in lines {
            let _ = writeln!(out, "{line}");
        }
        let default = if setting.default.is_empty() { "none".to_owned() } else { format!("`{}`", setting.default) };
        let flag = format!("`--{} {}`", setting.flag, setting.value_name);
        let _ = writeln!(out, "\n| default | flag | variable | example |\n| --- | --- | --- | --- |");
        let _ = writeln!(out, "| {default} | {flag} | `{}` | `{}` |", variable_of(setting), setting.example);
    }
    out.push_str(AFTER);
    for (name, meaning) in CLIENT_VARIABLES {
        let _ = writeln!(out, "| `{name}` | {meaning} |");
    }
    out.push_str("| `NO_COLOR`, `CLICOLOR_FORCE=1` | no colour; colour also without a terminal |\n");
    out
}

const BEFORE: &str = "\
# The configuration of `decklog serve`

<!-- Made from the list of settings in crates/decklog/src/config/settings.rs. To write it anew:
     DECKLOG_BLESS=1 cargo test -p decklog reference_page -->

One YAML file, `apiVersion: decklog.io/v1alpha1`, `kind: Config`. It is named with `--config FILE` or `DECKLOG_CONFIG`;
without that it is `./decklog.yaml`, else `/etc/decklog/decklog.yaml`, and without any file the defaults hold.

Every setting is also a flag of `serve` and a variable. The first of these that says something holds:
flag, variable, file, default. `decklog config check --show-origin` prints each value with where it came from, and
`decklog config defaults` prints a file with all of this page in it.

- Unknown keys are errors, and all errors are reported at once with file, line and column.
- Sizes (`64MiB`, `10GB`) and durations (`20s`, `1h30m`, `400d`) need their unit.
- Secrets are never written here: a key that ends in `File` names the file that holds one.
- `${NAME}` inside of a text is that variable's value; `$$` is a dollar sign.
- A list in a flag or a variable is JSON.
- A `DECKLOG_…` variable that nothing reads is a warning at start.

## Settings
";

const AFTER: &str = "
## Other variables

| variable | meaning |
| --- | --- |
";
