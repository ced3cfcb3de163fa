//! Who speaks to decklog, and what they may do (architecture decision 14).
//!
//! `decklog-server` finds out who it is and hands an [`Identity`] on with the request; other rooms look at
//! it and never at headers.

use std::sync::Arc;

/// What a credential allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Send events in.
    Send,
    /// Search, tail, export.
    Read,
    /// Everything, the quarantine and settings included.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Send, Self::Read, Self::Admin];

    /// The word for it in a tokens file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The credential's name, or `loopback` for the open door.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The source that events of this credential belong to; `None` leaves it to the URL (open door, admin).
    pub source: Option<Arc<str>>,
    /// The cluster that events of this credential belong to; `None` is the server's default.
    pub cluster: Option<Arc<str>>,
    /// The peer's address.
    pub peer: Arc<str>,
}

impl Identity {
    /// Whether it may act in `scope`; admin includes the others.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| *held == scope || *held == Scope::Admin)
    }
}
