//! What somebody who is invited to a meeting sees of it now, as a message: the refresh of their copy after others
//! answered (RFC 6638 §4.2), and the answer to REFRESH (RFC 5546 §3.2.6).

use super::meeting::{self, Meeting};
use super::message::{self, Message, Method, Weight};
use super::people::{Addresses, served};
use super::view::View;
use crate::ical::{Component, Timestamp};

/// The REQUEST with everything that the person of this address sees of the owner's meeting; none if it is not the
/// owner's meeting, if they are not invited, or if their own program tells them (RFC 6638 §7.1).
#[must_use]
pub fn current(
    calendar: &Component,
    to: &str,
    who: &Addresses,
    weight: Weight,
    now: Timestamp,
) -> Option<Message> {
    let meeting = Meeting::read(calendar)?;
    meeting.organizer().filter(|o| who.is_own(o.value()))?;
    shown_to(&meeting, to, who, (weight, now))
}

/// The same of a meeting that is the owner's.
pub(super) fn shown_to(
    meeting: &Meeting<'_>,
    to: &str,
    who: &Addresses,
    (weight, now): (Weight, Timestamp),
) -> Option<Message> {
    let organizer = meeting.organizer()?;
    let person = who.person(to);
    let view = View::of(meeting, &person, who);
    let hears = |c: &Component| meeting::attendee(c, &person, who).is_some_and(served);
    if view.is_empty() || !meeting.components().any(|(_, c)| hears(c)) {
        return None;
    }
    let shown = view.shown(meeting).into_values();
    let components = shown.map(|c| message::stamped(c, now)).collect();
    Some(Message {
        method: Method::Request,
        from: organizer.value().trim().to_owned(),
        to: to.to_owned(),
        uid: meeting.any()?.text("UID")?.into_owned(),
        weight,
        calendar: message::envelope(meeting.calendar, Method::Request, components),
    })
}
