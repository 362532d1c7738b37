//! How far two states of the same components differ, seen by somebody who reads them.

use super::meeting::{Key, Meeting};
use super::people::is_private_param;
use super::view;
use crate::ical::{Component, Property};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How much changed, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// Nothing a reader would see.
    None,
    /// Only what attendees answered.
    Participation,
    /// Who is invited.
    Attendance,
    /// What the meeting is.
    Substance,
}

/// Properties that say when a text was written, not what it says.
const BOOKKEEPING: [&str; 5] = [
    "DTSTAMP",
    "LAST-MODIFIED",
    "CREATED",
    "SEQUENCE",
    "REQUEST-STATUS",
];

/// Components by instance, with the meeting they are of, from which the instances without an override follow.
pub(super) type Shown<'s, 'm> = (&'s Meeting<'m>, &'s BTreeMap<Option<Key>, Component>);

/// The difference between what was shown and what is shown now. An override that one side does not have is compared with
/// the instance that the series gives there.
pub(super) fn difference(old: Shown<'_, '_>, new: Shown<'_, '_>) -> Difference {
    let (before, after) = (filled(old, new.1), filled(new, old.1));
    if !before.keys().eq(after.keys()) {
        return Difference::Substance;
    }
    let pairs = before.values().zip(after.values());
    pairs
        .map(|(old, new)| components(old, new))
        .max()
        .unwrap_or(Difference::None)
}

fn filled<'s>(
    (meeting, shown): Shown<'s, '_>,
    other: &BTreeMap<Option<Key>, Component>,
) -> BTreeMap<Option<Key>, Cow<'s, Component>> {
    let own = shown.iter().map(|(key, c)| (*key, Cow::Borrowed(c)));
    let mut filled: BTreeMap<Option<Key>, Cow<'s, Component>> = own.collect();
    let Some(master) = shown.get(&None) else {
        return filled;
    };
    for key in other.keys().filter(|key| !shown.contains_key(key)) {
        let instance = key.filter(|key| !meeting.excludes(*key));
        if let Some(component) = instance.and_then(|key| view::instance_of(meeting, master, key)) {
            filled.insert(*key, Cow::Owned(component));
        }
    }
    filled
}

/// The difference between two components.
pub(super) fn components(old: &Component, new: &Component) -> Difference {
    let (old_lines, new_lines) = apart(old, new);
    if substance(old, &old_lines) != substance(new, &new_lines) {
        return Difference::Substance;
    }
    let same = |without: &[&str]| attendees(&old_lines, without) == attendees(&new_lines, without);
    if !same(&["PARTSTAT", "RSVP"]) {
        return Difference::Attendance;
    }
    if !same(&["RSVP"]) {
        return Difference::Participation;
    }
    Difference::None
}

/// The properties of each that the other does not have word for word. Most are the same, and a meeting of a hundred is
/// compared for each of them.
fn apart<'c>(old: &'c Component, new: &'c Component) -> (Vec<&'c Property>, Vec<&'c Property>) {
    let (mut here, mut there) = (old.all_properties(), new.all_properties());
    let (mut gone, mut added) = (Vec::new(), Vec::new());
    loop {
        match (here.next(), there.next()) {
            (None, None) => break,
            (Some(one), Some(two)) if one == two => {}
            (one, two) => {
                gone.extend(one);
                added.extend(two);
            }
        }
    }
    gone.sort_by(|a, b| a.line().cmp(b.line()));
    added.sort_by(|a, b| a.line().cmp(b.line()));
    (without(&gone, &added), without(&added, &gone))
}

/// The properties of one sorted list that have none of their own in the other.
fn without<'c>(list: &[&'c Property], other: &[&'c Property]) -> Vec<&'c Property> {
    let mut rest = Vec::new();
    let mut others = other.iter().peekable();
    for property in list {
        while others
            .next_if(|other| other.line() < property.line())
            .is_some()
        {}
        if others
            .next_if(|other| other.line() == property.line())
            .is_none()
        {
            rest.push(*property);
        }
    }
    rest
}

/// Of these lines all but attendees and bookkeeping, and of its components all, in an order that does not depend on the
/// program that wrote them.
fn substance(component: &Component, lines: &[&Property]) -> Vec<String> {
    let mut said: Vec<String> = lines
        .iter()
        .filter(|p| !p.is("ATTENDEE") && !BOOKKEEPING.iter().any(|name| p.is(name)))
        .map(|p| line(p, &[]))
        .collect();
    for inner in component.all_components() {
        let lines: Vec<&Property> = inner.all_properties().collect();
        let inside = substance(inner, &lines).join("\n");
        said.push(format!("{}:{inside}", inner.name()));
    }
    said.sort_unstable();
    said
}

fn attendees(lines: &[&Property], without: &[&str]) -> Vec<String> {
    let attendees = lines.iter().filter(|p| p.is("ATTENDEE"));
    let mut said: Vec<String> = attendees.map(|p| line(p, without)).collect();
    said.sort_unstable();
    said
}

/// A property as one line in which neither case of names nor order of parameters nor defaults count, nor what is between
/// one program and its server.
fn line(property: &Property, without: &[&str]) -> String {
    let mut params: Vec<String> = property
        .params()
        .filter(|p| !without.iter().any(|name| p.is(name)) && !is_private_param(p.name()))
        .map(|p| {
            let values: Vec<_> = p.values().collect();
            format!("{}={}", p.name().to_ascii_uppercase(), values.join(","))
        })
        .filter(|p| !DEFAULTS.contains(&p.as_str()))
        .collect();
    params.sort_unstable();
    let value = if property.is("ATTENDEE") || property.is("ORGANIZER") {
        crate::ical::address_key(property.value())
    } else {
        property.value().to_owned()
    };
    let name = property.name().to_ascii_uppercase();
    format!("{name};{}:{value}", params.join(";"))
}

/// Parameters that say what holds anyway. RFC 5545 §3.2
const DEFAULTS: [&str; 7] = [
    "PARTSTAT=NEEDS-ACTION",
    "ROLE=REQ-PARTICIPANT",
    "CUTYPE=INDIVIDUAL",
    "RSVP=FALSE",
    "VALUE=DATE-TIME",
    "VALUE=TEXT",
    "VALUE=DURATION",
];
