//! Tables as kubectl's users know them: upper-case heads, two spaces between columns, no frames.
//!
//! Widths come from the first rows; a later, wider cell widens its column from there on, so that an answer of
//! any size needs little memory.

use std::io::{self, Write};

use super::paint::{Paint, Style};
use super::text::{cut_middle, escape};

/// Rows looked at before widths are fixed.
const ROWS_FOR_WIDTHS: usize = 1000;

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The text; hostile characters are escaped.
    text: String,
    style: Style,
}

impl Cell {
    /// A cell of any text, dangerous or not.
    pub(crate) fn new(text: &str, style: Style) -> Self {
        Self { text: escape(text).into_owned(), style }
    }

    /// A cell without colour.
    pub(crate) fn plain(text: &str) -> Self {
        Self::new(text, Style::Plain)
    }
}

/// How a column behaves.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Its head.
    pub(crate) name: String,
    /// Numbers stand to the right.
    pub(crate) right: bool,
    /// Columns with a higher rank are cut first where the terminal is too narrow; 0 is never cut.
    pub(crate) cut_rank: u8,
}

impl Head {
    /// A text column that may be cut.
    pub(crate) fn text(name: &str) -> Self {
        Self { name: name.to_owned(), right: false, cut_rank: 1 }
    }

    /// A number column.
    pub(crate) fn number(name: &str) -> Self {
        Self { name: name.to_owned(), right: true, cut_rank: 0 }
    }
}

/// A table under way.
pub(crate) struct Table {
    heads: Vec<Head>,
    with_heads: bool,
    paint: Paint,
    /// The terminal's width; `None` is "no terminal": nothing is cut.
    width: Option<usize>,
    waiting: Vec<Vec<Cell>>,
    widths: Vec<usize>,
    started: bool,
    n_rows_for_widths: usize,
}

impl Table {
    /// A table of these columns.
    pub(crate) fn new(heads: Vec<Head>, paint: Paint, width: Option<usize>) -> Self {
        let widths = heads.iter().map(|head| head.name.chars().count()).collect();
        Self { heads, with_heads: true, paint, width, waiting: Vec::new(), widths, started: false, n_rows_for_widths: ROWS_FOR_WIDTHS }
    }

    /// Leaves the heads out.
    pub(crate) fn without_heads(mut self) -> Self {
        self.with_heads = false;
        self.widths = vec![0; self.heads.len()];
        self
    }

    /// Writes every row at once, for answers that go on for ever.
    pub(crate) fn unbuffered(mut self) -> Self {
        self.n_rows_for_widths = 0;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>, out: &mut dyn Write) -> io::Result<()> {
        self.waiting.push(cells);
        if self.waiting.len() > self.n_rows_for_widths || self.started { self.flush(out) } else { Ok(()) }
    }

    /// Writes a new head row before the next one, such as for a new day.
    pub(crate) fn new_heads(&mut self, heads: Vec<Head>, out: &mut dyn Write) -> io::Result<()> {
        self.flush_rows(out)?;
        self.heads = heads;
        self.started = false;
        Ok(())
    }

    /// Writes what waits. Without any row nothing is written, not even the heads.
    pub(crate) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.flush_rows(out)
    }

    fn flush_rows(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting);
        if !self.started && self.with_heads {
            for (width, head) in self.widths.iter_mut().zip(&self.heads) {
                *width = (*width).max(head.name.chars().count());
            }
        }
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let widths = fit(&self.widths, &self.heads, self.width);
        if !self.started {
            self.started = true;
            if self.with_heads {
                let heads = self.heads.iter().map(|head| Cell { text: head.name.clone(), style: Style::Header }).collect::<Vec<_>>();
                self.write_row(&heads, &widths, out)?;
            }
        }
        for row in &rows {
            self.write_row(row, &widths, out)?;
        }
        Ok(())
    }

    fn write_row(&self, row: &[Cell], widths: &[usize], out: &mut dyn Write) -> io::Result<()> {
        // Nothing stands behind the last cell that has something in it.
        let n_shown = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
        for (index, ((cell, width), head)) in row.iter().zip(widths).zip(&self.heads).take(n_shown).enumerate() {
            let text = cut_middle(&cell.text, *width);
            let padding = " ".repeat(width.saturating_sub(text.chars().count()));
            let painted = self.paint.paint(cell.style, &text);
            if index > 0 {
                out.write_all(b"  ")?;
            }
            if head.right {
                write!(out, "{padding}{painted}")?;
            } else if index + 1 == n_shown {
                write!(out, "{painted}")?;
            } else {
                write!(out, "{painted}{padding}")?;
            }
        }
        out.write_all(b"\n")
    }
}

/// The widths that fit into `terminal`: the columns of the highest rank give way first, down to eight
/// characters each, or as many as their heads have.
fn fit(widths: &[usize], heads: &[Head], terminal: Option<usize>) -> Vec<usize> {
    const LEAST: usize = 8;
    let mut widths = widths.to_vec();
    let Some(terminal) = terminal else { return widths };
    let gaps = 2 * widths.len().saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(terminal);
    let mut ranks: Vec<u8> = heads.iter().map(|head| head.cut_rank).filter(|rank| *rank > 0).collect();
    ranks.sort_unstable_by(|a, b| b.cmp(a));
    ranks.dedup();
    for rank in ranks {
        for (width, head) in widths.iter_mut().zip(heads).rev() {
            if head.cut_rank == rank && excess > 0 {
                let least = LEAST.max(head.name.chars().count());
                let give = width.saturating_sub(least).min(excess);
                *width -= give;
                excess -= give;
            }
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> Vec<Head> {
        vec![Head { cut_rank: 0, ..Head::text("TIME") }, Head::text("NAME"), Head::number("CODE")]
    }

    fn draw(mut table: Table, rows: &[[&str; 3]]) -> String {
        let mut out = Vec::new();
        for row in rows {
            table.row(row.iter().map(|cell| Cell::plain(cell)).collect(), &mut out).unwrap();
        }
        table.flush(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_fit_their_content() {
        let table = Table::new(heads(), Paint::OFF, None);
        assert_eq!(
            draw(table, &[["09:00", "web", "7"], ["09:01", "a-long-name", "404"], ["09:02", "x", ""]]),
            "TIME   NAME         CODE\n09:00  web             7\n09:01  a-long-name   404\n09:02  x\n"
        );
    }

    #[test]
    fn nothing_found_shows_no_heads() {
        assert_eq!(draw(Table::new(heads(), Paint::OFF, None), &[]), "");
    }

    #[test]
    fn a_narrow_terminal_cuts_names_never_times() {
        let table = Table::new(heads(), Paint::OFF, Some(24));
        assert_eq!(draw(table, &[["09:00:00.123", "a-very-long-name", "404"]]), "TIME          NAME      CODE\n09:00:00.123  a-ve…ame   404\n");
    }

    #[test]
    fn rows_of_a_stream_widen_as_they_come() {
        let table = Table::new(heads(), Paint::OFF, None).without_heads().unbuffered();
        assert_eq!(draw(table, &[["1", "abc", "1"], ["2", "abcde", "2"], ["3", "a", "3"]]), "1  abc  1\n2  abcde  2\n3  a      3\n");
    }

    #[test]
    fn hostile_cells_are_escaped() {
        assert!(!draw(Table::new(heads(), Paint::OFF, None), &[["x", "\u{1b}[2J", ""]]).contains('\u{1b}'));
    }
}
