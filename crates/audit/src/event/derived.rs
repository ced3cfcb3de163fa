//! Facts about an event that follow from its fields: they are computed, never stored.
//!
//! The definitions are those of the filter language (docs/filter.md); search, table and detections share
//! them so that one word never means two things.

use std::borrow::Cow;

use super::{Event, Stage, UserInfo};

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

/// What comes before the name in a service account's user name.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// Requests whose only purpose is to ask the server a question, though their verb is `create`.
const QUESTIONS: [&str; 6] =
    ["subjectaccessreviews", "selfsubjectaccessreviews", "localsubjectaccessreviews", "selfsubjectrulesreviews", "tokenreviews", "selfsubjectreviews"];
/// Where kube-apiserver notes how long parts of a slow request took.
pub const LATENCY_ANNOTATION: &str = "apiserver.latency.k8s.io/";

impl Event<'_> {
    /// The stage, if it is one of the four.
    pub fn stage_kind(&self) -> Option<Stage> {
        self.stage.as_deref().and_then(Stage::parse)
    }

    /// The answer's code; missing before there is one.
    pub fn code(&self) -> Option<i32> {
        self.response_status.as_ref().and_then(|status| status.code)
    }

    /// How the request ended; missing before a code. A panic is an error whatever its code.
    pub fn outcome(&self) -> Option<Outcome> {
        if self.stage_kind() == Some(Stage::Panic) {
            return Some(Outcome::Error);
        }
        Some(match self.code()? {
            401 | 403 => Outcome::Denied,
            code if code < 400 => Outcome::Allowed,
            _ => Outcome::Error,
        })
    }

    /// What the request does; missing without a verb, which may be empty.
    pub fn verb_class(&self) -> Option<VerbClass> {
        if matches!(self.subresource(), Some("exec" | "attach" | "portforward" | "proxy")) {
            return Some(VerbClass::Connect);
        }
        let verb = self.verb.as_deref()?;
        Some(match verb {
            "get" | "list" | "watch" | "head" | "options" => VerbClass::Read,
            "create" if self.asks_a_question() => VerbClass::Read,
            "create" | "update" | "patch" | "post" | "put" => VerbClass::Change,
            "delete" | "deletecollection" => VerbClass::Delete,
            "proxy" => VerbClass::Connect,
            _ => VerbClass::Other,
        })
    }

    fn asks_a_question(&self) -> bool {
        let Some(object) = &self.object_ref else { return false };
        let group = object.api_group.as_deref();
        matches!(group, Some("authorization.k8s.io" | "authentication.k8s.io"))
            && object.resource.as_deref().is_some_and(|resource| QUESTIONS.contains(&resource))
    }

    /// What kind of name the user's is; missing on a 401.
    pub fn user_type(&self) -> Option<UserType> {
        self.user.username.as_deref().map(UserType::of)
    }

    /// Namespace and name of the service account that asked.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.user.username.as_deref()?.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')
    }

    /// Whether no other event of the request follows: ResponseComplete, Panic, or the ResponseStarted that is
    /// all there is of a request whose authentication failed.
    pub fn is_final(&self) -> bool {
        match self.stage_kind() {
            Some(Stage::ResponseComplete | Stage::Panic) => true,
            Some(Stage::ResponseStarted) => self.code() == Some(401) && self.user.username.is_none(),
            _ => false,
        }
    }

    /// Whether the query asks for a dry run: `dryRun=All`.
    pub fn is_dry_run(&self) -> bool {
        let Some((_, query)) = self.request_uri.as_deref().and_then(|uri| uri.split_once('?')) else { return false };
        query.split('&').filter_map(|pair| pair.split_once('=')).any(|(key, value)| percent_decoded_is(key, "dryRun") && percent_decoded_is(value, "All"))
    }

    /// Whether it may run for long by its nature: watch, proxy, exec, attach, portforward, log.
    pub fn is_long_running(&self) -> bool {
        matches!(self.verb.as_deref(), Some("watch" | "proxy")) || matches!(self.subresource(), Some("proxy" | "exec" | "attach" | "portforward" | "log"))
    }

    /// The request's path: what stands before `?`.
    pub fn path(&self) -> Option<&str> {
        let uri = self.request_uri.as_deref()?;
        Some(uri.split_once('?').map_or(uri, |(path, _)| path))
    }

    /// The client program: the user agent up to the first `/` or space.
    pub fn tool(&self) -> Option<&str> {
        let agent = self.user_agent.as_deref()?;
        Some(agent.split_once(['/', ' ']).map_or(agent, |(tool, _)| tool))
    }

    /// The last of the source addresses, the only one the client did not write.
    pub fn peer(&self) -> Option<&str> {
        self.source_ips.as_ref()?.last().map(AsRef::as_ref)
    }

    /// The real user's and, if any, the impersonated user's name.
    pub fn actors(&self) -> impl Iterator<Item = &str> {
        self.user.username.as_deref().into_iter().chain(self.impersonated_user.as_ref().and_then(|user| user.username.as_deref()))
    }

    /// An annotation; of a repeated key the last holds.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    /// From received to this stage, in nanoseconds (negative if the clock went back); missing on
    /// RequestReceived.
    pub fn latency(&self) -> Option<i128> {
        if self.stage_kind() == Some(Stage::RequestReceived) {
            return None;
        }
        let (received, reached) = (self.request_received_timestamp?, self.stage_timestamp?);
        let seconds = i128::from(reached.seconds()) - i128::from(received.seconds());
        Some(seconds * 1_000_000_000 + i128::from(reached.nanoseconds()) - i128::from(received.nanoseconds()))
    }

    /// The name of the object: that in the request, or for a create with generateName that in the answer.
    pub fn object_name(&self) -> Option<Cow<'_, str>> {
        let object = self.object_ref.as_ref()?;
        if let Some(name) = &object.name {
            return Some(Cow::Borrowed(name));
        }
        if self.verb.as_deref() != Some("create") {
            return None;
        }
        self.response_object?.member("metadata")?.member("name")?.as_string()
    }

    fn subresource(&self) -> Option<&str> {
        self.object_ref.as_ref()?.subresource.as_deref()
    }
}

impl UserInfo<'_> {
    /// The values of an extra key; of a repeated key the last holds.
    pub fn extra_values(&self, key: &str) -> &[Cow<'_, str>] {
        let entry = self.extra.as_ref().and_then(|extra| extra.iter().rev().find(|(name, _)| name == key));
        entry.and_then(|(_, values)| values.as_deref()).unwrap_or_default()
    }
}

/// Whether `text`, as it stands in a query, says `plain` (ASCII).
fn percent_decoded_is(text: &str, plain: &str) -> bool {
    let mut bytes = text.bytes();
    let mut wanted = plain.bytes();
    loop {
        let byte = match bytes.next() {
            None => return wanted.next().is_none(),
            Some(b'%') => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
                let [Some(high), Some(low)] = digits else { return false };
                (high * 16 + low) as u8
            }
            Some(b'+') => b' ',
            Some(byte) => byte,
        };
        if wanted.next() != Some(byte) {
            return false;
        }
    }
}
