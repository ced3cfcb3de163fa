//! How a request ended: `protoPayload.status` holds a code of google.rpc, of which several HTTP codes may have been
//! made; a body that is a `Status` holds the code itself.

use std::borrow::Cow;

use decklog_audit::Event;
use decklog_audit::event::Status;

use super::Target;
use crate::import::object::Object;

/// The HTTP code that stands for a code of google.rpc (`google/rpc/code.proto` names them), nothing for one that is
/// not known.
pub(super) fn http_code(code: u64, target: &Target) -> Option<i32> {
    Some(match code {
        0 if target.is_connection() => 101,
        0 if target.verb == "create" => 201,
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        2 | 13 | 15 => 500,
        14 => 503,
        16 => 401,
        _ => return None,
    })
}

/// The status that a response's body tells, if it is one and has a code.
pub(super) fn of_response<'a>(response: &Object<'a>) -> Option<Status<'a>> {
    let is_status = response.text("@type").is_some_and(|kind| kind == "core.k8s.io/v1.Status") || response.text("kind").is_some_and(|kind| kind == "Status");
    if !is_status {
        return None;
    }
    // The event's own decoder knows a status' fields.
    let json = format!("{{\"responseStatus\":{}}}", response.raw().as_str());
    let status = Event::decode(&json).ok()?.response_status?;
    let code = status.code.filter(|code| *code != 0)?;
    let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    Some(Status { status: own(status.status), message: own(status.message), reason: own(status.reason), code: Some(code), ..Status::default() })
}
