//! The words of decklog, and the seams between its rooms.
//!
//! This crate is values and functions of values: the [`Event`] of `audit.k8s.io/v1` and its bytes, the
//! [`filter`] language, [`redact`]ion, and what every other room depends on instead of depending on each
//! other: [`journal`] (append, read, cursor), [`quarantine`], [`sink`] and [`search`]. It does no I/O, knows no runtime and never
//! asks for the time of day: time is an argument.
//!
//! ```
//! use decklog_audit::Event;
//! let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a",
//!   "stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{"username":"bob"}}"#;
//! let event = Event::decode(line)?;
//! assert_eq!(event.user.username.as_deref(), Some("bob"));
//! # Ok::<(), decklog_audit::event::DecodeError>(())
//! ```

pub mod time;
pub mod json;
pub mod event;
pub mod intake;
pub mod redact;
pub mod filter;
pub mod journal;
pub mod quarantine;
pub mod search;
pub mod sink;
pub mod backend;
pub mod timespec;
pub mod access;
pub mod policy;

#[cfg(test)]
mod recorded;

pub use event::{Event, Level, Stage};
pub use filter::Filter;
pub use time::Timestamp;
