//! What the user sees: answers on stdout, everything else on stderr (docs/cli.md, "Output").
//!
//! Texts of events are hostile: every human format goes through [`escape`].

mod answer;
mod csv;
mod events;
mod listing;
mod paint;
mod row;
mod table;
mod terminal;
mod text;
mod when;

pub(crate) use answer::Answer;
pub(crate) use csv::write_csv_row;
pub(crate) use events::{EventForm, EventWriter};
pub(crate) use listing::{Listing, ListingColumn, Value};
pub(crate) use paint::{ColorChoice, Paint, Style};
pub(crate) use row::Column;
pub(crate) use table::{Cell, Head, Table};
pub(crate) use terminal::terminal_width;
pub(crate) use text::{escape, is_hostile, plural, with_thousands};
pub(crate) use when::Zone;
