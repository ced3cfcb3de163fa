//! A JSON object whose members are asked for by name many times: the envelopes that providers wrap events in.

use std::borrow::Cow;

use decklog_audit::json::{JsonKind, RawJson};

/// The members of one object, read in one pass; of a repeated name the last holds.
pub(super) struct Object<'a> {
    raw: RawJson<'a>,
    members: Vec<(Cow<'a, str>, RawJson<'a>)>,
}

impl<'a> Object<'a> {
    /// The members of `raw`, if it is an object.
    pub(super) fn of(raw: RawJson<'a>) -> Option<Self> {
        (raw.kind() == JsonKind::Object).then(|| Self { raw, members: raw.members().collect() })
    }

    /// The object as it came.
    pub(super) fn raw(&self) -> RawJson<'a> {
        self.raw
    }

    /// The member of that name, unless it is `null`.
    pub(super) fn get(&self, name: &str) -> Option<RawJson<'a>> {
        let value = self.members.iter().rev().find(|(key, _)| key == name)?.1;
        (value != RawJson::NULL).then_some(value)
    }

    /// Whether there is such a member, `null` or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(key, _)| key == name)
    }

    /// The string of that name.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.as_string()
    }

    /// The string of that name, unless it is empty.
    pub(super) fn word(&self, name: &str) -> Option<Cow<'a, str>> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// The object of that name.
    pub(super) fn object(&self, name: &str) -> Option<Object<'a>> {
        Self::of(self.get(name)?)
    }

    /// The array of that name.
    pub(super) fn array(&self, name: &str) -> Option<RawJson<'a>> {
        self.get(name).filter(|value| value.kind() == JsonKind::Array)
    }

    /// All members in order.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, RawJson<'a>)> {
        self.members.iter().map(|(key, value)| (&**key, *value))
    }
}
