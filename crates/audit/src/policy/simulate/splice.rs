//! A recorded event's line as it would be at another level: bodies cut out, the level's word exchanged, the rest byte for
//! byte as it was. A line that kube-apiserver did not write (white space, odd escapes) is written anew instead.

use std::borrow::Cow;

use crate::event::cut::{Edit, apply, managed_fields, member, place};
use crate::event::{Event, Level, write_log_line};

/// Annotations that only levels with the request's body have
/// (`k8s.io/apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go`).
const PATCH_ANNOTATIONS: &str = "patch.webhook.admission.k8s.io/";

/// `line` at `level`.
pub(super) fn at_level<'l>(event: &Event<'_>, line: &'l str, level: Level, omit_managed_fields: bool) -> Cow<'l, str> {
    let annotated = level < Level::Request && event.annotations.iter().flatten().any(|(key, _)| key.starts_with(PATCH_ANNOTATIONS));
    match edits(event, line, level, omit_managed_fields) {
        Some(edits) if !annotated && edits.is_empty() => Cow::Borrowed(line),
        Some(edits) if !annotated => Cow::Owned(apply(line, edits)),
        _ => Cow::Owned(rewritten(event, level)),
    }
}

/// Nothing where the line is not spelled as expected.
fn edits(event: &Event<'_>, line: &str, level: Level, omit_managed_fields: bool) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    let word = event.level.as_deref()?;
    if word != level.as_str() {
        edits.push((place(line, word)?, level.as_str()));
    }
    for (name, body, from) in [("requestObject", event.request_object, Level::Request), ("responseObject", event.response_object, Level::RequestResponse)] {
        let Some(body) = body else { continue };
        if level < from {
            edits.push((member(line, name, body)?, ""));
        } else if omit_managed_fields && body.as_str().contains("\"managedFields\"") {
            managed_fields(line, body, &mut edits)?;
        }
    }
    edits.sort_by_key(|(range, _)| range.start);
    Some(edits)
}

fn rewritten(event: &Event<'_>, level: Level) -> String {
    let mut event = event.clone();
    event.level = Some(Cow::Borrowed(level.as_str()));
    if level < Level::RequestResponse {
        event.response_object = None;
    }
    if level < Level::Request {
        event.request_object = None;
        if let Some(annotations) = &mut event.annotations {
            annotations.retain(|(key, _)| !key.starts_with(PATCH_ANNOTATIONS));
        }
    }
    let mut bytes = Vec::new();
    match write_log_line(&event, &mut bytes) {
        Ok(()) => {}
        Err(error) => match error {},
    }
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// kube-apiserver wrote these lines, so that cutting them must give what writing them anew gives.
    #[test]
    fn a_cut_line_is_the_line_written_anew() {
        let mut n_cut = 0;
        for name in ["a-all-rr", "attack", "benign"] {
            let path = format!("{}/../../tests/data/{name}/audit.log.zst", env!("CARGO_MANIFEST_DIR"));
            let text = String::from_utf8(zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap();
            for line in text.lines() {
                let event = Event::decode(line).unwrap();
                for level in [Level::Metadata, Level::Request, Level::RequestResponse] {
                    let cut = at_level(&event, line, level, false);
                    n_cut += usize::from(cut.len() < line.len());
                    assert_eq!(cut, rewritten(&event, level), "{level:?}");
                }
            }
        }
        assert!(n_cut > 1000);
    }
}
