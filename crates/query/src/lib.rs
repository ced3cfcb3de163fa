//! Finding events: searches, counts and SQL over the table and what the journal has beyond it.
//!
//! [`StoreSearcher`] implements the seam `decklog_audit::search` on both, in the writing process or another one;
//! [`JournalSearcher`] on a journal alone. The filter's matcher decides about every event; everything here only spares it
//! work. [`sql`] is the room of DataFusion.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use decklog_audit::{Filter, Timestamp, search::{SearchRequest, Searcher}};
//! use decklog_query::JournalSearcher;
//!
//! let searcher = JournalSearcher::open(std::path::Path::new("data"))?;
//! let filter = Filter::parse("user:mallory outcome:denied", Timestamp::default())?;
//! let summary = searcher.search(&SearchRequest { filter, ..SearchRequest::default() }, &mut |hit| {
//!     println!("{}", String::from_utf8_lossy(hit.line));
//!     ControlFlow::Continue(())
//! })?;
//! eprintln!("{} events", summary.n_matched);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The calls block on disk and processor: call them on a thread that may wait.

pub mod sql;
mod searcher;
mod plan;
mod workers;
mod scan;
mod handout;
pub mod table;
mod joined;

pub use joined::StoreSearcher;
pub use searcher::JournalSearcher;
pub use sql::SqlLimits;
pub use table::SnapshotSource;
