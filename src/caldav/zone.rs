//! The time zone of floating times and dates: RFC 4791 §7.3, §9.8 and RFC 7809 §3.1.5-3.1.6.

use super::stream::empty_calendar;
use crate::dav::{Condition, Error, Place};
use crate::ical::{Component, Date, Limits, parse, print};
use crate::recur::{Zone, vtimezone};
use crate::store::{Collection, Timezone};
use crate::xml::{Element, Name};

/// The zone in which floating times of a collection lie: its own, else its owner's, else UTC.
/// RFC 4791 §7.3
pub(super) fn of_collection(place: &Place, collection: &Collection, limits: &Limits) -> Zone {
    let own = match &collection.settings.timezone {
        Some(Timezone::Id(id)) => named(id),
        Some(Timezone::Text(text)) => of_text(text, limits),
        None => None,
    };
    own.or_else(|| named(place.owner.timezone.as_deref()?))
        .unwrap_or_else(Zone::utc)
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

/// The VTIMEZONE in an iCalendar object that has exactly one, and nothing else. RFC 4791 §5.2.2
fn definition_in(text: &str, limits: &Limits) -> Option<Component> {
    let parsed = parse(text.as_bytes(), limits);
    let sound = parsed.fault().is_none();
    let [calendar] = parsed.calendars.try_into().ok()?;
    let one = calendar.all_components().count() == 1;
    let zone = calendar.component("VTIMEZONE").is_some();
    (sound && one && zone && calendar.is("VCALENDAR")).then_some(calendar)
}

/// The zone of such an object.
pub(super) fn of_text(text: &str, limits: &Limits) -> Option<Zone> {
    Zone::of_vtimezone(definition_in(text, limits)?.component("VTIMEZONE")?)
}

/// The TZID of such an object. RFC 7809 §3.1.5
pub(super) fn id_of_text(text: &str, limits: &Limits) -> Option<String> {
    let calendar = definition_in(text, limits)?;
    Some(calendar.component("VTIMEZONE")?.text("TZID")?.into_owned())
}

/// An iCalendar object with the definition of a zone the server knows. RFC 7809 §3.1.5
pub(super) fn definition(id: &str) -> Option<String> {
    let zone = vtimezone(&named(id)?, id, Date::EPOCH, None);
    String::from_utf8(print(&empty_calendar().with_component(zone))).ok()
}
