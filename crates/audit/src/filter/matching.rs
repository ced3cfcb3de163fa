//! Whether an event is as a filter says: the definition every plan and index has to agree with.

use std::net::IpAddr;

use super::Candidate;
use super::ast::{Clause, Expression, JsonTest, NumberRange, Test, Values};
use super::body::{BodyPath, Scalar};
use super::fields::{Field, FieldId, FieldType, Tail};
use super::pattern::Pattern;
use super::time::{DurationText, parse_duration};
use super::values::is_json_number;
use crate::event::{Level, UserInfo};
use crate::json::{RawJson, Token, tokens};
use crate::time::Timestamp;

pub(super) fn matches(expression: &Expression, candidate: &Candidate<'_>) -> bool {
    match expression {
        Expression::All => true,
        Expression::And(all) => all.iter().all(|one| matches(one, candidate)),
        Expression::Or(any) => any.iter().any(|one| matches(one, candidate)),
        Expression::Not(inner) => !matches(inner, candidate),
        Expression::Clause(Clause { field, values }) => holds(field, values, candidate),
        Expression::Text(pattern) => has_text(pattern, candidate),
    }
}

fn holds(field: &Field, values: &Values, candidate: &Candidate<'_>) -> bool {
    match values {
        Values::One(test) => passes(field, test, candidate),
        Values::And(all) => all.iter().all(|one| holds(field, one, candidate)),
        Values::Or(any) => any.iter().any(|one| holds(field, one, candidate)),
        Values::Not(inner) => passes(field, &Test::Present, candidate) && !holds(field, inner, candidate),
    }
}

/// What `values` say of a field whose only value is `text`, as a text field.
pub(super) fn text_holds(values: &Values, text: &str) -> bool {
    holds_of_one(values, &|test| text_passes(test, text, None))
}

/// What `values` say of a field whose only value is this whole number.
pub(super) fn number_holds(values: &Values, value: i64) -> bool {
    holds_of_one(values, &|test| number_passes(test, value))
}

/// What `values` say of a field whose only value is this moment.
pub(super) fn time_holds(values: &Values, value: Timestamp) -> bool {
    holds_of_one(values, &|test| time_passes(test, value))
}

fn holds_of_one(values: &Values, passes: &dyn Fn(&Test) -> bool) -> bool {
    match values {
        Values::One(test) => passes(test),
        Values::And(all) => all.iter().all(|one| holds_of_one(one, passes)),
        Values::Or(any) => any.iter().any(|one| holds_of_one(one, passes)),
        Values::Not(inner) => passes(&Test::Present) && !holds_of_one(inner, passes),
    }
}

fn number_passes(test: &Test, value: i64) -> bool {
    match test {
        Test::Int(range) => range.contains(value),
        other => *other == Test::Present,
    }
}

fn time_passes(test: &Test, value: Timestamp) -> bool {
    match test {
        Test::Time(range) => range.contains(value),
        other => *other == Test::Present,
    }
}

/// Calls `visit` with each value of a field as text, as facets and tables show it: for a body every scalar the
/// path leads to, for an object `RESOURCE[.GROUP]/NAME[/SUB]`.
pub(super) fn each_value(field: &Field, candidate: &Candidate<'_>, visit: &mut dyn FnMut(&str)) {
    let event = candidate.event;
    let shown = match field.kind() {
        FieldType::Int => number(field.info.id, candidate).map(|value| value.to_string()),
        FieldType::Time => time(field.info.id, candidate).map(|value| value.to_string()),
        FieldType::Duration => duration(field, candidate).map(|value| DurationText(value).to_string()),
        FieldType::Bool => Some(truth(field.info.id, candidate).to_string()),
        FieldType::Object => event.object_ref.as_ref().and_then(|object| {
            let mut text = object.resource.as_deref()?.to_owned();
            for (mark, part) in [('.', object.api_group.as_deref()), ('/', event.object_name().as_deref()), ('/', object.subresource.as_deref())] {
                text.extend(part.into_iter().flat_map(|part| std::iter::once(mark).chain(part.chars())));
            }
            Some(text)
        }),
        FieldType::Json => {
            with_body(field, candidate, |path, body| {
                path.any(body, &mut |scalar| {
                    match scalar {
                        Scalar::String(text) | Scalar::Number(text) => visit(text),
                        Scalar::Bool(value) => visit(if value { "true" } else { "false" }),
                        Scalar::Null => visit("null"),
                        Scalar::Nested => {}
                    }
                    false
                })
            });
            return;
        }
        _ => {
            texts(field, candidate, &mut |text| {
                visit(text);
                false
            });
            return;
        }
    };
    if let Some(shown) = shown {
        visit(&shown);
    }
}

/// Whether any value of the field passes; false if it has none.
fn passes(field: &Field, test: &Test, candidate: &Candidate<'_>) -> bool {
    match field.kind() {
        FieldType::Int => number(field.info.id, candidate).is_some_and(|value| number_passes(test, value)),
        FieldType::Time => time(field.info.id, candidate).is_some_and(|value| time_passes(test, value)),
        FieldType::Duration => duration(field, candidate).is_some_and(|value| match test {
            Test::Duration(range) => range.contains(value),
            other => *other == Test::Present,
        }),
        FieldType::Bool => *test == Test::Present || *test == Test::Bool(truth(field.info.id, candidate)),
        FieldType::Object => object(test, candidate),
        FieldType::Json => json(field, test, candidate),
        _ => {
            let subresource = candidate.event.object_ref.as_ref().and_then(|object| object.subresource.as_deref());
            texts(field, candidate, &mut |text| text_passes(test, text, subresource))
        }
    }
}

fn text_passes(test: &Test, text: &str, subresource: Option<&str>) -> bool {
    match test {
        Test::Text(pattern) => pattern.matches(text),
        Test::ResourcePair(pair) => {
            let (resource, wanted) = &**pair;
            resource.matches(text) && subresource.is_some_and(|text| wanted.matches(text))
        }
        Test::Levels(min, max) => {
            let level = Level::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text));
            level.is_some_and(|level| *min <= level && level <= *max)
        }
        Test::Ip(network) => text.parse::<IpAddr>().is_ok_and(|address| network.contains(&address.to_canonical())),
        other => *other == Test::Present,
    }
}

/// Calls `visit` for each text of a field until it returns true; tells whether it did.
fn texts(field: &Field, candidate: &Candidate<'_>, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    let event = candidate.event;
    let object = event.object_ref.as_ref();
    let status = event.response_status.as_ref();
    let impersonated = event.impersonated_user.as_ref();
    let key = if let Tail::Key(key) = &field.tail { key.as_str() } else { "" };
    let extra =
        |user: Option<&UserInfo<'_>>, visit: &mut dyn FnMut(&str) -> bool| user.is_some_and(|user| user.extra_values(key).iter().any(|value| visit(value)));
    let one = match field.info.id {
        FieldId::UserGroups => return event.user.groups.iter().flatten().any(|group| visit(group)),
        FieldId::AsGroups => return impersonated.and_then(|user| user.groups.as_ref()).into_iter().flatten().any(|group| visit(group)),
        FieldId::UserExtra => return extra(Some(&event.user), visit),
        FieldId::AsExtra => return extra(impersonated, visit),
        FieldId::Actor => return event.actors().any(visit),
        FieldId::ActorGroups => {
            let groups = event.user.groups.iter().chain(impersonated.and_then(|user| user.groups.as_ref()));
            return groups.flatten().any(|group| visit(group));
        }
        FieldId::SourceIps => return event.source_ips.iter().flatten().any(|address| visit(address)),
        FieldId::ServiceAccount => return event.service_account().is_some_and(|(namespace, name)| visit(&format!("{namespace}/{name}"))),
        FieldId::Id => {
            let id = candidate.id.to_string();
            return visit(&id) || visit(&format!("{}-{id}", candidate.seq));
        }
        FieldId::Annotation => event.annotation(key),
        FieldId::Level => event.level.as_deref(),
        FieldId::Stage => event.stage.as_deref(),
        FieldId::Verb => event.verb.as_deref(),
        FieldId::AuditId => event.audit_id.as_deref(),
        FieldId::RequestUri => event.request_uri.as_deref(),
        FieldId::Path => event.path(),
        FieldId::UserName => event.user.username.as_deref(),
        FieldId::UserUid => event.user.uid.as_deref(),
        FieldId::AsName => impersonated.and_then(|user| user.username.as_deref()),
        FieldId::AsUid => impersonated.and_then(|user| user.uid.as_deref()),
        FieldId::Constraint => event.authentication_metadata.as_ref().and_then(|metadata| metadata.impersonation_constraint.as_deref()),
        FieldId::Peer => event.peer(),
        FieldId::UserAgent => event.user_agent.as_deref(),
        FieldId::Tool => event.tool(),
        FieldId::Resource => object.and_then(|object| object.resource.as_deref()),
        FieldId::Subresource => object.and_then(|object| object.subresource.as_deref()),
        FieldId::Name => object.and_then(|object| object.name.as_deref()),
        FieldId::Namespace => object.and_then(|object| object.namespace.as_deref()),
        FieldId::ObjectUid => object.and_then(|object| object.uid.as_deref()),
        FieldId::ApiGroup => object.and_then(|object| object.api_group.as_deref()),
        FieldId::ApiVersion => object.and_then(|object| object.api_version.as_deref()),
        FieldId::ResourceVersion => object.and_then(|object| object.resource_version.as_deref()),
        FieldId::Reason => status.and_then(|status| status.reason.as_deref()),
        FieldId::Message => status.and_then(|status| status.message.as_deref()),
        FieldId::Status => status.and_then(|status| status.status.as_deref()),
        FieldId::Outcome => event.outcome().map(|outcome| outcome.as_str()),
        FieldId::VerbClass => event.verb_class().map(|class| class.as_str()),
        FieldId::UserType => event.user_type().map(|kind| kind.as_str()),
        FieldId::Cluster => Some(&*candidate.origin.cluster),
        FieldId::Source => Some(&*candidate.origin.source),
        FieldId::Sender => Some(&*candidate.origin.sender),
        FieldId::Object
        | FieldId::Code
        | FieldId::Details
        | FieldId::Request
        | FieldId::Response
        | FieldId::Raw
        | FieldId::Time
        | FieldId::Received
        | FieldId::Latency
        | FieldId::LatencyPart
        | FieldId::Final
        | FieldId::DryRun
        | FieldId::LongRunning
        | FieldId::Seq
        | FieldId::Ingested => None,
    };
    one.is_some_and(visit)
}

fn truth(id: FieldId, candidate: &Candidate<'_>) -> bool {
    match id {
        FieldId::Final => candidate.event.is_final(),
        FieldId::DryRun => candidate.event.is_dry_run(),
        _ => candidate.event.is_long_running(),
    }
}

fn number(id: FieldId, candidate: &Candidate<'_>) -> Option<i64> {
    if id == FieldId::Code { candidate.event.code().map(i64::from) } else { i64::try_from(candidate.seq).ok() }
}

fn time(id: FieldId, candidate: &Candidate<'_>) -> Option<Timestamp> {
    match id {
        FieldId::Time => Some(candidate.time),
        FieldId::Ingested => Some(candidate.ingested_at),
        _ => candidate.event.request_received_timestamp,
    }
}

fn duration(field: &Field, candidate: &Candidate<'_>) -> Option<i128> {
    let Tail::Key(part) = &field.tail else { return candidate.event.latency() };
    let annotations = candidate.event.annotations.as_ref()?;
    let named = |key: &str| key.strip_prefix(crate::event::LATENCY_ANNOTATION) == Some(part);
    annotations.iter().rev().find(|(key, _)| named(key)).and_then(|(_, value)| parse_duration(value))
}

fn object(test: &Test, candidate: &Candidate<'_>) -> bool {
    let Some(object) = &candidate.event.object_ref else { return false };
    let Some(resource) = object.resource.as_deref() else { return false };
    let Test::Object(wanted) = test else { return *test == Test::Present };
    wanted.is_kind(resource, object.api_group.as_deref().unwrap_or_default())
        && wanted.subresource.as_ref().is_none_or(|wanted| object.subresource.as_deref().is_some_and(|text| wanted.matches(text)))
        && wanted.name.as_ref().is_none_or(|wanted| candidate.event.object_name().is_some_and(|name| wanted.matches(&name)))
}

fn json(field: &Field, test: &Test, candidate: &Candidate<'_>) -> bool {
    with_body(field, candidate, |path, body| reaches(path, body, test)).unwrap_or(false)
}

/// Calls `look` with the field's path and the JSON it begins in, if that is there.
fn with_body<T>(field: &Field, candidate: &Candidate<'_>, look: impl FnOnce(&BodyPath, RawJson<'_>) -> T) -> Option<T> {
    let Tail::Path(path) = &field.tail else { return None };
    let whole_line = || RawJson::parse(candidate.line).ok();
    let body = match field.info.id {
        FieldId::Request => candidate.event.request_object,
        FieldId::Response => candidate.event.response_object,
        FieldId::Details => whole_line().and_then(|line| line.member("responseStatus")?.member("details")),
        _ => whole_line(),
    };
    body.map(|body| look(path, body))
}

fn reaches(path: &BodyPath, body: RawJson<'_>, test: &Test) -> bool {
    path.any(body, &mut |scalar| match test {
        Test::Json(JsonTest::Scalar { pattern, bare }) => scalar_is(pattern, *bare, scalar),
        Test::Json(JsonTest::Number(range)) => matches!(scalar, Scalar::Number(number) if number_in(range, number)),
        other => *other == Test::Present,
    })
}

fn scalar_is(pattern: &Pattern, bare: bool, scalar: Scalar<'_>) -> bool {
    match scalar {
        Scalar::String(text) => pattern.matches(text),
        Scalar::Nested => false,
        _ if !bare => false,
        Scalar::Bool(value) => pattern.matches(if value { "true" } else { "false" }) && !pattern.has_wildcard(),
        Scalar::Null => pattern.matches("null") && !pattern.has_wildcard(),
        Scalar::Number(number) => {
            let wanted = pattern.as_literal();
            wanted.is_some_and(|wanted| is_json_number(&wanted) && compare_numbers(number, &wanted) == Some(std::cmp::Ordering::Equal))
        }
    }
}

fn number_in(range: &NumberRange, number: &str) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let within = |bound: &Option<super::ast::NumberBound>, side| {
        bound.as_ref().is_none_or(|bound| match compare_numbers(number, &bound.text) {
            Some(Equal) => bound.inclusive,
            other => other == Some(side),
        })
    };
    within(&range.min, Greater) && within(&range.max, Less)
}

/// By value: whole numbers exactly, others as doubles.
fn compare_numbers(a: &str, b: &str) -> Option<std::cmp::Ordering> {
    if let (Ok(a), Ok(b)) = (a.parse::<i128>(), b.parse::<i128>()) {
        return Some(a.cmp(&b));
    }
    a.parse::<f64>().ok()?.partial_cmp(&b.parse::<f64>().ok()?)
}

/// Whether a scalar of the event, or a key inside a body, the annotations or an extra, has the text in it.
fn has_text(pattern: &Pattern, candidate: &Candidate<'_>) -> bool {
    let Ok(line) = RawJson::parse(candidate.line) else { return false };
    // Names of known members are decklog's words, not the event's: only keys below these count.
    let mut open: Vec<Keys> = Vec::new();
    let mut next = Keys::Known(Place::Event);
    for token in tokens(line) {
        let found = match token {
            Token::ObjectStart | Token::ArrayStart => {
                open.push(next);
                continue;
            }
            Token::ObjectEnd | Token::ArrayEnd => {
                open.pop();
                next = open.last().copied().unwrap_or(Keys::Known(Place::Event));
                continue;
            }
            Token::Key(key) => {
                let here = open.last().copied().unwrap_or(Keys::Known(Place::Event));
                next = here.below(&key);
                here == Keys::Free && pattern.matches(&key)
            }
            Token::String(text) => pattern.matches(&text),
            Token::Number(text) => pattern.matches(text),
            Token::Bool(value) => pattern.matches(if value { "true" } else { "false" }),
            Token::Null => false,
        };
        if found {
            return true;
        }
    }
    false
}

/// Whose words the keys of a JSON object are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Those of the audit API.
    Known(Place),
    /// The event's own.
    Free,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Event,
    User,
    Other,
}

impl Keys {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Free, _) | (Self::Known(Place::Event), "requestObject" | "responseObject" | "annotations") | (Self::Known(Place::User), "extra") => {
                Self::Free
            }
            (Self::Known(Place::Event), "user" | "impersonatedUser") => Self::Known(Place::User),
            _ => Self::Known(Place::Other),
        }
    }
}
