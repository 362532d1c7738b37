//! What the sender hears of a message that does not get through (RFC 6638 §3.2.9, RFC 5546 §3.6).
//!
//! The sender's object says that it was delivered, or is about to be: that is decided when it is stored. What comes out
//! otherwise is said for the recipient: of an invitation a REPLY that changes no participation and has a status, which
//! becomes SCHEDULE-STATUS on their ATTENDEE and lies in the organizer's inbox; of an answer SCHEDULE-STATUS on ORGANIZER.

use super::deliver::deliver;
use super::desk::{Desk, Origin};
use super::{messages, tag};
use crate::dav::Shared;
use crate::ical::{Component, PRODID, Property, Timestamp, When, address_key, escape, print};
use crate::itip::{self, Message, Method, Weight};
use crate::recur::summary;
use crate::store::{Actor, Change, Error, Home, Id, Put, Refusal, Sharing, Tag, again};
use std::sync::Arc;

/// What is copied of the meeting.
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

/// Somebody who was not reached.
#[derive(Clone, Copy, Debug)]
pub struct Unreached<'a> {
    /// The home of the sender.
    pub home: Id,
    /// The meeting.
    pub uid: &'a str,
    /// The recipient's calendar user address.
    pub to: &'a str,
    /// A code such as `5.1`.
    pub status: &'a str,
    /// Why, in a line for people.
    pub why: &'a str,
}

/// Notes in the sender's object that somebody was not reached, and tells the sender. Answers whether the meeting still was
/// there.
///
/// # Errors
/// The store's.
pub async fn undelivered(
    shared: &Arc<Shared>,
    lost: &Unreached<'_>,
    now: Timestamp,
) -> Result<bool, Error> {
    again(|| async {
        let turn = shared.store.turn(&[lost.home]).await?;
        let home = turn.home(lost.home).cloned().ok_or(Refusal::NoHome)?;
        let actor = Actor {
            principal: None,
            client: "scheduling".to_owned(),
        };
        let mut change = Change::new(now, actor, "undelivered");
        if !noted(shared, &mut change, (&home, lost), now).await? {
            return Ok(false);
        }
        let receipt = shared.store.commit(change, turn).await?;
        deliver(shared, &receipt, now).await;
        Ok(true)
    })
    .await
}

/// Stages it in a change of the sender's home; answers whether the meeting still is there.
pub(super) async fn noted(
    shared: &Shared,
    change: &mut Change,
    (home, lost): (&Arc<Home>, &Unreached<'_>),
    now: Timestamp,
) -> Result<bool, Error> {
    let Some((collection, header)) = tag::find(home, lost.uid).await? else {
        return Ok(false);
    };
    let text = home.text(&header).await?;
    let Some(mut calendar) = messages::read(&text, shared) else {
        return Ok(false);
    };
    if let Some(message) = refusal(&calendar, lost, now) {
        let desk = Desk::of(shared, home.clone(), Origin::Inside, now).await?;
        desk.receive(change, lost.uid, &[message]).await?;
        return Ok(true);
    }
    if !mark_organizer(&mut calendar, lost) {
        return Ok(false);
    }
    let put = Put {
        name: header.name().to_owned(),
        text: print(&calendar).into(),
        uid: Some(lost.uid.to_owned()),
        component: header.component,
        summary: summary(&calendar).encode(),
        tag: header.tag.map_or(Tag::Move, Tag::Keep),
        shared: Sharing::Moves,
    };
    change.home(home).put(collection.id, put);
    Ok(true)
}

/// What somebody who is invited to a meeting would answer if they could: a REPLY that changes no participation and has a
/// status; none if they are not invited. RFC 5546 §3.6
pub(super) fn refusal(
    calendar: &Component,
    lost: &Unreached<'_>,
    now: Timestamp,
) -> Option<Message> {
    let mut answer = Component::new("VCALENDAR")
        .with(Property::new("VERSION", "2.0"))
        .with(Property::new("PRODID", PRODID))
        .with(Property::new("METHOD", "REPLY"));
    for zone in calendar.components("VTIMEZONE") {
        answer.push_component(zone.clone());
    }
    let key = address_key(lost.to);
    let (mut from, mut to) = (None, None);
    for component in calendar.all_components() {
        let mut attendees = component.properties("ATTENDEE");
        let attendee = attendees.find(|a| address_key(a.value()) == key);
        let (Some(attendee), Some(organizer)) = (attendee, component.property("ORGANIZER")) else {
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
        let status = format!("{};{}", lost.status, escape(lost.why));
        part.push(Property::new("REQUEST-STATUS", &status));
        answer.push_component(part);
    }
    Some(Message {
        method: Method::Reply,
        from: from?,
        to: to?,
        uid: lost.uid.to_owned(),
        weight: Weight::News,
        calendar: answer.into(),
    })
}

/// A person without what is between their program and the server.
fn bare(person: &Property) -> Property {
    let mut person = person.clone();
    person.retain_params(|param| !itip::is_private_param(param.name()) && !param.is("RSVP"));
    person
}

/// Notes on ORGANIZER that an answer did not arrive; whether the organizer is meant at all. RFC 6638 §7.3
fn mark_organizer(calendar: &mut Component, lost: &Unreached<'_>) -> bool {
    let key = address_key(lost.to);
    let mut found = false;
    for component in calendar.all_components_mut() {
        if let Some(organizer) = component.property_mut("ORGANIZER")
            && address_key(organizer.value()) == key
        {
            organizer.set_param("SCHEDULE-STATUS", lost.status);
            found = true;
        }
    }
    found
}
