//! What stays the recipient's own when the organizer sends a meeting again: alarms, private properties, answers under way,
//! and the instances they took out of their calendar (RFC 6638 §3.2.2.1).

use super::apply::{earlier, own};
use super::incoming::Received;
use super::meeting::{self, Key, Meeting};
use super::people::{Person, partstat};
use super::sequence::{self, Step};
use super::{message, view};
use crate::ical::{Component, Property};
use std::collections::BTreeMap;

/// A component that comes again after the recipient declined by deleting it: an older answer in it was sent before the
/// organizer heard of that.
pub(super) fn still_declined(received: &Received<'_, '_>, mut component: Component) -> Component {
    let stamp = meeting::stamp(&component);
    if received.state.declined.is_some_and(|at| stamp <= at) {
        for attendee in component.properties_mut("ATTENDEE") {
            if received.who.is_own(attendee.value()) && partstat(attendee) != "NEEDS-ACTION" {
                attendee.set_param("PARTSTAT", "DECLINED");
            }
        }
    }
    component
}

/// Whether the recipient took an instance out after this was sent, which the organizer will hear of, and it is where it
/// was.
pub(super) fn crossed(
    received: &Received<'_, '_>,
    (existing, old): (&Meeting<'_>, &Component),
    key: Key,
) -> bool {
    let there = received.meeting.has(key, &received.limits.recur);
    if !there || received.state.excluded.contains(&key) {
        return false;
    }
    let then = view::instance_of(existing, old, key);
    let now = earlier(received.meeting, key);
    then.zip(now).is_some_and(|(then, now)| {
        meeting::stamp(old) > meeting::stamp(&now) && !moved_to(received, (existing, &then), &now)
    })
}

/// The overrides that are there only because the recipient answered an instance by itself, as the series has it now: the
/// organizer had not entered that answer yet when they sent this.
pub(super) fn answered_alone(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    master: &Component,
) -> Vec<(Key, Component)> {
    let same = existing.master.map(meeting::sequence) == Some(meeting::sequence(master));
    let sender = received.who.person(&received.message.from);
    let told_of_it = matches!(sender, Person::Local(_));
    let heard = &received.state.heard;
    let own_answer = |(key, component): &(&Key, &&Component)| {
        let later = meeting::stamp(component) > meeting::stamp(master);
        let in_time = view::instance(received.meeting, **key).is_some_and(|instance| {
            let now = (received.meeting, &instance);
            let limits = &received.limits.recur;
            sequence::step((existing, component), now, limits) != Step::Reschedule
        });
        let spoke = heard.get(&Some(**key));
        spoke.is_none_or(|mark| later && mark.stamp <= meeting::stamp(master))
            && !received.meeting.excludes(**key)
            && !meeting::is_cancelled(component)
            && (same || later || !told_of_it)
            && in_time
            && received.meeting.has(**key, &received.limits.recur)
    };
    let kept = existing.overrides.iter().filter(own_answer);
    kept.filter_map(|(key, component)| {
        let instance = view::instance(received.meeting, *key)?;
        let kept = personal(received, &instance, Some(component), Some(*key));
        Some((*key, kept))
    })
    .collect()
}

/// An instance that the recipient had taken out and that the organizer sends again is there again.
pub(super) fn readmit(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    components: &mut BTreeMap<Option<Key>, Component>,
) {
    let back: Vec<Key> = existing
        .exceptions()
        .iter()
        .filter(|key| components.contains_key(&Some(**key)))
        .copied()
        .collect();
    for key in back {
        let declined = components
            .get(&Some(key))
            .and_then(|c| own(received, c))
            .is_some_and(|a| partstat(a) == "DECLINED");
        if declined {
            components.remove(&Some(key));
        } else if let Some(master) = components.get_mut(&None) {
            without_exception(master, existing, key);
        }
    }
}

/// Takes one instance out of EXDATE.
pub(super) fn without_exception(master: &mut Component, existing: &Meeting<'_>, key: Key) {
    let mut kept = Vec::new();
    for property in master.properties("EXDATE") {
        for date in crate::ical::values::whens(property) {
            if existing.key(&date) != key {
                kept.push(date);
            }
        }
    }
    master.remove("EXDATE");
    for date in kept {
        master.push(Property::when_value("EXDATE", &date));
    }
}

/// Properties that are the recipient's own once they have the object.
fn is_personal(property: &Property) -> bool {
    const PERSONAL: [&str; 6] = [
        "TRANSP",
        "CATEGORIES",
        "COLOR",
        "PERCENT-COMPLETE",
        "COMPLETED",
        "ACKNOWLEDGED",
    ];
    PERSONAL.iter().any(|own| property.is(own)) || view::is_private(property)
}

/// The organizer's component with what is the recipient's own taken from theirs.
pub(super) fn personal(
    received: &Received<'_, '_>,
    sent: &Component,
    old: Option<&Component>,
    key: Option<Key>,
) -> Component {
    let mut component = sent.clone();
    component.retain_components(|c| !c.is("VALARM"));
    let Some(old) = old else {
        return component;
    };
    component.retain_properties(|p| !is_personal(p));
    for property in old.all_properties().filter(|p| is_personal(p)) {
        component.push(property.clone());
    }
    for alarm in old.components("VALARM") {
        component.push_component(alarm.clone());
    }
    let answer = answer(received, (sent, old), key);
    for attendee in component.properties_mut("ATTENDEE") {
        if received.who.is_own(attendee.value()) && partstat(attendee) != answer {
            attendee.set_param("PARTSTAT", &answer);
        }
    }
    if let (Some(status), Some(organizer)) = (
        old.property("ORGANIZER")
            .and_then(|o| o.param("SCHEDULE-STATUS")),
        component.property_mut("ORGANIZER"),
    ) {
        organizer.set_param("SCHEDULE-STATUS", &status);
    }
    // The next answer is stamped later than the last one, of which the organizer has heard. What an instance is answered
    // with by the organizer's word was not said then.
    let answered = meeting::stamp(old);
    let known = |key| {
        received
            .existing
            .is_some_and(|m| m.overrides.contains_key(&key))
    };
    let by_word = key.is_some_and(|key| !known(key))
        && own(received, sent).is_some_and(|told| partstat(told) == answer);
    if answered > meeting::stamp(&component) && !by_word {
        component = message::stamped(component, answered);
    }
    component
}

/// The recipient's participation after a message.
///
/// What they answered is theirs to say: an answer under way must not be undone by a message that crosses it. The organizer
/// sets it back when the meeting is at another time now, or when they knew the answer and ask again; and tells it to
/// somebody whose calendar does not know it yet.
fn answer(
    received: &Received<'_, '_>,
    (sent, old): (&Component, &Component),
    key: Option<Key>,
) -> String {
    let told = own(received, sent).map_or_else(String::new, partstat);
    let Some(given) = own(received, old).map(partstat) else {
        return told;
    };
    if given == told || given == "NEEDS-ACTION" || meeting::is_cancelled(old) {
        return told;
    }
    let Some(existing) = received.existing else {
        return told;
    };
    let inherited = key.is_some_and(|key| !existing.overrides.contains_key(&key));
    let series_moved = match (existing.master, received.meeting.master) {
        (Some(old), Some(new)) if inherited => moved_to(received, (existing, old), new),
        _ => false,
    };
    // On this server the organizer answers an answer that crossed this.
    let sender = received.who.person(&received.message.from);
    let not_yet = inherited && told == "NEEDS-ACTION" && matches!(sender, Person::Local(_));
    let moved = series_moved || not_yet || moved_to(received, (existing, old), sent);
    let heard = &received.state.heard;
    let mark = heard.get(&key).or_else(|| heard.get(&None));
    let knew = mark.filter(|mark| mark.partstat == given);
    let answered = meeting::stamp(old);
    let set_back = told == "NEEDS-ACTION"
        && (knew.is_some() || meeting::sequence(sent) > meeting::sequence(old))
        && answered <= meeting::stamp(sent);
    let corrected = told != "NEEDS-ACTION" && knew.is_some_and(|mark| answered <= mark.stamp);
    if moved || set_back || corrected {
        told
    } else {
        given
    }
}

/// Whether a component of the message is at another time than it was, so that answers do not hold.
pub(super) fn moved_to(
    received: &Received<'_, '_>,
    (existing, old): (&Meeting<'_>, &Component),
    sent: &Component,
) -> bool {
    let now = (received.meeting, sent);
    let limits = &received.limits.recur;
    sequence::step_of_series((existing, old), now, limits) == Step::Reschedule
}
