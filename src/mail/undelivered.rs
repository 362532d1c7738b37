//! What becomes of a meeting when somebody cannot be reached: the sender learns it.

use std::sync::Arc;

use super::token::Guest;
use crate::dav::Shared;
use crate::ical::{Component, Limits, PRODID, Property, Timestamp, When, address, parse, print};
use crate::itip::{Message, Method, Weight};
use crate::recur::summary;
use crate::schedule;
use crate::store::{Actor, Change, Error, Put, Refusal, Sharing, Tag, again};

/// What is copied of a meeting into the notice.
const TOLD: [&str; 8] = [
    "UID",
    "RECURRENCE-ID",
    "DTSTART",
    "DTEND",
    "DUE",
    "DURATION",
    "SUMMARY",
    "SEQUENCE",
];

/// Notes that a guest, or the organizer to whom an answer went, cannot be reached: SCHEDULE-STATUS on their property, and
/// for an organizer a notice in the inbox. `status` is a code such as `5.1`. RFC 6638 §3.2.9
///
/// Answers whether the meeting still was there.
///
/// # Errors
/// The store's.
pub async fn undelivered(
    shared: &Arc<Shared>,
    guest: &Guest,
    (status, why): (&str, &str),
    now: Timestamp,
) -> Result<bool, Error> {
    again(|| async {
        let turn = shared.store.turn(&[guest.home]).await?;
        let home = turn.home(guest.home).cloned().ok_or(Refusal::NoHome)?;
        let Some((collection, header)) = schedule::find_object(&home, &guest.uid).await? else {
            return Ok(false);
        };
        let text = home.text(&header).await?;
        let parsed = parse(&text, &Limits::default());
        let Some(mut calendar) = parsed.calendars.into_iter().next() else {
            return Ok(false);
        };
        if let Some(message) = notice(&calendar, guest, (status, why), now) {
            drop(turn);
            schedule::receive(shared, guest.home, &message, now).await?;
            return Ok(true);
        }
        if !mark_organizer(&mut calendar, guest, status) {
            return Ok(false);
        }
        let actor = Actor {
            principal: None,
            client: "mail".to_owned(),
        };
        let mut change = Change::new(now, actor, "undelivered");
        let put = Put {
            name: header.name().to_owned(),
            text: print(&calendar).into(),
            uid: Some(guest.uid.clone()),
            component: header.component,
            summary: summary(&calendar).encode(),
            tag: header.tag.map_or(Tag::Move, Tag::Keep),
            shared: Sharing::Moves,
        };
        change.home(&home).put(collection.id, put);
        shared.store.commit(change, turn).await.map(|_| true)
    })
    .await
}

/// What the guest's mail server would answer if it could: a REPLY that changes no participation and has a status.
/// RFC 5546 §3.6
fn notice(
    calendar: &Component,
    guest: &Guest,
    (status, why): (&str, &str),
    now: Timestamp,
) -> Option<Message> {
    let mut answer = Component::new("VCALENDAR")
        .with(Property::new("VERSION", "2.0"))
        .with(Property::new("PRODID", PRODID))
        .with(Property::new("METHOD", "REPLY"));
    for zone in calendar.components("VTIMEZONE") {
        answer.push_component(zone.clone());
    }
    let (mut from, mut to) = (None, None);
    for component in calendar.all_components() {
        let mut attendees = component.properties("ATTENDEE");
        let Some(attendee) = attendees.find(|a| address(a).key() == guest.attendee) else {
            continue;
        };
        let Some(organizer) = component.property("ORGANIZER") else {
            continue;
        };
        let mut part = Component::new(component.name());
        for property in component.all_properties() {
            if TOLD.iter().any(|name| property.is(name)) {
                part.push(property.clone());
            }
        }
        from = Some(attendee.value().trim().to_owned());
        to = Some(organizer.value().trim().to_owned());
        part.push(bare(organizer));
        part.push(bare(attendee));
        part.push(Property::when_value("DTSTAMP", &When::Utc(now)));
        let words = super::tidings::one_line(why);
        let status = format!("{status};{}", crate::ical::escape(&words));
        part.push(Property::new("REQUEST-STATUS", &status));
        answer.push_component(part);
    }
    Some(Message {
        method: Method::Reply,
        from: from?,
        to: to?,
        uid: guest.uid.clone(),
        weight: Weight::News,
        calendar: answer.into(),
    })
}

/// A person without what is between their program and the server.
fn bare(person: &Property) -> Property {
    let mut person = person.clone();
    for name in [
        "SCHEDULE-AGENT",
        "SCHEDULE-STATUS",
        "SCHEDULE-FORCE-SEND",
        "RSVP",
    ] {
        person.remove_param(name);
    }
    person
}

/// Notes on ORGANIZER that an answer did not arrive; whether the organizer is meant at all. RFC 6638 §7.3
fn mark_organizer(calendar: &mut Component, guest: &Guest, status: &str) -> bool {
    let mut found = false;
    for component in calendar.all_components_mut() {
        if let Some(organizer) = component.property_mut("ORGANIZER")
            && address(organizer).key() == guest.attendee
        {
            organizer.set_param("SCHEDULE-STATUS", status);
            found = true;
        }
    }
    found
}
