//! Parts cut out of a line or a body, the rest byte for byte as it was.

use std::ops::Range;

use crate::json::{JsonKind, JsonText, RawJson};

/// What goes, and what comes in its place.
pub(crate) type Edit = (Range<usize>, &'static str);

/// Where `part` lies in `line`, if it is a piece of it.
pub(crate) fn place(line: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
    let range = start..start.checked_add(part.len())?;
    (line.get(range.clone()) == Some(part)).then_some(range)
}

/// A member with the comma that belongs to it.
pub(crate) fn member(line: &str, name: &str, value: RawJson<'_>) -> Option<Range<usize>> {
    let value = place(line, value.as_str())?;
    let before = line[..value.start].strip_suffix("\":")?.strip_suffix(name)?.strip_suffix('"')?;
    match before.strip_suffix(',') {
        Some(before) => Some(before.len()..value.end),
        None => Some(before.len()..value.end + usize::from(line[value.end..].starts_with(','))),
    }
}

/// As `k8s.io/apiserver/pkg/audit/request.go` leaves them out: of the object, of a list's items, of a table's rows.
pub(crate) fn managed_fields(line: &str, body: RawJson<'_>, edits: &mut Vec<Edit>) -> Option<()> {
    let mut objects = vec![body];
    for item in body.member("items").into_iter().flat_map(RawJson::elements) {
        objects.push(item);
    }
    for row in body.member("rows").into_iter().flat_map(RawJson::elements) {
        objects.extend(row.member("object"));
    }
    for object in objects.into_iter().filter(|object| object.kind() == JsonKind::Object) {
        if let Some(fields) = object.member("metadata").and_then(|metadata| metadata.member("managedFields")) {
            edits.push((member(line, "managedFields", fields)?, ""));
        }
    }
    Some(())
}

pub(crate) fn apply(line: &str, edits: Vec<Edit>) -> String {
    let mut text = String::with_capacity(line.len());
    let mut at = 0;
    for (range, replacement) in edits {
        text.push_str(line.get(at..range.start).unwrap_or_default());
        text.push_str(replacement);
        at = at.max(range.end);
    }
    text.push_str(&line[at..]);
    text
}

/// A body without `metadata.managedFields`: that of the object, of a list's items, of a table's rows. Nothing where it has none.
///
/// Source of the behaviour: `copyWithoutManagedFields` in `k8s.io/apiserver/pkg/audit/request.go` (v0.36.3).
pub fn without_managed_fields(body: RawJson<'_>) -> Option<JsonText> {
    if !body.as_str().contains("\"managedFields\"") {
        return None;
    }
    // Only in compact text is the comma of a member next to it.
    let compact = body.compact();
    let mut edits = Vec::new();
    managed_fields(&compact, RawJson::parse(&compact).ok()?, &mut edits)?;
    edits.sort_by_key(|(range, _)| range.start);
    let cut = apply(&compact, edits);
    RawJson::parse(&cut).ok().map(JsonText::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_fields_go_and_nothing_else() {
        let cut = |text: &str| without_managed_fields(RawJson::parse(text).unwrap()).map(|json| json.as_raw().as_str().to_owned());
        assert_eq!(cut(r#"{"metadata":{"name":"a"}}"#), None);
        assert_eq!(cut(r#"{ "metadata" : { "managedFields" : [ {"x":1} ] , "name" : "a" } }"#).unwrap(), r#"{"metadata":{"name":"a"}}"#);
        assert_eq!(cut(r#"{"metadata":{"managedFields":null}}"#).unwrap(), r#"{"metadata":{}}"#);
        let list = r#"{"items":[{"metadata":{"name":"a","managedFields":[]}},{"data":{"managedFields":"kept"}}],"metadata":{}}"#;
        assert_eq!(cut(list).unwrap(), r#"{"items":[{"metadata":{"name":"a"}},{"data":{"managedFields":"kept"}}],"metadata":{}}"#);
        let table = r#"{"kind":"Table","rows":[{"cells":[],"object":{"metadata":{"managedFields":[1]}}}]}"#;
        assert_eq!(cut(table).unwrap(), r#"{"kind":"Table","rows":[{"cells":[],"object":{"metadata":{}}}]}"#);
    }
}
