//! The table's columns: names, types and what each one holds. docs/table.md is written from this list.
//!
//! A column is a projection of the event for speed; together they give the stored line back byte for byte, and where
//! they cannot, the line stands in [`Column::Raw`]. What follows from other columns (outcome, verb class, id…) is not
//! stored: the SQL views compute it. Names are those of the views, so that other engines read the same words.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A column of the table, by its place in [`COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
#[allow(missing_docs)]
pub enum Column {
    Seq,
    IngestedAt,
    Cluster,
    Source,
    Sender,
    Flags,
    Time,
    Received,
    Level,
    Stage,
    Verb,
    AuditId,
    RequestUri,
    UserAgent,
    Username,
    UserUid,
    UserGroups,
    UserExtra,
    Credential,
    AsUsername,
    AsUid,
    AsGroups,
    AsExtra,
    Constraint,
    SourceIps,
    Resource,
    Subresource,
    ApiGroup,
    ApiVersion,
    Namespace,
    Name,
    ObjectUid,
    ResourceVersion,
    Code,
    Status,
    Reason,
    Message,
    StatusDetails,
    Decision,
    AuthzReason,
    Annotations,
    RequestObject,
    ResponseObject,
    EventBytes,
    Raw,
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// A whole number of 64 bits.
    Long,
    /// A whole number of 32 bits.
    Int,
    /// Microseconds since the epoch, UTC.
    Time,
    /// Text of which there are few different ones: kept once each in a dictionary.
    Word,
    /// Other text.
    Text,
    /// A list of texts.
    Words,
}

/// A column's entry in the list.
#[derive(Clone, Copy, Debug)]
pub struct ColumnInfo {
    /// Which one.
    pub column: Column,
    /// Its name in the table.
    pub name: &'static str,
    /// What its values are.
    pub kind: ColumnType,
    /// What it holds, in words.
    pub doc: &'static str,
}

const fn info(column: Column, name: &'static str, kind: ColumnType, doc: &'static str) -> ColumnInfo {
    ColumnInfo { column, name, kind, doc }
}

/// Every column, in the order of the file. The partition `day` is none of them: it stands in the folder's name.
pub const COLUMNS: [ColumnInfo; 45] = {
    use Column as C;
    use ColumnType::{Int, Long, Text, Time, Word, Words};
    [
        info(C::Seq, "seq", Long, "the event's place in the journal; unique"),
        info(C::IngestedAt, "ingested_at", Time, "when decklog took it in"),
        info(C::Cluster, "cluster", Word, "the cluster's name"),
        info(C::Source, "source", Word, "the source's name"),
        info(C::Sender, "sender", Word, "who sent it: a peer's address or a file's path"),
        info(C::Flags, "flags", Int, "1: `time` is not the stageTimestamp, which was missing or unreadable; 2: something was redacted"),
        info(C::Time, "time", Time, "stageTimestamp; where it is missing requestReceivedTimestamp, else `ingested_at`"),
        info(C::Received, "received", Time, "requestReceivedTimestamp"),
        info(C::Level, "level", Word, "level"),
        info(C::Stage, "stage", Word, "stage"),
        info(C::Verb, "verb", Word, "verb"),
        info(C::AuditId, "audit_id", Text, "auditID"),
        info(C::RequestUri, "request_uri", Text, "requestURI"),
        info(C::UserAgent, "user_agent", Word, "userAgent"),
        info(C::Username, "username", Word, "user.username"),
        info(C::UserUid, "user_uid", Word, "user.uid"),
        info(C::UserGroups, "user_groups", Words, "user.groups"),
        info(C::UserExtra, "user_extra", Word, "user.extra as JSON"),
        info(C::Credential, "credential", Word, "the credential id in user.extra"),
        info(C::AsUsername, "as_username", Word, "impersonatedUser.username"),
        info(C::AsUid, "as_uid", Word, "impersonatedUser.uid"),
        info(C::AsGroups, "as_groups", Words, "impersonatedUser.groups"),
        info(C::AsExtra, "as_extra", Word, "impersonatedUser.extra as JSON"),
        info(C::Constraint, "impersonation_constraint", Word, "authenticationMetadata.impersonationConstraint"),
        info(C::SourceIps, "source_ips", Words, "sourceIPs; only the last one was not written by the client"),
        info(C::Resource, "resource", Word, "objectRef.resource"),
        info(C::Subresource, "subresource", Word, "objectRef.subresource"),
        info(C::ApiGroup, "api_group", Word, "objectRef.apiGroup; missing for the core group"),
        info(C::ApiVersion, "api_version", Word, "objectRef.apiVersion"),
        info(C::Namespace, "namespace", Word, "objectRef.namespace"),
        info(C::Name, "name", Word, "objectRef.name"),
        info(C::ObjectUid, "object_uid", Text, "objectRef.uid"),
        info(C::ResourceVersion, "resource_version", Text, "objectRef.resourceVersion"),
        info(C::Code, "code", Int, "responseStatus.code"),
        info(C::Status, "status", Word, "responseStatus.status"),
        info(C::Reason, "reason", Word, "responseStatus.reason"),
        info(C::Message, "message", Text, "responseStatus.message"),
        info(C::StatusDetails, "status_details", Text, "responseStatus.details as JSON"),
        info(C::Decision, "decision", Word, "the annotation authorization.k8s.io/decision"),
        info(C::AuthzReason, "authz_reason", Word, "the annotation authorization.k8s.io/reason"),
        info(C::Annotations, "annotations", Text, "annotations as JSON, these two included"),
        info(C::RequestObject, "request_object", Text, "requestObject, the JSON as it came"),
        info(C::ResponseObject, "response_object", Text, "responseObject, the JSON as it came"),
        info(C::EventBytes, "event_bytes", Int, "length of the stored line in bytes"),
        info(C::Raw, "raw", Text, "the stored line, where the other columns do not give it back byte for byte"),
    ]
};

impl Column {
    /// Its place in the schema.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its entry in the list.
    pub fn info(self) -> &'static ColumnInfo {
        &COLUMNS[self as usize]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.info().name
    }
}

impl ColumnType {
    /// As files of the table hold it and other engines see it.
    pub fn stored(self) -> DataType {
        match self {
            Self::Long => DataType::Int64,
            Self::Int => DataType::Int32,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Word | Self::Text => DataType::Utf8,
            Self::Words => DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))),
        }
    }

    /// As it is held in memory: words by dictionary, text without copies.
    pub fn in_memory(self) -> DataType {
        match self {
            Self::Word => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Text => DataType::Utf8View,
            other => other.stored(),
        }
    }
}

fn schema_of(data_type: impl Fn(ColumnType) -> DataType) -> SchemaRef {
    let fields = COLUMNS.iter().map(|info| {
        let nullable = !matches!(info.column, Column::Seq | Column::IngestedAt | Column::Flags | Column::Time | Column::EventBytes);
        Field::new(info.name, data_type(info.kind), nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns as files hold them.
pub fn stored_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(ColumnType::stored));
    Arc::clone(&SCHEMA)
}

/// The columns as [`super::Rows`] wants them read.
pub fn memory_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(ColumnType::in_memory));
    Arc::clone(&SCHEMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_the_table_says_what_each_column_holds() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/table.md")).unwrap();
        for info in &COLUMNS {
            let kind = match info.kind {
                ColumnType::Long => "long",
                ColumnType::Int => "integer",
                ColumnType::Time => "timestamp",
                ColumnType::Word | ColumnType::Text => "string",
                ColumnType::Words => "array of string",
            };
            let row = format!("| `{}` | {kind} | {} |", info.name, info.doc);
            assert!(page.contains(&row), "docs/table.md lacks: {row}");
        }
    }

    #[test]
    fn every_column_stands_at_its_place() {
        for (index, info) in COLUMNS.iter().enumerate() {
            assert_eq!(info.column.index(), index, "{}", info.name);
        }
        assert_eq!(stored_schema().fields().len(), COLUMNS.len());
    }
}
