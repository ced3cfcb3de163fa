//! The policy's text: the cuts with a comment each, then the profile's rules with its own comments.

use std::fmt::Write as _;

use super::budget::{Cut, Plan};
use super::traffic::Who;

/// The text of `profile` (YAML with a line `rules:`) with the plan's rules in front of its own. `header` are lines of comment for its
/// beginning; `say_bytes` writes bytes of the traffic seen for people, such as `1.2 MB a day`.
pub fn write_policy(profile: &str, header: &[String], plan: &Plan, say_bytes: &dyn Fn(u64) -> String) -> String {
    let mut text = String::new();
    for line in header {
        let line: String = line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
        _ = writeln!(text, "# {line}");
    }
    let mut lines = profile.lines();
    for line in lines.by_ref().skip_while(|line| line.starts_with('#') || line.trim().is_empty()) {
        _ = writeln!(text, "{line}");
        if line == "rules:" {
            break;
        }
    }
    let mut last = None;
    for cut in &plan.cuts {
        if last != Some(cut.noise) {
            _ = writeln!(text, "# Cut: {}", cut.noise.as_str());
            last = Some(cut.noise);
        }
        write_rule(&mut text, cut, say_bytes);
    }
    for line in lines {
        _ = writeln!(text, "{line}");
    }
    text
}

fn write_rule(text: &mut String, cut: &Cut, say_bytes: &dyn Fn(u64) -> String) {
    let (saved, n_events) = (say_bytes(cut.saved_bytes), cut.n_events);
    _ = writeln!(text, "# saves {saved}; events seen: {n_events}");
    _ = writeln!(text, "- level: {}", cut.level.as_str());
    match &cut.who {
        Who::User(name) => _ = writeln!(text, "  users: [{}]", scalar(name)),
        Who::Nodes => _ = writeln!(text, "  userGroups: [\"system:nodes\"]"),
    }
    _ = writeln!(text, "  verbs: [{}]", list(&cut.verbs));
    if !cut.paths.is_empty() {
        _ = writeln!(text, "  nonResourceURLs: [{}]", list(&cut.paths));
    }
    if !cut.resources.is_empty() {
        _ = writeln!(text, "  resources:");
        for (group, resources) in &cut.resources {
            _ = writeln!(text, "  - group: {}", scalar(group));
            _ = writeln!(text, "    resources: [{}]", list(resources));
        }
    }
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| scalar(text)).collect::<Vec<_>>().join(", ")
}

/// A YAML scalar that every reader takes as this text: in double quotes, as JSON writes it.
fn scalar(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
