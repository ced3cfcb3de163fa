//! Rows on their way into the table: events taken from journal records, column by column.
//!
//! [`RowBuffer::push`] decodes the stored line once and appends its fields. Whether the columns give the line back is
//! found out for every event, by writing it from them and comparing; where they do not, the line itself is kept too.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder, StringDictionaryBuilder, StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Field, Int32Type};
use decklog_audit::Event;
use decklog_audit::event::{JsonParts, UserInfo, readable_text, write_annotations, write_extra, write_line_of_parts, write_status_details};
use decklog_audit::journal::{Record, RecordFlags};

use super::schema::{COLUMNS, Column, ColumnType, memory_schema};

/// The user extra that names the credential.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";
/// The annotation that says what authorization decided.
const DECISION: &str = "authorization.k8s.io/decision";
/// The annotation that says why.
const REASON: &str = "authorization.k8s.io/reason";

/// Rows being collected.
pub struct RowBuffer {
    columns: Vec<Builder>,
    n_rows: usize,
    n_bytes: usize,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    user_extra: Vec<u8>,
    as_extra: Vec<u8>,
    details: Vec<u8>,
    annotations: Vec<u8>,
    line: Vec<u8>,
}

enum Builder {
    Long(Int64Builder),
    Int(Int32Builder),
    Time(TimestampMicrosecondBuilder),
    Word(StringDictionaryBuilder<Int32Type>),
    Text(StringViewBuilder),
    Words(ListBuilder<StringBuilder>),
}

impl Builder {
    fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Long => Self::Long(Int64Builder::new()),
            ColumnType::Int => Self::Int(Int32Builder::new()),
            ColumnType::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnType::Word => Self::Word(StringDictionaryBuilder::new()),
            ColumnType::Text => Self::Text(StringViewBuilder::new().with_fixed_block_size(256 << 10)),
            ColumnType::Words => {
                let element = Arc::new(Field::new("element", arrow::datatypes::DataType::Utf8, true));
                Self::Words(ListBuilder::new(StringBuilder::new()).with_field(element))
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Long(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Word(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Words(builder) => Arc::new(builder.finish()),
        }
    }
}

impl Default for RowBuffer {
    fn default() -> Self {
        let columns = COLUMNS.iter().map(|info| Builder::new(info.kind)).collect();
        Self { columns, n_rows: 0, n_bytes: 0, scratch: Scratch::default() }
    }
}

impl RowBuffer {
    /// Rows in it.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Bytes of the lines in it.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Takes the event of `record`. A line no event can be read from is kept raw, its other columns missing.
    pub fn push(&mut self, record: &Record<'_>) {
        self.n_rows += 1;
        self.n_bytes += record.bytes.len();
        let line = readable_text(record.bytes);
        let event = Event::decode(&line).unwrap_or_default();
        self.long(Column::Seq, record.seq as i64);
        self.time(Column::IngestedAt, Some(record.ingested_at.micros()));
        for (column, text) in [(Column::Cluster, &record.origin.cluster), (Column::Source, &record.origin.source), (Column::Sender, &record.origin.sender)] {
            self.text(column, Some(text));
        }
        self.int(Column::Flags, Some(i32::from(record.head.flags.0)));
        self.time(Column::Time, Some(record.head.time.micros()));
        self.time(Column::Received, event.request_received_timestamp.map(|time| time.micros()));
        let mut scratch = std::mem::take(&mut self.scratch);
        let raw = scratch.write(&event, record);
        self.request(&event);
        self.user(&event, &scratch);
        self.object(&event);
        self.answer(&event, &scratch);
        self.int(Column::EventBytes, i32::try_from(record.bytes.len()).ok().or(Some(i32::MAX)));
        self.text(Column::Raw, raw.then_some(&*line));
        self.scratch = scratch;
    }

    /// The rows as one batch of [`memory_schema`]; the buffer is empty afterwards.
    ///
    /// # Panics
    /// Never: every push appends to every column.
    pub fn take(&mut self) -> RecordBatch {
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(Builder::finish).collect();
        *self = Self { scratch: std::mem::take(&mut self.scratch), ..Self::default() };
        RecordBatch::try_new(memory_schema(), columns).expect("every push appends one value of its type to every column")
    }

    fn request(&mut self, event: &Event<'_>) {
        self.text(Column::Level, event.level.as_deref());
        self.text(Column::Stage, event.stage.as_deref());
        self.text(Column::Verb, event.verb.as_deref());
        self.text(Column::AuditId, event.audit_id.as_deref());
        self.text(Column::RequestUri, event.request_uri.as_deref());
        self.text(Column::UserAgent, event.user_agent.as_deref());
        self.texts(Column::SourceIps, event.source_ips.as_deref());
        self.text(Column::RequestObject, event.request_object.map(|body| body.as_str()));
        self.text(Column::ResponseObject, event.response_object.map(|body| body.as_str()));
    }

    fn user(&mut self, event: &Event<'_>, scratch: &Scratch) {
        let nobody = UserInfo::default();
        let user = &event.user;
        self.text(Column::Username, user.username.as_deref());
        self.text(Column::UserUid, user.uid.as_deref());
        self.texts(Column::UserGroups, user.groups.as_deref());
        self.json(Column::UserExtra, &scratch.user_extra);
        self.text(Column::Credential, user.extra_values(CREDENTIAL).first().map(AsRef::as_ref));
        let impersonated = event.impersonated_user.as_ref().unwrap_or(&nobody);
        self.text(Column::AsUsername, impersonated.username.as_deref());
        self.text(Column::AsUid, impersonated.uid.as_deref());
        self.texts(Column::AsGroups, impersonated.groups.as_deref());
        self.json(Column::AsExtra, &scratch.as_extra);
        let metadata = event.authentication_metadata.as_ref();
        self.text(Column::Constraint, metadata.and_then(|metadata| metadata.impersonation_constraint.as_deref()));
    }

    fn object(&mut self, event: &Event<'_>) {
        let object = event.object_ref.clone().unwrap_or_default();
        self.text(Column::Resource, object.resource.as_deref());
        self.text(Column::Subresource, object.subresource.as_deref());
        self.text(Column::ApiGroup, object.api_group.as_deref());
        self.text(Column::ApiVersion, object.api_version.as_deref());
        self.text(Column::Namespace, object.namespace.as_deref());
        self.text(Column::Name, object.name.as_deref());
        self.text(Column::ObjectUid, object.uid.as_deref());
        self.text(Column::ResourceVersion, object.resource_version.as_deref());
    }

    fn answer(&mut self, event: &Event<'_>, scratch: &Scratch) {
        let status = event.response_status.as_ref();
        self.int(Column::Code, status.and_then(|status| status.code));
        self.text(Column::Status, status.and_then(|status| status.status.as_deref()));
        self.text(Column::Reason, status.and_then(|status| status.reason.as_deref()));
        self.text(Column::Message, status.and_then(|status| status.message.as_deref()));
        self.json(Column::StatusDetails, &scratch.details);
        self.text(Column::Decision, event.annotation(DECISION));
        self.text(Column::AuthzReason, event.annotation(REASON));
        self.json(Column::Annotations, &scratch.annotations);
    }

    fn long(&mut self, column: Column, value: i64) {
        if let Builder::Long(builder) = &mut self.columns[column.index()] {
            builder.append_value(value);
        }
    }

    fn int(&mut self, column: Column, value: Option<i32>) {
        if let Builder::Int(builder) = &mut self.columns[column.index()] {
            builder.append_option(value);
        }
    }

    fn time(&mut self, column: Column, micros: Option<i64>) {
        if let Builder::Time(builder) = &mut self.columns[column.index()] {
            builder.append_option(micros);
        }
    }

    fn text(&mut self, column: Column, value: Option<&str>) {
        match &mut self.columns[column.index()] {
            Builder::Word(builder) => builder.append_option(value),
            Builder::Text(builder) => builder.append_option(value),
            _ => {}
        }
    }

    fn json(&mut self, column: Column, text: &[u8]) {
        // What the encoder writes is UTF-8, but for bytes in bodies, which these parts are not.
        self.text(column, std::str::from_utf8(text).ok().filter(|text| !text.is_empty()));
    }

    fn texts(&mut self, column: Column, values: Option<&[std::borrow::Cow<'_, str>]>) {
        if let Builder::Words(builder) = &mut self.columns[column.index()] {
            values.into_iter().flatten().for_each(|value| builder.values().append_value(value));
            builder.append(values.is_some());
        }
    }
}

impl Scratch {
    /// Writes the parts that are kept as JSON; tells whether the columns do not give the line back.
    fn write(&mut self, event: &Event<'_>, record: &Record<'_>) -> bool {
        for buffer in [&mut self.user_extra, &mut self.as_extra, &mut self.details, &mut self.annotations, &mut self.line] {
            buffer.clear();
        }
        write_extra(&event.user, &mut self.user_extra);
        if let Some(user) = &event.impersonated_user {
            write_extra(user, &mut self.as_extra);
        }
        if let Some(details) = event.response_status.as_ref().and_then(|status| status.details.as_ref()) {
            write_status_details(details, &mut self.details);
        }
        write_annotations(event, &mut self.annotations);
        let [Ok(user_extra), Ok(impersonated_extra), Ok(status_details), Ok(annotations)] =
            [&self.user_extra, &self.as_extra, &self.details, &self.annotations].map(|text| std::str::from_utf8(text))
        else {
            return true;
        };
        let parts = JsonParts { user_extra, impersonated_extra, status_details, annotations, ..JsonParts::default() };
        write_line_of_parts(event, &parts, &mut self.line);
        self.line != record.bytes || !fits(event, record)
    }
}

/// Whether the columns hold all of the event that [`write_line_of_parts`] writes: members the table has no column for
/// must be missing, and nothing may be there that a missing value cannot be told from.
fn fits(event: &Event<'_>, record: &Record<'_>) -> bool {
    let is_something = |user: &UserInfo<'_>| user != &UserInfo::default();
    let status_fits = event.response_status.as_ref().is_none_or(|status| {
        status.kind.is_none()
            && status.api_version.is_none()
            && status.metadata == Default::default()
            && (status.code.is_some() || status.status.is_some() || status.reason.is_some() || status.message.is_some() || status.details.is_some())
    });
    let times_fit = !record.head.flags.contains(RecordFlags::TIME_INFERRED)
        && event.stage_timestamp == Some(record.head.time)
        && event.request_received_timestamp.is_none_or(|time| time == time.to_micros());
    status_fits
        && times_fit
        && event.impersonated_user.as_ref().is_none_or(is_something)
        && event.object_ref.as_ref().is_none_or(|object| object != &Default::default())
        && event.authentication_metadata.as_ref().is_none_or(|metadata| metadata.impersonation_constraint.is_some())
}
