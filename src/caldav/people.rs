//! The properties by which a principal is found and invited: RFC 4791 §6.2.1, RFC 6638 §2.1-2.4.
//!
//! Where somebody's calendars and inbox are is nobody else's business: others get 404 for these.

use crate::dav::{Found, Reading, Who, collection_href, home_href, principal_href};
use crate::store::{Principal, PrincipalKind};
use crate::xml::{Name, Writer};
use std::sync::Arc;

/// CALDAV:calendar-home-set. RFC 4791 §6.2.1
pub(super) fn home(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let Some(principal) = own(reading) else {
        return Found::No;
    };
    out.href(&home_href(&reading.cx.hrefs, principal));
    Found::Yes
}

/// CALDAV:schedule-inbox-URL. RFC 6638 §2.2.1
pub(super) fn inbox(reading: &Reading<'_>, out: &mut Writer) -> Found {
    in_home(reading, "inbox", out)
}

/// CALDAV:schedule-outbox-URL. RFC 6638 §2.1.1
pub(super) fn outbox(reading: &Reading<'_>, out: &mut Writer) -> Found {
    in_home(reading, "outbox", out)
}

fn in_home(reading: &Reading<'_>, name: &str, out: &mut Writer) -> Found {
    let Some(principal) = own(reading) else {
        return Found::No;
    };
    out.href(&collection_href(&reading.cx.hrefs, principal, name));
    Found::Yes
}

/// The principal, if it has a home that the viewer may know of.
fn own<'a>(reading: &'a Reading<'_>) -> Option<&'a Arc<Principal>> {
    let principal = reading.resource.owner()?;
    let known = reading.cx.who(reading.resource) != Who::Account;
    (known && principal.kind != PrincipalKind::Group).then_some(principal)
}

/// CALDAV:calendar-user-address-set, the preferred address first: RFC 6638 §2.4.1. Apple takes the
/// alphabetically first one unless an attribute says which is preferred.
pub(super) fn addresses(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let Some(principal) = reading.resource.owner() else {
        return Found::No;
    };
    let href = Name::dav("href");
    let mut preferred = [("preferred", "1")].as_slice();
    for address in &principal.addresses {
        out.open_with(href, preferred);
        out.text(address);
        out.close(href);
        preferred = &[];
    }
    out.href(&principal_href(&reading.cx.hrefs, principal));
    out.href(&format!("urn:uuid:{}", uuid(&principal.id.to_string())));
    Found::Yes
}

/// The 32 digits of an id in the groups of a UUID.
fn uuid(digits: &str) -> String {
    let mut uuid = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

/// CALDAV:calendar-user-type. RFC 6638 §2.4.2
pub(super) fn user_type(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let Some(principal) = reading.resource.owner() else {
        return Found::No;
    };
    out.text(match principal.kind {
        PrincipalKind::User => "INDIVIDUAL",
        PrincipalKind::Group => "GROUP",
        PrincipalKind::Room => "ROOM",
        PrincipalKind::Resource => "RESOURCE",
    });
    Found::Yes
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_id_is_written_as_a_uuid() {
        assert_eq!(
            super::uuid("0123456789abcdef0123456789abcdef"),
            "01234567-89ab-cdef-0123-456789abcdef"
        );
    }
}
