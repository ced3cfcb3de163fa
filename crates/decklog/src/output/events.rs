//! A stream of events in one of the forms of `-o`.

use std::io::IsTerminal;

use decklog_audit::Timestamp;

use super::answer::Answer;
use super::csv::write_csv_row;
use super::paint::Paint;
use super::row::{Column, Precision, Row};
use super::table::{Head, Table};
use super::terminal::terminal_width;
use super::when::Zone;
use crate::cli::{OutputFlags, OutputFormat};
use crate::failure::Failure;

/// How events are written.
#[derive(Clone, Debug)]
pub(crate) struct EventForm {
    /// `-o` and `--no-headers`.
    pub(crate) output: OutputFlags,
    /// The columns of tables and CSV.
    pub(crate) columns: Vec<Column>,
    /// The zone of tables.
    pub(crate) zone: Zone,
    /// Colour.
    pub(crate) paint: Paint,
    /// Rows come one by one for ever, and are seen at once.
    pub(crate) live: bool,
}

/// Writes events.
pub(crate) struct EventWriter {
    form: EventForm,
    answer: Answer,
    table: Option<Table>,
    day: String,
    /// Events written.
    pub(crate) n_written: u64,
}

impl EventWriter {
    /// To stdout.
    pub(crate) fn new(form: EventForm) -> Self {
        Self { form, answer: Answer::new(), table: None, day: String::new(), n_written: 0 }
    }

    /// Writes one.
    pub(crate) fn event(&mut self, line: &[u8], time: Option<Timestamp>) -> Result<(), Failure> {
        self.n_written += 1;
        match self.form.output.output {
            OutputFormat::Json => self.answer.line(line)?,
            OutputFormat::Csv => self.csv_row(&Row::new(&String::from_utf8_lossy(line), time))?,
            OutputFormat::Table | OutputFormat::Wide => self.table_row(&Row::new(&String::from_utf8_lossy(line), time))?,
        }
        if self.form.live { self.answer.flush() } else { Ok(()) }
    }

    fn csv_row(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        let columns = &self.form.columns;
        let with_head = self.n_written == 1 && !self.form.output.no_headers;
        self.answer.with(|mut out| {
            if with_head {
                let names: Vec<String> = columns.iter().map(|column| column.name()).collect();
                write_csv_row(&mut out, names.iter().map(String::as_str))?;
            }
            let cells: Vec<_> = columns.iter().map(|column| row.text(*column)).collect();
            write_csv_row(&mut out, cells.iter().map(AsRef::as_ref))
        })
    }

    fn table_row(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        let form = &self.form;
        let day = form.zone.day_and_zone(row.time);
        let heads = |day: &str| -> Vec<Head> { form.columns.iter().map(|column| column.head(day)).collect() };
        let with_namespace = form.columns.contains(&Column::Namespace);
        let precision = if form.output.output == OutputFormat::Wide { Precision::Micros } else { Precision::Millis };
        let cells = form
            .columns
            .iter()
            .map(|column| if *column == Column::Object && !with_namespace { row.object_and_namespace() } else { row.cell(*column, &form.zone, precision) })
            .collect();
        if let Some(table) = &mut self.table {
            if self.day != day {
                let heads = heads(&day);
                self.answer.with(|out| table.new_heads(heads, out))?;
            }
        } else {
            let width = std::io::stdout().is_terminal().then(terminal_width).flatten();
            let mut table = Table::new(heads(&day), form.paint, width);
            table = if form.output.no_headers { table.without_heads() } else { table };
            self.table = Some(if form.live { table.unbuffered() } else { table });
        }
        self.day = day;
        match &mut self.table {
            Some(table) => self.answer.with(|out| table.row(cells, out)),
            None => Ok(()),
        }
    }

    /// Writes what waits.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if let Some(table) = &mut self.table {
            self.answer.with(|out| table.flush(out))?;
        }
        // A CSV file without rows still says what its columns are.
        if self.n_written == 0 && self.form.output.output == OutputFormat::Csv && !self.form.output.no_headers {
            let names: Vec<String> = self.form.columns.iter().map(|column| column.name()).collect();
            self.answer.with(|mut out| write_csv_row(&mut out, names.iter().map(String::as_str)))?;
        }
        self.answer.flush()
    }
}
