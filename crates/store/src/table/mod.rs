//! The table of events: a Delta Lake table that other engines read too.

pub mod schema;
pub mod buffer;
pub mod rows;
pub mod file;
mod merge;
pub mod place;
pub mod log;
pub mod snapshot;
pub mod stats;
pub mod vacuum;
#[cfg(test)]
mod tests;
pub use buffer::RowBuffer;
pub use rows::Rows;
pub use schema::{COLUMNS, Column, ColumnType};
