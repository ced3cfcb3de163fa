//! The object that a request's URI names, as kube-apiserver reads it.
//!
//! Source of the behaviour: `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go` (v0.36.3).

use std::borrow::Cow;

use decklog_audit::event::ObjectReference;

/// Subresources that a namespace has itself.
const OF_NAMESPACES: [&str; 2] = ["status", "finalize"];

/// The object of a request with this URI and verb; nothing for URIs outside the API's resources.
pub(super) fn object_of(uri: &str, verb: &str) -> Option<ObjectReference<'static>> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = percent_decoded(path);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, mut rest) = match &parts[..] {
        ["api", version, rest @ ..] => (None, *version, rest),
        ["apis", group, version, rest @ ..] => (Some(*group), *version, rest),
        _ => return None,
    };
    // Old spellings of a watch and a proxied request.
    if let ["watch" | "proxy", inner @ ..] = rest {
        rest = inner;
    }
    let mut object = ObjectReference { api_group: group.map(owned), api_version: Some(owned(version)), ..ObjectReference::default() };
    if let ["namespaces", namespace, inner @ ..] = rest {
        object.namespace = Some(owned(namespace));
        if inner.first().is_some_and(|first| !OF_NAMESPACES.contains(first)) {
            rest = inner;
        }
    }
    let mut rest = rest.iter().map(|part| owned(part));
    (object.resource, object.name, object.subresource) = (Some(rest.next()?), rest.next(), rest.next());
    if object.name.is_none() && matches!(verb, "list" | "watch" | "deletecollection") {
        object.name = selected_name(query);
    }
    Some(object)
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

/// The name that a field selector pins.
fn selected_name(query: &str) -> Option<Cow<'static, str>> {
    let selector = query.split('&').find_map(|parameter| parameter.strip_prefix("fieldSelector="))?;
    let selector = percent_decoded(selector);
    let name = selector.split(',').find_map(|term| term.strip_prefix("metadata.name=").map(|name| name.trim_start_matches('=')))?;
    let plain = !name.is_empty() && !name.contains(['/', '%', '\\']) && name != "." && name != "..";
    plain.then(|| owned(name))
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape() {
        for (verb, uri, expected) in [
            ("list", "/api/v1/pods?limit=500", "- v1 - pods - -"),
            ("get", "/api/v1/namespaces/foo", "- v1 foo namespaces foo -"),
            ("update", "/api/v1/namespaces/foo/finalize", "- v1 foo namespaces foo finalize"),
            ("list", "/api/v1/namespaces/foo/pods", "- v1 foo pods - -"),
            ("create", "/api/v1/namespaces/foo/pods/web/exec?command=ls", "- v1 foo pods web exec"),
            ("get", "/api/v1/namespaces/foo/services/web/proxy/a/b", "- v1 foo services web proxy"),
            ("watch", "/apis/apps/v1/deployments?fieldSelector=metadata.name%3Dweb&watch=true", "apps v1 - deployments web -"),
            ("watch", "/api/v1/watch/namespaces/foo/pods", "- v1 foo pods - -"),
            ("get", "/api/v1/namespaces/foo/pods/a%2Db", "- v1 foo pods a-b -"),
        ] {
            let object = object_of(uri, verb).unwrap();
            let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
            let parts = [&object.api_group, &object.api_version, &object.namespace, &object.resource, &object.name, &object.subresource].map(text);
            assert_eq!(parts.join(" "), expected, "{uri}");
        }
        for uri in ["/healthz", "/", "", "/api", "/apis/apps", "/api/v1", "/apis/apps/v1", "/openapi/v3", "/metrics?x=/api/v1/pods"] {
            assert_eq!(object_of(uri, "get"), None, "{uri}");
        }
    }
}
