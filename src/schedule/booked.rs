//! A room is asked: its answer is computed against its other bookings and entered, inside the commit that delivers.

use super::busy_time::{self, Bookings, NoAnswer};
use super::journal::Decision;
use super::who::{People, Way, principal_of, way};
use super::{default_calendar, rooms};
use crate::dav::{Place, Shared};
use crate::ical::{Component, Property, Timestamp};
use crate::itip::{self, Intent, Message};
use crate::recur::Zone;
use crate::store::{Booking, Component as Kind, Directory, Error, floating_zone};
use std::sync::Arc;

/// A home that may be a room's, at one revision.
pub(super) struct Asked<'a> {
    /// What the server has.
    pub(super) shared: &'a Shared,
    /// The directory.
    pub(super) directory: &'a Directory,
    /// The home and its owner.
    pub(super) place: &'a Place,
    /// Now.
    pub(super) now: Timestamp,
}

/// What a room answers.
pub(super) struct Answered {
    /// Its object with the answers.
    pub(super) object: Component,
    /// What is sent.
    pub(super) messages: Vec<(Message, Way)>,
    /// What is noted.
    pub(super) decisions: Vec<Decision>,
}

/// The answer of a room or resource to what its object waits for; none of anybody else, and where somebody in charge has to
/// answer.
pub(super) async fn answered(
    asked: &Asked<'_>,
    object: &Component,
    uid: &str,
) -> Result<Option<Answered>, Error> {
    let Asked { shared, place, .. } = asked;
    let Some(booking) = Booking::of(&place.owner) else {
        return Ok(None);
    };
    let people = People::of(asked.directory, place.home.id(), shared.outside);
    let who = people.in_calendar(Some(object)).addresses();
    if itip::unanswered(object, &who).is_empty() {
        return Ok(None);
    }
    let floating = floating(asked);
    let wanted = rooms::asked(object, asked.now, &floating, &shared.limits.recur);
    let range = wanted.as_ref().map(|wanted| wanted.range);
    let bookings = match range.filter(|range| range.start < range.end) {
        Some(range) => busy_time::bookings(place, (range, uid), &shared.limits).await,
        None => Ok(Bookings::default()),
    };
    let bookings = match bookings {
        Ok(bookings) => bookings,
        Err(NoAnswer::Store(error)) => return Err(error),
        Err(NoAnswer::TooMuch(_)) => return Ok(None),
    };
    let may_book = may_book(asked, &booking, object);
    let room = rooms::Room {
        booking: &booking,
        may_book,
        taken: bookings.taken,
        closed: bookings.closed,
        now: asked.now,
    };
    let answers = rooms::answers(object, &who, wanted.as_ref(), &room);
    if answers.is_empty() {
        return Ok(None);
    }
    let answered = itip::answered(object, &who, &answers);
    let change = (Some(object), Some(&answered));
    let limits = super::limits::of(&shared.limits);
    let Ok(sent) = itip::outgoing(change, &who, Intent::Change, asked.now, &limits) else {
        return Ok(None);
    };
    let decision = |message: &Message| {
        let status = who.route(&message.to).status();
        Decision::sent(message.method.to_string(), &[&message.to], status)
    };
    let decisions = sent.messages.iter().map(decision).collect();
    let messages = sent.messages.into_iter().map(|mut message| {
        if !may_book {
            say_no_authority(&mut message);
        }
        let way = way(&who, &message.to);
        (message, way)
    });
    Ok(Some(Answered {
        messages: messages.collect(),
        object: sent.store.unwrap_or(answered),
        decisions,
    }))
}

/// The answer says that it is no matter of time: "an Attendee does not have suitable privileges". RFC 5546 §3.6.21
fn say_no_authority(message: &mut Message) {
    let calendar = Arc::make_mut(&mut message.calendar);
    for component in calendar.all_components_mut().filter(|c| !c.is("VTIMEZONE")) {
        component.push(Property::new("REQUEST-STATUS", "3.8;No authority"));
    }
}

fn floating(asked: &Asked<'_>) -> Zone {
    let calendar = default_calendar(&asked.place.home, Kind::Event);
    let texts = busy_time::texts(&asked.shared.limits);
    calendar.map_or_else(Zone::utc, |calendar| {
        floating_zone(&asked.place.owner, calendar, &texts)
    })
}

/// Whether the organizer may book the room: those in charge may.
fn may_book(asked: &Asked<'_>, booking: &Booking, object: &Component) -> bool {
    let organizer = object
        .all_components()
        .find_map(|c| c.property("ORGANIZER"))
        .and_then(|organizer| principal_of(asked.directory, organizer.value()));
    booking.bookable_by.is_empty()
        || organizer.is_some_and(|organizer| {
            let named = asked.directory.is_among(organizer.id, &booking.bookable_by);
            named || asked.directory.may_keep(organizer, asked.place.owner.id)
        })
}
