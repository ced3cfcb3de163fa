//! A line that is being written, with the lines written before. Pure: keys in, lines out.

use super::keys::Key;

/// Lines kept.
const MAX_HISTORY: usize = 1_000;
/// Characters of a line at most.
const MAX_LINE: usize = 1 << 16;

/// What a key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The line goes on.
    Going,
    /// It is written.
    Written(String),
    /// It is given up.
    Interrupted,
    /// Nothing more comes.
    Ended,
}

/// The line under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Editor {
    line: Vec<char>,
    cursor: usize,
    history: Vec<String>,
    /// The line of the history that is shown; the one being written stands behind the last.
    shown: usize,
    /// What was being written when the history was looked at.
    draft: Vec<char>,
}

impl Editor {
    /// Keeps a line for later.
    pub(super) fn remember(&mut self, line: &str) {
        if !line.is_empty() && self.history.last().is_none_or(|last| last != line) {
            self.history.push(line.to_owned());
            self.history.drain(..self.history.len().saturating_sub(MAX_HISTORY));
        }
        self.shown = self.history.len();
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: Key) -> Step {
        match key {
            Key::Character(character) if self.line.len() < MAX_LINE => {
                self.line.insert(self.cursor, character);
                self.cursor += 1;
            }
            Key::Enter => return Step::Written(self.clear().into_iter().collect()),
            Key::Interrupt => {
                self.clear();
                return Step::Interrupted;
            }
            Key::Delete if self.line.is_empty() => return Step::Ended,
            Key::Delete if self.cursor < self.line.len() => drop(self.line.remove(self.cursor)),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.line.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.line.len(),
            Key::KillRight => self.line.truncate(self.cursor),
            Key::KillLeft => {
                self.line.drain(..self.cursor);
                self.cursor = 0;
            }
            Key::KillWord => {
                let before = &self.line[..self.cursor];
                let word_end = before.iter().rposition(|character| *character != ' ').map_or(0, |at| at + 1);
                let start = before[..word_end].iter().rposition(|character| *character == ' ').map_or(0, |at| at + 1);
                self.line.drain(start..self.cursor);
                self.cursor = start;
            }
            Key::Up => self.show(self.shown.checked_sub(1)),
            Key::Down => self.show(Some(self.shown + 1)),
            Key::Character(_) | Key::Delete | Key::Backspace | Key::Other => {}
        }
        Step::Going
    }

    fn clear(&mut self) -> Vec<char> {
        (self.cursor, self.shown) = (0, self.history.len());
        self.draft.clear();
        std::mem::take(&mut self.line)
    }

    fn show(&mut self, wanted: Option<usize>) {
        let Some(wanted) = wanted.filter(|wanted| *wanted <= self.history.len() && *wanted != self.shown) else { return };
        if self.shown == self.history.len() {
            self.draft = std::mem::take(&mut self.line);
        }
        self.line = self.history.get(wanted).map_or_else(|| std::mem::take(&mut self.draft), |line| line.chars().collect());
        (self.shown, self.cursor) = (wanted, self.line.len());
    }

    /// What of the line fits into `width` columns around the cursor, and the cursor's column in it.
    pub(super) fn view(&self, width: usize) -> (String, usize) {
        let width = width.max(2);
        let start = (self.cursor + 1).saturating_sub(width);
        let shown: String = self.line.iter().skip(start).take(width).map(|c| if crate::output::is_hostile(*c) { '\u{fffd}' } else { *c }).collect();
        (shown, self.cursor - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(editor: &mut Editor, text: &str) {
        text.chars().for_each(|character| assert_eq!(editor.press(Key::Character(character)), Step::Going));
    }

    #[test]
    fn keys_change_the_line_where_the_cursor_is() {
        let mut editor = Editor::default();
        write(&mut editor, "select");
        for key in [Key::Home, Key::Right, Key::Delete, Key::End, Key::Backspace, Key::Left] {
            editor.press(key);
        }
        write(&mut editor, "x");
        assert_eq!(editor.view(80), ("slexc".to_owned(), 4));
        editor.press(Key::KillLeft);
        assert_eq!(editor.press(Key::Enter), Step::Written("c".to_owned()));
        write(&mut editor, "a bc  ");
        editor.press(Key::KillWord);
        assert_eq!(editor.view(80), ("a ".to_owned(), 2));
        assert_eq!(editor.press(Key::Interrupt), Step::Interrupted);
        assert_eq!(editor.press(Key::Delete), Step::Ended);
    }

    #[test]
    fn the_history_comes_back_and_what_was_being_written_too() {
        let mut editor = Editor::default();
        editor.remember("one");
        editor.remember("two");
        editor.remember("two");
        write(&mut editor, "dra");
        for (key, shown) in [(Key::Up, "two"), (Key::Up, "one"), (Key::Up, "one"), (Key::Down, "two"), (Key::Down, "dra"), (Key::Down, "dra")] {
            editor.press(key);
            assert_eq!(editor.view(80).0, shown);
        }
    }

    #[test]
    fn a_long_line_is_seen_around_the_cursor() {
        let mut editor = Editor::default();
        write(&mut editor, "abcdefghij");
        assert_eq!(editor.view(4), ("hij".to_owned(), 3));
        editor.press(Key::Home);
        assert_eq!(editor.view(4), ("abcd".to_owned(), 0));
    }
}
