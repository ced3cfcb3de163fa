//! The columns of the views that follow from one stored column, by the event's own definitions
//! ([`decklog_audit::event`]): they are called, not written a second time.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};
use decklog_audit::Event;
use decklog_audit::event::{LATENCY_ANNOTATION, UserInfo};
use decklog_audit::filter::time::parse_duration;
use decklog_audit::json::RawJson;

use super::arguments::{Argument, Function, Texts};

pub(super) fn functions() -> Vec<ScalarUDF> {
    use Argument::{Text, Texts};
    vec![
        Function::udf("event_path", &[Text], DataType::Utf8View, "event_path(request_uri)", path),
        Function::udf("event_tool", &[Text], DataType::Utf8View, "event_tool(user_agent)", tool),
        Function::udf("event_service_account", &[Text], DataType::Utf8View, "event_service_account(username)", service_account),
        Function::udf("event_peer", &[Texts], DataType::Utf8View, "event_peer(source_ips)", peer),
        Function::udf("event_dryrun", &[Text], DataType::Boolean, "event_dryrun(request_uri)", dry_run),
        Function::udf("latency_part_us", &[Text, Text], DataType::Int64, "latency_part_us(annotations, part)", latency_part),
    ]
}

fn texts<'a>(argument: &'a ColumnarValue, n_rows: usize, derive: impl Fn(&'a str) -> Option<Cow<'a, str>>) -> Result<ArrayRef> {
    let values = Texts::of(argument)?;
    let mut derived = StringViewBuilder::with_capacity(n_rows);
    (0..n_rows).for_each(|row| derived.append_option(values.get(row).and_then(&derive)));
    Ok(Arc::new(derived.finish()))
}

fn path(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    texts(&arguments[0], n_rows, |uri| Event { request_uri: Some(Cow::Borrowed(uri)), ..Event::default() }.path().map(|path| Cow::Owned(path.to_owned())))
}

fn tool(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    texts(&arguments[0], n_rows, |agent| Event { user_agent: Some(Cow::Borrowed(agent)), ..Event::default() }.tool().map(|tool| Cow::Owned(tool.to_owned())))
}

fn service_account(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    texts(&arguments[0], n_rows, |username| {
        let user = UserInfo { username: Some(Cow::Borrowed(username)), ..UserInfo::default() };
        Event { user, ..Event::default() }.service_account().map(|(namespace, name)| Cow::Owned(format!("{namespace}/{name}")))
    })
}

fn dry_run(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    let uris = Texts::of(&arguments[0])?;
    let asks = |uri: &str| uri.contains('?') && Event { request_uri: Some(Cow::Borrowed(uri)), ..Event::default() }.is_dry_run();
    Ok(Arc::new(BooleanArray::from((0..n_rows).map(|row| uris.get(row).is_some_and(asks)).collect::<Vec<_>>())))
}

/// The last address of each list; NULL where there is none.
fn peer(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    let lists = arguments[0].to_array(n_rows)?;
    let mut peers = StringViewBuilder::with_capacity(n_rows);
    let lists = lists.as_list::<i32>();
    let values = lists.values().as_string_opt::<i32>();
    for row in 0..n_rows {
        let last = lists.value_offsets()[row + 1] - 1;
        let is_there = lists.is_valid(row) && last >= lists.value_offsets()[row];
        peers.append_option(values.filter(|_| is_there).map(|values| values.value(last as usize)));
    }
    Ok(Arc::new(peers.finish()))
}

/// What kube-apiserver noted of a part of a slow request, in microseconds.
fn latency_part(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    let (annotations, parts) = (Texts::of(&arguments[0])?, Texts::of(&arguments[1])?);
    let noted = |row: usize| {
        let (annotations, part) = (annotations.get(row)?, parts.get(row)?);
        // Most events are quick: without the word there is nothing to parse.
        annotations.contains(LATENCY_ANNOTATION).then_some(())?;
        let named = |(key, value): (Cow<'_, str>, RawJson<'_>)| {
            (key.strip_prefix(LATENCY_ANNOTATION) == Some(part)).then(|| value.as_string()).flatten().map(Cow::into_owned)
        };
        let text = RawJson::parse(annotations).ok()?.members().filter_map(named).last()?;
        i64::try_from(parse_duration(&text)? / 1000).ok()
    };
    Ok(Arc::new(Int64Array::from((0..n_rows).map(noted).collect::<Vec<_>>())))
}
