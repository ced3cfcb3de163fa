//! An answer of rows that are no events, in one of the forms of `-o`: each cell is a text for people and a value for
//! programs, so that a command says once what is in a row.

use std::io::IsTerminal;

use super::answer::Answer;
use super::csv::write_csv_row;
use super::paint::{Paint, Style};
use super::table::{Cell, Head, Table};
use super::terminal::terminal_width;
use crate::cli::{OutputFlags, OutputFormat};
use crate::failure::Failure;

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct ListingColumn {
    /// How a table shows it, if it does.
    head: Option<Head>,
    /// Its name in JSON and CSV, if it is there.
    key: Option<String>,
}

impl ListingColumn {
    /// A column of texts.
    pub(crate) fn text(head: &str, key: &str) -> Self {
        Self { head: Some(Head::text(head)), key: Some(key.to_owned()) }
    }

    /// A column of texts that is never cut.
    pub(crate) fn fixed(head: &str, key: &str) -> Self {
        Self { head: Some(Head { cut_rank: 0, ..Head::text(head) }), key: Some(key.to_owned()) }
    }

    /// A column of numbers.
    pub(crate) fn number(head: &str, key: &str) -> Self {
        Self { head: Some(Head::number(head)), key: Some(key.to_owned()) }
    }

    /// A column of JSON and CSV only: what people read elsewhere.
    pub(crate) fn for_programs(key: &str) -> Self {
        Self { head: None, key: Some(key.to_owned()) }
    }

    /// A column of tables only, never cut.
    pub(crate) fn for_people(head: &str) -> Self {
        Self { head: Some(Head { cut_rank: 0, ..Head::text(head) }), key: None }
    }
}

/// A cell.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    shown: Cell,
    value: serde_json::Value,
}

impl Value {
    /// A text, the same for people and programs.
    pub(crate) fn text(text: &str) -> Self {
        Self { shown: Cell::plain(text), value: text.into() }
    }

    /// A number, the same for people and programs.
    pub(crate) fn number(number: u64) -> Self {
        Self { shown: Cell::plain(&number.to_string()), value: number.into() }
    }

    /// `value` for programs, which a table shows as `shown`.
    pub(crate) fn shown_as(value: impl Into<serde_json::Value>, shown: &str) -> Self {
        Self { shown: Cell::new(shown, Style::Plain), value: value.into() }
    }
}

/// An answer under way.
pub(crate) struct Listing {
    columns: Vec<ListingColumn>,
    format: OutputFormat,
    table: Table,
    answer: Answer,
    with_csv_head: bool,
}

impl Listing {
    /// To stdout.
    pub(crate) fn new(columns: Vec<ListingColumn>, output: OutputFlags, paint: Paint) -> Self {
        let width = std::io::stdout().is_terminal().then(terminal_width).flatten();
        let table = Table::new(columns.iter().filter_map(|column| column.head.clone()).collect(), paint, width);
        let table = if output.no_headers { table.without_heads() } else { table };
        Self { columns, format: output.output, table, answer: Answer::new(), with_csv_head: !output.no_headers }
    }

    /// Writes a row; its cells are in the order of the columns.
    pub(crate) fn row(&mut self, cells: Vec<Value>) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Json => {
                let line = json_line(&self.columns, &cells);
                self.answer.line(line.as_bytes())
            }
            OutputFormat::Csv => {
                self.csv_head()?;
                let texts: Vec<String> = for_programs(&self.columns, &cells).map(|(_, value)| csv_text(value)).collect();
                self.answer.with(|mut out| write_csv_row(&mut out, texts.iter().map(String::as_str)))
            }
            OutputFormat::Table | OutputFormat::Wide => {
                let shown = self.columns.iter().zip(cells).filter(|(column, _)| column.head.is_some()).map(|(_, cell)| cell.shown).collect();
                let table = &mut self.table;
                self.answer.with(|out| table.row(shown, out))
            }
        }
    }

    /// Writes what waits.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Csv => self.csv_head()?,
            OutputFormat::Json => {}
            OutputFormat::Table | OutputFormat::Wide => {
                let table = &mut self.table;
                self.answer.with(|out| table.flush(out))?;
            }
        }
        self.answer.flush()
    }

    fn csv_head(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.with_csv_head) {
            return Ok(());
        }
        let names = self.columns.iter().filter_map(|column| column.key.as_deref());
        self.answer.with(|mut out| write_csv_row(&mut out, names))
    }
}

fn for_programs<'a>(columns: &'a [ListingColumn], cells: &'a [Value]) -> impl Iterator<Item = (&'a str, &'a serde_json::Value)> {
    columns.iter().zip(cells).filter_map(|(column, cell)| Some((column.key.as_deref()?, &cell.value)))
}

/// An object with its keys in the order of the columns.
fn json_line(columns: &[ListingColumn], cells: &[Value]) -> String {
    let members: Vec<String> = for_programs(columns, cells).map(|(key, value)| format!("{}:{value}", serde_json::Value::from(key))).collect();
    format!("{{{}}}", members.join(","))
}

fn csv_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_values_and_not_what_tables_show() {
        let columns = [ListingColumn::text("USER", "user"), ListingColumn::number("EVENTS", "events"), ListingColumn::for_people("")];
        let cells = [Value::shown_as(serde_json::Value::Null, "(none)"), Value::number(7), Value::text("▇▇")];
        assert_eq!(json_line(&columns, &cells), r#"{"user":null,"events":7}"#);
        let texts: Vec<String> = for_programs(&columns, &cells).map(|(_, value)| csv_text(value)).collect();
        assert_eq!(texts, ["", "7"]);
    }
}
