//! Participation that a program could not know of when it wrote an object (RFC 6638 §3.2.10.1).
//!
//! What changes while a Schedule-Tag stays is participation alone. In components that both sides have, `outgoing` takes
//! it from the stored object; here it is brought into instances for which answers made overrides meanwhile.

use super::Limits;
use super::meeting::{self, Key, Meeting};
use super::people::{Addresses, Person, partstat};
use super::view;
use crate::ical::Component;

/// The object as the owner's program wrote it on `base`, with the overrides that answers made since and that are in
/// `current`; none if there are none.
#[must_use]
pub fn merge(
    base: &Component,
    current: &Component,
    new: &Component,
    who: &Addresses,
    limits: &Limits,
) -> Option<Component> {
    let (before, now) = (Meeting::read(base)?, Meeting::read(current)?);
    let written = Meeting::read(new)?;
    let master = written.master?;
    let mut merged = None;
    for (key, answered) in &now.overrides {
        let unknown = !before.overrides.contains_key(key) && !written.overrides.contains_key(key);
        if !unknown || written.excludes(*key) || !written.has(*key, &limits.recur) {
            continue;
        }
        let instance = view::instance_of(&written, master, *key);
        if let Some(component) = instance.and_then(|i| with_answers(i, (&now, *key), answered, who))
        {
            merged
                .get_or_insert_with(|| new.clone())
                .push_component(component);
        }
    }
    merged
}

/// The instance with the participation that differs in the override from the series; none if none does.
fn with_answers(
    mut instance: Component,
    (now, key): (&Meeting<'_>, Key),
    answered: &Component,
    who: &Addresses,
) -> Option<Component> {
    let series = view::instance(now, key);
    let mut differs = false;
    for attendee in instance.properties_mut("ATTENDEE") {
        let person = who.person(attendee.value());
        let said = |component: &Component| meeting::attendee(component, &person, who).map(partstat);
        let special = meeting::attendee(answered, &person, who)
            .filter(|_| person != Person::Owner)
            .filter(|_| series.as_ref().and_then(said) != said(answered));
        if let Some(special) = special {
            *attendee = special.clone();
            differs = true;
        }
    }
    differs.then_some(instance)
}
