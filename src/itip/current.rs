//! What somebody who is invited to a meeting sees of it now, as a message: the refresh of their copy after others
//! answered (RFC 6638 §4.2), and the answer to REFRESH (RFC 5546 §3.2.6).

use super::meeting::{Invited, Meeting};
use super::message::{self, Message, Method, Weight};
use super::people::{Addresses, Person, served};
use super::view::{View, ViewId};
use crate::ical::{Component, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

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
    let meeting = own_meeting(calendar, who)?;
    Shown::of(&meeting, who, now).message(to, weight)
}

/// The same for everybody who is invited; those who see the same share it.
#[must_use]
pub fn current_of_all(
    calendar: &Component,
    who: &Addresses,
    weight: Weight,
    now: Timestamp,
) -> Vec<Message> {
    let Some(meeting) = own_meeting(calendar, who) else {
        return Vec::new();
    };
    let mut shown = Shown::of(&meeting, who, now);
    let invited = meeting.invited(who);
    let others = invited
        .iter()
        .filter(|(person, _)| **person != Person::Owner);
    others
        .filter_map(|(_, address)| shown.message(address, weight))
        .collect()
}

fn own_meeting<'c>(calendar: &'c Component, who: &Addresses) -> Option<Meeting<'c>> {
    let meeting = Meeting::read(calendar)?;
    let own = meeting.organizer().is_some_and(|o| who.is_own(o.value()));
    own.then_some(meeting)
}

/// What those who are invited to a meeting see of it now, made once for all who see the same.
pub(super) struct Shown<'m, 'c> {
    meeting: &'m Meeting<'c>,
    who: &'m Addresses,
    now: Timestamp,
    guests: BTreeMap<Person, Vec<Invited<'c>>>,
    made: BTreeMap<ViewId, Arc<Component>>,
}

impl<'m, 'c> Shown<'m, 'c> {
    /// What they see of a meeting that is the owner's.
    pub(super) fn of(
        meeting: &'m Meeting<'c>,
        who: &'m Addresses,
        now: Timestamp,
    ) -> Shown<'m, 'c> {
        Shown {
            meeting,
            who,
            now,
            guests: meeting.guests(who),
            made: BTreeMap::new(),
        }
    }

    /// The REQUEST to the person of this address.
    pub(super) fn message(&mut self, to: &str, weight: Weight) -> Option<Message> {
        let guest = self.guests.get(&self.who.person(to))?;
        let view = View::of(self.meeting, guest);
        if view.is_empty() || !guest.iter().any(|(_, _, own)| served(own)) {
            return None;
        }
        let made = self.made.entry(view.id()).or_insert_with(|| {
            let shown = view.shown(self.meeting).into_values();
            let components = shown.map(|c| message::stamped(c, self.now)).collect();
            message::envelope(self.meeting.calendar, Method::Request, components)
        });
        Some(Message {
            method: Method::Request,
            from: self.meeting.organizer()?.value().trim().to_owned(),
            to: to.to_owned(),
            uid: self.meeting.any()?.text("UID")?.into_owned(),
            weight,
            calendar: made.clone(),
        })
    }
}
