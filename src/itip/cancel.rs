//! CANCEL in an attendee's calendar (RFC 5546 §3.2.5, RFC 6638 §4.1).
//!
//! What is cancelled stays in the calendar with STATUS:CANCELLED, so that nobody is left wondering where a meeting went: it
//! blocks no time, and deleting it tells nobody. No RFC says what becomes of the copy; other servers that process messages
//! keep it so as well, and a program that removes it itself does no harm.

use super::apply::{earlier, finished, fresh, from_organizer, heard, held, own, rebuilt};
use super::incoming::{Incoming, Reason, Received};
use super::meeting::{self, Key, Meeting};
use super::state::{Mark, State};
use super::view;
use crate::ical::{Component, Property, When, values};
use std::collections::BTreeMap;

/// CANCEL: the meeting, or instances of it, do not take place for the recipient.
pub(super) fn cancel(received: &Received<'_, '_>) -> Incoming {
    let Some(existing) = received.existing else {
        let all = || received.meeting.components();
        return Incoming {
            state: cancelled_marks(heard(received, all()), all()),
            ..Incoming::nothing(received.state, Reason::NoMeeting)
        };
    };
    if let Err(reason) = from_organizer(received) {
        return Incoming::nothing(received.state, reason);
    }
    let fresh = fresh(received, existing);
    if fresh.is_empty() {
        return Incoming::nothing(received.state, Reason::Stale);
    }
    let mut components = held(existing);
    let mut touched = 0;
    for (key, sent) in &fresh {
        let for_others = sent.property("ATTENDEE").is_some() && own(received, sent).is_none();
        if for_others {
            continue;
        }
        touched += match key {
            Some(key) if meeting::and_future(sent) => {
                ended(existing, &mut components, (*key, sent))
            }
            Some(key) => one(received, existing, &mut components, (*key, sent)),
            None => whole(received, &mut components, sent),
        };
    }
    let all = || fresh.iter().map(|(key, c)| (*key, *c));
    let state = cancelled_marks(heard(received, all()), all());
    if touched == 0 {
        return Incoming {
            state,
            ..Incoming::nothing(received.state, Reason::NoInstance)
        };
    }
    let components = components.into_values().collect();
    let calendar = rebuilt(received, existing.calendar, existing, components);
    let outcome = finished(received, existing, calendar, state);
    match outcome.reason {
        Reason::Updated => Incoming {
            reason: Reason::Cancelled,
            ..outcome
        },
        _ => outcome,
    }
}

/// Remembers that these were cancelled: an older message that comes later must not bring an instance back.
fn cancelled_marks<'c>(
    mut state: State,
    components: impl Iterator<Item = (Option<Key>, &'c Component)>,
) -> State {
    for (key, component) in components {
        let (number, stamp) = (meeting::sequence(component), meeting::stamp(component));
        if let Some(mark) = state.heard.get_mut(&key)
            && (mark.sequence, mark.stamp) == (number, stamp)
        {
            Mark::CANCELLED.clone_into(&mut mark.partstat);
        }
    }
    state
}

fn mark(component: &mut Component, sent: &Component) {
    component.set(Property::new("STATUS", "CANCELLED"));
    let number = meeting::sequence(sent).max(meeting::sequence(component));
    component.set(Property::new("SEQUENCE", &number.to_string()));
}

/// Cancels the meeting, but for instances that the recipient was asked to since.
fn whole(
    received: &Received<'_, '_>,
    components: &mut BTreeMap<Option<Key>, Component>,
    sent: &Component,
) -> usize {
    let since = |key: &Option<Key>, component: &Component| {
        let heard = received.state.heard.get(key).filter(|_| key.is_some());
        heard.is_some_and(|heard| {
            heard.partstat != Mark::CANCELLED
                && heard.stamp >= meeting::stamp(sent)
                && meeting::sequence(component) >= meeting::sequence(sent)
        })
    };
    let mut touched = 0;
    for (key, component) in components {
        if !since(key, component) {
            mark(component, sent);
            touched += 1;
        }
    }
    touched
}

/// Cancels one instance.
fn one(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    components: &mut BTreeMap<Option<Key>, Component>,
    (key, sent): (Key, &Component),
) -> usize {
    if existing.excludes(key) || !existing.has(key, &received.limits.recur) {
        return 0;
    }
    let Some(mut component) = earlier(existing, key) else {
        return 0;
    };
    mark(&mut component, sent);
    components.insert(Some(key), component);
    1
}

/// Ends the series before an instance: RANGE=THISANDFUTURE. RFC 5546 §3.2.5 (a)
fn ended(
    existing: &Meeting<'_>,
    components: &mut BTreeMap<Option<Key>, Component>,
    (key, sent): (Key, &Component),
) -> usize {
    let mut touched = 0;
    for (other, component) in components.iter_mut() {
        if other.is_some_and(|other| other >= key) {
            mark(component, sent);
            touched += 1;
        }
    }
    let last = match existing.id(key) {
        When::Date(date) => date.add_days(-1).map(When::Date),
        id @ When::Floating(_) => id.local().add_seconds(-1).map(When::Floating),
        id => {
            let before = existing.instant(&id).0.saturating_sub(1);
            Some(When::Utc(crate::ical::Timestamp(before)))
        }
    };
    let (Some(master), Some(last)) = (components.get_mut(&None), last) else {
        return touched;
    };
    for rule in master.properties_mut("RRULE") {
        let parts = rule.value().split(';').filter(|part| {
            let name = part.split('=').next().unwrap_or_default().trim();
            !name.eq_ignore_ascii_case("UNTIL") && !name.eq_ignore_ascii_case("COUNT")
        });
        let mut parts: Vec<&str> = parts.collect();
        let until = format!("UNTIL={last}");
        parts.push(&until);
        let value = parts.join(";");
        rule.set_value(&value);
    }
    let dates = master.properties("RDATE").flat_map(values::whens);
    let later: Vec<When> = dates.filter(|date| existing.key(date) >= key).collect();
    for date in later {
        master.push(Property::when_value("EXDATE", &date));
    }
    let number = meeting::sequence(sent).max(meeting::sequence(master));
    master.set(Property::new("SEQUENCE", &number.to_string()));
    touched + 1
}

/// Keeps what was cancelled when the series is sent again: an instance it does not have any more stays, cancelled, until
/// the recipient deletes it; one that an older message still has is cancelled again.
pub(super) fn keep_cancelled(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    components: &mut BTreeMap<Option<Key>, Component>,
) {
    let Some(master) = received
        .meeting
        .master
        .filter(|_| components.contains_key(&None))
    else {
        return;
    };
    let sent = (meeting::stamp(master), meeting::sequence(master));
    for (key, heard) in &received.state.heard {
        let (Some(key), true) = (*key, heard.partstat == Mark::CANCELLED) else {
            continue;
        };
        let held = existing.overrides.get(&key);
        let held = held
            .filter(|c| meeting::is_cancelled(c))
            .map(|c| (*c).clone());
        if received.meeting.excludes(key) {
            if let Some(held) = held
                && let Some(master) = components.get_mut(&None)
                && !existing.excludes(key)
            {
                super::kept::without_exception(master, received.meeting, key);
                components.insert(Some(key), held);
            }
            continue;
        }
        let older = heard.stamp > sent.0 && !components.contains_key(&Some(key));
        if older && received.meeting.has(key, &received.limits.recur) {
            let instance = held.or_else(|| view::instance(received.meeting, key));
            if let Some(mut instance) = instance {
                instance.set(Property::new("STATUS", "CANCELLED"));
                let number = heard.sequence.max(meeting::sequence(&instance));
                instance.set(Property::new("SEQUENCE", &number.to_string()));
                components.insert(Some(key), instance);
            }
        }
    }
}
