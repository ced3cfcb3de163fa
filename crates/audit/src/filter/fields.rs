//! The closed list of fields: names, aliases, types and what each one is.
//!
//! Parser, help page and completion read this list. To add a field: one entry here, one arm in
//! `matching.rs` that reads it, and one in `prefilter.rs` if its text stands in the line.

use super::body::BodyPath;

/// A field, with the key or path behind its name where it has one.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its entry in [`FIELDS`].
    pub info: &'static FieldInfo,
    /// What follows the name.
    pub tail: Tail,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.info.id == other.info.id && self.tail == other.tail
    }
}

/// What follows a field's name.
#[derive(Clone, Debug, PartialEq)]
pub enum Tail {
    /// Nothing.
    None,
    /// A key of a map, as in `annotations.KEY`.
    Key(String),
    /// A path inside a body, as in `requestObject.PATH`.
    Path(BodyPath),
}

/// What a field's values are, which decides what may be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text that is compared as a whole, in exact case.
    Keyword,
    /// One of these words, in any case.
    Enum(&'static [&'static str]),
    /// A level: an enum with an order.
    Level,
    /// Any word, in any case.
    Verb,
    /// Text that is searched for a part, in any case.
    Text,
    /// A whole number.
    Int,
    /// A moment.
    Time,
    /// A duration.
    Duration,
    /// An address, asked for as address or network.
    Ip,
    /// `true` or `false`.
    Bool,
    /// `KIND[.GROUP][/NAME[/SUB]]`.
    Object,
    /// Whatever is in a body.
    Json,
}

impl FieldType {
    /// The word for it in help and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Enum(_) => "enum",
            Self::Level => "level",
            Self::Verb => "verb",
            Self::Text => "text",
            Self::Int => "int",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Ip => "ip",
            Self::Bool => "bool",
            Self::Object => "object",
            Self::Json => "json",
        }
    }

    /// The values an enum, a level or a truth value can have; empty for other types.
    pub fn values(self) -> &'static [&'static str] {
        match self {
            Self::Enum(values) => values,
            Self::Level => LEVELS,
            Self::Bool => &["true", "false"],
            _ => &[],
        }
    }

    /// Whether `<`, `>` and ranges make sense.
    pub fn is_ordered(self) -> bool {
        matches!(self, Self::Int | Self::Time | Self::Duration | Self::Level | Self::Json)
    }
}

/// What may or must follow a field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// Nothing.
    Nothing,
    /// A key, which runs to the operator.
    Key,
    /// A path, or nothing: the whole body.
    PathOrNothing,
    /// A path.
    Path,
    /// One of [`LATENCY_PARTS`], or nothing.
    LatencyPartOrNothing,
}

/// One entry of the list.
#[derive(Debug)]
pub struct FieldInfo {
    /// Which field.
    pub id: FieldId,
    /// The full name, which the printer writes.
    pub name: &'static str,
    /// Other names for it; names are found in any case.
    pub aliases: &'static [&'static str],
    /// The type.
    pub kind: FieldType,
    /// Whether it has several values, any of which may match.
    pub list: bool,
    /// What follows the name.
    pub below: Below,
    /// One line for help.
    pub note: &'static str,
}

/// The fields, by what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum FieldId {
    Level,
    Stage,
    Verb,
    AuditId,
    RequestUri,
    Path,
    UserName,
    UserUid,
    UserGroups,
    UserExtra,
    AsName,
    AsUid,
    AsGroups,
    AsExtra,
    Actor,
    ActorGroups,
    Constraint,
    SourceIps,
    Peer,
    UserAgent,
    Tool,
    Resource,
    Subresource,
    Name,
    Namespace,
    ObjectUid,
    ApiGroup,
    ApiVersion,
    ResourceVersion,
    Object,
    Code,
    Reason,
    Message,
    Status,
    Details,
    Annotation,
    Request,
    Response,
    Raw,
    Time,
    Received,
    Latency,
    LatencyPart,
    Outcome,
    VerbClass,
    UserType,
    ServiceAccount,
    Final,
    DryRun,
    LongRunning,
    Cluster,
    Source,
    Sender,
    Id,
    Seq,
    Ingested,
}

const LEVELS: &[&str] = &["None", "Metadata", "Request", "RequestResponse"];
const STAGES: &[&str] = &["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
const OUTCOMES: &[&str] = &["allowed", "denied", "error"];
const VERB_CLASSES: &[&str] = &["connect", "read", "change", "delete", "other"];
const USER_TYPES: &[&str] = &["serviceaccount", "node", "anonymous", "system", "user"];

/// What kube-apiserver measures of a request over 500 ms: the last part of `apiserver.latency.k8s.io/…`
/// annotation keys (`k8s.io/apiserver/pkg/endpoints/request/webhook_duration.go`, v0.36).
pub const LATENCY_PARTS: &[&str] = &[
    "total",
    "etcd",
    "authentication",
    "authorization",
    "impersonation",
    "apf-queue-wait",
    "mutating-webhook",
    "validating-webhook",
    "decode-response-object",
    "transform-response-object",
    "serialize-response-object",
    "response-write",
];

/// Short names of map entries: name, the field they are of, the key, and the type the value then has.
pub static KEY_ALIASES: &[KeyAlias] = &[
    KeyAlias { name: "decision", field: FieldId::Annotation, key: "authorization.k8s.io/decision", note: "how authorization decided: allow or forbid" },
    KeyAlias { name: "authz", field: FieldId::Annotation, key: "authorization.k8s.io/reason", note: "why it was allowed, such as the binding" },
    KeyAlias { name: "credential", field: FieldId::UserExtra, key: "authentication.kubernetes.io/credential-id", note: "the certificate or token used" },
    KeyAlias { name: "client.pod", field: FieldId::UserExtra, key: "authentication.kubernetes.io/pod-name", note: "the pod whose token was used" },
    KeyAlias {
        name: "client.node",
        field: FieldId::UserExtra,
        key: "authentication.kubernetes.io/node-name",
        note: "the node of the pod whose token was used",
    },
];

/// A short name of a map entry.
#[derive(Debug)]
pub struct KeyAlias {
    /// The short name.
    pub name: &'static str,
    /// The map.
    pub field: FieldId,
    /// The key in it.
    pub key: &'static str,
    /// One line for help.
    pub note: &'static str,
}

use Below::{Key, LatencyPartOrNothing, Nothing, PathOrNothing};
use FieldType::{Bool, Duration, Enum, Int, Ip, Json, Keyword, Level, Object, Text, Time, Verb};

const fn field(id: FieldId, name: &'static str, aliases: &'static [&'static str], kind: FieldType, note: &'static str) -> FieldInfo {
    FieldInfo { id, name, aliases, kind, list: false, below: Nothing, note }
}

const fn list(id: FieldId, name: &'static str, aliases: &'static [&'static str], kind: FieldType, note: &'static str) -> FieldInfo {
    FieldInfo { list: true, ..field(id, name, aliases, kind, note) }
}

const fn tree(id: FieldId, name: &'static str, aliases: &'static [&'static str], kind: FieldType, below: Below, note: &'static str) -> FieldInfo {
    FieldInfo { list: true, below, ..field(id, name, aliases, kind, note) }
}

/// Every field, in the order help shows them.
pub static FIELDS: &[FieldInfo] = &[
    field(FieldId::Level, "level", &[], Level, "how much was recorded; has an order: None < Metadata < Request < RequestResponse"),
    field(FieldId::Stage, "stage", &[], Enum(STAGES), "the moment of the request's life"),
    field(FieldId::Verb, "verb", &[], Verb, "any word, in any case; may be empty"),
    field(FieldId::AuditId, "auditID", &[], Keyword, "one per request; the client may have chosen it"),
    field(FieldId::RequestUri, "requestURI", &["uri"], Keyword, "path and query as sent"),
    field(FieldId::Path, "path", &[], Keyword, "the part of requestURI before `?`"),
    field(FieldId::UserName, "user.username", &["user"], Keyword, "who authenticated; missing on 401"),
    field(FieldId::UserUid, "user.uid", &["uid"], Keyword, "that user's uid"),
    list(FieldId::UserGroups, "user.groups", &["groups"], Keyword, "that user's groups"),
    tree(FieldId::UserExtra, "user.extra", &[], Keyword, Key, "what the authenticator adds; the key runs to the operator"),
    field(FieldId::AsName, "impersonatedUser.username", &["as", "as.username"], Keyword, "whom the user acts as, once that was allowed"),
    field(FieldId::AsUid, "impersonatedUser.uid", &["as.uid"], Keyword, "that user's uid"),
    list(FieldId::AsGroups, "impersonatedUser.groups", &["as.groups"], Keyword, "that user's groups"),
    tree(FieldId::AsExtra, "impersonatedUser.extra", &["as.extra"], Keyword, Key, "that user's extra values"),
    list(FieldId::Actor, "actor", &[], Keyword, "the real or the impersonated user"),
    list(FieldId::ActorGroups, "actor.groups", &[], Keyword, "groups of the real or the impersonated user"),
    field(
        FieldId::Constraint,
        "authenticationMetadata.impersonationConstraint",
        &["constraint"],
        Keyword,
        "how a constrained impersonation was allowed; Kubernetes 1.35 and later",
    ),
    list(FieldId::SourceIps, "sourceIPs", &["ip"], Ip, "all but the last are the client's to write"),
    field(FieldId::Peer, "peer", &[], Ip, "the last of sourceIPs: who was connected"),
    field(FieldId::UserAgent, "userAgent", &["ua"], Text, "the client's own description"),
    field(FieldId::Tool, "tool", &[], Keyword, "userAgent up to the first `/` or space"),
    field(FieldId::Resource, "objectRef.resource", &["resource"], Keyword, "`pods` with any subresource; `pods/exec` asks both fields"),
    field(FieldId::Subresource, "objectRef.subresource", &["subresource"], Keyword, "such as exec, status, log"),
    field(FieldId::Name, "objectRef.name", &["name"], Keyword, "missing on lists and most creates"),
    field(FieldId::Namespace, "objectRef.namespace", &["namespace", "ns"], Keyword, "missing for cluster-wide objects"),
    field(FieldId::ObjectUid, "objectRef.uid", &[], Keyword, "the object's uid, where the request names it"),
    field(FieldId::ApiGroup, "objectRef.apiGroup", &["apigroup"], Keyword, "missing for the core group"),
    field(FieldId::ApiVersion, "objectRef.apiVersion", &["apiversion"], Keyword, "such as v1"),
    field(FieldId::ResourceVersion, "objectRef.resourceVersion", &[], Keyword, "where the request names it"),
    field(FieldId::Object, "object", &[], Object, "kubectl's kinds and short names: deploy/web, pods/*/exec"),
    field(FieldId::Code, "responseStatus.code", &["code"], Int, "the HTTP status code; 4xx is a range; missing on RequestReceived"),
    field(FieldId::Reason, "responseStatus.reason", &["reason"], Keyword, "such as NotFound"),
    field(FieldId::Message, "responseStatus.message", &["message"], Text, "the answer's text"),
    field(FieldId::Status, "responseStatus.status", &[], Keyword, "Success or Failure"),
    tree(FieldId::Details, "responseStatus.details", &[], Json, Below::Path, "the answer's details"),
    tree(FieldId::Annotation, "annotations", &[], Text, Key, "the key runs to the operator"),
    tree(FieldId::Request, "requestObject", &["request"], Json, PathOrNothing, "a path in the request's body; `**` is any depth"),
    tree(FieldId::Response, "responseObject", &["response"], Json, PathOrNothing, "a path in the answer's body"),
    tree(FieldId::Raw, "raw", &[], Json, Below::Path, "a path in the event's own JSON, for fields of future versions"),
    field(FieldId::Time, "stageTimestamp", &["time"], Time, "the event's time, by which it is ordered"),
    field(FieldId::Received, "requestReceivedTimestamp", &["received"], Time, "when the request came in"),
    FieldInfo { below: LatencyPartOrNothing, ..field(FieldId::Latency, "latency", &[], Duration, "from received to this stage; missing on RequestReceived") },
    field(FieldId::LatencyPart, "latency.PART", &[], Duration, "what kube-apiserver notes of requests over 500 ms: total, etcd, …"),
    field(FieldId::Outcome, "outcome", &[], Enum(OUTCOMES), "allowed (code below 400), denied (401, 403), error (other, and Panic)"),
    field(FieldId::VerbClass, "verbclass", &[], Enum(VERB_CLASSES), "what the request does, whatever its verb"),
    field(FieldId::UserType, "usertype", &[], Enum(USER_TYPES), "what kind of name user.username is"),
    field(FieldId::ServiceAccount, "sa", &[], Keyword, "the service account that asked, as ns/name"),
    field(FieldId::Final, "final", &[], Bool, "the request's last event"),
    field(FieldId::DryRun, "dryrun", &[], Bool, "the query has dryRun=All"),
    field(FieldId::LongRunning, "longrunning", &[], Bool, "watch, proxy, exec, attach, portforward, log"),
    field(FieldId::Cluster, "cluster", &[], Keyword, "decklog's name of the cluster"),
    field(FieldId::Source, "source", &[], Keyword, "the source it came through"),
    field(FieldId::Sender, "sender", &[], Keyword, "the address or file it came from"),
    list(FieldId::Id, "id", &[], Keyword, "the event's id: 32 hex digits, or SEQ-ID; reads everything"),
    field(FieldId::Seq, "seq", &[], Int, "its place in the journal"),
    field(FieldId::Ingested, "ingested", &[], Time, "when decklog took it in"),
];

/// The entry of `id`.
pub fn info(id: FieldId) -> &'static FieldInfo {
    FIELDS.iter().find(|info| info.id == id).expect("every field id has an entry, as a test checks")
}

/// Every name and alias a field can be written with, `KEY` and `PATH` left out.
pub fn names() -> impl Iterator<Item = &'static str> {
    let plain = FIELDS.iter().filter(|info| info.id != FieldId::LatencyPart);
    plain.flat_map(|info| std::iter::once(info.name).chain(info.aliases.iter().copied())).chain(KEY_ALIASES.iter().map(|alias| alias.name))
}

impl Field {
    /// The field without anything behind its name.
    pub fn plain(id: FieldId) -> Self {
        Self { info: info(id), tail: Tail::None }
    }

    /// An entry of a map field.
    pub fn keyed(id: FieldId, key: &str) -> Self {
        Self { info: info(id), tail: Tail::Key(key.to_owned()) }
    }

    /// The type of its values: that of the list, but for `decision`, which is compared as a whole.
    pub fn kind(&self) -> FieldType {
        match &self.tail {
            Tail::Key(key) if self.info.id == FieldId::Annotation && key == "authorization.k8s.io/decision" => FieldType::Keyword,
            _ => self.info.kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice() {
        let mut seen: Vec<String> = names().map(str::to_ascii_lowercase).collect();
        let n_names = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), n_names);
    }

    #[test]
    fn enum_values_are_the_derived_facts() {
        use crate::event::{Level, Outcome, Stage, UserType, VerbClass};
        assert!(LEVELS.iter().copied().eq(Level::ALL.map(Level::as_str)));
        assert!(STAGES.iter().copied().eq(Stage::ALL.map(Stage::as_str)));
        assert!(OUTCOMES.iter().copied().eq(Outcome::ALL.map(Outcome::as_str)));
        assert!(VERB_CLASSES.iter().copied().eq(VerbClass::ALL.map(VerbClass::as_str)));
        assert!(USER_TYPES.iter().copied().eq(UserType::ALL.map(UserType::as_str)));
    }
}
