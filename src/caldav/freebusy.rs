//! CALDAV:free-busy-query: RFC 4791 §7.10, with VAVAILABILITY as RFC 7953 §7.2.4 asks.

use super::query::{calendars, reaches_members};
use super::range::closed_range;
use super::report;
use crate::dav::{Answer, Context, Error, Resource, Response};
use crate::ical::{empty_calendar, print};
use crate::recur::{Timeline, free_busy};
use crate::schedule::{Asked, NoAnswer, add_calendar};
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
    let asked = Asked { range, mask: None };
    let limits = &cx.shared.limits;
    let mut timeline = Timeline::new(range);
    match &cx.target {
        Resource::Collection(place, collection) => {
            let added = add_calendar(&mut timeline, (place, collection), &asked, limits).await;
            added.map_err(refused)?;
        }
        Resource::Home(place) if reaches_members(cx)? => {
            for collection in calendars(place) {
                let added = add_calendar(&mut timeline, (place, collection), &asked, limits).await;
                added.map_err(refused)?;
            }
        }
        _ => {}
    }
    let busy = free_busy(&range, &timeline.finish(), cx.now);
    let calendar = empty_calendar().with_component(busy);
    let text = print(&calendar);
    Ok(Response::status(200).body("text/calendar; charset=utf-8", text))
}

fn refused(error: NoAnswer) -> Error {
    match error {
        NoAnswer::Store(error) => error.into(),
        NoAnswer::TooMuch(error) => report::too_much(error),
    }
}
