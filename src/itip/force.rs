//! SCHEDULE-FORCE-SEND: a client asks for a message though nothing changed (RFC 6638 §7.2).
//!
//! It is a request and no part of the meeting: it is taken off whatever is stored.

use crate::ical::{Component, Property};

const FORCE: &str = "SCHEDULE-FORCE-SEND";

/// What is said of a method that nobody knows. RFC 6638 §7.2
pub(super) const IGNORED: &str = "2.3";

/// Takes it off; answers the method that was asked for.
pub(super) fn take(property: &mut Property) -> Option<String> {
    let method = property.param(FORCE)?.into_owned();
    property.remove_param(FORCE);
    Some(method)
}

/// Whether a method can be forced.
pub(super) fn is_known(method: &str) -> bool {
    let known = ["REQUEST", "REPLY"];
    known.iter().any(|known| method.eq_ignore_ascii_case(known))
}

/// The object without it; none where it has none.
pub(super) fn without(calendar: &Component) -> Option<Component> {
    let people = |component: &Component| {
        let all = component.all_properties();
        all.filter(|p| p.is("ORGANIZER") || p.is("ATTENDEE"))
            .any(|p| p.param(FORCE).is_some())
    };
    if !calendar.all_components().any(people) {
        return None;
    }
    let mut calendar = calendar.clone();
    for component in calendar.all_components_mut() {
        for property in component.all_properties_mut() {
            if property.is("ORGANIZER") || property.is("ATTENDEE") {
                take(property);
            }
        }
    }
    Some(calendar)
}
