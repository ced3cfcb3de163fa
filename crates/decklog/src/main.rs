//! decklog
fn main() {}
