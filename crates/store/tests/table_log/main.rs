//! The table's log against what can happen to it: other writers, lost answers, crashes, damage, age.
//!
//! What a table holds is read again by deltalake-core, which shares no code with ours for that.

mod faults;
mod lifecycle;
mod damage;
mod support;
