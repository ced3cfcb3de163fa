//! Which columns hold what a field of the filter language looks at.
//!
//! Used by conditions, counts and narrowing. [`Access::of`] is the only place that knows; whoever asks the matcher
//! about a row gives it an event made of these columns alone.

use std::sync::{Arc, LazyLock};

use decklog_audit::Event;
use decklog_audit::filter::Candidate;
use decklog_audit::filter::fields::{Field, FieldId, Tail};
use decklog_audit::journal::{EventId, Origin};
use decklog_store::table::{Column, ColumnType, Rows};

/// How a field's values are found in a row that is not kept raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The column's text is the field's only value.
    Text(Column),
    /// The column's number is.
    Number(Column),
    /// The column's moment is.
    Time(Column),
    /// From an event made of these columns.
    Event(&'static [Column]),
    /// From an event whose line is the column's JSON between these texts.
    Json(Column, &'static str, &'static str),
    /// From the whole stored line.
    Line,
}

/// How dear a column is to read and look at; what is dear is read for fewer rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cost {
    /// Words and numbers.
    Word,
    /// Texts that differ from row to row, and lists.
    Text,
    /// Bodies.
    Body,
    /// All columns, written as the stored line and decoded.
    Line,
}

impl Access {
    /// How `field` is found.
    pub(crate) fn of(field: &Field) -> Self {
        use Column as C;
        let key = if let Tail::Key(key) = &field.tail { key.as_str() } else { "" };
        match field.info.id {
            FieldId::Level => Self::Text(C::Level),
            FieldId::Stage => Self::Text(C::Stage),
            FieldId::Verb => Self::Text(C::Verb),
            FieldId::AuditId => Self::Text(C::AuditId),
            FieldId::RequestUri => Self::Text(C::RequestUri),
            FieldId::Path | FieldId::DryRun => Self::Event(&[C::RequestUri]),
            FieldId::UserName => Self::Text(C::Username),
            FieldId::UserType | FieldId::ServiceAccount => Self::Event(&[C::Username]),
            FieldId::UserUid => Self::Text(C::UserUid),
            FieldId::UserGroups => Self::Event(&[C::UserGroups]),
            FieldId::UserExtra => Self::Json(C::UserExtra, r#"{"user":{"extra":"#, "}}"),
            FieldId::AsName => Self::Text(C::AsUsername),
            FieldId::AsUid => Self::Text(C::AsUid),
            FieldId::AsGroups => Self::Event(&[C::AsGroups]),
            FieldId::AsExtra => Self::Json(C::AsExtra, r#"{"impersonatedUser":{"extra":"#, "}}"),
            FieldId::Actor => Self::Event(&[C::Username, C::AsUsername]),
            FieldId::ActorGroups => Self::Event(&[C::UserGroups, C::AsGroups]),
            FieldId::Constraint => Self::Text(C::Constraint),
            FieldId::SourceIps | FieldId::Peer => Self::Event(&[C::SourceIps]),
            FieldId::UserAgent => Self::Text(C::UserAgent),
            FieldId::Tool => Self::Event(&[C::UserAgent]),
            FieldId::Resource => Self::Text(C::Resource),
            FieldId::Subresource => Self::Text(C::Subresource),
            FieldId::Name => Self::Text(C::Name),
            FieldId::Namespace => Self::Text(C::Namespace),
            FieldId::ObjectUid => Self::Text(C::ObjectUid),
            FieldId::ApiGroup => Self::Text(C::ApiGroup),
            FieldId::ApiVersion => Self::Text(C::ApiVersion),
            FieldId::ResourceVersion => Self::Text(C::ResourceVersion),
            // The name of what a create with generateName made stands in the answer.
            FieldId::Object => Self::Event(&[C::Resource, C::Subresource, C::ApiGroup, C::Name, C::Verb, C::ResponseObject]),
            FieldId::Code => Self::Number(C::Code),
            FieldId::Reason => Self::Text(C::Reason),
            FieldId::Message => Self::Text(C::Message),
            FieldId::Status => Self::Text(C::Status),
            FieldId::Details => Self::Json(C::StatusDetails, r#"{"responseStatus":{"details":"#, "}}"),
            FieldId::Annotation => match key {
                "authorization.k8s.io/decision" => Self::Text(C::Decision),
                "authorization.k8s.io/reason" => Self::Text(C::AuthzReason),
                _ => Self::Json(C::Annotations, r#"{"annotations":"#, "}"),
            },
            FieldId::Latency if !key.is_empty() => Self::Json(C::Annotations, r#"{"annotations":"#, "}"),
            FieldId::LatencyPart => Self::Json(C::Annotations, r#"{"annotations":"#, "}"),
            FieldId::Latency => Self::Event(&[C::Stage, C::Received, C::Time, C::Flags]),
            FieldId::Request => Self::Json(C::RequestObject, r#"{"requestObject":"#, "}"),
            FieldId::Response => Self::Json(C::ResponseObject, r#"{"responseObject":"#, "}"),
            FieldId::Time => Self::Time(C::Time),
            FieldId::Received => Self::Time(C::Received),
            FieldId::Ingested => Self::Time(C::IngestedAt),
            FieldId::Outcome => Self::Event(&[C::Stage, C::Code]),
            FieldId::VerbClass => Self::Event(&[C::Verb, C::Subresource, C::Resource, C::ApiGroup]),
            FieldId::LongRunning => Self::Event(&[C::Verb, C::Subresource]),
            FieldId::Final => Self::Event(&[C::Stage, C::Code, C::Username]),
            FieldId::Cluster => Self::Text(C::Cluster),
            FieldId::Source => Self::Text(C::Source),
            FieldId::Sender => Self::Text(C::Sender),
            FieldId::Seq => Self::Number(C::Seq),
            FieldId::Raw | FieldId::Id => Self::Line,
        }
    }

    /// The columns to read.
    pub(crate) fn columns(&self) -> &[Column] {
        match self {
            Self::Text(column) | Self::Number(column) | Self::Time(column) | Self::Json(column, ..) => std::slice::from_ref(column),
            Self::Event(columns) => columns,
            Self::Line => &[],
        }
    }

    /// What it costs.
    pub(crate) fn cost(&self) -> Cost {
        if *self == Self::Line {
            return Cost::Line;
        }
        self.columns().iter().map(|column| cost_of(*column)).max().unwrap_or(Cost::Word)
    }

    /// Calls `look` with what the matcher needs to know of this field in a row.
    pub(crate) fn with_candidate<T>(&self, rows: &Rows<'_>, row: usize, look: impl FnOnce(&Candidate<'_>) -> T) -> T {
        let text;
        let (event, line) = match self {
            Self::Json(column, before, after) => {
                text = rows.text(*column, row).map_or_else(|| "{}".to_owned(), |json| format!("{before}{json}{after}"));
                // The column was written from a decoded event.
                (Event::decode(&text).unwrap_or_default(), text.as_str())
            }
            _ => (rows.event(row), ""),
        };
        look(&Candidate {
            event: &event,
            line,
            seq: rows.seq(row),
            id: EventId([0; 16]),
            time: rows.time(Column::Time, row).unwrap_or_default(),
            ingested_at: rows.time(Column::IngestedAt, row).unwrap_or_default(),
            origin: no_origin(),
        })
    }
}

/// An origin for candidates whose origin nobody looks at: these fields have columns.
pub(super) fn no_origin() -> &'static Arc<Origin> {
    static NO_ORIGIN: LazyLock<Arc<Origin>> = LazyLock::new(Arc::default);
    &NO_ORIGIN
}

fn cost_of(column: Column) -> Cost {
    match (column, column.info().kind) {
        (Column::RequestObject | Column::ResponseObject | Column::Raw, _) => Cost::Body,
        (_, ColumnType::Text | ColumnType::Words) => Cost::Text,
        _ => Cost::Word,
    }
}
