//! What a sender hears of an invitation that the recipient's calendars do not take (RFC 6638 §4.3, §3.2.9).
//!
//! The sender's object says already that it was delivered, as that is decided when it is stored. So the recipient's side
//! answers as RFC 5546 §3.6 has it: a REPLY that changes no participation, with the status.

use crate::ical::{Component, Property, Timestamp, When, address_key};
use crate::itip::{Message, Method, Weight};

/// What is copied of the meeting.
const TOLD: [&str; 9] = [
    "UID",
    "RECURRENCE-ID",
    "DTSTART",
    "DTEND",
    "DUE",
    "DURATION",
    "SUMMARY",
    "SEQUENCE",
    "ORGANIZER",
];

/// The answer that says so; none to what asks for none.
pub(super) fn rejected(message: &Message, now: Timestamp) -> Option<Message> {
    if message.method != Method::Request {
        return None;
    }
    let mut calendar = Component::new("VCALENDAR")
        .with(Property::new("VERSION", "2.0"))
        .with(Property::new("PRODID", crate::ical::PRODID))
        .with(Property::new("METHOD", "REPLY"));
    for zone in message.calendar.components("VTIMEZONE") {
        calendar.push_component(zone.clone());
    }
    let own = address_key(&message.to);
    let mut parts = 0;
    for component in message.calendar.all_components() {
        let mut attendees = component.properties("ATTENDEE");
        let Some(attendee) = attendees.find(|a| address_key(a.value()) == own) else {
            continue;
        };
        let mut part = Component::new(component.name());
        for property in component.all_properties() {
            if TOLD.iter().any(|name| property.is(name)) {
                part.push(property.clone());
            }
        }
        part.push(attendee.clone());
        part.push(Property::when_value("DTSTAMP", &When::Utc(now)));
        let status = "5.2;No calendar of the recipient takes it";
        part.push(Property::new("REQUEST-STATUS", status));
        calendar.push_component(part);
        parts += 1;
    }
    (parts > 0).then(|| Message {
        method: Method::Reply,
        from: message.to.clone(),
        to: message.from.clone(),
        uid: message.uid.clone(),
        weight: Weight::News,
        calendar: calendar.into(),
    })
}
