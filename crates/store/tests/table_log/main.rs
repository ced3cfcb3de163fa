//! The table's log against what can happen to it: other writers, lost answers, crashes, damage, age.
//!
//! What a table holds is read again by deltalake-core, which shares no code with ours for that.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod lifecycle;
mod faults;
mod damage;
mod support;
