//! Whence a request says it comes: `sourceIPs`, of which only the last is not the client's to choose.
//!
//! Source of the behaviour: `SourceIPs` in `k8s.io/apimachinery/pkg/util/net/http.go` and `ParseIPSloppy` in
//! `k8s.io/utils/net` (as of Kubernetes 1.36).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};

/// The peer as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address and a port.
    Address(SocketAddr),
    /// Whatever stands in its place, such as the path of a Unix socket.
    Text(String),
}

impl Peer {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(unmapped(address.ip())),
            Self::Text(text) => split_port(text).and_then(parse).or_else(|| parse(text)),
        }
    }
}

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Addresses as events spell them.
#[derive(Debug)]
pub(crate) enum SourceIps {
    /// What most requests have: the peer, by IPv4. Its text, and how long it is.
    Peer([u8; 15], u8),
    /// One after the other, with commas between.
    Several(String),
}

impl SourceIps {
    /// Those that a request's headers and peer give.
    pub(crate) fn of(headers: &HeaderMap, peer: Option<&Peer>) -> Self {
        if !headers.contains_key(&FORWARDED_FOR)
            && !headers.contains_key(&REAL_IP)
            && let Some(IpAddr::V4(address)) = peer.and_then(Peer::address)
        {
            let (text, length) = v4_text(address);
            return Self::Peer(text, length);
        }
        Self::Several(source_ips(headers, peer).iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let text = match self {
            Self::Peer(text, length) => std::str::from_utf8(&text[..usize::from(*length)]).unwrap_or_default(),
            Self::Several(text) => text,
        };
        text.split(',').filter(|address| !address.is_empty())
    }
}

/// Without a formatter: this is on the way of every request.
fn v4_text(address: Ipv4Addr) -> ([u8; 15], u8) {
    let (mut text, mut at) = ([0; 15], 0);
    let mut push = |byte: u8| {
        text[at] = byte;
        at += 1;
    };
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    (text, at as u8)
}

/// X-Forwarded-For, X-Real-Ip, then the peer; of repeated headers the first.
fn source_ips(headers: &HeaderMap, peer: Option<&Peer>) -> Vec<IpAddr> {
    let header = |name: &HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut found = Vec::new();
    if let Some(chain) = header(&FORWARDED_FOR) {
        found.extend(chain.split(',').filter_map(|part| parse(part.trim())));
    }
    if let Some(address) = header(&REAL_IP).and_then(|text| parse(&text))
        && !found.contains(&address)
    {
        found.push(address);
    }
    if let Some(address) = peer.and_then(Peer::address)
        && found.last() != Some(&address)
    {
        found.push(address);
    }
    found
}

/// An IPv4 address may have leading zeros; one inside an IPv6 address is itself; zones are not taken.
fn parse(text: &str) -> Option<IpAddr> {
    match text.bytes().find(|byte| matches!(byte, b'.' | b':'))? {
        b'.' => parse_v4(text).map(IpAddr::V4),
        _ => {
            // The last 32 bits may be written as an IPv4 address.
            let (head, tail) = text.rsplit_once(':')?;
            if !tail.contains('.') {
                return text.parse::<Ipv6Addr>().ok().map(|address| unmapped(IpAddr::V6(address)));
            }
            let [a, b, c, d] = parse_v4(tail)?.octets();
            let whole = format!("{head}:{:x}:{:x}", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            whole.parse::<Ipv6Addr>().ok().map(|address| unmapped(IpAddr::V6(address)))
        }
    }
}

fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    }
    parts.next().is_none().then(|| octets.into())
}

fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The host of `host:port` or `[host]:port`, as Go's `net.SplitHostPort` finds it.
fn split_port(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return port.strip_prefix(':').is_some_and(|port| !port.contains([':', '[', ']'])).then_some(host);
    }
    let (host, _) = text.rsplit_once(':')?;
    (!host.contains([':', '[', ']'])).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(chain: Option<&str>, real: Option<&str>, peer: &str) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-forwarded-for", chain), ("x-real-ip", real)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        SourceIps::of(&headers, Some(&Peer::Text(peer.to_owned()))).iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn addresses_come_in_the_order_of_kube_apiserver() {
        for (chain, real, peer, want) in [
            (None, None, "192.0.2.9:40000", "192.0.2.9"),
            (Some("1.1.1.1, bad, 2.2.2.2"), Some("4.4.4.4"), "127.0.0.1:1", "1.1.1.1 2.2.2.2 4.4.4.4 127.0.0.1"),
            (Some("1.2.3.4, 5.5.5.5"), None, "1.2.3.4:9", "1.2.3.4 5.5.5.5 1.2.3.4"),
            (Some("5.6.7.8, 1.2.3.4"), None, "1.2.3.4:9", "5.6.7.8 1.2.3.4"),
            (Some("10.0.0.1:80"), Some("1.2.3.4"), "@", "1.2.3.4"),
            (Some("010.001.1.1, 256.1.1.1, 1.2.3, ::FFFF:010.0.0.1, fe80::1%eth0"), None, "[2001:db8::9]:5000", "10.1.1.1 10.0.0.1 2001:db8::9"),
            (None, Some("1.2.3.4, 5.6.7.8"), "[::ffff:192.0.2.9]:5", "192.0.2.9"),
            (None, None, "[fe80::1%eth0]:5000", ""),
            (None, None, "2001:db8::9", "2001:db8::9"),
            (None, None, "", ""),
        ] {
            assert_eq!(of(chain, real, peer), want, "{chain:?} {real:?} {peer}");
        }
    }

    proptest! {
        #[test]
        fn the_peers_address_is_spelled_as_addresses_are(octets: [u8; 4]) {
            let address = Ipv4Addr::from(octets);
            prop_assert_eq!(of(None, None, &format!("{address}:1")), address.to_string());
        }

        #[test]
        fn no_header_panics(chain in "[0-9a-f:., %\\[\\]]{0,80}", real in "[0-9a-f:.]{0,30}", peer in "[0-9a-f:.\\[\\]@]{0,30}") {
            of(Some(&chain), Some(&real), &peer);
        }
    }
}
