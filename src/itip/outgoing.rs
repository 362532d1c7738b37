//! What a change by a calendar's owner makes people send (RFC 6638 §3.2).

use super::attendee;
use super::force;
use super::meeting::{Meeting, is_meeting};
use super::message::{Message, Method};
use super::organizer;
use super::people::{Addresses, served};
use super::{Limits, view};
use crate::ical::{Component, Timestamp};

/// Why the owner changes the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// By hand: PUT, DELETE, the answer page.
    Change,
    /// A deletion that must not be told: Schedule-Reply: F. RFC 6638 §8.1
    Silence,
    /// Taken from elsewhere: import, restore, migration. Nothing is sent and nothing is reset.
    Import,
}

/// What follows from a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outgoing {
    /// The object to store, if it is to be another than the one given.
    pub store: Option<Component>,
    /// What is sent, in order for each recipient.
    pub messages: Vec<Message>,
}

impl Outgoing {
    /// Whether an attendee says something by it: of a removed object, that they decline.
    #[must_use]
    pub fn declines(&self) -> bool {
        self.messages.iter().any(|m| m.method == Method::Reply)
    }
}

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// CALDAV:same-organizer-in-all-components. RFC 6638 §3.2.4.2
    SameOrganizer,
    /// CALDAV:allowed-organizer-scheduling-object-change. RFC 6638 §3.2.4.3
    OrganizerChange(&'static str),
    /// CALDAV:allowed-attendee-scheduling-object-change. RFC 6638 §3.2.4.4
    AttendeeChange(&'static str),
    /// More messages than one change may cause.
    TooMany,
}

/// The part the owner plays in a meeting. RFC 6638 §3.1
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Organizer,
    Attendee,
    /// None that the server acts on.
    Bystander,
}

/// The part the owner plays.
pub(super) fn part(meeting: &Meeting<'_>, who: &Addresses) -> Part {
    let Some(organizer) = meeting.organizer() else {
        return Part::Bystander;
    };
    if who.is_own(organizer.value()) {
        return Part::Organizer;
    }
    let invited = meeting
        .components()
        .any(|(_, c)| c.properties("ATTENDEE").any(|a| who.is_own(a.value())));
    // RFC 6638 §3.2.2.2: with SCHEDULE-AGENT=CLIENT or NONE "the server does no special processing of the resource".
    if invited && served(organizer) {
        Part::Attendee
    } else {
        Part::Bystander
    }
}

/// What the change from `old` to `new` (VCALENDARs; none before a creation and after a removal) makes the server send,
/// and how the new object is stored.
///
/// # Errors
/// [`Refused`], with the precondition that the change breaks.
pub fn outgoing(
    (old, new): (Option<&Component>, Option<&Component>),
    who: &Addresses,
    intent: Intent,
    now: Timestamp,
    limits: &Limits,
) -> Result<Outgoing, Refused> {
    let before = old.and_then(Meeting::read);
    let after = new.and_then(Meeting::read);
    if let Some(after) = &after
        && !after.one_organizer(who)
    {
        return Err(Refused::SameOrganizer);
    }
    if intent == Intent::Import {
        return Ok(Outgoing::default());
    }
    let part_before = before.as_ref().map_or(Part::Bystander, |m| part(m, who));
    let part_after = after.as_ref().map_or(Part::Bystander, |m| part(m, who));
    // RFC 6638 §3.2.3.1: an object that stops being a scheduling object is removed as one; one that starts is created.
    let change = Change {
        before: before.as_ref(),
        after: after.as_ref(),
        who,
        intent,
        now,
        limits,
    };
    let mut outgoing = match (part_before, part_after) {
        (Part::Organizer, Part::Attendee) if after.is_some() => {
            return Err(Refused::OrganizerChange(
                "the organizer of a meeting stays the same",
            ));
        }
        (Part::Attendee, Part::Organizer) => {
            return Err(Refused::AttendeeChange(
                "an attendee cannot become the organizer",
            ));
        }
        (Part::Organizer, _) | (_, Part::Organizer) => organizer::change(&change)?,
        (Part::Attendee, _) | (_, Part::Attendee) => attendee::change(&change)?,
        (Part::Bystander, Part::Bystander) => Outgoing::default(),
    };
    if outgoing.messages.len() > limits.messages {
        return Err(Refused::TooMany);
    }
    // It has done its work.
    let stored = outgoing.store.as_ref().or(new);
    if let Some(stored) = stored.and_then(force::without) {
        outgoing.store = Some(stored);
    }
    Ok(outgoing)
}

/// One change by the owner.
pub(super) struct Change<'c, 'm> {
    pub(super) before: Option<&'c Meeting<'m>>,
    pub(super) after: Option<&'c Meeting<'m>>,
    pub(super) who: &'c Addresses,
    pub(super) intent: Intent,
    pub(super) now: Timestamp,
    pub(super) limits: &'c Limits,
}

/// The VCALENDAR with every meeting component changed by `edit`, which is told which instance it is.
pub(super) fn edited(
    meeting: &Meeting<'_>,
    mut edit: impl FnMut(Option<super::Key>, &mut Component),
) -> Component {
    let mut calendar = meeting.calendar.clone();
    for component in calendar.all_components_mut().filter(|c| is_meeting(c)) {
        let id = component
            .property("RECURRENCE-ID")
            .and_then(crate::ical::values::when);
        let key = id.map(|id| meeting.key(&id));
        edit(key, component);
    }
    calendar
}

/// What a component was before, for comparison: its own earlier state, or the instance it was of the series.
pub(super) fn earlier(before: &Meeting<'_>, key: Option<super::Key>) -> Option<Component> {
    match key {
        None => before.master.cloned(),
        Some(key) => match before.overrides.get(&key) {
            Some(component) => Some((*component).clone()),
            None => view::instance(before, key),
        },
    }
}
