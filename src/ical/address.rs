//! Calendar user addresses and what ATTENDEE and ORGANIZER say of them (RFC 5545 §3.3.3, §3.8.4).

use std::borrow::Cow;

use super::property::Property;

/// An ATTENDEE or ORGANIZER read with its parameters and their defaults.
#[derive(Clone, Copy, Debug)]
pub struct CalAddress<'a> {
    property: &'a Property,
}

/// The property read as a calendar user address; every value can be.
#[must_use]
pub fn address(property: &Property) -> CalAddress<'_> {
    CalAddress { property }
}

/// The form in which two addresses of one calendar user are equal: without blanks around it,
/// percent-decoded, in lower case; a bare mail address gets its `mailto:`.
///
/// Letter case in the local part of a mail address is not significant anywhere in practice.
#[must_use]
pub fn address_key(address: &str) -> String {
    let decoded = percent_decode(address.trim());
    let key = decoded.to_lowercase();
    if key.contains('@') && !key.contains(':') && !key.starts_with('/') {
        return format!("mailto:{key}");
    }
    match key.strip_prefix("mailto:") {
        // "mailto:a@b?subject=x" and "mailto: a@b" name the same user.
        Some(mail) => {
            let mail = mail.split('?').next().unwrap_or_default();
            format!("mailto:{}", mail.trim())
        }
        None => key,
    }
}

/// Whether two addresses are of one calendar user.
#[must_use]
pub fn same_address(one: &str, two: &str) -> bool {
    one == two || address_key(one) == address_key(two)
}

impl<'a> CalAddress<'a> {
    /// The property itself.
    #[must_use]
    pub fn property(&self) -> &'a Property {
        self.property
    }

    /// The address as written, without blanks around it.
    #[must_use]
    pub fn uri(&self) -> &'a str {
        self.property.value().trim()
    }

    /// See [`address_key`].
    #[must_use]
    pub fn key(&self) -> String {
        address_key(self.uri())
    }

    /// The mail address, from the address itself or else from EMAIL (RFC 7986 §6.2).
    #[must_use]
    pub fn mail(&self) -> Option<String> {
        let uri = percent_decode(self.uri());
        let mail = match uri.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => uri.get(7..),
            _ if uri.contains('@') && !uri.contains(':') => Some(&*uri),
            _ => None,
        };
        let mail = mail.map(|mail| mail.split('?').next().unwrap_or_default().trim().to_owned());
        mail.or_else(|| Some(self.property.param("EMAIL")?.trim().to_owned()))
            .filter(|mail| mail.contains('@'))
    }

    /// CN, the name to show. RFC 5545 §3.2.2
    #[must_use]
    pub fn common_name(&self) -> Option<Cow<'a, str>> {
        self.property.param("CN").filter(|name| !name.is_empty())
    }

    /// CUTYPE in upper case. RFC 5545 §3.2.3
    #[must_use]
    pub fn cutype(&self) -> String {
        self.upper("CUTYPE", "INDIVIDUAL")
    }

    /// ROLE in upper case. RFC 5545 §3.2.16
    #[must_use]
    pub fn role(&self) -> String {
        self.upper("ROLE", "REQ-PARTICIPANT")
    }

    /// PARTSTAT in upper case. RFC 5545 §3.2.12
    #[must_use]
    pub fn partstat(&self) -> String {
        self.upper("PARTSTAT", "NEEDS-ACTION")
    }

    /// RSVP. RFC 5545 §3.2.17
    #[must_use]
    pub fn rsvp(&self) -> bool {
        self.upper("RSVP", "FALSE") == "TRUE"
    }

    /// SCHEDULE-AGENT in upper case. RFC 6638 §7.1
    #[must_use]
    pub fn schedule_agent(&self) -> String {
        self.upper("SCHEDULE-AGENT", "SERVER")
    }

    /// SENT-BY, DELEGATED-TO, DELEGATED-FROM or MEMBER: the addresses of a parameter.
    #[must_use]
    pub fn addresses(&self, param: &str) -> Vec<Cow<'a, str>> {
        self.property.param_values(param)
    }

    fn upper(&self, param: &str, default: &str) -> String {
        match self.property.param(param) {
            Some(value) if !value.is_empty() => value.to_ascii_uppercase(),
            _ => default.to_owned(),
        }
    }
}

/// Undoes `%XX`; what is no such pair, or would not be UTF-8, stays as it is.
fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    String::from_utf8(percent_decoded(text)).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The bytes that percent-encoding stands for; a `%` without two digits means itself. RFC 3986 §2.1
#[must_use]
pub fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let pair = match (first, after) {
            (b'%', [high, low, tail @ ..]) => digit(*high)
                .zip(digit(*low))
                .map(|(high, low)| (high << 4 | low, tail)),
            _ => None,
        };
        let (byte, tail) = pair.unwrap_or((*first, after));
        bytes.push(byte);
        rest = tail;
    }
    bytes
}

fn digit(hex: u8) -> Option<u8> {
    let digit = char::from(hex).to_digit(16);
    digit.and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::{address, address_key, same_address};
    use crate::ical::Property;

    #[test]
    fn one_user_has_one_key() {
        for (address, key) in [
            ("mailto:a@example.com", "mailto:a@example.com"),
            ("MAILTO:A@Example.com", "mailto:a@example.com"),
            (" mailto: a%40example.com", "mailto:a@example.com"),
            ("a@example.com", "mailto:a@example.com"),
            ("mailto:a@example.com?subject=b", "mailto:a@example.com"),
            ("/dav/principals/users/A%20b/", "/dav/principals/users/a b/"),
            ("urn:uuid:00AB", "urn:uuid:00ab"),
            ("mailto:%zz%ff@x", "mailto:%zz%ff@x"),
            ("mailto:100%", "mailto:100%"),
            ("", ""),
        ] {
            assert_eq!(address_key(address), key);
            assert!(same_address(address, key));
        }
        assert!(!same_address(
            "mailto:a@example.com",
            "mailto:b@example.com"
        ));
    }

    #[test]
    fn parameters_have_their_defaults() {
        let it = Property::new("ATTENDEE", "mailto:a@example.com");
        let view = address(&it);
        assert_eq!(view.partstat(), "NEEDS-ACTION");
        assert_eq!(view.role(), "REQ-PARTICIPANT");
        assert_eq!(view.cutype(), "INDIVIDUAL");
        assert_eq!(view.schedule_agent(), "SERVER");
        assert!(!view.rsvp());
        assert_eq!(view.common_name(), None);
        assert_eq!(view.mail().unwrap(), "a@example.com");
        let it = Property::new("ATTENDEE", "urn:uuid:1")
            .with_param("PARTSTAT", "accepted")
            .with_param("RSVP", "true")
            .with_param("EMAIL", "b@example.com")
            .with_param("DELEGATED-TO", "mailto:c@example.com");
        let view = address(&it);
        assert_eq!(view.partstat(), "ACCEPTED");
        assert!(view.rsvp());
        assert_eq!(view.mail().unwrap(), "b@example.com");
        assert_eq!(view.addresses("DELEGATED-TO"), ["mailto:c@example.com"]);
    }
}
