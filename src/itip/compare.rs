//! How far two states of the same components differ, seen by somebody who reads them.

use super::meeting::{Key, Meeting};
use super::people::is_private_param;
use super::view;
use crate::ical::{Component, Property};
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

fn filled(
    (meeting, shown): Shown<'_, '_>,
    other: &BTreeMap<Option<Key>, Component>,
) -> BTreeMap<Option<Key>, Component> {
    let mut filled = shown.clone();
    let Some(master) = shown.get(&None) else {
        return filled;
    };
    for key in other.keys().filter(|key| !shown.contains_key(key)) {
        let instance = key.filter(|key| !meeting.excludes(*key));
        if let Some(component) = instance.and_then(|key| view::instance_of(meeting, master, key)) {
            filled.insert(*key, component);
        }
    }
    filled
}

/// The difference between two components.
pub(super) fn components(old: &Component, new: &Component) -> Difference {
    if substance(old) != substance(new) {
        return Difference::Substance;
    }
    if attendees(old, &["PARTSTAT", "RSVP"]) != attendees(new, &["PARTSTAT", "RSVP"]) {
        return Difference::Attendance;
    }
    if attendees(old, &["RSVP"]) != attendees(new, &["RSVP"]) {
        return Difference::Participation;
    }
    Difference::None
}

/// Its lines but for attendees and bookkeeping, in an order that does not depend on the program that wrote them.
fn substance(component: &Component) -> Vec<String> {
    let mut lines: Vec<String> = component
        .all_properties()
        .filter(|p| !p.is("ATTENDEE") && !BOOKKEEPING.iter().any(|name| p.is(name)))
        .map(|p| line(p, &[]))
        .collect();
    for inner in component.all_components() {
        lines.push(format!("{}:{}", inner.name(), substance(inner).join("\n")));
    }
    lines.sort_unstable();
    lines
}

fn attendees(component: &Component, without: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = component
        .properties("ATTENDEE")
        .map(|p| line(p, without))
        .collect();
    lines.sort_unstable();
    lines
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
