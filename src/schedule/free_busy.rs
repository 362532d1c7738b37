//! POST to an outbox: when are these people busy. RFC 6638 §5, RFC 5546 §3.3.2
//!
//! Each attendee is answered for alone. Of a group is told when any of its members is busy.

use super::busy_time::{self, Asked, Mask, NoAnswer, busy_time};
use super::inbox::takes;
use super::request::FreeBusyRequest;
use super::who::principal_of;
use crate::dav::{
    Answer, Condition, Context, Error, Kinds, Method, Mode, Place, Privilege, Request, Response,
};
use crate::ical::{Component, Format, Property, address_key, empty_calendar, from_jcal, parse};
use crate::ical::{Problem, print};
use crate::recur::{BusyPeriod, Zone, free_busy, merge};
use crate::store::{Id, Principal, PrincipalKind, floating_zone};
use crate::xml::{Name, Writer};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The row of this file.
pub(super) const METHODS: &[Method] = &[Method {
    name: "POST",
    spec: "RFC 6638 §5",
    on: Kinds::OUTBOX,
    privilege: Some(Privilege::ScheduleSendFreeBusy),
    mode: Mode::Reads,
    run: |cx, request| -> Answer<'_> { Box::pin(answer(cx, request)) },
}];

/// The status of one attendee. RFC 5546 §3.6, RFC 6638 §3.2.9
type Status = &'static str;

const SUCCESS: Status = "2.0;Success";
const UNKNOWN: Status = "3.7;Invalid calendar user";
const NO_AUTHORITY: Status = "3.8;No authority";
const UNAVAILABLE: Status = "5.1;Service unavailable";

/// Nobody's turn is needed to look.
async fn answer(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    drop(cx.turn.take());
    let cx = &*cx;
    let calendar = submitted(cx, request)?;
    let message = FreeBusyRequest::read(&calendar, &zone(cx), &cx.shared.limits)?;
    let poster = poster(cx, &message)?;
    let mut people = People {
        cx,
        message: &message,
        poster,
        known: HashMap::new(),
        room: cx.shared.limits.attendees,
    };
    let mut w = Writer::document(Name::caldav("schedule-response"));
    let mut answered = HashSet::new();
    for attendee in &message.attendees {
        if !answered.insert(address_key(attendee.value())) {
            continue;
        }
        let status = people.busy(attendee.value()).await?;
        write_response(&mut w, &message, attendee, cx, status);
        if w.len() > cx.shared.limits.multistatus_bytes {
            return Err(Condition::NumberOfMatchesWithinLimits.into());
        }
    }
    Ok(Response::xml(200, w.finish()).with("Cache-Control", "no-store"))
}

/// The calendar in the body. RFC 6638 §5.2
fn submitted(cx: &Context, request: &Request) -> Result<Component, Error> {
    let limits = &cx.shared.limits;
    let format = Format::of_body(request.headers.get("Content-Type"));
    let format = format.ok_or_else(|| {
        Condition::SupportedCalendarData.because("text/calendar in UTF-8 is understood.")
    })?;
    if request.body.len() > limits.resource_bytes {
        let sentence = format!("At most {} bytes are read.", limits.resource_bytes);
        return Err(Condition::MaxResourceSize.because(sentence));
    }
    let limits = busy_time::texts(limits);
    let invalid = |sentence: String| Condition::ValidCalendarData.because(sentence);
    if format == Format::JCal {
        return from_jcal(&request.body, &limits).map_err(|problem| invalid(problem.to_string()));
    }
    let parsed = parse(&request.body, &limits);
    if let Some(fault) = parsed.fault() {
        return Err(invalid(Problem::to_string(fault)));
    }
    let calendar = <[Component; 1]>::try_from(parsed.calendars);
    let calendar = calendar.ok().map(|[calendar]| calendar);
    let calendar = calendar.filter(|calendar| calendar.is("VCALENDAR"));
    calendar.ok_or_else(|| invalid("One VCALENDAR is wanted.".to_owned()))
}

/// The zone of local times in a request: the poster's.
fn zone(cx: &Context) -> Zone {
    let zone = |owner, outbox| floating_zone(owner, outbox, &busy_time::texts(&cx.shared.limits));
    let found = cx.target.owner().zip(cx.target.collection());
    found.map_or_else(Zone::utc, |(owner, outbox)| zone(owner, outbox))
}

/// The owner of the outbox, who has to be the ORGANIZER. RFC 6638 §5.2.2
fn poster<'a>(cx: &'a Context, message: &FreeBusyRequest) -> Result<&'a Arc<Principal>, Error> {
    let owner = cx.target.owner();
    let organizer = principal_of(&cx.directory, message.organizer.value());
    match (owner, organizer) {
        (Some(owner), Some(organizer)) if owner.id == organizer.id => Ok(owner),
        _ => Err(Condition::ValidOrganizer.because("ORGANIZER is not the owner of this outbox.")),
    }
}

/// What is known of the people asked about; whoever is asked about twice is looked up once.
struct People<'a> {
    cx: &'a Context,
    message: &'a FreeBusyRequest,
    poster: &'a Arc<Principal>,
    known: HashMap<Id, Found>,
    /// How many homes may still be looked at.
    room: usize,
}

/// Somebody's busy time, or why it is not told.
type Found = Result<Vec<BusyPeriod>, Status>;

impl People<'_> {
    async fn busy(&mut self, address: &str) -> Result<Found, Error> {
        let directory = self.cx.directory.clone();
        let Some(principal) = principal_of(&directory, address) else {
            return Ok(Err(UNKNOWN));
        };
        if principal.kind != PrincipalKind::Group {
            return self.of_one(principal).await;
        }
        let mut all = Vec::new();
        for id in directory.expand(principal.id) {
            if let Some(member) = directory.principal(id) {
                match self.of_one(member).await? {
                    Ok(periods) => all.extend(periods),
                    Err(status) => return Ok(Err(status)),
                }
            }
        }
        Ok(Ok(merge(all)))
    }

    async fn of_one(&mut self, principal: &Arc<Principal>) -> Result<Found, Error> {
        if let Some(known) = self.known.get(&principal.id) {
            return Ok(known.clone());
        }
        let found = self.look(principal).await?;
        self.known.insert(principal.id, found.clone());
        Ok(found)
    }

    async fn look(&mut self, principal: &Arc<Principal>) -> Result<Found, Error> {
        if !takes(principal, self.poster, Privilege::ScheduleQueryFreeBusy) {
            return Ok(Err(NO_AUTHORITY));
        }
        let Some(left) = self.room.checked_sub(1) else {
            return Ok(Err(UNAVAILABLE));
        };
        self.room = left;
        let place = Place {
            owner: principal.clone(),
            home: self.cx.home(principal.id).await?,
        };
        let (directory, poster) = (&self.cx.directory, self.poster.id);
        let is_askers = |organizer: Option<&str>| match organizer {
            Some(address) => principal_of(directory, address).is_some_and(|p| p.id == poster),
            None => principal.id == poster,
        };
        let mask = self.message.mask.as_deref().map(|uid| Mask {
            uid,
            is_askers: &is_askers,
        });
        let asked = Asked {
            range: self.message.range,
            mask,
        };
        match busy_time(&place, &asked, &self.cx.shared.limits).await {
            Ok(periods) => Ok(Ok(periods)),
            Err(NoAnswer::TooMuch(_)) => Ok(Err(UNAVAILABLE)),
            Err(NoAnswer::Store(error)) => Err(error.into()),
        }
    }
}

/// One CALDAV:response. RFC 6638 §10.2
fn write_response(
    w: &mut Writer,
    message: &FreeBusyRequest,
    attendee: &Property,
    cx: &Context,
    found: Found,
) {
    w.raw("<C:response><C:recipient>");
    w.element(Name::dav("href"), attendee.value());
    w.raw("</C:recipient>");
    let status = found.as_ref().map_or_else(|status| *status, |_| SUCCESS);
    w.element(Name::caldav("request-status"), status);
    if let Ok(periods) = found {
        let busy = free_busy(&message.range, &periods, cx.now);
        let reply = message.reply(attendee, busy);
        let calendar = empty_calendar()
            .with(Property::new("METHOD", "REPLY"))
            .with_component(reply);
        let text = print(&calendar);
        w.element(
            Name::caldav("calendar-data"),
            &String::from_utf8_lossy(&text),
        );
    }
    w.raw("</C:response>\n");
}
