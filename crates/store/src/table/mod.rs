//! The table, in parts.

pub mod schema;
pub mod buffer;
pub mod rows;
pub mod file;
mod merge;
#[cfg(test)]
mod tests;
pub use buffer::RowBuffer;
pub use rows::Rows;
pub use schema::{COLUMNS, Column, ColumnType};
