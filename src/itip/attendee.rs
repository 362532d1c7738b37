//! The attendee's side: which changes are theirs to make, and the REPLY that follows (RFC 6638 §3.2.2).

use super::meeting::{self, Key, Meeting};
use super::message::{self, Message, Method, Weight};
use super::outgoing::{Change, Intent, Outgoing, Part, Refused, earlier, edited, part};
use super::people::{Person, partstat};
use super::reply;
use super::view;
use crate::ical::{Component, Property};
use std::collections::BTreeMap;

/// What an attendee's change causes.
pub(super) fn change(change: &Change<'_, '_>) -> Result<Outgoing, Refused> {
    let store = match (change.before, change.after) {
        (Some(before), Some(after)) if part(before, change.who) == Part::Attendee => {
            allowed(change, before, after)?;
            Some(merged(change, before, after))
        }
        (_, after) => after.map(|after| after.calendar.clone()),
    };
    let after = store.as_ref().and_then(Meeting::read);
    let answers = answers(change, after.as_ref());
    let source = after.as_ref().or(change.before);
    let message = source.and_then(|source| answer(change, source, &answers));
    let store = store.map(|store| with_status(change, &store, message.is_some()));
    Ok(Outgoing {
        store,
        messages: message.into_iter().collect(),
    })
}

/// Properties an attendee may add, change and remove. RFC 6638 §3.2.2.1 lists those that servers must allow; we add what
/// programs keep for their user alone (CATEGORIES, COLOR, COMMENT, X- properties, ...), and SEQUENCE, which some move.
const OWN: [&str; 14] = [
    "TRANSP",
    "PERCENT-COMPLETE",
    "COMPLETED",
    "CREATED",
    "DTSTAMP",
    "LAST-MODIFIED",
    "CATEGORIES",
    "COLOR",
    "COMMENT",
    "SEQUENCE",
    "REQUEST-STATUS",
    "EXDATE",
    "ATTENDEE",
    "ACKNOWLEDGED",
];

/// Whether this property is the attendee's own.
pub(super) fn is_own(property: &Property) -> bool {
    let name = property.name();
    OWN.iter().any(|own| property.is(own))
        || name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("X-"))
}

/// Refuses changes that are the organizer's to make. RFC 6638 §3.2.2.1, §3.2.4.4
fn allowed(
    change: &Change<'_, '_>,
    before: &Meeting<'_>,
    after: &Meeting<'_>,
) -> Result<(), Refused> {
    let (Some(old), Some(new)) = (before.organizer(), after.organizer()) else {
        return Err(Refused::AttendeeChange("the organizer of a meeting stays"));
    };
    if change.who.person(old.value()) != change.who.person(new.value()) {
        return Err(Refused::AttendeeChange(
            "the organizer of a meeting stays the same",
        ));
    }
    if before.master.is_some() != after.master.is_some() {
        return Err(Refused::AttendeeChange("a series stays a series"));
    }
    for (key, component) in after.components() {
        let Some(old) = earlier(before, key) else {
            return Err(Refused::AttendeeChange("an attendee cannot add instances"));
        };
        if let Some(key) = key {
            let known =
                before.overrides.contains_key(&key) || before.has(key, &change.limits.recur);
            if !known {
                return Err(Refused::AttendeeChange("an attendee cannot add instances"));
            }
        }
        same_meeting(change, (before, &old), (after, component))?;
    }
    Ok(())
}

fn same_meeting(
    change: &Change<'_, '_>,
    (before, old): (&Meeting<'_>, &Component),
    (after, new): (&Meeting<'_>, &Component),
) -> Result<(), Refused> {
    let (old_start, old_length) = view::times(before, old);
    let (new_start, new_length) = view::times(after, new);
    let instant = |meeting: &Meeting<'_>, when| meeting.instant(when);
    let same_start = match (&old_start, &new_start) {
        (Some(one), Some(two)) => instant(before, one) == instant(after, two),
        (one, two) => one == two,
    };
    if !same_start || old_length != new_length {
        return Err(Refused::AttendeeChange(
            "only the organizer moves a meeting",
        ));
    }
    if substance(old) != substance(new) {
        return Err(Refused::AttendeeChange(
            "an attendee changes only their participation, alarms, categories and private properties",
        ));
    }
    let people = |c: &Component| -> Vec<Person> {
        let mut people: Vec<_> = c
            .properties("ATTENDEE")
            .map(|a| change.who.person(a.value()))
            .filter(|p| *p != Person::Owner)
            .collect();
        people.sort();
        people.dedup();
        people
    };
    let delegates = |c: &Component| {
        c.properties("ATTENDEE")
            .filter(|a| change.who.is_own(a.value()))
            .flat_map(|a| {
                a.param_values("DELEGATED-TO")
                    .into_iter()
                    .map(|d| change.who.person(&d))
                    .collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    let delegated = delegates(new);
    let mut expected = people(old);
    expected.extend(
        delegated
            .iter()
            .filter(|d| people(new).contains(d))
            .cloned(),
    );
    expected.sort();
    expected.dedup();
    if people(new) != expected {
        return Err(Refused::AttendeeChange(
            "only the organizer invites and uninvites",
        ));
    }
    Ok(())
}

/// What only the organizer may change, by meaning: times are compared apart.
fn substance(component: &Component) -> Vec<String> {
    const TIMES: [&str; 5] = ["DTSTART", "DTEND", "DURATION", "DUE", "RECURRENCE-ID"];
    let mut lines: Vec<String> = component
        .all_properties()
        .filter(|p| !is_own(p) && !TIMES.iter().any(|name| p.is(name)) && !p.is("ORGANIZER"))
        .filter(|p| !HARMLESS.contains(&p.line().to_ascii_uppercase().as_str()))
        .map(|p| {
            let value = if p.is("RRULE") {
                p.value().to_ascii_uppercase()
            } else {
                p.text().trim_end().to_owned()
            };
            format!("{}:{value}", p.name().to_ascii_uppercase())
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// Lines that say what holds without them.
const HARMLESS: [&str; 4] = [
    "CLASS:PUBLIC",
    "PRIORITY:0",
    "STATUS:CONFIRMED",
    "DESCRIPTION:",
];

/// The attendee's new object with everybody else's participation as the server knows it: what the program sent of it may
/// be older. RFC 6638 §3.2.10.1
fn merged(change: &Change<'_, '_>, before: &Meeting<'_>, after: &Meeting<'_>) -> Component {
    edited(after, |key, component| {
        let Some(old) = earlier(before, key) else {
            return;
        };
        for attendee in component.properties_mut("ATTENDEE") {
            let person = change.who.person(attendee.value());
            let known = meeting::attendee(&old, &person, change.who);
            if let Some(known) = known.filter(|_| person != Person::Owner) {
                *attendee = known.clone();
            }
        }
        if let Some(organizer) = old.property("ORGANIZER") {
            let agent = component.property("ORGANIZER").and_then(|o| {
                o.param("SCHEDULE-FORCE-SEND")
                    .map(std::borrow::Cow::into_owned)
            });
            let mut organizer = organizer.clone();
            if let Some(force) = agent {
                organizer.set_param("SCHEDULE-FORCE-SEND", &force);
            }
            component.set(organizer);
        }
        let number = meeting::sequence(&old);
        if meeting::sequence(component) != number {
            component.set(Property::new("SEQUENCE", &number.to_string()));
        }
    })
}

/// The components of the REPLY, by instance.
fn answers(
    change: &Change<'_, '_>,
    after: Option<&Meeting<'_>>,
) -> BTreeMap<Option<Key>, Component> {
    if change.intent == Intent::Silence {
        return BTreeMap::new();
    }
    match after {
        Some(after) => changed_answers(change, after),
        None => change
            .before
            .map(|before| declined(change, before))
            .unwrap_or_default(),
    }
}

fn own_answer(component: &Component, change: &Change<'_, '_>) -> Option<String> {
    meeting::attendee(component, &Person::Owner, change.who).map(partstat)
}

/// RFC 6638 §3.2.2.3: a changed PARTSTAT, and an instance taken out by EXDATE, are answers.
fn changed_answers(
    change: &Change<'_, '_>,
    after: &Meeting<'_>,
) -> BTreeMap<Option<Key>, Component> {
    let mut answers = BTreeMap::new();
    let forced = after
        .organizer()
        .and_then(|o| o.param("SCHEDULE-FORCE-SEND"))
        .is_some_and(|method| method.eq_ignore_ascii_case("REPLY"));
    for (key, component) in after.components() {
        let old = change.before.and_then(|before| earlier(before, key));
        let was = old.as_ref().and_then(|old| own_answer(old, change));
        let is = own_answer(component, change);
        // An instance that was taken out and is there again is answered by what it says now.
        let back = key.is_some_and(|key| {
            change
                .before
                .is_some_and(|b| b.excludes(key) && !b.overrides.contains_key(&key))
        });
        let was = if back {
            Some("DECLINED".to_owned())
        } else {
            was
        };
        let news = match (&was, &is) {
            (_, None) => false,
            (None, Some(is)) => is != "NEEDS-ACTION",
            (Some(was), Some(is)) => was != is,
        };
        if news || forced && is.is_some() {
            answers.insert(key, component.clone());
        }
    }
    if let Some(before) = change.before {
        for key in after.exceptions() {
            let gone = !before.excludes(*key) && !after.overrides.contains_key(key);
            let had = before.governing(*key).and_then(|c| own_answer(c, change));
            let live = before.has(*key, &change.limits.recur);
            if gone
                && live
                && had.is_some_and(|answer| answer != "DECLINED")
                && let Some(component) = earlier(before, Some(*key))
            {
                answers.insert(Some(*key), with_answer(component, change, "DECLINED"));
            }
        }
    }
    answers
}

/// A removed object declines whatever was not declined yet. RFC 6638 §3.2.2.4
fn declined(change: &Change<'_, '_>, before: &Meeting<'_>) -> BTreeMap<Option<Key>, Component> {
    let live = |component: &Component| {
        let cancelled = component
            .property("STATUS")
            .is_some_and(|s| s.value().trim().eq_ignore_ascii_case("CANCELLED"));
        !cancelled && own_answer(component, change).is_some_and(|answer| answer != "DECLINED")
    };
    before
        .components()
        .filter(|(_, component)| live(component))
        .map(|(key, c)| (key, with_answer(c.clone(), change, "DECLINED")))
        .collect()
}

fn with_answer(mut component: Component, change: &Change<'_, '_>, answer: &str) -> Component {
    for attendee in component.properties_mut("ATTENDEE") {
        if change.who.is_own(attendee.value()) {
            attendee.set_param("PARTSTAT", answer);
        }
    }
    component
}

/// The REPLY. RFC 5546 §3.2.3
fn answer(
    change: &Change<'_, '_>,
    source: &Meeting<'_>,
    answers: &BTreeMap<Option<Key>, Component>,
) -> Option<Message> {
    if answers.is_empty() {
        return None;
    }
    let own = answers
        .values()
        .find_map(|c| meeting::attendee(c, &Person::Owner, change.who))?;
    let from = own.value().trim().to_owned();
    let components: Vec<_> = answers
        .values()
        .filter_map(|c| reply::component(c, change.who))
        .map(|c| message::stamped(c, change.now))
        .collect();
    Some(Message {
        method: Method::Reply,
        from,
        to: source.organizer()?.value().trim().to_owned(),
        uid: source.any()?.text("UID")?.into_owned(),
        weight: Weight::News,
        calendar: message::envelope(source.calendar, Method::Reply, components),
    })
}

/// SCHEDULE-STATUS on ORGANIZER says whether the answer got through; SCHEDULE-FORCE-SEND has done its work.
/// RFC 6638 §3.2.2.3, §7.2
fn with_status(change: &Change<'_, '_>, stored: &Component, answered: bool) -> Component {
    let mut calendar = stored.clone();
    for component in calendar.all_components_mut() {
        let Some(organizer) = component.property_mut("ORGANIZER") else {
            continue;
        };
        if organizer.param("SCHEDULE-FORCE-SEND").is_some() {
            organizer.remove_param("SCHEDULE-FORCE-SEND");
        }
        if answered {
            let status = change.who.route(organizer.value()).status();
            organizer.set_param("SCHEDULE-STATUS", status);
        }
    }
    calendar
}
