//! The Authorization header of HTTP's Basic scheme (RFC 7617 §2).
//!
//! **Gaps**: Basic is the only scheme.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

/// The longest header that is looked at.
const MAX_HEADER_BYTES: usize = 4096;

/// A user's name and password as a client sent them.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    /// What stands before the first colon.
    pub name: String,
    /// What stands behind it.
    pub password: String,
}

/// Clients differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Basic {
    /// The credentials in a header, if it has any of this scheme. The scheme is
    /// compared without case (RFC 7617 §2). Bytes that are not UTF-8 are read as
    /// Latin-1, which older clients send.
    pub fn parse(header: &str) -> Option<Basic> {
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let bytes = BASE64.decode(rest.trim()).ok()?;
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
        let (name, password) = text.split_once(':')?;
        Some(Basic {
            name: name.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Basic").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_clients_write_it() {
        for (header, expected) in [
            ("Basic YWxpY2U6c2VjcmV0", Some(("alice", "secret"))),
            ("basic YWxpY2U6c2VjcmV0", Some(("alice", "secret"))),
            ("BASIC   YWxpY2U6c2VjcmV0 ", Some(("alice", "secret"))),
            ("Basic YTpiOmM=", Some(("a", "b:c"))),
            ("Basic YTpiOmM", Some(("a", "b:c"))),
            ("Basic Og==", Some(("", ""))),
            ("Basic YTrDvA==", Some(("a", "\u{fc}"))),
            ("Basic YTr8", Some(("a", "\u{fc}"))),
            ("Basic YWxpY2U=", None),
            ("Basic ???", None),
            ("Basic", None),
            ("", None),
            ("Bearer YWxpY2U6c2VjcmV0", None),
        ] {
            let read = Basic::parse(header);
            let read = read
                .as_ref()
                .map(|basic| (basic.name.as_str(), basic.password.as_str()));
            assert_eq!(read, expected, "{header}");
        }
        assert_eq!(Basic::parse(&format!("Basic {}", "A".repeat(5000))), None);
    }

    #[test]
    fn nothing_prints_the_password() {
        let basic = Basic::parse("Basic YWxpY2U6c2VjcmV0");
        assert!(!format!("{basic:?}").contains("secret"));
    }
}
