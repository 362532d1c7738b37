//! The time zone of floating times and dates: RFC 4791 §7.3, §9.8 and RFC 7809 §3.1.5-3.1.6.

use crate::dav::{Condition, Error, Place};
use crate::ical::{Date, Limits, empty_calendar, print};
use crate::recur::{Zone, lone_vtimezone, vtimezone};
use crate::store::{Collection, floating_zone};
use crate::xml::{Element, Name};

/// The zone in which floating times of a collection lie. RFC 4791 §7.3
pub(super) fn of_collection(place: &Place, collection: &Collection, limits: &Limits) -> Zone {
    floating_zone(&place.owner, collection, limits)
}

/// The zone that a query names itself. RFC 4791 §9.8, RFC 7809 §6.2
pub(super) fn of_query(query: &Element, limits: &Limits) -> Result<Option<Zone>, Error> {
    if let Some(element) = query.child(Name::caldav("timezone")) {
        return match of_text(&element.text(), limits) {
            Some(zone) => Ok(Some(zone)),
            None => Err(Condition::ValidCalendarData
                .because("The timezone is an iCalendar object with one VTIMEZONE.")),
        };
    }
    match query.child(Name::caldav("timezone-id")) {
        None => Ok(None),
        Some(element) => match named(element.text().trim()) {
            Some(zone) => Ok(Some(zone)),
            None => Err(Condition::ValidTimezone.because("The server does not know this zone.")),
        },
    }
}

/// The zone of an identifier the server knows. RFC 7809 §3.1.5
pub(super) fn named(id: &str) -> Option<Zone> {
    Zone::named(id)
}

/// The zone of an iCalendar object with one VTIMEZONE. RFC 4791 §5.2.2
pub(super) fn of_text(text: &str, limits: &Limits) -> Option<Zone> {
    Zone::of_vtimezone(&lone_vtimezone(text, limits)?)
}

/// The TZID of such an object. RFC 7809 §3.1.5
pub(super) fn id_of_text(text: &str, limits: &Limits) -> Option<String> {
    Some(lone_vtimezone(text, limits)?.text("TZID")?.into_owned())
}

/// An iCalendar object with the definition of a zone the server knows. RFC 7809 §3.1.5
pub(super) fn definition(id: &str) -> Option<String> {
    let zone = vtimezone(&named(id)?, id, Date::EPOCH, None);
    String::from_utf8(print(&empty_calendar().with_component(zone))).ok()
}
