//! Delegation: an attendee lets somebody else take part for them (RFC 5546 §2.1.2, §3.2.2.3, §4.2.5-7).
//!
//! The delegator's program sets PARTSTAT=DELEGATED and DELEGATED-TO on its own ATTENDEE. The organizer is told by a REPLY
//! that names the delegate, the delegate gets the meeting by a REQUEST of the delegator, and answers the organizer.
//!
//! **Gaps**: an attendee who takes a delegation back does not uninvite the delegate, who may have accepted: RFC 5546 has no
//! message for it. The organizer sees both and decides.

use super::meeting::{self, Key, Meeting};
use super::message::{self, Message, Method, Weight};
use super::outgoing::{Change, earlier};
use super::people::{Addresses, Person, partstat};
use super::view;
use crate::ical::{Component, Property, Timestamp};
use std::collections::BTreeMap;

/// Those whom this person passed their part on to, in this component.
pub(super) fn delegates_of(
    component: &Component,
    person: &Person,
    who: &Addresses,
) -> BTreeMap<Person, String> {
    let own = component
        .properties("ATTENDEE")
        .filter(|a| who.person(a.value()) == *person && partstat(a) == "DELEGATED");
    own.flat_map(|a| a.param_values("DELEGATED-TO"))
        .map(|address| (who.person(&address), address.into_owned()))
        .filter(|(delegate, _)| delegate != person)
        .collect()
}

/// The ATTENDEE of a delegate: as somebody wrote it, else made. RFC 5546 §3.2.2.3
pub(super) fn attendee(
    source: &Component,
    (delegator, address): (&str, &str),
    who: &Addresses,
) -> Property {
    let named = meeting::attendee(source, &who.person(address), who).cloned();
    let mut delegate = named.unwrap_or_else(|| Property::new("ATTENDEE", address));
    delegate.set_param_values("DELEGATED-FROM", &[delegator]);
    if delegate.param("PARTSTAT").is_none() {
        delegate.set_param("PARTSTAT", "NEEDS-ACTION");
        delegate.set_param("RSVP", "TRUE");
    }
    delegate
}

/// A component with an ATTENDEE for everybody its owner delegates to. RFC 5546 §4.2.5 (B)
pub(super) fn with_delegates(component: &mut Component, person: &Person, who: &Addresses) {
    let own = meeting::attendee(component, person, who).map(|own| own.value().trim().to_owned());
    let Some(own) = own else {
        return;
    };
    for (delegate, address) in delegates_of(component, person, who) {
        if meeting::attendee(component, &delegate, who).is_none() {
            let made = attendee(component, (&own, &address), who);
            component.push(made);
        }
    }
}

/// The REQUESTs by which the owner of an attendee's object passes their part on: one to everybody newly named.
/// RFC 5546 §3.2.2.3: "The "Delegator" of an event forwards the existing "REQUEST" to the "Delegate"."
pub(super) fn invitations(
    change: &Change<'_, '_>,
    after: &Meeting<'_>,
    stamp: Timestamp,
) -> Vec<Message> {
    let mut invited: BTreeMap<Person, (String, BTreeMap<Option<Key>, Component>)> = BTreeMap::new();
    for (key, component) in after.components() {
        let old = change.before.and_then(|before| earlier(before, key));
        let known = old
            .map(|old| delegates_of(&old, &Person::Owner, change.who))
            .unwrap_or_default();
        for (delegate, address) in delegates_of(component, &Person::Owner, change.who) {
            if !known.contains_key(&delegate) {
                let shown = message::stamped(view::public(component), stamp);
                let entry = invited
                    .entry(delegate)
                    .or_insert((address, BTreeMap::new()));
                entry.1.insert(key, shown);
            }
        }
    }
    let (Some(uid), Some(from)) = (
        after.any().and_then(|c| c.text("UID")),
        after.invited(change.who).remove(&Person::Owner),
    ) else {
        return Vec::new();
    };
    let request = |(to, components): (String, BTreeMap<Option<Key>, Component>)| Message {
        method: Method::Request,
        from: from.clone(),
        to,
        uid: uid.clone().into_owned(),
        weight: Weight::News,
        calendar: message::envelope(
            after.calendar,
            Method::Request,
            components.into_values().collect(),
        ),
    };
    invited.into_values().map(request).collect()
}

/// Whether a REQUEST that is not the organizer's passes a part of the meeting on to its recipient: the sender is an
/// attendee who says so, and the recipient is the delegate.
pub(super) fn delegates(meeting: &Meeting<'_>, sender: &Person, who: &Addresses) -> bool {
    meeting.components().all(|(_, component)| {
        delegates_of(component, sender, who).contains_key(&Person::Owner)
            && meeting::attendee(component, &Person::Owner, who).is_some()
    })
}

/// The delegator in whose place somebody takes part.
pub(super) fn delegator_of(
    component: &Component,
    delegate: &Person,
    who: &Addresses,
) -> Option<Person> {
    component
        .properties("ATTENDEE")
        .find(|a| {
            let to = a.param_values("DELEGATED-TO");
            to.iter().any(|to| who.person(to) == *delegate)
        })
        .map(|a| who.person(a.value()))
}
