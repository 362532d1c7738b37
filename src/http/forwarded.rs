//! The Forwarded field of proxies. RFC 7239 §4
//!
//! **Gaps**: extension parameters and `by` are read over.

use std::net::IpAddr;

/// What one proxy says about the request it passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// The address it came from; none where the proxy does not say.
    pub(super) address: Option<IpAddr>,
    /// The scheme, in lower case.
    pub(super) proto: Option<String>,
    /// The Host field.
    pub(super) host: Option<String>,
}

/// The proxies a request came through, the last one last; nothing where the list cannot be read.
pub(super) fn hops(list: &str) -> Vec<Hop> {
    let mut hops = Vec::new();
    let mut hop = Hop::default();
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some((name, after)) = rest.split_once('=')
            && is_token(name)
        {
            let Some((value, after)) = value(after) else {
                return Vec::new();
            };
            match name.to_ascii_lowercase().as_str() {
                "for" => hop.address = address(&value),
                "proto" => hop.proto = Some(value.to_ascii_lowercase()),
                "host" => hop.host = Some(value),
                _ => {}
            }
            rest = after.trim_start_matches([' ', '\t']);
        }
        match rest.split_at_checked(1) {
            None => break,
            Some((";", after)) => rest = after,
            Some((",", after)) => {
                hops.push(std::mem::take(&mut hop));
                rest = after;
            }
            Some(_) => return Vec::new(),
        }
    }
    hops.push(hop);
    hops
}

fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

/// A token or a quoted string, and what comes after it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end)?;
        return Some((value.to_owned(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

/// An address, also with a port or in brackets.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .trim_start_matches('[')
        .split(']')
        .next()
        .unwrap_or(text);
    bare.parse().ok().or_else(|| {
        text.parse::<std::net::SocketAddr>()
            .ok()
            .map(|socket| socket.ip())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(list: &str) -> Vec<String> {
        let show = |hop: Hop| {
            let address = hop
                .address
                .map_or("-".to_owned(), |address| address.to_string());
            let or = |text: Option<String>| text.unwrap_or("-".to_owned());
            format!("{address} {} {}", or(hop.proto), or(hop.host))
        };
        hops(list).into_iter().map(show).collect()
    }

    #[test]
    fn hops_are_read_as_the_rfc_writes_them() {
        for (list, expected) in [
            ("for=192.0.2.43", &["192.0.2.43 - -"][..]),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                &["2001:db8:cafe::17 - -"],
            ),
            (
                "for=192.0.2.60;proto=HTTP;by=203.0.113.43",
                &["192.0.2.60 http -"],
            ),
            (
                "for=192.0.2.43, for=198.51.100.17;host=\"a\\\"b,;c\" ; proto=https",
                &["192.0.2.43 - -", "198.51.100.17 https a\"b,;c"],
            ),
            ("for=unknown, for=_hidden", &["- - -", "- - -"]),
            ("for=\"192.0.2.1:80\";;", &["192.0.2.1 - -"]),
            ("for=\"192.0.2.1", &[]),
            ("for=192.0.2.1 proto=https", &[]),
            ("192.0.2.1", &[]),
        ] {
            assert_eq!(shown(list), expected, "{list}");
        }
    }
}
