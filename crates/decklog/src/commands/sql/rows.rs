//! Rows of an answer in SQL, which come as JSON lines, as a table for people.

use decklog_audit::json::{JsonKind, RawJson};

use crate::failure::Failure;
use crate::output::{Answer, Cell, Head, Paint, Style, Table};

/// Rows looked at before it is decided which columns are numbers.
const ROWS_FOR_TYPES: usize = 1_000;

/// How rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// A line for each column of each row, as with `\x`.
    pub(super) expanded: bool,
    /// With the names of the columns above.
    pub(super) with_heads: bool,
}

/// A value of a row.
struct Field {
    name: String,
    text: String,
    kind: JsonKind,
}

impl Field {
    fn cell(&self) -> Cell {
        if self.kind == JsonKind::Null { Cell::new("NULL", Style::System) } else { Cell::plain(&self.text) }
    }
}

/// Takes JSON lines in pieces, writes a table.
pub(super) struct RowWriter {
    out: Answer,
    look: Look,
    paint: Paint,
    width: Option<usize>,
    line: Vec<u8>,
    waiting: Vec<Vec<Field>>,
    table: Option<Table>,
    n_rows: u64,
}

impl RowWriter {
    /// To `out`, which is so wide if it is a terminal.
    pub(super) fn new(out: Answer, look: Look, paint: Paint, width: Option<usize>) -> Self {
        Self { out, look, paint, width, line: Vec::new(), waiting: Vec::new(), table: None, n_rows: 0 }
    }

    /// Takes the next piece, which may end anywhere.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), Failure> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.row(&line)?;
            }
        }
        Ok(())
    }

    /// Writes what waits; how many rows there were.
    pub(super) fn finish(mut self) -> Result<u64, Failure> {
        let line = std::mem::take(&mut self.line);
        self.row(&line)?;
        self.write_waiting()?;
        if let Some(table) = &mut self.table {
            self.out.with(|out| table.flush(out))?;
        }
        self.out.flush()?;
        Ok(self.n_rows)
    }

    fn row(&mut self, line: &[u8]) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        let row = RawJson::parse(text).map_err(|error| Failure::failed("answer", format!("a row of the answer is not JSON: {error}")))?;
        self.n_rows += 1;
        let fields = row.members().map(|(name, value)| Field {
            name: name.into_owned(),
            text: value.as_string().map_or_else(|| value.as_str().to_owned(), Into::into),
            kind: value.kind(),
        });
        self.waiting.push(fields.collect());
        if self.waiting.len() >= ROWS_FOR_TYPES || self.table.is_some() || self.look.expanded { self.write_waiting() } else { Ok(()) }
    }

    fn write_waiting(&mut self) -> Result<(), Failure> {
        let rows = std::mem::take(&mut self.waiting);
        if self.look.expanded {
            return rows.iter().try_for_each(|row| self.expanded(row));
        }
        let Some(first) = rows.first() else { return Ok(()) };
        let table = self.table.get_or_insert_with(|| {
            let heads = (0..first.len()).map(|column| head(&rows, column)).collect();
            let table = Table::new(heads, self.paint, self.width);
            if self.look.with_heads { table } else { table.without_heads() }
        });
        rows.iter().try_for_each(|row| {
            let cells = row.iter().map(Field::cell).collect();
            self.out.with(|out| table.row(cells, out))
        })
    }

    fn expanded(&mut self, row: &[Field]) -> Result<(), Failure> {
        let number = self.n_rows;
        self.out.line(format!("row {number}").as_bytes())?;
        let mut table = Table::new(vec![Head::number(""), Head::text("")], self.paint, None).without_heads();
        self.out.with(|out| {
            row.iter().try_for_each(|field| table.row(vec![Cell::new(&field.name, Style::Header), field.cell()], out))?;
            table.flush(out)
        })
    }
}

/// The head of a column: numbers stand to the right.
fn head(rows: &[Vec<Field>], column: usize) -> Head {
    let fields = || rows.iter().filter_map(|row| row.get(column));
    let name = fields().next().map(|field| crate::output::escape(&field.name).into_owned()).unwrap_or_default();
    let mut known = fields().map(|field| field.kind).filter(|kind| *kind != JsonKind::Null).peekable();
    let is_number = known.peek().is_some() && known.all(|kind| kind == JsonKind::Number);
    if is_number { Head::number(&name) } else { Head::text(&name) }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn shown(pieces: &[&str], look: Look) -> String {
        let mut file = tempfile::tempfile().unwrap();
        let mut rows = RowWriter::new(Answer::into_file(file.try_clone().unwrap()), look, Paint::OFF, None);
        pieces.iter().for_each(|piece| rows.feed(piece.as_bytes()).unwrap());
        rows.finish().unwrap();
        let mut text = String::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    const LOOK: Look = Look { expanded: false, with_heads: true };

    #[test]
    fn rows_come_in_pieces_and_keep_the_order_of_their_columns() {
        let pieces = ["{\"verb\":\"get\",\"n\":", "7}\n{\"verb\":null,\"n\":12", "3}\n"];
        assert_eq!(shown(&pieces, LOOK), "verb    n\nget     7\nNULL  123\n");
        assert_eq!(shown(&pieces, Look { with_heads: false, ..LOOK }), "get     7\nNULL  123\n");
        assert_eq!(shown(&[], LOOK), "");
    }

    #[test]
    fn lists_and_objects_are_shown_as_json_and_hostile_text_escaped() {
        let row = r#"{"groups":["a","b"],"name":"x\u001b[31m\u202e","d":{"a":1}}"#;
        assert_eq!(shown(&[row], LOOK), "groups     name                 d\n[\"a\",\"b\"]  x\\u{1b}[31m\\u{202e}  {\"a\":1}\n");
    }

    #[test]
    fn expanded_is_a_line_for_each_column() {
        let look = Look { expanded: true, ..LOOK };
        assert_eq!(shown(&["{\"verb\":\"get\",\"n\":7}\n{\"verb\":null,\"n\":8}\n"], look), "row 1\nverb  get\n   n  7\nrow 2\nverb  NULL\n   n  8\n");
    }
}
