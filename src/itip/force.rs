//! SCHEDULE-FORCE-SEND: a client asks for a message though nothing changed (RFC 6638 §7.2).
//!
//! It is a request and no part of the meeting: it is taken off whatever is stored.

use crate::ical::{Component, Property};

const FORCE: &str = "SCHEDULE-FORCE-SEND";

/// What is said of a method that nobody knows. RFC 6638 §7.2
pub(super) const IGNORED: &str = "2.3";

/// The method that is asked for.
pub(super) fn asked(property: &Property) -> Option<String> {
    Some(property.param(FORCE)?.into_owned())
}

/// Whether this method is asked for.
pub(super) fn asks(property: &Property, method: &str) -> bool {
    let asked = property.param(FORCE);
    asked.is_some_and(|asked| asked.eq_ignore_ascii_case(method))
}

/// Whether a method is asked for that nobody knows.
pub(super) fn asks_unknown(property: &Property) -> bool {
    let known = ["REQUEST", "REPLY"];
    property.param(FORCE).is_some() && !known.iter().any(|method| asks(property, method))
}

/// Asks for a method.
pub(super) fn ask(property: &mut Property, method: &str) {
    property.set_param(FORCE, method);
}

/// The object without it; none where it has none.
pub(super) fn without(calendar: &Component) -> Option<Component> {
    let people = |p: &Property| p.is("ORGANIZER") || p.is("ATTENDEE");
    let is_asked = |p: &Property| people(p) && p.param(FORCE).is_some();
    let mut components = calendar.all_components();
    if !components.any(|component| component.all_properties().any(is_asked)) {
        return None;
    }
    let mut calendar = calendar.clone();
    for component in calendar.all_components_mut() {
        for property in component.all_properties_mut().filter(|p| people(p)) {
            property.remove_param(FORCE);
        }
    }
    Some(calendar)
}
