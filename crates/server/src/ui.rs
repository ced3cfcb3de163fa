//! The pages for browsers: files that `build.rs` put into the binary, and the headers that keep them harmless.
//!
//! The router asks [`answer`] before it asks for a credential: the files are the same for everybody and hold
//! nothing of the log. What a page shows it asks of `/api/v1` with the cookie of the printed link, like any
//! other client. `/` and the addresses of pages are a page only to those who ask for `text/html`; programs get
//! the list of paths there. How the pages are built is in `docs/ui.md`.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Request, header};

use crate::router::RouteLabel;

include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

/// One file of the pages.
pub(super) struct File {
    path: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

/// What a page may do: load its own files and ask its own server, and nothing else. Scripts cannot make markup of
/// text (Trusted Types with no policy), so a name in an event that reads like markup stays a name.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Where the page stands that every address of a page gets.
const INDEX: &str = "/index.html";

/// Shown where the binary was built without the pages.
const NO_PAGES: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>decklog</title>\
     <p>This decklog was built without its pages: <code>make build</code> builds them.\
     <p>The same questions are answered by <code>decklog search</code> and by <a href=\"/api/v1/events\">/api/v1/events</a>.\n";

/// The page or file, if the request asks for one.
pub(crate) fn answer(request: &Request<Body>) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path();
    let (label, file) = if path.starts_with("/assets/") {
        ("/assets/{file}", Some(find(path)?))
    } else if is_page(path) && wants_html(request.headers()) {
        (if path == "/" { "/" } else { "/{page}" }, find(INDEX))
    } else {
        return None;
    };
    let mut response = file.map_or_else(|| Response::new(Body::from(NO_PAGES)), |file| serve(file, request.headers()));
    let headers = response.headers_mut();
    if label == "/assets/{file}" {
        // The name carries the hash of the content.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    }
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.append(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    response.extensions_mut().insert(RouteLabel(label.to_owned()));
    Some(response)
}

/// The addresses that `ui/src/state/url.ts` knows.
fn is_page(path: &str) -> bool {
    matches!(path, "/" | "/search" | "/policy") || path.strip_prefix("/event/").is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// Browsers name `text/html` when they open a page; programs and the pages' own requests do not.
fn wants_html(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|part| {
        let mut pieces = part.split(';').map(str::trim);
        let is_html = pieces.next().is_some_and(|media| media.eq_ignore_ascii_case("text/html"));
        is_html && !pieces.any(is_weight_of_nothing)
    })
}

/// `q=0`, with which a client says "not this one" (RFC 9110, 12.4.2).
fn is_weight_of_nothing(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, weight)| name.eq_ignore_ascii_case("q") && weight.parse() == Ok(0.0))
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// The file in the smallest form that the client takes.
fn serve(file: &File, headers: &HeaderMap) -> Response {
    let (body, encoding) = match (file.brotli, file.gzip) {
        (Some(brotli), _) if takes(headers, "br") => (brotli, Some("br")),
        (_, Some(gzip)) if takes(headers, "gzip") => (gzip, Some("gzip")),
        _ => (file.plain, None),
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(file.path)));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn takes(headers: &HeaderMap, encoding: &str) -> bool {
    let offered = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|part| {
        let mut pieces = part.split(';').map(str::trim);
        pieces.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding)) && !pieces.any(is_weight_of_nothing)
    })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Response> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(&request.body(Body::empty()).unwrap())
    }

    const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

    #[test]
    fn browsers_get_a_page_and_programs_do_not() {
        for path in ["/", "/search", "/policy", "/search?f=user:bob", "/event/12-00ff"] {
            let response = ask("GET", path, &[BROWSER]).unwrap();
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8", "{path}");
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert!(ask("GET", path, &[("accept", "*/*")]).is_none(), "{path}");
            assert!(ask("GET", path, &[("accept", "application/json, text/html;q=0")]).is_none(), "{path}");
            assert!(ask("GET", path, &[]).is_none(), "{path}");
            assert!(ask("POST", path, &[BROWSER]).is_none(), "{path}");
        }
        for path in ["/api/v1/events", "/metrics", "/event/", "/event/a/b", "/search/x", "/assets/none.js", "/assets/../index.html"] {
            assert!(ask("GET", path, &[BROWSER]).is_none(), "{path}");
        }
    }

    #[test]
    fn pages_may_do_nothing_beyond_this_server() {
        let response = ask("GET", "/", &[BROWSER]).unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        for part in [
            "default-src 'self';",
            "object-src 'none';",
            "base-uri 'none';",
            "form-action 'self';",
            "frame-ancestors 'none';",
            "require-trusted-types-for 'script';",
            "trusted-types 'none'",
        ] {
            assert!(policy.contains(part), "{part} is not in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    }

    #[test]
    fn files_come_in_the_smallest_form_that_is_taken() {
        static PACKED: File = File { path: "/assets/a.js", plain: b"plain", gzip: Some(b"gzip"), brotli: Some(b"br") };
        for (offered, expected) in [("gzip, deflate, br", Some("br")), ("gzip;q=1.0, br;q=0", Some("gzip")), ("identity", None), ("", None)] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(offered))]);
            let response = serve(&PACKED, &headers);
            assert_eq!(response.headers().get("content-encoding").map(|value| value.to_str().unwrap()), expected, "{offered}");
            assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
        }
    }
}
