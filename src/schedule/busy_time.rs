//! When somebody is busy, as others are told: the calendars that count, without what was declined,
//! and over them the availability that the inbox keeps. RFC 6638 §5, §9.1, RFC 7953 §5

use crate::dav::{Limits, Place, PrincipalSet};
use crate::ical::{self, Component as Text, address_key, parse};
use crate::recur::{self, BusyPeriod, Range, Timeline, TooMuch, compile};
use crate::store::{self, Collection, Component, Header, Kind, Principal, floating_zone};
use crate::xml::{self, Element, Name};

/// What is asked.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The time that is of interest.
    pub range: Range,
    /// The meeting that does not count.
    pub mask: Option<Mask<'a>>,
}

/// A meeting that is being planned anew, so that it does not stand in its own way.
#[derive(Clone, Copy)]
pub struct Mask<'a> {
    /// Its UID.
    pub uid: &'a str,
    /// Whether it is the asker's, by its ORGANIZER or by having none: nobody learns by masking
    /// which meetings of others somebody has.
    pub is_askers: &'a (dyn Fn(Option<&str>) -> bool + Sync),
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The store could not read.
    Store(store::Error),
    /// An expansion met its limit: there is no partial answer.
    TooMuch(TooMuch),
}

impl From<store::Error> for NoAnswer {
    fn from(error: store::Error) -> NoAnswer {
        NoAnswer::Store(error)
    }
}

impl From<TooMuch> for NoAnswer {
    fn from(error: TooMuch) -> NoAnswer {
        NoAnswer::TooMuch(error)
    }
}

/// When the owner of a home is busy, sorted and merged. RFC 6638 §5
pub async fn busy_time(
    place: &Place,
    asked: &Asked<'_>,
    limits: &Limits,
) -> Result<Vec<BusyPeriod>, NoAnswer> {
    let mut timeline = Timeline::of(asked.range, own_keys(&place.owner));
    let calendars = place.home.collections();
    for calendar in calendars.filter(|c| c.kind == Kind::Calendar) {
        add_calendar(&mut timeline, (place, calendar), asked, limits).await?;
    }
    let inbox = place.home.collections().find(|c| c.kind == Kind::Inbox);
    if let Some(inbox) = inbox {
        add_availability(&mut timeline, (place, inbox), limits)?;
    }
    Ok(timeline.finish())
}

/// The bookings of a room one by one, but for one meeting's, and when it is closed.
#[derive(Debug, Default)]
pub(super) struct Bookings {
    /// What takes the room, unmerged.
    pub(super) taken: Vec<BusyPeriod>,
    /// When it cannot be booked at all.
    pub(super) closed: Vec<BusyPeriod>,
}

/// What takes a room in a time, but for this meeting.
pub(super) async fn bookings(
    place: &Place,
    (range, uid): (Range, &str),
    limits: &Limits,
) -> Result<Bookings, NoAnswer> {
    let mut taken = Vec::new();
    let calendars = place.home.collections();
    for calendar in calendars.filter(|c| c.kind == Kind::Calendar && !c.settings.transparent) {
        let floating = floating_zone(&place.owner, calendar, &texts(limits));
        let members = place.home.members(calendar).await?;
        let mut headers = Vec::new();
        for (header, _) in members.overlapping(&range, &floating, None) {
            if header.component == Some(Component::Event) && header.uid() != uid {
                headers.push(header);
            }
        }
        for compiled in place.home.compiled(&headers).await? {
            let mut timeline = Timeline::of(range, own_keys(&place.owner));
            timeline.add(&compiled, &floating, &instances(limits))?;
            taken.extend(timeline.finish());
        }
    }
    let mut closed = Timeline::new(range);
    if let Some(inbox) = place.home.collections().find(|c| c.kind == Kind::Inbox) {
        add_availability(&mut closed, (place, inbox), limits)?;
    }
    Ok(Bookings {
        taken,
        closed: closed.finish(),
    })
}

/// The forms of an owner's addresses in which ATTENDEEs are compared.
fn own_keys(owner: &Principal) -> Vec<String> {
    let set = PrincipalSet::of(owner.kind).segment();
    let url = format!("/dav/principals/{set}/{}/", owner.name);
    let addresses = owner.addresses.iter().map(String::as_str);
    addresses.chain([url.as_str()]).map(address_key).collect()
}

/// Adds when the objects of a calendar make its owner busy; those of a calendar whose
/// schedule-calendar-transp is transparent do not. RFC 6638 §9.1
pub async fn add_calendar(
    timeline: &mut Timeline,
    (place, calendar): (&Place, &Collection),
    asked: &Asked<'_>,
    limits: &Limits,
) -> Result<(), NoAnswer> {
    if calendar.settings.transparent {
        return Ok(());
    }
    let floating = floating_zone(&place.owner, calendar, &texts(limits));
    let members = place.home.members(calendar).await?;
    let counts = |component| {
        use Component::{Availability, Event, FreeBusy};
        matches!(component, Some(Event | FreeBusy | Availability))
    };
    let mut headers = Vec::new();
    for (header, _) in members.overlapping(&asked.range, &floating, None) {
        if counts(header.component) && !masked(place, &header, asked, limits).await? {
            headers.push(header);
        }
    }
    for compiled in place.home.compiled(&headers).await? {
        timeline.add(&compiled, &floating, &instances(limits))?;
    }
    Ok(())
}

/// Whether an object is the meeting that does not count.
async fn masked(
    place: &Place,
    header: &Header,
    asked: &Asked<'_>,
    limits: &Limits,
) -> Result<bool, store::Error> {
    let Some(mask) = asked.mask.filter(|mask| mask.uid == header.uid()) else {
        return Ok(false);
    };
    let text = place.home.text(header).await?;
    let parsed = parse(&text, &texts(limits));
    let components = parsed.calendars.iter().flat_map(Text::all_components);
    let mut components = components.filter(|component| !component.is("VTIMEZONE"));
    Ok(components.all(|component| {
        let organizer = component.property("ORGANIZER");
        (mask.is_askers)(organizer.map(|organizer| organizer.value()))
    }))
}

/// Adds the VAVAILABILITYs of CALDAV:calendar-availability. RFC 7953 §7.2.2
fn add_availability(
    timeline: &mut Timeline,
    (place, inbox): (&Place, &Collection),
    limits: &Limits,
) -> Result<(), TooMuch> {
    let name = Name::caldav("calendar-availability").clark();
    let kept = inbox.settings.properties.get(&name);
    let element = kept.and_then(|xml| Element::parse(xml.as_bytes(), &xml::Limits::default()).ok());
    let Some(element) = element else {
        return Ok(());
    };
    let floating = floating_zone(&place.owner, inbox, &texts(limits));
    let parsed = parse(element.text().trim().as_bytes(), &texts(limits));
    for calendar in &parsed.calendars {
        timeline.add(&compile(calendar), &floating, &instances(limits))?;
    }
    Ok(())
}

/// How much is read of one text.
pub(super) fn texts(limits: &Limits) -> ical::Limits {
    ical::Limits {
        bytes: limits.resource_bytes,
        ..limits.ical
    }
}

fn instances(limits: &Limits) -> recur::Limits {
    recur::Limits {
        instances: limits.instances,
        ..limits.recur
    }
}
