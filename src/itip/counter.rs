//! What an attendee asks of the organizer beside answering: REFRESH and COUNTER, and how a COUNTER is declined
//! (RFC 5546 §3.2.6-8, §4.2.4, §4.4.8-9).
//!
//! A proposal changes nothing by itself. The organizer sees it in the inbox; they follow it by changing the meeting, which
//! sends everybody a REQUEST, or they do not, and [`decline_counter`] says so to the proposer.

use super::incoming::{Inbox, Incoming, Reason, Received};
use super::meeting::{self, Key, Meeting};
use super::message::{self, Message, Method, Weight};
use super::people::Addresses;
use super::{apply, current, view};
use crate::ical::{Component, Property, Timestamp};

/// The organizer's meeting, if the recipient is its organizer.
fn organized<'r, 'm>(received: &'r Received<'_, 'm>) -> Result<&'r Meeting<'m>, Reason> {
    let existing = received.existing.ok_or(Reason::NoMeeting)?;
    let own = |organizer: &Property| received.who.is_own(organizer.value());
    if existing.organizer().is_some_and(own) {
        Ok(existing)
    } else {
        Err(Reason::NotTheOrganizer)
    }
}

/// REFRESH: the sender gets what concerns them. RFC 5546 §3.2.6
pub(super) fn refresh(received: &Received<'_, '_>) -> Incoming {
    let existing = match organized(received) {
        Ok(existing) => existing,
        Err(reason) => return Incoming::nothing(received.state, reason),
    };
    let mut shown = current::Shown::of(existing, received.who, received.now);
    match shown.message(&received.message.from, Weight::News) {
        Some(request) => Incoming {
            messages: vec![request],
            ..Incoming::nothing(received.state, Reason::Asked)
        },
        // RFC 5546 §6.1.6: what a meeting is, is told to nobody who was not invited.
        None => Incoming::nothing(received.state, Reason::PartyCrasher),
    }
}

/// COUNTER: a proposal is shown to the organizer. RFC 5546 §3.2.7
pub(super) fn counter(received: &Received<'_, '_>) -> Incoming {
    let existing = match organized(received) {
        Ok(existing) => existing,
        Err(reason) => return Incoming::nothing(received.state, reason),
    };
    let sender = received.who.person(&received.message.from);
    if !existing.invited(received.who).contains_key(&sender) {
        return Incoming {
            inbox: Inbox::Show,
            ..Incoming::nothing(received.state, Reason::PartyCrasher)
        };
    }
    let open = received
        .meeting
        .components()
        .any(|(key, proposed)| is_open(existing, received.meeting, (key, proposed)));
    if open {
        Incoming {
            inbox: Inbox::Show,
            ..Incoming::nothing(received.state, Reason::Countered)
        }
    } else {
        Incoming::nothing(received.state, Reason::Stale)
    }
}

/// DECLINECOUNTER: shown to those who have the meeting. RFC 5546 §3.2.8
pub(super) fn declined(received: &Received<'_, '_>) -> Incoming {
    if received.existing.is_none() {
        return Incoming::nothing(received.state, Reason::NoMeeting);
    }
    if let Err(reason) = apply::from_organizer(received) {
        return Incoming::nothing(received.state, reason);
    }
    Incoming {
        inbox: Inbox::Show,
        ..Incoming::nothing(received.state, Reason::CounterDeclined)
    }
}

/// Whether a proposal still waits for the organizer: the meeting is as it was when it was made, and not as it proposes.
fn is_open(
    existing: &Meeting<'_>,
    proposal: &Meeting<'_>,
    (key, proposed): (Option<Key>, &Component),
) -> bool {
    let governing = match key {
        None => existing.master,
        Some(key) => existing.governing(key),
    };
    let Some(component) = governing else {
        return false;
    };
    if meeting::sequence(component) > meeting::sequence(proposed) {
        return false;
    }
    let instance = key.and_then(|key| apply::earlier(existing, key));
    let now = view::times(existing, instance.as_ref().unwrap_or(component));
    let then = view::times(proposal, proposed);
    let instant = |meeting: &Meeting<'_>, start: &Option<crate::ical::When>| {
        start.as_ref().map(|start| meeting.instant(start))
    };
    let place = |c: &Component| c.text("LOCATION").map(|text| text.trim().to_owned());
    instant(existing, &now.0) != instant(proposal, &then.0)
        || now.1 != then.1
        || place(proposed).is_some_and(|place_then| Some(place_then) != place(component))
}

/// The message by which the organizer does not follow a proposal; none if they need not answer it any more: they followed
/// it, or changed the meeting since, which the proposer was told. RFC 5546 §3.2.8
#[must_use]
pub fn decline_counter(
    existing: &Component,
    counter: &Message,
    who: &Addresses,
    (comment, now): (Option<&str>, Timestamp),
) -> Option<Message> {
    let existing = Meeting::read(existing)?;
    let proposal = Meeting::read(&counter.calendar)?;
    let organizer = existing.organizer()?.clone();
    let proposer = who.person(&counter.from);
    if counter.method != Method::Counter
        || !who.is_own(organizer.value())
        || !existing.invited(who).contains_key(&proposer)
    {
        return None;
    }
    let open = proposal
        .components()
        .filter(|(key, proposed)| is_open(&existing, &proposal, (*key, proposed)));
    let declined = open.map(|(_, proposed)| {
        let mut component = Component::new(proposed.name());
        for name in ["UID", "RECURRENCE-ID", "SEQUENCE"] {
            for property in proposed.properties(name) {
                component.push(property.clone());
            }
        }
        component.push(Property::new("ORGANIZER", organizer.value()));
        component.push(Property::new("ATTENDEE", &counter.from));
        if let Some(comment) = comment {
            component.push(Property::text_value("COMMENT", comment));
        }
        message::stamped(component, now)
    });
    let declined: Vec<Component> = declined.collect();
    if declined.is_empty() {
        return None;
    }
    Some(Message {
        method: Method::DeclineCounter,
        from: organizer.value().trim().to_owned(),
        to: counter.from.clone(),
        uid: counter.uid.clone(),
        weight: Weight::News,
        calendar: message::envelope(&counter.calendar, Method::DeclineCounter, declined),
    })
}
