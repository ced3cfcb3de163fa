//! Beside kube-apiserver's own answers, which the conformance run plays.

use proptest::prelude::*;

use super::*;

#[test]
fn a_recorded_event_says_what_its_request_was() {
    let info = of_event("/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dx&watch=true", "watch");
    assert_eq!((info.verb.as_ref(), info.namespace.as_ref(), info.resource.as_ref(), info.name.as_ref()), ("watch", "a", "pods", "x"));
    assert!(info.is_resource_request && info.is_long_running());
    let info = of_event("/api/v1/watch/pods", "watch");
    assert_eq!((info.verb.as_ref(), info.resource.as_ref()), ("watch", "pods"));
    let info = of_event("/apis/apps/v1/namespaces/a/deployments/web/scale", "");
    assert_eq!((info.verb.as_ref(), info.subresource.as_ref()), ("", "scale"));
    let info = of_event("%zz?x", "get");
    assert_eq!((info.path.as_ref(), info.is_resource_request), ("%zz", false));
    assert_eq!(of_event("/healthz?verbose", "head").path, "/healthz");
}

#[test]
fn a_name_is_pinned_only_for_what_was_a_get() {
    let name = |method: &str| {
        let target = b"/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dx";
        resolve(method.as_bytes(), target).unwrap().info.name.into_owned()
    };
    assert_eq!((name("GET").as_str(), name("HEAD").as_str(), name("DELETE").as_str()), ("x", "x", ""));
}

proptest! {
    #[test]
    fn no_request_line_panics(method in prop::collection::vec(any::<u8>(), 0..8), target in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = resolve(&method, &target);
        let _ = resolve(b"GET", &target);
        let _ = resolve(b"CONNECT", &target);
    }

    #[test]
    fn no_query_panics(target in "(http:)?/{1,2}(api|apis|x)(/[a-z%0-9]{0,4}){0,6}[?](watch|fieldSelector|labelSelector|limit)=[a-z=!,()/\\\\ %0-9.]{0,20}") {
        if let Ok(resolved) = resolve(b"GET", target.as_bytes()) {
            // Whatever an event holds can be read again, and says the same path.
            let again = of_event(&resolved.event_request_uri, &resolved.info.verb);
            // An empty path is written as a slash.
            if resolved.error.is_none() && !resolved.info.path.is_empty() && !resolved.event_request_uri.starts_with("//") {
                prop_assert_eq!(again.path, resolved.info.path);
            }
        }
    }
}
