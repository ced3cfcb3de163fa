//! Rows read back: the event and the stored line of each.
//!
//! [`Rows`] looks at a batch with any of the table's columns in it. [`Rows::event`] gives what those columns hold, which
//! is enough for a filter that looks at nothing else; [`Rows::write_line`] needs all of them.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use decklog_audit::event::{AuthenticationMetadata, JsonParts, ObjectReference, Status, UserInfo, write_line_of_parts};
use decklog_audit::journal::RecordFlags;
use decklog_audit::json::RawJson;
use decklog_audit::{Event, Timestamp};

use super::schema::{COLUMNS, Column};

/// A batch of the table's rows.
#[derive(Debug)]
pub struct Rows<'b> {
    columns: Vec<Values<'b>>,
    n_rows: usize,
}

#[derive(Clone, Copy, Debug)]
enum Values<'b> {
    /// Not in the batch.
    Absent,
    Long(&'b Int64Array),
    Int(&'b Int32Array),
    Time(&'b TimestampMicrosecondArray),
    Word(&'b DictionaryArray<Int32Type>, &'b StringArray),
    View(&'b StringViewArray),
    Text(&'b StringArray),
    Words(&'b ListArray, &'b StringArray),
}

impl<'b> Values<'b> {
    fn of(array: &'b dyn Array) -> Self {
        match array.data_type() {
            DataType::Int64 => Self::Long(array.as_primitive::<Int64Type>()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Time(array.as_primitive::<TimestampMicrosecondType>()),
            DataType::Utf8View => Self::View(array.as_string_view()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::List(_) => {
                let list: &ListArray = array.as_list();
                list.values().as_string_opt().map_or(Self::Absent, |values| Self::Words(list, values))
            }
            DataType::Dictionary(_, _) => match array.as_dictionary_opt::<Int32Type>() {
                Some(dictionary) => dictionary.values().as_string_opt().map_or(Self::Absent, |values| Self::Word(dictionary, values)),
                None => Self::Absent,
            },
            _ => Self::Absent,
        }
    }
}

impl<'b> Rows<'b> {
    /// The rows of `batch`. Columns are found by name; those of another type than the table's count as absent.
    pub fn new(batch: &'b RecordBatch) -> Self {
        let columns = COLUMNS.iter().map(|info| batch.column_by_name(info.name).map_or(Values::Absent, |array| Values::of(array.as_ref()))).collect();
        Self { columns, n_rows: batch.num_rows() }
    }

    /// How many.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The text in a column; `None` where it is missing or the column is not there.
    pub fn text(&self, column: Column, row: usize) -> Option<&'b str> {
        match self.columns[column.index()] {
            Values::Word(dictionary, values) => dictionary.key(row).map(|key| values.value(key)),
            Values::View(array) => array.is_valid(row).then(|| array.value(row)),
            Values::Text(array) => array.is_valid(row).then(|| array.value(row)),
            _ => None,
        }
    }

    /// The texts in a column of lists.
    pub fn texts(&self, column: Column, row: usize) -> Option<Vec<Cow<'b, str>>> {
        let Values::Words(list, values) = self.columns[column.index()] else { return None };
        if list.is_null(row) {
            return None;
        }
        let offsets = list.value_offsets();
        Some((offsets[row] as usize..offsets[row + 1] as usize).map(|index| Cow::Borrowed(values.value(index))).collect())
    }

    /// The number in a column.
    pub fn number(&self, column: Column, row: usize) -> Option<i64> {
        match self.columns[column.index()] {
            Values::Long(array) => array.is_valid(row).then(|| array.value(row)),
            Values::Int(array) => array.is_valid(row).then(|| i64::from(array.value(row))),
            Values::Time(array) => array.is_valid(row).then(|| array.value(row)),
            _ => None,
        }
    }

    /// The moment in a column.
    pub fn time(&self, column: Column, row: usize) -> Option<Timestamp> {
        self.number(column, row).map(Timestamp::from_micros)
    }

    /// The sequence number; 0 where the column is not there.
    pub fn seq(&self, row: usize) -> u64 {
        self.number(Column::Seq, row).and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0)
    }

    /// The stored line, where it is kept as it is.
    pub fn raw(&self, row: usize) -> Option<&'b str> {
        self.text(Column::Raw, row)
    }

    /// The event, as far as the batch has its columns, for rows without [`Rows::raw`]. Extra, annotations and status
    /// details are not in it: who looks at those decodes the line.
    pub fn event(&self, row: usize) -> Event<'b> {
        let text = |column| self.text(column, row).map(Cow::Borrowed);
        let body = |column| self.text(column, row).and_then(|text| RawJson::parse(text).ok());
        let flags = self.number(Column::Flags, row).unwrap_or(0);
        let is_inferred = flags & i64::from(RecordFlags::TIME_INFERRED.0) != 0;
        Event {
            kind: None,
            api_version: None,
            level: text(Column::Level),
            audit_id: text(Column::AuditId),
            stage: text(Column::Stage),
            request_uri: text(Column::RequestUri),
            verb: text(Column::Verb),
            user: UserInfo { username: text(Column::Username), uid: text(Column::UserUid), groups: self.texts(Column::UserGroups, row), extra: None },
            impersonated_user: self.impersonated(row),
            authentication_metadata: text(Column::Constraint).map(|constraint| AuthenticationMetadata { impersonation_constraint: Some(constraint) }),
            source_ips: self.texts(Column::SourceIps, row),
            user_agent: text(Column::UserAgent),
            object_ref: self.object(row),
            response_status: self.status(row),
            request_object: body(Column::RequestObject),
            response_object: body(Column::ResponseObject),
            request_received_timestamp: self.time(Column::Received, row),
            stage_timestamp: self.time(Column::Time, row).filter(|_| !is_inferred),
            annotations: None,
            unknown: Vec::new(),
            unreadable_times: Vec::new(),
        }
    }

    fn impersonated(&self, row: usize) -> Option<UserInfo<'b>> {
        let text = |column| self.text(column, row).map(Cow::Borrowed);
        let user = UserInfo { username: text(Column::AsUsername), uid: text(Column::AsUid), groups: self.texts(Column::AsGroups, row), extra: None };
        (user != UserInfo::default() || self.text(Column::AsExtra, row).is_some()).then_some(user)
    }

    fn object(&self, row: usize) -> Option<ObjectReference<'b>> {
        let text = |column| self.text(column, row).map(Cow::Borrowed);
        let object = ObjectReference {
            resource: text(Column::Resource),
            namespace: text(Column::Namespace),
            name: text(Column::Name),
            uid: text(Column::ObjectUid),
            api_group: text(Column::ApiGroup),
            api_version: text(Column::ApiVersion),
            resource_version: text(Column::ResourceVersion),
            subresource: text(Column::Subresource),
        };
        (object != ObjectReference::default()).then_some(object)
    }

    fn status(&self, row: usize) -> Option<Status<'b>> {
        let text = |column| self.text(column, row).map(Cow::Borrowed);
        let status = Status {
            status: text(Column::Status),
            message: text(Column::Message),
            reason: text(Column::Reason),
            code: self.number(Column::Code, row).and_then(|code| i32::try_from(code).ok()),
            ..Status::default()
        };
        (status != Status::default() || self.text(Column::StatusDetails, row).is_some()).then_some(status)
    }

    /// Appends the stored line, without a newline. All columns must be in the batch.
    pub fn write_line(&self, row: usize, out: &mut Vec<u8>) {
        if let Some(raw) = self.raw(row) {
            out.extend_from_slice(raw.as_bytes());
            return;
        }
        let text = |column| self.text(column, row).unwrap_or_default();
        let parts = JsonParts {
            user_extra: text(Column::UserExtra),
            impersonated_extra: text(Column::AsExtra),
            status_details: text(Column::StatusDetails),
            annotations: text(Column::Annotations),
            ..JsonParts::default()
        };
        write_line_of_parts(&self.event(row), &parts, out);
    }
}
