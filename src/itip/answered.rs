//! An attendee's object with answers entered, as their program would write it: for a room that answers by itself.

use super::meeting::{Key, Meeting, is_meeting};
use super::people::{Addresses, partstat};
use super::view;
use crate::ical::{Component, values};
use std::collections::BTreeMap;

/// The owner's participation in each component that waits for their answer; `None` is the series or the only instance.
#[must_use]
pub fn unanswered(object: &Component, who: &Addresses) -> Vec<Option<Key>> {
    let Some(meeting) = Meeting::read(object) else {
        return Vec::new();
    };
    let waits = |component: &Component| {
        let mut own = component.properties("ATTENDEE");
        own.any(|a| who.is_own(a.value()) && partstat(a) == "NEEDS-ACTION")
            && !super::meeting::is_cancelled(component)
    };
    let waiting = meeting.components().filter(|(_, c)| waits(c));
    waiting.map(|(key, _)| key).collect()
}

/// The object with these answers of its owner; an instance that has no component of its own gets one.
#[must_use]
pub fn answered(
    object: &Component,
    who: &Addresses,
    answers: &BTreeMap<Option<Key>, &str>,
) -> Component {
    let mut calendar = object.clone();
    let Some(meeting) = Meeting::read(object) else {
        return calendar;
    };
    for component in calendar.all_components_mut().filter(|c| is_meeting(c)) {
        let id = component.property("RECURRENCE-ID").and_then(values::when);
        if let Some(answer) = answers.get(&id.map(|id| meeting.key(&id))) {
            answer_in(component, who, answer);
        }
    }
    for (key, answer) in answers {
        let Some(key) = key.filter(|key| !meeting.overrides.contains_key(key)) else {
            continue;
        };
        if let Some(mut instance) = view::instance(&meeting, key) {
            answer_in(&mut instance, who, answer);
            calendar.push_component(instance);
        }
    }
    calendar
}

fn answer_in(component: &mut Component, who: &Addresses, answer: &str) {
    for attendee in component.properties_mut("ATTENDEE") {
        if who.is_own(attendee.value()) {
            attendee.set_param("PARTSTAT", answer);
        }
    }
}
