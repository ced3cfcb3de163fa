//! Whether a request without credentials may come in: the loopback door and its lock against browsers.
//!
//! A page in a browser can make the browser speak to 127.0.0.1. Two ways are shut: by DNS rebinding the
//! browser sends the page's own name as `Host`; any other way it sends `Origin` or `Sec-Fetch-…`, which a
//! page cannot leave out. A reverse proxy on the same machine would let the whole world in as loopback:
//! what it passes on carries a forwarding header, and is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{self, HeaderMap};
use http::uri::Uri;

use super::Transport;

const SITE: &str = "sec-fetch-site";
const FORWARDING: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Why the door stays shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shut {
    /// The peer is another machine.
    #[error("only requests from this machine need no credential")]
    Remote,
    /// `Host` is missing, stands more than once, or names something else than this machine.
    #[error("the Host header is not an address of this machine, such as `127.0.0.1` or `localhost`")]
    Host,
    /// A browser asks.
    #[error("browsers need the link that `decklog serve` prints when it starts")]
    Browser,
    /// It came through a proxy.
    #[error("the request came through a proxy, so it needs a credential")]
    Forwarded,
}

/// Decides on a request that brings no credential.
pub(super) fn open(peer: IpAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), Shut> {
    local(peer, uri, headers)?;
    let fetch = headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"));
    if fetch || headers.contains_key(header::ORIGIN) {
        return Err(Shut::Browser);
    }
    Ok(())
}

/// Decides on a request that brings the cookie: the same, but a browser may ask if the page is our own.
pub(super) fn open_with_cookie(peer: IpAddr, transport: Transport, uri: &Uri, headers: &HeaderMap, safe_method: bool) -> Result<(), Shut> {
    local(peer, uri, headers)?;
    own_page(transport, headers, safe_method)?;
    let caller_is_known = headers.contains_key(header::ORIGIN) || headers.contains_key(SITE);
    if safe_method || caller_is_known { Ok(()) } else { Err(Shut::Browser) }
}

/// Whether no page but our own caused the request. A browser adds cookie and client certificate by itself, whichever page
/// asks. `SameSite` alone is not enough for the cookie, since another port of 127.0.0.1 is the same site.
pub(super) fn own_page(transport: Transport, headers: &HeaderMap, safe_method: bool) -> Result<(), Shut> {
    let host = headers.get(header::HOST).map(|host| host.as_bytes()).unwrap_or_default();
    let own_origin = [transport.scheme().as_bytes(), b"://", host].concat();
    let origin_is_ours = headers.get_all(header::ORIGIN).iter().all(|origin| origin.as_bytes().eq_ignore_ascii_case(&own_origin));
    // `none` is a page the user opened by typing or from a bookmark: no other page caused it.
    let site_is_ours = headers.get_all(SITE).iter().all(|site| *site == "same-origin" || (safe_method && *site == "none"));
    if origin_is_ours && site_is_ours { Ok(()) } else { Err(Shut::Browser) }
}

/// Whether peer, `Host` and request target are all of this machine, with no proxy between.
pub(super) fn local(peer: IpAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), Shut> {
    if !peer.to_canonical().is_loopback() {
        return Err(Shut::Remote);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() || !host.is_some_and(is_loopback_host) {
        return Err(Shut::Host);
    }
    // A target in absolute form (`GET http://name/ HTTP/1.1`) takes the place of Host (RFC 9112, 3.2.2).
    if uri.authority().is_some_and(|authority| !is_loopback_host(authority.as_str())) {
        return Err(Shut::Host);
    }
    if FORWARDING.iter().any(|name| headers.contains_key(*name)) {
        return Err(Shut::Forwarded);
    }
    Ok(())
}

/// Whether `host`, with or without a port, is in 127.0.0.0/8, `[::1]` or `localhost`.
pub(super) fn is_loopback_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| address.parse() == Ok(Ipv6Addr::LOCALHOST) && is_port(port));
    }
    let name_end = host.find(':').unwrap_or(host.len());
    let (name, port) = host.split_at(name_end);
    let is_local = name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    is_local && is_port(port)
}

/// Nothing, or a colon and a port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(peer: &str, target: &str, headers: &[(&str, &str)]) -> (IpAddr, Uri, HeaderMap) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        (peer.parse().unwrap(), target.parse().unwrap(), map)
    }

    fn check(peer: &str, target: &str, headers: &[(&str, &str)], expected: Result<(), Shut>) {
        let (peer, uri, headers) = request(peer, target, headers);
        assert_eq!(open(peer, &uri, &headers), expected, "{peer} {uri} {headers:?}");
    }

    #[test]
    fn this_machine_comes_in() {
        for host in ["127.0.0.1", "127.0.0.1:7080", "127.8.9.10:1", "localhost", "LocalHost:7080", "[::1]", "[::1]:7080"] {
            check("127.0.0.1", "/", &[("host", host)], Ok(()));
        }
        check("::1", "/", &[("host", "[::1]:7080")], Ok(()));
        check("::ffff:127.0.0.1", "/", &[("host", "127.0.0.1")], Ok(()));
        check("127.0.0.1", "http://127.0.0.1:7080/", &[("host", "127.0.0.1:7080")], Ok(()));
    }

    #[test]
    fn other_names_and_machines_do_not() {
        for host in [
            "evil.example",
            "evil.example:7080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost.",
            "0.0.0.0",
            "127.1",
            "0177.0.0.1",
            "2130706433",
            "[::]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "127.0.0.1:",
            "127.0.0.1:99999",
            "127.0.0.1:7080:7080",
            "user@127.0.0.1",
            "",
            "10.0.0.1",
            "[::ffff:127.0.0.1]",
        ] {
            check("127.0.0.1", "/", &[("host", host)], Err(Shut::Host));
        }
        check("127.0.0.1", "/", &[], Err(Shut::Host));
        check("127.0.0.1", "/", &[("host", "127.0.0.1"), ("host", "127.0.0.1")], Err(Shut::Host));
        check("127.0.0.1", "http://evil.example/", &[("host", "127.0.0.1")], Err(Shut::Host));
        check("10.0.0.7", "/", &[("host", "127.0.0.1")], Err(Shut::Remote));
        check("::ffff:10.0.0.7", "/", &[("host", "127.0.0.1")], Err(Shut::Remote));
    }

    #[test]
    fn browsers_and_proxies_do_not() {
        for name in ["origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "Sec-Fetch-User"] {
            check("127.0.0.1", "/", &[("host", "127.0.0.1:7080"), (name, "none")], Err(Shut::Browser));
        }
        check("127.0.0.1", "/", &[("host", "127.0.0.1:7080"), ("origin", "http://127.0.0.1:7080")], Err(Shut::Browser));
        for name in FORWARDING {
            check("127.0.0.1", "/", &[("host", "127.0.0.1:7080"), (name, "x")], Err(Shut::Forwarded));
        }
    }

    #[test]
    fn the_cookie_is_for_our_own_pages() {
        let check = |headers: &[(&str, &str)], safe_method, expected| {
            let headers = [&[("host", "127.0.0.1:7080")], headers].concat();
            let (peer, uri, headers) = request("127.0.0.1", "/", &headers);
            assert_eq!(open_with_cookie(peer, Transport::Clear, &uri, &headers, safe_method).is_ok(), expected, "{headers:?}");
        };
        check(&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")], true, true);
        check(&[("sec-fetch-site", "same-origin")], true, true);
        check(&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:7080")], false, true);
        check(&[], true, true);
        check(&[], false, false);
        check(&[("sec-fetch-site", "none")], false, false);
        check(&[("sec-fetch-site", "same-site")], true, false); // another port of this machine
        check(&[("sec-fetch-site", "cross-site")], true, false);
        check(&[("origin", "http://127.0.0.1:3000")], true, false);
        check(&[("origin", "null")], true, false);
        check(&[("origin", "http://127.0.0.1:7080"), ("origin", "http://evil.example")], false, false);
    }

    proptest! {
        #[test]
        fn no_other_name_is_loopback(host in "[a-z0-9.:\\[\\]-]{0,30}") {
            if is_loopback_host(&host) {
                prop_assert!(host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]") || host.starts_with("[0"));
            }
        }
    }
}
