//! Candidates as kubectl wants them of a plugin: a line each, a tab, what it is; and last what the shell is to do, as Cobra
//! numbers it (<https://github.com/spf13/cobra/blob/main/site/content/completions/_index.md>).

use super::offer::Offer;
use crate::output::is_hostile;

/// Cobra's `ShellCompDirective`, of which bits are joined.
const NO_SPACE: u32 = 2;
const NO_FILES: u32 = 4;
const KEEP_ORDER: u32 = 32;
/// None of them: the shell completes the names of files.
const FILES: u32 = 0;

/// The lines, without a newline at the end.
pub(super) fn lines(offer: &Offer) -> String {
    let Offer::Candidates(candidates) = offer else { return format!(":{FILES}") };
    // As in a shell's own completion, what a terminal would act on is not offered.
    let shown: Vec<_> = candidates.iter().filter(|candidate| !candidate.text.chars().any(is_hostile)).collect();
    let mut directive = NO_FILES | KEEP_ORDER;
    if shown.iter().any(|candidate| !candidate.whole) {
        directive |= NO_SPACE;
    }
    let lines = shown.iter().map(|candidate| match candidate.detail.as_str() {
        "" => format!("{}\n", candidate.text),
        detail => format!("{}\t{detail}\n", candidate.text),
    });
    lines.collect::<String>() + &format!(":{directive}")
}

#[cfg(test)]
mod tests {
    use super::super::offer::Candidate;
    use super::*;

    #[test]
    fn candidates_then_what_the_shell_is_to_do() {
        let candidate = |text: &str, detail: &str, whole| Candidate { text: text.to_owned(), detail: detail.to_owned(), whole };
        assert_eq!(lines(&Offer::Files), ":0");
        assert_eq!(lines(&Offer::Candidates(Vec::new())), ":36");
        let whole = Offer::Candidates(vec![candidate("user:mallory", "182 events", true), candidate("tail", "", true), candidate("a\u{1b}[31m", "", true)]);
        assert_eq!(lines(&whole), "user:mallory\t182 events\ntail\n:36");
        assert_eq!(lines(&Offer::Candidates(vec![candidate("user:", "", false)])), "user:\n:38");
    }
}
