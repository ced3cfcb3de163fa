//! Facts about an event that follow from its fields: they are computed, never stored.
//!
//! The definitions are those of the filter language (docs/filter.md); search, table and detections share
//! them so that one word never means two things.

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A code below 400.
    Allowed,
    /// 401 or 403.
    Denied,
    /// Any other code from 400 on, or a panic.
    Error,
}

/// What a request does, whatever verb it uses for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerbClass {
    /// exec, attach, portforward, proxy: with any verb.
    Connect,
    /// get, list, watch, head, options, and creates of access and token reviews.
    Read,
    /// create, update, patch, post, put.
    Change,
    /// delete, deletecollection.
    Delete,
    /// Any other verb.
    Other,
}

/// What kind of identity a user name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserType {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    ServiceAccount,
    /// `system:node:NAME`.
    Node,
    /// `system:anonymous`.
    Anonymous,
    /// Any other name that begins with `system:`.
    System,
    /// Everybody else.
    User,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allowed, Self::Denied, Self::Error];

    /// The word for it in filters and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Error => "error",
        }
    }
}

impl VerbClass {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Connect, Self::Read, Self::Change, Self::Delete, Self::Other];

    /// The word for it in filters and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Read => "read",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }
}

impl UserType {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::ServiceAccount, Self::Node, Self::Anonymous, Self::System, Self::User];

    /// The word for it in filters and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceaccount",
            Self::Node => "node",
            Self::Anonymous => "anonymous",
            Self::System => "system",
            Self::User => "user",
        }
    }

    /// The type of `username`.
    pub fn of(username: &str) -> Self {
        match username.strip_prefix("system:") {
            None => Self::User,
            Some("anonymous") => Self::Anonymous,
            Some(rest) if rest.starts_with("serviceaccount:") => Self::ServiceAccount,
            Some(rest) if rest.starts_with("node:") => Self::Node,
            Some(_) => Self::System,
        }
    }
}
