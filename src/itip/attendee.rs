//! The attendee's side: which changes are theirs to make, and the REPLY that follows (RFC 6638 §3.2.2).

use super::delegate;
use super::force;
use super::meeting::{self, Key, Meeting};
use super::message::{self, Message, Method, Weight};
use super::outgoing::{Change, Intent, Outgoing, Part, Refused, earlier, edited, part};
use super::people::{Person, partstat};
use super::reply;
use super::view;
use crate::ical::{Component, Property, Timestamp};
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
    let stamp = stamp(change);
    let message = source.and_then(|source| answer(change, source, &answers, stamp));
    let mut messages: Vec<Message> = message.into_iter().collect();
    let answered = (!messages.is_empty()).then_some(stamp);
    if let Some(after) = after.as_ref().filter(|_| change.intent == Intent::Change) {
        messages.extend(delegate::invitations(change, after, stamp));
    }
    let store = store.map(|store| with_status(change, &store, answered));
    Ok(Outgoing { store, messages })
}

/// DTSTAMP of the answer: now, but later than that of an answer given just before, because some take the second of two
/// answers with one DTSTAMP for a copy of the first.
fn stamp(change: &Change<'_, '_>) -> Timestamp {
    const JUST_BEFORE: i64 = 60;
    let components = change.before.into_iter().flat_map(Meeting::components);
    let last = components.map(|(_, c)| meeting::stamp(c)).max();
    match last {
        Some(last) if last >= change.now && last.0 - change.now.0 < JUST_BEFORE => {
            Timestamp(last.0 + 1)
        }
        _ => change.now,
    }
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
    let invited = |meeting: &Meeting<'_>| meeting.invited(change.who).contains_key(&Person::Owner);
    if !invited(after) {
        return Err(Refused::AttendeeChange(
            "an attendee stays on the list; they may decline, or delete the meeting",
        ));
    }
    kept_overrides(change, before, after)?;
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

/// An override goes only together with its instance (EXDATE), or if it said nothing that the series does not say.
fn kept_overrides(
    change: &Change<'_, '_>,
    before: &Meeting<'_>,
    after: &Meeting<'_>,
) -> Result<(), Refused> {
    let dropped = before.overrides.iter().filter(|(key, component)| {
        let there = after.overrides.contains_key(key) || after.excludes(**key);
        !there && !meeting::is_cancelled(component)
    });
    for (key, component) in dropped {
        match view::instance(after, *key) {
            Some(instance) => same_meeting(change, (before, component), (after, &instance))?,
            None => {
                return Err(Refused::AttendeeChange(
                    "an instance is taken out by EXDATE",
                ));
            }
        }
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
            let asked = component.property("ORGANIZER").and_then(force::asked);
            let mut organizer = organizer.clone();
            if let Some(method) = asked {
                force::ask(&mut organizer, &method);
            }
            component.set(organizer);
        }
        let number = meeting::sequence(&old);
        if meeting::sequence(component) != number {
            component.set(Property::new("SEQUENCE", &number.to_string()));
        }
        delegate::with_delegates(component, &Person::Owner, change.who);
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
        .is_some_and(|organizer| force::asks(organizer, "REPLY"));
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
        let progress = old.as_ref().is_some_and(|old| progressed(old, component));
        if news || (forced || progress) && is.is_some() {
            answers.insert(key, with_comment(component, old.as_ref()));
        }
    }
    if answers.contains_key(&None) {
        // What an instance is answered with that has a component of its own is not what the series is.
        for (key, component) in after.components() {
            let said = !meeting::is_cancelled(component) && own_answer(component, change).is_some();
            if said && !answers.contains_key(&key) {
                answers.insert(key, with_comment(component, Some(component)));
            }
        }
    }
    if let Some(before) = change.before {
        for key in after.exceptions() {
            let gone = !before.excludes(*key) && !after.overrides.contains_key(key);
            let governing = before.governing(*key);
            let had = governing
                .filter(|c| !meeting::is_cancelled(c))
                .and_then(|c| own_answer(c, change));
            let live = before.has(*key, &change.limits.recur);
            if gone
                && live
                && had.is_some_and(|answer| answer != "DECLINED")
                && let Some(component) = earlier(before, Some(*key))
            {
                let component = with_comment(&component, Some(&component));
                answers.insert(Some(*key), with_answer(component, change, "DECLINED"));
            }
        }
        given_back(change, (before, after), &mut answers);
        still_out(change, (before, after), &mut answers);
    }
    answers
}

/// An instance whose EXDATE was taken back is answered by what the series says.
fn given_back(
    change: &Change<'_, '_>,
    (before, after): (&Meeting<'_>, &Meeting<'_>),
    answers: &mut BTreeMap<Option<Key>, Component>,
) {
    for key in before.exceptions() {
        let back = !after.excludes(*key)
            && !before.overrides.contains_key(key)
            && !after.overrides.contains_key(key)
            && after.has(*key, &change.limits.recur);
        let instance = view::instance(after, *key).filter(|_| back);
        if let Some(instance) = instance
            && own_answer(&instance, change).is_some_and(|answer| answer != "NEEDS-ACTION")
        {
            answers.insert(Some(*key), with_comment(&instance, Some(&instance)));
        }
    }
}

/// A series that was declined and is not any more is so but for the instances that were taken out of it meanwhile, of
/// which nothing had to be said.
fn still_out(
    change: &Change<'_, '_>,
    (before, after): (&Meeting<'_>, &Meeting<'_>),
    answers: &mut BTreeMap<Option<Key>, Component>,
) {
    let was = before.master.and_then(|master| own_answer(master, change));
    if was.as_deref() != Some("DECLINED") || !answers.contains_key(&None) {
        return;
    }
    for key in after.exceptions() {
        let instance = view::instance(after, *key);
        let live = before.has(*key, &change.limits.recur);
        if let Some(instance) = instance.filter(|_| live && !answers.contains_key(&Some(*key))) {
            let instance = with_comment(&instance, Some(&instance));
            answers.insert(Some(*key), with_answer(instance, change, "DECLINED"));
        }
    }
}

/// Whether an attendee came further with a to-do. RFC 5546 §3.4.3
fn progressed(old: &Component, new: &Component) -> bool {
    let value = |component: &Component, name: &str| {
        component
            .property(name)
            .map(|p| p.value().trim().to_owned())
    };
    let moved = |name: &str| value(old, name) != value(new, name);
    new.is("VTODO") && (moved("PERCENT-COMPLETE") || moved("COMPLETED"))
}

/// What is answered, with the attendee's comment if this is a new one: not the organizer's own, and none twice.
fn with_comment(component: &Component, old: Option<&Component>) -> Component {
    let said = |component: &Component| -> Vec<String> {
        let comments = component.properties("COMMENT");
        comments.map(|p| p.text().into_owned()).collect()
    };
    let known = old.map(said).unwrap_or_default();
    let mut component = component.clone();
    component.retain_properties(|p| !p.is("COMMENT") || !known.contains(&p.text().into_owned()));
    component
}

/// A removed object declines whatever was not declined yet. RFC 6638 §3.2.2.4
fn declined(change: &Change<'_, '_>, before: &Meeting<'_>) -> BTreeMap<Option<Key>, Component> {
    let live = |component: &Component| {
        !meeting::is_cancelled(component)
            && own_answer(component, change).is_some_and(|answer| answer != "DECLINED")
    };
    before
        .components()
        .filter(|(_, component)| live(component))
        .map(|(key, c)| (key, with_comment(c, Some(c))))
        .map(|(key, c)| (key, with_answer(c, change, "DECLINED")))
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
    stamp: Timestamp,
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
        .map(|c| message::stamped(c, stamp))
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

/// SCHEDULE-STATUS on ORGANIZER says whether the answer got through, DTSTAMP when it was given. RFC 6638 §3.2.2.3, §7.2
fn with_status(
    change: &Change<'_, '_>,
    stored: &Component,
    answered: Option<Timestamp>,
) -> Component {
    let mut calendar = stored.clone();
    for component in calendar.all_components_mut() {
        if let Some(stamp) = answered.filter(|_| meeting::is_meeting(component)) {
            *component = message::stamped(component.clone(), stamp);
        }
        let Some(organizer) = component.property_mut("ORGANIZER") else {
            continue;
        };
        if force::asks_unknown(organizer) {
            organizer.set_param("SCHEDULE-STATUS", force::IGNORED);
        } else if answered.is_some() {
            let status = change.who.route(organizer.value()).status();
            organizer.set_param("SCHEDULE-STATUS", status);
        }
    }
    calendar
}
