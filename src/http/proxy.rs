//! Who asks, by which scheme and host: the connection says so, and a trusted
//! proxy's X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239 §4), say it better.

use std::net::IpAddr;

use super::address::{Network, is_loopback};
use super::forwarded::{Hop, address, hops};
use crate::dav::Headers;

/// Where a request comes from, as far as the connection knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The address at the other end; none on a Unix socket.
    pub(super) address: Option<IpAddr>,
    /// Whether the connection speaks TLS.
    pub(super) tls: bool,
}

/// Where a request comes from, as far as we believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// The client's address, if known.
    pub(super) address: Option<IpAddr>,
    /// Whether nobody on the way can listen.
    pub(super) secure: bool,
    /// `http` or `https`, as the client sees it.
    pub(super) scheme: &'static str,
    /// Host and port, as the client sees them.
    pub(super) host: String,
}

/// The client of a request. From a proxy that is not trusted nothing is
/// believed. Of a chain of addresses the last one that is no trusted proxy is
/// the client: what stands before it is the client's own word.
pub(super) fn client(origin: Origin, headers: &Headers, host: &str, trusted: &[Network]) -> Client {
    let trusts = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let direct = Client {
        address: origin.address,
        secure: origin.tls || origin.address.is_none_or(is_loopback),
        scheme: if origin.tls { "https" } else { "http" },
        host: host.to_owned(),
    };
    if !origin.address.is_none_or(trusts) {
        return direct;
    }
    let said = said(headers, trusts);
    let scheme = match said.proto.as_deref() {
        Some("https") => "https",
        Some("http") => "http",
        _ => direct.scheme,
    };
    Client {
        address: said.address.or(direct.address),
        // A declared proxy is enough, unless it says itself that its client
        // came over clear text from elsewhere.
        secure: said.proto.as_deref() != Some("http") || said.address.is_none_or(is_loopback),
        scheme,
        host: said.host.unwrap_or(direct.host),
    }
}

/// What trusted proxies say about their client: by X-Forwarded-For, -Proto and -Host, or else by
/// Forwarded. Not by both: a proxy that writes the one passes on the other as its client wrote it.
fn said(headers: &Headers, trusts: impl Fn(IpAddr) -> bool) -> Hop {
    let addresses = headers.list("x-forwarded-for");
    let proto = headers.get("x-forwarded-proto").map(last);
    let host = headers.get("x-forwarded-host").map(last);
    if addresses.is_none() && proto.is_none() && host.is_none() {
        let hops = hops(&headers.list("forwarded").unwrap_or_default());
        return first_trusted(hops, trusts);
    }
    let addresses = addresses.unwrap_or_default();
    let hops = addresses.split(',').map(|text| Hop {
        address: address(text.trim()),
        ..Hop::default()
    });
    Hop {
        address: first_trusted(hops.collect(), trusts).address,
        proto: proto.map(str::to_ascii_lowercase),
        host: host.map(str::to_owned),
    }
}

/// The hop into the first of the trusted proxies: the last one from an address that is not trusted.
fn first_trusted(mut hops: Vec<Hop>, trusts: impl Fn(IpAddr) -> bool) -> Hop {
    let mut first = hops.pop().unwrap_or_default();
    while first.address.is_some_and(&trusts) {
        match hops.pop() {
            Some(hop) if hop.address.is_some() => first = hop,
            _ => break,
        }
    }
    first
}

fn last(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or(list).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(from: Option<&str>, tls: bool, fields: &[(&str, &str)]) -> Client {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(*name, *value);
        }
        let origin = Origin {
            address: from.map(|text| text.parse().unwrap()),
            tls,
        };
        client(
            origin,
            &headers,
            "cal.example",
            &["10.0.0.0/8".parse().unwrap()],
        )
    }

    const FORWARDED: &[(&str, &str)] = &[
        ("X-Forwarded-For", "203.0.113.9, 198.51.100.7, 10.0.0.2"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "outside.example"),
    ];

    #[test]
    fn a_stranger_is_not_believed() {
        let client = ask(Some("192.0.2.1"), false, FORWARDED);
        assert_eq!(client.address, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(
            (client.secure, client.scheme, client.host.as_str()),
            (false, "http", "cal.example")
        );
        let local = ask(Some("127.0.0.1"), false, FORWARDED);
        assert_eq!(
            local.address,
            Some("127.0.0.1".parse().unwrap()),
            "loopback is no trusted proxy by itself"
        );
    }

    #[test]
    fn a_trusted_proxy_is_believed_up_to_the_last_address_it_can_know() {
        for from in [Some("10.0.0.1"), None] {
            let client = ask(from, false, FORWARDED);
            assert_eq!(client.address, Some("198.51.100.7".parse().unwrap()));
            assert_eq!(
                (client.secure, client.scheme, client.host.as_str()),
                (true, "https", "outside.example")
            );
        }
        let client = ask(
            Some("10.0.0.1"),
            false,
            &[("X-Forwarded-For", "[2001:db8::1]:4711")],
        );
        assert_eq!(client.address, Some("2001:db8::1".parse().unwrap()));
        let client = ask(
            Some("10.0.0.1"),
            false,
            &[("X-Forwarded-For", "unknown, 198.51.100.7")],
        );
        assert_eq!(client.address, Some("198.51.100.7".parse().unwrap()));
        let client = ask(
            Some("10.0.0.1"),
            false,
            &[("X-Forwarded-For", "198.51.100.7, unknown")],
        );
        assert_eq!(client.address, Some("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn forwarded_is_believed_where_nothing_else_is_said() {
        let field = "for=203.0.113.9;proto=http;host=spoofed.example, \
            for=198.51.100.7;proto=https;host=outside.example, for=10.0.0.2;proto=http";
        let client = ask(Some("10.0.0.1"), false, &[("Forwarded", field)]);
        assert_eq!(client.address, Some("198.51.100.7".parse().unwrap()));
        assert_eq!(
            (client.secure, client.scheme, client.host.as_str()),
            (true, "https", "outside.example")
        );
        let clear = "for=198.51.100.7;proto=http";
        assert!(!ask(Some("10.0.0.1"), false, &[("Forwarded", clear)]).secure);
        let unknown = ask(Some("10.0.0.1"), false, &[("Forwarded", "proto=https")]);
        assert_eq!(
            (unknown.address, unknown.scheme),
            (Some("10.0.0.1".parse().unwrap()), "https")
        );
        let stranger = ask(Some("192.0.2.1"), false, &[("Forwarded", field)]);
        assert_eq!(stranger.address, Some("192.0.2.1".parse().unwrap()));
        let spoofed = [("Forwarded", field), ("X-Forwarded-For", "203.0.113.50")];
        let client = ask(Some("10.0.0.1"), false, &spoofed);
        assert_eq!(client.address, Some("203.0.113.50".parse().unwrap()));
        assert_eq!(client.host, "cal.example");
    }

    #[test]
    fn passwords_may_come_over_tls_loopback_sockets_and_trusted_proxies() {
        for (from, tls, fields, secure) in [
            (Some("192.0.2.1"), true, &[][..], true),
            (Some("192.0.2.1"), false, &[], false),
            (Some("127.0.0.1"), false, &[], true),
            (Some("::1"), false, &[], true),
            (Some("::ffff:127.0.0.1"), false, &[], true),
            (None, false, &[], true),
            (Some("10.0.0.1"), false, &[], true),
            (
                Some("10.0.0.1"),
                false,
                &[
                    ("X-Forwarded-Proto", "http"),
                    ("X-Forwarded-For", "198.51.100.7"),
                ],
                false,
            ),
            (
                None,
                false,
                &[
                    ("X-Forwarded-Proto", "http"),
                    ("X-Forwarded-For", "198.51.100.7"),
                ],
                false,
            ),
        ] {
            assert_eq!(
                ask(from, tls, fields).secure,
                secure,
                "{from:?} {tls} {fields:?}"
            );
        }
    }
}
