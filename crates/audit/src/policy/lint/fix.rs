//! Edits put into a text, as long as there are any.

use super::super::load::{TargetVersion, load};
use super::{Edit, Lint, lint};

/// Rounds: mending one thing may show another.
const MAX_ROUNDS: usize = 10;

/// A text with its safe edits made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mended {
    /// The text afterwards.
    pub text: String,
    /// What was mended, in the places it had in the text of its round.
    pub lints: Vec<Lint>,
}

/// Makes all edits that lints offer, again and again until there are none.
#[must_use]
pub fn mend(text: &str, target: TargetVersion) -> Mended {
    let mut mended = Mended { text: text.to_owned(), lints: Vec::new() };
    for _ in 0..MAX_ROUNDS {
        let lints = lint(&mended.text, &load(mended.text.as_bytes(), target), target);
        let mut edits: Vec<Edit> = Vec::new();
        for lint in lints.into_iter().filter(|lint| !lint.edits.is_empty()) {
            let is_apart = |edit: &Edit| edits.iter().all(|taken| edit.start != taken.start && (edit.end <= taken.start || edit.start >= taken.end));
            if lint.edits.iter().all(is_apart) {
                edits.extend(lint.edits.iter().cloned());
                mended.lints.push(lint);
            }
        }
        if edits.is_empty() {
            break;
        }
        if text.contains("\r\n") {
            edits.iter_mut().for_each(|edit| edit.text = edit.text.replace('\n', "\r\n"));
        }
        mended.text = applied(&mended.text, edits);
    }
    mended
}

fn applied(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.start, edit.end));
    let (mut result, mut at) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        result.push_str(text.get(at..edit.start).unwrap_or_default());
        result.push_str(&edit.text);
        at = edit.end;
    }
    result.push_str(text.get(at..).unwrap_or_default());
    result
}

/// The lines that differ: those before with `-`, those after with `+`. What is moved stands there twice.
#[must_use]
pub fn changed_lines(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let n_same = before.iter().zip(&after).take_while(|(old, new)| old == new).count();
    let rest = before[n_same..].iter().rev().zip(after[n_same..].iter().rev());
    let n_end = rest.take_while(|(old, new)| old == new).count();
    let old = before[n_same..before.len() - n_end].iter().map(|line| format!("- {line}"));
    old.chain(after[n_same..after.len() - n_end].iter().map(|line| format!("+ {line}"))).collect()
}
