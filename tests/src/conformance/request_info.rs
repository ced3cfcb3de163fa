//! request-info.jsonl: what a request line means.

use decklog_audit::event::text_from_bytes;
use decklog_audit::policy::request_info::resolve;
use serde_json::Value;

use super::vectors::byte_string;

/// Plays one request line.
pub(super) fn play(vector: &Value) -> Result<(), String> {
    let (input, want) = (&vector["in"], &vector["want"]);
    let bytes = |name: &str| byte_string(&input[name]).ok_or_else(|| format!("the vector has no {name}"));
    let (method, target) = (bytes("method")?, bytes("target")?);
    let resolved = match (resolve(&method, &target), want["parseError"].as_str()) {
        (Err(_), Some(_)) => return Ok(()),
        (Ok(_), Some(error)) => return Err(format!("it was to be refused: {error}")),
        (Err(error), None) => return Err(format!("it is refused: {error}")),
        (Ok(resolved), None) => resolved,
    };
    let info = &resolved.info;
    let same = |name: &str, want: &Value, got: &str| {
        let wanted = byte_string(want).unwrap_or_default();
        let wanted = text_from_bytes(&wanted);
        if wanted == got { Ok(()) } else { Err(format!("{name}: wanted `{}`, got `{}`", wanted.escape_debug(), got.escape_debug())) }
    };
    for (name, got) in [
        ("path", &info.path),
        ("verb", &info.verb),
        ("apiPrefix", &info.api_prefix),
        ("apiGroup", &info.api_group),
        ("apiVersion", &info.api_version),
        ("namespace", &info.namespace),
        ("resource", &info.resource),
        ("subresource", &info.subresource),
        ("name", &info.name),
        ("fieldSelector", &info.field_selector),
        ("labelSelector", &info.label_selector),
    ] {
        same(name, &want["info"][name], got)?;
    }
    let parts = want["info"]["parts"].as_array().cloned().unwrap_or_default();
    if parts.len() != info.parts.len() {
        return Err(format!("parts: wanted {parts:?}, got {:?}", info.parts));
    }
    for (want, got) in parts.iter().zip(&info.parts) {
        same("a part", want, got)?;
    }
    if info.is_resource_request != (want["info"]["isResourceRequest"] == true) {
        return Err(format!("isResourceRequest: got {}", info.is_resource_request));
    }
    same("eventRequestURI", &want["eventRequestURI"], &resolved.event_request_uri)?;
    let error = resolved.error.as_ref().map(ToString::to_string);
    match (&error, want.get("error")) {
        (None, None) if want["longRunning"] == info.is_long_running() => Ok(()),
        (None, None) => Err(format!("longRunning: got {}", info.is_long_running())),
        (got, want) => same("error", want.unwrap_or(&Value::Null), got.as_deref().unwrap_or_default()),
    }
}
