//! CALDAV:free-busy-query: RFC 4791 §7.10, with VAVAILABILITY as RFC 7953 §7.2.4 asks.

use super::busy::free_busy;
use super::limits::Limits;
use super::query::{calendars, reaches_members};
use super::range::closed_range;
use super::{report, zone};
use crate::dav::{Answer, Context, Error, Place, Resource, Response};
use crate::ical::print;
use crate::recur::{Range, Timeline};
use crate::store::{Collection, Component, Header};
use crate::xml::{Element, Name};

/// Runs the report.
pub(super) fn run<'a>(cx: &'a mut Context, query: &'a Element) -> Answer<'a> {
    Box::pin(answer(cx, query))
}

/// The range needs both ends: they become DTSTART and DTEND of the answer, which has to have them.
/// RFC 5545 §3.6.4
async fn answer(cx: &Context, query: &Element) -> Result<Response, Error> {
    let ranges: Vec<_> = query.children(Name::caldav("time-range")).collect();
    let [range] = ranges.as_slice() else {
        return Err(Error::Status(400, "Exactly one time-range is wanted."));
    };
    let range = closed_range(range).map_err(|sentence| Error::Status(400, sentence))?;
    let mut timeline = Timeline::new(range);
    match &cx.target {
        Resource::Collection(place, collection) => {
            add(cx, &mut timeline, &range, (place, collection)).await?;
        }
        Resource::Home(place) if reaches_members(cx)? => {
            for collection in calendars(place) {
                add(cx, &mut timeline, &range, (place, collection)).await?;
            }
        }
        _ => {}
    }
    let busy = free_busy(&range, &timeline.finish(), cx.now);
    Ok(Response::status(200).body("text/calendar; charset=utf-8", print(&busy)))
}

/// Adds when the objects of a calendar make its owner busy; those of a calendar whose
/// schedule-calendar-transp is transparent do not. RFC 6638 §9.1
async fn add(
    cx: &Context,
    timeline: &mut Timeline,
    range: &Range,
    (place, collection): (&Place, &Collection),
) -> Result<(), Error> {
    if collection.settings.transparent {
        return Ok(());
    }
    let limits = Limits::of(&cx.shared.limits);
    let floating = zone::of_collection(place, collection, &limits.ical);
    let members = place.home.members(collection).await?;
    let counts = |component| {
        use Component::{Availability, Event, FreeBusy};
        matches!(component, Some(Event | FreeBusy | Availability))
    };
    let found = members.overlapping(range, &floating, None).into_iter();
    let headers: Vec<Header> = found
        .map(|(header, _)| header)
        .filter(|header| counts(header.component))
        .collect();
    for compiled in place.home.compiled(&headers).await? {
        timeline
            .add(&compiled, &floating, &limits.recur)
            .map_err(report::too_much)?;
    }
    Ok(())
}
