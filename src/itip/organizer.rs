//! The organizer's side: what is stored of a meeting that was made, changed or removed, and what the change means for those
//! who answered (RFC 6638 §3.2.1).

use super::force;
use super::meeting::{self, Key, Meeting};
use super::message::{Message, Weight};
use super::outgoing::{Change, Outgoing, Refused, earlier, edited};
use super::people::{COMMENT_PARAM, Person, Route, partstat, served};
use super::sequence::{self, Step};
use super::{tell, view};
use crate::ical::{Component, Property};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What an organizer's change causes.
pub(super) fn change(change: &Change<'_, '_>) -> Result<Outgoing, Refused> {
    if let (Some(before), Some(after)) = (change.before, change.after)
        && let (Some(old), Some(new)) = (before.organizer(), after.organizer())
        && change.who.person(old.value()) != change.who.person(new.value())
    {
        return Err(Refused::OrganizerChange(
            "the organizer of a meeting stays the same",
        ));
    }
    let (stored, steps) = match change.after {
        Some(after) => stored(change, after),
        None => (None, BTreeMap::new()),
    };
    let after = stored.as_ref().and_then(Meeting::read);
    let messages = tell::messages(change, after.as_ref(), &steps);
    let store = stored.map(|stored| with_statuses(change, &stored, &messages));
    Ok(Outgoing { store, messages })
}

/// The object as it is stored: SEQUENCE moved, participation reset or kept, what each component's change means.
fn stored(
    change: &Change<'_, '_>,
    after: &Meeting<'_>,
) -> (Option<Component>, BTreeMap<Option<Key>, Step>) {
    let master = after.master.map(|master| {
        let old = change.before.and_then(|before| before.master);
        let step = step(change, after, (None, old, master));
        let given_back = given_back(change, after);
        sequence::least(old.map_or(0, meeting::sequence), step)
            .max(given_back)
            .max(meeting::sequence(master))
    });
    let mut steps = BTreeMap::new();
    let calendar = edited(after, |key, component| {
        let old = change.before.and_then(|before| earlier(before, key));
        let mut step = step(change, after, (key, old.as_ref(), component));
        let reset = step == Step::Reschedule;
        let known = old
            .as_ref()
            .map(|old| by_person(old, change))
            .unwrap_or_default();
        for attendee in component.properties_mut("ATTENDEE") {
            let was = known.get(&change.who.person(attendee.value())).copied();
            if participation(change, attendee, was, reset) == Asked::Again {
                // RFC 5546 §2.1.4: also for what "will jeopardize the validity of the participation status".
                step = step.max(Step::Revise);
            }
        }
        let number = old.as_ref().map_or(0, meeting::sequence);
        let least = match key {
            None => master.unwrap_or(0),
            Some(_) => left_alone(change, after, component, master),
        };
        sequence::raise(component, sequence::least(number, step).max(least));
        steps.insert(key, step);
    });
    (Some(with_answers(change, calendar)), steps)
}

/// The ATTENDEEs of a component; of two addresses of one person the first.
fn by_person<'c>(
    component: &'c Component,
    change: &Change<'_, '_>,
) -> HashMap<Person, &'c Property> {
    let mut people = HashMap::new();
    for attendee in component.properties("ATTENDEE") {
        people
            .entry(change.who.person(attendee.value()))
            .or_insert(attendee);
    }
    people
}

/// The object with the overrides it lost although they hold answers that the series does not: programs write the whole
/// object from a copy that may be older than such an answer, and it is not the organizer's to take back.
/// RFC 6638 §3.2.1, §3.2.10.1
fn with_answers(change: &Change<'_, '_>, calendar: Component) -> Component {
    let (Some(before), Some(after)) = (change.before, Meeting::read(&calendar)) else {
        return calendar;
    };
    let limits = &change.limits.recur;
    let mut kept = Vec::new();
    for (key, old) in &before.overrides {
        let there = after.overrides.contains_key(key) || after.excludes(*key);
        if there || meeting::is_cancelled(old) || !after.has(*key, limits) {
            continue;
        }
        let Some(mut instance) = view::instance(&after, *key) else {
            continue;
        };
        if sequence::step((before, old), (&after, &instance), limits) == Step::Reschedule {
            continue;
        }
        let mut differs = false;
        for attendee in instance.properties_mut("ATTENDEE") {
            let person = change.who.person(attendee.value());
            let known = meeting::attendee(old, &person, change.who).filter(|a| served(a));
            if let Some(known) = known.filter(|_| person != Person::Owner && served(attendee))
                && partstat(known) != partstat(attendee)
                && partstat(known) != "NEEDS-ACTION"
            {
                *attendee = known.clone();
                differs = true;
            }
        }
        if differs {
            kept.push(instance);
        }
    }
    drop(after);
    let mut calendar = calendar;
    kept.into_iter().for_each(|c| calendar.push_component(c));
    calendar
}

/// What the change of one component means for those who answered.
fn step(
    change: &Change<'_, '_>,
    after: &Meeting<'_>,
    (key, old, component): (Option<Key>, Option<&Component>, &Component),
) -> Step {
    let (Some(before), Some(old)) = (change.before, old) else {
        return Step::Stay;
    };
    let step = sequence::step((before, old), (after, component), &change.limits.recur);
    let withdrawn = key.is_none() && !gone(before, after).is_empty();
    let lost = !invited(old, change).is_subset(&invited(component, change));
    // RFC 5546 §2.1.4: "The "SEQUENCE" property value MUST be incremented each time the "Organizer" uses the "ADD" or
    // "CANCEL" methods": also that somebody invited again is not taken for an older state.
    if withdrawn || lost {
        step.max(Step::Revise)
    } else {
        step
    }
}

/// Those the server sends for who take part in a component.
fn invited(component: &Component, change: &Change<'_, '_>) -> BTreeSet<Person> {
    if meeting::is_cancelled(component) {
        return BTreeSet::new();
    }
    let served = component.properties("ATTENDEE").filter(|a| served(a));
    let people = served.map(|a| change.who.person(a.value()));
    people.filter(|person| *person != Person::Owner).collect()
}

/// Overrides that are there no more: their instances are the series' again, or nobody's.
fn gone<'m>(before: &Meeting<'m>, after: &Meeting<'_>) -> Vec<&'m Component> {
    let overrides = before.overrides.iter();
    let gone = overrides.filter(|(key, _)| !after.overrides.contains_key(key));
    gone.map(|(_, component)| *component).collect()
}

/// SEQUENCE that a series needs so that an override of such an instance, if it ever gets one again, is newer than the one
/// that is gone and than its cancellation.
fn given_back(change: &Change<'_, '_>, after: &Meeting<'_>) -> u64 {
    let gone = change.before.map(|before| gone(before, after));
    let numbers = gone.iter().flatten().map(|c| meeting::sequence(c));
    numbers.max().map_or(0, |number| number.saturating_add(1))
}

/// SEQUENCE that an override needs to be newer than the cancellation of its series for somebody who keeps this instance.
fn left_alone(
    change: &Change<'_, '_>,
    after: &Meeting<'_>,
    component: &Component,
    master: Option<u64>,
) -> u64 {
    let Some(series) = change.before.and_then(|before| before.master) else {
        return 0;
    };
    let still = after.master.map(|c| invited(c, change)).unwrap_or_default();
    let here = invited(component, change);
    let alone = invited(series, change)
        .into_iter()
        .any(|person| here.contains(&person) && !still.contains(&person));
    if alone {
        let cancelled = meeting::sequence(series).saturating_add(1);
        master.unwrap_or(0).max(cancelled)
    } else {
        0
    }
}

/// Whether the organizer set somebody's participation back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Again,
    No,
}

/// What an attendee's participation is after a change by the organizer.
///
/// RFC 6638 §3.2.1: "The server SHOULD reject any attempt to set the "PARTSTAT" iCalendar property parameter value of the
/// "ATTENDEE" iCalendar property of other users in the calendar object resource to a value other than "NEEDS-ACTION"". We
/// put back what the attendee answered instead: programs write the whole object from a copy that may be older than the
/// newest answer, and a refusal would lose the organizer's change.
fn participation(
    change: &Change<'_, '_>,
    attendee: &mut Property,
    was: Option<&Property>,
    reset: bool,
) -> Asked {
    if change.who.is_own(attendee.value()) || !served(attendee) {
        return Asked::No;
    }
    let told = was.map_or_else(|| "NEEDS-ACTION".to_owned(), partstat);
    let again = partstat(attendee) == "NEEDS-ACTION"
        && told != "NEEDS-ACTION"
        && attendee.param("PARTSTAT").is_some();
    if reset || again {
        attendee.set_param("PARTSTAT", "NEEDS-ACTION");
    } else if partstat(attendee) != told {
        attendee.set_param("PARTSTAT", &told);
    }
    let only_informed = attendee
        .param("ROLE")
        .is_some_and(|role| role.eq_ignore_ascii_case("NON-PARTICIPANT"));
    let open = partstat(attendee) == "NEEDS-ACTION" && !only_informed;
    if open && attendee.param("RSVP").is_none() {
        attendee.set_param("RSVP", "TRUE");
    }
    let status = was.and_then(|was| was.param("SCHEDULE-STATUS"));
    if let Some(status) = status {
        attendee.set_param("SCHEDULE-STATUS", &status);
    }
    let said = was.and_then(|was| was.param(COMMENT_PARAM));
    if let Some(said) = said.filter(|_| !reset && !again) {
        attendee.set_param(COMMENT_PARAM, &said);
    }
    if again { Asked::Again } else { Asked::No }
}

/// SCHEDULE-STATUS on everybody something was sent to, or asked for in vain. RFC 6638 §3.2.9, §7.2
fn with_statuses(change: &Change<'_, '_>, stored: &Component, messages: &[Message]) -> Component {
    let told: BTreeSet<Person> = messages
        .iter()
        .filter(|m| m.weight == Weight::News)
        .map(|m| change.who.person(&m.to))
        .collect();
    let mut calendar = stored.clone();
    for component in calendar.all_components_mut() {
        for attendee in component.properties_mut("ATTENDEE") {
            let person = change.who.person(attendee.value());
            if !served(attendee) {
                if served_with_that_status(change, &person, attendee) {
                    attendee.remove_param("SCHEDULE-STATUS");
                }
                continue;
            }
            let status = match &person {
                Person::Owner => continue,
                _ if force::asks_unknown(attendee) => force::IGNORED,
                person if !told.contains(person) => continue,
                Person::Local(id) => Route::Local(id.clone()).status(),
                Person::Other(address) => change.who.route(address).status(),
            };
            attendee.set_param("SCHEDULE-STATUS", status);
        }
    }
    calendar
}

/// Whether the status is the server's, from when it sent for this attendee. What a client says of those whom it tells
/// itself is the client's. RFC 6638 §7.3
fn served_with_that_status(change: &Change<'_, '_>, person: &Person, attendee: &Property) -> bool {
    let status = attendee.param("SCHEDULE-STATUS");
    let components = change.before.iter().flat_map(|before| before.components());
    let mut before = components.filter_map(|(_, c)| meeting::attendee(c, person, change.who));
    before.any(|was| served(was) && was.param("SCHEDULE-STATUS") == status)
}
