//! A request for busy time as a value: the restrictions of RFC 5546 §3.3.2, each breach of which is
//! CALDAV:valid-scheduling-message (RFC 6638 §5.2.1).

use crate::dav::{Condition, Error, Limits};
use crate::ical::{Component, Property, Timestamp, When, values};
use crate::itip::is_scheduling_param;
use crate::recur::{Range, Zone, Zones};

/// What is asked about whom.
#[derive(Debug)]
pub(super) struct FreeBusyRequest {
    /// The request's UID, which the replies have too.
    pub(super) uid: Property,
    /// Who asks.
    pub(super) organizer: Property,
    /// Who is asked about.
    pub(super) attendees: Vec<Property>,
    /// Which time.
    pub(super) range: Range,
    /// The UID of the meeting that does not count, as Apple's clients name it.
    pub(super) mask: Option<String>,
}

/// A day.
const DAY: i64 = 86_400;

/// What a request for busy time does not have. RFC 5546 §3.3.2
const ABSENT: [&str; 4] = ["FREEBUSY", "DURATION", "REQUEST-STATUS", "URL"];
/// What no request for busy time holds. RFC 5546 §3.3.2
const NO_COMPONENTS: [&str; 4] = ["VEVENT", "VTODO", "VJOURNAL", "VALARM"];

impl FreeBusyRequest {
    /// Reads the calendar of a message. Local times, which python-caldav sends, are taken in their
    /// zone or else in this one.
    pub(super) fn read(
        calendar: &Component,
        floating: &Zone,
        limits: &Limits,
    ) -> Result<FreeBusyRequest, Error> {
        let zones = Zones::of(calendar);
        let instant = |when: &When| zones.instant(when, floating);
        let request = within(calendar).and_then(|request| asked(request, &instant));
        let request =
            request.map_err(|sentence| Condition::ValidSchedulingMessage.because(sentence))?;
        let days = limits.free_busy_days;
        if request.range.end.0.saturating_sub(request.range.start.0) > days.saturating_mul(DAY) {
            let sentence = format!("At most {days} days can be asked about.");
            return Err(Condition::ValidSchedulingMessage.because(sentence));
        }
        if request.attendees.len() > limits.attendees {
            let sentence = format!("At most {} attendees can be asked about.", limits.attendees);
            return Err(Condition::MaxAttendeesPerInstance.because(sentence));
        }
        Ok(request)
    }

    /// The VFREEBUSY of a reply about one attendee. RFC 5546 §3.3.3
    pub(super) fn reply(&self, attendee: &Property, busy: Component) -> Component {
        let mut attendee = attendee.clone();
        attendee.retain_params(|param| !is_scheduling_param(param.name()) && !param.is("RSVP"));
        busy.with(self.uid.clone())
            .with(self.organizer.clone())
            .with(attendee)
    }
}

/// The one VFREEBUSY of a REQUEST.
fn within(calendar: &Component) -> Result<&Component, &'static str> {
    let mut methods = calendar.properties("METHOD");
    let is_request = |method: &Property| method.value().trim().eq_ignore_ascii_case("REQUEST");
    match (methods.next(), methods.next()) {
        (Some(method), None) if is_request(method) => {}
        _ => return Err("METHOD has to be REQUEST."),
    }
    let mut requests = calendar.components("VFREEBUSY");
    let (Some(request), None) = (requests.next(), requests.next()) else {
        return Err("One VFREEBUSY is wanted.");
    };
    let inside = calendar.all_components().chain(request.all_components());
    let mut inside = inside.filter(|inner| NO_COMPONENTS.iter().any(|name| inner.is(name)));
    match inside.next() {
        None => Ok(request),
        Some(_) => Err("A request for busy time holds one VFREEBUSY and nothing else."),
    }
}

fn asked(
    request: &Component,
    instant: &dyn Fn(&When) -> Timestamp,
) -> Result<FreeBusyRequest, &'static str> {
    if ABSENT.iter().any(|name| request.property(name).is_some()) {
        return Err("A request has no FREEBUSY, DURATION, REQUEST-STATUS and URL.");
    }
    let time = |name| one(request, name).and_then(time);
    time("DTSTAMP").ok_or("One DTSTAMP in UTC is wanted.")?;
    let start = time("DTSTART").ok_or("One DTSTART in UTC is wanted.")?;
    let end = time("DTEND").ok_or("One DTEND in UTC is wanted.")?;
    let attendees: Vec<Property> = request.properties("ATTENDEE").cloned().collect();
    if attendees.is_empty() {
        return Err("An ATTENDEE is wanted.");
    }
    let mut masks = request.properties("X-CALENDARSERVER-MASK-UID");
    let mask = masks.next().map(|mask| mask.text().into_owned());
    if masks.next().is_some() {
        return Err("One X-CALENDARSERVER-MASK-UID at most is wanted.");
    }
    Ok(FreeBusyRequest {
        uid: one(request, "UID").ok_or("One UID is wanted.")?.clone(),
        organizer: one(request, "ORGANIZER")
            .ok_or("One ORGANIZER is wanted.")?
            .clone(),
        attendees,
        range: Range::new(instant(&start), instant(&end))
            .ok_or("DTEND has to be later than DTSTART.")?,
        mask,
    })
}

/// The property, if it is there once and has a value.
fn one<'a>(component: &'a Component, name: &str) -> Option<&'a Property> {
    let mut all = component.properties(name);
    let first = all.next().filter(|first| !first.value().trim().is_empty());
    all.next().map_or(first, |_| None)
}

/// The date and time of a property; a day alone is none.
fn time(property: &Property) -> Option<When> {
    values::when(property).filter(|when| !when.is_date())
}
