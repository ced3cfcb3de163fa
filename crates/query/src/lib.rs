//! Finding events: the scan of the journal that answers searches.
//!
//! [`JournalSearcher`] implements the seam `decklog_audit::search` on the blocks of a journal, in the writing
//! process or another one. The filter's matcher
//! decides about every event; everything here only spares it work.
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
