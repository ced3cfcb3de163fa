//! Events at rest: the journal, its readers and views, and the quarantine.
//!
//! [`LocalJournal`] implements the seam `decklog_audit::journal` on local files: a batch that was acknowledged is
//! on the disk, exactly once. [`JournalView`] looks at the same files without a lock, for searches.
//! [`LocalQuarantine`] keeps what was refused.
//!
//! ```
//! use decklog_audit::journal::{Batch, Journal, Next, Origin, Reader};
//! use decklog_store::{LocalJournal, StartFrom};
//!
//! let journal = LocalJournal::in_memory()?;
//! let mut batch = Batch::new(Origin::default(), decklog_audit::Timestamp::default());
//! batch.push_mark(b"{}");
//! let appended = decklog_store::testing::wait(journal.append(batch))?;
//! assert_eq!(appended.first_seq, Some(1));
//! let mut reader = journal.reader("example", StartFrom::Earliest)?;
//! assert!(matches!(reader.next()?, Next::Block(block) if block.records().count() == 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This room answers no searches, and knows no runtime: blocking calls say so, futures are woken by the
//! journal's own thread.

pub mod journal;
pub mod view;
pub mod table;
pub mod quarantine;
pub mod damage;
pub mod config;
pub mod error;
pub mod metrics;
pub mod clock;
mod format;
pub mod files;
pub mod testing;

pub use config::{DuplicateWindow, JournalConfig};
pub use damage::Damage;
pub use error::OpenError;
pub use journal::{Environment, Health, JournalStats, LocalJournal, LocalReader, ReaderStats, StartFrom};
pub use metrics::{JournalMetrics, QuarantineMetrics, TableMetrics};
pub use quarantine::{LocalQuarantine, QuarantineConfig, QuarantineView, Quarantined};
pub use table::{TABLE_READER, Table, TablePlace};
pub use view::{BlockRead, BlockRef, JournalView};
