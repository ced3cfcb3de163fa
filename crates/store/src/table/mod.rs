//! The table of events: a Delta Lake table that other engines read too.

pub mod place;
pub mod log;
pub mod snapshot;
pub mod stats;
pub mod vacuum;
