//! `decklog config defaults`: a file with every setting, its meaning and its default.

use std::fmt::Write as _;

use super::file::{API_VERSION, KIND};
use super::settings::SETTINGS;

/// A file that changes nothing, to begin with.
pub(crate) fn commented_file() -> String {
    let mut out = format!("# Every setting of decklog serve with its default. docs/config.md says more.\napiVersion: {API_VERSION}\nkind: {KIND}\n");
    let mut open: Vec<&str> = Vec::new();
    for setting in SETTINGS {
        let parts: Vec<&str> = setting.path.split('.').collect();
        let (key, groups) = parts.split_last().map_or(("", [].as_slice()), |(key, groups)| (*key, groups));
        let shared = open.iter().zip(groups).take_while(|(a, b)| a == b).count();
        for (depth, group) in groups.iter().enumerate().skip(shared) {
            if depth == 0 {
                out.push('\n');
            }
            let _ = writeln!(out, "{}{group}:", indent(depth));
        }
        if groups.is_empty() {
            out.push('\n');
        }
        open = groups.to_vec();
        let margin = indent(groups.len());
        for line in setting.doc.lines() {
            let _ = writeln!(out, "{margin}# {line}");
        }
        if setting.example != setting.default {
            let _ = writeln!(out, "{margin}# Such as: {}", setting.example);
        }
        let value = if setting.default.is_empty() { "\"\"" } else { setting.default };
        let _ = writeln!(out, "{margin}{key}: {value}");
    }
    out
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}
