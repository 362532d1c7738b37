//! CALDAV:calendar-data as a row of the property table: it is asked for as if it were a property, and
//! returned by reports only. RFC 4791 §9.6

use super::data::DataRequest;
use super::limits::Limits;
use super::shape::{Shaping, Timezones, shape};
use super::zone;
use crate::dav::{Found, Get, Kinds, Listed, Needs, Property, Reading, Set};
use crate::ical::Format;
use crate::xml::{Name, Writer};

const NAME: Name<'static> = Name::caldav("calendar-data");

/// The row.
pub(super) const CALENDAR_DATA: Property = Property {
    name: NAME,
    spec: "RFC 4791 §9.6",
    on: Kinds::ICALENDAR,
    allprop: Listed::OnRequest,
    needs: Needs::Text,
    get: Get::Element(write),
    set: Set::Protected,
};

/// An object whose expansion meets a limit is told to; the others in the answer are given.
fn write(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let request = &reading.cx.request;
    let Some(text) = reading.text.filter(|_| request.method == "REPORT") else {
        return Found::No;
    };
    let Ok(data) = DataRequest::read(reading.asked) else {
        return Found::No;
    };
    let timezones = Timezones::of(request.headers.get("CalDAV-Timezones"));
    if data.is_whole_text() && timezones == Timezones::Stored {
        out.element(NAME, text);
        return Found::Yes;
    }
    let (Some(place), Some(collection)) = (reading.resource.place(), reading.resource.collection())
    else {
        return Found::No;
    };
    let limits = Limits::of(&reading.cx.shared.limits);
    let floating = zone::of_collection(place, collection, &limits.ical);
    let header = reading.resource.header();
    let compiled = header.and_then(|header| place.home.compiled_already(header));
    let shaping = Shaping {
        compiled: compiled.as_deref(),
        floating: &floating,
        timezones,
        recur: &limits.recur,
        ical: &limits.ical,
    };
    let Ok(shaped) = shape(text, &data, &shaping) else {
        return Found::TooMuch;
    };
    match data.format {
        Format::ICalendar => out.element(NAME, &shaped),
        Format::JCal => {
            let attributes = [
                ("content-type", data.format.media_type()),
                ("version", "2.0"),
            ];
            out.open_with(NAME, &attributes);
            out.text(&shaped);
            out.close(NAME);
        }
    }
    Found::Yes
}
